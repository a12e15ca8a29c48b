"""The conformance runner: it passes what is right, finds what is wrong, refuses a bad file by line."""

import json
from pathlib import Path

import pytest

from scenarios.conformance.cases import read_cases
from scenarios.conformance.verdict import Observed, RealClock, judged
from scenarios.conformance.virtual import run_engine, run_simulated
from twin.errors import InputError
from twin.state.shadow import Shadows
from twin.state.shadow.document import Shadow
from windtunnel.cli import run_command_line

DATA = Path(__file__).parents[1] / "data"
CASES = [*read_cases(DATA / "shadow_cases.json"), *read_cases(DATA / "shadow_cases_more.json")]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.id} {case.title}")
def test_every_case_passes_in_the_engine(case):
    """What is published, what is not, and what a later get returns are as in the case."""
    (result,) = run_engine([case])
    assert list(map(str, result.differences)) == []


def test_every_case_passes_behind_the_simulated_broker():
    """Through MQTT sessions in virtual time the same documents come."""
    results = list(run_simulated(CASES))
    assert [(each.case.id, *map(str, each.differences)) for each in results if each.verdict != "ok"] == []
    assert [each.case.id for each in results] == [each.id for each in CASES]


# what the runner finds -------------------------------------------------------------------------------


def failing(monkeypatch, owner, name, replacement):
    """The cases that fail when one rule of the service is broken."""
    monkeypatch.setattr(owner, name, replacement)
    return {each.case.id for each in run_engine(CASES) if each.verdict != "ok"}


def test_a_service_that_clears_desired_is_found(monkeypatch):
    """A broken rule fails the cases that are about it."""
    real = Shadow.updated

    def updated(shadow, *request):
        after, metadata = real(shadow, *request)
        if after.state.desired and not after.delta()[0]:
            after = after.without_desired([(key,) for key in after.state.desired])
        return after, metadata

    assert "S02" in failing(monkeypatch, Shadow, "updated", updated)


def test_a_service_that_stamps_everything_anew_is_found(monkeypatch):
    """Times are compared leaf by leaf."""

    def updated(shadow, patch, *rest):
        after, metadata = real(shadow, patch, *rest)
        return real(Shadow(version=shadow.version), after.state.tree(), *rest)[0], metadata

    real = Shadow.updated
    assert {"S03", "S04"} <= failing(monkeypatch, Shadow, "updated", updated)


def test_a_service_that_says_more_is_found(monkeypatch):
    """A complete document may have nothing that the case does not name."""
    real = Shadows._numbered
    monkeypatch.setattr(Shadows, "_numbered", lambda *each: real(*each) | {"more": 1})
    results = {each.case.id: each for each in run_engine(CASES)}
    assert [str(each) for each in results["S01"].differences] == [
        "update/accepted.more: expected nothing, got 1",
        "update/delta.more: expected nothing, got 1",
        "update/documents.current.more: expected nothing, got 1",
    ]
    assert results["S15"].verdict == "ok", "a document without its timestamp is not complete"


def test_a_document_that_leaves_its_metadata_out_names_a_part(tmp_path):
    """Accepted always has metadata, so a case that does not name it cannot mean the whole document."""
    update = {"op": "update", "payload": {"state": {"desired": {"a": 1}}, "clientToken": "t"}}
    accepted = {"state": {"desired": {"a": 1}}, "version": 1, "timestamp": 200}
    path = tmp_path / "cases.json"
    path.write_text(json.dumps([{"id": "A", "when": update, "then": {"update/accepted": accepted}}]))
    assert [each.verdict for each in run_engine(read_cases(path))] == ["ok"]


def test_a_silent_service_is_found():
    """A document that does not come is a difference; one that comes twice too."""
    case = CASES[0]
    nothing = judged(case, "nobody", Observed())
    assert "update/accepted: expected a document, got nothing" in map(str, nothing.differences)
    payload = json.dumps(case.then["update/accepted"]).encode()
    twice = judged(case, "somebody", Observed({"update/accepted": [payload, payload]}))
    assert "update/accepted: expected one document, got 2" in map(str, twice.differences)


