"""A manual call point that is pressed for a drill every so often, whatever happens around it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import ClassVar

from devices_models.publications import happened
from twin.kernel.behaviour import Context, Effect, Event, NodeId, Observe, Send, Started, Wake, Woken
from twin.units import Ratio, Seconds

NEXT = "next"


@dataclass(slots=True)
class DrillButton:
    """Raises an alarm every `every_s`, from a random phase on; gaps vary by up to `jitter_ratio` of it.

    Each drill has a number of its own, so that what follows from it can be told from what follows from
    another. After `until_s` (0: never) no drill begins any more. Observes `alarm`.
    """

    gateway: NodeId = field(metadata={"wired": True})
    every_s: Seconds = 2.0
    jitter_ratio: Ratio = 0.2
    until_s: Seconds = 0.0
    drill_count: int = field(init=False, default=0)

    measures: ClassVar[tuple[str, ...]] = ("alarm",)
    KIND: ClassVar[str] = "drill_button"

    def react(self, event: Event, context: Context) -> Iterable[Effect]:
        """Alarm when the gap is over."""
        match event:
            case Woken("next"):
                return self._drill(context)
            case Started():
                return (Wake(context.random.uniform(0.0, self.every_s), NEXT),)
        return ()

    def _drill(self, context: Context) -> Iterable[Effect]:
        if self.until_s and context.now > self.until_s:
            return ()
        self.drill_count += 1
        alarm = happened(self.KIND, "alarm", {"drill": self.drill_count}, context)
        gap_s = self.every_s * (1.0 + self.jitter_ratio * context.random.uniform(-1.0, 1.0))
        return (Observe("alarm"), Send(self.gateway, alarm), Wake(gap_s, NEXT))
