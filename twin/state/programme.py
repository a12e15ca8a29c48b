"""What people ask of the twins in a scenario: campaigns and commands, each at its time.

It stands for an operator who calls the service: what falls due while the service is down is missed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, Literal, TypeAlias

from twin.errors import InputError
from twin.message import Message
from twin.state.commands import Commands
from twin.state.jobs import Jobs, read_plan
from twin.state.jobs.campaign import Members
from twin.state.records import Record, Transaction, Tree
from twin.units import Ratio, Seconds

KIND: Final = "planned"
GRACE_S: Final = 10.0  # so late a request still gets through; default

Failure: TypeAlias = Literal["FAILED", "TIMED_OUT", "REJECTED", "ALL"]


@dataclass(frozen=True, slots=True)
class Rollout:
    """How fast: so many things a minute, times `factor` each time `increase_every` more were told, or have
    succeeded.
    """

    per_minute: int
    factor: float = 1.0
    increase_every: int = 1000
    increase_by: Literal["notified", "succeeded"] = "notified"


@dataclass(frozen=True, slots=True)
class Abort:
    """Cancel when this share of what has ended is of this kind, from so many ended on."""

    threshold_ratio: Ratio
    failure_type: Failure = "ALL"
    min_executed: int = 1


@dataclass(frozen=True, slots=True)
class Waves:
    """Groups by their shares, of which each starts when the one before has succeeded far enough."""

    shares: list[Ratio]
    success_ratio: Ratio = 1.0
    error_ratio: Ratio = 1.0


@dataclass(frozen=True, slots=True)
class Campaign:
    """At `at_s` a job is created for a fleet, a thing or a group. Raises InputError if it never could be."""

    at_s: Seconds
    job: str
    target: str
    document: Mapping[str, Any]
    rollout: Rollout | None = None
    waves: Waves | None = None
    abort: list[Abort] = field(default_factory=list)
    retries: int = 0
    timeout_s: Seconds = 0.0
    ends_s: Seconds = 0.0
    rollback: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        read_plan(self.plan([self.target]))

    def plan(self, targets: Sequence[str]) -> Tree:
        """The plan of the job."""
        plan: Tree = {
            "job_id": self.job,
            "targets": tuple(targets),
            "document": dict(self.document),
            "abort": [
                {
                    "failure_type": rule.failure_type,
                    "threshold": rule.threshold_ratio,
                    "min_executed": rule.min_executed,
                }
                for rule in self.abort
            ],
            "in_progress_timeout_s": self.timeout_s or None,
            "end_s": self.ends_s or None,
            "rollback": dict(self.rollback) or None,
        }
        if self.retries:
            plan["retry"] = [{"retries": self.retries}]
        if self.rollout is not None:
            names = ("per_minute", "factor", "increase_every", "increase_by")
            plan["rollout"] = {name: getattr(self.rollout, name) for name in names}
        if self.waves is not None:
            plan["waves"] = {
                "shares": list(self.waves.shares),
                "success_threshold": self.waves.success_ratio,
                "error_threshold": self.waves.error_ratio,
            }
        return plan


@dataclass(frozen=True, slots=True)
class Order:
    """At `at_s`, and every `every_s` (0: once), a fleet, thing or group is commanded."""

    at_s: Seconds
    target: str
    name: str
    args: Mapping[str, Any] = field(default_factory=dict)
    timeout_s: Seconds = 10.0
    every_s: Seconds = 0.0
    retries: int = 0
    wait_for_session: bool = False


class Planned(Record, frozen=True):
    """The number of a campaign or order, which is asked for when this falls due."""

    number: int
    is_order: bool


@dataclass(frozen=True, slots=True)
class Programme:
    """Asks for campaigns and orders at their times; observes `request_refused` and `request_missed`."""

    filters: ClassVar[Sequence[str]] = ()
    kinds: ClassVar[Mapping[str, type[Record]]] = {KIND: Planned}
    measures: ClassVar[tuple[str, ...]] = ("request_refused", "request_missed")

    jobs: Jobs
    commands: Commands
    members: Members
    campaigns: Sequence[Campaign] = ()
    orders: Sequence[Order] = ()

    def begin(self, transaction: Transaction) -> None:
        """Put everything on the list."""
        for number, campaign in enumerate(self.campaigns):
            planned = Planned(number=number, is_order=False, due_s=campaign.at_s)
            transaction.put(KIND, f"campaign-{number}", planned)
        for number, order in enumerate(self.orders):
            planned = Planned(number=number, is_order=True, due_s=order.at_s)
            transaction.put(KIND, f"order-{number}", planned)

    def handle(self, message: Message, transaction: Transaction) -> None:
        """Nothing is asked by message."""

    def expire(self, kind: str, key: str, transaction: Transaction) -> None:
        """Ask for what is due; an order that comes again is put on the list again."""
        planned: Planned = transaction.records.get(kind, key)
        transaction.remove(kind, key)
        every_s = self.orders[planned.number].every_s if planned.is_order else 0.0
        late_s = transaction.now_s - planned.due_s
        if every_s:
            due_s = planned.due_s + every_s * (1 + late_s // every_s)
            transaction.put(kind, key, Planned(number=planned.number, is_order=True, due_s=due_s))
        if late_s > GRACE_S:
            transaction.observe("request_missed")
            return
        try:
            self._ask(planned, transaction)
        except InputError as error:
            transaction.observe("request_refused")
            transaction.note("set_aside", key, {"reason": str(error)})

    def _ask(self, planned: Planned, transaction: Transaction) -> None:
        if not planned.is_order:
            campaign = self.campaigns[planned.number]
            self.jobs.create(campaign.plan([campaign.target]), transaction)
            return
        order = self.orders[planned.number]
        self.commands.issue_all(
            self.members(transaction.records, order.target),
            order.name,
            dict(order.args),
            transaction,
            timeout_s=order.timeout_s,
            retries=order.retries,
            wait_for_session=order.wait_for_session,
        )
