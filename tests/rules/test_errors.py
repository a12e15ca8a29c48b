"""What is said about a text that is no rule: where, what was expected, the nearest word; all at once."""

import pytest

from twin.state.rules.problems import RulesError
from twin.state.rules.program import compile_rules

GOOD = "RULE ok SELECT * FROM 'a/b' THEN FORWARD db\n"


def errors_of(text):
    with pytest.raises(RulesError) as caught:
        compile_rules(text, "my.rules")
    return caught.value


@pytest.mark.parametrize(
    ("text", "line", "column", "message", "label"),
    [
        ("RULE r SELECT *\nFORM 'a' THEN FORWARD db", 2, 1, "not 'FORM'", "did you mean 'FROM'?"),
        ("RULE r SELECT * FROM 'a' WHRE x > 1 THEN FORWARD db", 1, 26, "not 'WHRE'", "did you mean 'WHERE'?"),
        ("RULE r SELECT * FROM 'a' WHERE x > THEN FORWARD db", 1, 36, "expected a value", ""),
        ("RULE r SELECT * FROM 'a' WHERE x > 1", 1, 37, "ends too early; expected THEN", ""),
        ("RULE r SELECT * FROM 'a' FOR 5 THEN FORWARD db", 1, 30, "a duration such as 2s", ""),
        ("RULE r SELECT * FROM 'a' FOR 5x THEN FORWARD db", 1, 30, "'5x' is neither", "durations end in"),
        ("RULE r SELECT * FROM 'a THEN FORWARD db", 1, 22, "does not end on its line", ""),
        ("RULE r SELECT * FROM a THEN FORWARD db", 1, 22, "a text in quotes, not 'a'", ""),
        ("RULE r SELECT * FROM 'a' WHERE x && y THEN FORWARD db", 1, 34, "'&' cannot stand", "write AND"),
        ("RULE r SELECT for FROM 'a' THEN FORWARD db", 1, 15, "not 'for'", 'it is a name: "for"'),
        ("RULE r SELECT * FROM 'a' WHERE 1 << 2 > 3 THEN FORWARD db", 1, 35, "not '<'", ""),
        ("RULE r SELECT * FROM 'a' WHERE lenght(x) > 1 THEN FORWARD db", 1, 32, "no function", "'length'"),
        ("RULE r SELECT * FROM 'a' WHERE abs() > 1 THEN FORWARD db", 1, 32, "takes 1 arguments, not 0", ""),
        ("RULE r SELECT * FROM 'a' WHERE count(*) > 1 THEN FORWARD db", 1, 32, "of a window", "HAVING"),
        ("RULE r SELECT avg(x) FROM 'a' THEN FORWARD db", 1, 15, "needs a WINDOW", ""),
        ("RULE r SELECT * FROM 'a' HAVING x > 1 THEN FORWARD db", 1, 26, "HAVING needs a WINDOW", ""),
        ("RULE r SELECT * FROM 'a/#/b' THEN FORWARD db", 1, 22, "'#' must be the last level", ""),
        ("RULE r SELECT * FROM 'a' THEN ALARM CRTICAL 'x'", 1, 37, "not 'CRTICAL'", "'CRITICAL'"),
        ("RULE r AT egde SELECT * FROM 'a' THEN FORWARD db", 1, 11, "AT edge or AT cloud", "'edge'"),
        ("RULE r SELECT * FROM 'a' THEN ALARM MINOR 'x' '${y'", 1, 48, "'${' has no '}'", ""),
        ("RULE r SELECT * FROM 'a' THEN ALARM MINOR 'x' 'it''s ${y >}'", 1, 59, "expected a value", ""),
        ("RULE r SELECT * FROM 'a' THEN PUBLISH 'x' QOS 3", 1, 47, "a QoS is 0, 1 or 2", ""),
        ("RULE r SELECT * FROM 'a/+' THEN PUBLISH 'a/b'", 1, 33, "would set itself off", ""),
        ("RULE r SELECT * FROM 'a/+' THEN PUBLISH 'a/${b}'", 1, 33, "would set itself off", ""),
        ("RULE r SELECT * FROM 'site/+/a' THEN PUBLISH 'a'", 1, 38, "would set itself off", ""),
        ("RULE r SELECT * FROM 'a/#' THEN PUBLISH 'site/x/a/b'", 1, 33, "would set itself off", ""),
        ("RULE r SELECT * FROM '#' THEN ALARM MINOR 'x'", 1, 31, "would set itself off", ""),
        ("RULE r SELECT * FROM 'a' WINDOW HOPPING 10s EVERY 3s THEN FORWARD db", 1, 26, "a multiple of", ""),
        ("RULE r SELECT * FROM 'a' FOR 1s FOR 2s THEN FORWARD db", 1, 33, "FOR is written twice", ""),
        ("RULE r SELECT * FROM 'a' ABSENT FOR 1s FOR 2s THEN FORWARD db", 1, 26, "goes with no FOR", ""),
        ("RULE r SELECT a, b AS a, c AS a FROM 'a' THEN FORWARD db", 1, 31, "two columns are called 'a'", ""),
        (
            "RULE r SELECT t * 2 AS t FROM 'a' WHERE t > 3 THEN FORWARD db",
            1,
            41,
            "the column of",
            "another name",
        ),
        ("RULE r SELECT * FROM 'a' ON EVENT TIME THEN FORWARD db", 1, 26, "tumbling or hopping", ""),
        ("RULE r SELECT * FROM 'a' THEN DESIRE 'g' SET a=1, a=2", 1, 51, "'a' is set twice", ""),
        ("hello", 1, 1, "a rule begins with RULE and its name, not 'hello'", ""),
        ("-- only a remark\n", 1, 1, "the file has none", ""),
        ("RUEL r SELECT * FROM 'a' THEN FORWARD db", 1, 1, "not 'RUEL'", "did you mean 'RULE'?"),
    ],
)
def test_a_mistake_is_shown_where_it_is(text, line, column, message, label):
    """With the line, the column, what was expected and the nearest word."""
    error = errors_of(text)

    found = error.problems[0]
    assert error.places[0][:2] == (line, column)
    assert message in found.message
    assert label in found.label


def test_every_rule_tells_its_own_mistakes():
    """One mistake hides no other; the good rule between them is not blamed."""
    broken = "SELECT * FROM 'x' WHERE nope(1) AND lenght() > 1 THEN FORWARD"
    text = f"RULE a SELEKT * FROM 'x' THEN FORWARD db\n{GOOD}RULE b {broken}\nRULE c {broken} db"
    assert [place.line for place in errors_of(text).places] == [1, 3, 4, 4]


def test_the_text_shows_a_caret():
    """As the scenario loader does."""
    shown = str(errors_of("RULE r SELECT *\nFORM 'a' THEN FORWARD db"))
    assert shown == (
        "error: expected ',' or FROM, not 'FORM'\n"
        " --> my.rules:2:1\n"
        "  |\n"
        "2 | FORM 'a' THEN FORWARD db\n"
        "  | ^^^^ did you mean 'FROM'?"
    )


def test_a_name_is_given_once():
    """Two rules of one name are told apart by nobody."""
    assert "two rules are called 'ok'" in errors_of(GOOD + GOOD).summary


def test_the_summary_is_one_line():
    """For where there is room for one: place, mistake, nearest word, how many more."""
    text = "RULE a SELECT * FORM 'x' THEN FORWARD db\n" * 2
    assert errors_of(text).summary == (
        "my.rules:1:17: expected ',' or FROM, not 'FORM' (did you mean 'FROM'?); and 1 more"
    )
