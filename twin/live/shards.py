"""Fleets that are too large for one process: several processes, an engine each, results added up.

    run_shards --spawn--> worker 0..n-1: work(shard) --tallies so far, result--> run_shards --> Outcome

What crosses the pipes is JSON. A worker ends when it is told to, when its work is done, or when the process
that started it is gone.
"""

from __future__ import annotations

import json
import math
import multiprocessing
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, Final

from twin.errors import InputError, MissingEnvironmentError, WindtunnelError
from twin.mqtt.fleet.tally import Tally

CLIENTS_IN_A_PROCESS: Final = 15_000
SPARE_DESCRIPTORS: Final = 200
MOST_FILES: Final = 60_000
"""So many are enough: no process here opens more."""
MOST_SHARDS: Final = 256
STOP_S: Final = 5.0
LONGEST_S: Final = 86_400.0
TELL_EVERY_S: Final = 1.0
STOP: Final = b"stop"

Work = Callable[["Shard"], Tally]
"""What a worker does: a function that can be imported by name."""


def files_in_a_process() -> int:
    """How many files this process may open for connections, once it has raised its limit as far as it may."""
    try:
        import resource
    except ImportError:  # Windows has another limit, far away
        return MOST_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = hard if hard != resource.RLIM_INFINITY else MOST_FILES + SPARE_DESCRIPTORS
    if soft != resource.RLIM_INFINITY and limit > soft:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
            soft = limit
    return MOST_FILES if soft == resource.RLIM_INFINITY else min(MOST_FILES, soft - SPARE_DESCRIPTORS)


def room_in_a_process() -> int:
    """How many clients a process may have: as the system's limit of open files allows."""
    return min(CLIENTS_IN_A_PROCESS, files_in_a_process())


def check_room(connection_count: int, files_each: int = 1) -> None:
    """Raise MissingEnvironmentError if this process may not open so many connections."""
    files, needed = max(0, files_in_a_process()), connection_count * files_each
    if needed > files:
        raise MissingEnvironmentError(
            f"{connection_count:,} connections need {needed:,} open files, and this"
            f" process has room for {files:,}; raise the limit: ulimit -n {needed + SPARE_DESCRIPTORS}"
        )
    if connection_count > CLIENTS_IN_A_PROCESS:
        raise MissingEnvironmentError(
            f"{connection_count:,} connections are more than the {CLIENTS_IN_A_PROCESS:,} that one process"
            " carries; use fewer devices, or `windtunnel load`, which takes several processes"
        )


def shards_for(client_count: int, at_least: int = 1) -> int:
    """How many processes so many clients need; raise MissingEnvironmentError if that is out of reach."""
    room = room_in_a_process()
    count = max(at_least, math.ceil(client_count / room)) if room > 0 else MOST_SHARDS + 1
    if count > MOST_SHARDS:
        raise MissingEnvironmentError(
            f"{client_count:,} clients need more open files than this system allows"
            f" ({max(room, 0):,} clients a process); raise the limit: ulimit -n 20000"
        )
    return count


