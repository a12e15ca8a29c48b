"""How wrong a twin is: hand-computed integrals, and laws over random histories."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin.state.truth import Divergence, Mirrored, Truth


def told(truth, value, event_s, now_s, desired=None):
    truth.mirror("twin", "gate", {"gate": Mirrored(value, event_s)}, desired or {}, now_s)


def only(truth, now_s):
    (figures,) = truth.figures(now_s)
    return figures


def history():
    """Closed; open from 10 s, reported at 14 s as of 10 s; closed again at 20 s, which nobody reports."""
    ended = []
    truth = Truth(lambda *each: ended.append(each))
    truth.know("gate", {"gate": "closed"}, 0.0)
    told(truth, "closed", 0.0, 0.0)
    truth.know("gate", {"gate": "open"}, 10.0)
    told(truth, "open", 10.0, 14.0)
    truth.know("gate", {"gate": "closed"}, 20.0)
    return truth, ended


def test_the_age_is_that_of_the_event_and_not_of_its_arrival():
    """0 to 14 s it grows from 0 to 14; then from 4 to 20: (98 + 192) / 30."""
    truth, _ = history()

    assert only(truth, 30.0).age_s == pytest.approx((14**2 / 2 + (20**2 - 4**2) / 2) / 30)


def test_the_quantile_of_the_age_is_that_over_time():
    """95 % of 30 s is 28.5 s; above 14 only the second slope counts, so it is 20 - 1.5."""
    truth, _ = history()

    assert only(truth, 30.0).age_p95_s == pytest.approx(18.5)


def test_staleness_grows_while_the_twin_is_wrong_and_is_nothing_while_it_is_right():
    """Wrong from 10 to 14 s and from 20 s on: (4^2 + 10^2) / 2 / 30; 14 of 30 s."""
    figures = only(history()[0], 30.0)

    assert figures.staleness_s == pytest.approx((4**2 + 10**2) / 2 / 30)
    assert figures.wrong_share == pytest.approx(14 / 30)


def test_a_divergence_is_listed_while_it_lasts_and_told_when_it_is_over():
    """The first is over at 14 s; the second stands, and is told of at the end."""
    truth, ended = history()

    assert ended == [("twin", "diverged", 4.0)]
    assert truth.divergences("twin") == [Divergence("gate", "gate", "open", "closed", 20.0)]
    truth.finish(30.0)
    assert ended[1:] == [("twin", "diverged", 10.0)]


def test_a_wrong_twin_becomes_right_when_truth_comes_back_to_it():
    """Nobody had to report anything."""
    truth, ended = history()
    truth.know("gate", {"gate": "open"}, 26.0)

    assert ended[1:] == [("twin", "diverged", 6.0)]


def test_a_wish_is_unmet_until_the_device_is_so():
    """Not until the twin knows that it is so."""
    truth, ended = history()
    told(truth, "open", 10.0, 21.0, {"gate": "open"})
    truth.know("gate", {"gate": "open"}, 24.0)

    assert ("twin", "unmet", 3.0) in ended


def test_what_was_never_reported_is_not_wrong_and_has_no_age():
    """The time counts from the first report on."""
    truth = Truth()
    truth.know("gate", {"gate": "closed"}, 0.0)
    truth.mirror("twin", "gate", {}, {"gate": "open"}, 1.0)
    assert list(truth.figures(10.0)) == []

    told(truth, "closed", 20.0, 20.0)
    assert only(truth, 30.0).age_s == pytest.approx(5.0)
    assert only(truth, 30.0).unknown_share == 0.0


def test_a_twin_that_lost_its_memory_is_unknown_and_not_wrong():
    """5 of 20 s."""
    truth = Truth()
    truth.know("gate", {"gate": "closed"}, 0.0)
    told(truth, "open", 0.0, 0.0)
    truth.forget("twin", 10.0)
    told(truth, "closed", 15.0, 15.0)

    figures = only(truth, 20.0)
    assert (figures.unknown_share, figures.wrong_share) == (0.25, pytest.approx(10 / 15))


def test_numbers_are_compared_as_json_has_them():
    """1 is 1.0, and true is no number."""
    truth = Truth()
    truth.know("gate", {"gate": 1}, 0.0)
    told(truth, 1.0, 0.0, 0.0)
    assert truth.divergences("twin") == []
    told(truth, True, 0.0, 1.0)
    assert len(truth.divergences("twin")) == 1


def test_two_twins_of_one_thing_are_measured_apart():
    """An edge and a cloud."""
    truth = Truth()
    truth.know("gate", {"gate": 1}, 0.0)
    truth.mirror("edge", "gate", {"gate": Mirrored(1, 0.0)}, {}, 0.0)
    truth.mirror("cloud", "gate", {"gate": Mirrored(0, 0.0)}, {}, 0.0)

    assert [each.wrong_share for each in truth.figures(10.0)] == [0.0, 1.0]


steps = st.lists(
    st.tuples(
        st.floats(0.01, 10.0), st.sampled_from(["know", "tell"]), st.integers(0, 2), st.floats(0.0, 5.0)
    ),
    min_size=1,
    max_size=40,
)


@given(steps)
def test_exact_integrals_equal_fine_sampling(history):
    """Over any history, within the width of a sample."""
    truth, now_s = Truth(), 0.0
    truth.know("gate", {"gate": 0}, 0.0)
    told(truth, 0, 0.0, 0.0)
    true, said, event_s, right_s = 0, 0, 0.0, 0.0
    sums, width_s = [0.0, 0.0, 0.0], 0.01
    for gap_s, what, value, late_s in history:
        count = math.ceil(gap_s / width_s)
        for number in range(count):
            at_s = now_s + (number + 0.5) * gap_s / count
            right_s = at_s if true == said else right_s
            each = (at_s - event_s, at_s - right_s, float(true != said))
            sums = [total + one * gap_s / count for total, one in zip(sums, each)]
        if true == said:
            right_s = now_s + gap_s
        now_s += gap_s
        if what == "know":
            true = value
            truth.know("gate", {"gate": value}, now_s)
        else:
            said, event_s = value, max(0.0, now_s - late_s)
            told(truth, said, event_s, now_s)
    figures = only(truth, now_s)

    assert figures.age_s == pytest.approx(sums[0] / now_s, rel=1e-6, abs=1e-6)
    assert figures.staleness_s == pytest.approx(sums[1] / now_s, rel=0.02, abs=0.02)
    assert figures.wrong_share == pytest.approx(sums[2] / now_s, abs=1e-6)
