"""Running from the command line: exit codes, what is printed, and what a Ctrl-C leaves."""

import json
import os
import pty
import shlex
import signal
import subprocess
import sys
import termios
import time

import pytest


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--variant", "near", "--replications", "2"], 0),
        (["--variant", "far", "--replications", "2"], 1),
        (["--variant", "near", "--replications", "1"], 3),
    ],
    ids=["met", "failed", "inconclusive"],
)
def test_the_exit_code_tells_the_verdict(windtunnel, arguments, code):
    """0 all met, 1 one failed, 3 not decided."""
    done = windtunnel("run", "small.scenario.yaml", "--workers", "1", *arguments)

    assert (done.returncode, "Traceback" in done.stderr) == (code, False)


def test_the_line_to_repeat_works_from_the_same_folder(windtunnel, folder):
    """The path is the one the user gave."""
    (folder / "sub").mkdir()
    (folder / "small.scenario.yaml").rename(folder / "sub" / "s2.scenario.yaml")
    options = ("--variant", "far", "--replications", "2", "--workers", "1")
    done = windtunnel("run", "sub/s2.scenario.yaml", *options)
    line = next(each for each in done.stdout.splitlines() if "windtunnel run " in each)
    words = shlex.split(line[line.index("windtunnel run ") :])[1:]

    assert words[:2] == ["run", "sub/s2.scenario.yaml"]
    assert windtunnel(*words).returncode in {1, 3}


def resolved(run):
    return (run / "scenario.resolved.yaml").read_text("utf-8")


def test_the_line_to_repeat_has_the_profile(windtunnel, folder):
    """What was measured is part of what was run."""
    times = "{count: 100, p50: 20 ms, p99: 30 ms}"
    text = f"{{profile: 1, source: measured, brokers: {{broker: {{stay: {times}}}}}}}"
    (folder / "of today.yaml").write_text(text)
    options = ("--variant", "far", "--replications", "2", "--workers", "1", "--profile", "of today.yaml")
    done = windtunnel("run", "small.scenario.yaml", *options)
    line = next(each for each in done.stdout.splitlines() if "windtunnel run " in each)
    words = shlex.split(line[line.index("windtunnel run ") :])[1:]

    assert words[2:4] == ["--profile", "of today.yaml"]
    assert windtunnel(*words).returncode in {1, 3}
    first, again = (page.parent for page in folder.glob("runs/*/report.html"))
    assert "--profile" in (first / "report.html").read_text("utf-8")
    assert resolved(first) == resolved(again)
    assert "lognormal" in resolved(first)


def test_without_a_number_of_replications_the_test_decides(windtunnel):
    """Two clean runs decide 0.9 against 0.1."""
    done = windtunnel("run", "small.scenario.yaml", "--variant", "near", "--json", "--workers", "1")

    variant = json.loads(done.stdout)["variants"][0]
    assert (done.returncode, variant["name"], variant["replications"]) == (0, "near", 2)


def test_json_is_all_that_is_printed_and_the_seed_is_the_asked_one(windtunnel):
    """Machines read standard output; with --json nothing else is written."""
    done = windtunnel(
        "run", "small.scenario.yaml", "--json", "--seed", "70", "--replications", "2", "--workers", "1"
    )

    study = json.loads(done.stdout)
    assert done.stderr == ""
    assert [variant["seeds"] for variant in study["variants"]] == [[70, 71]] * 3


def test_without_a_terminal_there_is_no_colour_and_progress_is_plain(windtunnel):
    """One line a variant on standard error, no escape sequence anywhere."""
    done = windtunnel("run", "small.scenario.yaml", "--replications", "1", "--workers", "1")

    assert done.stderr.splitlines() == ["far ...", "near ...", "cut ..."]
    assert "\x1b" not in done.stdout
    assert (
        windtunnel("run", "small.scenario.yaml", "--replications", "1", "--workers", "1", "--quiet").stderr
        == ""
    )


