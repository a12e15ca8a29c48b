"""Jobs: work that a fleet of things is to do, each thing at its own time, all of it watched."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from twin.errors import RefusedError
from twin.message import Message
from twin.state.jobs.campaign import Campaigns, Members
from twin.state.jobs.device import FILTERS, Desk
from twin.state.jobs.plan import Plan, read_plan
from twin.state.jobs.records import (
    EXECUTED,
    EXECUTION,
    JOB,
    OPEN,
    PENDING,
    PLAN,
    TARGETS,
    Execution,
    Job,
    PendingJobs,
    Targets,
    describe,
    execution_of,
    things_of,
)
from twin.state.records import Record, Records, Transaction, Tree

__all__ = ["Execution", "Job", "Jobs", "Plan", "read_plan"]


@dataclass(frozen=True, slots=True)
class Jobs:
    """The component; `members` names the things of a target, as the registry has them.

    Observes `job_notified` (things told in a step), `job_done_share` and `rollback_done_share` (each
    time an execution ends), `job_execution_*` by the status it ended in and `job_execution_retried`,
    `job_completed`, `job_canceled`, `job_aborted`, `job_request_rejected`.
    """

    filters: ClassVar[Sequence[str]] = FILTERS
    kinds: ClassVar[Mapping[str, type[Record]]] = {
        PLAN: Plan,
        JOB: Job,
        TARGETS: Targets,
        EXECUTION: Execution,
        PENDING: PendingJobs,
    }
    measures: ClassVar[tuple[str, ...]] = (
        "job_notified",
        "job_done_share",
        "rollback_done_share",
        *(f"job_execution_{each.lower()}" for each in (*EXECUTED, "CANCELED", "REMOVED", "retried")),
        "job_completed",
        "job_canceled",
        "job_aborted",
        "job_request_rejected",
    )

    members: Members

    def handle(self, message: Message, transaction: Transaction) -> None:
        """Answer a thing."""
        Desk(self._campaigns).handle(message, transaction)

    def expire(self, kind: str, key: str, transaction: Transaction) -> None:
        """A job has something to do, or an execution took too long."""
        if kind == JOB:
            self._campaigns.advance(key, transaction)
            return
        execution: Execution = transaction.records.get(kind, key)
        if execution.status in OPEN:
            self._campaigns.finish(execution, "TIMED_OUT", transaction)

    # what people ask for ---------------------------------------------------------------------------------

    def create(self, plan: Plan | Tree, transaction: Transaction) -> Job:
        """Create a job. Raises RefusedError: 400 bad, 409 another has the id, 413 too long, 429 too many."""
        return self._campaigns.create(plan if isinstance(plan, Plan) else read_plan(plan), transaction)

    def cancel(
        self, job_id: str, transaction: Transaction, *, force: bool = False, reason: str = "canceled"
    ) -> Job:
        """Cancel what is queued; with `force` also what is in progress. Raises RefusedError (404, 409)."""
        return self._campaigns.cancel(job_id, transaction, force=force, reason=reason)

    def delete(self, job_id: str, transaction: Transaction, *, force: bool = False) -> None:
        """Forget a job that is over; with `force` any. Raises RefusedError (404, 409)."""
        self._campaigns.delete(job_id, transaction, force=force)

    def confirm(self, job_id: str, transaction: Transaction) -> Job:
        """Let the next wave begin. Raises RefusedError (404, 409)."""
        return self._campaigns.confirm(job_id, transaction)

    def cancel_execution(
        self, job_id: str, thing: str, transaction: Transaction, *, force: bool = False
    ) -> Execution:
        """Cancel a job at one thing; one in progress needs `force`. Raises RefusedError (404, 409)."""
        return self._campaigns.end_execution(job_id, thing, "CANCELED", transaction, force=force)

    def forget_thing(self, thing: str, transaction: Transaction) -> None:
        """Remove a thing from all jobs that wait there."""
        self._campaigns.forget_thing(thing, transaction)

    @property
    def _campaigns(self) -> Campaigns:
        return Campaigns(self.members)


def jobs(records: Records, *, status: str | None = None, limit: int = 1000) -> list[Tree]:
    """The jobs, newest first."""
    found = [job for job in reversed(records.of(JOB).values()) if status in (None, job.status)]
    return [describe(records.get(PLAN, job.job_id), job) for job in found[:limit]]


def job_document(records: Records, job_id: str) -> Tree:
    """A job with its plan. Raises RefusedError (404) for an unknown one."""
    job: Job | None = records.get(JOB, job_id)
    if job is None:
        raise RefusedError(404, f"there is no job {job_id!r}")
    return describe(records.get(PLAN, job_id), job)


def job_executions(
    records: Records, job_id: str, *, status: str | None = None, limit: int = 1000
) -> list[Execution]:
    """The executions of a job, in the order of its targets."""
    job: Job | None = records.get(JOB, job_id)
    found: list[Execution] = []
    for thing in things_of(records, job_id, 0, job.notified_count) if job is not None else ():
        execution = execution_of(records, job_id, thing)
        if execution is not None and status in (None, execution.status):
            found.append(execution)
            if len(found) == limit:
                break
    return found
