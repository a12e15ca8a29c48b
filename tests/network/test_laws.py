"""Delay laws: quantiles, means, and the lognormal fit."""

import math
from statistics import NormalDist

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from network.laws import (
    LAWS,
    Constant,
    Exponential,
    Gamma,
    Normal,
    Pareto,
    ShiftedLognormal,
    Table,
    Uniform,
    Weibull,
    incomplete_gamma,
    law,
    phi,
    sampler,
)
from twin.errors import InputError

SAMPLE = [
    Constant(0.02),
    Exponential(0.03, floor_s=0.01),
    Gamma(2.5, 0.01, floor_s=0.002),
    Normal(0.02, 0.015),
    Pareto(0.01, 2.5),
    ShiftedLognormal(0.003, 0.006, 0.025),
    Table([(0.0, 0.01), (0.5, 0.02), (0.9, 0.03), (1.0, 0.2)]),
    Uniform(0.01, 0.05),
    Weibull(0.02, 1.7),
]


def name(delay_law):
    return type(delay_law).__name__


def test_the_lognormal_passes_through_its_median_and_99th_percentile():
    """The fit is exact, whatever the floor."""
    fitted = ShiftedLognormal(0.003, 0.006, 0.025)
    assert fitted.quantile(0.5) == pytest.approx(0.006, rel=1e-12)
    assert fitted.quantile(0.99) == pytest.approx(0.025, rel=1e-12)


def test_the_parameters_of_the_lognormal_are_those_of_the_catalogue():
    """Thread: mu 1.0986, sigma 0.8565 with milliseconds."""
    fitted = ShiftedLognormal(0.003, 0.006, 0.025)
    assert fitted.mu + math.log(1000) == pytest.approx(1.0986, abs=1e-4)
    assert fitted.sigma == pytest.approx(0.8565, abs=1e-4)


@pytest.mark.parametrize("delay_law", SAMPLE, ids=name)
def test_the_mean_is_the_area_under_the_quantile_function(delay_law):
    """Midpoint rule over 20,000 quantiles."""
    count = 20_000 if name(delay_law) != "Gamma" else 2_000
    area_s = math.fsum(delay_law.quantile((i + 0.5) / count) for i in range(count)) / count
    assert area_s == pytest.approx(delay_law.mean(), rel=5e-3)


@pytest.mark.parametrize("delay_law", SAMPLE, ids=name)
@given(st.floats(1e-9, 1 - 1e-9), st.floats(1e-9, 1 - 1e-9))
@settings(max_examples=25)
def test_quantiles_rise_and_are_not_negative(delay_law, u, v):
    """A law of a delay has no negative delays."""
    low_s, high_s = sorted((delay_law.quantile(u), delay_law.quantile(v)))
    assert 0 <= low_s <= high_s
    if u < v:
        assert delay_law.quantile(u) <= delay_law.quantile(v)


@pytest.mark.parametrize("delay_law", SAMPLE, ids=name)
@pytest.mark.parametrize("z", [-2.0, 0.0, 0.5, 3.0])
def test_a_draw_is_the_quantile_of_the_normal_probability(delay_law, z):
    """The copula: delay = F^-1(Phi(z)), also on the lognormal's short way."""
    assert sampler(delay_law)(z) == pytest.approx(delay_law.quantile(NormalDist().cdf(z)), rel=1e-9)


@pytest.mark.parametrize("z", [-40.0, 40.0])
def test_extreme_draws_stay_finite(z):
    """Phi never returns 0 or 1, so no quantile is infinite."""
    assert 0 < phi(z) < 1
    assert all(math.isfinite(sampler(delay_law)(z)) for delay_law in SAMPLE)


def test_the_gamma_law_of_shape_one_is_exponential():
    """Two ways to the same quantile."""
    for u in (0.01, 0.5, 0.99):
        assert Gamma(1.0, 0.02).quantile(u) == pytest.approx(Exponential(0.02).quantile(u), rel=1e-10)


def test_the_incomplete_gamma_function_has_its_tabled_values():
    """P(1/2, x) = erf(sqrt x); chi-squared with 10 degrees of freedom at 18.307 is 0.95."""
    assert incomplete_gamma(0.5, 0.7) == pytest.approx(math.erf(math.sqrt(0.7)), rel=1e-13)
    assert incomplete_gamma(5.0, 18.307 / 2) == pytest.approx(0.95, abs=1e-5)
    assert incomplete_gamma(5.0, 0.0) == 0.0


def test_every_law_has_a_name():
    """The nine names of the scenario file."""
    assert sorted(LAWS) == [
        "constant",
        "exponential",
        "gamma",
        "normal",
        "pareto",
        "shifted_lognormal",
        "table",
        "uniform",
        "weibull",
    ]
    assert law("uniform", low_s=0.0, high_s=1.0) == Uniform(0.0, 1.0)


WRONG = {
    ShiftedLognormal: ({"floor_s": 0.01, "p50_s": 0.005, "p99_s": 0.02}, "floor < p50"),
    Pareto: ({"least_s": 0.01, "shape": 1.0}, "shape > 1"),
    Table: ({"points": [(0.0, 0.01), (0.5, 0.02)]}, "from probability 0 to 1"),
    Constant: ({"delay_s": -1.0}, "negative"),
    Exponential: ({"excess_s": 0.0}, "excess must be above zero"),
    Uniform: ({"low_s": 2.0, "high_s": 1.0}, "low <= high"),
    Normal: ({"centre_s": 1.0, "deviation_s": 0.0}, "deviation > 0"),
    Gamma: ({"shape": 0.0, "scale_s": 1.0}, "shape and scale must be above zero"),
    Weibull: ({"scale_s": 1.0, "shape": 0.0}, "scale and shape must be above zero"),
}


@pytest.mark.parametrize("kind", WRONG, ids=lambda kind: kind.__name__)
def test_parameters_that_make_no_law_are_refused(kind):
    """The message says what was expected."""
    parameters, text = WRONG[kind]
    with pytest.raises(InputError, match=text):
        kind(**parameters)


def test_a_table_must_rise():
    """A distribution function never falls."""
    with pytest.raises(InputError, match="rising"):
        Table([(0.0, 0.02), (1.0, 0.01)])


def test_an_unknown_law_is_refused_with_the_nearest_name():
    """So is a parameter the law does not have."""
    with pytest.raises(InputError, match="did you mean 'shifted_lognormal'"):
        law("shifted_lognorm")
    with pytest.raises(InputError, match="unexpected keyword"):
        law("uniform", low=1)
