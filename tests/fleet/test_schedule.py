"""Schedules: absolute times in ascending blocks."""

import itertools

import numpy as np
import pytest

from twin.errors import InputError
from twin.mqtt.fleet.schedule import periodic, poisson, replay, until


def flat(schedule, count):
    pairs = ((t, m) for block in schedule for t, m in zip(block.times_s.tolist(), block.members.tolist()))
    return list(itertools.islice(pairs, count))


@pytest.mark.parametrize("spread", ["even", "together", "random"])
def test_each_member_comes_every_period_exactly(spread):
    """The time is k times the period from its phase, not a sum of periods."""
    found = flat(periodic(7, 0.1, spread), 7 * 1_000)
    of = {member: [t for t, m in found if m == member] for member in range(7)}

    assert [t for t, _ in found] == sorted(t for t, _ in found)
    for times in of.values():
        assert len(times) == 1_000
        assert times == pytest.approx([times[0] + k * 0.1 for k in range(1_000)], abs=1e-9)


def test_a_poisson_fleet_has_the_rate_of_its_members():
    """10,000 arrivals at 50 a second take 200 s, within four standard deviations; all members take part."""
    found = flat(poisson(100, 2.0, seed=3), 10_000)
    gaps = np.diff([t for t, _ in found])

    assert found[-1][0] == pytest.approx(200.0, rel=0.04)
    assert gaps.std() == pytest.approx(gaps.mean(), rel=0.05)
    assert {m for _, m in found} == set(range(100))


def test_a_seed_makes_a_poisson_fleet_repeatable():
    """Same seed, same times; another, others."""
    assert flat(poisson(5, 1.0, seed=1), 50) == flat(poisson(5, 1.0, seed=1), 50)
    assert flat(poisson(5, 1.0, seed=1), 50) != flat(poisson(5, 1.0, seed=2), 50)


def test_a_replay_is_sorted_and_cut():
    """Equal times keep the order in which they were given."""
    found = flat(until(replay([3.0, 1.0, 1.0, 9.0], [0, 1, 2, 3]), 5.0), 10)

    assert found == [(1.0, 1), (1.0, 2), (3.0, 0)]


@pytest.mark.parametrize("times", [[-1.0], [float("nan")]])
def test_a_replay_of_impossible_times_is_refused(times):
    """Before the run, not in it."""
    with pytest.raises(InputError):
        replay(times, [0])


def test_a_schedule_without_members_is_refused():
    """Or with a period of nothing."""
    with pytest.raises(InputError):
        periodic(0, 1.0)
    with pytest.raises(InputError):
        poisson(1, 0.0)
