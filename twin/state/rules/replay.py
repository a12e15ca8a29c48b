"""Messages that were recorded, told to rules once more: every firing, and why, without anything being done.

A recording is JSON lines or CSV. A line has `at_s` (seconds) or `ts` (milliseconds), `topic` and `payload`;
in a CSV every further column is a field of the payload, and one called `payload` may hold it as JSON.
An export of a twin store's journal is one too.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import msgspec

from twin.errors import InputError
from twin.message import Message
from twin.state.records import Records, Transaction
from twin.state.rules.component import Rules
from twin.state.rules.evaluation import RuleState
from twin.state.rules.firing import Actions, Firing
from twin.state.rules.program import CompiledRule, field_topic

MOST_LINES: Final = 10_000_000
TIME_COLUMNS: Final = ("at_s", "ts")


class Recorded(NamedTuple):
    """A message and when it arrived (seconds)."""

    at_s: float
    topic: str
    payload: bytes


class Fired(NamedTuple):
    """One firing as it is shown."""

    at_s: float
    rule: str
    partition: str
    thing: str
    is_cleared: bool
    by_time: bool
    document: Mapping[str, Any]
    actions: Actions


@dataclass(slots=True)
class Replay:
    """Rules and the firings of the messages that they were told; time passes between messages as it did.

    `kinds` are the things that patterns choose from, with their kinds.
    """

    rules: Sequence[CompiledRule]
    place: str = ""
    kinds: Mapping[str, str] = field(default_factory=dict)

    counts: dict[str, float] = field(init=False, default_factory=dict)
    records: Records = field(init=False, default_factory=Records)
    component: Rules = field(init=False)
    found: list[Fired] = field(init=False, default_factory=list)
    by_time: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        self.component = Rules(
            self.rules, place=self.place, kinds_of=lambda _records: self.kinds, on_firing=self._kept
        )

    def tell(self, recorded: Recorded) -> list[Fired]:
        """What a message leads to."""
        transaction = Transaction(self.records, recorded.at_s)
        self.component.handle(Message(recorded.topic, recorded.payload), transaction)
        return self._taken(transaction)

    def wait(self, until_s: float) -> list[Fired]:
        """What time alone leads to."""
        transaction = Transaction(self.records, until_s)
        self.by_time = True
        while (deadline := self.records.take_due(until_s)) is not None:
            self.component.expire(deadline.kind, deadline.key, transaction)
        self.by_time = False
        return self._taken(transaction)

    def state(self, rule: CompiledRule, partition: str) -> RuleState | None:
        """What a rule remembers about a device."""
        found: RuleState | None = self.records.get("rule_state", f"{rule.name}|{partition}")
        return found

    def _kept(self, firing: Firing, actions: Actions, _transaction: Transaction) -> None:
        document = firing.document()
        fired = Fired(
            firing.at_s,
            firing.rule.name,
            firing.partition,
            firing.thing,
            firing.is_cleared,
            self.by_time,
            document,
            actions,
        )
        self.found.append(fired)

    def _taken(self, transaction: Transaction) -> list[Fired]:
        for measure, value in transaction.observations:
            step = 1 if measure == "rule_fired" else value
            self.counts[measure] = self.counts.get(measure, 0) + step
        taken, self.found = self.found, []
        return taken


def kinds_in(recording: Iterable[Recorded]) -> dict[str, str]:
    """The things that speak in a recording, with their kinds."""
    found: dict[str, str] = {}
    for recorded in recording:
        levels = field_topic(recorded.topic).split("/")
        if len(levels) > 2 and not levels[0].startswith("$"):
            found[levels[1]] = levels[0]
    return found


def read_lines(lines: Iterable[str], name: str = "") -> list[Recorded]:
    """The messages of JSON lines, by time. Raises InputError with the line that is none."""
    found: list[Recorded] = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            found.append(_of(msgspec.json.decode(line)))
        except (msgspec.DecodeError, KeyError, TypeError, ValueError, RecursionError, InputError) as error:
            raise InputError(f"{name or 'data'}:{number}: {_reason(error)}") from error
        if len(found) > MOST_LINES:
            raise InputError(f"{name or 'data'}: more than {MOST_LINES:,} messages")
    return sorted(found, key=lambda each: each.at_s)


def _reason(error: Exception) -> str:
    if isinstance(error, InputError):
        return str(error)
    if isinstance(error, msgspec.DecodeError | RecursionError):
        return f"no JSON: {error}"
    return "expected an object with at_s (seconds) or ts (milliseconds), topic and payload"


def _of(entry: Any) -> Recorded:
    if not isinstance(entry, dict):
        raise TypeError
    topic, payload = entry["topic"], entry.get("payload", {})
    if not isinstance(topic, str) or not topic:
        raise InputError("a topic is a text")
    data = payload.encode() if isinstance(payload, str) else msgspec.json.encode(payload)
    return Recorded(_time_of(entry), topic, data)


def _time_of(entry: Mapping[str, Any]) -> float:
    for column, scale in zip(TIME_COLUMNS, (1.0, 1000.0)):
        if entry.get(column) not in (None, ""):
            at_s = float(entry[column]) / scale
            if not math.isfinite(at_s):
                raise InputError(f"no time: {column} is {entry[column]}")
            return at_s
    raise InputError("no time: expected at_s (seconds) or ts (milliseconds)")


def read_csv(lines: Iterable[str], name: str = "") -> list[Recorded]:
    """The messages of a CSV, by time. Raises InputError with the line that is none."""
    reader = csv.DictReader(lines)
    columns = list(reader.fieldnames or ())
    if "topic" not in columns or not set(TIME_COLUMNS) & set(columns):
        shown = ", ".join(columns[:12]) or "none"
        raise InputError(f"{name or 'data'}: expected the columns at_s (or ts) and topic, found {shown}")
    found: list[Recorded] = []
    try:
        for row in reader:
            fields = {key: _cell(value) for key, value in row.items() if _is_field(key, value)}
            if row.get("at_s") and row.get("ts"):
                fields["ts"] = _cell(row["ts"])
            if isinstance(fields.get("payload"), dict):
                fields |= fields.pop("payload")
            found.append(Recorded(_time_of(row), row["topic"], msgspec.json.encode(fields)))
    except (csv.Error, ValueError, TypeError, InputError) as error:
        raise InputError(f"{name or 'data'}:{reader.line_num}: {error}") from error
    return sorted(found, key=lambda each: each.at_s)


def _is_field(key: str | None, value: Any) -> bool:
    return key is not None and key not in {*TIME_COLUMNS, "topic"} and value not in (None, "")


def _cell(text: str) -> Any:
    """A number, true, false, null or JSON if it is one; else the text."""
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return text
