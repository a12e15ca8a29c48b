"""The work that pages start: commands of `windtunnel` in processes of their own, a few at a time.

The command line does the same work and leaves the same folders, so a run begun here is no other kind of run.
A job belongs to the server, not to the browser that began it: everybody sees it, and anybody can cancel it.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Final, Literal

State = Literal["waiting", "running", "done", "failed", "cancelled"]

MOST_JOBS: Final = 200
"""Jobs remembered; the oldest that ended are forgotten first."""
MOST_WAITING: Final = 32
GRACE_S: Final = 5.0
MOST_OUTPUT_BYTES: Final = 65_536
MOST_ANSWER_BYTES: Final = 16_000_000
JUDGED: Final = (0, 1, 3)
"""Exit codes of a command that did its work, whatever the verdict."""


class Job:
    """One command: waiting for its turn, running, or ended."""

    def __init__(self, number: int, arguments: Sequence[str], label: str) -> None:
        self.number, self.arguments, self.label = number, tuple(arguments), label
        self.code: int | None = None
        self.answer = ""
        """What it printed on standard output."""
        self.output = ""
        """What it told a person: the end of standard error, or else of its answer."""
        self.is_cancelled = False
        self.process: subprocess.Popen[bytes] | None = None
        self._ended = threading.Event()

    @property
    def state(self) -> State:
        """How far it is."""
        if not self._ended.is_set():
            return "waiting" if self.process is None else "running"
        if self.is_cancelled:
            return "cancelled"
        return "done" if self.code in JUDGED else "failed"

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""
        return self._ended.is_set()

    def wait(self, timeout_s: float) -> bool:
        """Wait for its end at most so long; whether it has ended."""
        return self._ended.wait(timeout_s)

    def run(self) -> None:
        """Run the command to its end, unless it was cancelled while it waited."""
        try:
            with tempfile.TemporaryFile() as answer, tempfile.TemporaryFile() as told:
                if not self.is_cancelled:
                    self.process = _started(self.arguments, answer, told)
                    self.code = self.process.wait()
                    self.answer = _last(answer, MOST_ANSWER_BYTES)
                    self.output = _last(told, MOST_OUTPUT_BYTES) or self.answer[-MOST_OUTPUT_BYTES:]
        except OSError as error:
            self.output = f"cannot start: {error.strerror}"
        finally:
            self._ended.set()

    def cancel(self) -> None:
        """Ask it to end, which keeps what was measured; end it if it does not."""
        self.is_cancelled = not self.is_over
        if self.process is not None and not self.is_over:
            with contextlib.suppress(ProcessLookupError):
                self.process.terminate()
            threading.Thread(target=self._end, daemon=True).start()

    def _end(self) -> None:
        if not self._ended.wait(GRACE_S) and self.process is not None:
            self.process.kill()


class Jobs:
    """All jobs of this server; a few run at a time, the others wait in order."""

    def __init__(self, parallel: int | None = None) -> None:
        self._turns = threading.Semaphore(parallel or max(1, (os.cpu_count() or 2) - 1))
        self._lock = threading.Lock()
        self._jobs: dict[int, Job] = {}
        self._count = 0

    def start(self, arguments: Sequence[str], label: str, *, is_queued: bool = True) -> Job:
        """Run `windtunnel` with these arguments when it is its turn; at once where it is not queued.

        Raises RuntimeError with one sentence when too many wait.
        """
        with self._lock:
            if sum(job.state == "waiting" for job in self._jobs.values()) >= MOST_WAITING:
                raise RuntimeError(
                    f"{MOST_WAITING} jobs are waiting; cancel some, or wait until they are done"
                )
            self._count += 1
            job = self._jobs[self._count] = Job(self._count, arguments, label)
            for old in [each for each in self._jobs.values() if each.is_over][: len(self._jobs) - MOST_JOBS]:
                del self._jobs[old.number]
        threading.Thread(
            target=self._serve, args=(job, is_queued), daemon=True, name=f"job {job.number}"
        ).start()
        return job

    def _serve(self, job: Job, is_queued: bool) -> None:
        if not is_queued:
            job.run()
            return
        with self._turns:
            job.run()

    def all(self) -> list[Job]:
        """Every job remembered, newest first."""
        with self._lock:
            return sorted(self._jobs.values(), key=lambda job: -job.number)

    def find(self, number: int) -> Job | None:
        """A job by its number."""
        return self._jobs.get(number)

    def of_process(self, process: int) -> Job | None:
        """The job that this process runs for."""
        return next((job for job in self.all() if job.process and job.process.pid == process), None)

    def close(self) -> None:
        """Cancel what goes on, and wait until it has ended."""
        for job in self.all():
            job.cancel()
        for job in self.all():
            job.wait(GRACE_S + 1.0)


_JOBS: Final = Jobs()


def jobs() -> Jobs:
    """The jobs of this server."""
    return _JOBS


def _started(arguments: Sequence[str], answer: IO[bytes], told: IO[bytes]) -> subprocess.Popen[bytes]:
    """The command, in a session of its own: Ctrl-C in the server's terminal is not for it."""
    return subprocess.Popen(  # noqa: S603  (our own command, arguments as a list)
        [sys.executable, "-m", "windtunnel", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=answer,
        stderr=told,
        start_new_session=True,
        cwd=Path.cwd(),
    )


def _last(output: IO[bytes], most_bytes: int) -> str:
    """The end of what the command said."""
    size = output.seek(0, os.SEEK_END)
    output.seek(max(0, size - most_bytes))
    return output.read().decode(errors="replace").strip()