@dataclass(slots=True)
class Shard:
    """One worker's part. `plan` is what was given to `run_shards`, as JSON has it."""

    number: int
    count: int
    plan: Mapping[str, Any]
    _pipe: Connection = field(repr=False)
    _is_stopped: bool = field(init=False, default=False)
    _told_s: float = field(init=False, default=0.0)

    def share(self, total: int) -> range:
        """The numbers, of 0 to `total` - 1, that are this worker's: as many as the others', or one more."""
        return range(total * self.number // self.count, total * (self.number + 1) // self.count)

    @property
    def is_stopped(self) -> bool:
        """Whether the worker is to end, or whoever started it is gone."""
        if not self._is_stopped:
            try:
                self._is_stopped = self._pipe.poll(0)
            except OSError:
                self._is_stopped = True
        return self._is_stopped

    def tell(self, tally: Tally) -> None:
        """Say what happened so far, now and then; so it is known even if this worker dies."""
        now = time.monotonic()
        if now - self._told_s >= TELL_EVERY_S:
            self._told_s = now
            _send(self._pipe, {"so far": tally.told()})


@dataclass(slots=True)
class Outcome:
    """What the workers found together; `problems` has a sentence for each that failed."""

    tally: Tally
    problems: list[str]
    is_interrupted: bool = False


@dataclass(slots=True)
class _Worker:
    number: int
    process: BaseProcess
    pipe: Connection
    tally: Tally = field(default_factory=Tally)
    problem: str = ""
    is_over: bool = False

    def take(self) -> None:
        """Read one message; the end of the pipe is the end of the worker."""
        try:
            said = json.loads(self.pipe.recv_bytes())
        except (EOFError, OSError):
            self.is_over = True
            self.process.join(STOP_S)
            self.problem = self.problem or _epitaph(self)
            return
        self.problem = said.get("error", "")
        told = said.get("result") or said.get("so far")
        if told is not None:
            self.tally = Tally.heard(told)
        self.is_over = "so far" not in said


def run_shards(
    work: Work,
    plan: Mapping[str, Any],
    count: int,
    progress: Callable[[Tally], None] = lambda _: None,
    limit_s: float = LONGEST_S,
) -> Outcome:
    """Run the work in `count` processes; Ctrl-C or `limit_s` stops all, and what they found is kept."""
    if not 1 <= count <= MOST_SHARDS:
        raise InputError(f"there are 1 to {MOST_SHARDS} worker processes, not {count}")
    with _deaf():
        workers = [_start(work, plan, number, count) for number in range(count)]
    is_interrupted = False
    try:
        try:
            _attend(workers, progress, time.monotonic() + limit_s)
        except KeyboardInterrupt:
            is_interrupted = True
        for worker in workers:
            with suppress(OSError):
                worker.pipe.send_bytes(STOP)
        _attend(workers, progress, time.monotonic() + STOP_S)
    finally:
        _end(workers)
    problems = [worker.problem for worker in workers if worker.problem]
    return Outcome(_sum(workers), problems, is_interrupted)


@contextmanager
def _deaf() -> Iterator[None]:
    """Processes that are started meanwhile ignore Ctrl-C from their first instruction on."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _start(work: Work, plan: Mapping[str, Any], number: int, count: int) -> _Worker:
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(
        target=_worker,
        args=(work, json.dumps(plan), number, count, there),
        name=f"worker {number}",
        daemon=True,
    )
    process.start()
    there.close()
    return _Worker(number, process, here)


def _attend(workers: Sequence[_Worker], progress: Callable[[Tally], None], until_s: float) -> None:
    """Hear the workers until all are over, or the time has come."""
    while waiting := {worker.pipe: worker for worker in workers if not worker.is_over}:
        left_s = min(TELL_EVERY_S, until_s - time.monotonic())
        if left_s <= 0:
            return
        for pipe in wait(list(waiting), left_s):
            waiting[pipe].take()  # type: ignore[index]
        progress(_sum(workers))


def _end(workers: Sequence[_Worker]) -> None:
    """No process stays behind."""
    for worker in workers:
        if not worker.is_over:
            worker.process.terminate()
            worker.problem = worker.problem or f"worker {worker.number} did not stop in time and was ended"
    for worker in workers:
        worker.process.join(STOP_S)
        if worker.process.is_alive():
            worker.process.kill()
            worker.process.join()
        worker.pipe.close()


def _sum(workers: Sequence[_Worker]) -> Tally:
    total = Tally()
    for worker in workers:
        total.merge(worker.tally)
    return total


def _epitaph(worker: _Worker) -> str:
    """Why a worker is gone without a word."""
    code = worker.process.exitcode
    how = f"exit code {code}"
    if code is not None and code < 0:
        with suppress(ValueError):
            how = f"signal {signal.Signals(-code).name}"
    return f"worker {worker.number} died with {how}; what it found until then is kept"


# in the worker -------------------------------------------------------------------------------------------


def _worker(work: Work, plan: str, number: int, count: int, pipe: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches us through whoever started us
    room_in_a_process()
    said: dict[str, Any]
    try:
        said = {"result": work(Shard(number, count, json.loads(plan), pipe)).told()}
    except WindtunnelError as error:
        said = {"error": f"worker {number}: {error}"}
    except Exception as error:  # noqa: BLE001  (whoever started us says it)
        traceback.print_exc(file=sys.stderr)
        said = {"error": f"worker {number} failed: {type(error).__name__}: {error}"}
    _send(pipe, said)
    pipe.close()


def _send(pipe: Connection, said: Mapping[str, Any]) -> None:
    with suppress(OSError):
        pipe.send_bytes(json.dumps(said).encode())
