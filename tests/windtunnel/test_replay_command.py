"""`windtunnel replay` as a user runs it."""

from __future__ import annotations

import json

import pytest

from scenarios.archive import Archive
from scenarios.judging.runner import Plan, simulate
from scenarios.replaying.document import Replay
from scenarios.results import decode
from scenarios.shipped import load


@pytest.fixture
def ran(windtunnel, folder):
    """`windtunnel` in a folder with a run of the small scenario, in which `far` misses a requirement."""
    scenario, plan = load(folder / "small.scenario.yaml"), Plan(replications=2, workers=1)
    archive = Archive.open(folder / "runs", scenario, plan)
    archive.close(simulate(scenario, plan), "done")
    return windtunnel


def test_it_says_what_each_requirement_came_to_and_where_it_is(ran, folder):
    """Met or missed in words, the moment, and the folder with the document."""
    done = ran("replay", "--variant", "far")

    assert (done.returncode, done.stderr.strip()) == (0, "far ...")
    first, *rows, place = done.stdout.splitlines()
    assert first.startswith("far, seed 1: 20 s,")
    assert first.endswith("1 of 2 requirements met")
    assert any(row.startswith("  missed  close:") and row.endswith(" s)") for row in rows)
    document = decode((folder / place / "replay.json").read_bytes(), Replay)
    assert (document.variant, document.seed, document.has_scene) == ("far", 1, False)


def test_json_is_one_line_and_nothing_else(ran):
    """For machines: what was replayed, whether it is the same, and what it shows."""
    done = ran("replay", "latest", "--variant", "cut", "--seed", "2", "--json")
    shown = json.loads(done.stdout)

    assert done.stderr == ""
    assert (shown["variant"], shown["seed"], shown["is_same"]) == ("cut", 2, True)
    assert [each["name"] for each in shown["requirements"]] == ["answers"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing"], "no run 'nothing' below runs"),
        (["--variant", "fat"], "has no variant 'fat'; did you mean 'far'?"),
        (["--requirement", "clothes"], "has no requirement 'clothes'; did you mean 'close'?"),
        (["--seed", "-1"], "expected a whole number"),
    ],
)
def test_what_is_not_there_is_one_sentence(ran, arguments, message):
    """Exit code 2, no traceback, and the nearest name."""
    done = ran("replay", *arguments)

    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_a_run_that_kept_no_scenario_cannot_be_replayed(ran, folder):
    """It says which file is missing."""
    (kept,) = (folder / "runs").glob("*/scenario.resolved.yaml")
    kept.unlink()

    done = ran("replay")
    assert done.returncode == 2
    assert "keeps no scenario (scenario.resolved.yaml)" in done.stderr
    assert not list((folder / "runs").glob("*/replays/*/*"))


def test_a_scenario_that_was_deleted_needs_only_the_files_it_names(ran, folder):
    """The small one names none."""
    (folder / "small.scenario.yaml").unlink()

    assert ran("replay", "--quiet").returncode == 0


def test_a_changed_result_is_said(ran, folder):
    """The replay is kept, and one line says that it is another."""
    (kept,) = (folder / "runs").glob("*/metrics.json")
    rows = json.loads(kept.read_bytes())
    for row in rows:
        row["metrics"]["messages_sent"] += 1.0
    kept.write_text(json.dumps(rows), encoding="utf-8")

    done = ran("replay", "--quiet")
    assert done.returncode == 0
    assert "differs from what the run has measured" in done.stderr
