"""The component that keeps the shadows: a request comes in on a topic or as a call, documents go out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec.structs import replace

from twin.message import Message
from twin.state.records import Record, Records, Transaction, Tree
from twin.state.shadow.document import SHADOW, TOMBSTONE, Shadow, Tombstone
from twin.state.shadow.extensions import Endings, check_condition, is_plain
from twin.state.shadow.requests import (
    RejectedError,
    Request,
    check_names,
    key_of,
    mark_of,
    problem_of,
    read_token,
    read_topic,
    read_update,
    signed,
    token_or_none,
    topic_of,
)
from twin.state.shadow.settings import Schema, ShadowSettings
from twin.state.shadow.trees import Stamp, read_pointer

if TYPE_CHECKING:
    from twin.state.quality import MaxAges

FILTERS: Final = tuple(
    f"$aws/things/+/shadow/{name}{verb}" for name in ("", "name/+/") for verb in ("update", "get", "delete")
)
_encode = msgspec.json.Encoder().encode
UNWRITTEN: Final = Shadow()
NO_DELTA: Final[tuple[Tree, Tree]] = ({}, {})
SIZES_REMEMBERED: Final = 65_536
DOCUMENTS_REMEMBERED: Final = 20_000
KINDS: Final[Mapping[str, type[Record]]] = {SHADOW: Shadow, TOMBSTONE: Tombstone}


@dataclass(frozen=True, slots=True)
class Shadows:
    """Keeps a classic shadow and named shadows for each thing; records "shadow" by thing or thing/name.

    Observes `shadow_rejected` with the code of each refused request, `shadow_delta_open` with the seconds
    for which a delta stood when it empties, and `shadow_desired_ended` with the number of desired values
    that ended by time, report or local change.
    """

    settings: ShadowSettings = field(default_factory=ShadowSettings)
    schema: Schema | None = None
    ages: MaxAges | None = None
    _is_plain: bool = field(init=False, repr=False, compare=False)
    _sizes: dict[str, tuple[Shadow, int]] = field(
        init=False, repr=False, compare=False, default_factory=dict
    )  # bytes that a state has at most; no state itself, as below
    _documents: dict[str, tuple[Shadow, msgspec.Raw]] = field(
        init=False, repr=False, compare=False, default_factory=dict
    )  # no state: what it holds follows from the records, which are immutable

    def __post_init__(self) -> None:
        object.__setattr__(self, "_is_plain", is_plain(self.settings, self.schema))

    @property
    def filters(self) -> Sequence[str]:
        """The request topics; answers and events are none of them, so the service never answers itself."""
        return FILTERS

    @property
    def kinds(self) -> Mapping[str, type[Record]]:
        """Shadows and what remains of deleted ones."""
        return KINDS

    def handle(self, message: Message, transaction: Transaction) -> None:
        """Answer a request on its topic with accepted or rejected."""
        topic = message.topic
        thing, name, verb = topic[12:-14], "", "update"
        if topic[-14:] != "/shadow/update" or "/" in thing or topic[:12] != "$aws/things/":  # as most are not
            address = read_topic(topic)
            if address is None:
                return
            thing, name, verb = address
        try:
            if verb == "update":
                self._update(thing, name, read_update(message.payload, self.settings), transaction)
            elif verb == "get":
                document = self.get(thing, name, message.payload, transaction)
                transaction.publish(f"{message.topic}/accepted", document)
            else:
                self.delete(thing, name, message.payload, transaction)
        except RejectedError as error:
            self._reject(message.topic, error, transaction)

    def refuse(self, message: Message, transaction: Transaction) -> None:
        """Answer 429 in place of `handle`: the host has too many requests of the thing in flight."""
        if read_topic(message.topic) is not None:
            token = token_or_none(message.payload, self.settings)
            self._reject(message.topic, RejectedError(429, "Too many requests in flight", token), transaction)

    def update(
        self, thing: str, name: str, payload: bytes, transaction: Transaction, *, by: str = ""
    ) -> Tree:
        """Merge a request; return the accepted document, which is published with delta and documents.

        `by` is the kind of writer, if it is known: device, cloud, rules, operator. Raise RejectedError if the
        request is refused; nothing is changed or published then.
        """
        return _tree(self._update(thing, name, read_update(payload, self.settings), transaction, by))

    def get(self, thing: str, name: str, payload: bytes, transaction: Transaction) -> Tree:
        """The whole document with its delta; raise RejectedError if there is none."""
        token = read_token(payload, self.settings)
        shadow = self._existing(thing, name, transaction.records, token)
        document = self._numbered(shadow.document(), shadow)
        delta, _ = shadow.delta()
        if delta:
            document["state"] = {**document["state"], "delta": delta}
        if self.settings.has_extensions:
            document |= self.worth(thing, name, transaction)
        return signed(document, int(transaction.now_s), token)

    def worth(self, thing: str, name: str, transaction: Transaction, *, has_broker: bool = True) -> Tree:
        """The state of the twin, and age and quality of each value; empty without the shadow."""
        from twin.state.quality import Standing, worth  # it knows the records of this package

        records = transaction.records
        shadow: Shadow | None = records.get(SHADOW, key_of(thing, name))
        standing = Standing(has_broker=has_broker, types=self.ages)
        return {} if shadow is None else worth(thing, shadow, records, transaction.now_s, standing)

    def delete(self, thing: str, name: str, payload: bytes, transaction: Transaction) -> Tree:
        """Delete the shadow; return the accepted document with its version, which is published.

        The numbering goes on: the deletion takes one number. Raise RejectedError if there is no shadow.
        """
        token = token_or_none(payload, self.settings)
        shadow = self._existing(thing, name, transaction.records, token)
        key = key_of(thing, name)
        transaction.remove(SHADOW, key)
        stones = transaction.records.of(TOMBSTONE)
        if len(stones) >= self.settings.shadow_limit:
            transaction.remove(TOMBSTONE, next(iter(stones)))
        due_s = transaction.now_s + self.settings.tombstone_s
        transaction.put(TOMBSTONE, key, Tombstone(version=shadow.version + 1, due_s=due_s))
        accepted = signed({"version": shadow.version}, int(transaction.now_s), token)
        transaction.publish(f"{topic_of(thing, name)}/delete/accepted", accepted)
        return accepted

    def desire(
        self,
        thing: str,
        values: Mapping[str, Any],
        transaction: Transaction,
        *,
        expires_s: float | None = None,
        name: str = "",
        by: str = "",
    ) -> Tree:
        """Set desired values of a thing, for `expires_s` seconds or for ever; as `update` otherwise."""
        payload = msgspec.json.encode({"state": {"desired": values}})
        request = replace(read_update(payload, self.settings), expires_s=expires_s)
        return _tree(self._update(thing, name, request, transaction, by))

    def names(self, thing: str, records: Records) -> list[str]:
        """The named shadows of a thing in order; the classic one has no name and is not listed."""
        above = f"{thing}/"
        return sorted(key.removeprefix(above) for key in records.of(SHADOW) if key.startswith(above))

    def expire(self, kind: str, key: str, transaction: Transaction) -> None:
        """Remove the desired values whose time is over, or forget a deleted shadow."""
        if kind == TOMBSTONE:
            transaction.remove(TOMBSTONE, key)
            return
        before: Shadow = transaction.records.get(SHADOW, key)
        now_s = transaction.now_s
        over = [text for text, due_s in before.expiries.items() if due_s <= now_s]
        after = before.without_desired([read_pointer(text) for text in over])
        expiries = {text: due_s for text, due_s in before.expiries.items() if due_s > now_s}
        after = replace(
            after,
            version=before.version + 1,
            desired_version=before.desired_version + 1,
            expiries=expiries,
            due_s=min(expiries.values(), default=math.inf),
        )
        thing, _, name = key.partition("/")
        self._keep(key, topic_of(thing, name), before, after, None, transaction)
        transaction.observe("shadow_desired_ended", len(over))

    # one update --------------------------------------------------------------------------------------

    def _update(
        self, thing: str, name: str, request: Request, transaction: Transaction, by: str = ""
    ) -> bytes:
        """Merge a request; return the accepted document."""
        now_s, records, token = float(transaction.now_s), transaction.records, request.token
        timestamp, settings = int(now_s), self.settings
        key = f"{thing}/{name}" if name else thing
        before: Shadow | None = records.get(SHADOW, key)
        stamp: Stamp = now_s if request.event_s is None else [now_s, request.event_s]
        asked = request
        if self.schema is not None:
            request = self._protected(self.schema, thing, request, records)
        try:
            after, metadata = (before or UNWRITTEN).updated(
                request.state, stamp, mark_of(timestamp), settings.depth_limit
            )
        except ValueError as error:
            raise RejectedError(400, problem_of(error, settings.depth_limit), token) from None
        base = before
        if base is None:
            base = self._fresh(thing, name, records, token)
            after = replace(after, version=base.version + 1)
        if request.version is not None and request.version != base.version:
            raise RejectedError(409, "Version conflict", token)
        if request.condition is not None:
            check_condition(request, before)
        if self.schema is not None:
            self._check_schema(self.schema, thing, asked, records, by)
        ended = 0
        if not self._is_plain or request.expires_s is not None or base.expiries:
            endings = Endings(settings, self.schema, thing, records)
            after, ended = endings.apply(base, after, request, now_s)
        document = self._numbered({"state": request.state, "metadata": metadata}, after)
        accepted = _encode(signed(document, timestamp, token))
        if not after.is_all_of(request.state, stamp) or len(accepted) > settings.state_limit_bytes:
            self._check_size(key, before, after, len(accepted), token)
        topic = topic_of(thing, name)
        transaction.publish(f"{topic}/update/accepted", accepted)
        self._keep(key, topic, before, after, token, transaction)
        if ended:
            transaction.observe("shadow_desired_ended", ended)
        return accepted

    def _check_size(
        self, key: str, before: Shadow | None, after: Shadow, growth_bytes: int, token: str | None
    ) -> None:
        """Raise RejectedError for a state that is too long; one that cannot be is not measured."""
        limit_bytes, known = self.settings.state_limit_bytes, self._sizes.get(key)
        at_most_bytes = growth_bytes
        if known is not None and known[0] is before:
            at_most_bytes += known[1]
        elif before is not None:
            at_most_bytes = limit_bytes + 1
        if at_most_bytes > limit_bytes:
            at_most_bytes = after.state_bytes()
            if at_most_bytes > limit_bytes:
                raise RejectedError(413, "The payload exceeds the maximum size allowed", token)
        if len(self._sizes) >= SIZES_REMEMBERED:
            self._sizes.clear()
        self._sizes[key] = (after, at_most_bytes)

    def _fresh(self, thing: str, name: str, records: Records, token: str | None) -> Shadow:
        """The shadow that an update creates: its numbering goes on from a deleted one."""
        check_names(thing, name, token)
        if len(records.of(SHADOW)) >= self.settings.shadow_limit:
            raise RejectedError(429, "Too many shadows", token)
        stone: Tombstone | None = records.get(TOMBSTONE, key_of(thing, name))
        return Shadow() if stone is None else Shadow(version=stone.version)

    def _protected(self, schema: Schema, thing: str, request: Request, records: Records) -> Request:
        """The request as it may be kept."""
        state = request.state or {}
        reported = state.get("reported")
        if not reported:
            return request
        kept = schema.protected(thing, reported, records)
        return request if kept is reported else replace(request, state={**state, "reported": kept})

    def _check_schema(self, schema: Schema, thing: str, request: Request, records: Records, by: str) -> None:
        for section, changes in (request.state or {}).items():
            problem = schema.problem(thing, section, changes, records) if changes else ""
            if changes and by and section == "desired" and not problem:
                problem = schema.writer_problem(thing, changes, by, records)
            if problem:
                raise RejectedError(400, problem, request.token)

    def _keep(
        self,
        key: str,
        topic: str,
        before: Shadow | None,
        after: Shadow,
        token: str | None,
        transaction: Transaction,
    ) -> None:
        """Keep the shadow, and tell of the whole outstanding delta and of the documents."""
        timestamp = int(transaction.now_s)
        delta, metadata = after.delta() if after.state.desired else NO_DELTA
        since_s = after.delta_since_s
        if delta and since_s is None:
            after = replace(after, delta_since_s=float(transaction.now_s))
        elif not delta and since_s is not None:
            after = replace(after, delta_since_s=None)
            transaction.observe("shadow_delta_open", transaction.now_s - since_s)
        transaction.put(SHADOW, key, after)
        if before is None and transaction.records.get(TOMBSTONE, key) is not None:
            transaction.remove(TOMBSTONE, key)
        if delta:
            outstanding = self._numbered({"state": delta, "metadata": metadata}, after)
            transaction.publish(f"{topic}/update/delta", signed(outstanding, timestamp, token))
        if self.settings.has_documents:
            documents: Tree = {} if before is None else {"previous": self._encoded(key, before)}
            documents["current"] = self._encoded(key, after)
            transaction.publish(f"{topic}/update/documents", signed(documents, timestamp, token))

    def _encoded(self, key: str, shadow: Shadow) -> msgspec.Raw:
        """The document of a shadow as JSON; that of the last update is the previous one of the next."""
        known = self._documents.get(key)
        if known is not None and known[0] is shadow:
            return known[1]
        raw = msgspec.Raw(_encode(self._numbered(shadow.document(), shadow)))
        if len(self._documents) >= DOCUMENTS_REMEMBERED:
            self._documents.clear()
        self._documents[key] = (shadow, raw)
        return raw

    def _numbered(self, document: Tree, shadow: Shadow) -> Tree:
        """The document with its version, and with those of the sections if extensions are on."""
        document["version"] = shadow.version
        if self.settings.has_extensions:
            document["versions"] = {"desired": shadow.desired_version, "reported": shadow.reported_version}
        return document

    def _existing(self, thing: str, name: str, records: Records, token: str | None) -> Shadow:
        shadow: Shadow | None = records.get(SHADOW, key_of(thing, name))
        if shadow is None:
            check_names(thing, name, token)
            raise RejectedError(404, f"No shadow exists with name: '{name or thing}'", token)
        return shadow

    def _reject(self, topic: str, error: RejectedError, transaction: Transaction) -> None:
        transaction.publish(f"{topic}/rejected", error.document(int(transaction.now_s)))
        transaction.observe("shadow_rejected", error.code)


def _tree(document: bytes) -> Tree:
    """A document that was encoded, for whoever asked by a call."""
    tree: Tree = msgspec.json.decode(document)
    return tree


@dataclass(slots=True)
class InFlight:
    """Counts the requests of each thing that were taken and not answered yet, for a host that queues them."""

    limit: int = 10

    counts: dict[str, int] = field(init=False, default_factory=dict)

    def begin(self, topic: str) -> bool:
        """Count a request in; False if there are too many, and then it is to be refused."""
        address = read_topic(topic)
        if address is None:
            return True
        count = self.counts.get(address.thing, 0)
        if count >= self.limit:
            return False
        self.counts[address.thing] = count + 1
        return True

    def end(self, topic: str) -> None:
        """Count an answered request out, once for each that was counted in."""
        address = read_topic(topic)
        if address is None:
            return
        count = self.counts.get(address.thing, 0)
        if count > 1:
            self.counts[address.thing] = count - 1
        else:
            self.counts.pop(address.thing, None)
