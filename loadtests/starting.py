"""Starts Locust as a process of its own, watches it, and never leaves it behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TextIO

from loadtests import locustfile_path
from loadtests.figures import Figures
from loadtests.plan import LoadPlan
from loadtests.roster import roster_of
from loadtests.showing import progress_line
from twin.errors import MissingEnvironmentError, WindtunnelError
from twin.live.folders import temporary_folder
from twin.service import child

POLL_S: Final = 0.2
SHOW_EVERY_S: Final = 1.0
STOP_S: Final = 15
"""How long Locust waits for its users, which wait for what is under way and disconnect."""
PATIENCE_S: Final = STOP_S + 15.0
SPARE_DESCRIPTORS: Final = 100
MISSING: Final = 4
"""The exit code of our locustfile for a broker that is not there."""


@dataclass(frozen=True, slots=True)
class Finished:
    """What a run of Locust left; `problem` says why it ended before its time, if it did."""

    figures: Figures
    cpu_s: float
    wall_s: float
    is_interrupted: bool
    problem: str = ""


def check_descriptors(plan: LoadPlan) -> int:
    """How many devices there are; raise MissingEnvironmentError if a process may not open enough sockets."""
    count = len(roster_of(plan.variant, plan.device_count, plan.seed).devices)
    try:
        import resource
    except ImportError:
        return count
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    room = max(0, most - SPARE_DESCRIPTORS)
    if most != resource.RLIM_INFINITY and -(-count // plan.sharing_count) > room:
        advice = (
            f"use --processes {-(-count // room)}"
            if room
            else f"raise the limit: ulimit -n {count + SPARE_DESCRIPTORS}"
        )
        raise MissingEnvironmentError(
            f"{count:,} devices need as many sockets, and a process here may open {most:,} files; {advice}"
        )
    return count


def run_locust(environment: Mapping[str, str], log: Path, arguments: Sequence[str]) -> Finished:
    """Run Locust to its end, or until Ctrl-C; progress goes to standard error, its own words to `log`.

    Raises MissingEnvironmentError or WindtunnelError if it ends without results.
    """
    began_s = time.monotonic()
    with temporary_folder() as folder, log.open("wb") as words:
        result, progress = folder / "result.json", folder / "progress.json"
        locust = [sys.executable, "-m", "locust", "-f", str(locustfile_path()), "--only-summary"]
        command = [*locust, "--stop-timeout", str(STOP_S), *arguments]
        process = subprocess.Popen(  # noqa: S603  (our own program)
            [sys.executable, child.__file__, str(os.getpid()), *command],
            env={
                **os.environ,
                **environment,
                "WINDTUNNEL_RESULT": str(result),
                "WINDTUNNEL_PROGRESS": str(progress),
                "LOCUST_SKIP_UPDATE_CHECK": "1",
            },
            stdin=subprocess.DEVNULL,
            stdout=words,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            is_interrupted = _watch(process, progress, sys.stderr)
        finally:
            _end(process)
        told = _read(result)
        problem = "" if told or is_interrupted else f"Locust ended before its time: {_last_line(log)}"
        told = told or _read(progress)
        if told is None or (problem and not told["figures"]["account"]["attempted"]):
            if process.returncode == MISSING:
                raise MissingEnvironmentError(_last_line(log))
            raise WindtunnelError(f"Locust ended without results: {_last_line(log)}")
        wall_s = time.monotonic() - began_s
        return Finished(Figures.heard(told["figures"]), float(told["cpu_s"]), wall_s, is_interrupted, problem)


def _watch(process: subprocess.Popen[bytes], progress: Path, screen: TextIO) -> bool:
    """Show the progress until it ends; whether Ctrl-C or a signal to end came."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        shown_s, shown = time.monotonic(), ""
        while process.poll() is None:
            time.sleep(POLL_S)
            if time.monotonic() - shown_s >= SHOW_EVERY_S and (told := _read(progress)) is not None:
                shown_s, line = time.monotonic(), progress_line(Figures.heard(told["figures"]))
                if line != shown:
                    print(line, file=screen, flush=True)
                shown = line
    except KeyboardInterrupt:
        print("ending the load; Ctrl-C again to give up its last messages", file=screen, flush=True)
        process.send_signal(signal.SIGINT)
        _await(process)
        return True
    finally:
        signal.signal(signal.SIGTERM, before)
    return False


def _await(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(PATIENCE_S)
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        return


def _end(process: subprocess.Popen[bytes]) -> None:
    """Whatever is left of it and its workers goes now."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _read(path: Path) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    return found


def _last_line(log: Path) -> str:
    lines = [line for line in log.read_text("utf-8", "replace").splitlines() if line.strip()]
    return lines[-1].removeprefix("windtunnel: ") if lines else "it said nothing"
