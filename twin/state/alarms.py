"""Alarms: at most one active a thing and type, with severity, acknowledgement and end.

    active, unacknowledged --acknowledge--> active, acknowledged
            |  ^                                  |
          clear  `-- raised again: a new alarm  clear
            v                                     v
    cleared, unacknowledged --acknowledge--> cleared, acknowledged

An alarm that stands is raised again without a second one: it counts. What rule engines elsewhere tell comes
late and twice: an event older than the last one applied changes nothing, nor does one of an older session.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Literal, TypeAlias, get_args

import msgspec
from msgspec.structs import replace

from twin.errors import RefusedError
from twin.message import Message
from twin.state import sessions
from twin.state.nesting import DEEPEST, is_deep
from twin.state.records import Record, Records, Transaction, Tree

KIND: Final = "alarm"
TALLY: Final = "alarm_tally"
WATCH: Final = "inactivity_watch"
INACTIVITY: Final = "inactivity"
ACTIVE_LIMIT: Final = 100_000
KEPT_LIMIT: Final = 200_000
DETAILS_LIMIT_BYTES: Final = 8_192
NAME: Final = re.compile(r"[A-Za-z0-9:_.$ -]{1,128}")

Severity: TypeAlias = Literal["critical", "major", "minor", "warning", "indeterminate"]
SEVERITIES: Final[tuple[Severity, ...]] = get_args(Severity)
"""The worst first."""


class Alarm(Record, frozen=True):
    """The last alarm of a type at a thing; times in seconds. `event_s` and `session` are of the last event.

    One that was never raised (`count` 0) only remembers that its end came before its beginning.
    """

    id: str
    thing: str
    type: str
    severity: Severity
    text: str = ""
    details: Tree = msgspec.field(default_factory=dict)
    is_active: bool = True
    is_acknowledged: bool = False
    count: int = 1
    number: int = 1
    raised_s: float = 0.0
    last_s: float = 0.0
    cleared_s: float | None = None
    acknowledged_s: float | None = None
    acknowledged_by: str = ""
    note: str = ""
    event_s: float = 0.0
    session: int = 0

    @property
    def state(self) -> str:
        """One of the four states, such as "active, unacknowledged"."""
        first = "active" if self.is_active else "cleared"
        return f"{first}, {'acknowledged' if self.is_acknowledged else 'unacknowledged'}"

    def document(self) -> Tree:
        """The alarm as it is published."""
        hidden = {"due_s", "event_s", "session", "number"}
        fields = {name: getattr(self, name) for name in self.__struct_fields__ if name not in hidden}
        return {**fields, "state": self.state}


class Tally(Record, frozen=True):
    """How many alarms are active."""

    active_count: int = 0


class Watch(Record, frozen=True):
    """A thing that must be heard of at least every `within_s`; it was last at `last_s` (seconds)."""

    thing: str
    within_s: float
    severity: Severity
    last_s: float


class _Told(msgspec.Struct, frozen=True):
    """What a rule engine elsewhere says: `ts` is its clock in milliseconds."""

    severity: Severity
    text: str = ""
    type: str = "rule"
    thing: str = ""
    cleared: bool = False
    details: Tree = msgspec.field(default_factory=dict)
    ts: float | None = None
    session: int = 0


@dataclass(frozen=True, slots=True)
class Alarms:
    """Raises, counts, acknowledges and clears alarms, and publishes each retained on `alarms/{thing}/{type}`.

    Observes `alarm_raised`, `alarm_cleared`, `alarm_active` (how many stand after each change),
    `alarm_late` for events that came too late, and `alarm_refused`.
    """

    filters: ClassVar[Sequence[str]] = (
        "rule/alarm",
        "site/+/rule/alarm",
        "site/+/+/+/telemetry",
        "site/+/+/+/event/+",
        "site/+/+/+/report",
        *sessions.FILTERS,
    )
    kinds: ClassVar[Mapping[str, type[Record]]] = {KIND: Alarm, TALLY: Tally, WATCH: Watch}
    measures: ClassVar[tuple[str, ...]] = (
        "alarm_raised",
        "alarm_cleared",
        "alarm_active",
        "alarm_late",
        "alarm_refused",
    )

    active_limit: int = ACTIVE_LIMIT
    kept_limit: int = KEPT_LIMIT

    def handle(self, message: Message, transaction: Transaction) -> None:
        """Take what a rule engine says, and signs of life of the things that are watched."""
        if message.topic.endswith("rule/alarm"):
            self._told(message, transaction)
            return
        levels = message.topic.split("/")
        thing = levels[-2] if levels[-1] == "session" else levels[3]
        is_death = levels[-1] == "session" and b"false" in message.payload
        if not is_death and not message.retain:
            self.heard(thing, transaction)

    def expire(self, kind: str, key: str, transaction: Transaction) -> None:
        """A watched thing was silent for too long."""
        watch: Watch = transaction.records.get(kind, key)
        transaction.put(WATCH, key, replace(watch, due_s=math.inf))
        text = f"nothing heard for {watch.within_s:g} s"
        self._raise_or_refuse(watch.thing, INACTIVITY, watch.severity, text, transaction)

    # what is asked of it ---------------------------------------------------------------------------------

    def raise_alarm(
        self,
        thing: str,
        type: str,  # noqa: A002  the word of the glossary
        severity: Severity,
        text: str,
        transaction: Transaction,
        details: Tree | None = None,
        *,
        event_s: float | None = None,
        session: int = 0,
    ) -> Alarm | None:
        """Raise an alarm, or count one that stands; None if the event came too late.

        `event_s` and `session` are given for what another machine tells; without them it happens now.
        Raises RefusedError for a bad name or severity (400) and when too many are active (429).
        """
        _check(thing, type, severity, details)
        known: Alarm | None = transaction.records.get(KIND, f"{thing}/{type}")
        if _is_late(known, event_s, session, is_raised=True):
            transaction.observe("alarm_late")
            return None
        seen = _seen(known, event_s, session, transaction.now_s)
        if known is not None and known.is_active:
            alarm = replace(
                known,
                severity=severity,
                text=text,
                details=known.details if details is None else details,
                count=known.count + 1,
                last_s=transaction.now_s,
                **seen,
            )
        else:
            alarm = self._new(thing, type, severity, text, details or {}, known, transaction)
            alarm = replace(alarm, **seen)
        self._keep(alarm, transaction)
        return alarm

    def clear(
        self,
        thing: str,
        type: str,  # noqa: A002
        transaction: Transaction,
        *,
        event_s: float | None = None,
        session: int = 0,
    ) -> Alarm | None:
        """End an alarm; None if none is active or the event came too late."""
        known: Alarm | None = transaction.records.get(KIND, f"{thing}/{type}")
        if _is_late(known, event_s, session, is_raised=False):
            transaction.observe("alarm_late")
            return None
        seen = _seen(known, event_s, session, transaction.now_s)
        if known is None or not known.is_active:
            if event_s is not None:
                self._remember_end(thing, type, known, seen, transaction)
            return None
        alarm = replace(known, is_active=False, cleared_s=transaction.now_s, **seen)
        transaction.observe("alarm_cleared")
        self._count(-1, transaction)
        self._keep(alarm, transaction)
        return alarm

    def acknowledge(
        self,
        thing: str,
        type: str,  # noqa: A002
        by: str,
        transaction: Transaction,
        note: str = "",
    ) -> Alarm:
        """Say who has seen it; a second time changes nothing. Raises RefusedError (404) if there is none."""
        known: Alarm | None = transaction.records.get(KIND, f"{thing}/{type}")
        if known is None or known.count == 0:
            raise RefusedError(404, f"no alarm of type {type!r} at {thing!r}")
        if known.is_acknowledged:
            return known
        alarm = replace(
            known, is_acknowledged=True, acknowledged_s=transaction.now_s, acknowledged_by=by, note=note
        )
        self._keep(alarm, transaction)
        return alarm

    def watch(
        self, thing: str, within_s: float, transaction: Transaction, severity: Severity = "warning"
    ) -> None:
        """Raise an alarm of type "inactivity" whenever nothing is heard of the thing for `within_s`."""
        _check(thing, INACTIVITY, severity, None)
        if not within_s > 0:
            raise RefusedError(400, "the time after which a thing counts as silent must be above 0 s")
        now_s = transaction.now_s
        watch = Watch(thing=thing, within_s=within_s, severity=severity, last_s=now_s, due_s=now_s + within_s)
        transaction.put(WATCH, thing, watch)

    def unwatch(self, thing: str, transaction: Transaction) -> None:
        """Watch no longer, and end the alarm."""
        if transaction.records.get(WATCH, thing) is not None:
            transaction.remove(WATCH, thing)
            self.clear(thing, INACTIVITY, transaction)

    def heard(self, thing: str, transaction: Transaction) -> None:
        """A sign of life, dated when it came: the clock of a silent thing is not to be trusted.

        The alarm follows from the watch and the time alone, and both change in one transaction: a sign
        of life and a deadline that meet cannot leave the one without the other.
        """
        watch: Watch | None = transaction.records.get(WATCH, thing)
        if watch is None:
            return
        now_s = transaction.now_s
        transaction.put(WATCH, thing, replace(watch, last_s=now_s, due_s=now_s + watch.within_s))
        if (alarm := transaction.records.get(KIND, f"{thing}/{INACTIVITY}")) and alarm.is_active:
            self.clear(thing, INACTIVITY, transaction)

    # inside ----------------------------------------------------------------------------------------------

    def _told(self, message: Message, transaction: Transaction) -> None:
        try:
            told = msgspec.json.decode(message.payload, type=_Told)
        except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError, RecursionError) as error:
            self._refused(message.topic, str(error), transaction)
            return
        levels = message.topic.split("/")
        thing = told.thing or (levels[1] if levels[0] == "site" else "rules")
        event_s = None if told.ts is None else told.ts / 1000.0
        try:
            if told.cleared:
                _check(thing, told.type, told.severity, None)
                self.clear(thing, told.type, transaction, event_s=event_s, session=told.session)
            else:
                self.raise_alarm(
                    thing,
                    told.type,
                    told.severity,
                    told.text,
                    transaction,
                    told.details or None,
                    event_s=event_s,
                    session=told.session,
                )
        except RefusedError as error:
            self._refused(message.topic, error.message, transaction)

    def _raise_or_refuse(
        self, thing: str, kind: str, severity: Severity, text: str, transaction: Transaction
    ) -> None:
        try:
            self.raise_alarm(thing, kind, severity, text, transaction)
        except RefusedError as error:
            self._refused(f"{thing}/{kind}", error.message, transaction)

    def _refused(self, key: str, reason: str, transaction: Transaction) -> None:
        transaction.observe("alarm_refused")
        transaction.note("set_aside", key, {"reason": reason})

    def _new(
        self,
        thing: str,
        kind: str,
        severity: Severity,
        text: str,
        details: Tree,
        known: Alarm | None,
        transaction: Transaction,
    ) -> Alarm:
        tally: Tally = transaction.records.get(TALLY, "") or Tally()
        if tally.active_count >= self.active_limit:
            raise RefusedError(429, f"{tally.active_count} alarms are active, which is the limit")
        if known is not None:
            transaction.remove(KIND, f"{thing}/{kind}")  # so that records stay in the order of their raising
        elif len(transaction.records.of(KIND)) >= self.kept_limit:
            self._forget_one(transaction)
        transaction.observe("alarm_raised", float(len(SEVERITIES) - SEVERITIES.index(severity)))
        self._count(1, transaction)
        now_s = transaction.now_s
        number = known.number + 1 if known is not None else 1
        return Alarm(
            id=f"{thing}/{kind}/{round(now_s * 1000.0)}-{number}",
            thing=thing,
            type=kind,
            severity=severity,
            text=text,
            details=details,
            number=number,
            raised_s=now_s,
            last_s=now_s,
        )

    def _forget_one(self, transaction: Transaction) -> None:
        """The oldest alarm that is over makes room; its history is in the journal."""
        for key, alarm in transaction.records.of(KIND).items():
            if not alarm.is_active:
                transaction.remove(KIND, key)
                return

    def _remember_end(
        self,
        thing: str,
        kind: str,
        known: Alarm | None,
        seen: Tree,
        transaction: Transaction,
    ) -> None:
        """An end came before its beginning: what began earlier and comes later changes nothing."""
        if known is not None:
            transaction.put(KIND, f"{thing}/{kind}", replace(known, **seen))
            return
        if len(transaction.records.of(KIND)) >= self.kept_limit:
            self._forget_one(transaction)
        alarm = Alarm(
            id="",
            thing=thing,
            type=kind,
            severity="indeterminate",
            is_active=False,
            is_acknowledged=True,
            count=0,
            number=0,
            cleared_s=transaction.now_s,
            **seen,
        )
        transaction.put(KIND, f"{thing}/{kind}", alarm)

    def _count(self, step: int, transaction: Transaction) -> None:
        tally: Tally = transaction.records.get(TALLY, "") or Tally()
        active_count = tally.active_count + step
        transaction.put(TALLY, "", Tally(active_count=active_count))
        transaction.observe("alarm_active", float(active_count))

    def _keep(self, alarm: Alarm, transaction: Transaction) -> None:
        transaction.put(KIND, f"{alarm.thing}/{alarm.type}", alarm)
        topic = f"alarms/{alarm.thing}/{alarm.type}"
        transaction.publish(topic, alarm.document(), retain=alarm.is_active)
        if not alarm.is_active:
            transaction.publish(topic, b"", retain=True)


def alarms(
    records: Records,
    *,
    thing: str | None = None,
    type: str | None = None,  # noqa: A002
    severity: Severity | None = None,
    is_active: bool | None = None,
    is_acknowledged: bool | None = None,
    limit: int = 1000,
) -> list[Alarm]:
    """The alarms that fit, the worst first and the newest of those first; `severity` means at least."""
    wanted: dict[str, Any] = {
        "thing": thing,
        "type": type,
        "is_active": is_active,
        "is_acknowledged": is_acknowledged,
    }
    asked = {name: value for name, value in wanted.items() if value is not None}
    least = SEVERITIES.index(severity) if severity is not None else len(SEVERITIES)
    found = [alarm for alarm in _raised(records) if SEVERITIES.index(alarm.severity) <= least]
    fitting = [each for each in found if all(getattr(each, name) == asked[name] for name in asked)]
    fitting.sort(key=lambda alarm: (SEVERITIES.index(alarm.severity), -alarm.raised_s))
    return fitting[:limit]


def _raised(records: Records) -> Iterator[Alarm]:
    return (alarm for alarm in records.of(KIND).values() if alarm.count)


def _is_late(known: Alarm | None, event_s: float | None, session: int, *, is_raised: bool) -> bool:
    """Whether something newer was applied already; at one instant an end wins over a beginning."""
    if known is None or event_s is None:
        return False
    if session != known.session:
        return session < known.session
    if event_s != known.event_s:
        return event_s < known.event_s
    return is_raised or not known.is_active


def _seen(known: Alarm | None, event_s: float | None, session: int, now_s: float) -> Tree:
    """When the last event was, and in which session of its teller."""
    if event_s is None:
        return {"event_s": now_s, "session": known.session if known is not None else 0}
    return {"event_s": event_s, "session": session}


def _check(thing: str, kind: str, severity: str, details: Tree | None) -> None:
    for what, name in (("thing", thing), ("type", kind)):
        if not NAME.fullmatch(name):
            raise RefusedError(400, f"{name!r} is no {what} of an alarm: letters, digits and :_.$- only")
    if severity not in SEVERITIES:
        raise RefusedError(400, f"{severity!r} is no severity; known: {', '.join(SEVERITIES)}")
    if is_deep(details):
        raise RefusedError(400, f"details of an alarm are nested at most {DEEPEST} deep")
    if details and len(msgspec.json.encode(details)) > DETAILS_LIMIT_BYTES:
        raise RefusedError(413, f"details of an alarm have at most {DETAILS_LIMIT_BYTES} bytes")
