"""The kernel: runs behaviours on a clock.

SimPy's environment is the event queue and the clock; the kernel lets behaviours react, performs their
effects, and owns the random streams, the message ledger and the observations. Virtual and wall-clock
runs differ in the pacer only.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from functools import partial
from heapq import heappop, heappush
from typing import Any, Literal, TypeAlias

import simpy

from twin.errors import LimitError
from twin.kernel.behaviour import (
    Actuate,
    Behaviour,
    Context,
    Drop,
    Effect,
    Event,
    LinkChanged,
    NodeId,
    Observe,
    Received,
    Send,
    Started,
    Wake,
    Watch,
    Woken,
)
from twin.kernel.flight import Flight, Timer
from twin.kernel.observation import Ledger, Observations, Sample, Transfers, transfer_of
from twin.kernel.pacing import VirtualPacer
from twin.kernel.ports import Arrival, Carrier, Order, Pacer, World
from twin.kernel.randomness import Stream, Streams
from twin.kernel.station import Station
from twin.kernel.ticks import tick_between

MOST_REACTIONS = 200_000
MOST_REACTIONS_A_NODE = 20
CROWDED_S = 0.01
"""How many reactions may fall into so little simulated time: the larger of the two counts."""
NODE_DOWN = "node down"
BACKLOG_FULL = "paused node's backlog full"
BACKLOG_LIMIT = 100_000
_NORMAL = 1  # SimPy's priority of ordinary events
_FIRST = -1  # before all else of the same time


Standing: TypeAlias = Literal["up", "down", "paused"]
PutOff: TypeAlias = tuple[Callable[[Any], None], Any]


@dataclass(slots=True)
class NodeSpec:
    """How a node is made: its behaviour (anew at each restart), what it can process, its clock's skew (s)."""

    make: Callable[[], Behaviour]
    station: Station | None = None
    skew_s: float = 0.0


class _Node:
    """A running node; it is the Context its behaviour sees."""

    __slots__ = (
        "_kernel",
        "_stream",
        "behaviour",
        "is_up",
        "node",
        "put_off",
        "react",
        "spec",
        "timers",
        "trace",
    )

    def __init__(self, name: NodeId, spec: NodeSpec, kernel: Kernel) -> None:
        self.node = name
        self.spec = spec
        self.is_up = True
        self.trace = 0
        self.put_off: deque[PutOff] | None = None
        self.timers: dict[str, Timer] = {}
        self._kernel = kernel
        self._stream: Stream | None = None
        self.renew()

    def renew(self) -> None:
        self.behaviour = self.spec.make()
        self.react: Callable[[Event, Context], Iterable[Effect]] = self.behaviour.react

    @property
    def now(self) -> float:
        return self._kernel.now + self.spec.skew_s

    @property
    def random(self) -> Stream:
        if self._stream is None:
            self._stream = self._kernel.streams.stream(self.node, "behaviour")
        return self._stream

    def sense(self, quantity: str) -> float:
        return self._kernel.sense(self.node, quantity)


