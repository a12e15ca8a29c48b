"""A paused node does later what it could not do, in order, and forgets nothing."""

from dataclasses import dataclass, field

import pytest

from twin.kernel.behaviour import LinkChanged, Received, Send, Started, Wake, Woken
from twin.kernel.kernel import Kernel, NodeSpec
from twin.kernel.randomness import Streams
from twin.message import Message


class Wire:
    """A carrier that takes a tenth of a second."""

    def carry(self, flight, timeline):
        timeline.schedule(timeline.now + 0.1, flight, (timeline.arrive,))


@dataclass(slots=True)
class Clerk:
    """Writes down what happens, and wakes every two seconds."""

    log: list
    count: int = field(init=False, default=0)

    def react(self, event, context):
        match event:
            case Started() | Woken("tick"):
                self.count += 1
                self.log.append((round(context.now, 3), "tick", self.count))
                return (Wake(2.0, "tick"),)
            case Received(message, _, _):
                self.log.append((round(context.now, 3), message.topic, self.count))
            case LinkChanged(peer, is_up):
                self.log.append((round(context.now, 3), f"{peer} {is_up}", self.count))
        return ()


@dataclass(slots=True)
class Sender:
    """Sends one message a second."""

    number: int = field(init=False, default=0)

    def react(self, event, context):
        del event, context
        self.number += 1
        return (Send("clerk", Message(f"m{self.number}")), Wake(1.0, "again"))


@pytest.fixture
def log():
    return []


@pytest.fixture
def kernel(log):
    nodes = {"clerk": NodeSpec(lambda: Clerk(log)), "sender": NodeSpec(Sender)}
    return Kernel(nodes, Wire(), Streams(1))


def test_messages_and_timers_wait_for_the_end_of_the_pause(kernel, log):
    """In the order in which they came; the ticks go on from there with their count."""
    kernel.call_at(1.5, lambda: kernel.pause("clerk"))
    kernel.call_at(3.5, lambda: kernel.resume("clerk"))
    kernel.run(6.05)

    assert log == [
        (0, "tick", 1), (0.1, "m1", 1), (1.1, "m2", 1),
        (3.5, "tick", 2), (3.5, "m3", 2), (3.5, "m4", 2),
        (4.1, "m5", 2), (5.1, "m6", 2), (5.5, "tick", 3),
    ]  # fmt: skip


def test_a_timer_that_outlasts_the_pause_comes_in_time(kernel, log):
    """It was not touched."""
    kernel.call_at(0.5, lambda: kernel.pause("clerk"))
    kernel.call_at(0.8, lambda: kernel.resume("clerk"))
    kernel.run(2.05)

    assert (2.0, "tick", 2) in log


def test_a_link_that_changes_is_noticed_afterwards(kernel, log):
    """The process stood still when it happened."""
    kernel.call_at(0.5, lambda: kernel.pause("clerk"))
    kernel.call_at(0.6, lambda: kernel.link_changed("clerk", "sender", is_up=False))
    kernel.call_at(0.7, lambda: kernel.resume("clerk"))
    kernel.run(1.0)

    assert log[-1] == (0.7, "sender False", 1)


def test_every_message_is_accounted_for_during_a_pause_and_after_a_crash_in_it(kernel):
    """Waiting ones are in flight; those a crash takes are lost."""
    kernel.call_at(1.5, lambda: kernel.pause("clerk"))
    kernel.run(4.5)
    kernel.check_ledger()
    assert kernel.in_flight() == 3

    kernel.crash("clerk")
    kernel.check_ledger()

    assert kernel.ledger.lost["clerk", "node down"] == 3
    kernel.resume("clerk")
    kernel.run(5.5)
    assert kernel.ledger.lost["clerk", "node down"] == 4
