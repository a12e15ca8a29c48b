"""Intervals and tests against published values, theory and their own error rates."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scenarios.judging.statistics import (
    SequentialTest,
    Verdict,
    clean_run_count,
    clopper_pearson,
    holm,
    incomplete_beta,
    paired_difference,
    quantile,
    student_quantile,
)


@pytest.mark.parametrize(
    ("met", "runs", "low", "high"),
    [
        # Clopper and Pearson 1934 and the exact tables of every statistics package, 95 %
        (0, 10, 0.0, 0.3085),
        (1, 10, 0.0025, 0.4450),
        (5, 10, 0.1871, 0.8129),
        (10, 10, 0.6915, 1.0),
        (95, 100, 0.8872, 0.9836),
        (0, 1, 0.0, 0.975),
        (18, 18, 0.8147, 1.0),
        (81, 263, 0.2527, 0.3676),  # Newcombe, Statistics in Medicine 17 (1998) 857, table I
        (15, 148, 0.0578, 0.1617),
        (1, 29, 0.0009, 0.1776),
    ],
)
def test_clopper_pearson_equals_the_published_intervals(met, runs, low, high):
    """To the four digits printed."""
    found = clopper_pearson(met, runs)

    assert (round(found.low, 4), round(found.high, 4)) == (low, high)


def test_without_runs_nothing_is_known():
    """The whole range."""
    found = clopper_pearson(0, 0)

    assert math.isnan(found.estimate)
    assert (found.low, found.high) == (0.0, 1.0)


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 200), st.data())
def test_the_interval_holds_its_estimate_and_mirrors(runs, data):
    """Counting failures instead turns it round."""
    met = data.draw(st.integers(0, runs))
    one, other = clopper_pearson(met, runs), clopper_pearson(runs - met, runs)

    assert one.low <= one.estimate <= one.high
    assert one.low == pytest.approx(1 - other.high, abs=1e-12)


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 60), st.integers(0, 60), st.floats(0.01, 0.99))
def test_the_incomplete_beta_function_is_a_binomial_tail(n, k, p):
    """I_p(k, n - k + 1) = P(at least k of n) (DLMF 8.17.5)."""
    k = min(max(k, 1), n)
    tail = sum(math.comb(n, j) * p**j * (1 - p) ** (n - j) for j in range(k, n + 1))

    assert incomplete_beta(k, n - k + 1, p) == pytest.approx(tail, abs=1e-11)


@pytest.mark.parametrize(
    ("level", "freedom", "value"),
    [
        # every printed table of Student's t
        (0.975, 1, 12.706),
        (0.975, 2, 4.303),
        (0.975, 9, 2.262),
        (0.975, 29, 2.045),
        (0.95, 4, 2.132),
        (0.995, 10, 3.169),
        (0.025, 9, -2.262),
        (0.5, 3, 0.0),
    ],
)
def test_student_quantiles_equal_the_tables(level, freedom, value):
    """To three digits."""
    assert round(student_quantile(level, freedom), 3) == value


@pytest.mark.parametrize(("probability", "count"), [(0.9, 29), (0.95, 59), (0.99, 299), (0.999, 2995)])
def test_runs_without_a_failure_that_show_a_probability(probability, count):
    """Ln 0.05 / ln p, rounded up."""
    assert clean_run_count(probability) == count


@pytest.mark.parametrize(
    ("probability", "indifference", "count"),
    [(0.95, 0.80, 18), (0.99, 0.95, 72), (0.99, 0.97, 145), (0.95, 0.90, 55)],
)
def test_a_perfect_design_is_decided_after_so_many_runs(probability, indifference, count):
    """Wald's bound, ln(0.05 / 0.95) / ln(indifference / probability)."""
    test = SequentialTest(probability, indifference)

    verdicts = [test.add(is_met=True) for _ in range(count)]

    assert verdicts == [None] * (count - 1) + [Verdict.PASS]


def test_a_hopeless_design_fails_after_three_runs():
    """Three failures in a row weigh more than 19 to 1."""
    test = SequentialTest()

    assert [test.add(is_met=False) for _ in range(3)] == [None, None, Verdict.FAIL]


def test_at_the_limit_it_is_inconclusive():
    """A design between the two limits need not be decided."""
    test = SequentialTest(0.95, 0.80, limit=7)

    verdicts = [test.add(is_met=run % 6 != 5) for run in range(7)]

    assert verdicts == [None] * 6 + [Verdict.INCONCLUSIVE]


def test_what_comes_after_the_verdict_changes_nothing():
    """The verdict, its counts and its interval stay."""
    test = SequentialTest()
    for _ in range(18):
        test.add(is_met=True)

    assert test.add(is_met=False) is Verdict.PASS
    assert (test.met_count, test.run_count) == (18, 18)
    assert test.interval == clopper_pearson(18, 18)


@pytest.mark.parametrize(("probability", "indifference"), [(0.8, 0.8), (0.8, 0.9), (1.0, 0.5), (0.5, 0.0)])
def test_a_test_that_can_decide_nothing_is_refused(probability, indifference):
    """Indifference lies below probability."""
    with pytest.raises(ValueError, match="indifference < probability"):
        SequentialTest(probability, indifference)


def _wrong_share(truth, wrong):
    """The share of 2,000 suites with this true probability that end in the wrong verdict."""
    draws = np.random.default_rng(1).random((2000, 200)) < truth
    count = 0
    for suite in draws.tolist():
        test = SequentialTest()
        verdict = next(found for is_met in suite if (found := test.add(is_met)) is not None)
        count += verdict is wrong
    return count / 2000


def test_a_design_that_is_just_good_enough_fails_in_at_most_five_of_a_hundred_suites():
    """The error rate alpha, over 2,000 simulated suites."""
    assert _wrong_share(0.95, Verdict.FAIL) <= 0.05


def test_a_design_at_indifference_passes_in_at_most_five_of_a_hundred_suites():
    """The error rate beta, over 2,000 simulated suites."""
    assert _wrong_share(0.80, Verdict.PASS) <= 0.05


def test_a_paired_difference_has_the_t_interval_of_the_differences():
    """Student's sleep data (Biometrika 6 (1908) 20): mean 1.58, 95 % interval 0.70 to 2.46."""
    first = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]
    second = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]

    found = paired_difference(first, second)

    assert [round(each, 2) for each in found] == [1.58, 0.70, 2.46]


def test_one_pair_says_nothing_about_the_spread():
    """The interval is infinite."""
    assert paired_difference([1.0], [3.0]) == (2.0, -math.inf, math.inf)


def test_pairs_that_do_not_match_are_refused():
    """Common random numbers pair run by run."""
    with pytest.raises(ValueError, match="pairs are needed: 1 and 2 values"):
        paired_difference([1.0], [1.0, 2.0])


def test_holm_multiplies_the_smallest_by_all_and_never_decreases():
    """A worked example: 0.01, 0.04, 0.03, 0.005 of four."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_holm_never_exceeds_one():
    """A probability stays one."""
    assert holm([0.6, 0.9]) == [1.0, 1.0]


@pytest.mark.parametrize(("level", "value"), [(0.0, 1), (0.2, 1), (0.21, 2), (0.5, 3), (0.9, 5), (1.0, 5)])
def test_a_quantile_is_one_of_the_values(level, value):
    """Type inverted_cdf: the smallest value that this share does not exceed."""
    assert quantile([3, 1, 4, 2, 5], level) == value


def test_no_values_have_no_quantile():
    """It is an error, not zero."""
    with pytest.raises(ValueError, match="no values"):
        quantile([], 0.5)
