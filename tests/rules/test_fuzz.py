"""Texts at random: each is a rule or is refused in words, in bounded time; and rules never raise."""

import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twin.state.rules.problems import RulesError
from twin.state.rules.program import Moment, compile_rules

sys.path.insert(0, str(Path(__file__).parent))

from rule_texts import GOOD, text_of

SLOWEST_S = 0.5


def front_end(count, seed):
    """How many texts were rules, and the worst processor time of one."""
    random = np.random.Generator(np.random.Philox(seed))
    good_count, nameless_count, worst_s = 0, 0, 0.0
    for _ in range(count):
        text = text_of(random)
        began_s = time.process_time()
        try:
            compile_rules(text)
            good_count += 1
        except RulesError as error:
            nameless_count += not str(error) or any(min(place) < 1 for place in error.places)
        worst_s = max(worst_s, time.process_time() - began_s)
    assert nameless_count == 0
    return good_count, worst_s


def test_random_texts_are_rules_or_refused():
    """Nothing else is raised, and no text takes long."""
    good_count, worst_s = front_end(3_000, seed=7)
    assert 20 < good_count < 1_500
    assert worst_s < SLOWEST_S


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_many_random_texts_are_rules_or_refused():
    """The same for long enough to meet what is rare."""
    _, worst_s = front_end(50_000, seed=11)
    assert worst_s < SLOWEST_S


@given(st.text(max_size=300))
@settings(max_examples=300, deadline=None)
def test_any_text_is_a_rule_or_refused(text):
    """Also what nobody would type."""
    with pytest.raises(RulesError):
        compile_rules(f"RULE r SELECT * FROM 'a' WHERE {text}")


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64) | st.text(max_size=20)
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip
EXPRESSIONS = (
    "a > b", "a = b", "a + b", "a - b", "a * b * a * b", "a / b", "a % b", "-a", "a AND b OR NOT a",
    "a IN (b, 1, 'x')", "a LIKE '*x?'", "a BETWEEN b AND 5", "a IS NULL", "a.b.c[0]", "a[1]",
    "CASE a WHEN b THEN 1 ELSE a END", "concat(a, b)", "abs(a)", "round(a, b)", "round(a)", "floor(a)",
    "ceil(b)", "lower(a)", "length(a)", "substring(a, b)", "substring(a, 1, b)", "indexof(a, b)",
    "startswith(a, b)", "coalesce(a, b)", "number(a)", "text(a)", "shadow(a, b)", "topic(a)",
    "{x: a, y: [b, a]}", "a > 5", "a = 5", "a = 'x'", "5 <= a", "a != 0.5", "'x' < a",
)  # fmt: skip
COMPILED = {
    (text, head): compile_rules(f"RULE r {head} SELECT {text} AS x FROM '#' THEN FORWARD d")[0]
    for text in EXPRESSIONS
    for head in ("", "STRICT AWS")
}


@given(st.sampled_from(sorted(COMPILED)), st.dictionaries(st.sampled_from("ab"), VALUES))
@settings(max_examples=1_500, deadline=None)
def test_no_value_makes_an_expression_raise(which, fields):
    """Whatever a message holds, there is a value or Undefined, and a condition is one of three."""
    rule = COMPILED[which]
    ((_, function),) = rule.selections
    found = function(fields.get, Moment("a/b", 0.0), ())
    if which[0] in {"a > b", "a = b", "a AND b OR NOT a", "a > 5", "a = 'x'", "a IN (b, 1, 'x')"}:
        assert found is True or found is False or found == ()


@pytest.mark.parametrize("text", GOOD)
def test_the_good_texts_are_rules(text):
    """Else the mutations of them would be of nothing."""
    assert len(compile_rules(text)) == 1
