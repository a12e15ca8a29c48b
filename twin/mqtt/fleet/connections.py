"""The connections of a fleet: made by a window in flight, kept alive, ended and made again."""

from __future__ import annotations

import ssl
from _socket import SHUT_RDWR, SO_ERROR, SOL_SOCKET
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from twin.kernel.randomness import Stream
from twin.mqtt.codec import CodecError, encode
from twin.mqtt.fleet.device import Device, Listener, Phase
from twin.mqtt.fleet.poller import (
    BROKEN,
    IN,
    OUT,
    Address,
    Poller,
    TlsPipe,
    dial,
    resolve,
    was_retransmitted,
)
from twin.mqtt.fleet.sessions import EndedByBrokerError, ReadDue, Sessions, farewell
from twin.mqtt.fleet.tally import Tally
from twin.mqtt.fleet.timers import Timers
from twin.mqtt.packets import Connect, connect_message
from twin.mqtt.trouble import why, why_code

CONNECT_WINDOW: Final = 80
"""Connections that are being made at once: more overrun a broker's backlog, and a SYN is sent again after one
second (measured with mosquitto: 200 stall, 80 do not)."""
RECEIVE_BYTES: Final = 16_384
CHOKED_BYTES: Final = 1_048_576
LEAVE_S: Final = 1.0
"""So long a connection stays at most after its DISCONNECT until the broker closes it; it is not shut for
writing before, for the same reason as in `twin.live.wires`."""
LONGEST_DOUBLING: Final = 30
SYN_CLASSES: Final = ((14.5, "+15 s"), (6.5, "+7 s"), (2.5, "+3 s"), (0.9, "+1 s"))
CLOSED: Final = "closed by the broker"
DISCONNECTED: Final = "disconnected"


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSettings:
    """How an engine works: connections made at once, the seed of its back-off, and the number of its first
    device (where several engines share a fleet).
    """

    connect_window: int = CONNECT_WINDOW
    first_number: int = 0
    seed: int = 1


