import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin.state.jobs.pace import next_step
from twin.state.jobs.plan import RATE_LIMIT, Rollout


def steps(rate, seconds):
    """When so many things are told, for a rate that may depend on how many were."""
    now_s, carry, told, out = 0.0, 0, 0, []
    while now_s < seconds:
        step = next_step(rate(told), carry)
        out.append((now_s, step.things_count))
        told += step.things_count
        carry = step.carry
        now_s += step.wait_s
    return out


def most_in_a_minute(out):
    return max(sum(count for at_s, count in out if start <= at_s < start + 60.0) for start, _ in out)


@given(st.integers(1, RATE_LIMIT))
def test_any_minute_has_at_most_the_rate(per_minute):
    """And exactly the rate, while there are enough things."""
    assert most_in_a_minute(steps(lambda _: per_minute, 200.0)) == per_minute


@given(st.integers(1, RATE_LIMIT), st.floats(1.1, 5.0), st.integers(1, 500))
def test_a_growing_rate_is_not_exceeded_either(per_minute, factor, increase_every):
    """A minute that ends now holds at most what the rate is now."""
    rollout = Rollout(per_minute=per_minute, factor=factor, increase_every=increase_every)
    out = steps(lambda told: rollout.rate(told, 0), 150.0)
    told = 0
    for at_s, count in out:
        rate = rollout.rate(told, 0)
        told += count
        assert sum(each for when, each in out if at_s - 60.0 < when <= at_s) <= rate


@given(st.integers(1, RATE_LIMIT), st.floats(1.1, 5.0), st.integers(0, 10**9))
def test_a_rate_never_falls_and_has_a_limit(per_minute, factor, told):
    """However often it is multiplied."""
    rollout = Rollout(per_minute=per_minute, factor=factor, increase_every=7)

    assert per_minute <= rollout.rate(told, 0) <= rollout.rate(told + 7, 0) <= RATE_LIMIT


def test_the_rate_grows_by_what_succeeded():
    """If the plan says so, what was told alone does not."""
    rollout = Rollout(per_minute=50, factor=2.0, increase_every=1000, increase_by="succeeded")

    assert [rollout.rate(9000, done) for done in (0, 999, 1000, 4999)] == [50, 50, 100, 800]


def test_without_a_rate_a_step_is_a_batch():
    """So that no transaction holds a whole fleet."""
    step = next_step(None, 0)

    assert (step.things_count, step.carry) == (1000, 0)
    assert 0.0 < step.wait_s < math.inf


@pytest.mark.parametrize(("per_minute", "seconds"), [(1, 60.0), (2, 30.0), (60, 1.0), (1000, 1.0)])
def test_a_step_comes_when_it_has_something_to_do(per_minute, seconds):
    """A slow rate does not wake anybody every second."""
    assert next_step(per_minute, 0).wait_s == seconds
