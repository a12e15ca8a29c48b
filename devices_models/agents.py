"""What runs on a managed device: an agent that carries out jobs, and one that obeys commands.

    idle --job--> downloading --> downloaded --> updating --reboot--> idle: SUCCEEDED, or FAILED
                                                    `--broken: nothing is heard of it again

The states are those of LwM2M's firmware update object. Both agents speak the topics of the twin service, and
take everything twice: a job that is in progress is resumed, a command that is known is only answered again.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias

import msgspec

from devices_models.publications import fields_of, version_of
from twin.kernel.behaviour import Context, Effect, NodeId, Observe, Send, Wake
from twin.message import Message

JOB_TIMER: Final = "job"
ANSWER_TIMER: Final = "job/answer"
COMMAND_TIMER: Final = "command/"
ANSWER_WITHIN_S: Final = 30.0  # default
KNOWN_COMMANDS: Final = 64  # default
JOB_TOPICS: Final = (
    "notify-next",
    "start-next/accepted",
    "+/update/accepted",
    "+/update/rejected",
)

State: TypeAlias = Literal["idle", "downloading", "downloaded", "updating", "rebooting", "broken"]


@dataclass(frozen=True, slots=True)
class Work:
    """One job in progress, and what its document says; `outcome` is known once it was installed."""

    job_id: str
    number: int
    version: int
    document: Mapping[str, Any]
    outcome: str = ""

    def figure(self, name: str, otherwise: float) -> float:
        """A number of the document, or the device's own."""
        value = self.document.get(name, otherwise)
        return float(value) if isinstance(value, int | float) and value >= 0 else otherwise


@dataclass(slots=True)
class JobAgent:
    """Takes jobs one after the other: downloads, installs, reboots and reports. Times in seconds.

    A download takes size over rate, times a lognormal factor of median 1 (`variation` is its sigma). The
    members `size_bytes`, `fail_share` and `break_share` of a job's document count for more than those of the
    device. A failed installation leaves the old version; a broken device is silent for ever.
    """

    to: NodeId
    firmware: str
    size_bytes: float
    rate_bps: float
    install_s: float
    reboot_s: float
    variation: float = 0.0
    fail_share: float = 0.0
    break_share: float = 0.0

    state: State = "idle"
    work: Work | None = None
    asked: Message | None = None

    def subscribe(self, context: Context) -> Iterator[Effect]:
        """The topics that it must hear."""
        for topic in JOB_TOPICS:
            yield Send(self.to, Message(self._topic(topic, context), kind="subscribe", qos=1))

    def connected(self, context: Context) -> Iterator[Effect]:
        """The session is there (again): ask for work, or repeat what was not answered."""
        if self.state == "idle" and self.work is None:
            yield from self._ask("start-next", {}, context)
        elif self.asked is not None:
            yield from self._send(self.asked)

    def take(self, topic: str, payload: bytes, context: Context) -> Iterator[Effect]:
        """A message below the thing's `jobs/`."""
        document = fields_of(payload)
        if document is None or self.state in ("rebooting", "broken"):
            return
        if topic == "notify-next":
            if self.state == "idle" and self.work is None and "execution" in document:
                yield from self._ask("start-next", {}, context)
        elif topic == "start-next/accepted":
            yield from self._started(document.get("execution"), context)
        elif self.work is not None and topic.startswith(f"{self.work.job_id}/update/"):
            stands = document.get("executionState")
            status = stands.get("status") if isinstance(stands, dict) else None
            wanted = self.work.outcome or "IN_PROGRESS"
            yield from self._answered(topic.endswith("accepted") or status == wanted, context)

    def woken(self, tag: str, context: Context) -> Iterator[Effect]:
        """A step of the work is done, or an answer did not come."""
        if tag == ANSWER_TIMER:
            if self.asked is not None and self.state != "broken":
                yield from self._send(self.asked)
            return
        work = self.work
        if work is None:
            return
        match self.state:
            case "downloading":
                self.state = "downloaded"
                yield from self._report("IN_PROGRESS", context)
            case "updating":
                yield from self._installed(work, context)
            case "rebooting":
                self.state = "idle"
                yield from self._report(work.outcome, context)

    # work ------------------------------------------------------------------------------------------------

    def _started(self, execution: Any, context: Context) -> Iterator[Effect]:
        self._settled()
        yield Wake(math.inf, ANSWER_TIMER)
        if not isinstance(execution, dict) or self.work is not None or self.state != "idle":
            return
        document = execution.get("jobDocument")
        self.work = Work(
            str(execution.get("jobId")),
            version_of(execution, 1, "executionNumber"),
            version_of(execution, 1, "versionNumber"),
            document if isinstance(document, dict) else {},
        )
        self.state = "downloading"
        size_bytes = self.work.figure("size_bytes", self.size_bytes)
        yield Wake(8.0 * size_bytes / self.rate_bps * self._factor(context), JOB_TIMER)

    def _installed(self, work: Work, context: Context) -> Iterator[Effect]:
        """Draw how the installation ended; then the device reboots, or never again."""
        draw = context.random.uniform()
        break_share = work.figure("break_share", self.break_share)
        fail_share = work.figure("fail_share", self.fail_share)
        if draw < break_share:
            self.state = "broken"
            yield Observe("firmware_broken")
            return
        outcome = "FAILED" if draw < break_share + fail_share else "SUCCEEDED"
        if outcome == "SUCCEEDED":
            self.firmware = str(work.document.get("version", self.firmware))
        self.work = Work(work.job_id, work.number, work.version, work.document, outcome)
        self.state = "rebooting"
        yield Wake(self.reboot_s, JOB_TIMER)

    def _answered(self, is_accepted: bool, context: Context) -> Iterator[Effect]:
        """Go on, or give up what the service no longer wants.

        A rejection that shows the status asked for means that an earlier copy got through.
        """
        work = self.work
        self._settled()
        yield Wake(math.inf, ANSWER_TIMER)
        if work is None:
            return
        if is_accepted and self.state == "downloaded":
            self.state = "updating"
            self.work = Work(work.job_id, work.number, work.version + 1, work.document)
            yield Wake(work.figure("install_s", self.install_s) * self._factor(context), JOB_TIMER)
        elif (is_accepted and work.outcome) or not is_accepted:
            if is_accepted:
                yield Observe("firmware_updated" if work.outcome == "SUCCEEDED" else "firmware_failed")
            self.state, self.work = "idle", None
            yield Wake(math.inf, JOB_TIMER)
            yield from self._ask("start-next", {}, context)

    def _report(self, status: str, context: Context) -> Iterator[Effect]:
        work = self.work
        if work is None:
            return
        document = {
            "status": status,
            "statusDetails": {"state": self.state, "firmware": self.firmware},
            "expectedVersion": work.version,
            "executionNumber": work.number,
        }
        yield from self._ask(f"{work.job_id}/update", document, context)

    def _factor(self, context: Context) -> float:
        return context.random.lognormal(0.0, self.variation) if self.variation else 1.0

    # asking ----------------------------------------------------------------------------------------------

    def _ask(self, operation: str, document: Mapping[str, Any], context: Context) -> Iterator[Effect]:
        self.asked = Message(self._topic(operation, context), msgspec.json.encode(document), qos=1)
        yield from self._send(self.asked)

    def _send(self, message: Message) -> Iterator[Effect]:
        yield Send(self.to, message)
        yield Wake(ANSWER_WITHIN_S, ANSWER_TIMER)

    def _settled(self) -> None:
        self.asked = None

    def _topic(self, operation: str, context: Context) -> str:
        return f"$aws/things/{context.node}/jobs/{operation}"


