"""A device that is looked after from afar: it takes firmware updates as jobs, and commands."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import ClassVar, Final

from devices_models.agents import COMMAND_TIMER, JOB_TIMER, CommandAgent, JobAgent
from devices_models.publications import address, telemetry
from twin.kernel.behaviour import (
    Context,
    Effect,
    Event,
    LinkChanged,
    NodeId,
    Received,
    Send,
    Started,
    Wake,
    Woken,
)
from twin.message import Message
from twin.units import BitsPerSecond, Bytes, Ratio, Seconds

REPORT: Final = "report"


@dataclass(slots=True)
class ManagedDevice:
    """Installs what jobs bring, obeys commands, and reports its firmware `every_s` (0: never).

    A job's document may say `version`, `size_bytes`, `install_s`, `fail_share` (the installation fails and is
    reported) and `break_share` (nothing is heard of the device again); otherwise these options count. A
    duration is lognormal about the given one with this sigma. It must reach a broker itself: `via` names one.

    Observes `firmware_updated`, `firmware_failed`, `firmware_broken` and `command_obeyed`.
    """

    gateway: NodeId = field(metadata={"wired": True})
    firmware: str = "1.0"
    image_bytes: Bytes = 1_000_000
    download_bps: BitsPerSecond = 1e6
    install_s: Seconds = 20.0
    reboot_s: Seconds = 10.0
    variation_ratio: Ratio = 0.2
    failing_ratio: Ratio = 0.0
    breaking_ratio: Ratio = 0.0
    act_s: Seconds = 0.5
    refusing_ratio: Ratio = 0.0
    every_s: Seconds = 0.0

    job: JobAgent = field(init=False)
    commands: CommandAgent = field(init=False)

    measures: ClassVar[tuple[str, ...]] = (
        "firmware_updated",
        "firmware_failed",
        "firmware_broken",
        "command_obeyed",
    )
    KIND: ClassVar[str] = "managed_device"

    def __post_init__(self) -> None:
        self.job = JobAgent(
            to=self.gateway,
            firmware=self.firmware,
            size_bytes=self.image_bytes,
            rate_bps=self.download_bps,
            install_s=self.install_s,
            reboot_s=self.reboot_s,
            variation=self.variation_ratio,
            fail_share=self.failing_ratio,
            break_share=self.breaking_ratio,
        )
        self.commands = CommandAgent(self.gateway, self.KIND, self.act_s, self.refusing_ratio)

    def react(self, event: Event, context: Context) -> Iterable[Effect]:
        """Serve both agents; a device that reboots or is broken hears nothing."""
        match event:
            case Received(message, _, _):
                return self._received(message, context)
            case Woken(tag) if tag.startswith(COMMAND_TIMER):
                return self.commands.woken(tag, context) if self.is_up else ()
            case Woken(tag) if tag == REPORT:
                return self._report(context)
            case Woken(tag) if tag.startswith(JOB_TIMER):
                return self.job.woken(tag, context)
            case LinkChanged(_, is_up) if is_up and self.is_up:
                return self.job.connected(context)
            case Started():
                return (*self.job.subscribe(context), Wake(self.every_s or math.inf, REPORT))
        return ()

    @property
    def is_up(self) -> bool:
        """Whether anything runs on it."""
        return self.job.state not in ("rebooting", "broken")

    def _received(self, message: Message, context: Context) -> Iterable[Effect]:
        if not self.is_up:
            return ()
        jobs = f"$aws/things/{context.node}/jobs/"
        if message.topic.startswith(jobs):
            return self.job.take(message.topic.removeprefix(jobs), message.payload, context)
        at = address(message.topic)
        if at is None or not at.command or at.node != context.node or at.command.endswith("/ack"):
            return ()
        return self.commands.take(at.command, message.payload, context)

    def _report(self, context: Context) -> Iterator[Effect]:
        if self.is_up:
            fields = {"firmware": self.job.firmware, "state": self.job.state}
            yield Send(self.gateway, telemetry(self.KIND, fields, context))
        if self.job.state != "broken":
            yield Wake(self.every_s, REPORT)
