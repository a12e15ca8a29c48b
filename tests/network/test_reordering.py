"""What a sender makes of data that came twice, and of acknowledgements that did not come."""

import pytest

from network.reordering import LASTING_COUNT, Reordering
from network.tcp import late_timer_s
from tests.network.test_tcp import ONE_WAY_S, pair
from twin.message import Message

ROUND_TRIP_S = 2 * ONE_WAY_S
STEP_S = ROUND_TRIP_S / 4


def window_s(reordering, *, is_repairing=False):
    return reordering.window_s(STEP_S, ROUND_TRIP_S, is_repairing=is_repairing)


def test_what_came_twice_is_believed_to_be_reordering():
    """From then on repairs wait for the window as well (tcp_rack_reo_wnd)."""
    reordering = Reordering()
    assert (window_s(reordering), window_s(reordering, is_repairing=True)) == (STEP_S, 0.0)
    reordering.note(1.0)
    reordering.learn(0.9, ROUND_TRIP_S)
    assert not reordering.is_seen
    reordering.learn(1.0, ROUND_TRIP_S)
    assert reordering.is_seen
    assert (window_s(reordering), window_s(reordering, is_repairing=True)) == (STEP_S, STEP_S)


def test_the_window_widens_by_a_step_a_round_trip_up_to_a_round_trip():
    """RFC 8985, 6.2: two that come together are one step."""
    reordering = Reordering()
    widths = []
    for number in range(6):
        reordering.note(float(number))
        reordering.note(number + ROUND_TRIP_S / 2)
        reordering.learn(number + 0.5, ROUND_TRIP_S)
        widths.append(window_s(reordering))
    assert widths == pytest.approx([2 * STEP_S, 3 * STEP_S, 4 * STEP_S] + [ROUND_TRIP_S] * 3)


def test_what_a_probe_repeated_widens_the_window_only_if_a_repair_began_meanwhile():
    """Otherwise the sender knows what it was for (FLAG_DSACK_TLP)."""
    widths = []
    for begins in (False, True):
        reordering = Reordering()
        for at_s in (0.0, 1.0):
            reordering.note(at_s, is_probe=True)
            if begins:
                reordering.repair()
            reordering.learn(at_s, ROUND_TRIP_S)
        widths.append(window_s(reordering))
    assert widths == [STEP_S, 2 * STEP_S]


def test_the_window_is_narrow_again_after_sixteen_recoveries():
    """TCP_RACK_RECOVERY_THRESH."""
    reordering = Reordering()
    for at_s in (0.0, 1.0):
        reordering.note(at_s)
    reordering.learn(1.0, ROUND_TRIP_S)
    for _ in range(LASTING_COUNT - 1):
        reordering.recovered()
    assert window_s(reordering) == 2 * STEP_S
    reordering.recovered()
    assert window_s(reordering) == STEP_S


def test_after_a_probe_of_what_is_underway_three_acknowledgements_tell_nothing_at_once(timeline, fates):
    """At 0.42 s the time is over, and the message sent at 0.3 s is sent again: it comes twice."""
    seconds = []
    for second_s in (0.05, 0.3):
        network = pair(fates("lost", "passed", "passed", "lost"))
        timeline.arrived.clear()
        begin_s = timeline.now
        timeline.send_at(begin_s, network, "a", "b")
        timeline.send_at(begin_s + second_s, network, "a", "b")
        for number in range(4):
            timeline.send_at(begin_s + 5 + number / 100, network, "a", "b")
        timeline.run()
        seconds.append(timeline.times[2] - begin_s - 5)
    assert seconds[0] == pytest.approx(0.03 + ROUND_TRIP_S + ONE_WAY_S)
    wait_s = STEP_S - 0.01
    assert seconds[1] == pytest.approx(0.01 + ROUND_TRIP_S + late_timer_s(wait_s) + ONE_WAY_S)


def test_the_next_acknowledgement_says_what_a_lost_one_said(timeline, fates):
    """One lost and one not: both messages are known to have arrived."""
    network = pair(back=[fates("lost")])
    timeline.send_at(0.0, network, "a", "b")
    timeline.run()
    flow = network._connections._flows["a", "b"]
    flow.take_acks(1.0)
    assert flow.window.out_count == 1
    timeline.send_at(1.0, network, "a", "b")
    timeline.run()
    flow.take_acks(2.0)
    assert flow.window.out_count == 0


def test_an_acknowledgement_is_lost_with_the_message_that_carries_it(timeline, fates):
    """The answer, sent again after its time-out, says it too."""
    network = pair(back=[fates("passed", "passed", "lost")])
    timeline.send_at(0.0, network, "a", "b")
    timeline.send_at(ONE_WAY_S + 0.01, network, "b", "a")
    timeline.send_at(1.0, network, "a", "b")
    timeline.send_at(1.0 + ONE_WAY_S + 0.01, network, "b", "a", Message("lost"))
    timeline.run(until_s=1.0 + ROUND_TRIP_S + 0.02)
    flow = network._connections._flows["a", "b"]
    flow.take_acks(timeline.now)
    assert flow.window.out_count == 1
    timeline.run()
    flow.take_acks(timeline.now + 1)
    assert flow.window.out_count == 0
    assert timeline.arrived[-1][2] == "lost"


def test_a_sender_whose_acknowledgements_are_all_lost_asks_for_them(timeline, fates):
    """Ten messages fill the window; the eleventh leaves when the probe's acknowledgement is back."""
    network = pair(back=[fates(*["lost"] * 10)])
    for _ in range(11):
        timeline.send_at(0.0, network, "a", "b")
    timeline.run()
    probe_s = 0.2 + ROUND_TRIP_S
    assert timeline.times == [pytest.approx(ONE_WAY_S)] * 10 + [
        pytest.approx(probe_s + ROUND_TRIP_S + ONE_WAY_S, abs=0.03)
    ]


@pytest.mark.parametrize(
    ("wait_s", "least_s", "most_s"), [(0.055, 0.056, 0.066), (0.42, 0.422, 0.456), (3.0, 3.0, 3.26)]
)
def test_a_timer_goes_off_late_by_what_the_wheel_is_coarse(wait_s, least_s, most_s):
    """Never early; by 4 ms at most below 0.25 s, by 32 ms below 2 s, by 256 ms below 16 s."""
    assert least_s <= late_timer_s(wait_s) <= most_s