@dataclass(slots=True)
class CommandAgent:
    """Obeys commands: says that it received one, does it once, and says how that ended.

    Each takes `act_s`; `fail_share` of them fail. A command that is known, by its id, is answered again with
    what was said last; one whose time has passed is rejected with 408.
    """

    to: NodeId
    kind: str
    act_s: float
    fail_share: float = 0.0

    said: dict[str, dict[str, Any]] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)

    def take(self, name: str, payload: bytes, context: Context) -> Iterator[Effect]:
        """A command; one without an id is nobody's who waits for an answer."""
        document = fields_of(payload)
        command_id = document.get("id") if document is not None else None
        if document is None or not isinstance(command_id, str):
            return
        if command_id in self.said:
            yield self._ack(command_id, context)
            return
        while len(self.said) >= KNOWN_COMMANDS:
            oldest = next(iter(self.said))
            del self.said[oldest], self.names[oldest]
        self.names[command_id] = name
        expires = document.get("expires")
        if isinstance(expires, int | float) and expires < context.now * 1000.0:
            yield self._say(command_id, {"stage": "rejected", "code": 408}, context)
            return
        yield Observe("command_obeyed")
        yield self._say(command_id, {"stage": "received"}, context)
        yield Wake(self.act_s, COMMAND_TIMER + command_id)

    def woken(self, tag: str, context: Context) -> Iterator[Effect]:
        """A command has been done, or could not be."""
        command_id = tag.removeprefix(COMMAND_TIMER)
        if command_id in self.said:
            is_failed = self.fail_share > 0 and context.random.uniform() < self.fail_share
            yield self._say(command_id, {"stage": "failed" if is_failed else "done"}, context)

    def _say(self, command_id: str, answer: dict[str, Any], context: Context) -> Effect:
        self.said[command_id] = answer
        return self._ack(command_id, context)

    def _ack(self, command_id: str, context: Context) -> Effect:
        topic = f"{self.kind}/{context.node}/cmd/{self.names[command_id]}/ack"
        payload = msgspec.json.encode({"id": command_id, **self.said[command_id]})
        return Send(self.to, Message(topic, payload, qos=1))
