"""The access list of our broker: what the policies of the registry grant each client, in mosquitto's words.

A client that may not connect has no lines, and mosquitto refuses what no line allows. It knows no right to
subscribe: what a client may not receive is not delivered, whatever it subscribed to. A topic that is denied
for one verb is denied for all, which is stricter than the policy.
"""

from __future__ import annotations

from collections.abc import Iterator

from twin.state.records import Records
from twin.state.registry.access import grants_of
from twin.state.registry.certificates import CERTIFICATE
from twin.state.registry.policies import CLIENT
from twin.state.registry.things import THING

ACCESS_KINDS = frozenset({"thing", "group", "policy", "client", "certificate"})
"""The kinds of records that the access list follows from."""


def clients_of(records: Records) -> list[str]:
    """Everybody who may be allowed anything, by name."""
    names = {*records.of(THING), *records.of(CLIENT)}
    names.update(certificate.common_name for certificate in records.of(CERTIFICATE).values())
    return sorted(names)


def access_list(records: Records) -> str:
    """The access list, a block for each client."""
    return "".join(f"{line}\n" for client in clients_of(records) for line in _block(records, client))


def _block(records: Records, client: str) -> Iterator[str]:
    grants = grants_of(records, client)
    if not grants.can_connect:
        return
    yield f"user {client}"
    denied = {topic for verb in ("publish", "receive") for topic in grants.denied[verb]}
    yield from (f"topic deny {topic}" for topic in sorted(denied))
    yield from (f"topic write {topic}" for topic in sorted(grants.allowed["publish"]))
    yield from (f"topic read {topic}" for topic in sorted(grants.allowed["receive"]))
