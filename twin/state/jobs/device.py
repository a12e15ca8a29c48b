"""What a thing asks about its jobs, and the answers: the MQTT operations of AWS IoT Jobs.

    get                pending executions             start-next         start what is next
    {jobId}/get        one execution, or `$next`      {jobId}/update     its new status

each answered below its own topic with `accepted` or `rejected`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

import msgspec

from twin.message import Message
from twin.state.jobs import executions
from twin.state.jobs.campaign import Campaigns
from twin.state.jobs.plan import JOB_ID, TIMER_LIMIT_S, Plan
from twin.state.jobs.records import OPEN, PLAN, Execution, execution_of, pending
from twin.state.records import Transaction, Tree

FILTERS: Final = (
    "$aws/things/+/jobs/get",
    "$aws/things/+/jobs/start-next",
    "$aws/things/+/jobs/+/get",
    "$aws/things/+/jobs/+/update",
)
NEXT: Final = "$next"
DETAILS_LIMIT: Final = 10
DETAIL_LIMIT: Final = 1024
TOKEN_LIMIT: Final = 64
NO_TIMER: Final = -1
PENDING_SHOWN: Final = 100


class _Asked(msgspec.Struct, frozen=True, rename="camel"):
    """Every request; what an operation does not know it ignores."""

    client_token: str | None = None
    status: Literal["IN_PROGRESS", "SUCCEEDED", "FAILED", "REJECTED"] | None = None
    status_details: dict[str, str] | None = None
    expected_version: int | None = None
    execution_number: int | None = None
    include_job_execution_state: bool = False
    include_job_document: bool | None = None
    step_timeout_in_minutes: int | None = None


class _RejectionError(Exception):
    def __init__(self, code: str, message: str, execution: Execution | None = None) -> None:
        super().__init__(message)
        self.code, self.message, self.execution = code, message, execution


@dataclass(frozen=True, slots=True)
class Desk:
    """Answers the things."""

    campaigns: Campaigns

    def handle(self, message: Message, transaction: Transaction) -> None:
        """Answer one request; what cannot be read is rejected too."""
        _, _, thing, _, *operation = message.topic.split("/")
        token: str | None = None
        try:
            asked = _read(message.payload)
            token = asked.client_token
            answer, outcome = self._answered(thing, operation, asked, transaction), "accepted"
        except _RejectionError as error:
            answer, outcome = {"code": error.code, "message": error.message}, "rejected"
            if error.execution is not None:
                answer["executionState"] = executions.state_of(error.execution)
            transaction.observe("job_request_rejected")
            token = token or _token(message.payload)
        answer["timestamp"] = int(transaction.now_s)
        if token is not None:
            answer["clientToken"] = token
        transaction.publish(f"{message.topic}/{outcome}", answer)

    def _answered(self, thing: str, operation: list[str], asked: _Asked, transaction: Transaction) -> Tree:
        self.campaigns.settle(thing, transaction)
        match operation:
            case ["get"]:
                return self._pending(thing, transaction)
            case ["start-next"]:
                return self._start_next(thing, asked, transaction)
            case [job_id, "get"] if job_id == NEXT or JOB_ID.fullmatch(job_id):
                return self._describe(thing, job_id, asked, transaction)
            case [job_id, "update"] if JOB_ID.fullmatch(job_id):
                return self._update(thing, job_id, asked, transaction)
        raise _RejectionError("InvalidTopic", f"no operation is called {'/'.join(operation)!r}")

    def _pending(self, thing: str, transaction: Transaction) -> Tree:
        waiting = pending(transaction.records, thing)[:PENDING_SHOWN]
        lists: dict[str, list[Tree]] = {"inProgressJobs": [], "queuedJobs": []}
        for execution in waiting:
            name = "inProgressJobs" if execution.status == "IN_PROGRESS" else "queuedJobs"
            lists[name].append(executions.summary(execution))
        return dict(lists)

    def _start_next(self, thing: str, asked: _Asked, transaction: Transaction) -> Tree:
        waiting = pending(transaction.records, thing)
        if not waiting:
            return {}
        execution = waiting[0]
        timer = self._timer(asked, execution, transaction)
        if execution.status == "QUEUED":
            if asked.status_details is not None:
                timer["details"] = asked.status_details
            execution = self.campaigns.begin(execution, transaction, **timer)
        elif timer:
            execution = self.campaigns.begin(execution, transaction, **timer)
        return {"execution": executions.described(transaction, execution)}

    def _describe(self, thing: str, job_id: str, asked: _Asked, transaction: Transaction) -> Tree:
        if job_id == NEXT:
            waiting = pending(transaction.records, thing)
            if not waiting:
                return {}
            execution = waiting[0]
        else:
            execution = _existing(thing, job_id, asked, transaction)
            if execution.status not in OPEN:
                raise _RejectionError("TerminalStateReached", f"the execution is {execution.status}")
        has_document = asked.include_job_document is not False
        return {"execution": executions.described(transaction, execution, has_document=has_document)}

    def _update(self, thing: str, job_id: str, asked: _Asked, transaction: Transaction) -> Tree:
        status = asked.status
        if status is None:
            raise _RejectionError("InvalidRequest", "an update needs a status")
        execution = _existing(thing, job_id, asked, transaction)
        if execution.status not in OPEN:
            what = f"an execution that is {execution.status} cannot become {status}"
            raise _RejectionError("InvalidStateTransition", what, execution)
        if asked.expected_version not in (None, execution.version):
            what = f"the version is {execution.version}, not {asked.expected_version}"
            raise _RejectionError("VersionMismatch", what, execution)
        changes = self._timer(asked, execution, transaction)
        if asked.status_details is not None:
            changes["details"] = asked.status_details
        plan: Plan = transaction.records.get(PLAN, job_id)
        if status == "IN_PROGRESS":
            execution = self.campaigns.begin(execution, transaction, **changes)
        else:
            execution = self.campaigns.finish(execution, status, transaction, **changes)
        answer: Tree = {}
        if asked.include_job_execution_state:
            answer["executionState"] = executions.state_of(execution)
        if asked.include_job_document:
            answer["jobDocument"] = plan.document
        return answer

    def _timer(self, asked: _Asked, execution: Execution, transaction: Transaction) -> dict[str, Any]:
        """What the step timer becomes; it cannot outlast the timer of the plan."""
        minutes = asked.step_timeout_in_minutes
        if minutes is None:
            return {}
        if minutes == NO_TIMER:
            return {"step_due_s": None}
        plan: Plan = transaction.records.get(PLAN, execution.job_id)
        limit_s = plan.in_progress_timeout_s or TIMER_LIMIT_S
        if not 0 < minutes * 60.0 <= limit_s:
            what = f"stepTimeoutInMinutes is above 0 and at most {limit_s / 60.0:g}"
            raise _RejectionError("InvalidRequest", what)
        return {"step_due_s": transaction.now_s + minutes * 60.0}


def _existing(thing: str, job_id: str, asked: _Asked, transaction: Transaction) -> Execution:
    execution = execution_of(transaction.records, job_id, thing)
    if execution is None:
        raise _RejectionError("ResourceNotFound", f"job {job_id!r} has no execution at {thing!r}")
    if asked.execution_number not in (None, execution.number):
        raise _RejectionError("ResourceNotFound", f"the execution has the number {execution.number}")
    return execution


def _read(payload: bytes) -> _Asked:
    """A request; an empty payload asks for nothing special."""
    if not payload:
        return _Asked()
    try:
        body = msgspec.json.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise _RejectionError("InvalidJson", "the payload is no JSON") from None
    try:
        asked = msgspec.convert(body, _Asked, strict=False)  # a client of AWS sends numbers as texts
    except msgspec.ValidationError as error:
        raise _RejectionError("InvalidRequest", str(error)) from None
    details = asked.status_details or {}
    if len(details) > DETAILS_LIMIT or any(
        len(name) + len(text) > DETAIL_LIMIT for name, text in details.items()
    ):
        what = f"statusDetails has at most {DETAILS_LIMIT} entries of {DETAIL_LIMIT} characters"
        raise _RejectionError("InvalidRequest", what)
    if asked.client_token is not None and len(asked.client_token) > TOKEN_LIMIT:
        raise _RejectionError("InvalidRequest", f"clientToken has at most {TOKEN_LIMIT} characters")
    return asked


def _token(payload: bytes) -> str | None:
    """The token of a request that cannot be read otherwise, so that its sender knows which it was."""
    try:
        body = msgspec.json.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    token = body.get("clientToken") if isinstance(body, dict) else None
    return token if isinstance(token, str) and len(token) <= TOKEN_LIMIT else None
