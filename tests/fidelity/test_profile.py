"""What was measured live, written, read, and used by the simulation."""

import numpy as np
import pytest

from scenarios.fidelity.profile import (
    BrokerTimes,
    Profile,
    Spread,
    profile_of,
    read_profile,
    station_of,
    text_of,
    with_profile,
)
from scenarios.fidelity.running import lasting, record_virtual
from scenarios.shipped import load
from scenarios.wiring.nodes import make_station
from twin.errors import InputError, MissingEnvironmentError
from twin.kernel.randomness import Streams
from twin.live.real_broker import Times


def measured(*, p50_s=0.001, p99_s=0.004):
    spread = Spread.model_construct(count=500, p50_s=p50_s, p99_s=p99_s)
    return Profile(profile=1, source="measured", brokers={"broker": BrokerTimes(stay=spread)})


def test_the_station_has_the_quantiles_that_were_measured():
    """A lognormal law through both: a million draws have them within one per cent."""
    station = make_station(
        station_of(measured().brokers["broker"].stay), lambda: Streams(1).stream("b", "service")
    )
    draws = np.array([station.service() for _ in range(200_000)])

    assert np.quantile(draws, 0.5) == pytest.approx(0.001, rel=0.01)
    assert np.quantile(draws, 0.99) == pytest.approx(0.004, rel=0.02)


def test_the_simulation_takes_what_was_measured():
    """Every chain comes through the broker twice, and no longer than that: of a fifth nothing was lost."""
    variant = lasting(load("alarm_drill").variants[0], 8.0)
    profiled = with_profile(variant, measured(p50_s=0.010, p99_s=0.0101))
    plain, slower = (record_virtual(each, 1).chains["alarm => gate_command"] for each in (variant, profiled))
    undisturbed_s = [
        np.quantile([chain.latency_s for chain in each.values()], 0.2) for each in (plain, slower)
    ]

    assert undisturbed_s[1] - undisturbed_s[0] == pytest.approx(0.020, abs=0.002)
    assert variant.hash != profiled.hash


def test_a_profile_survives_its_file(tmp_path):
    """Times with their units, and the same again."""
    times = Times()
    times.stay_s.extend([0.001] * 98 + [0.004] * 2)
    times.connect_s.extend([0.002] * 3)
    profile = profile_of({"broker": times}, {"broker": "mosquitto at mqtt://b"}, "x", "now", "here")
    path = tmp_path / "profile.yaml"
    path.write_text(text_of(profile))

    assert read_profile(path) == profile
    assert "p99: 4 ms" in path.read_text()
    assert profile.brokers["broker"].connect is None


def test_too_little_is_no_profile():
    """One sentence says how much is needed."""
    with pytest.raises(MissingEnvironmentError, match="only 0 publications came through 'broker'"):
        profile_of({"broker": Times()}, {}, "x", "now", "here")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("profile: 2", "profile: Input should be 1"),
        ("{profile: 1, source: guessed, brokers: {}}", "source: Input should be 'measured'"),
        ("[1", "is no YAML"),
        (
            "{profile: 1, source: measured, brokers: {b: {stay: {count: 1, p50: 3, p99: 4 ms}}}}",
            "brokers.b.stay.p50",
        ),
        (
            "{profile: 1, source: measured, brokers: {b: {stay: {count: 1, p50: 5 ms, p99: 4 ms}}}}",
            "expected 0 < p50 <= p99",
        ),
    ],
)
def test_a_file_that_is_no_profile_is_one_sentence(tmp_path, text, sentence):
    """It names the file, the place and what was expected."""
    path = tmp_path / "p.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=sentence) as caught:
        read_profile(path)
    assert "p.yaml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_profile_of_another_broker_is_refused():
    """The message names the brokers that could take one."""
    taken = with_profile(load("alarm_drill").variants[0], measured())
    with pytest.raises(InputError, match=r"the profile is of broker; brokers of 'base' .*: none"):
        with_profile(taken, measured())
