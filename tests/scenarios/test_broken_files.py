"""Every mistake in a file is shown at its place, in words an architect understands."""

import re
from pathlib import Path

import pytest

from scenarios.format.issues import explain, explanations
from scenarios.format.loading import ScenarioError, load
from twin.errors import InputError

HERE = Path(__file__).parent
BROKEN = sorted((HERE / "broken").glob("*.scenario.yaml"))
CODES_OF_UNREADABLE_FILES = {"E001", "E002", "E003"}
CODES_OF_WHOLES = {"E054"}


@pytest.mark.parametrize("path", BROKEN, ids=lambda path: path.name.split(".")[0])
def test_a_broken_file_gives_exactly_this_message(path, catalogue):
    """Code, sentence, place, excerpt with a caret, and what to do."""
    expected = path.with_name(path.name.replace(".scenario.yaml", ".expected.txt")).read_text("utf-8")

    with pytest.raises(ScenarioError) as caught:
        load(path, catalogue=catalogue)

    assert f"{caught.value}\n" == expected


def test_there_are_broken_files():
    """The fixtures are found."""
    assert len(BROKEN) >= 80


def test_every_code_has_an_explanation():
    """What the product reports can be looked up."""
    folder = HERE.parents[1] / "scenarios"
    used = {
        code for path in folder.rglob("*.py") for code in re.findall(r'"(E\d{3})"', path.read_text("utf-8"))
    }

    assert used == set(explanations())


def test_every_code_has_a_broken_file():
    """No code without an example that is really reported."""
    shown = {
        code for path in BROKEN for code in re.findall(r"error\[(E\d+)\]", _expected(path).read_text("utf-8"))
    }

    assert shown == set(explanations()) - CODES_OF_UNREADABLE_FILES - CODES_OF_WHOLES


def _expected(path):
    return path.with_name(path.name.replace(".scenario.yaml", ".expected.txt"))


def test_an_explanation_tells_meaning_example_and_fix():
    """`explain` is a page to read."""
    assert explain("e045") == (
        "E045: a node is nowhere\n"
        "\n"
        "A node is at a site, or runs on another node.\n"
        "\n"
        "For example:\n"
        "    broker: {kind: mqtt_broker}\n"
        "\n"
        "Put right:\n"
        "    broker: {kind: mqtt_broker, at: cloud}\n"
    )


def test_an_unknown_code_is_answered_with_the_nearest():
    """Nobody guesses codes."""
    with pytest.raises(InputError, match="no error has the code 'E4'"):
        explain("E4")


def test_all_errors_are_shown_at_once_up_to_twenty(tmp_path, catalogue):
    """Thirty mistakes make twenty excerpts and a count."""
    path = tmp_path / "many.scenario.yaml"
    sites = "".join(f"  s{i}: {{metro: nowhere{i}}}\n" for i in range(30))
    path.write_text(f"scenario: 1\nsites:\n{sites}")

    with pytest.raises(ScenarioError) as caught:
        load(path, catalogue=catalogue)

    assert len(caught.value.issues) == 30
    assert str(caught.value).count("error[E025]") == 20
    assert str(caught.value).endswith("... and 10 more")


def test_an_issue_says_where_it_is(catalogue):
    """Editors take line, column and length from 1."""
    with pytest.raises(ScenarioError) as caught:
        load(HERE / "broken" / "unknown_via.scenario.yaml", catalogue=catalogue)

    (issue,) = caught.value.issues
    assert (issue.code, issue.line, issue.column, issue.length) == ("E021", 6, 65, len("gatewya"))
