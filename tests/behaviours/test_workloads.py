import copy
import math
from itertools import accumulate, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices_models.workloads import Arrivals, Burst, Periodic, Poisson, Replay, filler, read_arrivals
from twin.errors import InputError
from twin.kernel.behaviour import Received, Send, Started, Wake, Woken
from twin.message import Message

NEXT = Woken("next")


def run(workload, context, limit=1_000):
    """(time, payload size) of each message until the workload falls silent or `limit` wakes passed."""
    effects, sent = workload.react(Started(), context), []
    for _ in range(limit):
        sent += [(context.now, len(effect.message.payload)) for effect in effects if type(effect) is Send]
        wakes = [effect for effect in effects if type(effect) is Wake]
        if not wakes:
            return sent
        context.now += wakes[0].after_s
        effects = workload.react(NEXT, context)
    return sent


def test_replay_sends_at_the_given_times(at_node):
    """Every time is met to the bit."""
    times_s = [0.0, 0.1, 0.30000000000000004, 7.5, 1000.1]

    assert run(Replay("gateway", times_s), at_node()) == [(time_s, 200) for time_s in times_s]


@settings(max_examples=100)
@given(st.lists(st.floats(1e-6, 1e3), min_size=1, max_size=50))
def test_replay_drifts_at_no_gap(at_node, gaps_s):
    """Adding the gaps up again gives the times within one unit in the last place."""
    times_s = list(accumulate(gaps_s))

    sent = [time_s for time_s, _ in run(Replay("gateway", times_s), at_node())]

    assert len(sent) == len(times_s)
    assert all(abs(s - t) <= math.ulp(t) * len(times_s) for s, t in zip(sent, times_s))


def test_replay_reuses_one_send(at_node):
    """The hot path allocates no message."""
    replay = Replay("gateway", [1.0, 2.0, 3.0], qos=1, topic="t", payload_bytes=2)
    context = at_node()
    replay.react(Started(), context)

    first, second = replay.react(NEXT, context)[0], replay.react(NEXT, context)[0]

    assert first == Send("gateway", Message("t", b"{}", qos=1))
    assert first is second


def test_replay_gives_each_message_its_own_size(at_node):
    """`sizes_bytes` goes with `times_s`."""
    replay = Replay("gateway", [1.0, 2.0, 4.0], [10, 0, 300])

    assert run(replay, at_node()) == [(1.0, 10), (2.0, 0), (4.0, 300)]


def test_a_restarted_replay_goes_on_with_the_times_to_come(at_node):
    """What would have been sent while the node was down is not made up for."""
    context = at_node()
    context.now = 2.5

    assert run(Replay("gateway", [1.0, 2.0, 3.0, 4.0], [1, 2, 3, 4]), context) == [(3.0, 3), (4.0, 4)]


def test_an_empty_replay_is_silent(at_node):
    """No times, no messages."""
    assert run(Replay("gateway"), at_node()) == []


def test_a_replay_can_be_copied_in_mid_run(at_node):
    """Its attributes are its whole state, so a copy goes on independently."""
    context = at_node()
    replay = Replay("gateway", [1.0, 2.0, 4.0])
    replay.react(Started(), context)
    replay.react(NEXT, context)

    fork = copy.deepcopy(replay)

    assert fork.react(NEXT, context) == replay.react(NEXT, context)
    assert len(replay.react(NEXT, context)) == 1


def test_periodic_starts_at_a_random_phase_and_keeps_its_period(at_node):
    """The phase lies within the first period."""
    times_s = [time_s for time_s, _ in run(Periodic("gateway", every_s=10.0), at_node(), 5)]

    assert 0.0 <= times_s[0] < 10.0
    assert [later - earlier for earlier, later in pairwise(times_s)] == pytest.approx([10.0] * 3)


def test_jitter_stays_within_its_share_of_the_period(at_node):
    """With 10 % every gap of 10 s lies between 9 and 11 s, and they differ."""
    workload = Periodic("gateway", every_s=10.0, jitter_ratio=0.1)
    times_s = [time_s for time_s, _ in run(workload, at_node())]
    gaps_s = [later - earlier for earlier, later in pairwise(times_s)]

    assert 9.0 <= min(gaps_s) < max(gaps_s) <= 11.0 + 1e-9


