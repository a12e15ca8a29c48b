"""The access list of our broker: what the policies of the registry grant each client, in mosquitto's words.

A client that may not connect has no lines, and mosquitto refuses what no line allows. It knows no right to
subscribe: what a client may not receive is not delivered, whatever it subscribed to. A topic that is denied
for one verb is denied for all, which is stricter than the policy.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from twin.state.records import Change, Records
from twin.state.registry.access import grants_of
from twin.state.registry.certificates import CERTIFICATE
from twin.state.registry.connectivity import SIM
from twin.state.registry.policies import CLIENT, POLICY
from twin.state.registry.things import GROUP, THING

FOR_EVERYBODY: Final = frozenset({POLICY, GROUP})
FOR_SOME: Final = frozenset({THING, CLIENT, CERTIFICATE, SIM})


@dataclass(slots=True)
class AccessList:
    """The list, a block for each client, made anew for those only who are concerned by a change."""

    blocks: dict[str, str] = field(init=False, default_factory=dict)
    shut_out: set[str] = field(init=False, default_factory=set)
    """The clients that may not connect any more; whoever ends their sessions takes them off."""

    def renew(self, records: Records) -> None:
        """Make all of it."""
        clients = {*records.of(THING), *records.of(CLIENT)}
        clients.update(certificate.common_name for certificate in records.of(CERTIFICATE).values())
        self.blocks = {}
        self._make(clients, records)

    def follow(self, changes: Iterable[Change], records: Records) -> bool:
        """Take in what has changed; tell whether the list is another now."""
        concerned: set[str] = set()
        for change in changes:
            if change.kind in FOR_EVERYBODY:
                before = dict(self.blocks)
                self.renew(records)
                return self.blocks != before
            if change.kind in FOR_SOME:
                concerned.update(_concerned(change, records))
        return self._make(concerned, records)

    def text(self) -> str:
        """The whole list."""
        return "".join(self.blocks.values())

    def _make(self, clients: Iterable[str], records: Records) -> bool:
        is_changed = False
        for client in sorted(clients):
            block = "".join(f"{line}\n" for line in _lines(records, client))
            is_changed |= block != self.blocks.get(client, "")
            if block:
                self.blocks[client] = block
            elif self.blocks.pop(client, ""):
                self.shut_out.add(client)
        return is_changed


def _concerned(change: Change, records: Records) -> Iterator[str]:
    """Whose rights may be others after a change: the thing's, its certificates', its gateways'."""
    yield change.key
    for record in (change.before, change.record):
        if record is None:
            continue
        about: Any = record
        if change.kind == CERTIFICATE:
            yield about.common_name
            yield about.thing
        elif change.kind == THING and about.via:
            yield about.via
        elif change.kind == SIM:
            yield about.thing
    if change.kind == THING:
        certificates = records.of(CERTIFICATE).values()
        yield from (each.common_name for each in certificates if each.thing == change.key)


def _lines(records: Records, client: str) -> Iterator[str]:
    grants = grants_of(records, client)
    if not client or not grants.can_connect:
        return
    yield f"user {client}"
    denied = {topic for verb in ("publish", "receive") for topic in grants.denied[verb]}
    yield from (f"topic deny {topic}" for topic in sorted(denied))
    yield from (f"topic write {topic}" for topic in sorted(grants.allowed["publish"]))
    yield from (f"topic read {topic}" for topic in sorted(grants.allowed["receive"]))
