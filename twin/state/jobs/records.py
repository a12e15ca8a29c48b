"""What is known of jobs: how each stands, who it is for, and the execution of each thing.

A job's own record is small, because it changes with every execution; its plan and targets never change or
seldom do, and stand apart.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal, TypeAlias

import msgspec
from msgspec.structs import replace

from twin.state.jobs.plan import Plan
from twin.state.records import Record, Records, Transaction, Tree

PLAN: Final = "job_plan"
JOB: Final = "job"
TARGETS: Final = "job_targets"
EXECUTION: Final = "execution"
PENDING: Final = "pending_jobs"
CHUNK: Final = 1000

JobStatus: TypeAlias = Literal["SCHEDULED", "IN_PROGRESS", "CANCELED", "COMPLETED", "DELETION_IN_PROGRESS"]
Status: TypeAlias = Literal[
    "QUEUED", "IN_PROGRESS", "SUCCEEDED", "FAILED", "TIMED_OUT", "REJECTED", "REMOVED", "CANCELED"
]
OPEN: Final = ("QUEUED", "IN_PROGRESS")
BAD: Final = ("FAILED", "TIMED_OUT", "REJECTED")
EXECUTED: Final = ("SUCCEEDED", *BAD)


class Wave(msgspec.Struct, frozen=True):
    """One wave of a job: its targets are those below `end`, from the end of the one before on."""

    end: int
    size: int
    succeeded_count: int = 0
    bad_count: int = 0
    over_count: int = 0


class Job(Record, frozen=True):
    """How a job stands; times in seconds, `counts` are executions by status.

    The first `notified_count` of its targets have an execution. `sweep` is how far canceling or deleting
    has come, through the executions that were there. `is_fed`: a rollback that may still get targets.
    """

    job_id: str
    status: JobStatus = "SCHEDULED"
    reason: str = ""
    is_forced: bool = False
    created_s: float = 0.0
    started_s: float | None = None
    ended_s: float | None = None
    target_count: int = 0
    notified_count: int = 0
    counts: dict[str, int] = msgspec.field(default_factory=dict)
    carry: int = 0
    ready_s: float = 0.0
    refresh_due_s: float | None = None
    waves: tuple[Wave, ...] = ()
    wave: int = 0
    confirm_by_s: float | None = None
    is_rollout_stopped: bool = False
    sweep: int | None = None
    rollback_id: str = ""
    is_fed: bool = False

    @property
    def open_count(self) -> int:
        """Executions that have not ended."""
        return sum(self.counts.get(status, 0) for status in OPEN)

    @property
    def executed_count(self) -> int:
        """Executions that a device, or its silence, has ended."""
        return sum(self.counts.get(status, 0) for status in EXECUTED)

    @property
    def done_share(self) -> float:
        """Share of the targets that succeeded."""
        return self.counts.get("SUCCEEDED", 0) / self.target_count if self.target_count else 0.0


class Targets(Record, frozen=True):
    """Up to `CHUNK` of a job's targets, under the job's id and their number."""

    things: tuple[str, ...]


class Execution(Record, frozen=True):
    """A job at one thing; times in seconds. It falls due when one of its two timers runs out."""

    job_id: str
    thing: str
    status: Status = "QUEUED"
    number: int = 1
    version: int = 1
    details: dict[str, str] = msgspec.field(default_factory=dict)
    queued_s: float = 0.0
    started_s: float | None = None
    updated_s: float = 0.0
    progress_due_s: float | None = None
    step_due_s: float | None = None
    wave: int = 0
    retried: dict[str, int] = msgspec.field(default_factory=dict)


class PendingJobs(Record, frozen=True):
    """The jobs that wait at a thing or are in progress there, in the order of their queueing."""

    job_ids: tuple[str, ...]


def execution_of(records: Records, job_id: str, thing: str) -> Execution | None:
    """The execution of a job at a thing."""
    execution: Execution | None = records.get(EXECUTION, f"{job_id}/{thing}")
    return execution


def things_of(records: Records, job_id: str, begin: int, end: int) -> Iterator[str]:
    """The targets of a job from one number to another."""
    for number in range(begin // CHUNK, -(-end // CHUNK)):
        chunk: Targets | None = records.get(TARGETS, f"{job_id}/{number:06d}")
        if chunk is None:
            return
        first = number * CHUNK
        yield from chunk.things[max(0, begin - first) : max(0, end - first)]


def put_targets(transaction: Transaction, job_id: str, begin: int, things: list[str]) -> int:
    """Put these in place of the targets from number `begin` on; return how many there are then."""
    first = begin // CHUNK
    kept = list(things_of(transaction.records, job_id, first * CHUNK, begin))
    rest = kept + things
    number = first
    for start in range(0, len(rest), CHUNK):
        chunk = Targets(things=tuple(rest[start : start + CHUNK]))
        if transaction.records.get(TARGETS, f"{job_id}/{number:06d}") != chunk:
            transaction.put(TARGETS, f"{job_id}/{number:06d}", chunk)
        number += 1
    remove_targets(transaction, job_id, number)
    return begin + len(things)


def remove_targets(transaction: Transaction, job_id: str, number: int = 0) -> None:
    """Forget the chunks of a job's targets from a number on."""
    while transaction.records.get(TARGETS, f"{job_id}/{number:06d}") is not None:
        transaction.remove(TARGETS, f"{job_id}/{number:06d}")
        number += 1


