"""The targets in virtual time: the engine by itself, and the simulated broker with the twin behind it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from scenarios.conformance.cases import ANSWERS, GET_S, WHEN_S, Case, Operation
from scenarios.conformance.verdict import Observed, Result, judged, stamp_of
from twin.cloud.broker import Broker
from twin.cloud.twin_service import TwinService
from twin.kernel.behaviour import (
    Behaviour,
    Context,
    Effect,
    Event,
    LinkChanged,
    Received,
    Started,
    Wake,
    Woken,
)
from twin.kernel.flight import Flight
from twin.kernel.kernel import Kernel, NodeSpec
from twin.kernel.ports import Timeline
from twin.kernel.randomness import Streams
from twin.message import Message
from twin.mqtt.client import ClientSession
from twin.state.shadow import Shadows
from twin.state.shadow.requests import topic_of
from twin.state.twins import Twins

DELAY_S: Final = 0.001
CASES_AT_ONCE: Final = 20
"""So many cases share one simulated session: what they send at one instant fits into its queues."""


def run_engine(cases: Sequence[Case]) -> Iterator[Result]:
    """Each case with an engine of its own."""
    for case in cases:
        twins, observed = Twins([Shadows()]), Observed()
        for index, operation in enumerate((*case.given, case.when)):
            came = _asked(twins, operation, stamp_of(index, case))
            if index == len(case.given):
                for topic, payload in came:
                    observed.answers.setdefault(topic, []).append(payload)
        for shadow in case.got:
            came = _asked(twins, Operation("get", b"", shadow), GET_S)
            observed.got[shadow] = came[0]
        yield judged(case, "engine", observed)


def _asked(twins: Twins, operation: Operation, now_s: float) -> list[tuple[str, bytes]]:
    above = topic_of("thing", operation.shadow)
    transaction = twins.handle(Message(f"{above}/{operation.op}", operation.payload), float(now_s))
    return [(each.topic.removeprefix(f"{above}/"), each.payload) for each in transaction.messages]


# the simulated system --------------------------------------------------------------------------------


@dataclass(slots=True)
class _Wire:
    """Carries everything to everybody after the same short time."""

    def carry(self, flight: Flight, timeline: Timeline) -> None:
        timeline.schedule(timeline.now + DELAY_S, flight, (timeline.arrive,))


@dataclass(slots=True)
class _Tester:
    """An MQTT client that publishes what is planned at its times, and keeps what comes."""

    plan: dict[float, list[Message]]

    session: ClientSession = field(init=False, default_factory=lambda: ClientSession("broker", "tester"))
    came: list[tuple[float, str, bytes]] = field(init=False, default_factory=list)

    def react(self, event: Event, context: Context) -> Iterable[Effect]:
        """Connect and subscribe, publish when it is time, listen."""
        match event:
            case Started():
                wakes = [Wake(at_s, f"plan/{at_s}") for at_s in self.plan]
                listening = self.session.subscribe("$aws/things/+/shadow/#")
                return [*listening, *self.session.start(context), *wakes]
            case Woken(tag) if tag.startswith("plan/"):
                planned = self.plan[float(tag.removeprefix("plan/"))]
                return [effect for each in planned for effect in self.session.publish(each, context)]
            case Woken(tag):
                return self.session.woken(tag, context)
            case Received():
                effects, messages = self.session.received(event, context)
                self.came += [(context.now, each.topic, each.payload) for each in messages]
                return effects
            case LinkChanged(_, is_up):
                return self.session.link_changed(is_up, context)
        return ()


def run_simulated(cases: Sequence[Case]) -> Iterator[Result]:
    """The cases behind a simulated broker, through an MQTT session, in virtual time."""
    for start in range(0, len(cases), CASES_AT_ONCE):
        things = {f"case-{start + number}": case for number, case in enumerate(cases[start:][:CASES_AT_ONCE])}
        tester = _Tester(_plan(things))
        nodes: dict[str, Behaviour] = {"broker": Broker(), "twin": TwinService("broker"), "tester": tester}
        specs = {name: NodeSpec(lambda node=node: node) for name, node in nodes.items()}  # type: ignore[misc]
        Kernel(specs, _Wire(), Streams(1)).run(GET_S + 10.0)
        for thing, case in things.items():
            yield judged(case, "simulated", _observed(thing, case, tester.came))


def _plan(things: dict[str, Case]) -> dict[float, list[Message]]:
    plan: dict[float, list[Message]] = {}
    for thing, case in things.items():
        gets = [(GET_S, Operation("get", b"", shadow)) for shadow in case.got]
        asked = [(stamp_of(index, case), each) for index, each in enumerate((*case.given, case.when))]
        for at_s, each in (*asked, *gets):
            topic = f"{topic_of(thing, each.shadow)}/{each.op}"
            plan.setdefault(float(at_s), []).append(Message(topic, each.payload, qos=1))
    return plan


def _observed(thing: str, case: Case, came: list[tuple[float, str, bytes]]) -> Observed:
    observed = Observed()
    above, own = f"{topic_of(thing, case.when.shadow)}/", case.when
    for at_s, topic, payload in came:
        below = topic.removeprefix(above)
        if WHEN_S <= at_s < GET_S and topic.startswith(above) and below in ANSWERS:
            observed.answers.setdefault(below, []).append(payload)
    if not own.is_request:
        observed.answers[own.op].remove(own.payload)
    for shadow in case.got:
        above = f"{topic_of(thing, shadow)}/get/"
        for at_s, topic, payload in came:
            if at_s >= GET_S and topic.startswith(above):
                observed.got[shadow] = (f"get/{topic.removeprefix(above)}", payload)
    return observed
