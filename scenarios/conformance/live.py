"""The target behind a real broker: any service that speaks the shadow topics.

All cases take one step after another together, each with a thing of its own: publish, wait for the answers,
wait until the next second has begun, so that stamps of different operations differ. The things' shadows
are deleted in the end.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import count, islice
from typing import Any, Final

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from scenarios.conformance.cases import ANSWERS, GET_S, Case, Operation
from scenarios.conformance.verdict import Observed, RealClock, Result, judged, stamp_of
from twin.errors import InputError
from twin.service.session import KEEP_ALIVE_S, address, client_for, reason
from twin.service.target import Target, UnreachableError
from twin.state.shadow.requests import THING_NAME, read_topic, topic_of

CASES_AT_ONCE: Final = 40  # AWS allows 50 subscriptions a connection
ANSWER_LIMIT_S: Final = 5.0
EVENT_LIMIT_S: Final = 2.0
"""How long after the answers delta and documents may come; no order among them is promised."""
SETTLE_S: Final = 0.4
"""How long to listen for what ought not to come, after the answers came."""
STEP_S: Final = 1.1
DELETE_LIMIT_S: Final = 2.0
STAMP_TOLERANCE_S: Final = 1.0
CLOCK_TOLERANCE_S: Final = 30.0
"""So far the clock of the service may be from ours; a stamp further away is none of its operation."""
_NUMBERS: Final = count()
"""Goes on from run to run, because a broker may still hold requests of an earlier one."""
DEFAULT_PREFIX: Final = "conformance-"


@dataclass(slots=True)
class _Trial:
    """One case with its thing: what came since the step began, and what is known already."""

    case: Case
    thing: str

    came: list[tuple[str, bytes]] = field(default_factory=list)
    observed: Observed = field(default_factory=Observed)
    answered_s: dict[int, float] = field(default_factory=dict)

    def asked(self, step: int) -> list[Operation]:
        """The operations of a step: one, or the gets at the end, or none."""
        own = (*self.case.given, self.case.when)
        if step < len(own):
            return [own[step]]
        return [Operation("get", b"", shadow) for shadow in self.case.got] if step == len(own) else []

    def is_judged(self, step: int) -> bool:
        """Whether this step is the one that the case is about."""
        return step == len(self.case.given)

    def topic(self, operation: Operation) -> str:
        """Where the operation is published."""
        return f"{topic_of(self.thing, operation.shadow)}/{operation.op}"

    def answer(self, operation: Operation) -> tuple[str, bytes] | None:
        """The answer to an operation, by its topic below the shadow."""
        above = self.topic(operation)
        for topic, payload in self.came:
            if topic in (f"{above}/accepted", f"{above}/rejected"):
                return topic.removeprefix(f"{topic_of(self.thing, operation.shadow)}/"), payload
        return None

    def is_answered(self, step: int) -> bool:
        """Whether every request of the step has its answer."""
        return all(not each.is_request or self.answer(each) is not None for each in self.asked(step))

    def is_done(self, step: int) -> bool:
        """Whether everything came that the case expects of the step."""
        if not self.is_judged(step):
            return True
        above = topic_of(self.thing, self.case.when.shadow)
        topics = {topic for topic, _ in self.came}
        return all(f"{above}/{wanted}" in topics for wanted in self.case.then)

    def close(self, step: int, began_s: float) -> None:
        """Keep what came of a step that began at this time (seconds since 1970)."""
        for operation in self.asked(step):
            answer = self.answer(operation)
            stamp = stamp_of(step, self.case)
            if answer is None and operation.is_request:
                self.observed.silent.append(f"{operation.op} at {stamp}")
            self.answered_s[stamp] = _stamp_in(answer, began_s)
            if stamp == GET_S and answer is not None:
                self.observed.got[operation.shadow] = answer
        if self.is_judged(step):
            self._keep_answers()

    def _keep_answers(self) -> None:
        above, own = f"{topic_of(self.thing, self.case.when.shadow)}/", self.case.when
        for topic, payload in self.came:
            below = topic.removeprefix(above)
            if below in ANSWERS:
                self.observed.answers.setdefault(below, []).append(payload)
        echo = self.observed.answers.get(own.op, [])
        if not own.is_request and own.payload in echo:
            echo.remove(own.payload)


def _stamp_in(answer: tuple[str, bytes] | None, began_s: float) -> float:
    """The service's own time of an answer, unless it is far from ours; else ours."""
    try:
        document = json.loads(answer[1]) if answer is not None else {}
    except (ValueError, RecursionError):
        return began_s
    said = document.get("timestamp") if isinstance(document, dict) else None
    if type(said) is int and abs(said - began_s) <= CLOCK_TOLERANCE_S:
        return float(said)
    return began_s


