"""The kernel performs effects in order of time and accounts for every message."""

import math

import pytest

from twin.errors import ConservationError, LimitError
from twin.kernel.behaviour import Drop, LinkChanged, Observe, Received, Send, Started, Wake, Watch, Woken
from twin.kernel.observation import Ledger, Observations, Sample
from twin.message import Message


def pinger(event, _context):
    match event:
        case Started():
            return [Wake(1.0, "ping")]
        case Woken("ping"):
            return [Observe("ping"), Send("echo", Message("ping")), Wake(2.0, "ping")]
        case Received():
            return [Observe("pong")]


def echo(event, _context):
    if isinstance(event, Received):
        return [Send(event.source, Message("pong"))]


def test_a_message_takes_the_carriers_time_each_way(make_kernel):
    """Pings at 1, 3, 5 s come back 2 s later."""
    kernel = make_kernel({"pinger": pinger, "echo": echo})
    kernel.run(6.0)

    assert [sample.at_s for sample in kernel.observations.samples("ping")] == [1.0, 3.0, 5.0]
    assert [sample.at_s for sample in kernel.observations.samples("pong")] == [3.0, 5.0]


def test_all_messages_of_one_chain_share_a_trace(make_kernel):
    """An answer belongs to the chain of its question; the next question starts a new one."""
    kernel = make_kernel({"pinger": pinger, "echo": echo})
    kernel.run(6.0)

    assert [sample.trace for sample in kernel.observations.samples("ping")] == [1, 2, 3]
    assert [sample.trace for sample in kernel.observations.samples("pong")] == [1, 2]


def test_a_traced_run_tells_the_chain_behind_an_observation(make_kernel):
    """Each transfer knows its parent, its ends and its outcome."""
    kernel = make_kernel({"pinger": pinger, "echo": echo}, is_traced=True)
    kernel.run(4.0)

    chain = kernel.transfers.of_trace(1)

    assert [(leg.source, leg.to, leg.sent_s, leg.ended_s, leg.outcome) for leg in chain] == [
        ("pinger", "echo", 1.0, 2.0, "delivered"),
        ("echo", "pinger", 2.0, 3.0, "delivered"),
    ]
    assert chain[1].parent == chain[0].identity


def test_a_held_message_keeps_the_chain_it_came_with(make_kernel):
    """A node that sends later may name the chain it noted when the message came."""
    held = []

    def holder(event, context):
        match event:
            case Received() if not held:
                held.append(context.trace)
                return [Wake(5.0, "flush")]
            case Woken("flush"):
                return [Send("pinger", Message("late"), trace=held[0])]

    kernel = make_kernel({"pinger": pinger, "echo": holder}, is_traced=True)
    kernel.run(9.0)

    assert [leg.topic for leg in kernel.transfers.of_trace(1)] == ["ping", "late"]


def test_a_newer_wake_of_the_same_tag_replaces_the_older(make_kernel):
    """A node has one pending wake a tag."""

    def node(event, _context):
        match event:
            case Started():
                return [Wake(1.0, "a"), Wake(3.0, "a"), Wake(2.0, "b")]
            case Woken(tag):
                return [Observe(tag)]

    kernel = make_kernel({"node": node})
    kernel.run(10.0)

    assert [sample.at_s for sample in kernel.observations.samples("a")] == [3.0]
    assert [sample.at_s for sample in kernel.observations.samples("b")] == [2.0]


def test_an_infinite_wake_cancels(make_kernel):
    """Wake(inf) leaves nothing pending."""

    def node(event, _context):
        if isinstance(event, Started):
            return [Wake(1.0, "a"), Wake(math.inf, "a")]
        return [Observe("woken")]

    kernel = make_kernel({"node": node})
    kernel.run(10.0)

    assert not kernel.observations.samples("woken")


def test_messages_are_delivered_lost_or_in_flight(make_kernel):
    """The ledger adds up, and says where and why."""

    def sender(event, _context):
        match event:
            case Started():
                return [Wake(1.0, "go")]
            case Woken():
                return [Send("sink", Message("a")), Send("gone", Message("b")), Wake(1.0, "go")]

    kernel = make_kernel({"sender": sender, "sink": echo, "gone": echo}, cut=["gone"], delay_s=1.5)
    kernel.run(4.0)

    assert kernel.ledger.sent == 6 + 2
    assert kernel.ledger.lost == {("gone", "cut"): 3}
    assert kernel.ledger.delivered == 2
    assert kernel.in_flight() == 3