def pending(records: Records, thing: str) -> list[Execution]:
    """What waits at a thing: in progress first, then in the order of queueing."""
    queue: PendingJobs | None = records.get(PENDING, thing)
    if queue is None:
        return []
    found: list[Execution] = [records.get(EXECUTION, f"{job_id}/{thing}") for job_id in queue.job_ids]
    found.sort(key=_is_queued)
    return found


def _is_queued(execution: Execution) -> bool:
    return execution.status == "QUEUED"


def add_pending(transaction: Transaction, thing: str, job_id: str) -> None:
    """Put a job at the end of what waits at a thing."""
    queue: PendingJobs | None = transaction.records.get(PENDING, thing)
    job_ids = (*queue.job_ids, job_id) if queue is not None else (job_id,)
    transaction.put(PENDING, thing, PendingJobs(job_ids=job_ids))


def remove_pending(transaction: Transaction, thing: str, job_id: str) -> None:
    """Take a job off what waits at a thing."""
    queue: PendingJobs | None = transaction.records.get(PENDING, thing)
    job_ids = tuple(each for each in queue.job_ids if each != job_id) if queue is not None else ()
    if job_ids:
        transaction.put(PENDING, thing, PendingJobs(job_ids=job_ids))
    else:
        transaction.remove(PENDING, thing)


def counted(job: Job, before: str | None, after: str | None, wave: int, count: int = 1) -> Job:
    """The job after `count` executions of a wave have gone from one status (None: none) to another."""
    counts = dict(job.counts)
    if before is not None:
        counts[before] -= count
        if not counts[before]:
            del counts[before]
    if after is not None:
        counts[after] = counts.get(after, 0) + count
    if not job.waves or after is None or after in OPEN:
        return replace(job, counts=counts)
    old = job.waves[wave]
    new = replace(
        old,
        succeeded_count=old.succeeded_count + count * (after == "SUCCEEDED"),
        bad_count=old.bad_count + count * (after in BAD),
        over_count=old.over_count + count,
    )
    return replace(job, counts=counts, waves=(*job.waves[:wave], new, *job.waves[wave + 1 :]))


def describe(plan: Plan, job: Job) -> Tree:
    """A job for people and programs: its plan and how it stands."""
    hidden = {"due_s", "carry", "ready_s", "refresh_due_s", "sweep", "is_fed", "confirm_by_s"}
    planned = {name: getattr(plan, name) for name in plan.__struct_fields__ if name != "due_s"}
    stands = {name: getattr(job, name) for name in job.__struct_fields__ if name not in hidden}
    waits = job.confirm_by_s is not None
    document: Tree = msgspec.to_builtins({**planned, **stands, "waits_for_confirmation": waits})
    return document
