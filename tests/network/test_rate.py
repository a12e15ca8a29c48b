"""The rate stage equals a queue that is stepped event by event."""

from collections import deque
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from network.stages.medium import Medium
from network.stages.rate import Rate
from twin.errors import InputError

arrivals = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 20)), min_size=1, max_size=60)


def event_by_event(jobs, rate_bps, queue_bytes):
    """A queue of messages and a transmitter that sends the bits of its head, in exact numbers."""
    queue, releases, now = deque(), {}, Fraction(0)
    for number, (at_s, size_bytes) in enumerate(jobs):
        elapsed = at_s - now
        while queue and queue[0][1] <= elapsed * rate_bps:
            head, bits = queue.popleft()
            elapsed -= bits / rate_bps
            releases[head] = at_s - elapsed
        if queue:
            queue[0][1] -= elapsed * rate_bps
        now = at_s
        if sum(bits for _, bits in queue) + size_bytes * 8 <= queue_bytes * 8:
            queue.append([number, Fraction(size_bytes * 8)])
    for head, bits in queue:
        now += bits / rate_bps
        releases[head] = now
    return [releases.get(number) for number in range(len(jobs))]


@given(arrivals, st.sampled_from([8, 16, 64]), st.sampled_from([10, 25, 1000]))
@settings(max_examples=100)
def test_lindley_equals_the_event_by_event_queue(gaps, rate_bps, queue_bytes):
    """Same releases and the same drops, for every pattern of arrivals (all times are exact in binary)."""
    at_s, jobs = Fraction(0), []
    for gap, size_bytes in gaps:
        at_s += Fraction(gap, 8)
        jobs.append((at_s, size_bytes))
    stage = Rate(rate_bps, queue_bytes)
    assert [stage.release(float(t), size) for t, size in jobs] == event_by_event(jobs, rate_bps, queue_bytes)


@given(arrivals)
@settings(max_examples=50)
def test_releases_keep_the_order_of_arrival(gaps):
    """First in, first out."""
    stage, now, releases = Rate(8.0, 100), 0.0, []
    for gap, size_bytes in gaps:
        now += gap / 8
        release_s = stage.release(now, size_bytes)
        if release_s is not None:
            assert release_s >= now + size_bytes
            releases.append(release_s)
    assert releases == sorted(releases)


def test_a_medium_adds_only_what_exceeds_a_frame():
    """Two frames of 10 bytes at 80 bit/s: the first is covered by the delay law, the rest is not."""
    medium = Medium(80, frame_bytes=10)
    assert medium.release(0.0, 10) == 0.0
    assert medium.release(0.0, 20) == 1.0 + 1.0
    assert medium.release(0.0, 5) == 3.0


def test_a_full_medium_drops():
    """The same bound as a rate."""
    medium = Medium(80, frame_bytes=10, queue_bytes=10)
    assert [medium.release(0.0, 10), medium.release(0.5, 10)] == [0.0, None]


def test_a_rate_of_nothing_is_refused():
    """It would never send."""
    with pytest.raises(InputError, match="above zero"):
        Rate(0.0)
    with pytest.raises(InputError, match="above zero"):
        Medium(0.0, 10)