def test_on_a_terminal_there_is_colour_and_a_bar(folder, environment):
    """The same run, on a pseudo-terminal."""
    text = on_a_terminal(
        ["run", "small.scenario.yaml", "--replications", "1", "--workers", "1"], folder, environment
    )

    assert "\x1b[" in text
    assert "[#" in text


@pytest.mark.parametrize("setting", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_on_a_terminal_that_wants_none_there_is_no_colour(folder, environment, setting):
    """NO_COLOR is what no-color.org says; a dumb terminal has none."""
    text = on_a_terminal(
        ["run", "small.scenario.yaml", "--replications", "1", "--workers", "1"], folder, environment, setting
    )

    assert "\x1b[" not in text
    assert "INCONCLUSIVE" in text


@pytest.mark.parametrize(("columns", "width"), [(40, 39), (0, 79)])
def test_the_bar_keeps_to_the_line_of_the_terminal(folder, environment, columns, width):
    """A longer one would begin another line; a terminal that says nothing is taken for a usual one."""
    text = on_a_terminal(
        ["run", "small.scenario.yaml", "--replications", "1", "--workers", "1"],
        folder,
        environment,
        columns=columns,
    )

    drawn = [each for each in text.split("\r") if each.startswith("[#")]
    assert {len(each) for each in drawn} == {width}


def on_a_terminal(arguments, folder, environment, setting=None, columns=0):
    parent, child = pty.openpty()
    termios.tcsetwinsize(child, (24, columns))
    process = subprocess.Popen(
        [sys.executable, "-m", "windtunnel", *arguments],
        cwd=folder,
        env={key: value for key, value in environment.items() if key not in ("NO_COLOR", "TERM")}
        | (setting or {}),
        stdin=child,
        stdout=child,
        stderr=child,
    )
    os.close(child)
    text = b""
    while chunk := _read(parent):
        text += chunk
    process.wait(timeout=60)
    os.close(parent)
    return text.decode()


def _read(parent):
    try:
        return os.read(parent, 65536)
    except OSError:  # the other end is closed
        return b""


def test_the_run_is_kept_with_all_its_files(windtunnel, folder):
    """The folder named in the last line holds everything that was measured."""
    done = windtunnel("run", "small.scenario.yaml", "--replications", "2", "--workers", "1")

    [kept] = (folder / "runs").glob("*-small-site-*")
    assert f"{kept.name}/report.html" in done.stdout
    assert {path.name for path in kept.iterdir()} == {
        "manifest.json",
        "messages.json",
        "metrics.json",
        "report.html",
        "scenario.resolved.yaml",
        "study.json",
    }
    assert json.loads((kept / "manifest.json").read_text())["state"] == "done"


LONG = """\
variants: {}
requirements: [{name: answers, expect: p95(request => response) < 2 s}]
run: {duration: 1000 s, replications: 200}
"""


@pytest.mark.parametrize("workers", ["1", "2"])
def test_an_interrupt_keeps_what_was_measured(folder, environment, workers):
    """Exit code 130, the manifest says so, and no process is left."""
    text = (folder / "small.scenario.yaml").read_text().partition("variants:")[0] + LONG
    (folder / "long.scenario.yaml").write_text(text, encoding="utf-8")
    process = subprocess.Popen(
        [sys.executable, "-m", "windtunnel", "run", "long.scenario.yaml", "--workers", workers],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    wait_for(process.stderr.readline)  # the first replication is done
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to all of the group
    output, errors = process.communicate(timeout=30)

    [manifest] = (folder / "runs").glob("*/manifest.json")
    assert (process.returncode, "Traceback" in errors) == (130, False)
    assert json.loads(manifest.read_text())["state"] == "interrupted"
    assert "report:" in output
    assert errors.endswith("interrupted: what follows was measured until then\n")
    wait_for(lambda: not group_exists(process.pid))


def group_exists(group):
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def wait_for(condition, seconds=30):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
