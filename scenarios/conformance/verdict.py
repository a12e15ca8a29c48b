"""What an observed case differs in from the expected one, field by field.

A member that a case names must be exactly as named. A document that names its `timestamp` is complete and
must have nothing else; one that always has `metadata` is complete if it names that too. A case says time as
100, 101, ... for the given operations, 200 for its own and 300 for the last get.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, Literal, NamedTuple, Protocol, TypeAlias

from scenarios.conformance.cases import GET_S, GIVEN_S, WHEN_S, Case, Tree
from twin.state.shadow.trees import is_same

Verdict: TypeAlias = Literal["ok", "text differs", "FAILED", "no answer"]
MISSING: Final = object()
LONGEST_SAID: Final = 120
WITH_METADATA: Final = frozenset({"update/accepted", "update/delta", "get/accepted"})


class Difference(NamedTuple):
    """One field that is not as expected: its place, and both values in words."""

    place: str
    expected: str
    actual: str

    def __str__(self) -> str:
        """One line for a table."""
        return f"{self.place}: expected {self.expected}, got {self.actual}"


class Clock(Protocol):
    """What a stamp of a case means in the time of the service."""

    def is_stamp(self, said_s: int, actual: Any) -> bool:
        """Whether the service's stamp is that of the operation which the case names."""
        ...


class VirtualClock:
    """The time of a case is the time of the service."""

    def is_stamp(self, said_s: int, actual: Any) -> bool:
        """Whether both are the same second."""
        return type(actual) is int and actual == said_s


@dataclass(frozen=True, slots=True)
class RealClock:
    """Operations took place at real times: `answered_s` by the service's own stamps, as far as it answered.

    A stamp belongs to the operation that is nearest, and is at most `tolerance_s` from it.
    """

    answered_s: Mapping[int, float]
    tolerance_s: float

    def is_stamp(self, said_s: int, actual: Any) -> bool:
        """Whether no other operation is nearer to the stamp than the named one."""
        if type(actual) is not int or said_s not in self.answered_s:
            return False
        distance_s = abs(self.answered_s[said_s] - actual)
        return distance_s <= self.tolerance_s and all(
            distance_s <= abs(other_s - actual) for other_s in self.answered_s.values()
        )


@dataclass(slots=True)
class Observed:
    """What a target did in one case: the payloads that came on each topic after `when`, and by shadow what
    the last get was answered with (topic and payload).
    """

    answers: dict[str, list[bytes]] = field(default_factory=dict)
    got: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    clock: Clock = field(default_factory=VirtualClock)
    silent: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Result:
    """How a case went with a target."""

    case: Case
    target: str
    verdict: Verdict
    differences: Sequence[Difference]


def judged(case: Case, target: str, observed: Observed) -> Result:
    """Compare what was observed with what the case expects."""
    found = list(_differences(case, observed))
    verdict: Verdict = "FAILED" if found else "ok"
    if found and all(each.place.endswith(".message") for each in found):
        verdict = "text differs"
    if observed.silent:
        verdict = "no answer"
        found = [Difference(each, "an answer", "none") for each in observed.silent] + found
    return Result(case, target, verdict, found)


def stamp_of(index: int, case: Case) -> int:
    """The time that a case gives to its operation of this number, counted through given, when and get."""
    if index < len(case.given):
        return GIVEN_S + index
    return WHEN_S if index == len(case.given) else GET_S


def _differences(case: Case, observed: Observed) -> Iterator[Difference]:
    for topic, expected in case.then.items():
        payloads = observed.answers.get(topic, [])
        if not payloads:
            yield Difference(topic, "a document", "nothing")
            continue
        yield from _document(topic, expected, payloads[0], observed.clock)
        if len(payloads) > 1:
            yield Difference(topic, "one document", f"{len(payloads)}")
    for topic in case.absent:
        if observed.answers.get(topic):
            yield Difference(topic, "nothing", _said_payload(observed.answers[topic][0]))
    yield from _last_get(case, observed)