@dataclass(slots=True)
class _Session:
    """One MQTT session that hands what it hears to the trials, by thing."""

    target: Target

    trials: dict[str, _Trial] = field(init=False, default_factory=dict)
    news: threading.Condition = field(init=False, default_factory=threading.Condition)
    client: Client = field(init=False)
    code: ReasonCode | None = field(init=False, default=None)
    granted: dict[int, bool] = field(init=False, default_factory=dict)
    is_lost: bool = field(init=False, default=False)

    def open(self) -> None:
        """Connect; raise UnreachableError with the reason if that cannot be done."""
        name = f"windtunnel-conformance-{os.getpid()}"
        self.client = client_for(self.target, name, is_kept=False, reconnect_on_failure=False)
        self.client.on_connect = self._on_connect
        self.client.on_disconnect = self._on_disconnect
        self.client.on_subscribe = self._on_subscribe
        self.client.on_message = self._on_message
        try:
            self.client.connect(*address(self.target), keepalive=KEEP_ALIVE_S)
        except (OSError, ValueError) as error:
            raise UnreachableError(f"no MQTT broker at {self.target}: {reason(error)}") from None
        self.client.loop_start()
        self.wait(lambda: self.code is not None, ANSWER_LIMIT_S)
        if self.code is None or self.code.is_failure:
            self.close()
            said = f"refuses us: {self.code}" if self.code else "takes no session"
            raise UnreachableError(
                f"the broker at {self.target} {said}; check --username, --password-file, --ca, --cert, --key"
            )

    def close(self) -> None:
        """End the session."""
        self.client.disconnect()
        self.client.loop_stop()

    def listen(self, trials: Sequence[_Trial]) -> None:
        """Subscribe to everything below the shadows of the trials' things, in place of earlier ones."""
        for thing in self.trials:
            self.client.unsubscribe(f"{topic_of(thing, '')}/#")
        self.trials = {trial.thing: trial for trial in trials}
        self.granted.clear()
        asked = [self.client.subscribe(f"{topic_of(thing, '')}/#", 1)[1] for thing in self.trials]
        self.wait(lambda: len(self.granted) == len(asked), ANSWER_LIMIT_S)
        if not all(self.granted.get(each or 0, False) for each in asked):
            raise UnreachableError(
                f"the broker at {self.target} grants no subscription to {topic_of(trials[0].thing, '')}/#;"
                " its access rules must let this client use the topics of the things it tests"
            )

    def forget(self) -> None:
        """Forget what came, before the next step."""
        with self.news:
            for trial in self.trials.values():
                trial.came.clear()

    def wait(self, is_over: Callable[[], bool], limit_s: float) -> None:
        """Wait until a condition holds or the connection breaks, or for so long."""
        with self.news:
            self.news.wait_for(lambda: self.is_lost or is_over(), limit_s)

    def _on_connect(
        self, _client: Client, _data: Any, _flags: ConnectFlags, code: ReasonCode, _: Properties | None
    ) -> None:
        with self.news:
            self.code = code
            self.news.notify_all()

    def _on_disconnect(
        self, _client: Client, _data: Any, _flags: DisconnectFlags, _code: ReasonCode, _: Properties | None
    ) -> None:
        with self.news:
            self.is_lost = True
            self.news.notify_all()

    def _on_subscribe(
        self, _client: Client, _data: Any, packet_id: int, codes: list[ReasonCode], _: Properties | None
    ) -> None:
        with self.news:
            self.granted[packet_id] = not any(code.is_failure for code in codes)
            self.news.notify_all()

    def _on_message(self, _client: Client, _data: Any, message: MQTTMessage) -> None:
        levels = message.topic.split("/", 3)
        with self.news:
            trial = self.trials.get(levels[2]) if len(levels) > 3 else None
            if trial is not None and read_topic(message.topic) is None:
                heard = (message.topic, bytes(message.payload))
                if not (message.dup and heard in trial.came):
                    trial.came.append(heard)
                self.news.notify_all()


