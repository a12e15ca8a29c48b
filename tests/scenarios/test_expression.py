"""The grammar of requirements, and where it says what is wrong."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scenarios.format.expression import (
    After,
    BytesLeaving,
    ChainLatency,
    Clause,
    During,
    Expression,
    ExpressionError,
    Latency,
    Limit,
    Measure,
    Name,
    Share,
    Statistic,
    parse,
)


def test_a_latency_between_two_measures():
    """`a -> b` runs from the first a to b at each node."""
    text = "max(alarm -> gate_open) < 35 s"

    assert parse(text) == Expression(
        (
            Clause(
                Statistic("max", Latency(Name("alarm", 4), Name("gate_open", 13))),
                "<",
                Limit(35.0, "time", "35 s"),
                text,
            ),
        )
    )


def test_a_latency_along_a_chain_in_a_window():
    """`a => b` follows one message chain; the window stands inside the brackets."""
    (clause,) = parse("p99.9(request=>response during partition) <= 2 s").clauses

    metric = ChainLatency(Name("request", 6), Name("response", 15), During(Name("partition", 31)))
    assert clause.value == Statistic("quantile", metric, pytest.approx(0.999))


def test_a_share_of_samples():
    """A share compares each sample, then itself."""
    (clause,) = parse("share(temperature after 5 min < 300 K) >= 95 %").clauses

    metric = Measure(Name("temperature", 6), After(300.0, "5 min"))
    assert clause.value == Share(metric, "<", Limit(300.0, "kelvin", "300 K"))
    assert clause.limit == Limit(0.95, "ratio", "95 %")


def test_bytes_that_leave_a_place():
    """Zero needs no unit."""
    (clause,) = parse("bytes(personal, leaving singapore) == 0").clauses

    assert clause.value == BytesLeaving(Name("personal", 6), Name("singapore", 24))
    assert clause.limit == Limit(0.0, "size", "0")


def test_clauses_are_joined_by_and():
    """Each clause keeps its own text."""
    parsed = parse("count(alarm) > 0 and max(alarm) == 1 and rate(alarm) < 5 /min")

    assert [each.text for each in parsed.clauses] == [
        "count(alarm) > 0",
        "max(alarm) == 1",
        "rate(alarm) < 5 /min",
    ]
    assert parsed.clauses[2].limit.value == pytest.approx(5 / 60)


def test_an_expression_knows_every_name_it_uses():
    """The loader looks them up."""
    parsed = parse("max(a -> b during cut) < 1 s and sum(c) == 0 and bytes(all, leaving sg) == 0")

    assert [each.text for each in parsed.measures] == ["a", "b", "c"]
    assert [each.text for each in parsed.faults] == ["cut"]
    assert [each.text for each in parsed.scopes] == ["sg"]


@pytest.mark.parametrize(
    ("text", "column", "message"),
    [
        ("", 0, "expected a function such as max, p99, count or share; the text ends"),
        ("alarm < 3", 0, "the measure 'alarm' needs a function around it (write max(alarm))"),
        ("mxa(a) < 3", 0, "unknown function 'mxa' (did you mean 'max'?)"),
        ("medain(a) < 3", 0, "unknown function 'medain' (did you mean 'median'?)"),
        ("max(a -> b) < 35", 14, "a duration needs a unit: write '35 ms' or '35 s'"),
        ("max(a -> b) < 35 kB", 14, "unknown unit 'kB' for a duration; known: ns, us, µs, ms, s, min, h, d"),
        ("max(a) = 3", 7, "'=' cannot stand here (write '==' for equal)"),
        ("max(a) 3", 7, "expected a comparison (< <= > >= == !=); found '3'"),
        ("max(a) <", 8, "expected a quantity such as '35 s', '95 %' or '0'; the text ends"),
        ("max(a", 5, "expected ')'; the text ends"),
        ("max() < 3", 4, "expected the name of a measure; found ')'"),
        ("count(a) < 3 s", 11, "a count is a plain number; '3 s' has a unit"),
        ("share(a < 3) > 2", 15, "a share lies between 0 and 1: write '2 %' if 2 % is meant"),
        ("bytes(secret, leaving x) == 0", 6, "no bytes are counted as 'secret' (write 'personal' or 'all')"),
        ("max(a) < 3 or max(b) < 3", 11, "expected 'and' or the end; found 'or'"),
        ("max(a; b) < 3", 5, "';' cannot stand here"),
        (
            "max(a->b) < 3 s after 5 s",
            16,
            "'after' belongs inside the brackets (write max(a -> b during partition))",
        ),
    ],
)
def test_what_is_wrong_is_said_with_its_column(text, column, message):
    """An author sees the very character."""
    with pytest.raises(ExpressionError) as caught:
        parse(text)

    assert (caught.value.column, str(caught.value)) == (column, message)


def test_an_expression_is_bounded():
    """500 characters, 20 clauses."""
    with pytest.raises(ExpressionError, match="limit is 500"):
        parse("max(a) < 3 and " * 40 + "max(a) < 3")
    with pytest.raises(ExpressionError, match="more than 20 clauses"):
        parse(" and ".join(["max(a)<3"] * 25))


PIECES = [
    "max",
    "p99",
    "share",
    "(",
    ")",
    "a",
    "->",
    "=>",
    "<",
    "==",
    "35 s",
    "0",
    "and",
    "during",
    "after",
    ",",
    " ",
]


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=40) | st.lists(st.sampled_from(PIECES), max_size=14).map("".join))
def test_any_text_is_an_expression_or_an_error(text):
    """Nothing else comes out."""
    try:
        column = parse(text).clauses[0].limit.value * 0
    except ExpressionError as error:
        column = error.column

    assert 0 <= column <= max(1, len(text))
