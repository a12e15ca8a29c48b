"""Account of a recorded history: which messages came, which did not and why, and who broke what it promised.

The checker is a function of the history alone. It knows nothing of how the run was done: it reads who was
subscribed to what, who handed over what, who acknowledged and who received it (as Jepsen's checkers do, see
K. Kingsbury, jepsen.io), and holds that against what MQTT promises for each QoS.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec

from twin.errors import InputError
from twin.live.history import MOST_EVENTS, Happening
from twin.mqtt.topics import matches

LATE_S: Final = 5.0
DRAIN_S: Final = 10.0
"""What was acknowledged, or could be delivered again, so late before the end may have been under way."""
SETTLE_S: Final = 5.0
"""How long after a fault a message still belongs to its window."""
MOST_VIOLATIONS: Final = 20
SHARED: Final = "$share/"
OUTSIDE: Final = "outside faults"

UNEXPLAINED: Final = "unexplained"
UNDER_WAY: Final = "under way at the end"
AWAY: Final = "waiting at the broker for a receiver that is away"
AT_MOST_ONCE: Final = "QoS 0 promises nothing"
SESSION_LOST: Final = "the broker did not keep the receiver's session"
UNACKNOWLEDGED: Final = "never acknowledged"
RESTARTED: Final = "its publisher was restarted before it was acknowledged"
NOT_LOST: Final = frozenset({UNDER_WAY, AWAY})


class Row(msgspec.Struct):
    """What became of some messages; a message counts once for each receiver that was to get it."""

    expected: int = 0
    delivered: int = 0
    duplicated: int = 0
    reordered: int = 0
    recovered: int = 0
    late: int = 0
    missing: dict[str, int] = {}

    @property
    def lost(self) -> int:
        """What is missing and not under way."""
        return sum(count for cause, count in self.missing.items() if cause not in NOT_LOST)


class Account(msgspec.Struct):
    """The account of a whole history: by what was promised, and by fault window."""

    messages: int = 0
    acknowledged: int = 0
    given_up: int = 0
    unknown: int = 0
    foreign: int = 0
    total: Row = msgspec.field(default_factory=Row)
    by_qos: dict[str, Row] = {}
    by_window: dict[str, Row] = {}
    violations: list[str] = []
    violation_count: int = 0
    is_cut: bool = False


@dataclass(slots=True)
class _Message:
    """A publication, and what is known of it."""

    identity: str
    publisher: str
    topic: str
    qos: int
    at_s: float
    ok_s: float = math.inf
    failed: str = ""
    receipts: dict[str, list[Happening]] = field(default_factory=dict)


@dataclass(slots=True)
class _Client:
    """When a client was subscribed, and what happened to its session."""

    subscriptions: list[tuple[float, str, int]] = field(default_factory=list)
    ended: list[tuple[float, str]] = field(default_factory=list)
    connects: list[float] = field(default_factory=list)
    anews: list[float] = field(default_factory=list)
    starts: list[float] = field(default_factory=list)
    is_connected: bool = False

    def qos_for(self, topic: str, at_s: float) -> int | None:
        """The largest QoS of its subscriptions to the topic that stood then and later; None without one."""
        found: int | None = None
        for since_s, topic_filter, qos in self.subscriptions:
            if since_s <= at_s and not topic_filter.startswith(SHARED) and matches(topic_filter, topic):
                is_over = any(of == topic_filter and end_s >= since_s for end_s, of in self.ended)
                if not is_over:
                    found = qos if found is None else max(found, qos)
        return found

    def was_lost(self, topic: str, at_s: float) -> bool:
        """Whether the broker forgot its session after that, or had, and it was not yet subscribed again."""
        number = bisect_right(self.anews, at_s)
        if number < len(self.anews):
            return True
        forgotten_s = self.anews[-1] if self.anews else -math.inf
        return not any(
            forgotten_s <= since_s <= at_s and matches(topic_filter, topic)
            for since_s, topic_filter, _ in self.subscriptions
        )

    def connects_within(self, from_s: float, to_s: float) -> bool:
        """Whether it connected between two moments."""
        return bisect_right(self.connects, to_s) > bisect_left(self.connects, from_s)


def read(path: Path) -> list[Happening]:
    """The happenings of a history file. Raises InputError, with the line, for one that is none."""
    decoder = msgspec.json.Decoder(Happening)
    found = []
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if number > MOST_EVENTS + 10_000:
                raise InputError(f"{path.name}: more than {MOST_EVENTS:,} events")
            try:
                found.append(decoder.decode(line))
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                if not line.endswith(b"\n"):
                    break  # the run was killed while it wrote this line
                raise InputError(f"{path.name}:{number}: no line of a history: {error}") from None
    if not found:
        raise InputError(f"{path.name}: no history: it is empty")
    return found


def check(history: Iterable[Happening], late_s: float = LATE_S, drain_s: float = DRAIN_S) -> Account:
    """Account for every message of a history; what began within `drain_s` of its end may be under way."""
    return _Checker(late_s, drain_s).run(history)


class _Checker:
    """Reads a history once, then goes through messages and receivers."""

    def __init__(self, late_s: float, drain_s: float) -> None:
        self._late_s = late_s
        self._drain_s = drain_s
        self._messages: dict[str, _Message] = {}
        self._clients: defaultdict[str, _Client] = defaultdict(_Client)
        self._faults: list[tuple[float, float, str]] = []
        self._topics: dict[str, list[str]] = {}
        self._end_s = 0.0
        self._account = Account()

    def run(self, history: Iterable[Happening]) -> Account:
        for happening in history:
            self._read(happening)
        account = self._account
        account.messages = len(self._messages)
        self._faults.sort()
        for message in self._messages.values():
            self._count(message)
            for client in self._receivers(message):
                self._settle(message, client)
        self._orders()
        return account

    # reading ---------------------------------------------------------------------------------------------

    def _read(self, event: Happening) -> None:
        if event.what != "fault":
            self._end_s = max(self._end_s, event.at_s)
        match event.what:
            case "invoke":
                self._messages[event.id] = _Message(event.id, event.by, event.topic, event.qos, event.at_s)
            case "ok" | "fail" if (message := self._messages.get(event.id)) is not None:
                if event.what == "ok":
                    message.ok_s = min(message.ok_s, event.at_s)
                else:
                    message.failed = event.why or "given up"
            case "receive":
                self._received(event)
            case "fault":
                self._faults.append((event.at_s, event.to_s + SETTLE_S, event.why))
            case "cut":
                self._account.is_cut = True
            case _:
                self._session(event)

    def _received(self, event: Happening) -> None:
        message = self._messages.get(event.id)
        if message is None:
            self._account.foreign += 1
        elif not event.is_retained or event.by not in message.receipts:
            message.receipts.setdefault(event.by, []).append(event)

    def _session(self, event: Happening) -> None:
        client = self._clients[event.by]
        match event.what:
            case "subscribed":
                client.subscriptions.append((event.at_s, event.topic, event.qos))
                client.is_connected = True  # also one whose connection is older than the run
            case "unsubscribe":
                client.ended.append((event.at_s, event.topic))
            case "connected" | "anew":
                client.connects.append(event.at_s)
                client.is_connected = True
                if event.what == "anew":
                    client.anews.append(event.at_s)
            case "disconnected":
                client.is_connected = False
            case "started":
                client.starts.append(event.at_s)
                client.is_connected = False

    # messages and their receivers ------------------------------------------------------------------------

    def _count(self, message: _Message) -> None:
        account = self._account
        if message.ok_s < math.inf:
            account.acknowledged += 1
        elif message.failed:
            account.given_up += 1
        elif message.qos:
            account.unknown += 1

    def _receivers(self, message: _Message) -> Iterator[str]:
        """Who was to get it, and who got it though nothing says that it was to."""
        if message.topic not in self._topics:
            self._topics[message.topic] = [
                name
                for name, client in self._clients.items()
                if any(matches(each, message.topic) for _, each, _ in client.subscriptions)
            ]
        expected = self._topics[message.topic]
        yield from expected
        yield from (name for name in message.receipts if name not in expected)

    def _settle(self, message: _Message, name: str) -> None:
        client = self._clients[name]
        granted = client.qos_for(message.topic, message.at_s)
        receipts = message.receipts.get(name, [])
        if granted is None and not receipts:
            return
        qos = min(message.qos, granted if granted is not None else receipts[0].qos)
        cause = "" if receipts else self._cause(message, client, qos)
        fresh = [each for each in receipts if not each.is_retained]
        for row in self._rows(message, qos):
            row.expected += 1
            if cause:
                row.missing[cause] = row.missing.get(cause, 0) + 1
                continue
            row.delivered += 1
            row.duplicated += max(0, len(fresh) - 1)
            row.late += receipts[0].at_s - message.at_s > self._late_s
            row.recovered += self._is_recovered(message, client, receipts[0])
        self._hold(message, name, qos, cause, len(fresh))

    def _cause(self, message: _Message, client: _Client, qos: int) -> str:
        """Why a receiver did not get the message."""
        if message.failed:
            return message.failed
        if qos == 0:
            return AT_MOST_ONCE
        if math.isinf(message.ok_s):
            publisher = self._clients[message.publisher]
            if any(at_s > message.at_s for at_s in publisher.starts):
                return RESTARTED
            return UNDER_WAY if message.at_s > self._end_s - self._drain_s else UNACKNOWLEDGED
        if client.was_lost(message.topic, message.at_s):
            return SESSION_LOST
        if not client.is_connected:
            return AWAY
        since_s = max(message.ok_s, client.connects[-1] if client.connects else 0.0)
        return UNDER_WAY if since_s > self._end_s - self._drain_s else UNEXPLAINED

    def _is_recovered(self, message: _Message, client: _Client, receipt: Happening) -> bool:
        """Whether it came only after one end had connected again, or was sent once more."""
        publisher = self._clients[message.publisher]
        span = (message.at_s, receipt.at_s)
        return receipt.is_repeated or client.connects_within(*span) or publisher.connects_within(*span)

    def _rows(self, message: _Message, qos: int) -> Iterator[Row]:
        yield self._account.total
        yield self._account.by_qos.setdefault(f"QoS {qos}", Row())
        window = next(
            (name for from_s, to_s, name in self._faults if from_s <= message.at_s <= to_s), OUTSIDE
        )
        yield self._account.by_window.setdefault(window, Row())

    def _hold(self, message: _Message, name: str, qos: int, cause: str, count: int) -> None:
        """Hold what happened against what MQTT promises."""
        if cause == UNEXPLAINED:
            self._violation(f"{message.identity} was acknowledged at QoS {qos} and never came to {name}")
        elif count > 1 and qos != 1:
            times = "at most once" if qos == 0 else "exactly once"
            self._violation(f"{message.identity} came {count} times to {name}; QoS {qos} promises {times}")

    def _violation(self, text: str) -> None:
        self._account.violation_count += 1
        if len(self._account.violations) < MOST_VIOLATIONS:
            self._account.violations.append(text)

    # order -----------------------------------------------------------------------------------------------

    def _orders(self) -> None:
        """Count what came after a later message of the same publisher and topic [MQTT-4.6.0]."""
        firsts: defaultdict[tuple[str, str, str], list[tuple[float, int, _Message]]] = defaultdict(list)
        for number, message in enumerate(self._messages.values()):
            for name, receipts in message.receipts.items():
                if not receipts[0].is_retained:
                    key = (message.publisher, message.topic, name)
                    firsts[key].append((receipts[0].at_s, number, message))
        for (_, _, name), arrived in firsts.items():
            latest = -1
            for _, number, message in sorted(arrived, key=lambda each: each[0]):
                if number < latest:
                    qos = min(message.qos, message.receipts[name][0].qos)
                    for row in self._rows(message, qos):
                        row.reordered += 1
                latest = max(latest, number)


def summary(account: Account) -> str:
    """The account in one line."""
    total = account.total
    missing = Counter(total.missing)
    lost = "; ".join(
        f"{count} lost: {cause}" for cause, count in missing.most_common() if cause not in NOT_LOST
    )
    under_way = sum(missing[cause] for cause in NOT_LOST)
    text = (
        f"ledger: {account.messages:,} messages, {account.acknowledged:,} acknowledged;"
        f" {total.delivered:,} of {total.expected:,} deliveries came, {under_way:,} under way,"
        f" {total.lost:,} lost, {total.duplicated:,} twice, {total.reordered:,} out of order,"
        f" {total.late:,} late"
    )
    broken = f"; {account.violation_count:,} promises broken" if account.violation_count else ""
    return (
        text + (f" ({lost})" if lost else "") + broken + ("; the history was cut" if account.is_cut else "")
    )
