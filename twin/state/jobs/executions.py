"""Executions change: they are queued at things, go from status to status, and the things are told."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, Final

from msgspec.structs import replace

from twin.state.jobs.plan import Plan
from twin.state.jobs.records import (
    EXECUTION,
    OPEN,
    PENDING,
    PLAN,
    Execution,
    Job,
    PendingJobs,
    Status,
    add_pending,
    counted,
    pending,
    remove_pending,
)
from twin.state.records import Record, Transaction, Tree

PENDING_LIMIT: Final = 100
NOTIFIED_LIMIT: Final = 15


def prefix(thing: str) -> str:
    """What the topics of a thing's jobs begin with."""
    return f"$aws/things/{thing}/jobs"


def queue(transaction: Transaction, job: Job, things: Iterable[str], wave: int = 0) -> Job:
    """Queue the job at these things and tell them; a thing with too many jobs waiting rejects it."""
    counts = {"QUEUED": 0, "REJECTED": 0}
    for thing in things:
        waiting: PendingJobs | None = transaction.records.get(PENDING, thing)
        execution = Execution(
            job_id=job.job_id,
            thing=thing,
            queued_s=transaction.now_s,
            updated_s=transaction.now_s,
            wave=wave,
        )
        if waiting is not None and len(waiting.job_ids) >= PENDING_LIMIT:
            details = {"reason": f"{PENDING_LIMIT} jobs wait at the thing"}
            execution = replace(execution, status="REJECTED", details=details)
            transaction.put(EXECUTION, f"{job.job_id}/{thing}", execution)
        else:
            head = head_of(transaction, thing)
            transaction.put(EXECUTION, f"{job.job_id}/{thing}", execution)
            add_pending(transaction, thing, job.job_id)
            announce(transaction, thing, head)
        counts[execution.status] += 1
    for status, count in counts.items():
        if count:
            job = counted(job, None, status, wave, count)
    return job


def change(
    transaction: Transaction, job: Job, execution: Execution, status: Status, **changes: Any
) -> tuple[Execution, Job]:
    """Take an execution from one status to another; the job that comes back is not yet kept."""
    thing = execution.thing
    head = head_of(transaction, thing)
    after = replace(
        execution,
        status=status,
        version=execution.version + 1,
        updated_s=transaction.now_s,
        **changes,
    )
    after = replace(after, due_s=_due_s(after))
    transaction.put(EXECUTION, f"{execution.job_id}/{thing}", after)
    if status not in OPEN:
        remove_pending(transaction, thing, execution.job_id)
        transaction.observe(f"job_execution_{status.lower()}")
    if status != execution.status:
        announce(transaction, thing, head)
        job = counted(job, execution.status, status, execution.wave)
    return after, job


def requeue(transaction: Transaction, job: Job, execution: Execution, cause: str) -> tuple[Execution, Job]:
    """Begin anew what failed: a new number, at the end of what waits at the thing."""
    thing = execution.thing
    head = head_of(transaction, thing)
    again = replace(
        execution,
        status="QUEUED",
        number=execution.number + 1,
        version=execution.version + 1,
        details={},
        queued_s=transaction.now_s,
        started_s=None,
        updated_s=transaction.now_s,
        progress_due_s=None,
        step_due_s=None,
        retried={**execution.retried, cause: execution.retried.get(cause, 0) + 1},
        due_s=math.inf,
    )
    transaction.put(EXECUTION, f"{execution.job_id}/{thing}", again)
    remove_pending(transaction, thing, execution.job_id)
    add_pending(transaction, thing, execution.job_id)
    announce(transaction, thing, head)
    transaction.observe("job_execution_retried")
    return again, counted(job, execution.status, "QUEUED", execution.wave)


def erase(transaction: Transaction, execution: Execution) -> None:
    """Forget an execution; the thing is told if it waited there."""
    key = f"{execution.job_id}/{execution.thing}"
    if execution.status not in OPEN:
        transaction.remove(EXECUTION, key)
        return
    head = head_of(transaction, execution.thing)
    remove_pending(transaction, execution.thing, execution.job_id)
    transaction.remove(EXECUTION, key)
    announce(transaction, execution.thing, head)


def head_of(transaction: Transaction, thing: str) -> tuple[str, int] | None:
    """Which execution a thing is to do next, by job and number."""
    waiting = pending(transaction.records, thing)
    return (waiting[0].job_id, waiting[0].number) if waiting else None


def announce(transaction: Transaction, thing: str, head: tuple[str, int] | None) -> None:
    """Tell a thing what waits there, and what is next if that was another (`head`)."""
    waiting = pending(transaction.records, thing)
    jobs: dict[str, list[Tree]] = {}
    for execution in waiting[:NOTIFIED_LIMIT]:
        jobs.setdefault(execution.status, []).append(summary(execution))
    timestamp = int(transaction.now_s)
    transaction.publish(f"{prefix(thing)}/notify", {"jobs": jobs, "timestamp": timestamp})
    first = waiting[0] if waiting else None
    if (None if first is None else (first.job_id, first.number)) == head:
        return
    document: Tree = {} if first is None else {"execution": described(transaction, first)}
    transaction.publish(f"{prefix(thing)}/notify-next", {**document, "timestamp": timestamp})


def summary(execution: Execution) -> Tree:
    """An execution in a list, with times in whole seconds."""
    started = {} if execution.started_s is None else {"startedAt": int(execution.started_s)}
    return {
        "jobId": execution.job_id,
        "queuedAt": int(execution.queued_s),
        **started,
        "lastUpdatedAt": int(execution.updated_s),
        "versionNumber": execution.version,
        "executionNumber": execution.number,
    }


def state_of(execution: Execution) -> Tree:
    """Status, details and version of an execution."""
    return {
        "status": execution.status,
        "statusDetails": execution.details,
        "versionNumber": execution.version,
    }


def described(transaction: Transaction, execution: Execution, *, has_document: bool = True) -> Tree:
    """All that a thing may know of an execution."""
    document: Tree = {"thingName": execution.thing, **summary(execution), **state_of(execution)}
    if execution.due_s != math.inf:
        document["approximateSecondsBeforeTimedOut"] = max(0, int(execution.due_s - transaction.now_s))
    plan: Record | None = transaction.records.get(PLAN, execution.job_id)
    if has_document and isinstance(plan, Plan):
        document["jobDocument"] = plan.document
    return document


def _due_s(execution: Execution) -> float:
    """When the sooner of the two timers runs out."""
    if execution.status != "IN_PROGRESS":
        return math.inf
    timers = (execution.progress_due_s, execution.step_due_s)
    return min((each for each in timers if each is not None), default=math.inf)
