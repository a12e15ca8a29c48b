"""What `--set` says."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scenarios.sweeping.ranges import between, over, precision_in, swept
from twin.errors import InputError


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("50 ms..800 ms/6", ["50 ms", "200 ms", "350 ms", "500 ms", "650 ms", "800 ms"]),
        ("50 ms..800 ms in 4 steps", ["50 ms", "300 ms", "550 ms", "800 ms"]),
        ("100 ms..10 s/3 log", ["100 ms", "1000 ms", "10000 ms"]),
        ("1..10/4", ["1", "4", "7", "10"]),
        ("0..0.2/3", ["0", "0.1", "0.2"]),
        ("0.5 /s..2 /s/4", ["0.5/s", "1/s", "1.5/s", "2/s"]),
        ("1 kB..2 kB/4", ["1 kB", "1.333 kB", "1.667 kB", "2 kB"]),
        ("800 ms..200 ms/3", ["800 ms", "500 ms", "200 ms"]),
        ("2 s, 200 ms", ["200 ms", "2 s"]),
        ("true, false", ["true", "false"]),
        ("slow, medium", ["slow", "medium"]),
        ("edge", ["edge"]),
    ],
)
def test_a_range_or_a_list_becomes_values(text, labels):
    """Evenly spaced, on a logarithmic scale, or as they stand there."""
    assert swept(f"some.key={text}").labels == labels


def test_values_are_what_a_scenario_would_read():
    """Whole numbers stay whole, words of YAML mean what they mean there."""
    assert swept("count=1..7/3").values == [1, 4, 7]
    assert swept('fans=true, "off"').values == [True, "off"]
    assert swept("share=0.1..0.3/3").values == [0.1, 0.2, 0.3]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("no-equals", "expected KEY=VALUES such as 'links.uplink.round_trip=50 ms..800 ms/6'"),
        ("k=5 ms..6 kB", "these units do not go together: 'ms' and 'kB'"),
        ("k=5 ms..5 ms", "a range needs two different ends"),
        ("k=0 s..5 s/4 log", "a logarithmic range needs ends above zero"),
        ("k=1..9/99", "a range has 2 to 60 values; not 99"),
        ("k=a..b", "'a' is no number and no quantity such as '50 ms'"),
        ("k=1, 1", "1 stands there twice"),
        ("k={a: 1}", "each value is a number, a quantity, a word, true or false"),
        ("k=[", "is no list of values"),
        ("k=1\n2", "values are one line"),
    ],
)
def test_what_cannot_be_read_is_said(text, said):
    """In one sentence."""
    with pytest.raises(InputError) as caught:
        swept(text)
    assert said in str(caught.value)


@settings(deadline=None)
@given(st.floats(0.01, 1e4), st.floats(1.1, 1e4), st.integers(2, 60), st.booleans())
def test_a_range_keeps_its_ends_and_its_order(low, factor, count, is_log):
    """Whatever is between is rounded to a hundredth of a step."""
    found = over("key", f"{low} ms", f"{low * factor} ms", count, is_log=is_log)

    assert found.numbers[0] == low
    assert found.numbers[-1] == low * factor
    assert found.numbers == sorted(found.numbers)
    assert len(found.numbers) == count


def test_half_way_is_a_value_of_the_same_kind():
    """Whole where the input is, and none where nothing is between."""
    assert between(swept("k=50 ms..800 ms/6"), 200.0, 350.0) == ("275 ms", 275.0)
    assert between(swept("k=1..9/3"), 4.0, 7.0) == (6, 6.0)
    assert between(swept("k=1..9/3"), 4.0, 5.0) is None


def test_a_precision_is_read_in_the_unit_of_the_input():
    """And refused in another."""
    assert precision_in(swept("k=50 ms..800 ms/6"), "0.01 s") == pytest.approx(10.0)
    with pytest.raises(InputError, match="do not go together"):
        precision_in(swept("k=50 ms..800 ms/6"), "10 kB")
