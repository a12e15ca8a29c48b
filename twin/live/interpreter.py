"""Stands between the nodes of a run and the sockets to a broker that speaks by a convention."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from twin.kernel.behaviour import NodeId
from twin.live.conventions import Convention, Places, Session, Spoken
from twin.live.wires import Wires
from twin.message import Message


@dataclass(slots=True)
class Interpreter:
    """What nodes say and hear, put into the words of the other side; `received` is told what they get."""

    convention: Convention
    places: Places
    received: Callable[[NodeId, Message], None]

    wires: Wires = field(init=False)
    _sessions: dict[NodeId, Session] = field(init=False, default_factory=dict)

    @property
    def now(self) -> float:
        """Seconds of the run that have passed on the wall."""
        return self.wires.now

    def send(self, node: NodeId, message: Message) -> bool:
        """A node says this."""
        return self._tell(node, self._session(node).outward(message, self._now_ms))

    def hear(self, node: NodeId, message: Message) -> None:
        """The broker says this to a node."""
        self._tell(node, self._session(node).inward(message, self._now_ms))

    @property
    def _now_ms(self) -> int:
        return round(time.time() * 1000.0)

    def _session(self, node: NodeId) -> Session:
        found = self._sessions.get(node)
        if found is None:
            found = self._sessions[node] = self.convention(node, self.places)
        return found

    def _tell(self, node: NodeId, spoken: Spoken) -> bool:
        is_sent = all(self.wires.send(node, each) for each in spoken.to_broker)
        if is_sent:
            for each in spoken.to_node:
                self.received(node, each)
        return is_sent