class Kernel:
    """Runs nodes over a carrier, in a world, at a pacer's speed.

    `now` is seconds since the start of the run, `epoch_s` what right clocks show at its start. `is_traced`
    keeps every transfer between nodes (`transfers`), for message chains.
    """

    def __init__(
        self,
        nodes: dict[NodeId, NodeSpec],
        carrier: Carrier,
        streams: Streams,
        pacer: Pacer | None = None,
        *,
        is_traced: bool = False,
        reaction_limit: int | None = None,
    ) -> None:
        self.env = simpy.Environment()
        self.epoch_s = 0.0
        self.now = 0.0
        self.streams = streams
        self.world: World | None = None
        self.ledger = Ledger()
        self.observations = Observations()
        self.transfers = Transfers() if is_traced else None
        self._pacer = pacer or VirtualPacer()
        self._carrier = carrier
        self._carry = carrier.carry
        crowd = max(MOST_REACTIONS, MOST_REACTIONS_A_NODE * len(nodes))
        self._reaction_limit = self._reactions_left = reaction_limit or crowd
        self._checked_s = 0.0
        self._traces = 0
        self._identities = 0
        self._queue: list[Any] = self.env._queue  # noqa: SLF001  (absolute times: see schedule)
        self._number = self.env._eid.__next__  # noqa: SLF001
        self._serve = (self._receive,)
        self._wake = (self._woken,)
        self._put_off_wake = (self._put_off_timer,)
        self._nodes = {name: _Node(name, spec, self) for name, spec in nodes.items()}
        self._is_started = False
        self._orders: deque[Order] = deque()
        self._on_node_changed: list[Callable[[NodeId, Standing], None]] = []

    # the timeline offered to carriers and stations ---------------------------------------------------

    def schedule(self, at_s: float, flight: Flight, then: tuple[Callable[[Flight], None], ...]) -> None:
        """Call the function in `then` with the flight at `at_s`.

        Straight into SimPy's queue: its own `schedule` takes a delay, and now + (at - now) is not
        always `at` to the bit.
        """
        flight.callbacks = then
        heappush(self._queue, (at_s, _NORMAL, self._number(), flight))

    def arrive(self, flight: Flight) -> None:
        """The flight reached its node: it queues at the station, then the behaviour reacts."""
        station = self._nodes[flight.to].spec.station
        if station is None:
            self._receive(flight)
        else:
            flight.arrived_s = self.now
            station.accept(flight, self, self._serve)

    def lose(self, flight: Flight, where: str, cause: str) -> None:
        """The flight ends here, accounted as lost."""
        self.ledger.lost[where, cause] += 1
        if self.transfers is not None:
            self.transfers.add(transfer_of(flight, self.now, f"lost at {where}: {cause}"))

    # the outside ---------------------------------------------------------------------------------------

    def run(self, until_s: float) -> None:
        """Run to `until_s` (seconds since the start); may be called again to go on."""
        if not self._is_started:
            self._is_started = True
            for node in self._nodes.values():
                self._react(node, Started())
        if isinstance(self._pacer, VirtualPacer):
            self._run_virtual(until_s)
        else:
            self._run_paced(until_s)

    def check_ledger(self) -> None:
        """Raise ConservationError unless sent = delivered + lost + in flight."""
        self.ledger.check(self.in_flight() - int(getattr(self._carrier, "copied_count", 0)))

    def _run_virtual(self, until_s: float) -> None:
        """SimPy's `run` with its `step` in line, and a short way for flights: a quarter faster."""
        env, queue = self.env, self._queue
        stop = env.event()
        heappush(queue, (until_s, _FIRST, self._number(), stop))
        while True:
            now, _, _, event = heappop(queue)
            self.now = env._now = now  # noqa: SLF001
            if type(event) is Flight:
                event.callbacks[0](event)  # type: ignore[index]
                continue
            if event is stop:
                return
            callbacks, event.callbacks = event.callbacks, None
            for callback in callbacks:
                callback(event)
            if not event._ok and not hasattr(event, "_defused"):  # noqa: SLF001
                raise event._value  # noqa: SLF001

    def _run_paced(self, until_s: float) -> None:
        while True:
            due_s = min(self.env.peek(), until_s)
            if self._orders and self._obey(due_s):
                continue
            came = None if self._orders else self._pacer.wait_until(due_s)
            if type(came) is Order:
                self._orders.append(came)
            elif came is not None:
                self._take(came)  # type: ignore[arg-type]
            elif due_s < until_s:
                self.now = due_s
                self.env.step()
            else:
                self.now = self.env._now = until_s  # noqa: SLF001
                return

    def _obey(self, due_s: float) -> bool:
        """Do what was ordered, at a tick strictly before the next event; False if there is none.

        So the order's time says exactly between which events it came: a timeline can repeat it to the bit.
        """
        at_s = tick_between(self.now, due_s, self._orders[0].wish_s)
        if at_s is None:
            return False
        self.now = self.env._now = at_s  # noqa: SLF001
        self._orders.popleft().action()
        return True

    def _take(self, arrival: Arrival) -> None:
        self.ledger.sent += 1
        self._identities += 1
        came_s = max(self.now, arrival.at_s)
        flight = Flight(
            arrival.source, arrival.to, arrival.message, came_s, self._new_trace(), self._identities
        )
        self.schedule(came_s, flight, (self.arrive,))

    def call_at(self, at_s: float, action: Callable[[], None]) -> None:
        """Call `action` at the absolute time `at_s`, to the bit; raise ValueError for one that is past."""
        if at_s < self.now:
            raise ValueError(f"{at_s:g} s is past: it is {self.now:g} s")
        event = self.env.event()
        event._ok, event._value = True, None  # noqa: SLF001
        event.callbacks.append(lambda _event: action())
        heappush(self._queue, (at_s, _NORMAL, self._number(), event))

    def process(self, generator: Generator[Any, Any, Any]) -> simpy.Process:
        """Start a SimPy process, for physical worlds."""
        return self.env.process(generator)

    def observe(self, node: NodeId, measure: str, value: float) -> None:
        """Record a value from outside a behaviour (the world, a fault)."""
        self.observations.add(measure, Sample(self.now, node, value, 0))

    def sense(self, node: NodeId, quantity: str) -> float:
        """What the node senses of the world."""
        if self.world is None:
            raise LookupError(f"node {node!r} senses {quantity!r}, but the scenario has no world")
        return self.world.sense(node, quantity)

    def behaviour(self, node: NodeId) -> Behaviour:
        """The node's behaviour as it stands."""
        return self._nodes[node].behaviour

    def is_up(self, node: NodeId) -> bool:
        """Whether the node runs: it has neither crashed nor does its process stand still."""
        return self._nodes[node].is_up

    def stations(self) -> dict[NodeId, Station]:
        """The stations of the nodes that have one, with what they have done so far."""
        return {name: node.spec.station for name, node in self._nodes.items() if node.spec.station}

    def crash(self, node: NodeId) -> None:
        """The node stops: its timers end, and what reaches it is lost until it restarts."""
        crashed = self._nodes[node]
        crashed.is_up = False
        self._tell(node, "down")
        for timer in crashed.timers.values():
            _cancel(timer)
        crashed.timers = {}
        put_off, crashed.put_off = crashed.put_off or (), None
        for _, subject in put_off:
            if type(subject) is Flight:
                self.lose(subject, node, NODE_DOWN)

    def restart(self, node: NodeId) -> None:
        """The node comes up again with a new behaviour; nothing of its memory is left."""
        restarted = self._nodes[node]
        restarted.is_up = True
        self._tell(node, "up")
        restarted.renew()
        self._react(restarted, Started())

    def pause(self, node: NodeId) -> None:
        """The node's process stands still: what comes, and its timers, wait for `resume`."""
        paused = self._nodes[node]
        paused.is_up = False
        self._tell(node, "paused")
        paused.put_off = deque() if paused.put_off is None else paused.put_off
        for timer in paused.timers.values():
            if timer.is_pending:
                timer.callbacks = self._put_off_wake

    def resume(self, node: NodeId) -> None:
        """The node goes on, first with what waited, in the order in which it came."""
        resumed = self._nodes[node]
        if resumed.put_off is None:
            return
        put_off, resumed.put_off = resumed.put_off, None
        resumed.is_up = True
        self._tell(node, "up")
        for timer in resumed.timers.values():
            if timer.is_pending:
                timer.callbacks = self._wake
        for action, subject in put_off:
            action(subject)

    def on_node_changed(self, listener: Callable[[NodeId, Standing], None]) -> None:
        """Call `listener` when a node crashes, comes up again, or its process stands still or goes on."""
        self._on_node_changed.append(listener)

    def _tell(self, node: NodeId, standing: Standing) -> None:
        for listener in self._on_node_changed:
            listener(node, standing)

    def skew(self, node: NodeId, skew_s: float) -> None:
        """Set the node's clock `skew_s` seconds ahead."""
        self._nodes[node].spec.skew_s = self.epoch_s + skew_s

    def link_changed(self, node: NodeId, peer: NodeId, *, is_up: bool) -> None:
        """Tell a node that its own interface towards a peer went down or came back."""
        told = self._nodes[node]
        if told.is_up:
            self._react(told, LinkChanged(peer, is_up))
        elif told.put_off is not None:
            self._put_off(told, partial(self._react, told), LinkChanged(peer, is_up))

    def in_flight(self) -> int:
        """Messages that are on a link or at a station now, counted one by one."""
        queued = sum(1 for _, _, _, event in self._queue if type(event) is Flight)
        waiting = sum(node.spec.station.waiting for node in self._nodes.values() if node.spec.station)
        waiting += sum(
            type(subject) is Flight for node in self._nodes.values() for _, subject in node.put_off or ()
        )
        return queued + waiting + int(getattr(self._carrier, "held_count", 0))

    # reactions -----------------------------------------------------------------------------------------

    def _react(self, node: _Node, event: Event, trace: int = 0, parent: int = 0) -> None:
        node.trace = trace
        effects = node.react(event, node)
        if effects:
            self._perform(node, effects, trace, parent)

    def _receive(self, flight: Flight) -> None:
        node = self._nodes[flight.to]
        if not node.is_up:
            if node.put_off is None:
                self.lose(flight, flight.to, NODE_DOWN)
            elif not self._put_off(node, self._receive, flight):
                self.lose(flight, flight.to, BACKLOG_FULL)
            return
        self.ledger.delivered += 1
        if self.transfers is not None:
            self.transfers.add(transfer_of(flight, self.now, "delivered"))
        node.trace = flight.trace
        effects = node.react(Received(flight.message, flight.source, flight.sent_s), node)
        if effects:
            self._perform(node, effects, flight.trace, flight.identity)

    def _woken(self, timer: Timer) -> None:
        node = self._nodes[timer.node]
        node.trace = timer.trace
        effects = node.react(timer.event, node)
        if effects:
            self._perform(node, effects, timer.trace, timer.parent)

    def _perform(self, node: _Node, effects: Iterable[Effect], trace: int, parent: int) -> None:
        """Perform effects; those of one reaction share a trace, new if nothing caused the reaction."""
        chain = trace
        for effect in effects:
            kind = type(effect)
            if kind is Send:
                chain = chain or self._new_trace()
                self._identities += 1
                self.ledger.sent += 1
                flight = Flight(
                    node.node,
                    effect.to,  # type: ignore[union-attr]
                    effect.message,  # type: ignore[union-attr]
                    self.now,
                    effect.trace or chain,  # type: ignore[union-attr]
                    self._identities,
                    parent,
                )
                self._carry(flight, self)
            elif kind is Wake:
                self._set_timer(node, effect, trace, parent)  # type: ignore[arg-type]
            elif kind is Observe:
                chain = chain or self._new_trace()
                sample = Sample(self.now, node.node, effect.value, chain)  # type: ignore[union-attr]
                self.observations.add(effect.measure, sample)  # type: ignore[union-attr]
            else:
                self._perform_rare(node, effect, trace, parent)
        self._reactions_left -= 1
        if self._reactions_left < 0:
            self._check_progress()

    def _check_progress(self) -> None:
        """Raise LimitError if so many reactions took almost no simulated time."""
        passed_s = self.now - self._checked_s
        if passed_s < CROWDED_S:
            raise LimitError(
                f"{self._reaction_limit:,} reactions within {passed_s:.3g} s of simulated time;"
                " is a period far too short, or is a behaviour looping?"
            )
        self._checked_s = self.now
        self._reactions_left = self._reaction_limit

    def _perform_rare(self, node: _Node, effect: Effect, trace: int, parent: int) -> None:
        match effect:
            case Watch(quantity, threshold, tag):
                self._watch(node, quantity, threshold, partial(self._notify, node, tag, trace, parent))
            case Actuate(name, value):
                if self.world is not None:
                    self.world.actuate(node.node, name, value)
            case Drop(_, cause):
                self.ledger.given_up[node.node, cause] += 1
            case _:
                raise TypeError(f"node {node.node!r} returned {effect!r}, which is not an effect")

    def _watch(self, node: _Node, quantity: str, threshold: float, notify: Callable[[], None]) -> None:
        if self.world is not None:
            self.world.watch(node.node, quantity, threshold, notify)

    def _notify(self, node: _Node, tag: str, trace: int, parent: int) -> None:
        if node.is_up:
            self._set_timer(node, Wake(0.0, tag), trace, parent)
        elif node.put_off is not None:
            self._put_off(node, lambda wake: self._set_timer(node, wake, trace, parent), Wake(0.0, tag))

    def _put_off_timer(self, timer: Timer) -> None:
        self._put_off(self._nodes[timer.node], self._resume_timer, timer)

    def _resume_timer(self, timer: Timer) -> None:
        """Let a timer that ended during the pause speak, unless what came before it has set it anew."""
        if timer.callbacks is None and self._nodes[timer.node].timers.get(timer.event.tag) is timer:
            self._woken(timer)

    def _put_off(self, node: _Node, action: Callable[[Any], None], subject: Any) -> bool:
        """Whether there was room among what a paused node will do later."""
        if node.put_off is None or len(node.put_off) >= BACKLOG_LIMIT:
            return False
        node.put_off.append((action, subject))
        return True

    # timers and chains ---------------------------------------------------------------------------------

    def _set_timer(self, node: _Node, wake: Wake, trace: int, parent: int) -> None:
        timer = node.timers.get(wake.tag)
        if timer is None or timer.callbacks is not None:
            if timer is not None:
                _cancel(timer)
            timer = node.timers[wake.tag] = Timer(node.node, Woken(wake.tag))
        if wake.after_s == math.inf:
            return
        timer.trace = trace
        timer.parent = parent
        timer.callbacks = self._wake
        heappush(self._queue, (self.now + wake.after_s, _NORMAL, self._number(), timer))

    def _new_trace(self) -> int:
        self._traces += 1
        return self._traces


def _cancel(timer: Timer) -> None:
    """Let a pending timer pass without effect: SimPy's queue has no removal."""
    if timer.callbacks is not None:
        timer.callbacks = ()
