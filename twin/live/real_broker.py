"""The node of a broker that is real.

A message crosses the modelled links to this node, goes out to the real broker over the socket of the node
that sent it, and what comes back crosses the modelled links again.
"""

from __future__ import annotations

import math
from array import array
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import ClassVar, Final, NamedTuple

from twin.kernel.behaviour import Context, Effect, Event, NodeId, Received, Send
from twin.live.interpreter import Interpreter
from twin.live.wires import Wires
from twin.message import Message
from twin.mqtt.packets import NEVER_S, Connect, Version, connect_message

OUTSIDE: Final = "outside/"
REMEMBERED: Final = 10_000
MOST_TIMES: Final = 1_000_000
WARM_KEEP_ALIVE_S: Final = 3600.0


@dataclass(slots=True)
class Times:
    """What the broker and this machine took (seconds): from when a publication is due at the broker's node
    until it is written to the socket (`late_s`), until the broker hands it to its first receiver
    (`crossing_s`), both together (`stay_s`), and from CONNECT to CONNACK (`connect_s`).
    """

    late_s: array[float] = field(default_factory=lambda: array("d"))
    crossing_s: array[float] = field(default_factory=lambda: array("d"))
    stay_s: array[float] = field(default_factory=lambda: array("d"))
    connect_s: array[float] = field(default_factory=lambda: array("d"))


class Outward(NamedTuple):
    """A publication on its way to the broker: its chain, when it was due, and when it was written."""

    trace: int
    due_s: float
    written_s: float


@dataclass(slots=True)
class RealBroker:
    """Passes packets between the nodes of a run and a real broker.

    A session that the scenario says was open before the run is opened when it first speaks. A publication
    that comes back from the broker belongs to the causal chain of the one that went there with the same
    topic and payload.
    """

    measures: ClassVar[tuple[str, ...]] = ()

    wires: Wires | Interpreter

    known: set[NodeId] = field(init=False, default_factory=set)
    warm: set[NodeId] = field(init=False, default_factory=set)
    outward: OrderedDict[tuple[str, bytes], Outward] = field(init=False, default_factory=OrderedDict)
    connecting: dict[NodeId, float] = field(init=False, default_factory=dict)
    times: Times = field(init=False, default_factory=Times)

    def react(self, event: Event, context: Context) -> Iterable[Effect]:
        """Pass on what comes from either side."""
        if not isinstance(event, Received):
            return ()
        if event.source.startswith(OUTSIDE):
            return self._inward(event.source.removeprefix(OUTSIDE), event)
        self._outward(event.source, event.message, context)
        return ()

    def _outward(self, node: NodeId, message: Message, context: Context) -> None:
        if message.kind == "publish":
            self._remember(message, context)
        elif message.kind == "connect":
            self.connecting[node] = self.wires.now
        if node not in self.known and message.kind != "connect":
            self.warm.add(node)
            self.wires.send(node, _connect(node, "3.1.1" if message.properties is None else "5"))
        self.known.add(node)
        self.wires.send(node, message)

    def _inward(self, node: NodeId, event: Received) -> Iterable[Effect]:
        message = event.message
        if message.kind == "connack":
            began_s = self.connecting.pop(node, None)
            if began_s is not None and len(self.times.connect_s) < MOST_TIMES:
                self.times.connect_s.append(event.sent_s - began_s)
            if node in self.warm:
                self.warm.discard(node)
                return ()
        trace = self._recognise(message, event.sent_s) if message.kind == "publish" else 0
        return (Send(node, message, trace),)

    def _recognise(self, message: Message, came_s: float) -> int:
        """The chain of a publication that comes back; the first time it is measured."""
        key = (message.topic, message.payload)
        sent = self.outward.get(key)
        if sent is None:
            return 0
        if sent.written_s < math.inf:
            if len(self.times.stay_s) < MOST_TIMES:
                self.times.late_s.append(sent.written_s - sent.due_s)
                self.times.crossing_s.append(came_s - sent.written_s)
                self.times.stay_s.append(came_s - sent.due_s)
            self.outward[key] = sent._replace(written_s=math.inf)
        return sent.trace

    def _remember(self, message: Message, context: Context) -> None:
        key = (message.topic, message.payload)
        self.outward[key] = Outward(context.trace, context.now, self.wires.now)
        self.outward.move_to_end(key)
        while len(self.outward) > REMEMBERED:
            self.outward.popitem(last=False)


def _connect(node: NodeId, version: Version) -> Message:
    """The CONNECT of a session that was there before the run."""
    expiry_s = NEVER_S if version == "5" else 0
    return connect_message(
        Connect(node, WARM_KEEP_ALIVE_S, clean_session=False, version=version, session_expiry_s=expiry_s)
    )
