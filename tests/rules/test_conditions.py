"""What a condition is: true, false or Undefined; and that a rule fires on true only."""

import pytest

from twin.state.rules.functions import U
from twin.state.rules.program import Moment, compile_rules

FIELDS = {
    "temp": 71.5,
    "count": 3,
    "name": "gate-12",
    "digits": "70",
    "on": True,
    "off": False,
    "nothing": None,
    "list": [1, {"b": "x"}],
    "object": {"b": {"c": 5}, "if": 1},
    "flag": "TRUE",
}
TOPIC = "smoke_detector/L2-D07/event/alarm"


def value_of(text, head=""):
    """The value of an expression for these fields."""
    (rule,) = compile_rules(f"RULE r {head} SELECT {text} AS it FROM '#' THEN FORWARD sink")
    ((_, function),) = rule.selections
    return function(FIELDS.get, Moment(TOPIC, 12.5), ())


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("temp > 60", True),
        ("60 < temp", True),
        ("temp <= 71.5", True),
        ("temp < 60", False),
        ("missing > 60", U),
        ("name > 60", U),
        ("on > 0", U),
        ("nothing > 0", U),
        ("digits > 60", U),
        ("name < 'h'", True),
        ("'h' > name", True),
        ("count = 3.0", True),
        ("3 = count", True),
        ("count = '3'", False),
        ("count <> '3'", True),
        ("on = 1", False),
        ("on = TRUE", True),
        ("missing = 1", U),
        ("missing != 1", U),
        ("missing = 'x'", U),
        ("name = 'gate-12'", True),
        ("name != 'gate-12'", False),
        ("nothing = NULL", True),
        ("nothing = 0", False),
        ("temp = count", False),
        ("list = [1, {b: 'x'}]", True),
        ("list = [TRUE, {b: 'x'}]", False),
        ("object = {b: {c: 5}, 'if': 1}", True),
        ("on AND temp > 60", True),
        ("on AND off", False),
        ("missing AND off", False),
        ("missing AND on", U),
        ("temp AND on", U),
        ("missing OR on", True),
        ("missing OR off", U),
        ("off OR temp < 60 OR count = 3", True),
        ("NOT missing", U),
        ("NOT off", True),
        ("NOT temp > 60", False),
        ("NOT (on AND missing)", U),
        ("temp BETWEEN 70 AND 72", True),
        ("temp NOT BETWEEN 70 AND 72", False),
        ("temp BETWEEN missing AND 3", False),
        ("temp BETWEEN missing AND 300", U),
        ("name IN ('gate-11', 'gate-12')", True),
        ("name NOT IN ('gate-11')", True),
        ("count IN (1, missing)", U),
        ("count IN (3, missing)", True),
        ("name LIKE 'gate-*'", True),
        ("name LIKE 'gate-?'", False),
        ("name LIKE '*1?'", True),
        ("name LIKE 'g*e*2'", True),
        ("name NOT LIKE '*x*'", True),
        ("count LIKE '3'", U),
        ("nothing IS NULL", True),
        ("missing IS NULL", False),
        ("missing IS UNDEFINED", True),
        ("temp IS NOT UNDEFINED", True),
        ("is_undefined(missing)", True),
        ("isUndefined(temp)", False),
        ("object.b.c", 5),
        ('object."if"', 1),
        ("object.if", 1),
        ("object.x.c", U),
        ("list[0]", 1),
        ("list[1].b", "x"),
        ("list[2]", U),
        ("temp[0]", U),
        ("CASE WHEN temp > 100 THEN 'hot' WHEN temp > 60 THEN 'warm' ELSE 'cold' END", "warm"),
        ("CASE count WHEN 2 THEN 'two' WHEN 3 THEN 'three' END", "three"),
        ("CASE WHEN missing THEN 1 END", U),
        ("1 IS NULL", False),
        ("'x' IS UNDEFINED", False),
        ("NULL IS NULL", True),
        ("CASE WHEN 1 THEN 2 END", U),
        ("CASE WHEN TRUE THEN 2 END", 2),
        ("1 = 1.0", True),
        ("'a' < 'b'", True),
        ("TRUE AND 1", U),
        ("NOT 5", U),
        ("[1, missing]", [1, None]),
        ("{a: 1, b: missing}", {"a": 1}),
    ],
)
def test_conditions_know_three_values(text, value):
    """True, false, and Undefined where a side is missing or of another kind."""
    found = value_of(text)

    assert (found, found.__class__) == (value, value.__class__)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1 + 2 * 3 - 4 / 8", 6.5),
        ("7 % 4", 3),
        ("-7 % 4", -3),
        ("-count", -3),
        ("(1 + 2) * 3", 9),
        ("1 / 0", U),
        ("1 % 0", U),
        ("temp + name", U),
        ("name + '!'", "gate-12!"),
        ("missing + 1", U),
        ("999999999999999999 * 999999999999999999", 999999999999999999.0 * 999999999999999999),
        ("1e300 * 1e300", U),
        ("abs(-2)", 2),
        ("round(2.5)", 3),
        ("round(-2.5)", -3),
        ("round(2.345, 2)", 2.35),
        ("floor(2.9)", 2),
        ("ceil(2.1)", 3),
        ("abs('x')", U),
        ("lower('AB')", "ab"),
        ("upper(name)", "GATE-12"),
        ("length(name)", 7),
        ("length(list)", 2),
        ("startswith(name, 'gate')", True),
        ("endsWith(name, 'x')", False),
        ("startswith(temp, 'gate')", U),
        ("coalesce(missing, nothing, 4)", 4),
        ("coalesce(missing)", U),
        ("substring(name, 5)", "12"),
        ("substring(name, 0, 4)", "gate"),
        ("indexof(name, '-')", 4),
        ("concat('a', 1, TRUE, 2.5)", "a1true2.5"),
        ("number('7.5')", 7.5),
        ("number('seven')", U),
        ("text(count)", "3"),
        ("thing()", "L2-D07"),
        ("topic()", TOPIC),
        ("topic(1)", "smoke_detector"),
        ("topic(9)", U),
        ("clientid()", U),
        ("timestamp()", 12500),
        ("now()", 12.5),
        ("shadow('gate', 'gate')", U),
    ],
)
def test_values_never_raise(text, value):
    """What cannot be calculated is Undefined, and so is what has no bound."""
    assert value_of(text) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("digits > 60", True),
        ("60 < digits", True),
        ("digits = 70", False),
        ("name > 60", U),
        ("'10' < '9'", False),
        ("digits * 2", 140),
        ("digits - '1'", 69),
        ("7 / 2", 3),
        ("7 / 2.0", 3.5),
        ("count + '!'", "3!"),
        ("missing AND off", U),
        ("missing OR on", U),
        ("flag AND on", True),
        ("NOT flag", False),
        ("digits BETWEEN 60 AND '80'", True),
    ],
)
def test_strict_aws_converts_as_aws_does(text, value):
    """Texts become numbers in < and >, not in =; two whole numbers divide to one; AND needs both sides."""
    found = value_of(text, "STRICT AWS")

    assert (found, found.__class__) == (value, value.__class__)


