"""The database nodes of a live run that are real."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack

import msgspec

from scenarios.format.loading import Variant
from scenarios.wiring.assembly import Blueprint
from twin.errors import InputError, MissingEnvironmentError
from twin.kernel.behaviour import NodeId
from twin.live.pacer import SocketPacer
from twin.live.real_database import RealDatabase
from twin.live.sinks.opening import KINDS, kind_of, worker
from twin.live.sinks.worker import SinkWorker

DATABASE = "database"


class DatabaseFigures(msgspec.Struct, frozen=True):
    """What became of a real database's records and questions; `left` were not written when the run ended."""

    url: str
    kept: int
    refused: int
    rejected: int
    left: int
    retries: int
    answered: int
    unanswered: int
    write_p50_s: float
    write_p99_s: float


class Databases:
    """Real databases behind database nodes: connected when made, ended by `close`."""

    def __init__(self, variant: Variant, urls: Mapping[NodeId, str], report: Callable[[str], None]) -> None:
        """Raises InputError for what cannot be bound, MissingEnvironmentError for what is not there."""
        check(variant, urls)
        self._workers = {node: worker(node, url, report) for node, url in urls.items()}
        self._ending = ExitStack()
        try:
            for each in self._workers.values():
                self._ending.callback(each.stop)
                _start(each)
        except BaseException:
            self._ending.close()
            raise

    def behaviours(self, blueprint: Blueprint, pacer: SocketPacer) -> dict[NodeId, RealDatabase]:
        """What the nodes do."""
        hosts = {member.node: member.host for member in blueprint.members}
        run, began_s = secrets.token_hex(8), time.time()
        found = {}
        for node, each in self._workers.items():

            def answered(name: NodeId, message: object, node: NodeId = node) -> None:
                pacer.inject(name, node, message)  # type: ignore[arg-type]

            options = blueprint.options[node]
            found[node] = RealDatabase(each, answered, run, began_s, hosts[node], **options)
        return found

    def close(self) -> None:
        """Write what waits, and let go."""
        self._ending.close()

    @property
    def figures(self) -> dict[str, DatabaseFigures]:
        """By node."""
        return {node: _figures(each) for node, each in self._workers.items()}


def check(variant: Variant, urls: Mapping[NodeId, str]) -> None:
    """Raise InputError for a node that is no database, or a backend that cannot be asked."""
    nodes = [name for name, node in variant.scenario.nodes.items() if node.kind == DATABASE]
    for node, url in urls.items():
        if node not in nodes:
            raise InputError(
                f"{node!r} cannot be bound to a database; nodes that can: {', '.join(nodes) or 'none'}"
            )
        if not kind_of(url).can_answer:
            forms = ", ".join(kind.form for kind in KINDS.values() if kind.can_answer)
            raise InputError(f"{url.partition(':')[0]} cannot be asked for the latest value; use {forms}")


def _start(each: SinkWorker) -> None:
    each.start()
    if each.trouble:
        raise MissingEnvironmentError(f"the database {each.name!r} is not there: {each.trouble}")


def _figures(each: SinkWorker) -> DatabaseFigures:
    counts, times = each.counts, sorted(each.service_s) or [0.0]
    return DatabaseFigures(
        url=each.shown,
        kept=counts.kept,
        refused=counts.refused,
        rejected=counts.rejected,
        left=counts.left,
        retries=counts.retries,
        answered=counts.answered,
        unanswered=counts.unanswered,
        write_p50_s=times[len(times) // 2],
        write_p99_s=times[int(len(times) * 0.99)],
    )
