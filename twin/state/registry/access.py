"""May this client do that? Policies compiled for each client, kept until a record they depend on changes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Final

from twin.errors import InputError
from twin.mqtt.coverage import Patterns
from twin.mqtt.subscriptions import SHARED, shared_filter
from twin.mqtt.topics import check_filter, check_name
from twin.state.records import Records, Transaction
from twin.state.registry.audit import LONGEST_TEXT, MOST_ENTRIES, AuditLog, Entry, audit
from twin.state.registry.certificates import CERTIFICATE, Certificate
from twin.state.registry.connectivity import SIM, unconnected
from twin.state.registry.policies import CLIENT, POLICY, VERBS, Client, Policy, Verb, filled, policies_of
from twin.state.registry.search import groups_of
from twin.state.registry.things import GROUP, THING, Thing

DECISIONS_KEPT: Final = 1_000
CLIENTS_KEPT: Final = 100_000

_KINDS: Final = (THING, GROUP, POLICY, CLIENT, CERTIFICATE, SIM)


def may(records: Records, client: str, verb: Verb, topic: str = "") -> bool:
    """Whether the client may do it; "connect" has no topic. Nobody may do what no policy allows."""
    return records.derived("access", _KINDS, Access).may(client, verb, topic)


def grants_of(records: Records, client: str) -> Grants:
    """All that a client may do, for a broker that takes a list."""
    return records.derived("access", _KINDS, Access).grants(client)


def thing_of(records: Records, client: str) -> Thing | None:
    """The thing that a client is: by its certificate's name, or its own; None if it is none, or disabled."""
    thing = records.derived("access", _KINDS, Access).thing(client)
    return thing if thing is not None and thing.state == "active" else None


def awaited(records: Records, client: str) -> Certificate | None:
    """The certificate by which a client is to be registered when it first connects; None if it is not."""
    return records.derived("access", _KINDS, Access).awaited(client)


@dataclass(slots=True)
class Grants:
    """What one client may do and must not do, and what was decided about it lately."""

    allowed: dict[str, Patterns] = field(default_factory=lambda: {verb: Patterns() for verb in VERBS})
    denied: dict[str, Patterns] = field(default_factory=lambda: {verb: Patterns() for verb in VERBS})
    can_connect: bool = False
    decided: dict[tuple[str, str], bool] = field(default_factory=dict)

    def may(self, verb: Verb, topic: str) -> bool:
        """Whether it may."""
        known = self.decided.get((verb, topic))
        if known is None:
            if len(self.decided) >= DECISIONS_KEPT:
                self.decided.clear()
            known = self.decided[verb, topic] = self.decide(verb, topic)
        return known

    def decide(self, verb: Verb, topic: str) -> bool:
        """Whether it may, thought through."""
        if verb == "connect" or not self.can_connect:
            return self.can_connect
        try:
            if verb == "subscribe":
                asked = shared_filter(topic) if topic.startswith(SHARED) else topic
                check_filter(asked)
                return self.allowed[verb].cover(asked) and not self.denied[verb].overlap(asked)
            check_name(topic)
        except (InputError, UnicodeEncodeError):
            return False
        return self.allowed[verb].match(topic) and not self.denied[verb].match(topic)


