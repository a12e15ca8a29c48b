"""Virtual and wall time run the same behaviours to the same log."""

import threading
import time

import pytest

from twin.kernel.behaviour import Observe, Received, Send, Started, Wake, Woken
from twin.kernel.pacing import VirtualPacer, WallPacer
from twin.message import Message


def sender(event, _context):
    match event:
        case Started():
            return [Wake(0.02, "go")]
        case Woken("go"):
            return [Send("receiver", Message("tick")), Wake(0.02, "go")]


def receiver(event, _context):
    if isinstance(event, Received):
        return [Observe("tick", event.sent_s)]


def log_of(make_kernel, pacer):
    kernel = make_kernel({"sender": sender, "receiver": receiver}, delay_s=0.01, pacer=pacer)
    kernel.run(0.2)
    return [(round(sample.at_s, 9), round(sample.value, 9)) for sample in kernel.observations.samples("tick")]


@pytest.mark.alone
def test_the_same_behaviours_give_the_same_log_under_both_pacers(make_kernel):
    """Pacing changes when things happen on the wall, not what happens."""
    started = time.monotonic()
    virtual = log_of(make_kernel, VirtualPacer())
    took_virtual_s = time.monotonic() - started
    wall = log_of(make_kernel, WallPacer())
    took_wall_s = time.monotonic() - started - took_virtual_s

    assert len(virtual) == 9
    assert wall == virtual
    assert took_wall_s >= 0.19


@pytest.mark.alone
def test_a_message_from_another_thread_wakes_the_wall_pacer_at_once(make_kernel):
    """The next timer is 2 s away; the injected message is handled within a few milliseconds."""
    pacer = WallPacer()
    handled = []

    def idle(event, _context):
        match event:
            case Started():
                return [Wake(2.0, "far")]
            case Received():
                handled.append(time.monotonic())
                return [Observe("arrived")]

    kernel = make_kernel({"idle": idle}, pacer=pacer)
    injected = []

    def inject():
        time.sleep(0.05)
        injected.append(time.monotonic())
        assert pacer.inject("outside", "idle", Message("hello"))

    thread = threading.Thread(target=inject)
    thread.start()
    kernel.run(0.2)
    thread.join(timeout=1.0)

    assert len(handled) == 1
    assert handled[0] - injected[0] < 0.2  # a blind sleep would take two seconds
    assert 0.04 < kernel.observations.samples("arrived")[0].at_s < 0.2
    assert kernel.ledger.sent == kernel.ledger.delivered == 1


def test_a_full_inbox_refuses_and_counts():
    """The inbox is bounded."""
    pacer = WallPacer(inbox_limit=1)

    assert pacer.inject("a", "b", Message("1"))
    assert not pacer.inject("a", "b", Message("2"))
    assert pacer.refused_count == 1
