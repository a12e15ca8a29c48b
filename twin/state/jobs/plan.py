"""What a job is to do: its document, its targets, how fast it rolls out, and when it stops.

The words and limits are those of AWS IoT Jobs; waves with thresholds are those of hawkBit's rollouts. Times
are in seconds.
"""

from __future__ import annotations

import math
import re
from typing import Final, Literal, TypeAlias

import msgspec

from twin.errors import RefusedError
from twin.state.nesting import DEEPEST, is_deep
from twin.state.records import Record, Tree

JOB_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
ROLLBACK_SUFFIX: Final = "-rollback"
DOCUMENT_LIMIT_BYTES: Final = 32_768
TARGETS_LIMIT: Final = 100
RATE_LIMIT: Final = 1000
RETRIES_LIMIT: Final = 10
TIMER_LIMIT_S: Final = 10_080 * 60.0
WAVES_LIMIT: Final = 50

FailureType: TypeAlias = Literal["FAILED", "TIMED_OUT", "REJECTED", "ALL"]
EndBehavior: TypeAlias = Literal["stop_rollout", "cancel", "force_cancel"]


class Rollout(msgspec.Struct, frozen=True, kw_only=True):
    """At most `per_minute` things are told in any minute; with a `factor` above 1 the rate is multiplied by
    it each time another `increase_every` things were told, or have succeeded.
    """

    per_minute: int
    factor: float = 1.0
    increase_every: int = 1000
    increase_by: Literal["notified", "succeeded"] = "notified"

    def rate(self, notified_count: int, succeeded_count: int) -> int:
        """Things a minute after so many."""
        counted = notified_count if self.increase_by == "notified" else succeeded_count
        steps = counted // self.increase_every
        if self.factor == 1.0 or not steps:
            return self.per_minute
        doublings = math.log(RATE_LIMIT / self.per_minute) / math.log(self.factor)
        return RATE_LIMIT if steps >= doublings else int(self.per_minute * self.factor**steps)


class AbortRule(msgspec.Struct, frozen=True, kw_only=True):
    """Cancel when this share of the executions that have ended is of this kind, from so many ended on."""

    failure_type: FailureType = "ALL"
    threshold: float
    min_executed: int = 1


class RetryRule(msgspec.Struct, frozen=True, kw_only=True):
    """Try again, so often a thing, what ended this way."""

    failure_type: Literal["FAILED", "TIMED_OUT", "ALL"] = "ALL"
    retries: int


class Waves(msgspec.Struct, frozen=True, kw_only=True):
    """Groups of things, by their shares, of which one starts when the one before has succeeded far enough.

    If `error_threshold` of a wave ends badly, or a wave is over without its success, the job is canceled.
    With `confirm` somebody has to allow each further wave within `confirm_within_s`.
    """

    shares: tuple[float, ...]
    success_threshold: float = 1.0
    error_threshold: float | None = None
    confirm: bool = False
    confirm_within_s: float = 7 * 86_400.0


class Plan(Record, frozen=True):
    """The definition of a job, which never changes; a target is a thing, `group:NAME` or a search.

    A snapshot job is for whom its targets name when it starts; a `continuous` one also for who comes
    later, looked up every `refresh_s`. `rollback` is the document of the job that is started when this
    one is canceled by a rule of its own, on the things where it succeeded.
    """

    job_id: str
    targets: tuple[str, ...]
    document: Tree
    description: str = ""
    continuous: bool = False
    refresh_s: float = 60.0
    rollout: Rollout | None = None
    waves: Waves | None = None
    abort: tuple[AbortRule, ...] = ()
    retry: tuple[RetryRule, ...] = ()
    in_progress_timeout_s: float | None = None
    start_s: float | None = None
    end_s: float | None = None
    end_behavior: EndBehavior = "stop_rollout"
    rollback: Tree | None = None
    rollback_of: str = ""


