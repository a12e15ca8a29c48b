"""Ground truth: lets the tracker of `twin.state.truth` see what devices are and what twins say of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from twin.cloud.twin_service import TwinService
from twin.kernel.behaviour import Behaviour, Context, Effect, Event
from twin.kernel.kernel import Kernel
from twin.state.records import Transaction
from twin.state.shadow import SHADOW, Shadow
from twin.state.shadow.trees import member, moment_s, youngest
from twin.state.truth import Mirrored, Truth

TRUTH_MEASURES: Final = {
    "diverged": "twin_diverged",
    "unmet": "desired_unmet",
    "age_s": "twin_age",
    "age_p95_s": "twin_age_p95",
    "staleness_s": "twin_staleness",
    "wrong_share": "twin_wrong_share",
    "unknown_share": "twin_unknown_share",
}
"""What is observed of each twin: the first two when they end, the others for each property at the end."""
FIGURES: Final = ("age_s", "age_p95_s", "staleness_s", "wrong_share", "unknown_share")


@dataclass(slots=True)
class Watched:
    """A device whose true state somebody is told after each reaction that changed it."""

    device: Behaviour
    mirrored: Callable[[], Mapping[str, Any]]
    tell: Callable[[Mapping[str, Any]], None]

    last: Mapping[str, Any] | None = field(init=False, default=None)

    def react(self, event: Event, context: Context) -> Iterable[Effect]:
        """What the device does."""
        yield from self.device.react(event, context)
        state = self.mirrored()
        if state != self.last:
            self.last = state
            self.tell(state)


@dataclass(slots=True)
class Mirrors:
    """What is true and what the twins of a run say; `kernel` is set once there is one."""

    truth: Truth = field(init=False)
    kernel: Kernel | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self.truth = Truth(self._ended)

    @property
    def now_s(self) -> float:
        """What right clocks show."""
        return 0.0 if self.kernel is None else self.kernel.now + self.kernel.epoch_s

    def watched(self, node: str, device: Behaviour) -> Behaviour:
        """The device, watched if it, or what is inside its session, says what is mirrored of it."""
        source = getattr(device, "inner", device)
        mirrored = getattr(source, "mirrored", None)
        return device if mirrored is None else Watched(device, mirrored, partial(self._know, node))

    def remade(
        self, node: str, service: TwinService, before: TwinService | None, *, is_durable: bool
    ) -> None:
        """A twin node has started, for the first time or again: with what it knew if its store lasts."""
        if before is not None and is_durable:
            service.twins = before.twins
        elif before is not None:
            self.truth.forget(node, self.now_s)
        service.witness = partial(self._witness, node)

    def finish(self) -> None:
        """Observe how wrong each twin was of each property, and what has not ended."""
        self.truth.finish(self.now_s)
        for figures in self.truth.figures(self.now_s):
            for name in FIGURES:
                self._observe(figures.twin, TRUTH_MEASURES[name], getattr(figures, name))

    def _know(self, node: str, state: Mapping[str, Any]) -> None:
        self.truth.know(node, state, self.now_s)

    def _witness(self, node: str, transaction: Transaction) -> None:
        for change in transaction.changes:
            if change.kind == SHADOW and "/" not in change.key:
                shadow = change.record if isinstance(change.record, Shadow) else Shadow()
                self.truth.mirror(node, change.key, _reported(shadow), shadow.state.desired, self.now_s)

    def _ended(self, twin: str, what: str, lasted_s: float) -> None:
        self._observe(twin, TRUTH_MEASURES[what], lasted_s)

    def _observe(self, twin: str, measure: str, value: float) -> None:
        if self.kernel is not None:
            self.kernel.observe(twin, measure, value)


def _reported(shadow: Shadow) -> dict[str, Mirrored]:
    """What the shadow says of each property, and of when that is."""
    stamps = shadow.metadata.reported
    found = {}
    for name, value in shadow.state.reported.items():
        stamp = youngest(member(stamps, name))
        found[name] = Mirrored(value, 0.0 if stamp is None else moment_s(stamp))
    return found
