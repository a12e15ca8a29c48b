"""Telemetry, reports and events: the latest values of each thing, checked against its type.

A payload is a JSON object with `ts` (the device's clock, milliseconds) and, if the device counts, `seq`; or
a list of such objects. One that cannot be used is set aside: counted, and noted in the journal with the
reason. Values that the type calls personal are masked or dropped before anything is kept.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, Literal, NamedTuple

import msgspec
from msgspec.structs import replace

from twin.message import Message
from twin.state.nesting import is_deep
from twin.state.records import Record, Transaction, Tree
from twin.state.registry.things import THING, Thing
from twin.state.types.model import ThingModel, Types

TELEMETRY: Final = "telemetry"
SET_ASIDE: Final = "set_aside"
GATEWAY: Final = "gateway"
LARGEST_PAYLOAD_BYTES: Final = 131_072
LARGEST_BATCH: Final = 1_000
DEEPEST: Final = 32
MOST_FIELDS: Final = 200
MOST_STRANGERS: Final = 10_000
"""So many things without a registry record are kept values of."""
SHOWN_BYTES: Final = 400
NOTES_PER_WINDOW: Final = 10
NOTE_WINDOW_S: Final = 60.0
STRANGERS: Final = "(unregistered)"
WINDOW_BITS: Final = 64
RESTART_GAP: Final = 1_000
LATEST_S: Final = 4e12
"""A later time (year 128,000 or so) is a mistake."""


class Value(NamedTuple):
    """A value, when it was measured (the device's clock if it said so) and when it arrived, in seconds."""

    value: Any
    event_s: float
    received_s: float


class Telemetry(Record, frozen=True):
    """The latest values of a thing by name, and how complete its messages were.

    `seen` has a bit for each of the last 64 sequence numbers up to `seq`. `missing_count` are those that
    have not come (yet), `duplicate_count` those that came again.
    """

    values: dict[str, Value]
    seq: int = -1
    seen: int = 0
    latest_s: float = 0.0
    message_count: int = 0
    missing_count: int = 0
    duplicate_count: int = 0


NOTHING: Final = Telemetry(values={})


class SetAside(Record, frozen=True):
    """How many payloads of a thing were set aside, and how many were noted since `since_s`."""

    count: int
    since_s: float
    noted_count: int


class Source(NamedTuple):
    """Where a message comes from: the site, type and thing of its topic.

    `event` names an event. `is_summary` is a gateway's about several things of the type.
    """

    site: str
    type: str
    thing: str
    event: str
    is_summary: bool = False

    def problem(self, said: Tree, model: ThingModel | None) -> str:
        """Why this is not what a thing of the type says, or ''."""
        if model is None or self.is_summary:
            return ""
        return model.event_problem(self.event, said) if self.event else model.report_problem(said)

    def named(self, said: Tree, model: ThingModel | None) -> Tree:
        """What is kept of it: properties by name, an event or summary whole, nothing personal."""
        if model is not None:
            said = model.protected(said, self.event)
        if self.is_summary:
            return {f"summary/{self.type}": said}
        return {f"event/{self.event}": said} if self.event else said


@dataclass(frozen=True, slots=True)
class TelemetryKeeper:
    """Keeps the latest values of all things. `unknown` says what happens to things nobody registered."""

    types: Types = field(default_factory=dict)
    unknown: Literal["accept", "set_aside"] = "accept"

    filters: ClassVar[tuple[str, ...]] = ("site/+/+/+/telemetry", "site/+/+/+/report", "site/+/+/+/event/+")
    kinds: ClassVar[Mapping[str, type[Record]]] = {TELEMETRY: Telemetry, SET_ASIDE: SetAside}

    def handle(self, message: Message, transaction: Transaction) -> None:
        """Keep what the message says, or set it aside."""
        levels = message.topic.split("/")
        thing: Thing | None = transaction.records.get(THING, levels[3])
        event = levels[5] if len(levels) == 6 else ""
        is_summary = thing is not None and thing.type == GATEWAY and levels[2] != GATEWAY
        source = Source(levels[1], levels[2], levels[3], event, is_summary)
        model = self.types.get(source.type)
        reason = self._refusal(source, thing, transaction)
        fields, unreadable = _decoded(message.payload)
        if not reason:
            reason = unreadable or self._keep(fields, source, model, transaction)
        if reason:
            _set_aside(source.thing if thing is not None else STRANGERS, message, reason, model, transaction)

    def expire(self, kind: str, key: str, transaction: Transaction) -> None:
        """Values do not end; they grow old."""

    def _refusal(self, source: Source, thing: Thing | None, transaction: Transaction) -> str:
        """Why the sender is not believed, or ''."""
        if thing is not None:
            if thing.type not in ("", GATEWAY, source.type):
                return f"{source.thing} is registered with the type {thing.type!r}"
            if thing.site not in ("", source.site):
                return f"{source.thing} is registered at the site {thing.site!r}"
            return "" if thing.state != "retired" else f"{source.thing} is retired"
        if self.unknown == "set_aside":
            return f"{source.thing} is not registered"
        known = transaction.records.of(TELEMETRY)
        if len(known) >= MOST_STRANGERS and source.thing not in known:
            return f"values of {MOST_STRANGERS} unregistered things are kept already"
        return ""

    def _keep(
        self, readings: list[Tree], source: Source, model: ThingModel | None, transaction: Transaction
    ) -> str:
        """Keep the readings of one payload, all or none; '' or what is wrong with them."""
        account = Account(transaction.records.get(TELEMETRY, source.thing))
        for fields in readings:
            problem, event_s = _time_of(fields, transaction.now_s)
            said = {name: value for name, value in fields.items() if name not in ("ts", "seq")}
            problem = problem or _number_problem(fields.get("seq")) or source.problem(said, model)
            if problem:
                return problem
            if account.is_new(fields.get("seq"), event_s if "ts" in fields else None):
                _take(account.values, source.named(said, model), event_s, transaction.now_s)
        if len(account.values) > MOST_FIELDS:
            return f"a thing has at most {MOST_FIELDS} values"
        transaction.put(TELEMETRY, source.thing, account.record())
        return ""


class Account:
    """The values of a thing and the completeness of its messages, while one payload is read."""

    __slots__ = ("duplicates", "latest_s", "messages", "missing", "seen", "seq", "values")

    def __init__(self, before: Telemetry | None) -> None:
        known = NOTHING if before is None else before
        self.values = dict(known.values)
        self.seq, self.seen, self.latest_s = known.seq, known.seen, known.latest_s
        self.messages, self.missing = known.message_count, known.missing_count
        self.duplicates = known.duplicate_count

    def is_new(self, seq: int | None, event_s: float | None) -> bool:
        """Count one more message; tell whether it says anything new.

        A number that was passed already belongs to a device that started anew, if its clock says that it
        is later than all before; without a clock, if it lies far back.
        """
        self.messages += 1
        latest_s = self.latest_s
        if event_s is not None and event_s > latest_s:
            self.latest_s = event_s
        if seq is None:
            return True
        step = seq - self.seq
        is_restarted = step < -RESTART_GAP if event_s is None else step <= 0 and event_s > latest_s
        if self.seq < 0 or is_restarted:
            self.seq, self.seen = seq, 1
        elif step > 0:
            self.seen = ((self.seen << step) | 1) & (2**WINDOW_BITS - 1) if step < WINDOW_BITS else 1
            self.seq, self.missing = seq, self.missing + step - 1
        else:
            bit = 1 << -step if -step < WINDOW_BITS else 0
            if not bit or self.seen & bit:
                self.duplicates += 1
                return False
            self.seen, self.missing = self.seen | bit, max(0, self.missing - 1)
        return True

    def record(self) -> Telemetry:
        """What is kept."""
        return Telemetry(
            values=self.values,
            seq=self.seq,
            seen=self.seen,
            latest_s=self.latest_s,
            message_count=self.messages,
            missing_count=self.missing,
            duplicate_count=self.duplicates,
        )


def _take(values: dict[str, Value], said: Tree, event_s: float, now_s: float) -> None:
    """Let newer values take the place of older ones."""
    for name, value in said.items():
        known = values.get(name)
        if known is None or known.event_s <= event_s:
            values[name] = Value(value, event_s, now_s)


def _decoded(payload: bytes) -> tuple[list[Tree], str]:
    """The readings of a payload, and '' or why there are none."""
    if len(payload) > LARGEST_PAYLOAD_BYTES:
        return [], f"{len(payload)} bytes; at most {LARGEST_PAYLOAD_BYTES} are read"
    try:
        found = msgspec.json.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return [], f"not JSON: {type(error).__name__}"
    if payload.count(b"[") + payload.count(b"{") > DEEPEST and is_deep(found, DEEPEST):
        return [], f"nested deeper than {DEEPEST} levels"
    readings = found if isinstance(found, list) else [found]
    if not all(isinstance(each, dict) for each in readings) or not readings:
        return [], "neither a JSON object nor a list of them"
    if len(readings) > LARGEST_BATCH:
        return [], f"{len(readings)} readings; at most {LARGEST_BATCH} come at once"
    return readings, ""


def _time_of(fields: Tree, now_s: float) -> tuple[str, float]:
    """'' or what is wrong with `ts`, and when the reading was made (seconds)."""
    stamp = fields.get("ts")
    if stamp is None:
        return "", now_s
    if isinstance(stamp, bool) or not isinstance(stamp, int | float):
        return "ts is no number of milliseconds", now_s
    if not 0 <= stamp < LATEST_S * 1000.0:
        return "ts lies outside all times", now_s
    return "", stamp / 1000.0


def _number_problem(seq: Any) -> str:
    """'' or what is wrong with `seq`."""
    is_number = isinstance(seq, int) and not isinstance(seq, bool) and 0 <= seq < 2**63
    return "" if seq is None or is_number else "seq is no whole number from 0"


def _set_aside(
    key: str, message: Message, reason: str, model: ThingModel | None, transaction: Transaction
) -> None:
    """Count it, and note it with its reason, at most ten a minute of each thing."""
    before: SetAside | None = transaction.records.get(SET_ASIDE, key)
    now_s = transaction.now_s
    if before is None:
        before = SetAside(count=0, since_s=now_s, noted_count=0)
    if now_s - before.since_s >= NOTE_WINDOW_S:
        before = replace(before, since_s=now_s, noted_count=0)
    is_noted = before.noted_count < NOTES_PER_WINDOW
    after = replace(before, count=before.count + 1, noted_count=before.noted_count + is_noted)
    transaction.put(SET_ASIDE, key, after)
    transaction.observe(SET_ASIDE)
    if is_noted:
        payload = _shown(message.payload, model)
        transaction.note(SET_ASIDE, key, {"topic": message.topic, "reason": reason, "payload": payload})


def _shown(payload: bytes, model: ThingModel | None) -> str:
    """The beginning of a payload; only its length if it may hold personal values."""
    if model is not None and model.has_personal_data:
        return f"({len(payload)} bytes, which may hold personal data)"
    return payload[:SHOWN_BYTES].decode("utf-8", "replace")


def is_stale(model: ThingModel | None, name: str, value: Value, now_s: float) -> bool:
    """Whether the value is older than its type allows."""
    known = None if model is None else model.properties.get(name)
    return known is not None and known.max_age_s != math.inf and now_s - value.event_s > known.max_age_s
