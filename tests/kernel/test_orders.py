"""Orders from outside: they fall between two events, at times that a timeline can repeat to the bit."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin.kernel.behaviour import Observe, Received, Send, Started, Wake, Woken
from twin.kernel.pacing import VirtualPacer
from twin.kernel.ports import Order
from twin.kernel.ticks import TICK_S, tick_between
from twin.message import Message

TIMES = st.floats(0.0, 1e6, allow_nan=False)


def ticker(event, _context):
    match event:
        case Started():
            return [Wake(0.1, "go")]
        case Woken("go"):
            return [Send("receiver", Message("tick")), Wake(0.1, "go")]


def receiver(event, context):
    if isinstance(event, Received):
        return [Observe("tick", context.random.uniform(0.0, 1.0))]


class Ordering:
    """Time passes at once, and at wall times of its own somebody orders something."""

    def __init__(self, orders):
        self.orders = list(orders)

    def wait_until(self, due_s):
        if self.orders and self.orders[0].wish_s <= due_s:
            return self.orders.pop(0)
        return None


def ticks(kernel):
    return [(sample.at_s, sample.value) for sample in kernel.observations.samples("tick")]


@pytest.mark.parametrize("wish_s", [0.0, 0.0999, 0.1, 0.5, 0.7313, 1.8])
def test_what_was_ordered_is_repeated_to_the_bit(make_kernel, wish_s):
    """A crash by order, and the same crash from a timeline at the time the kernel gave the order."""
    done = []

    def crash():
        done.append(kernel.now)
        kernel.crash("receiver")
        kernel.call_at(kernel.now + 0.5, lambda: kernel.restart("receiver"))

    nodes = {"ticker": ticker, "receiver": receiver}
    kernel = make_kernel(nodes, delay_s=0.01, pacer=Ordering([Order(wish_s, crash)]))
    kernel.run(2.0)
    (at_s,) = done
    again = make_kernel(nodes, delay_s=0.01, pacer=VirtualPacer())
    again.call_at(at_s, lambda: again.crash("receiver"))
    again.call_at(at_s + 0.5, lambda: again.restart("receiver"))
    again.run(2.0)

    assert abs(at_s - wish_s) < 2 * TICK_S
    assert ticks(again) == ticks(kernel)
    assert len(ticks(kernel)) < 19


def test_what_an_order_sets_off_comes_before_the_next_event_that_was_due(make_kernel):
    """A message that the order sends is not put off to the end of the wait."""
    heard = []

    def greet(event, context):
        if isinstance(event, Received):
            heard.append(context.now)

    kernel = make_kernel(
        {"far": lambda event, _: [Wake(9.0, "far")] if isinstance(event, Started) else None, "near": greet},
        pacer=Ordering([Order(2.0, lambda: kernel.call_at(3.0, lambda: heard.append(kernel.now)))]),
    )
    kernel.run(10.0)

    assert heard == [3.0]


def test_the_past_cannot_be_scheduled(make_kernel):
    """A time before now is an error, and not now."""
    kernel = make_kernel({})
    kernel.run(5.0)
    with pytest.raises(ValueError, match="4 s is past: it is 5 s"):
        kernel.call_at(4.0, lambda: None)


@given(TIMES, TIMES, TIMES)
def test_a_tick_lies_strictly_between_and_sums_of_ticks_are_exact(first_s, second_s, wish_s):
    """So that `at` plus `for` of a record is the time at which a fault ended."""
    after_s, before_s = sorted((first_s, second_s))
    tick_s = tick_between(after_s, before_s, wish_s)
    if tick_s is None:
        assert before_s - after_s <= 2 * TICK_S
    else:
        assert after_s < tick_s < before_s
        later_s = tick_between(tick_s, tick_s + 1.0, tick_s + 0.5)
        assert float(f"{tick_s!r}") + float(f"{later_s - tick_s!r}") == later_s
