"""Jobs from their creation to their end: when they begin, whom they reach next, and what stops them.

    SCHEDULED --start--> IN_PROGRESS --every execution over--> COMPLETED
        `-------cancel------`--cancel, abort, emergency stop--> CANCELED     any --delete--> gone

Whatever happens, an execution that ended or a deadline that came, `advance` looks at the whole job and does
all that is due. All it knows is in records, so it goes on after a restart where it stood.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from msgspec.structs import replace

from twin.errors import InputError, RefusedError
from twin.state.jobs import executions
from twin.state.jobs.pace import BATCH, STEP_S, next_step
from twin.state.jobs.plan import ROLLBACK_SUFFIX, Plan, check_plan
from twin.state.jobs.records import (
    BAD,
    JOB,
    OPEN,
    PLAN,
    Execution,
    Job,
    Status,
    Wave,
    execution_of,
    pending,
    put_targets,
    remove_targets,
    things_of,
)
from twin.state.records import Records, Transaction, Tree

JOBS_LIMIT: Final = 10_000
THINGS_LIMIT: Final = 1_000_000

Members: TypeAlias = Callable[[Records, str], Sequence[str]]


@dataclass(frozen=True, slots=True)
class Campaigns:
    """Carries jobs out; `members` names the things of a target."""

    members: Members

    # what people ask for ---------------------------------------------------------------------------------

    def create(self, plan: Plan, transaction: Transaction) -> Job:
        """Create a job; the same plan again is the same job. Raises RefusedError (400, 409, 413, 429)."""
        check_plan(plan)
        records = transaction.records
        known: Plan | None = records.get(PLAN, plan.job_id)
        if known is not None:
            if known != plan:
                raise RefusedError(409, f"job {plan.job_id!r} exists with another plan")
            return self.job(plan.job_id, records)
        if len(records.of(JOB)) >= JOBS_LIMIT:
            raise RefusedError(429, f"there are {JOBS_LIMIT} jobs, which is the limit; delete one")
        self._resolved(plan, transaction)  # a target that nobody knows is refused now, not at the start
        transaction.put(PLAN, plan.job_id, plan)
        job = Job(job_id=plan.job_id, created_s=transaction.now_s)
        transaction.put(JOB, plan.job_id, job)
        self.advance(plan.job_id, transaction)
        return self.job(plan.job_id, records)

    def job(self, job_id: str, records: Records) -> Job:
        """How a job stands. Raises RefusedError (404) for an unknown one."""
        job: Job | None = records.get(JOB, job_id)
        if job is None:
            raise RefusedError(404, f"no job is called {job_id!r}")
        return job

    def cancel(
        self, job_id: str, transaction: Transaction, *, force: bool = False, reason: str = "canceled"
    ) -> Job:
        """Cancel what is queued, and with `force` what is in progress. Raises RefusedError (404, 409)."""
        job = self.job(job_id, transaction.records)
        is_sharper = job.status == "CANCELED" and force and not job.is_forced
        if job.status not in ("SCHEDULED", "IN_PROGRESS") and not is_sharper:
            raise RefusedError(409, f"job {job_id!r} is {job.status}")
        canceled = self._canceled(job, transaction, reason, is_forced=force)
        transaction.put(JOB, job_id, canceled)
        self.advance(job_id, transaction)
        return self.job(job_id, transaction.records)

    def delete(self, job_id: str, transaction: Transaction, *, force: bool = False) -> None:
        """Forget a job that is over, or with `force` any. Raises RefusedError (404, 409)."""
        job = self.job(job_id, transaction.records)
        if (job.status in ("SCHEDULED", "IN_PROGRESS") or job.open_count) and not force:
            raise RefusedError(409, f"job {job_id!r} is {job.status} with {job.open_count} executions open")
        doomed = replace(job, status="DELETION_IN_PROGRESS", sweep=0)
        transaction.put(JOB, job_id, doomed)
        self._fed_no_more(job, transaction)
        self.advance(job_id, transaction)

    def confirm(self, job_id: str, transaction: Transaction) -> Job:
        """Let the next wave begin. Raises RefusedError (404, 409)."""
        job = self.job(job_id, transaction.records)
        if job.status != "IN_PROGRESS" or job.confirm_by_s is None:
            raise RefusedError(409, f"job {job_id!r} waits for no confirmation")
        transaction.put(JOB, job_id, replace(job, confirm_by_s=None, wave=job.wave + 1))
        self.advance(job_id, transaction)
        return self.job(job_id, transaction.records)

    def end_execution(
        self, job_id: str, thing: str, status: Status, transaction: Transaction, *, force: bool = False
    ) -> Execution:
        """Cancel or remove one execution; one in progress needs `force`. Raises RefusedError (404, 409)."""
        execution = execution_of(transaction.records, job_id, thing)
        if execution is None:
            raise RefusedError(404, f"job {job_id!r} has no execution at {thing!r}")
        if execution.status not in OPEN or (execution.status == "IN_PROGRESS" and not force):
            raise RefusedError(409, f"the execution of {job_id!r} at {thing!r} is {execution.status}")
        return self.finish(execution, status, transaction)

    def forget_thing(self, thing: str, transaction: Transaction) -> None:
        """A thing is gone: what waits there is removed."""
        for execution in pending(transaction.records, thing):
            self.finish(execution, "REMOVED", transaction)

    # what things and time do -----------------------------------------------------------------------------

    def settle(self, thing: str, transaction: Transaction) -> None:
        """Bring what waits at a thing up to date, before it is answered: canceled and timed out."""
        for execution in pending(transaction.records, thing):
            job: Job | None = transaction.records.get(JOB, execution.job_id)
            if job is None or job.status == "DELETION_IN_PROGRESS":
                executions.erase(transaction, execution)
            elif _is_swept(job, execution):
                self.finish(execution, "CANCELED", transaction)
            elif execution.due_s <= transaction.now_s:
                self.finish(execution, "TIMED_OUT", transaction)

    def begin(self, execution: Execution, transaction: Transaction, **changes: Any) -> Execution:
        """A thing starts an execution, or goes on with it."""
        job, plan = self._both(execution.job_id, transaction)
        if execution.status == "QUEUED":
            timer_s = plan.in_progress_timeout_s
            changes["started_s"] = transaction.now_s
            changes["progress_due_s"] = None if timer_s is None else transaction.now_s + timer_s
        begun, job = executions.change(transaction, job, execution, "IN_PROGRESS", **changes)
        transaction.put(JOB, job.job_id, job)
        return begun

    def finish(
        self, execution: Execution, status: Status, transaction: Transaction, **changes: Any
    ) -> Execution:
        """An execution ends in this status, or begins anew if the plan has it tried again."""
        job, plan = self._both(execution.job_id, transaction)
        if job.status == "IN_PROGRESS" and _may_retry(plan, execution, status):
            ended, job = executions.requeue(transaction, job, execution, status)
        else:
            ended, job = executions.change(transaction, job, execution, status, **changes)
            share = "rollback_done_share" if plan.rollback_of else "job_done_share"
            transaction.observe(share, job.done_share)
        transaction.put(JOB, job.job_id, job)
        if status == "SUCCEEDED" and job.rollback_id:
            self._feed(job.rollback_id, [execution.thing], transaction)
        self.advance(job.job_id, transaction)
        return ended

    def advance(self, job_id: str, transaction: Transaction) -> None:
        """Do all that is due for a job, and say when something is due next."""
        job, plan = self._both(job_id, transaction)
        if job.status == "SCHEDULED" and transaction.now_s >= (plan.start_s or 0.0):
            job = self._begun(plan, job, transaction)
        if job.status in ("SCHEDULED", "IN_PROGRESS"):
            job = self._window_ended(plan, job, transaction)
        if job.status == "IN_PROGRESS":
            job = self._judged(plan, job, transaction)
        if job.status == "IN_PROGRESS":
            job = self._refreshed(plan, job, transaction)
            job = self._rolled_out(plan, job, transaction)
            job = self._completed(plan, job, transaction)
        if job.sweep is not None:
            job = self._swept(job, transaction)
            if job.status == "DELETION_IN_PROGRESS" and job.sweep is None:
                remove_targets(transaction, job_id)
                transaction.remove(PLAN, job_id)
                transaction.remove(JOB, job_id)
                return
        if job.status == "CANCELED" and job.sweep is None and not job.open_count:
            self._fed_no_more(job, transaction)
        transaction.put(JOB, job_id, replace(job, due_s=_due_s(plan, job, transaction.now_s)))

    # one after the other ---------------------------------------------------------------------------------

    def _both(self, job_id: str, transaction: Transaction) -> tuple[Job, Plan]:
        plan: Plan = transaction.records.get(PLAN, job_id)
        return self.job(job_id, transaction.records), plan

    def _resolved(self, plan: Plan, transaction: Transaction) -> list[str]:
        """The things of the targets, each once; at most so many. Raises what `members` does."""
        found: dict[str, None] = {}
        for target in plan.targets:
            found.update(dict.fromkeys(self.members(transaction.records, target)))
        return list(found)[:THINGS_LIMIT]

    def _resolved_or_none(self, plan: Plan, job: Job, transaction: Transaction) -> list[str] | None:
        """The things of the targets; None, with a note, if a group or search has gone meanwhile."""
        try:
            return self._resolved(plan, transaction)
        except InputError as error:
            transaction.note("set_aside", job.job_id, {"reason": str(error)})
            return None

    def _begun(self, plan: Plan, job: Job, transaction: Transaction) -> Job:
        things = self._resolved_or_none(plan, job, transaction)
        if things is None:
            return self._canceled(job, transaction, "its targets are not known", is_forced=False)
        count = put_targets(transaction, job.job_id, 0, things)
        return replace(
            job,
            status="IN_PROGRESS",
            started_s=transaction.now_s,
            target_count=count,
            waves=_waves(plan, count),
            refresh_due_s=transaction.now_s + plan.refresh_s if plan.continuous else None,
        )

    def _window_ended(self, plan: Plan, job: Job, transaction: Transaction) -> Job:
        if plan.end_s is None or transaction.now_s < plan.end_s or job.is_rollout_stopped:
            return job
        if plan.end_behavior == "stop_rollout" and job.status == "IN_PROGRESS":
            return replace(job, is_rollout_stopped=True, refresh_due_s=None, confirm_by_s=None)
        is_forced = plan.end_behavior == "force_cancel"
        return self._canceled(job, transaction, "its time window ended", is_forced=is_forced)

    def _judged(self, plan: Plan, job: Job, transaction: Transaction) -> Job:
        """Cancel by the rules of the plan, or let the next wave begin."""
        reason = _abort_reason(plan, job)
        while not reason and plan.waves is not None and job.waves and not job.is_rollout_stopped:
            reason, is_reached = _wave_verdict(plan, job)
            is_last = job.wave == len(job.waves) - 1
            if reason or not is_reached or is_last:
                break
            if plan.waves.confirm and job.waves[job.wave].size:
                if job.confirm_by_s is None:
                    within_s = plan.waves.confirm_within_s
                    return replace(job, confirm_by_s=transaction.now_s + within_s)
                if transaction.now_s < job.confirm_by_s:
                    return job
                reason = f"nobody confirmed wave {job.wave + 2}"
                break
            job = replace(job, wave=job.wave + 1)
        if not reason:
            return job
        transaction.observe("job_aborted")
        job = self._canceled(job, transaction, reason, is_forced=False)
        return self._rolled_back(plan, job, transaction)

    def _refreshed(self, plan: Plan, job: Job, transaction: Transaction) -> Job:
        """Who has come joins a continuous job, and who has gone is removed from it."""
        if job.refresh_due_s is None or transaction.now_s < job.refresh_due_s:
            return job
        members = self._resolved_or_none(plan, job, transaction)
        if members is None:
            return replace(job, refresh_due_s=transaction.now_s + plan.refresh_s)
        known = list(things_of(transaction.records, job.job_id, 0, job.target_count))
        told = known[: job.notified_count]
        is_member = set(members)
        seen = set(known)
        coming = [thing for thing in known[job.notified_count :] if thing in is_member]
        coming += [thing for thing in members if thing not in seen]
        count = put_targets(transaction, job.job_id, job.notified_count, coming)
        job = replace(job, target_count=count, refresh_due_s=transaction.now_s + plan.refresh_s)
        for thing in told:
            execution = execution_of(transaction.records, job.job_id, thing)
            if thing not in is_member and execution is not None and execution.status in OPEN:
                _, job = executions.change(transaction, job, execution, "REMOVED")
        return job

    def _rolled_out(self, plan: Plan, job: Job, transaction: Transaction) -> Job:
        limit = _limit(job)
        if job.is_rollout_stopped or transaction.now_s < job.ready_s or job.notified_count >= limit:
            return job
        rate = None
        if plan.rollout is not None:
            rate = plan.rollout.rate(job.notified_count, job.counts.get("SUCCEEDED", 0))
        step = next_step(rate, job.carry)
        end = min(limit, job.notified_count + step.things_count)
        things = list(things_of(transaction.records, job.job_id, job.notified_count, end))
        job = executions.queue(transaction, job, things, job.wave)
        transaction.observe("job_notified", float(len(things)))
        return replace(job, notified_count=end, carry=step.carry, ready_s=transaction.now_s + step.wait_s)

    def _completed(self, plan: Plan, job: Job, transaction: Transaction) -> Job:
        is_told = job.is_rollout_stopped or (job.notified_count == job.target_count and not plan.continuous)
        if not is_told or job.open_count or job.is_fed:
            return job
        self._tell_end(job, "completed", transaction)
        return replace(job, status="COMPLETED", ended_s=transaction.now_s, refresh_due_s=None)

    def _canceled(self, job: Job, transaction: Transaction, reason: str, *, is_forced: bool) -> Job:
        """Canceled, with everything that was queued still to be told."""
        if job.status != "CANCELED":
            self._tell_end(job, "canceled", transaction, reason)
        return replace(
            job,
            status="CANCELED",
            reason=reason if job.status != "CANCELED" else job.reason,
            is_forced=is_forced,
            ended_s=transaction.now_s,
            sweep=0,
            refresh_due_s=None,
            confirm_by_s=None,
        )

    def _swept(self, job: Job, transaction: Transaction) -> Job:
        """Cancel or erase the next so many executions."""
        begin = job.sweep or 0
        end = min(job.notified_count, begin + BATCH)
        for thing in list(things_of(transaction.records, job.job_id, begin, end)):
            execution = execution_of(transaction.records, job.job_id, thing)
            if execution is None:
                continue
            if job.status == "DELETION_IN_PROGRESS":
                executions.erase(transaction, execution)
            elif _is_swept(job, execution):
                _, job = executions.change(transaction, job, execution, "CANCELED")
        return replace(job, sweep=end if end < job.notified_count else None)

    def _tell_end(self, job: Job, what: str, transaction: Transaction, reason: str = "") -> None:
        document: Tree = {
            "eventType": "JOB",
            "operation": what,
            "jobId": job.job_id,
            "reason": reason,
            "counts": job.counts,
            "timestamp": int(transaction.now_s),
        }
        transaction.publish(f"$aws/events/job/{job.job_id}/{what}", document)
        transaction.observe(f"job_{what}")

    # rollback --------------------------------------------------------------------------------------------

    def _rolled_back(self, plan: Plan, job: Job, transaction: Transaction) -> Job:
        """Start the job that undoes this one where it succeeded; who succeeds later follows."""
        if plan.rollback is None:
            return job
        rollback_id = plan.job_id + ROLLBACK_SUFFIX
        undo = Plan(
            job_id=rollback_id,
            targets=(f"job:{plan.job_id}",),
            document=plan.rollback,
            description=f"back from {plan.job_id}",
            retry=plan.retry,
            in_progress_timeout_s=plan.in_progress_timeout_s,
            rollback_of=plan.job_id,
        )
        told = things_of(transaction.records, plan.job_id, 0, job.notified_count)
        found = ((thing, execution_of(transaction.records, plan.job_id, thing)) for thing in told)
        things = [thing for thing, each in found if each is not None and each.status == "SUCCEEDED"]
        if transaction.records.get(JOB, rollback_id) is not None:
            return job
        transaction.put(PLAN, rollback_id, undo)
        count = put_targets(transaction, rollback_id, 0, things)
        started = Job(
            job_id=rollback_id,
            status="IN_PROGRESS",
            created_s=transaction.now_s,
            started_s=transaction.now_s,
            target_count=count,
            is_fed=True,
        )
        transaction.put(JOB, rollback_id, started)
        self.advance(rollback_id, transaction)
        return replace(job, rollback_id=rollback_id)

    def _feed(self, job_id: str, things: list[str], transaction: Transaction) -> None:
        job: Job | None = transaction.records.get(JOB, job_id)
        if job is not None and job.status == "IN_PROGRESS":
            count = put_targets(transaction, job_id, job.target_count, things)
            transaction.put(JOB, job_id, replace(job, target_count=count))
            self.advance(job_id, transaction)

    def _fed_no_more(self, job: Job, transaction: Transaction) -> None:
        """All executions of a job are over: its rollback gets no more targets."""
        rollback: Job | None = transaction.records.get(JOB, job.rollback_id) if job.rollback_id else None
        if rollback is not None and rollback.is_fed:
            transaction.put(JOB, rollback.job_id, replace(rollback, is_fed=False))
            self.advance(rollback.job_id, transaction)


def _waves(plan: Plan, count: int) -> tuple[Wave, ...]:
    """The waves of so many targets: each ends where the shares up to it do, rounded up."""
    if plan.waves is None:
        return ()
    waves: list[Wave] = []
    share, begin = 0.0, 0
    for number, each in enumerate(plan.waves.shares):
        share += each
        is_last = number == len(plan.waves.shares) - 1
        end = count if is_last else min(count, math.ceil(share * count - 1e-9))
        waves.append(Wave(end=end, size=end - begin))
        begin = end
    return tuple(waves)


def _limit(job: Job) -> int:
    """How many targets may be told so far."""
    return job.waves[job.wave].end if job.waves else job.target_count


def _wave_verdict(plan: Plan, job: Job) -> tuple[str, bool]:
    """Why the job must stop, if it must, and whether the wave has succeeded far enough."""
    waves = plan.waves
    assert waves is not None  # noqa: S101  the caller has seen them
    for number, wave in enumerate(job.waves[: job.wave + 1]):
        limit = waves.error_threshold
        if limit is not None and wave.bad_count and wave.bad_count >= limit * wave.size:
            return f"emergency stop: {wave.bad_count} of {wave.size} in wave {number + 1} ended badly", False
    wave = job.waves[job.wave]
    is_reached = wave.succeeded_count >= waves.success_threshold * wave.size - 1e-9
    if not is_reached and wave.over_count >= wave.size:
        return f"wave {job.wave + 1}: {wave.succeeded_count} of {wave.size} succeeded, too few", False
    return "", is_reached and job.notified_count >= wave.end


def _abort_reason(plan: Plan, job: Job) -> str:
    executed = job.executed_count
    for rule in plan.abort:
        kinds = BAD if rule.failure_type == "ALL" else (rule.failure_type,)
        bad = sum(job.counts.get(kind, 0) for kind in kinds)
        if bad and executed >= rule.min_executed and bad >= rule.threshold * executed - 1e-9:
            return f"abort: {bad} of {executed} executed ended {rule.failure_type}"
    return ""


def _may_retry(plan: Plan, execution: Execution, status: Status) -> bool:
    if status not in ("FAILED", "TIMED_OUT"):
        return False
    allowed = sum(rule.retries for rule in plan.retry if rule.failure_type == status)
    shared = sum(rule.retries for rule in plan.retry if rule.failure_type == "ALL")
    beyond = {kind: max(0, count - _own(plan, kind)) for kind, count in execution.retried.items()}
    return execution.retried.get(status, 0) < allowed or sum(beyond.values()) < shared


def _own(plan: Plan, kind: str) -> int:
    """Retries that one failure type has for itself."""
    return sum(rule.retries for rule in plan.retry if rule.failure_type == kind)


def _is_swept(job: Job, execution: Execution) -> bool:
    """Whether a canceled job takes the execution with it."""
    is_open = execution.status == "QUEUED" or (execution.status == "IN_PROGRESS" and job.is_forced)
    return job.status == "CANCELED" and is_open


def _due_s(plan: Plan, job: Job, now_s: float) -> float:
    """When `advance` has something to do for time alone."""
    due: list[float | None] = []
    if job.sweep is not None:
        due.append(now_s + STEP_S)
    if job.status == "SCHEDULED":
        due += [plan.start_s, plan.end_s]
    if job.status == "IN_PROGRESS":
        due += [job.refresh_due_s, job.confirm_by_s]
        if not job.is_rollout_stopped:
            due.append(plan.end_s)
            if job.notified_count < _limit(job):
                due.append(job.ready_s)
    return min((each for each in due if each is not None), default=math.inf)