def run_live(cases: Sequence[Case], target: Target, prefix: str = DEFAULT_PREFIX) -> Iterator[Result]:
    """The cases with whatever answers behind the broker; things are called after the prefix.

    Raise UnreachableError if the broker cannot be reached or nobody answers.
    """
    names = [f"{prefix}{os.getpid()}-{number}" for number in islice(_NUMBERS, len(cases))]
    if not THING_NAME.fullmatch(names[-1]):
        raise InputError(f"--prefix {prefix!r}: expected letters, digits, ':', '_' and '-', 100 at most")
    session = _Session(target)
    session.open()
    try:
        for start in range(0, len(cases), CASES_AT_ONCE):
            part = slice(start, start + CASES_AT_ONCE)
            trials = [_Trial(case, name) for case, name in zip(cases[part], names[part], strict=True)]
            session.listen(trials)
            try:
                _take_steps(session, trials)
            finally:
                _delete(session, trials)
            for trial in trials:
                trial.observed.clock = RealClock(trial.answered_s, STAMP_TOLERANCE_S)
                yield judged(trial.case, str(target), trial.observed)
    finally:
        session.close()


def _take_steps(session: _Session, trials: Sequence[_Trial]) -> None:
    for step in range(max(len(trial.case.given) for trial in trials) + 2):
        began_s, ends_s = time.time(), time.monotonic() + STEP_S
        asked = [(trial, each) for trial in trials for each in trial.asked(step)]
        session.forget()
        for trial, operation in asked:
            session.client.publish(trial.topic(operation), operation.payload, 1)
        session.wait(partial(_are_all, _Trial.is_answered, trials, step), ANSWER_LIMIT_S)
        if not step and asked and not any(trial.came for trial in trials):
            raise UnreachableError(
                f"nobody answers on {topic_of(trials[0].thing, '')}/... at {session.target}; start a shadow"
                " service there, for instance: windtunnel serve"
            )
        session.wait(partial(_are_all, _Trial.is_done, trials, step), EVENT_LIMIT_S)
        if session.is_lost:
            raise UnreachableError(f"the connection to the broker at {session.target} broke during the test")
        if any(trial.is_judged(step) for trial in trials):
            time.sleep(SETTLE_S)
        with session.news:
            for trial in trials:
                trial.close(step, began_s)
        time.sleep(max(0.0, ends_s - time.monotonic()))


def _are_all(check: Callable[[_Trial, int], bool], trials: Sequence[_Trial], step: int) -> bool:
    return all(check(each, step) for each in trials)


def _delete(session: _Session, trials: Sequence[_Trial]) -> None:
    """Leave nothing behind: a shadow that is not there answers as well."""
    ends = []
    session.forget()
    for trial in trials:
        for shadow in dict.fromkeys([*trial.case.shadows, *trial.case.got]):
            operation = Operation("delete", b"", shadow)
            session.client.publish(trial.topic(operation), b"", 1)
            ends.append((trial, operation))
    has_answered = any(trial.answered_s for trial in trials)
    session.wait(
        lambda: all(trial.answer(each) for trial, each in ends), DELETE_LIMIT_S if has_answered else 0.0
    )
