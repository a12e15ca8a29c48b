"""Bursty loss against its closed forms."""

import math
from itertools import groupby

import pytest

from network.catalogue import loss_presets
from network.stages.gilbert_elliott import GilbertElliott
from twin.errors import InputError
from twin.kernel.randomness import Stream

COUNT = 60_000
PPS = 50.0


def losses(p, r, step_s, bad=1.0, good=0.0):
    stage = GilbertElliott(
        p, r, Stream(11, "l", "ge"), loss_in_bad_ratio=bad, loss_in_good_ratio=good, reference_pps=PPS
    )
    return [stage.release(i * step_s, 100) is None for i in range(COUNT)]


@pytest.mark.parametrize("preset", loss_presets().values(), ids=loss_presets().keys())
@pytest.mark.parametrize("step_s", [0.02, 0.1, 60.0])
def test_the_mean_loss_follows_the_closed_form_at_any_pace(preset, step_s):
    """p/(p+r) (1-h) + r/(p+r) (1-k), within 3 standard errors of a correlated series."""
    p, r, bad, good = preset
    expected = p / (p + r) * bad + r / (p + r) * good
    kept = math.exp(-(p + r) * PPS * step_s)
    error = math.sqrt(expected * (1 - expected) * (1 + kept) / (1 - kept) / COUNT)
    assert sum(losses(p, r, step_s, bad, good)) / COUNT == pytest.approx(expected, abs=3 * error)


@pytest.mark.parametrize("step_s", [0.001, 0.02, 1.0])
@pytest.mark.parametrize(("p", "r"), [(0.005, 0.5), (0.05, 0.5), (0.01, 0.3333)])
def test_the_mean_burst_follows_the_closed_form(p, r, step_s):
    """Runs of losses are geometric: 1 / (1 - P(bad stays bad over one step)), within 3 standard errors."""
    bad_ratio = p / (p + r)
    stays = bad_ratio + (1 - bad_ratio) * math.exp(-(p + r) * PPS * step_s)
    runs = [sum(1 for _ in run) for is_lost, run in groupby(losses(p, r, step_s)) if is_lost]
    error = math.sqrt(stays) / (1 - stays) / math.sqrt(len(runs))
    assert sum(runs) / len(runs) == pytest.approx(1 / (1 - stays), abs=3 * error)


def test_a_bad_spell_lasts_as_long_as_asked():
    """Sampled every millisecond, the mean bad sojourn is (1/r) / pps: 40 ms for r = 0.5 at 50 packets/s."""
    step_s = 0.001
    runs = [sum(1 for _ in run) for is_lost, run in groupby(losses(0.05, 0.5, step_s)) if is_lost]
    assert sum(runs) / len(runs) * step_s == pytest.approx(0.04, rel=0.1)


def test_a_message_a_minute_meets_no_bursts():
    """Clocked in packets, a burst of two would last two minutes; in time it is over long before."""
    runs = [sum(1 for _ in run) for is_lost, run in groupby(losses(0.025, 0.5, 60.0)) if is_lost]
    assert sum(runs) / len(runs) == pytest.approx(1 / (1 - 0.025 / 0.525), rel=0.02)


def test_shares_above_one_are_refused():
    """The error repeats the order of the four figures."""
    with pytest.raises(InputError, match="p r 1-h 1-k"):
        GilbertElliott(1.2, 0.5, Stream(1, "l", "ge"))
