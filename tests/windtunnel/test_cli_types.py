"""`windtunnel types`."""

import json

import pytest

from windtunnel.cli import run_command_line

BROKEN = """\
"@type": tm:ThingModel
properties:
  gate:
    type: string
    enumm: [open, closed]
    x-twin:
      max_age: 5
      writable_by: [clod]
"""
UNWISE = """\
"@type": tm:ThingModel
properties:
  gate:
    type: string
"""


@pytest.fixture
def run(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)

    def run(*words):
        code = run_command_line(["types", *words])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def test_the_shipped_types_are_listed(run):
    """With what they say, take and do."""
    code, out, _ = run("list")
    assert code == 0
    assert "boom_gate           gate, emergency, refused, open(), close()" in out
    assert {row["name"] for row in json.loads(run("list", "--json")[1])} >= {"lock", "thermostat"}


def test_a_type_is_shown_in_words(run):
    """Units, how old a value may be, who may wish for it."""
    _, out, _ = run("show", "boom_gate")
    assert "stale after 15 min" in out
    assert "a wish ends after 15 min" in out
    assert json.loads(run("show", "fan", "--json")[1])["actions"].keys() == {"on", "off"}


def test_every_error_of_a_file_is_shown_at_its_place(run, tmp_path):
    """With line, column and the nearest name."""
    (tmp_path / "my_gate.tm.yaml").write_text(BROKEN)
    code, out, err = run("check", "my_gate.tm.yaml")
    assert (code, out) == (2, "")
    for place, words in (
        ("5:5", "did you mean 'enum'"),
        ("7:16", "needs a unit"),
        ("8:20", "did you mean 'cloud'"),
    ):
        assert f"my_gate.tm.yaml:{place}" in err
        assert words in err
    rows = json.loads(run("check", "my_gate.tm.yaml", "--format", "json")[1])
    assert [(row["line"], row["column"], row["level"]) for row in rows] == [
        (5, 5, "error"),
        (7, 16, "error"),
        (8, 20, "error"),
    ]


def test_a_warning_is_shown_and_is_no_error_unless_asked(run, tmp_path):
    """A wish that stands for ever."""
    (tmp_path / "gate.tm.yaml").write_text(UNWISE)
    code, out, err = run("check", "gate.tm.yaml")
    assert code == 0
    assert "gate.tm.yaml: valid, 1 warnings" in out
    assert "warning: a desired value of 'gate' stands for ever" in err
    assert "gate.tm.yaml:3:3" in err
    assert run("check", "--strict", "gate.tm.yaml")[0] == 2


def test_a_file_may_extend_its_neighbours_and_shipped_types(run, tmp_path):
    """By their names."""
    for name, base in (("a", "switch"), ("b", "a")):
        links = f"links: [{{rel: 'tm:extends', href: ./{base}.tm.yaml}}]\n"
        (tmp_path / f"{name}.tm.yaml").write_text(f"'@type': tm:ThingModel\n{links}")
    assert run("check", "a.tm.yaml", "b.tm.yaml")[:2] == (0, "a.tm.yaml: valid\nb.tm.yaml: valid\n")
    assert "written by cloud, operator, rules" in run("show", "b.tm.yaml")[1]


@pytest.mark.parametrize("text", ["a: [", "- 1\n", "a: &x [*x]", "\x00"])
def test_what_is_no_type_file_is_refused(run, tmp_path, text):
    """With a place, not a traceback."""
    (tmp_path / "x.tm.yaml").write_text(text)
    code, _, err = run("check", "x.tm.yaml")
    assert code == 2
    assert "x.tm.yaml:1:" in err


def test_a_type_is_exported(run):
    """In three forms; what DTDL lacks is told beside it."""
    _, out, _ = run("export", "lock", "--as", "wot-td", "--thing", "door-1", "--site", "home")
    assert json.loads(out)["actions"]["unlock"]["forms"][0]["mqv:topic"] == "site/home/lock/door-1/cmd/unlock"
    _, out, err = run("export", "lock", "--as", "dtdl")
    assert json.loads(out)["@type"] == "Interface"
    assert "left out: properties.battery: unit, minimum, maximum" in err
    assert json.loads(run("export", "lock", "--as", "thing-model")[1])["@type"] == "tm:ThingModel"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("show", "boom_gat"), "did you mean 'boom_gate'"),
        (("export", "lock", "--as", "wot-td", "--thing", "a/b"), "thing name 'a/b'"),
        (("check", "nobody.tm.yaml"), "nobody.tm.yaml"),
    ],
)
def test_a_wrong_name_is_refused(run, words, said):
    """Exit code 2 and one sentence."""
    code, _, err = run(*words)
    assert code == 2
    assert said in err