def read_plan(document: Tree) -> Plan:
    """A plan from plain data, as JSON or YAML has it; raises RefusedError (400) saying what is wrong."""
    try:
        plan = msgspec.convert(document, Plan, strict=False)
    except msgspec.ValidationError as error:
        raise RefusedError(400, f"job: {error}") from None
    unknown = set(document) - set(Plan.__struct_fields__) | ({"due_s"} & set(document))
    if unknown:
        known = ", ".join(name for name in Plan.__struct_fields__ if name != "due_s")
        raise RefusedError(400, f"job: unknown {', '.join(sorted(unknown))}; known: {known}")
    check_plan(plan)
    return plan


def check_plan(plan: Plan) -> None:
    """Raise RefusedError (400) for a plan that cannot be carried out, 413 for too long a document."""
    for is_wrong, problem in (*_general(plan), *_pace(plan), *_ends(plan)):
        if is_wrong:
            raise RefusedError(400, f"job {plan.job_id!r}: {problem}")
    for document in (plan.document, plan.rollback):
        if is_deep(document):
            raise RefusedError(400, f"job {plan.job_id!r}: a document is nested at most {DEEPEST} deep")
        if len(msgspec.json.encode(document)) > DOCUMENT_LIMIT_BYTES:
            raise RefusedError(
                413, f"job {plan.job_id!r}: a document has at most {DOCUMENT_LIMIT_BYTES} bytes"
            )


def _general(plan: Plan) -> list[tuple[bool, str]]:
    longest = 64 - (len(ROLLBACK_SUFFIX) if plan.rollback is not None else 0)
    is_named = JOB_ID.fullmatch(plan.job_id) is not None and len(plan.job_id) <= longest
    return [
        (not is_named, f"an id has 1 to {longest} letters, digits, '_' and '-'"),
        (not 1 <= len(plan.targets) <= TARGETS_LIMIT, f"name 1 to {TARGETS_LIMIT} targets"),
        (not plan.refresh_s >= 1.0, "refresh_s must be at least 1 s"),
    ]


def _pace(plan: Plan) -> list[tuple[bool, str]]:
    rollout, waves = plan.rollout, plan.waves
    found: list[tuple[bool, str]] = []
    if rollout is not None:
        found += [
            (not 1 <= rollout.per_minute <= RATE_LIMIT, f"per_minute is 1 to {RATE_LIMIT}"),
            (rollout.factor != 1.0 and not 1.1 <= rollout.factor <= 5.0, "factor is 1, or 1.1 to 5"),
            (rollout.increase_every < 1, "increase_every must be at least 1"),
        ]
    if waves is not None:
        thresholds = (waves.success_threshold, waves.error_threshold or 1.0)
        found += [
            (plan.continuous, "a continuous job has no waves: nobody knows how many things come"),
            (not 1 <= len(waves.shares) <= WAVES_LIMIT, f"a job has 1 to {WAVES_LIMIT} waves"),
            (not all(share > 0 for share in waves.shares), "the share of a wave must be above 0"),
            (not abs(sum(waves.shares) - 1.0) < 1e-6, "the shares of the waves must add up to 1"),
            (not all(0.0 < each <= 1.0 for each in thresholds), "a threshold is a share above 0, at most 1"),
            (not waves.confirm_within_s > 0, "confirm_within_s must be above 0 s"),
        ]
    return found


def _ends(plan: Plan) -> list[tuple[bool, str]]:
    timer_s = plan.in_progress_timeout_s
    start_s, end_s = plan.start_s or 0.0, plan.end_s
    total = sum(each.retries for each in plan.retry)
    return [
        (
            timer_s is not None and not 0 < timer_s <= TIMER_LIMIT_S,
            f"a time-out is at most {TIMER_LIMIT_S:g} s",
        ),
        (not math.isfinite(start_s), "start_s must be a time"),
        (end_s is not None and not start_s < end_s < math.inf, "it must end after it starts"),
        (any(each.retries < 0 for each in plan.retry), "retries cannot be negative"),
        (total > RETRIES_LIMIT, f"at most {RETRIES_LIMIT} retries in all"),
        (any(not 0.0 < each.threshold <= 1.0 for each in plan.abort), "a threshold is above 0, at most 1"),
        (any(each.min_executed < 1 for each in plan.abort), "min_executed is at least 1"),
    ]