class Access:
    """What follows from the records: which thing each client is, and its grants, made when it first asks."""

    __slots__ = ("_behind", "_certificates", "_grants", "_records", "_unconnected")

    def __init__(self, records: Records) -> None:
        self._records = records
        self._grants: dict[str, Grants] = {}
        self._certificates: dict[str, list[Certificate]] = {}
        self._unconnected = unconnected(records)
        self._behind: dict[str, list[Thing]] = {}
        for certificate in records.of(CERTIFICATE).values():
            self._certificates.setdefault(certificate.common_name, []).append(certificate)
            if certificate.thing and certificate.thing != certificate.common_name:
                self._certificates.setdefault(certificate.thing, []).append(certificate)
        for thing in records.of(THING).values():
            if thing.via:
                self._behind.setdefault(thing.via, []).append(thing)

    def may(self, client: str, verb: Verb, topic: str) -> bool:
        """Whether the client may do it."""
        return self.grants(client).may(verb, topic)

    def grants(self, client: str) -> Grants:
        """What the client may do."""
        grants = self._grants.get(client)
        if grants is None:
            if len(self._grants) >= CLIENTS_KEPT:
                self._grants.clear()
            grants = self._grants[client] = self._granted(client)
        return grants

    def thing(self, client: str) -> Thing | None:
        """The thing that a client is by its certificate's name, else by its own."""
        for certificate in self._certificates.get(client, ()):
            if certificate.common_name == client and certificate.thing:
                found: Thing | None = self._records.get(THING, certificate.thing)
                return found
        named: Thing | None = self._records.get(THING, client)
        return named

    def awaited(self, client: str) -> Certificate | None:
        """The certificate by which a client is to be registered."""
        for certificate in self._certificates.get(client, ()):
            if certificate.state == "PENDING_ACTIVATION" and certificate.template:
                return certificate
        return None

    def _granted(self, client: str) -> Grants:
        grants = Grants()
        thing = self.thing(client)
        role: Client | None = self._records.get(CLIENT, client)
        states = self._states(client)
        grants.can_connect = self._can_connect(thing, role, states)
        if not grants.can_connect:
            return grants
        subjects = self._subjects(client, thing, role, states)
        values = list(self._values(thing)) if thing is not None else [{}]
        for policy in policies_of(self._records):
            if _is_meant(policy, subjects):
                side = grants.allowed if policy.effect == "allow" else grants.denied
                for topic in {made for each in policy.topics for made in _filled(each, values)}:
                    for verb in policy.verbs:
                        side[verb].add(topic)
        return grants

    def _states(self, client: str) -> set[str]:
        """The states of the certificates of this name, else of those of the thing that has the name."""
        known = self._certificates.get(client, ())
        return {each.state for each in known if each.common_name == client} or {each.state for each in known}

    def _can_connect(self, thing: Thing | None, role: Client | None, states: set[str]) -> bool:
        """Known, and of its certificates, if it has any, one still holds."""
        if thing is not None and (thing.state != "active" or thing.name in self._unconnected):
            return False
        if states:
            is_somebody = thing is not None or role is not None
            return is_somebody if "ACTIVE" in states else thing is None and "CLAIM" in states
        return thing is not None or role is not None

    def _subjects(
        self, client: str, thing: Thing | None, role: Client | None, states: set[str]
    ) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {"client": [client], "state": sorted(states), "role": []}
        if role is not None:
            found["role"].append(role.role)
        if "CLAIM" in states:
            found["role"].append("claim")
        if thing is not None:
            found |= {"thing": [thing.name], "type": [thing.type], "group": groups_of(self._records, thing)}
        return found

    def _values(self, thing: Thing) -> Iterator[dict[str, str]]:
        """What the placeholders stand for: once for each group, once for each thing it speaks for."""
        own = {"thing": thing.name, "type": thing.type, "site": thing.site}
        yield own
        for group in groups_of(self._records, thing):
            yield own | {"group": group}
        for member in self._behind.get(thing.name, ()):
            if member.state == "active" and member.site == thing.site:
                yield own | {"member": f"{member.type}/{member.name}", "member.thing": member.name}


def _is_meant(policy: Policy, subjects: dict[str, list[str]]) -> bool:
    for subject in policy.subjects:
        kind, _, pattern = subject.partition(":")
        if any(fnmatchcase(name, pattern) for name in subjects.get(kind, ())):
            return True
    return False


def _filled(topic: str, values: list[dict[str, str]]) -> Iterator[str]:
    for each in values:
        made = filled(topic, each)
        if made is not None:
            yield made


@dataclass(slots=True)
class Guard:
    """What a broker asks: decides by the records, and keeps an audit entry for each refusal.

    `clock` gives the time of the entries, in seconds; `tell` hears of each.
    """

    records: Records
    clock: Callable[[], float]
    log: AuditLog = field(default_factory=AuditLog)
    tell: Callable[[Entry], None] = lambda _: None
    unwritten: deque[Entry] = field(init=False, default_factory=lambda: deque(maxlen=MOST_ENTRIES))

    def __call__(self, client: str, verb: Verb, topic: str = "") -> bool:
        """Whether the client may do it."""
        is_allowed = may(self.records, client, verb, topic)
        if not is_allowed:
            entry = Entry(
                self.clock(), client, verb, topic[:LONGEST_TEXT], "refused", _REASONS[verb == "connect"]
            )
            self.log.add(entry)
            self.unwritten.append(entry)
            self.tell(entry)
        return is_allowed

    def write(self, transaction: Transaction) -> None:
        """Write the refusals since the last time into the journal."""
        while self.unwritten:
            audit(transaction, self.unwritten.popleft())


_REASONS: Final = ("no policy allows it", "unknown, disabled, or without a certificate that holds")
