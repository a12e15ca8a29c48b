"""`windtunnel sweep`, as somebody types it."""

import json
import os
import signal
import subprocess
import sys

import pytest

INPUT = ("--set", "links.uplink.round_trip=300 ms..2400 ms/4", "--variant", "far")


@pytest.mark.slow
def test_a_sweep_prints_a_table_and_keeps_document_and_report(windtunnel, folder):
    """Exit code 0 although requirements fail on the way; `runs show` prints it again."""
    done = windtunnel("sweep", "small.scenario.yaml", *INPUT, "--replications", "3", "--refine", "200 ms")
    shown = windtunnel("runs", "show", "latest")
    [run] = (folder / "runs").glob("*small-site*")
    found = json.loads((run / "sweep.json").read_bytes())

    assert done.returncode == 0, done.stderr
    assert "answers: holds up to 1" in done.stdout
    assert [each["labels"][0] for each in found["points"] if not each["is_refined"]] == [
        "300 ms", "1000 ms", "1700 ms", "2400 ms"
    ]  # fmt: skip
    assert "<svg" in (run / "report.html").read_text("utf-8")
    assert shown.stdout.strip() in done.stdout
    assert not (run / "progress.json").exists()


@pytest.mark.slow
def test_an_interrupted_sweep_goes_on_where_it_was(windtunnel, folder, environment):
    """SIGTERM keeps what was measured; `--resume` measures the rest and nothing twice."""
    process = subprocess.Popen(
        [sys.executable, "-m", "windtunnel", "sweep", "small.scenario.yaml", *INPUT,
         "--replications", "40", "--workers", "1"],
        cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stderr.readline() == "300 ms ...\n"
    os.kill(process.pid, signal.SIGTERM)
    _, errors = process.communicate(timeout=30)
    [run] = (folder / "runs").glob("*small-site*")
    before = (run / "replications.jsonl").read_bytes()

    assert process.returncode == 130
    assert f"go on with: windtunnel sweep --resume {run.name}" in errors
    assert windtunnel("sweep", "--resume", "latest").returncode == 0
    after = (run / "replications.jsonl").read_bytes()
    assert after.startswith(before)
    assert after.count(b"\n") == 4 * 40
    assert len(json.loads((run / "sweep.json").read_bytes())["points"]) == 4


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "sweep needs a scenario, or --resume RUN"),
        (("small.scenario.yaml",), "sweep needs an input: --set KEY=VALUES"),
        (("small.scenario.yaml", "--set", "links.uplnk.loss=1 %, 2 %"), "did you mean 'uplink'?"),
        (("small.scenario.yaml", *INPUT[:2], "--variant", "fra"), "did you mean 'far'?"),
        (("small.scenario.yaml", *INPUT, "--metric", "anwsers"), "did you mean 'answers'?"),
        (("small.scenario.yaml", *INPUT, "--refine", "5 kB"), "these units do not go together"),
        (("--resume", "latest", "small.scenario.yaml"), "give no scenario"),
        (("--resume", "latest"), "no run 'latest'"),
    ],
)
def test_what_cannot_be_swept_is_one_message(windtunnel, folder, arguments, said):
    """With the nearest name, exit code 2, and no folder left behind."""
    done = windtunnel("sweep", *arguments)

    assert (done.returncode, "Traceback" in done.stderr) == (2, False)
    assert said in done.stderr
    assert not list((folder / "runs").glob("*/"))


def test_the_inputs_of_a_scenario_are_listed_with_a_line_to_type(windtunnel):
    """What each is now, and a range for it."""
    done = windtunnel("sweep", "small.scenario.yaml", "--keys")
    line = next(line for line in done.stdout.splitlines() if line.startswith("links.uplink.round_trip"))

    assert line.split("  ")[-1].strip() == '--set "links.uplink.round_trip=221 ms..1800 ms/6 log"'