def _last_get(case: Case, observed: Observed) -> Iterator[Difference]:
    """The last get; where the file does not say which shadow it means, any of them may fit."""
    if case.get is None:
        return
    tried = [list(_got(case.get, observed.got.get(shadow), observed.clock)) for shadow in case.got]
    if all(tried):
        yield from tried[0]


def _got(expected: Tree | int, answer: tuple[str, bytes] | None, clock: Clock) -> Iterator[Difference]:
    if answer is None:
        yield Difference("get", "an answer", "none")
        return
    topic, payload = answer
    document = {"code": expected} if isinstance(expected, int) else expected
    wanted = "get/rejected" if "code" in document else "get/accepted"
    if topic != wanted:
        yield Difference("get", wanted, f"{topic} {_said_payload(payload)}")
    else:
        yield from _document(topic, document, payload, clock)


# documents -------------------------------------------------------------------------------------------


def _document(topic: str, expected: Tree, payload: bytes, clock: Clock) -> Iterator[Difference]:
    try:
        actual = json.loads(payload, parse_constant=_no_number)
    except (ValueError, RecursionError):
        yield Difference(topic, "JSON", _said_payload(payload))
        return
    if not isinstance(actual, dict):
        yield Difference(topic, "an object", _said_payload(payload))
        return
    for key, value in expected.items():
        yield from _member(f"{topic}.{key}", key, value, actual.get(key, MISSING), clock)
    is_complete = "timestamp" in expected and ("metadata" in expected or topic not in WITH_METADATA)
    if is_complete:
        for key in actual.keys() - expected.keys():
            yield Difference(f"{topic}.{key}", "nothing", _said(actual[key]))


def _no_number(word: str) -> float:
    raise ValueError(f"{word} is no JSON")


def _member(place: str, key: str, expected: Any, actual: Any, clock: Clock) -> Iterator[Difference]:
    """One member of a document: times are compared by the clock, everything else as it is."""
    if key in ("timestamp", "metadata"):
        yield from _stamps(place, expected, actual, clock)
    elif key in ("previous", "current") and isinstance(expected, dict) and isinstance(actual, dict):
        for name in expected.keys() | actual.keys():
            below, there = expected.get(name, MISSING), actual.get(name, MISSING)
            yield from _member(f"{place}.{name}", name, below, there, clock)
    else:
        yield from _values(place, expected, actual)


def _stamps(place: str, expected: Any, actual: Any, clock: Clock) -> Iterator[Difference]:
    """A tree of stamps, in which every number is a time."""
    if type(expected) is int:
        if not clock.is_stamp(expected, actual):
            yield Difference(place, f"the time {expected}", _said(actual))
        return
    yield from _below(place, expected, actual, partial(_stamps, clock=clock))


def _values(place: str, expected: Any, actual: Any) -> Iterator[Difference]:
    yield from _below(place, expected, actual, _values)


def _below(
    place: str, expected: Any, actual: Any, compare: Callable[[str, Any, Any], Iterator[Difference]]
) -> Iterator[Difference]:
    """The members of two objects or arrays; of anything else, whether it is the same JSON value."""
    if isinstance(expected, dict) and isinstance(actual, dict):
        for key in [*expected, *(key for key in actual if key not in expected)]:
            below, there = expected.get(key, MISSING), actual.get(key, MISSING)
            yield from compare(f"{place}.{key}", below, there)
    elif isinstance(expected, list) and isinstance(actual, list) and len(expected) == len(actual):
        for number, (below, there) in enumerate(zip(expected, actual, strict=True)):
            yield from compare(f"{place}[{number}]", below, there)
    elif expected is MISSING or actual is MISSING or not is_same(expected, actual):
        yield Difference(place, _said(expected), _said(actual))


def _said(value: Any) -> str:
    if value is MISSING:
        return "nothing"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= LONGEST_SAID else f"{text[:LONGEST_SAID]}..."


def _said_payload(payload: bytes) -> str:
    text = payload[:LONGEST_SAID].decode(errors="replace")
    return text if len(payload) <= LONGEST_SAID else f"{text}..."