class Connections:
    """The sockets of all devices of one engine, and the sessions on them."""

    def __init__(
        self,
        poller: Poller,
        settings: EngineSettings,
        clock: Callable[[], float],
        listener: Listener,
        read_due: ReadDue | None,
    ) -> None:
        self.tally = Tally()
        self.sessions = Sessions(self._write, self._welcomed, listener, self.tally, read_due)
        self.timers = Timers()
        self.up_count = 0
        self._poller = poller
        self._clock = clock
        self._window = settings.connect_window
        self._random = Stream(settings.seed, "fleet", "reconnect")
        self._by_descriptor: dict[int, Device] = {}
        self._queued: deque[Device] = deque()
        self._connecting_count = 0
        self._addresses: dict[tuple[str, int], Address] = {}

    @property
    def open_count(self) -> int:
        """Connections that are open or being made."""
        return len(self._by_descriptor)

    @property
    def has_room(self) -> bool:
        """Whether a connection could be opened now for one that waits."""
        return bool(self._queued) and self._connecting_count < self._window

    def know(self, host: str, port: int) -> None:
        """Look up the address once; raise MissingEnvironmentError if the name is not known."""
        if (host, port) not in self._addresses:
            self._addresses[host, port] = resolve(host, port)

    # what the engine asks for ----------------------------------------------------------------------------

    def ask(self, device: Device, at_s: float | None) -> None:
        """Connect when the window has room, but not before `at_s`."""
        device.is_wanted = True
        if device.phase not in {Phase.IDLE, Phase.WAITING}:
            return
        now = self._clock()
        device.began_s = now if at_s is None else at_s
        if at_s is not None and at_s > now:
            device.phase = Phase.WAITING
            self.timers.set(device, at_s)
        else:
            self._enqueue(device)

    def leave(self, device: Device) -> None:
        """Disconnect in good order."""
        device.is_wanted = False
        if device.phase is Phase.UP:
            self._write(device, farewell(device))
            device.phase = Phase.LEAVING
            self.timers.set(device, self._clock() + LEAVE_S)
        elif device.phase is not Phase.LEAVING:
            self.end(device, DISCONNECTED)

    def end_all(self) -> None:
        """Close what is still open without a word."""
        for device in list(self._by_descriptor.values()):
            device.is_wanted = False
            self.end(device, DISCONNECTED)

    def ready(self, ready: list[tuple[int, int]]) -> None:
        """Do what these sockets are ready for."""
        for descriptor, mask in ready:
            device = self._by_descriptor.get(descriptor)
            if device is not None:
                self._on_ready(device, mask)

    def wake(self, now: float) -> None:
        """Do what is due."""
        for device in self.timers.due(now):
            self._on_timer(device, now)

    # opening ---------------------------------------------------------------------------------------------

    def _enqueue(self, device: Device) -> None:
        self.timers.stop(device)
        device.phase = Phase.QUEUED
        self._queued.append(device)

    def open_queued(self) -> None:
        """Open what waits, as far as the window has room."""
        while self._queued and self._connecting_count < self._window:
            device = self._queued.popleft()
            if device.phase is Phase.QUEUED:
                self._open(device)

    def _open(self, device: Device) -> None:
        profile = device.profile
        device.phase = Phase.CONNECTING
        self._connecting_count += 1
        try:
            device.socket, code = dial(self._addresses[profile.host, profile.port], device.source)
        except OSError as error:
            self.end(device, why(error))
            return
        if code:
            self.end(device, why_code(code))
            return
        device.descriptor = device.socket.fileno()
        device.last_sent_s = now = self._clock()
        self._by_descriptor[device.descriptor] = device
        self._poller.register(device.descriptor, IN | OUT)
        self.timers.set(device, now + profile.connect_timeout_s)

    def _connected(self, device: Device, mask: int) -> None:
        """TCP is connected, or has failed."""
        now = self.sessions.now = self._clock()
        if mask & BROKEN and (code := device.socket.getsockopt(SOL_SOCKET, SO_ERROR)):
            self.end(device, why_code(code))
            return
        took_s = now - device.last_sent_s
        if took_s > SYN_CLASSES[-1][0] and was_retransmitted(device.socket):
            name = next(name for least_s, name in SYN_CLASSES if took_s > least_s)
            self.tally.syn_retries[name] += 1
        self._poller.modify(device.descriptor, IN)
        device.last_received_s = now
        profile = device.profile
        if profile.tls is None:
            self._greet(device)
            return
        device.phase = Phase.SECURING
        device.tls = TlsPipe(profile.tls, profile.tls_name or profile.host)
        self._secure(device, b"")

    def _secure(self, device: Device, data: bytes) -> None:
        is_done = device.tls.shake_hands(data)
        self._push(device, device.tls.outgoing())
        if is_done:
            self._greet(device)
            self._take(device, b"")

    def _greet(self, device: Device) -> None:
        device.phase = Phase.GREETING
        profile, given = device.profile, device.profile.credentials
        connect = Connect(
            device.client_id,
            profile.keep_alive_s,
            profile.clean_session,
            profile.will,
            len(given.user.encode()) if given else 0,
            len(given.password) if given else 0,
            profile.version,
            profile.session_expiry_s,
            maximum_packet_bytes=profile.largest_packet_bytes,
        )
        self._write(device, encode(connect_message(connect), given))

    def _on_timer(self, device: Device, now: float) -> None:
        match device.phase:
            case Phase.WAITING:
                self._enqueue(device)
            case Phase.CONNECTING | Phase.SECURING | Phase.GREETING:
                limit_s = device.profile.connect_timeout_s
                self.end(device, f"no answer to {device.phase.value} within {limit_s:g} s")
            case Phase.UP:
                self._keep_alive(device, now)
            case Phase.LEAVING:
                self.end(device, DISCONNECTED)

    def _keep_alive(self, device: Device, now: float) -> None:
        keep_alive_s = device.keep_alive_s
        if not self.sessions.is_alive(device):
            self.end(device, f"the broker was silent for {keep_alive_s:g} s after a ping")
        elif device.is_pinging:
            self.timers.set(device, now + keep_alive_s)
        else:
            self.timers.set(device, min(device.last_sent_s, device.last_received_s) + keep_alive_s)

    # one connection --------------------------------------------------------------------------------------

    def _on_ready(self, device: Device, mask: int) -> None:
        try:
            if device.phase is Phase.CONNECTING:
                self._connected(device, mask)
                return
            if mask & OUT:
                self._flush(device)
            if mask & BROKEN or (mask & IN and not self._is_choked(device)):
                self._read(device)
        except (OSError, CodecError) as error:
            self.end(device, why(error))
        except EndedByBrokerError as error:
            self.end(device, str(error))

    def _is_choked(self, device: Device) -> bool:
        """A broker that does not read is not read either, or the answers to it would pile up."""
        if device.unsent is None or len(device.unsent) < CHOKED_BYTES:
            return False
        self._poller.modify(device.descriptor, OUT)
        return True

    def _read(self, device: Device) -> None:
        try:
            data = device.socket.recv(RECEIVE_BYTES)
        except BlockingIOError:
            return
        device.last_received_s = self.sessions.now = self._clock()
        device.is_pinging = False
        if not data:
            self.end(device, CLOSED)
        elif device.phase is Phase.SECURING:
            self._secure(device, data)
        else:
            self._take(device, data)

    def _take(self, device: Device, data: bytes) -> None:
        if device.tls is not None:
            data = device.tls.open(data)
            self._push(device, device.tls.outgoing())
        if data and device.phase is not Phase.LEAVING:
            self.sessions.take(device, data)
        if device.tls is not None and device.tls.is_closed and device.descriptor >= 0:
            self.end(device, CLOSED)

    def _welcomed(self, device: Device) -> None:
        """The broker takes us: the next may connect."""
        self._connecting_count -= 1
        self.up_count += 1
        self.timers.stop(device)
        if device.keep_alive_s:
            self.timers.set(device, self.sessions.now + device.keep_alive_s)

    def _write(self, device: Device, data: bytes) -> None:
        device.last_sent_s = self.sessions.now
        if device.tls is not None:
            try:
                data = device.tls.seal(data)
            except ssl.SSLError:  # TLS is over: the poller reports it as it does a broken connection
                with suppress(OSError):
                    device.socket.shutdown(SHUT_RDWR)
                return
        self._push(device, data)

    def _push(self, device: Device, data: bytes) -> None:
        """Send, and keep what the connection does not take now.

        A connection that is broken is reported by the poller, so that nobody's work is interrupted here.
        """
        if not data:
            return
        if device.unsent is not None:
            device.unsent += data
            return
        try:
            sent = device.socket.send(data)
        except OSError:
            sent = 0
        if sent < len(data):
            device.unsent = bytearray(data[sent:])
            self._poller.modify(device.descriptor, IN | OUT)

    def _flush(self, device: Device) -> None:
        if device.unsent is None:
            return
        with suppress(BlockingIOError, ssl.SSLWantWriteError):
            sent = device.socket.send(device.unsent)
            del device.unsent[:sent]
        if not device.unsent:
            device.unsent = None
            self._poller.modify(device.descriptor, IN)
        self.sessions.now = self._clock()
        self.sessions.drain(device)

    def end(self, device: Device, reason: str) -> None:
        """The connection is over; who wants to be connected comes back after a while."""
        was, profile = device.phase, device.profile
        if was is Phase.LEAVING:  # however the broker closes
            reason = DISCONNECTED
        if was in {Phase.CONNECTING, Phase.SECURING, Phase.GREETING}:
            self._connecting_count -= 1
        elif was in {Phase.UP, Phase.LEAVING}:
            self.up_count -= 1
        self._forget(device)
        if was in {Phase.IDLE, Phase.WAITING, Phase.QUEUED}:
            device.phase = Phase.IDLE
            return
        if device.is_wanted and profile.is_reconnecting:
            longest_s = min(
                profile.reconnect_max_s, profile.reconnect_min_s * 2.0 ** min(device.failures, 30)
            )
            device.failures += 1
            device.phase = Phase.WAITING
            device.began_s = self._clock() + self._random.uniform(0.0, longest_s)
            self.timers.set(device, device.began_s)
        else:
            device.phase = Phase.IDLE
        self.tally.ended[reason] += 1
        self.sessions.listener.closed(device, reason)

    def _forget(self, device: Device) -> None:
        """Release what the connection has."""
        self.timers.stop(device)
        if device.descriptor >= 0:
            del self._by_descriptor[device.descriptor]
            with suppress(OSError):
                self._poller.unregister(device.descriptor)
        if device.socket is not None:
            device.socket.close()
        device.socket = device.tls = device.unsent = device.rest = None
        device.descriptor = -1
        device.is_pinging = False
