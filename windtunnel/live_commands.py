"""`windtunnel live`: a scenario in wall time, its broker a real one."""

from __future__ import annotations

import argparse
import dataclasses
import json
import signal
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from twin.errors import InputError
from windtunnel.broker_commands import briefly
from windtunnel.broker_options import add_access_options, with_options
from windtunnel.cli import FAILED, INTERRUPTED, MET, MISSING
from windtunnel.durations import lasting_s
from windtunnel.ledger_commands import HISTORY, account_of, begin_history, end_history

if TYPE_CHECKING:
    from scenarios.archive import Archive
    from scenarios.format.loading import ScenarioFile, Variant
    from scenarios.ledger import Account
    from scenarios.live import LiveRun
    from scenarios.live_control import LiveControl
    from scenarios.live_databases import Databases
    from scenarios.wiring.packet_level import PacketGround
    from twin.live.conformance.verdicts import Conformance
    from twin.live.endpoint import Endpoint
    from twin.service.brokers import RunningBroker

LIVE, TIMELINE = "live.json", "timeline.yaml"
BROKER_KIND: Final = "mqtt_broker"
DATABASE_KIND: Final = "database"
SIMULATED: Final = "simulated"
EXAMPLES: Final = """\
examples:
  windtunnel live car_park_fire --variant edge --for "90 s"
  windtunnel live my_site.scenario.yaml --broker mqtts://me@broker.example --ca ca.pem
  windtunnel live my_site.scenario.yaml --bind broker=mqtt://127.0.0.1:1883 --bind backup=embedded
  windtunnel live my_site.scenario.yaml --broker mqtt://127.0.0.1:1883 --convention sparkplug-b:plant
  windtunnel live car_park_fire --broker simulated --bind database=postgresql://me@127.0.0.1/records

A broker is a URL, `mosquitto` (started by us if it is on this machine), `embedded`, `any` of the two, or
`simulated`. A database is postgresql://, redis:// or sqlite:FILE.
The links of the scenario delay in wall time what goes to it and comes from it. A password is read from
--password-file or from the environment variable WINDTUNNEL_PASSWORD.
"""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The parser of `live`."""
    live = commands.add_parser(
        "live",
        help="run a scenario once in wall time, its broker a real one",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    live.add_argument("scenario", help="a *.scenario.yaml file, or the name of a shipped scenario")
    add_broker_options(live)
    live.add_argument(
        "--ledger",
        choices=("marks", "content", "off"),
        default="marks",
        help="know messages by a member `_wt` in their JSON (default), by topic and payload, or not at all",
    )
    live.add_argument(
        "--no-check", action="store_true", help="do not try beforehand what the broker does of MQTT"
    )
    live.add_argument("--control", metavar="FILE", help="socket file for `windtunnel control`")
    live.add_argument("--runs", default="runs", metavar="DIR", help="where results go (default: runs)")
    live.add_argument("--json", action="store_true", help="print the results as JSON")


def add_broker_options(command: argparse.ArgumentParser) -> None:
    """What every command takes that runs a variant against real brokers."""
    command.add_argument("--variant", metavar="NAME", help="default: the first variant")
    command.add_argument(
        "--broker", default="any", metavar="BROKER", help="for every broker node (default: any)"
    )
    command.add_argument(
        "--bind",
        action="append",
        default=[],
        metavar="NODE=WHERE",
        help="one broker or database (may be repeated)",
    )
    command.add_argument(
        "--links",
        choices=("none", "in-driver", "proxy", "tun"),
        default="in-driver",
        help="what delays on the way to the broker: nothing, the model in this process, a proxy, or packets",
    )
    command.add_argument(
        "--convention",
        metavar="WHICH",
        help="speak as a system of yours does: aws-shadow, sparkplug-b:GROUP, topics:TEMPLATE, or a YAML file"
        " with topics, orders and payload",
    )
    command.add_argument("--for", dest="duration", metavar="TIME", help="end earlier than the scenario says")
    command.add_argument("--seed", type=int, metavar="N", help="instead of the file's")
    add_access_options(command)


def live(options: argparse.Namespace) -> int:
    """Run once, keep the results, and say for each requirement whether it was met."""
    from scenarios.archive import Archive
    from scenarios.control import Desk
    from scenarios.judging.runner import Plan
    from scenarios.live import Running, run_live
    from scenarios.live_control import LiveControl
    from scenarios.shipped import load
    from windtunnel.convention_options import convention_of
    from windtunnel.namespaces import packet_ground
    from windtunnel.proxy_commands import tell

    scenario = load(options.scenario)
    variant = scenario.variant(options.variant) if options.variant else scenario.variants[0]
    spoken = convention_of(options.convention) if options.convention else None
    duration_s = lasting_s(options.duration)
    with (
        _databases(variant, options) as databases,
        packet_ground(options.links) as ground,
        bound_brokers(variant, options, ground) as running,
        ExitStack() as desks,
    ):
        bindings = _checked({node: each.endpoint for node, each in running.items()}, databases)
        checked = {} if options.no_check or ground is not None else briefly(running)
        controls: list[LiveControl] = []

        def on_start(run: Running) -> None:
            control = LiveControl(run.assembly, run.pacer, run.level, run.fleets, running, tell)
            controls.append(control)
            stop_on_ctrl_c(run.pacer.stop)
            if options.control:
                desks.callback(Desk(Path(options.control), run.pacer.call, control.actions).close)

        archive = Archive.open(Path(options.runs), scenario, Plan([variant.name], 1, options.seed, 1))
        history = begin_history(archive.folder / HISTORY, options.ledger)
        try:
            found = run_live(
                variant,
                bindings,
                seed=options.seed,
                duration_s=duration_s,
                links=options.links,
                history=history,
                databases=databases,
                convention=spoken,
                on_start=on_start,
                ground=ground,
            )
        except BaseException:
            archive.discard()
            raise
        finally:
            if history is not None:
                end_history(history, variant, controls[0].happened if controls else [])
    account = None if history is None else account_of(archive.folder / HISTORY)
    figures = {
        **_live_figures(found, account),
        "conformance": {node: each.row() for node, each in checked.items()},
    }
    problem = _keep(archive, variant, found, controls, figures)
    if options.json:
        print(json.dumps(_as_json(found, figures)))
    else:
        print(_shown(found, scenario, variant, account, archive.folder), *_in_short(checked), sep="\n")
    if history is not None and history.problem:
        print(f"windtunnel: {history.problem}", file=sys.stderr)
    problems = [*_gone(found, controls), *filter(None, [problem])]
    for each in problems:
        print(f"windtunnel: {each}", file=sys.stderr)
    return MISSING if problems else _code(found)


def _gone(found: LiveRun, controls: Sequence[LiveControl]) -> list[str]:
    """The brokers that nobody killed by order, and that are there no more."""
    killed = controls[0].killed if controls else frozenset()
    return [
        f"at the end of the run there is {reason}"
        for node, reason in found.gone_brokers.items()
        if node not in killed
    ]


def _keep(
    archive: Archive,
    variant: Variant,
    found: LiveRun,
    controls: Sequence[LiveControl],
    figures: Mapping[str, Any],
) -> str:
    """What is only true of live runs first, then the results as of any run; what kept us from it, or ""."""
    from scenarios.judging.runner import Findings, VariantRun, tests_of
    from scenarios.store import write

    run = VariantRun(variant, tests_of(variant))
    run.take(found.outcome)
    try:
        write(archive.folder / LIVE, json.dumps(figures, indent=1).encode())
        if controls and controls[0].happened:
            write(archive.folder / TIMELINE, controls[0].timeline_text.encode())
        archive.close(Findings([run]), "done" if found.is_whole else "interrupted")
    except OSError as error:
        return f"not all results could be kept: {error.filename}: {error.strerror}"
    return ""


def _code(found: LiveRun) -> int:
    if not found.is_whole:
        return INTERRUPTED
    return MET if all(each.is_met for each in found.outcome.judgements.values()) else FAILED


def _in_short(checked: Mapping[str, Conformance]) -> list[str]:
    """What the brokers are, and do not do."""
    return [f"{node} is {each.in_short}" for node, each in checked.items()]


def stop_on_ctrl_c(stop: Any) -> None:
    """The first Ctrl-C or SIGTERM ends the run between two events and keeps it; the second, the program."""

    def on_signal(number: int, _frame: object) -> None:
        signal.signal(number, signal.default_int_handler)
        stop()

    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, on_signal)


@contextmanager
def bound_brokers(
    variant: Variant, options: argparse.Namespace, ground: PacketGround | None = None
) -> Iterator[Mapping[str, RunningBroker]]:
    """Every broker node with its real broker; what we started ends with the context.

    With a `ground` for packets the brokers stand beyond it, and must be ours.
    """
    from twin.service.brokers import LOOPBACK, OURS, broker

    nodes = [name for name, node in variant.scenario.nodes.items() if node.kind == BROKER_KIND]
    if not nodes:
        raise InputError(
            f"variant {variant.name!r} has no node of kind {BROKER_KIND}, so nothing can be real"
        )
    asked = dict.fromkeys(nodes, options.broker) | _bound(variant, options, BROKER_KIND)
    asked = {node: wanted for node, wanted in asked.items() if wanted != SIMULATED}
    if ground is not None and not set(asked.values()) <= set(OURS):
        raise InputError(f"packets on the wire reach brokers of ours only: {', '.join(OURS)}")
    with ExitStack() as stack:
        with nullcontext(LOOPBACK) if ground is None else ground.beyond() as host:
            running = {node: stack.enter_context(broker(wanted, host)) for node, wanted in asked.items()}
        for node, each in running.items():
            print(f"{node}: {each.name} at {each.endpoint.url}", file=sys.stderr, flush=True)
        yield {
            node: dataclasses.replace(each, endpoint=with_options(each.endpoint, options))
            for node, each in running.items()
        }


def _bound(variant: Variant, options: argparse.Namespace, kind: str) -> dict[str, str]:
    """What --bind says of the nodes of a kind."""
    kinds = {name: node.kind for name, node in variant.scenario.nodes.items()}
    nodes = [name for name, each in kinds.items() if each in (BROKER_KIND, DATABASE_KIND)]
    pairs = [text.partition("=") for text in options.bind]
    for (node, equals, _), text in zip(pairs, options.bind):
        if not equals or node not in nodes:
            shown = text.partition("=")[0]
            raise InputError(f"--bind: expected NODE=WHERE with a node of {', '.join(nodes)}; not {shown!r}")
    return {node: wanted for node, _, wanted in pairs if kinds[node] == kind}


@contextmanager
def _databases(variant: Variant, options: argparse.Namespace) -> Iterator[Databases | None]:
    """The database nodes that are real, if there are any."""
    from scenarios.live_databases import Databases

    urls = _bound(variant, options, DATABASE_KIND)
    if not urls:
        yield None
        return
    databases = Databases(variant, urls, _say)
    try:
        yield databases
    finally:
        databases.close()


def _checked(bindings: dict[str, Endpoint], databases: Databases | None) -> dict[str, Endpoint]:
    """The bindings, if anything is real."""
    if not bindings and databases is None:
        raise InputError("nothing is real; bind a broker or a database")
    return bindings


def _say(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


def _live_figures(found: LiveRun, account: Account | None) -> dict[str, Any]:
    import msgspec

    return {
        "ledger": msgspec.to_builtins(account),
        "brokers": found.brokers,
        "links": found.links,
        "databases": {node: msgspec.to_builtins(each) for node, each in found.databases.items()},
        "ended_connections": found.ended_connections,
        "lost_on_links": msgspec.to_builtins(found.lost_on_links),
        "gone_brokers": found.gone_brokers,
        "is_real_time": found.timeliness.is_real_time,
        "timeliness": msgspec.to_builtins(found.timeliness),
    }


def _as_json(found: LiveRun, figures: dict[str, Any]) -> dict[str, Any]:
    judged = {name: each._asdict() for name, each in found.outcome.judgements.items()}
    return {**figures, "requirements": judged, "metrics": found.outcome.metrics}


def _lost_on_links(found: LiveRun) -> list[str]:
    """A line for each fault that stood; by link and cause it stands in the results."""
    what = "packets" if found.links == "tun" else "connections"
    counts = Counter[str]()
    for each in found.lost_on_links:
        counts[each.window] += each.count
    return [f"{count:,} {what} lost on the links: {window}" for window, count in counts.items()]


def _shown(
    found: LiveRun, scenario: ScenarioFile, variant: Variant, account: Account | None, folder: Path
) -> str:
    from scenarios.ledger import summary

    marks = {True: "✓ met    ", False: "✗ not met"}
    lines = [f"{scenario.title}: {variant.name}, live for {found.outcome.duration_s:.1f} s"]
    lines += [f"  {marks[each.is_met]}  {name}" for name, each in found.outcome.judgements.items()]
    late = found.timeliness
    lines.append(
        f"events late by {late.late_p50_s * 1e3:.2f} ms (p50), {late.late_p99_s * 1e3:.2f} ms (p99)"
        if late.is_real_time
        else f"NOT REAL TIME: the clock slipped {late.slip_count} times, {late.slipped_s:.2f} s in all"
    )
    lines += [f"{count} connections ended: {reason}" for reason, count in found.ended_connections.items()]
    lines += _lost_on_links(found)
    if account is not None:
        lines += [summary(account), *account.violations]
    lines += [
        f"{node}: {each.kept} records kept in {each.write_p50_s * 1e3:.1f} ms (p50) a batch, {each.retries}"
        f" retries, {each.refused + each.rejected + each.left} lost; {each.answered} answers,"
        f" {each.unanswered} questions unanswered"
        for node, each in found.databases.items()
    ]
    return "\n".join([*lines, f"kept in {folder}"])