def test_a_text_that_differs_is_told_apart():
    """A wrong wording is a smaller fault than a wrong code."""
    case = next(each for each in CASES if each.id == "S29")
    state = {"desired": {"c": 2}, "delta": {"c": 2}}
    got = {"": ("get/accepted", json.dumps({"state": state, "version": 2}).encode())}
    document = {"code": 409, "message": "version conflict", "clientToken": "tok"}
    observed = Observed({"update/rejected": [json.dumps(document).encode()]}, got)
    assert judged(case, "other", observed).verdict == "text differs"
    document["code"] = 400
    observed = Observed({"update/rejected": [json.dumps(document).encode()]}, got)
    assert judged(case, "other", observed).verdict == "FAILED"


@pytest.mark.parametrize(
    ("wanted", "verdict"), [(404, "ok"), ({"code": 404}, "ok"), ({}, "FAILED"), (400, "FAILED")]
)
def test_the_last_get_may_be_refused(wanted, verdict, tmp_path):
    """A code, or a document with one, stands for a refusal."""
    path = tmp_path / "cases.json"
    path.write_text(json.dumps([{"id": "A", "when": {"op": "get"}, "get": wanted}]))
    (result,) = run_engine(read_cases(path))
    assert result.verdict == verdict


@pytest.mark.parametrize("payload", [b"\xff", b"[1]", b'{"version":NaN}', b"{"])
def test_an_answer_that_is_no_document(payload):
    """A broken answer is a difference and not a crash."""
    assert judged(CASES[0], "other", Observed({"update/accepted": [payload]})).verdict == "FAILED"


def test_real_times_belong_to_the_nearest_operation():
    """100 and 200 are seconds apart in reality; a stamp of one is not taken for the other's."""
    clock = RealClock({100: 5000.0, 101: 5001.0, 200: 5002.0}, 1.0)
    assert clock.is_stamp(101, 5001)
    assert not clock.is_stamp(200, 5001)
    assert not clock.is_stamp(200, 5004)
    assert not clock.is_stamp(300, 5002)
    assert not clock.is_stamp(200, 5002.0), "a stamp is a whole number"


# files -----------------------------------------------------------------------------------------------

GOOD = '{"id": "A", "when": {"op": "get"}}'


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("", 1, "expected an array of cases"),
        ('{"cases": []}', 1, "expected an array of cases"),
        ("[]", None, "holds no case"),
        (f"[{GOOD},\n {{", 2, "no JSON"),
        (f"[{GOOD}\n {GOOD}]", 2, "expected ',' or ']'"),
        (f"[{GOOD}]\n x", 2, "nothing after"),
        (f"[{GOOD},\n5]", 2, "case 2: expected an object, not 5"),
        (f'[{GOOD},\n{{"id": "B"}}]', 2, "'when' is missing"),
        ('[\n{"when": {"op": "get"}}]', 2, "'id': expected a text, not null"),
        ('[{"id": "A",\n\n"when": {"op": "updat"}}]', 3, "did you mean 'update'?"),
        ('[{"id": "A",\n"when": "update"}]', 2, "expected an operation"),
        ('[{"id": "A", "when": {"op": "get"},\n"then": {"update/acepted": {}}}]', 2, "'update/accepted'?"),
        (
            '[{"id": "A", "when": {"op": "get"},\n"then": {"get/accepted": 5}}]',
            2,
            "expected a document, not 5",
        ),
        ('[{"id": "A", "when": {"op": "get"}, "absent":\n["nothing"]}]', 2, "expected one of"),
        ('[{"id": "A", "when": {"op": "get"},\n"given": {}}]', 2, "expected an array, not {}"),
        ('[{"id": "A", "when": {"op": "get"},\n"get": "404"}]', 2, 'a code such as 404, not "404"'),
        ('[{"id": "A", "when": {"op": "get",\n"shadow": 5}}]', 2, "'shadow': expected a name"),
        ('[{"id": "A", "when": {"op": "get",\n"payload_base64": "%"}}]', 2, "expected base64"),
        (f"[{GOOD},\n{GOOD}]", 2, "the id 'A' stands at line 1 already"),
        ("[" * 100_000, None, "no JSON"),
    ],
)
def test_a_bad_file_is_refused_with_its_line(text, line, words, tmp_path, capsys):
    """The message names the line and what was expected; the code is 2."""
    path = tmp_path / "cases.json"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        read_cases(path)
    assert words in str(caught.value)
    if line is not None:
        assert str(caught.value).startswith(f"{path}:{line}: ")
    assert run_command_line(["shadow-conformance", str(path)]) == 2
    assert words in capsys.readouterr().err