def test_a_ledger_that_does_not_add_up_is_an_error():
    """Conservation is checked, not assumed."""
    ledger = Ledger()
    ledger.sent = 3
    ledger.delivered = 1

    with pytest.raises(ConservationError, match="3 messages sent, but 1 delivered"):
        ledger.check(in_flight=1)


def test_a_drop_is_counted_at_its_node(make_kernel):
    """What a node gives up is not lost by the network."""

    def node(event, _context):
        if isinstance(event, Started):
            return [Drop(Message("a"), "expired"), Drop(Message("b"), "expired")]

    kernel = make_kernel({"node": node})
    kernel.run(1.0)

    assert kernel.ledger.given_up == {("node", "expired"): 2}


def test_a_crashed_node_hears_nothing_and_restarts_without_memory(make_kernel):
    """Timers end with the crash; a restart makes a new behaviour and starts it."""
    kernel = make_kernel({"pinger": pinger, "echo": echo})
    kernel.call_at(2.5, lambda: kernel.crash("pinger"))
    kernel.call_at(10.0, lambda: kernel.restart("pinger"))
    kernel.run(12.5)

    assert [sample.at_s for sample in kernel.observations.samples("ping")] == [1.0, 11.0]
    assert kernel.ledger.lost == {("pinger", "node down"): 1}


def test_a_skewed_clock_shows_in_the_nodes_own_time_only(make_kernel):
    """The kernel's time stays true."""

    def node(event, context):
        if isinstance(event, Woken):
            return [Observe("own_time", context.now)]
        return [Wake(2.0, "look")]

    kernel = make_kernel({"node": node})
    kernel.skew("node", 5.0)
    kernel.run(3.0)

    assert kernel.observations.samples("own_time") == [Sample(2.0, "node", 7.0, 1)]


def test_a_node_is_told_that_its_interface_went_down(make_kernel):
    """LinkChanged reaches the behaviour."""

    def node(event, _context):
        if isinstance(event, LinkChanged):
            return [Observe("link_up", float(event.is_up))]

    kernel = make_kernel({"node": node})
    kernel.call_at(1.0, lambda: kernel.link_changed("node", "peer", is_up=False))
    kernel.run(2.0)

    assert [sample.value for sample in kernel.observations.samples("link_up")] == [0.0]


def test_a_watch_wakes_the_node_when_the_world_says_so(make_kernel):
    """The world's notice becomes a Woken with the watch's tag."""

    class Fire:
        def sense(self, _node, _quantity):
            return 20.0

        def actuate(self, _node, _name, _value):
            raise AssertionError

        def watch(self, _node, quantity, threshold, notify):
            assert (quantity, threshold) == ("smoke", 13.0)
            kernel.call_at(7.0, notify)

    def node(event, context):
        match event:
            case Started():
                return [Watch("smoke", 13.0, "smoke")]
            case Woken("smoke"):
                return [Observe("rise", context.sense("smoke"))]

    kernel = make_kernel({"node": node})
    kernel.world = Fire()
    kernel.run(10.0)

    assert [(sample.at_s, sample.value) for sample in kernel.observations.samples("rise")] == [(7.0, 20.0)]


def test_a_looping_behaviour_hits_the_limit_instead_of_hanging(make_kernel):
    """Zero-delay loops end with an error that names the cause."""

    def node(_event, _context):
        return [Wake(0.0, "again")]

    kernel = make_kernel({"node": node}, reaction_limit=1000)

    with pytest.raises(LimitError, match="is a behaviour looping"):
        kernel.run(1.0)


def test_observations_are_bounded():
    """The bound is an error, never a silent loss of data."""
    observations = Observations(limit=2)
    observations.add("a", Sample(0.0, "n", 1.0, 0))
    observations.add("a", Sample(1.0, "n", 1.0, 0))

    with pytest.raises(LimitError, match="observations"):
        observations.add("b", Sample(2.0, "n", 1.0, 0))


def test_a_failing_world_process_fails_the_run(make_kernel):
    """An exception in a SimPy process is not swallowed."""
    kernel = make_kernel({})

    def burn():
        yield kernel.env.timeout(1.0)
        raise ValueError("flashover")

    kernel.process(burn())

    with pytest.raises(ValueError, match="flashover"):
        kernel.run(2.0)


def test_a_busy_run_that_makes_progress_is_not_stopped(make_kernel):
    """The limit is on reactions in almost no time, not on their number."""

    def node(_event, _context):
        return [Wake(0.01, "again")]

    kernel = make_kernel({"node": node}, reaction_limit=10)
    kernel.run(5.0)

    assert kernel.now == 5.0
