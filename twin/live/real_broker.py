"""The node of a broker that is real.

A message crosses the modelled links to this node, goes out to the real broker over the socket of the node
that sent it, and what comes back crosses the modelled links again.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import ClassVar, Final

from twin.kernel.behaviour import Context, Effect, Event, NodeId, Received, Send
from twin.live.wires import Wires
from twin.message import Message
from twin.mqtt.packets import Connect, connect_message

OUTSIDE: Final = "outside/"
REMEMBERED: Final = 10_000
WARM_KEEP_ALIVE_S: Final = 3600.0


@dataclass(slots=True)
class RealBroker:
    """Passes packets between the nodes of a run and a real broker.

    A session that the scenario says was open before the run is opened when it first speaks. A publication
    that comes back from the broker belongs to the causal chain of the one that went there with the same
    topic and payload.
    """

    measures: ClassVar[tuple[str, ...]] = ()

    wires: Wires

    known: set[NodeId] = field(init=False, default_factory=set)
    warm: set[NodeId] = field(init=False, default_factory=set)
    traces: OrderedDict[tuple[str, bytes], int] = field(init=False, default_factory=OrderedDict)

    def react(self, event: Event, context: Context) -> Iterable[Effect]:
        """Pass on what comes from either side."""
        if not isinstance(event, Received):
            return ()
        if event.source.startswith(OUTSIDE):
            return self._inward(event.source.removeprefix(OUTSIDE), event.message)
        self._outward(event.source, event.message, context)
        return ()

    def _outward(self, node: NodeId, message: Message, context: Context) -> None:
        if message.kind == "publish":
            self._remember(message, context.trace)
        if node not in self.known and message.kind != "connect":
            self.warm.add(node)
            self.wires.send(node, connect_message(Connect(node, WARM_KEEP_ALIVE_S, clean_session=False)))
        self.known.add(node)
        self.wires.send(node, message)

    def _inward(self, node: NodeId, message: Message) -> Iterable[Effect]:
        if message.kind == "connack" and node in self.warm:
            self.warm.discard(node)
            return ()
        trace = self.traces.get((message.topic, message.payload), 0) if message.kind == "publish" else 0
        return (Send(node, message, trace),)

    def _remember(self, message: Message, trace: int) -> None:
        self.traces[message.topic, message.payload] = trace
        self.traces.move_to_end((message.topic, message.payload))
        while len(self.traces) > REMEMBERED:
            self.traces.popitem(last=False)
