"""`windtunnel rules`: check, explain, and test against a recording."""

import json

import pytest

from windtunnel.cli import run_command_line

RULES = """\
RULE hot SELECT temp FROM 'sensor/+/telemetry' WHERE temp > 60 AND smoke > 0.1 FOR 2s
THEN ALARM CRITICAL 'fire' '${temp} C'; COMMAND 'fan/*' on; DESIRE 'nobody-*' SET a=1
RULE two AT edge SELECT count(*) AS n FROM 'sensor/+/telemetry' WINDOW COUNT 2 THEN FORWARD db
"""
LINES = [
    {"at_s": 10, "topic": "sensor/a/telemetry", "payload": {"temp": 71, "smoke": 0.4}},
    {"ts": 20_000, "topic": "site/s/sensor/a/telemetry", "payload": {"temp": 20}},
]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with rules and a recording, in which the command runs."""
    (tmp_path / "my.rules").write_text(RULES, encoding="utf-8")
    (tmp_path / "day.jsonl").write_text("\n".join(map(json.dumps, LINES)), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(capsys, *arguments):
    """Exit code, standard output and standard error."""
    code = run_command_line(["rules", *arguments])
    out, err = capsys.readouterr()
    return code, out, err


@pytest.mark.usefixtures("folder")
def test_a_test_prints_every_firing(capsys):
    """By messages and by time, with what is done and what could not be."""
    code, out, _ = run(capsys, "test", "my.rules", "--data", "day.jsonl", "--thing", "fan/f1")
    assert code == 0
    assert out.splitlines() == [
        "      12.000  FIRED   hot  a (by time)",
        "              - alarm fire of a: critical, '71 C'",
        "              - command f1 on {}",
        "              - no thing is called 'nobody-*'",
        "      20.000  FIRED   two  a",
        '              - forward to db {"rule": "two", "thing": "a", "at_s": 20.0, "document": {"n": 2}}',
        "2 messages, 2 firings, unmatched 1",
    ]


@pytest.mark.usefixtures("folder")
def test_a_trace_says_why(capsys):
    """Each part of WHERE with its values, and what is remembered."""
    _, out, _ = run(capsys, "test", "my.rules", "--data", "day.jsonl", "--trace")
    assert "hot: WHERE is true: temp > 60 is true (temp = 71); smoke > 0.1 is true (smoke = 0.4)" in out
    assert "smoke > 0.1 is Undefined (smoke = Undefined)" in out
    assert "=> hot: holds since 10 s, fires at 12 s" in out
    assert "=> two: window of 1 messages; the number of messages = 1" in out


@pytest.mark.parametrize(("wanted", "code"), [("2", 0), ("3", 1)])
@pytest.mark.usefixtures("folder")
def test_a_number_of_firings_may_be_expected(capsys, wanted, code):
    """Another one ends with exit code 1."""
    assert run(capsys, "test", "my.rules", "--data", "day.jsonl", "--expect", wanted)[0] == code


@pytest.mark.usefixtures("folder")
def test_the_place_chooses_the_rules(capsys):
    """In the cloud the rule of the edge is silent."""
    assert run(capsys, "test", "my.rules", "--data", "day.jsonl", "--at", "cloud", "--expect", "1")[0] == 0


def test_a_csv_is_a_recording_too(folder, capsys):
    """A column for each field; an empty cell is no field."""
    rows = "at_s,topic,temp,smoke\n10,sensor/a/telemetry,71,0.4\n20,sensor/a/telemetry,20,\n"
    (folder / "day.csv").write_text(rows, encoding="utf-8")
    code, out, _ = run(capsys, "test", "my.rules", "--data", "day.csv", "--json")
    found = json.loads(out)
    assert (code, found["fired"], found["counts"]["rule_unmatched"]) == (0, 2, 2)
    assert [each["by"] for each in found["events"]] == ["time", "message"]


@pytest.mark.usefixtures("folder")
def test_time_may_pass_until_nothing_is_due(capsys):
    """For ever, or to a time that is none."""
    for until, code in (("inf", 0), ("nan", 0)):
        assert run(capsys, "test", "my.rules", "--data", "day.jsonl", "--until", until)[0] == code


def test_a_csv_may_have_the_payload_as_json(folder, capsys):
    """As a log of a broker has it."""
    rows = (
        'at_s,topic,payload\n10,sensor/a/telemetry,"{""temp"":71,""smoke"":0.4}"\n20,sensor/a/telemetry,{}\n'
    )
    (folder / "day.csv").write_text(rows, encoding="utf-8")
    code, out, _ = run(capsys, "test", "my.rules", "--data", "day.csv", "--json")
    assert (code, json.loads(out)["fired"]) == (0, 2)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("x.jsonl", "{}\n", "x.jsonl:1: expected an object with at_s"),
        ("x.jsonl", '{"at_s":1,"topic":"a"}\nno\n', "x.jsonl:2: no JSON"),
        ("x.jsonl", '{"topic":"a"}\n', "x.jsonl:1: no time"),
        ("x.csv", "a,b\n1,2\n", "expected the columns at_s (or ts) and topic, found a, b"),
        ("x.csv", "at_s,topic\nnow,a\n", "x.csv:2: could not convert"),
        ("x.csv", "at_s,topic\nnan,a\n", "x.csv:2: no time: at_s is nan"),
        ("x.csv", "at_s,topic,a\n1,a," + "9" * 140_000 + "\n", "field larger than field limit"),
        ("x.jsonl", '{"at_s":"inf","topic":"a"}\n', "x.jsonl:1: no time: at_s is inf"),
        ("x.jsonl", "[" * 99_999, "x.jsonl:1: no JSON"),
    ],
)
def test_a_recording_that_is_none_is_refused(folder, capsys, name, text, message):
    """With its line."""
    (folder / name).write_text(text, encoding="utf-8")
    code, _, err = run(capsys, "test", "my.rules", "--data", name)
    assert (code, message in err) == (2, True)


def test_check_shows_every_mistake(folder, capsys):
    """As text with carets, or as JSON with places."""
    (folder / "bad.rules").write_text("RULE a SELECT * FORM 'x' THEN FORWARD d\n" * 2, encoding="utf-8")
    assert run(capsys, "check", "my.rules")[:2] == (0, "my.rules: 2 rules, nothing to complain of\n")
    code, _, err = run(capsys, "check", "bad.rules")
    assert (code, err.count("did you mean 'FROM'?")) == (2, 2)
    code, out, _ = run(capsys, "check", "bad.rules", "my.rules", "--format", "json")
    assert [(each["line"], each["column"]) for each in json.loads(out)] == [(1, 17), (2, 17)]


@pytest.mark.usefixtures("folder")
def test_explain_speaks_english(capsys):
    """One rule, or all of them; an unknown one has a nearest name."""
    code, out, _ = run(capsys, "explain", "my.rules", "hot")
    expected = (
        "hot\n"
        "  It takes messages on 'sensor/+/telemetry' where temp is greater than 60 and smoke is greater"
        " than 0.1.\n"
        "  It fires when that has held for 2 s without a break, for each thing.\n"
        "  Then it\n"
        "    - raises the critical alarm 'fire' that says '{temp} C'\n"
        "    - commands 'fan/*' to on\n"
        "    - wants a = 1 of 'nobody-*'\n"
    )
    assert (code, out) == (0, expected)
    assert "two (at the edge only)" in run(capsys, "explain", "my.rules")[1]
    code, _, err = run(capsys, "explain", "my.rules", "hat")
    assert (code, "did you mean 'hot'?" in err) == (2, True)


def test_new_writes_rules_and_messages_that_fire(tmp_path, monkeypatch, capsys):
    """Files that are there are not written over."""
    monkeypatch.chdir(tmp_path)
    assert run(capsys, "new", "fire")[0] == 0
    things = ["--thing", "boom_gate/gate-1", "--thing", "sounder/horn-1"]
    code, out, _ = run(capsys, "test", "fire.rules", "--data", "fire.jsonl", *things, "--until", "9000")
    fired = [(line.split()[2], line.split()[0]) for line in out.splitlines() if " FIRED " in line]
    assert code == 0
    assert {name for name, _ in fired} == {"fire_gate", "confirmed", "levels", "silent_detector"}
    code, _, err = run(capsys, "new", "fire")
    assert (code, "is there already" in err) == (2, True)
