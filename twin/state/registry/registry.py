"""Changing the registry: things, groups, relationships, policies and clients, each change audited."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final, TypeVar

import msgspec
from msgspec.structs import replace

from twin.message import Message
from twin.state.records import Record, Transaction
from twin.state.registry.audit import administered
from twin.state.registry.policies import CLIENT, POLICY, ROLES, Client, Policy, check_policy
from twin.state.registry.search import compiled
from twin.state.registry.things import (
    GROUP,
    RELATIONSHIP,
    THING,
    Group,
    RegistryError,
    Relationship,
    Thing,
    check_thing,
    check_word,
    unknown,
)

MOST_THINGS: Final = 1_000_000
LARGEST_BATCH: Final = 10_000
R = TypeVar("R", Group, Policy)
_GIVEN: Final = frozenset({"name", "created_s", "changed_s", "version", "due_s"})


@dataclass(frozen=True, slots=True)
class Registry:
    """Keeps things, groups, relationships, policies and clients; `by` is who asked, for the audit log.

    `types` are the device types that a thing may have; none given, any word will do.
    """

    types: frozenset[str] = frozenset()

    filters: ClassVar[tuple[str, ...]] = ()
    kinds: ClassVar[Mapping[str, type[Record]]] = {
        THING: Thing,
        GROUP: Group,
        RELATIONSHIP: Relationship,
        POLICY: Policy,
        CLIENT: Client,
    }

    def handle(self, message: Message, transaction: Transaction) -> None:
        """Nothing is asked of the registry by message."""

    def expire(self, kind: str, key: str, transaction: Transaction) -> None:
        """Nothing of the registry falls due."""

    # things ----------------------------------------------------------------------------------------------

    def register(self, thing: Thing, transaction: Transaction, *, by: str = "service") -> Thing:
        """Take a new thing in. Raises RegistryError: 400 for what cannot be kept, 409 if it is known."""
        self.check(thing)
        if transaction.records.get(THING, thing.name) is not None:
            raise RegistryError(409, f"thing {thing.name!r} is registered already")
        if len(transaction.records.of(THING)) >= MOST_THINGS:
            raise RegistryError(409, f"the registry is full: {MOST_THINGS} things")
        now_s = transaction.now_s
        kept = replace(thing, created_s=now_s, changed_s=now_s, version=1)
        transaction.put(THING, thing.name, kept)
        administered(transaction, by, "register", f"thing {thing.name}")
        return kept

    def register_all(
        self, things: Iterable[Thing], transaction: Transaction, *, by: str = "service"
    ) -> dict[str, str]:
        """Take many things in; those that cannot be are left out and named with the reason."""
        refused: dict[str, str] = {}
        for number, thing in enumerate(things):
            if number >= LARGEST_BATCH:
                raise RegistryError(400, f"at most {LARGEST_BATCH} things at once")
            try:
                self.register(thing, transaction, by=by)
            except RegistryError as error:
                refused[thing.name] = str(error)
        return refused

    def change(
        self,
        name: str,
        changes: Mapping[str, Any],
        transaction: Transaction,
        *,
        version: int | None = None,
        by: str = "service",
    ) -> Thing:
        """Give fields of a thing new values; attributes are merged, None removes one.

        Raises RegistryError: 404 if there is no such thing, 409 if it is not at `version`, 400 for a field
        that does not exist, is given by the registry or cannot be kept.
        """
        thing = self._existing(THING, name, transaction, version)
        for field_name in changes:
            if field_name in _GIVEN or field_name not in Thing.__struct_fields__:
                own = (each for each in Thing.__struct_fields__ if each not in _GIVEN)
                raise RegistryError(400, unknown("field", field_name, own))
        values = dict(changes)
        if isinstance(values.get("attributes"), Mapping):
            merged = {**thing.attributes, **values["attributes"]}
            values["attributes"] = {key: value for key, value in merged.items() if value is not None}
        stamped = {"version": thing.version + 1, "changed_s": transaction.now_s}
        try:
            changed = msgspec.convert({**msgspec.to_builtins(thing), **values, **stamped}, Thing)
        except msgspec.ValidationError as error:
            raise RegistryError(400, f"thing {name!r}: {error}") from error
        self.check(changed)
        transaction.put(THING, name, changed)
        administered(transaction, by, "change", f"thing {name}", ", ".join(sorted(changes)))
        return changed

    def remove(
        self, name: str, transaction: Transaction, *, version: int | None = None, by: str = "service"
    ) -> None:
        """Forget a thing and its relationships. Raises RegistryError: 404 or 409."""
        self._existing(THING, name, transaction, version)
        edges: dict[str, Relationship] = transaction.records.of(RELATIONSHIP)
        for key in [key for key, edge in edges.items() if name in (edge.source, edge.target)]:
            transaction.remove(RELATIONSHIP, key)
        transaction.remove(THING, name)
        administered(transaction, by, "remove", f"thing {name}")

    def check(self, thing: Thing) -> None:
        """Raise RegistryError 400 for a thing that cannot be kept."""
        check_thing(thing)
        if self.types and thing.type and thing.type not in self.types:
            raise RegistryError(400, f"thing {thing.name!r}: {unknown('type', thing.type, self.types)}")

    # groups, relationships, policies, clients ------------------------------------------------------------

    def put_group(
        self, group: Group, transaction: Transaction, *, version: int | None = None, by: str = "service"
    ) -> Group:
        """Make a group or change it. Raises RegistryError: 400 for a bad name, query or parent, 409."""
        check_word(group.name, "group")
        if group.query:
            compiled(group.query, None)
        self._check_parent(group, transaction)
        return self._put(GROUP, group, transaction, version, by)

    def _check_parent(self, group: Group, transaction: Transaction) -> None:
        groups: dict[str, Group] = transaction.records.of(GROUP)
        above = group.parent
        if above and above not in groups:
            raise RegistryError(400, unknown("group", above, groups))
        for _ in groups:
            if above == group.name:
                raise RegistryError(400, f"group {group.name!r} cannot stand below itself")
            above = groups[above].parent if above in groups else ""

    def relate(
        self, source: str, kind: str, target: str, transaction: Transaction, *, by: str = "service"
    ) -> None:
        """Draw an edge between two things. Raises RegistryError: 400, or 404 for one not registered."""
        check_word(kind, "relationship")
        if source == target:
            raise RegistryError(400, f"{source!r} cannot be related to itself")
        for name in (source, target):
            self._existing(THING, name, transaction, None)
        edge = Relationship(source=source, kind=kind, target=target, created_s=transaction.now_s)
        transaction.put(RELATIONSHIP, edge.key, edge)
        administered(transaction, by, "relate", edge.key)

    def put_policy(
        self, policy: Policy, transaction: Transaction, *, version: int | None = None, by: str = "service"
    ) -> Policy:
        """Make a policy or change it. Raises RegistryError: 400 or 409."""
        check_word(policy.name, "policy")
        check_policy(policy)
        return self._put(POLICY, policy, transaction, version, by)

    def put_client(self, client: Client, transaction: Transaction, *, by: str = "service") -> None:
        """Give a client that is no thing a role. Raises RegistryError 400 for an unknown role."""
        check_word(client.name, "client")
        if client.role not in ROLES:
            raise RegistryError(400, unknown("role", client.role, ROLES))
        transaction.put(CLIENT, client.name, replace(client, created_s=transaction.now_s))
        administered(transaction, by, "put", f"client {client.name}", client.role)

    def discard(
        self,
        kind: str,
        key: str,
        transaction: Transaction,
        *,
        version: int | None = None,
        by: str = "service",
    ) -> None:
        """Remove a group, relationship, policy or client. Raises RegistryError: 404 or 409."""
        self._existing(kind, key, transaction, version)
        transaction.remove(kind, key)
        administered(transaction, by, "remove", f"{kind} {key}")

    def _put(self, kind: str, record: R, transaction: Transaction, version: int | None, by: str) -> R:
        known = transaction.records.get(kind, record.name)
        if version is not None:
            self._existing(kind, record.name, transaction, version)
        if known is not None:
            record = replace(record, version=known.version + 1)
        if isinstance(record, Group):
            created_s = transaction.now_s if known is None else known.created_s
            record = replace(record, created_s=created_s)
        transaction.put(kind, record.name, record)
        administered(transaction, by, "put", f"{kind} {record.name}")
        return record

    def _existing(self, kind: str, key: str, transaction: Transaction, version: int | None) -> Any:
        record = transaction.records.get(kind, key)
        if record is None:
            raise RegistryError(404, unknown(kind, key, transaction.records.of(kind)))
        if version is not None and getattr(record, "version", version) != version:
            raise RegistryError(409, f"{kind} {key!r} is at version {record.version}, not {version}")
        return record
