"""Actuators: orders of a gateway become acts on the world around the node.

An actuator reports what it did on `{kind}/{node}/report`, and its state to its shadow.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, Literal, NamedTuple, TypeAlias

from devices_models.publications import address, fields_of, report, shadow_report, version_of
from devices_models.world.settings import GATE_MODES
from twin.kernel.behaviour import (
    Actuate,
    Context,
    Effect,
    Event,
    NodeId,
    Observe,
    Received,
    Send,
    Started,
    Wake,
    Woken,
)
from twin.message import Message
from twin.units import Seconds

OPEN_TIME_S: Final = 1.8
CLOSE_TIME_S: Final = 2.5
HEARTBEAT_S: Final = 10.0
OPEN_AFTER_MISSED: Final = 3

Position: TypeAlias = Literal["closed", "opening", "open", "closing"]


@dataclass(slots=True)
class BoomGate:
    """Opens on command, on its shadow's wish, or alone when heartbeats stop; stays open in an emergency.

        closed --open--> opening --open_time_s--> open --close--> closing --close_time_s--> closed

    `mode` is how cars pass in normal operation; without it, as the world has it. The heartbeat comes from
    the gateway or, through it, from the rule engine; after `open_after_missed` periods without one a gate
    with `fail_mode: open` opens (spring or battery), one with `secure` stays. A command to open puts the
    gate in an emergency: until `cmd/reset` it refuses to close, whoever asks.
    """

    gateway: NodeId = field(metadata={"wired": True})
    mode: Literal["ticket", "free", "authorise"] | None = None
    open_time_s: Seconds = OPEN_TIME_S
    close_time_s: Seconds = CLOSE_TIME_S
    heartbeat_from: Literal["gateway", "rule"] = "gateway"
    heartbeat_s: Seconds = HEARTBEAT_S
    open_after_missed: int = OPEN_AFTER_MISSED
    fail_mode: Literal["open", "secure"] = "open"
    position: Position = field(init=False, default="closed")
    is_emergency: bool = field(init=False, default=False)
    delta_version: int = field(init=False, default=0)

    measures: ClassVar[tuple[str, ...]] = (
        "gate_command",
        "gate_open",
        "gate_opened_alone",
        "close_refused",
    )
    KIND: ClassVar[str] = "boom_gate"

    def mirrored(self) -> Mapping[str, Any]:
        """Its true state, as its shadow names it."""
        return {"gate": self.position}

    def adopt(self, reported: Mapping[str, Any]) -> None:
        """Begin where its shadow says that it was; a gate that moved has arrived."""
        gate = reported.get("gate")
        if gate in ("open", "opening", "closed", "closing"):
            self.position = "open" if gate in ("open", "opening") else "closed"

    def react(self, event: Event, context: Context) -> Iterable[Effect]:
        """Move on orders, on the end of a movement, and on the silence of the heartbeat."""
        match event:
            case Received(message):
                return self._received(message, context)
            case Woken("moved"):
                return self._moved(context)
            case Woken("silence"):
                return self._open_alone()
            case Started():
                return (*self._stand(), *self._set_mode(), self._shadow(context), self._await_heartbeat())
        return ()

    def _received(self, message: Message, context: Context) -> Iterable[Effect]:
        if message.topic == f"{self.heartbeat_from}/heartbeat":
            return (self._await_heartbeat(),)
        at = address(message.topic)
        if at is not None and at.rest == "delta":
            return self._follow(message, context)
        match at.command if at is not None else "":
            case "open":
                return self._open(context)
            case "close":
                return self._close(context)
            case "admit":
                return (Actuate("admit", 1.0),)
            case "reset":
                self.is_emergency = False
                return (self._report(context),)
        return ()

    def _follow(self, message: Message, context: Context) -> Iterable[Effect]:
        """Do what the shadow wishes, unless the wish is older than one already followed."""
        delta = fields_of(message.payload) or {}
        version = version_of(delta, self.delta_version)
        if version < self.delta_version:
            return ()
        self.delta_version = version
        match delta.get("state"):
            case {"gate": "open"}:
                return self._open(context)
            case {"gate": "closed"}:
                return self._close(context)
        return ()

    def _open(self, context: Context) -> Iterator[Effect]:
        self.is_emergency = True
        yield Observe("gate_command")
        if self.position == "open":
            yield Observe("gate_open", 1.0)
            yield self._report(context)
        else:
            yield from self._begin_opening()

    def _open_alone(self) -> Iterator[Effect]:
        if self.fail_mode == "open" and self.position in ("closed", "closing"):
            yield Observe("gate_opened_alone")
            yield from self._begin_opening()

    def _begin_opening(self) -> Iterator[Effect]:
        if self.position != "opening":
            self.position = "opening"
            yield Wake(self.open_time_s, "moved")

    def _close(self, context: Context) -> Iterator[Effect]:
        if self.is_emergency:
            yield Observe("close_refused")
            yield Send(self.gateway, report(self.KIND, {"gate": self.position, "refused": "close"}, context))
        elif self.position in ("open", "opening"):
            self.position = "closing"
            yield Actuate("boom", 0.0)
            yield from self._set_mode()
            yield Wake(self.close_time_s, "moved")

    def _moved(self, context: Context) -> Iterator[Effect]:
        is_open = self.position == "opening"
        self.position = "open" if is_open else "closed"
        if is_open:
            yield Actuate("boom", 1.0)
        yield Observe("gate_open", 1.0 if is_open else 0.0)
        yield self._report(context)
        yield self._shadow(context)

    def _stand(self) -> Iterable[Actuate]:
        """A gate that begins open lets cars pass."""
        return (Actuate("boom", 1.0),) if self.position == "open" else ()

    def _set_mode(self) -> Iterable[Actuate]:
        return (Actuate("mode", GATE_MODES.index(self.mode)),) if self.mode else ()

    def _await_heartbeat(self) -> Wake:
        return Wake(self.heartbeat_s * self.open_after_missed or math.inf, "silence")

    def _report(self, context: Context) -> Send:
        fields = {"gate": self.position, "emergency": self.is_emergency}
        return Send(self.gateway, report(self.KIND, fields, context))

    def _shadow(self, context: Context) -> Send:
        return Send(self.gateway, shadow_report({"gate": self.position}, context))


class Wiring(NamedTuple):
    """What a kind of switch moves in the world, its words for on and off, and what it then observes."""

    quantity: str
    on: str
    off: str
    measure: str


SWITCHES: Final = {
    "sign": Wiring("sign", "evacuate", "clear", "sign_shown"),
    "fan": Wiring("fan", "on", "off", "fan_running"),
    "sounder": Wiring("sound", "sound", "silence", "sounding"),
    "lift": Wiring("lift", "recall", "release", "lift_recalled"),
    "charger_isolator": Wiring("chargers", "isolate", "restore", "chargers_isolated"),
}


@dataclass(slots=True)
class Switch:
    """Sets one thing in the world to 1 or 0 on command: a sign, fan, sounder, lift or charger isolator.

    The words of each kind stand in `SWITCHES`; `on` and `off` always work, and so does a shadow's wish for
    `{"on": true}`. A change is observed (1 or 0), reported and told to the shadow; a repeated order acts
    again, in case the first was lost on the way, and is reported only.
    """

    gateway: NodeId = field(metadata={"wired": True})
    kind: str = field(default="sign", metadata={"wired": True})
    is_on: bool = field(init=False, default=False)
    begins_on: bool = field(init=False, default=False)
    delta_version: int = field(init=False, default=0)

    measures: ClassVar[tuple[str, ...]] = tuple(wiring.measure for wiring in SWITCHES.values())

    def mirrored(self) -> Mapping[str, Any]:
        """Its true state, as its shadow names it."""
        return {"on": self.is_on}

    def adopt(self, reported: Mapping[str, Any]) -> None:
        """Begin as its shadow says that it was."""
        self.is_on = self.begins_on = reported.get("on") is True

    def react(self, event: Event, context: Context) -> Iterable[Effect]:
        """Switch when ordered."""
        if isinstance(event, Started) and self.begins_on:
            return (Actuate(SWITCHES[self.kind].quantity, 1.0),)
        if not isinstance(event, Received):
            return ()
        is_on = self._wanted(event.message)
        return () if is_on is None else self._switch(is_on, context)

    def _wanted(self, message: Message) -> bool | None:
        at = address(message.topic)
        if at is None:
            return None
        if at.rest == "delta":
            return self._wished(fields_of(message.payload) or {})
        wiring = SWITCHES[self.kind]
        return {wiring.on: True, wiring.off: False, "on": True, "off": False}.get(at.command)

    def _wished(self, delta: dict[str, Any]) -> bool | None:
        version = version_of(delta, self.delta_version)
        if version < self.delta_version:
            return None
        self.delta_version = version
        match delta.get("state"):
            case {"on": bool(is_on)}:
                return is_on
        return None

    def _switch(self, is_on: bool, context: Context) -> Iterator[Effect]:
        wiring = SWITCHES[self.kind]
        yield Actuate(wiring.quantity, float(is_on))
        if is_on != self.is_on:
            self.is_on = is_on
            yield Observe(wiring.measure, float(is_on))
            yield Send(self.gateway, shadow_report({"on": is_on}, context))
        yield Send(self.gateway, report(self.kind, {"on": is_on}, context))