def test_a_file_that_is_no_text(tmp_path):
    """It is refused as well, and so is one that is not there."""
    path = tmp_path / "cases.json"
    path.write_bytes(b"[\xff]")
    with pytest.raises(InputError, match="not UTF-8"):
        read_cases(path)
    assert run_command_line(["shadow-conformance", str(tmp_path / "none.json")]) == 2


def test_payloads_go_out_as_they_stand(tmp_path):
    """A text as it is, an object as JSON, bytes by base64; no payload is an empty one."""
    path = tmp_path / "cases.json"
    operations = [{"op": "update", "payload": '{"a"'}, {"op": "update", "payload": {"ü": 1}}]
    operations += [{"op": "update", "payload_base64": "/w=="}, {"op": "delete", "shadow": None}]
    path.write_text(json.dumps([{"id": "A", "given": operations, "when": {"op": "get"}}]))
    (case,) = read_cases(path)
    assert [each.payload for each in case.given] == [b'{"a"', '{"ü": 1}'.encode(), b"\xff", b""]


def test_a_member_that_is_null_is_as_good_as_missing(tmp_path):
    """Whoever writes files by machine writes every member."""
    path = tmp_path / "cases.json"
    empty = dict.fromkeys(("title", "given", "then", "absent", "get", "get_shadow", "note"))
    when = {"op": "get", "payload": None, "payload_base64": None, "shadow": None}
    path.write_text(json.dumps([{**empty, "when": when, "id": "A"}]))
    (case,) = read_cases(path)
    assert (case.title, case.given, case.then, case.absent, case.when.payload) == ("", [], {}, [], b"")
    assert [each.verdict for each in run_engine([case])] == ["ok"]


def test_the_last_get_reads_the_classic_shadow_if_the_case_uses_it(tmp_path):
    """Else it may mean either, unless the file says which."""
    path = tmp_path / "cases.json"
    classic, named = {"op": "get"}, {"op": "get", "shadow": "cfg"}
    cases = [
        {"id": "A", "given": [classic], "when": named},
        {"id": "B", "when": named},
        {"id": "C", "when": named, "get_shadow": ""},
    ]
    path.write_text(json.dumps(cases))
    assert [case.got for case in read_cases(path)] == [[""], ["cfg", ""], [""]]


# the command -----------------------------------------------------------------------------------------


def test_the_command_prints_a_table(capsys):
    """One line a case and target, and a count."""
    assert run_command_line(["shadow-conformance", str(DATA / "shadow_cases.json")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[:3] == ["S01", "engine", "ok"]
    assert lines[-2:] == ["engine: 30 of 30 cases pass", "simulated: 30 of 30 cases pass"]
    assert len(lines) == 63


def test_the_command_shows_what_differs(tmp_path, capsys):
    """Field by field, and the code is 1."""
    path = tmp_path / "cases.json"
    when = {"op": "update", "payload": {"state": {"reported": {"a": 1}}}}
    path.write_text(json.dumps([{"id": "A", "when": when, "then": {"update/accepted": {"version": 2}}}]))
    assert run_command_line(["shadow-conformance", str(path)]) == 1
    assert "update/accepted.version: expected 2, got 1" in capsys.readouterr().out
    assert run_command_line(["shadow-conformance", str(path), "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert report["targets"]["engine"] == {"cases": 1, "passed": 0}
    assert report["results"][0]["differences"] == [
        {"place": "update/accepted.version", "expected": "2", "actual": "1"}
    ]


def test_options_of_a_broker_need_one(capsys):
    """An option that would be ignored is an error."""
    file = str(DATA / "shadow_cases.json")
    assert run_command_line(["shadow-conformance", file, "--prefix", "x"]) == 2
    assert "--prefix needs --broker" in capsys.readouterr().err
    assert run_command_line(["shadow-conformance", file, "--broker", "http://x"]) == 2
    assert "mqtt://host:1883" in capsys.readouterr().err