def test_poisson_gaps_have_mean_and_deviation_of_the_exponential_law(at_node):
    """At 4 /s both are 0.25 s, within three standard errors of 5,000 draws."""
    times_s = [time_s for time_s, _ in run(Poisson("gateway", rate_per_s=4.0), at_node(), 5_001)]
    gaps_s = [later - earlier for earlier, later in pairwise(times_s)]
    mean_s = sum(gaps_s) / len(gaps_s)
    deviation_s = math.sqrt(sum((gap_s - mean_s) ** 2 for gap_s in gaps_s) / len(gaps_s))

    assert mean_s == pytest.approx(0.25, abs=3 * 0.25 / math.sqrt(5_000))
    assert deviation_s == pytest.approx(0.25, abs=3 * 0.25 * math.sqrt(2.0 / 5_000))


def test_a_burst_sends_all_at_once(at_node):
    """Three messages a period, in one instant."""
    sent = run(Burst("gateway", count=3, every_s=5.0), at_node(), 3)

    assert [time_s for time_s, _ in sent] == [sent[0][0]] * 3 + [sent[3][0]] * 3
    assert sent[3][0] - sent[0][0] == pytest.approx(5.0)


@pytest.mark.parametrize("workload", [Periodic, Poisson, Burst, Replay])
def test_a_workload_sends_where_and_what_it_is_told(workload, at_node):
    """`to` wins over the gateway; without a topic it is the node's telemetry; answers are ignored."""
    context = at_node("w-001")
    times = {"times_s": [1.0]} if workload is Replay else {}
    device = workload("gateway", to="broker", **times)
    device.react(Started(), context)

    sent = next(iter(device.react(NEXT, context)))

    assert (sent.to, sent.message.topic) == ("broker", f"{workload.__name__.lower()}/w-001/telemetry")
    assert device.react(Received(Message("x"), "broker", 0.0), context) == ()


@pytest.mark.parametrize("size_bytes", [0, 1, 2, 200])
def test_filler_has_exactly_the_size_asked_for(size_bytes):
    """The payload is valid JSON from one byte on."""
    assert len(filler(size_bytes)) == size_bytes


def test_a_table_of_arrivals_is_read(tmp_path):
    """Columns `seconds` and `bytes`."""
    table = tmp_path / "arrivals.csv"
    table.write_text("seconds,bytes\n0.5,100\n2,40\n")

    assert read_arrivals(table) == Arrivals([0.5, 2.0], [100, 40])


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("time\n1\n", "arrivals.csv:1: expected the columns 'seconds' or 'seconds,bytes', not 'time'"),
        (
            "seconds\n2\n1\n",
            "arrivals.csv:3: times must be finite and ascend from 0, but 1.0 follows 2.0",
        ),
        ("seconds\nsoon\n", "arrivals.csv:2: expected seconds (and whole bytes), not {'seconds': 'soon'}"),
        ("seconds,bytes\n1,-1\n", "arrivals.csv:2: a payload has 0 to 268,435,455 bytes, not -1"),
        ("seconds\nnan\n", "arrivals.csv:2: times must be finite and ascend from 0, but nan follows 0.0"),
    ],
)
def test_a_bad_table_is_refused_with_its_line(text, complaint, tmp_path):
    """The message says where and what was expected."""
    table = tmp_path / "arrivals.csv"
    table.write_text(text)

    with pytest.raises(InputError) as error:
        read_arrivals(table)

    assert str(error.value) == complaint


def test_a_missing_table_is_an_input_error(tmp_path):
    """A traceback helps nobody."""
    with pytest.raises(InputError, match=r"none\.csv: cannot be read"):
        read_arrivals(tmp_path / "none.csv")


def test_a_payload_larger_than_mqtt_allows_is_refused():
    """MQTT's remaining length ends at 268,435,455 bytes."""
    with pytest.raises(InputError, match="not 268,435,456"):
        filler(268_435_456)