@pytest.mark.parametrize(
    ("condition", "count"), [("temp > 60", 1), ("temp > 80", 0), ("missing > 60", 0), ("NOT missing > 60", 0)]
)
def test_a_rule_fires_on_true_only(bench, rule_text, condition, count):
    """Neither false nor Undefined fires, nor does the opposite of Undefined."""
    assert len(bench(rule_text(f"WHERE {condition}")).say(0, temp=71)) == count


def test_what_is_undefined_is_counted(bench, rule_text):
    """A misspelt field shows in a number, as it shows in nothing else."""
    rules = bench(rule_text("WHERE tmep > 60"))
    rules.say(0, temp=71)
    assert rules.observed == {"rule_undefined": 1}


@pytest.mark.parametrize("payload", [b"no json", b"[1]", b"7", b"\xff", b"[" * 3000 + b"]" * 3000])
def test_a_payload_that_is_no_object_is_counted(bench, rule_text, payload):
    """The rules do not see it, and nothing is raised."""
    rules = bench(rule_text("WHERE temp > 60"))
    assert rules.say(0, payload=payload) == []
    assert rules.observed == {"rule_payload": 1}


def test_an_empty_payload_has_no_fields(bench, rule_text):
    """An event needs none."""
    assert len(bench(rule_text("")).say(0, payload=b"")) == 1
