"""The twin service as a node: hosts the twins of all things behind a broker."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from twin.kernel.behaviour import (
    Context,
    Effect,
    Event,
    LinkChanged,
    NodeId,
    Observe,
    Received,
    Send,
    Started,
    Wake,
    Woken,
)
from twin.message import Message
from twin.state.records import Transaction
from twin.state.sessions import Sessions
from twin.state.shadow import Shadows, ShadowSettings
from twin.state.shadow.sync import Conflicts, Direction, ShadowSync
from twin.state.twins import Twins
from twin.units import Bytes, Seconds

DUE = "due"


@dataclass(slots=True)
class TwinService:
    """Keeps the twins of all things: answers shadow requests with accepted, rejected, delta and documents.

    Limits are those of AWS, and what goes beyond it is off: desired values that end after
    `desired_expiry_s` (0: never), when the device reports them (`clear_on_report`) or when it changed them
    by itself later (`keep_newer_reports`); request members `expiresIn` and `condition`
    (`shadow_extensions`).

    Observes `shadow_delta_open`, the seconds for which a delta stood when it empties; `shadow_rejected` with
    the code of each refused request; `shadow_desired_ended`, the number of desired values that ended.
    A `witness` is shown every transaction.

    A twin that runs on a gateway keeps its shadows the same as those of the cloud with `sync`: each change
    at once (real_time), or the changes of `sync_period_s` together (periodic). Of values that changed on
    both sides reported is taken from the edge and desired from the cloud, unless `sync_conflicts` lets the
    last writer win; `sync_in_full: false` fetches nothing after an outage. It observes `sync_conflict`,
    `sync_retry` and `sync_refused`.
    """

    measures: ClassVar[tuple[str, ...]] = (
        "shadow_delta_open",
        "shadow_rejected",
        "shadow_desired_ended",
        *ShadowSync.measures,
    )

    host: NodeId = field(metadata={"wired": True})
    state_limit_bytes: Bytes = 8_192
    desired_expiry_s: Seconds = 0.0
    clear_on_report: bool = False
    keep_newer_reports: bool = False
    shadow_extensions: bool = False
    sync: Literal["off", "real_time", "periodic"] = "off"
    sync_period_s: Seconds = 60.0
    sync_direction: Direction = "both"
    sync_conflicts: Conflicts = "three_way"
    sync_in_full: bool = True
    things: tuple[str, ...] = field(default=(), metadata={"wired": True})
    twins: Twins | None = field(default=None, metadata={"wired": True})
    witness: Callable[[Transaction], None] | None = field(default=None, metadata={"wired": True})

    syncer: ShadowSync | None = field(init=False, default=None)
    wakes_s: float = field(init=False, default=math.inf)

    @property
    def shadow_settings(self) -> ShadowSettings:
        """What the options say about shadows."""
        return ShadowSettings(
            state_limit_bytes=int(self.state_limit_bytes),
            has_extensions=self.shadow_extensions,
            desired_expiry_s=self.desired_expiry_s or math.inf,
            is_cleared_on_report=self.clear_on_report,
            keeps_newer_reports=self.keep_newer_reports,
        )

    def react(self, event: Event, context: Context) -> Iterable[Effect]:
        """Subscribe at the start, answer requests, and let things fall due."""
        twins = self._hosted()
        match event:
            case Received(message, source, _) if source == self.host and message.kind == "publish":
                return self._performed(twins.handle(message, context.now), twins, context)
            case Woken(tag) if tag == DUE:
                self.wakes_s = math.inf
                return self._performed(twins.elapse(context.now), twins, context)
            case Started():
                self.wakes_s = math.inf
                return [*self._subscribe(twins), *self._begin(twins, context)]
            case LinkChanged(peer, is_up) if is_up and peer == self.host:
                return [*self._subscribe(twins), *self._begin(twins, context)]
        return ()

    def _hosted(self) -> Twins:
        if self.twins is None:
            self.twins = Twins([Sessions(), Shadows(self.shadow_settings)])
        if self.sync != "off" and self.syncer is None:
            shadows = next(each for each in self.twins.components if isinstance(each, Shadows))
            self.syncer = ShadowSync(
                shadows,
                self.things,
                self.sync,
                self.sync_period_s,
                self.sync_direction,
                self.sync_conflicts,
                self.sync_in_full,
            )
            self.twins = Twins([*self.twins.components, self.syncer], self.twins.records)
        return self.twins

    def _begin(self, twins: Twins, context: Context) -> list[Effect]:
        """What is to be done whenever the host can be reached anew."""
        transaction = Transaction(twins.records, context.now)
        if self.syncer is not None:
            self.syncer.begin(transaction)
        return self._performed(transaction, twins, context)

    def _subscribe(self, twins: Twins) -> list[Effect]:
        return [Send(self.host, Message(each, kind="subscribe", qos=1)) for each in twins.filters]

    def _performed(self, transaction: Transaction, twins: Twins, context: Context) -> list[Effect]:
        """A transaction as effects: what was measured, what is published, and when to look again."""
        if self.syncer is not None:
            self.syncer.follow(transaction)
        if self.witness is not None:
            self.witness(transaction)
        effects: list[Effect] = [Observe(measure, value) for measure, value in transaction.observations]
        effects += [Send(self.host, message) for message in transaction.messages]
        return effects + self._wake(twins, context)

    def _wake(self, twins: Twins, context: Context) -> list[Effect]:
        due_s = twins.next_due_s()
        if due_s == self.wakes_s:
            return []
        self.wakes_s = due_s
        return [Wake(max(0.0, due_s - context.now), DUE)]
