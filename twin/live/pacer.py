"""Wall time for a kernel whose nodes talk to real sockets: one thread, one selector.

While the kernel waits for its next event the pacer watches every socket of the run; what arrives is handed
to the kernel at once. A run that falls behind by more than `LARGEST_LAG_S` lets its clock slip, and says so.
"""

from __future__ import annotations

import heapq
import queue
import selectors
import socket
import time
from array import array
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from twin.kernel.behaviour import NodeId
from twin.kernel.pacing import INBOX_LIMIT, Injected
from twin.kernel.ports import Order
from twin.kernel.waiting import wait_for
from twin.message import Message

LARGEST_LAG_S: Final = 0.25
POLL_EVERY_S: Final = 0.005
LONGEST_WAIT_S: Final = 1.0
MOST_LATENESSES: Final = 1_000_000

Handler = Callable[[int], None]
"""Called with the selector's mask when a socket is ready."""


class Stopped(Exception):  # noqa: N818  (it is no error)
    """The run was asked to stop between two events."""


class SocketPacer:
    """Waits for the next event, for sockets, and for what other threads inject or order.

    `speed` is how many seconds of the run pass in one of the wall; it may change at any time.
    `lateness_s` holds how late each event was worked off (seconds of the wall), and `slips` when and by how
    much the clock slipped: a run with slips did not run in real time.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, speed: float = 1.0) -> None:
        self._clock = clock
        self._speed = speed
        self._origin_s = clock()
        self._selector = selectors.DefaultSelector()
        self._arrived: deque[Injected] = deque()
        self._inbox: queue.Queue[Injected] = queue.Queue(INBOX_LIMIT)
        self._waker, self._woken = socket.socketpair()
        for end in (self._waker, self._woken):
            end.setblocking(False)
        self.watch(self._woken, selectors.EVENT_READ, self._take_inbox)
        self._polled_s = 0.0
        self.lateness_s = array("d")
        self.slips: list[tuple[float, float]] = []
        self.refused_count = 0
        self._is_stopping = False
        self._paused_s: float | None = None
        self._calls: deque[Callable[[], None]] = deque()
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._timer_count = 0

    @property
    def now(self) -> float:
        """Seconds of the run that have passed on the wall; pauses do not count."""
        if self._paused_s is not None:
            return self._paused_s
        return (self._clock() - self._origin_s) * self._speed

    @property
    def speed(self) -> float:
        """Seconds of the run in one second of the wall."""
        return self._speed

    @speed.setter
    def speed(self, speed: float) -> None:
        now_s = self.now
        self._speed = speed
        self._origin_s = self._clock() - now_s / speed

    @property
    def is_paused(self) -> bool:
        """Whether the run's time stands still."""
        return self._paused_s is not None

    def pause(self) -> None:
        """Let the run's time stand still; what arrives meanwhile waits."""
        if self._paused_s is None:
            self._paused_s = self.now

    def resume(self) -> None:
        """Let the run's time go on from where it stood."""
        if self._paused_s is not None:
            self._origin_s = self._clock() - self._paused_s / self._speed
            self._paused_s = None

    def restart(self) -> None:
        """Let the run's time begin now: what came before was preparation."""
        self._origin_s = self._clock()

    # sockets ---------------------------------------------------------------------------------------------

    def watch(self, sock: Any, mask: int, handler: Handler) -> None:
        """Call the handler when the socket is ready for what the mask says; 0 forgets the socket."""
        known = self._selector.get_map().get(sock)
        if known is None:
            if mask:
                self._selector.register(sock, mask, handler)
        elif not mask:
            self._selector.unregister(sock)
        else:
            self._selector.modify(sock, mask, handler)

    def call_after(self, wait_s: float, call: Callable[[], None]) -> None:
        """Call this on the pacer's thread when so much wall time has passed."""
        self._timer_count += 1
        heapq.heappush(self._timers, (self._clock() + wait_s, self._timer_count, call))

    def arrive(self, source: NodeId, to: NodeId, message: Message) -> None:
        """A handler has something for the kernel, as of now."""
        self._arrived.append(Injected(self.now, source, to, message))

    def inject(self, source: NodeId, to: NodeId, message: Message) -> bool:
        """The same from any thread; False (and counted) when the inbox is full."""
        try:
            self._inbox.put_nowait(Injected(self.now, source, to, message))
        except queue.Full:
            self.refused_count += 1
            return False
        with suppress(BlockingIOError, OSError):
            self._waker.send(b"!")
        return True

    def call(self, action: Callable[[], None]) -> None:
        """Let the kernel call `action` soon, between two events, also during a pause; from any thread."""
        self._calls.append(action)
        with suppress(BlockingIOError, OSError):
            self._waker.send(b"!")

    def stop(self) -> None:
        """Let the next wait raise Stopped; from any thread, or a signal handler."""
        self._is_stopping = True
        with suppress(BlockingIOError, OSError):
            self._waker.send(b"!")

    def close(self) -> None:
        """Watch nothing any more."""
        self._selector.close()
        self._waker.close()
        self._woken.close()

    # time ------------------------------------------------------------------------------------------------

    def wait_until(self, due_s: float) -> Injected | Order | None:
        """What arrives or is ordered before `due_s`, or None when that time has come.

        Raises Stopped after `stop`.
        """
        while not self._is_something_here:
            if self._is_stopping:
                raise Stopped
            if self._paused_s is not None:
                self._poll(LONGEST_WAIT_S)
                continue
            wait_s = (due_s - self.now) / self._speed
            if wait_s <= 0:
                self._note(-wait_s)
                if self._polled_s + POLL_EVERY_S > self._clock():
                    return None
                self._poll(0.0)
                return self._next() if self._is_something_here else None
            self._poll(min(wait_s, LONGEST_WAIT_S))
        return self._next()

    @property
    def _is_something_here(self) -> bool:
        return bool(self._calls or (self._arrived and self._paused_s is None))

    def _next(self) -> Injected | Order:
        return Order(self.now, self._calls.popleft()) if self._calls else self._arrived.popleft()

    def _note(self, late_s: float) -> None:
        """Keep how late this is; past the bound the clock slips."""
        if len(self.lateness_s) < MOST_LATENESSES:
            self.lateness_s.append(late_s)
        if late_s > LARGEST_LAG_S:
            self.slips.append((self.now, late_s))
            self._origin_s += late_s

    def _poll(self, wait_s: float) -> None:
        """Wait for sockets and timers, finer than the whole milliseconds that epoll knows."""
        if self._timers:
            wait_s = max(0.0, min(wait_s, self._timers[0][0] - self._clock()))
        ready = wait_for(self._selector, wait_s)
        self._polled_s = self._clock()
        for key, mask in ready:
            key.data(mask)
        for _ in range(len(self._timers)):
            if self._timers[0][0] > self._clock():
                break
            heapq.heappop(self._timers)[2]()

    def _take_inbox(self, _mask: int) -> None:
        with suppress(BlockingIOError):
            self._woken.recv(4096)
        with suppress(queue.Empty):
            while True:
                self._arrived.append(self._inbox.get_nowait())
