"""The congestion window of a sender of segments."""

from hypothesis import given
from hypothesis import strategies as st

from network.window import LOSS, OPEN, RECOVERY, Window

ACTS = st.lists(st.sampled_from(["send", "ack", "gap", "lose", "time out"]), max_size=200)


def grown(window, rounds):
    """Send what the window allows and let all of it be acknowledged, so many times."""
    sent = edge = 0
    for _ in range(rounds):
        while not window.is_full:
            sent += 1
            window.send(1, sent)
        while edge < sent:
            edge += 1
            window.acknowledge(1, 1, edge)
    return sent


def test_a_sender_that_always_has_something_doubles_its_window_each_round_trip():
    """Slow start from ten segments (RFC 5681, RFC 6928)."""
    window = Window()
    grown(window, 3)
    assert window.count == 80


def test_a_sender_of_few_segments_keeps_its_window():
    """One at a time is no proof that more would get through (RFC 7661)."""
    window = Window()
    for number in range(1, 100):
        window.send(1, number)
        window.acknowledge(1, 1, number)
    assert window.count == 10


def test_a_loss_halves_the_window_and_it_grows_by_one_a_round_trip():
    """Fast recovery, then congestion avoidance (RFC 5681)."""
    window = Window()
    for number in range(1, 11):
        window.send(1, number)
    window.acknowledge(1, 0, 0)
    window.lose(1)
    window.recover(10)
    assert window.state == RECOVERY
    window.send(1, 10)
    for _ in range(8):
        window.acknowledge(1, 0, 0)
    window.acknowledge(1, 1, 10)
    assert (window.state, window.count, window.out_count) == (OPEN, 5, 0)
    sent = edge = 10
    for _ in range(5):
        while not window.is_full:
            sent += 1
            window.send(1, sent)
        while edge < sent:
            edge += 1
            window.acknowledge(1, 1, edge)
    assert window.count in {9, 10}


def test_while_a_loss_is_repaired_half_of_what_arrives_is_sent():
    """PRR: ten were underway, nine arrive, and four or five leave beside the repair (RFC 6937)."""
    window = Window()
    for number in range(1, 11):
        window.send(1, number)
    window.acknowledge(1, 0, 0)
    window.lose(1)
    window.recover(10)
    leaving = 0
    for _ in range(9):
        while not window.is_full:
            window.send(1, 11)
            leaving += 1
        window.acknowledge(1, 0, 0)
    assert leaving in {5, 6}


def test_a_time_out_leaves_one_segment():
    """And slow start up to half of what was (RFC 5681, 3.1)."""
    window = Window()
    for number in range(1, 5):
        window.send(1, number)
    window.lose(4)
    window.time_out(4)
    assert (window.state, window.count, window.threshold_count) == (LOSS, 1, 5)
    window.send(1, 4)
    window.acknowledge(1, 1, 2)
    assert window.count == 2
    window.acknowledge(0, 0, 4)
    assert window.state == OPEN


def test_a_window_that_was_not_used_falls_back_to_the_first():
    """Half for each time-out (RFC 2861)."""
    window = Window()
    grown(window, 3)
    window.rest(0.0, 1.0, 0.5)
    assert window.count == 20
    window.rest(0.0, 9.0, 0.5)
    assert window.count == 10


@given(ACTS)
def test_a_window_always_lets_something_out_when_nothing_is_underway(acts):
    """Whatever happens: nobody waits for ever."""
    window = Window()
    sent = edge = 0
    for act in acts:
        if act == "send" and not window.is_full:
            sent += 1
            window.send(1, sent)
        elif act == "ack" and window.out_count:
            edge = min(edge + 1, sent)
            window.acknowledge(1, 1, edge)
        elif act == "gap" and window.out_count:
            window.acknowledge(1, 0, edge)
        elif act == "lose" and window.out_count:
            window.lose(1)
            window.recover(sent)
        elif act == "time out" and window.out_count:
            window.lose(window.out_count)
            window.time_out(sent)
        assert window.count >= 1 or window.out_count
        assert window.out_count >= 0
