"""paho-mqtt as the reference client, many in one thread: what applications and gateways use.

The same port as `twin.mqtt.fleet.engine.FleetEngine`, and held to the same contract tests. paho gets a socket
that is connected already, because its own way to connect blocks, binds a port and leaves Nagle's delay on.
"""

from __future__ import annotations

import errno
import selectors
import socket
import ssl
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, Protocol

from paho.mqtt import client as paho
from paho.mqtt.subscribeoptions import SubscribeOptions

from twin.errors import InputError
from twin.kernel.randomness import Stream
from twin.live.paho_configuration import Prepared, configured
from twin.mqtt.fleet.connections import CLOSED, DISCONNECTED, LEAVE_S, EngineSettings
from twin.mqtt.fleet.device import Device, Listener, Phase, Profile
from twin.mqtt.fleet.frames import Delivery, topic_field
from twin.mqtt.fleet.poller import Address, dial, resolve
from twin.mqtt.fleet.sessions import QUEUE_FULL, ReadDue
from twin.mqtt.fleet.tally import Tally
from twin.mqtt.fleet.timers import Timers
from twin.mqtt.topics import check_filter
from twin.mqtt.trouble import why, why_code

LONGEST_WAIT_S: Final = 1.0
KEEP_ALIVE_LOOKS: Final = 4
"""How often in a keep-alive time paho is asked to look for silence."""
V3_CODES: Final = {0x84: 1, 0x85: 2, 0x88: 3, 0x86: 4, 0x87: 5}
"""paho says the return codes of MQTT 3.1.1 in the words of MQTT 5."""
NO_CONNECTION: Final = "no connection"
AGAIN: Final = (ssl.SSLWantReadError, ssl.SSLWantWriteError, BlockingIOError)


class Watcher(Protocol):
    """Calls a handler when a socket is ready; mask 0 forgets the socket (as `SocketPacer.watch`)."""

    def watch(self, sock: Any, mask: int, handler: Callable[[int], None]) -> None:
        """Watch for what the mask of `selectors` says."""


class OwnSelector:
    """The watcher of whoever has no other."""

    def __init__(self) -> None:
        self.selector = selectors.DefaultSelector()

    def watch(self, sock: Any, mask: int, handler: Callable[[int], None]) -> None:
        """Watch for what the mask says."""
        known = self.selector.get_map().get(sock)
        if known is None:
            if mask:
                self.selector.register(sock, mask, handler)
        elif mask:
            self.selector.modify(sock, mask, handler)
        else:
            self.selector.unregister(sock)


@dataclass(slots=True, eq=False)
class _Agent:
    """The paho client of a device, and its connection."""

    device: Device
    client: Prepared
    sock: Any = None
    under_way: dict[int, tuple[int, float]] = field(default_factory=dict)
    asked: dict[int, tuple[str, bool]] = field(default_factory=dict)
    refusal: str = ""
    mask: int = 0


class PahoClients:
    """paho clients on one selector: their own (`step`), or the one of a `SocketPacer`.

    Publications at QoS 0 without a connection are dropped and counted, which is paho's way. With a foreign
    watcher `step(0)` must be called now and then, for timers.
    """

    def __init__(
        self,
        listener: Listener | None = None,
        *,
        settings: EngineSettings | None = None,
        read_due: ReadDue | None = None,
        clock: Callable[[], float] = time.monotonic,
        watcher: Watcher | None = None,
    ) -> None:
        self.listener = listener or Listener()
        self.tally = Tally()
        self.devices: list[Device] = []
        self._settings = settings or EngineSettings()
        self._read_due = read_due
        self._clock = clock
        self._own = OwnSelector() if watcher is None else None
        self._watcher: Watcher = self._own or watcher  # type: ignore[assignment]
        self._agents: list[_Agent] = []
        self._timers = Timers()
        self._queued: deque[Device] = deque()
        self._connecting_count = 0
        self._addresses: dict[tuple[str, int], Address] = {}
        self._random = Stream(self._settings.seed, "paho", "reconnect")
        self.asked: Callable[[], None] = lambda: None
        """Called when somebody asks for something that `wait_s` did not know of."""

    # devices ---------------------------------------------------------------------------------------------

    @property
    def now(self) -> float:
        """The time on the clock (s)."""
        return self._clock()

    @property
    def open_count(self) -> int:
        """Connections that are open or being made."""
        return sum(agent.sock is not None for agent in self._agents)

    def add(self, client_id: str, profile: Profile, source: str = "") -> Device:
        """A device, which does not connect yet; `source` is the address it is to connect from."""
        place = (profile.host, profile.port)
        if place not in self._addresses:
            self._addresses[place] = resolve(*place)
        device = Device(len(self.devices), client_id, profile, source)
        self.devices.append(device)
        self._agents.append(self._agent(device))
        return device

    def connect(self, device: Device, at_s: float | None = None) -> None:
        """Connect as soon as the window has room, but not before `at_s` of the clock; and stay connected."""
        device.is_wanted = True
        if device.phase not in {Phase.IDLE, Phase.WAITING}:
            return
        now = self._clock()
        device.began_s = now if at_s is None else at_s
        if device.began_s > now:
            device.phase = Phase.WAITING
            self._timers.set(device, device.began_s)
        else:
            self._enqueue(device)
        self.asked()

    def publish(
        self,
        device: Device,
        topic: str,
        payload: bytes,
        qos: int = 0,
        *,
        is_retained: bool = False,
        due_s: float | None = None,
        properties: bytes = b"",
    ) -> int:
        """Publish, or (QoS 1 and 2) hold it until the device is connected; return its sequence number."""
        if properties:
            raise InputError("paho takes no encoded properties; use the fleet engine")
        topic_field(topic)
        agent = self._agents[device.number]
        device.sequence += 1
        self.tally.offered += 1
        info = agent.client.publish(topic, payload, qos, is_retained)
        if info.rc == paho.MQTT_ERR_QUEUE_SIZE or (not qos and info.rc != paho.MQTT_ERR_SUCCESS):
            self._drop(device, device.sequence, QUEUE_FULL if qos else NO_CONNECTION)
        else:
            self.tally.sent += 1
            self.tally.sent_once += not qos
            if qos:
                agent.under_way[info.mid] = (device.sequence, self._clock() if due_s is None else due_s)
        return device.sequence

    def subscribe(self, device: Device, topic_filter: str, qos: int = 0) -> None:
        """Subscribe now or as soon as connected, and again whenever the broker has lost the session."""
        check_filter(topic_filter)
        if device.filters is None or device.granted is None:
            device.filters, device.granted = {}, set()
        device.filters[topic_filter] = qos
        device.granted.discard(topic_filter)
        if device.is_up:
            self._ask(self._agents[device.number], topic_filter, qos)

    def unsubscribe(self, device: Device, topic_filter: str) -> None:
        """End a subscription, now or as soon as connected."""
        if device.filters is not None and device.filters.pop(topic_filter, None) is not None and device.is_up:
            self._ask(self._agents[device.number], topic_filter, None)

    def disconnect(self, device: Device) -> None:
        """Leave in good order; the broker discards the will."""
        device.is_wanted = False
        agent = self._agents[device.number]
        if device.phase is Phase.UP:
            device.phase = Phase.LEAVING
            self._timers.set(device, self._clock() + LEAVE_S)
            agent.client.disconnect()
        elif device.phase is not Phase.LEAVING:
            self._end(agent, DISCONNECTED)

    def cut(self, device: Device) -> None:
        """Close the connection without a word; the device comes back if it is one that does."""
        sock = self._agents[device.number].sock
        if sock is not None:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    # the loop --------------------------------------------------------------------------------------------

    def fileno(self) -> int:
        """A file that is readable when a connection has something; only with a selector of our own."""
        if self._own is None:
            raise InputError("these clients are watched by another selector already")
        fileno: Callable[[], int] = self._own.selector.fileno
        return fileno()

    def wait_s(self) -> float:
        """How long there is nothing to do but for sockets (s)."""
        if self._queued and self._connecting_count < self._settings.connect_window:
            return 0.0
        return min(max(0.0, self._timers.next_s - self._clock()), LONGEST_WAIT_S)

    def step(self, timeout_s: float = 0.0) -> int:
        """Wait for sockets if they are ours, at most `timeout_s`, and do what is due."""
        ready = self._own.selector.select(min(timeout_s, self.wait_s())) if self._own is not None else []
        for key, mask in ready:
            key.data(mask)
        for device in self._timers.due(self._clock()):
            self._on_timer(self._agents[device.number])
        while self._queued and self._connecting_count < self._settings.connect_window:
            device = self._queued.popleft()
            if device.phase is Phase.QUEUED:
                self._open(self._agents[device.number])
        return len(ready)

    def run(self, until: Callable[[], bool], limit_s: float) -> bool:
        """Step until it is so; False when that took longer than `limit_s`."""
        end_s = self._clock() + limit_s
        while not until():
            left_s = end_s - self._clock()
            if left_s <= 0.0:
                return False
            self.step(left_s)
        return True

    def close(self, grace_s: float = 2.0) -> None:
        """Disconnect every device, wait at most `grace_s` for it, and release everything."""
        for device in self.devices:
            self.disconnect(device)
        if self._own is not None:
            self.run(lambda: not self.open_count, grace_s)
        for agent in self._agents:
            self._end(agent, DISCONNECTED)
        if self._own is not None:
            self._own.selector.close()

    def _on_timer(self, agent: _Agent) -> None:
        device, limit_s = agent.device, agent.device.profile.connect_timeout_s
        match device.phase:
            case Phase.WAITING:
                self._enqueue(device)
            case Phase.CONNECTING | Phase.SECURING | Phase.GREETING:
                self._end(agent, f"no answer to {device.phase.value} within {limit_s:g} s")
            case Phase.UP:
                agent.client.loop_misc()
                if device.is_up:
                    self._look_later(agent)
            case Phase.LEAVING:
                self._end(agent, DISCONNECTED)

    def _look_later(self, agent: _Agent) -> None:
        """Let paho look for silence; its keep-alive may be the broker's."""
        if agent.client.keepalive:
            self._timers.set(agent.device, self._clock() + agent.client.keepalive / KEEP_ALIVE_LOOKS)

    # opening ---------------------------------------------------------------------------------------------

    def _enqueue(self, device: Device) -> None:
        self._timers.stop(device)
        device.phase = Phase.QUEUED
        self._queued.append(device)

    def _open(self, agent: _Agent) -> None:
        device, profile = agent.device, agent.device.profile
        device.phase = Phase.CONNECTING
        self._connecting_count += 1
        try:
            raw, code = dial(self._addresses[profile.host, profile.port], device.source)
        except OSError as error:
            self._end(agent, why(error))
            return
        agent.sock = socket.socket(raw.family, raw.type, raw.proto, raw.detach())
        if code:
            self._end(agent, why_code(code))
            return
        self._timers.set(device, self._clock() + profile.connect_timeout_s)
        self._watch(agent, selectors.EVENT_WRITE)

    def _connecting(self, agent: _Agent) -> None:
        """TCP is connected, or has failed; then TLS."""
        device, tls = agent.device, agent.device.profile.tls
        if device.phase is Phase.CONNECTING:
            if code := agent.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                raise OSError(code, errno.errorcode.get(code, ""))
            if tls is not None:
                self._watch(agent, 0)
                name = device.profile.tls_name or device.profile.host
                agent.sock = tls.wrap_socket(agent.sock, server_hostname=name, do_handshake_on_connect=False)
                device.phase = Phase.SECURING
                self._watch(agent, selectors.EVENT_READ)
        if device.phase is Phase.SECURING:
            agent.sock.do_handshake()
        device.phase = Phase.GREETING
        agent.client.prepared = agent.sock
        agent.client.reconnect()

    # one connection --------------------------------------------------------------------------------------

    def _watch(self, agent: _Agent, mask: int) -> None:
        agent.mask = mask
        self._watcher.watch(agent.sock, mask, partial(self._on_socket, agent))

    def _on_socket(self, agent: _Agent, mask: int) -> None:
        try:
            if agent.device.phase in {Phase.CONNECTING, Phase.SECURING}:
                self._connecting(agent)
                return
        except AGAIN:
            return
        except OSError as error:
            self._end(agent, why(error))
            return
        if mask & selectors.EVENT_READ:
            agent.client.loop_read()
            while isinstance(agent.sock, ssl.SSLSocket) and agent.sock.pending():
                agent.client.loop_read()
        if mask & selectors.EVENT_WRITE and agent.sock is not None:
            agent.client.loop_write()

    def _end(self, agent: _Agent, reason: str) -> None:
        """The connection is over; who wants to be connected comes back after a while."""
        device, profile, was = agent.device, agent.device.profile, agent.device.phase
        self._timers.stop(device)
        if was in {Phase.CONNECTING, Phase.SECURING, Phase.GREETING}:
            self._connecting_count -= 1
        if agent.sock is not None:
            if agent.mask:
                self._watch(agent, 0)
            agent.sock.close()
            agent.sock = None
            agent.client.forget()
        device.phase = Phase.IDLE
        if was in {Phase.IDLE, Phase.WAITING, Phase.QUEUED}:
            return
        if device.is_wanted and profile.is_reconnecting:
            longest_s = min(
                profile.reconnect_max_s, profile.reconnect_min_s * 2.0 ** min(device.failures, 30)
            )
            device.failures += 1
            device.phase = Phase.WAITING
            device.began_s = self._clock() + self._random.uniform(0.0, longest_s)
            self._timers.set(device, device.began_s)
        self.tally.ended[reason] += 1
        self.listener.closed(device, reason)

    def _ask(self, agent: _Agent, topic_filter: str, qos: int | None) -> None:
        """SUBSCRIBE, or UNSUBSCRIBE without a QoS."""
        if qos is None:
            _, packet_id = agent.client.unsubscribe(topic_filter)
        elif agent.device.profile.version == "5":
            _, packet_id = agent.client.subscribe(topic_filter, options=SubscribeOptions(qos=qos))
        else:
            _, packet_id = agent.client.subscribe(topic_filter, qos)
        agent.asked[packet_id or 0] = (topic_filter, qos is not None)

    def _drop(self, device: Device, sequence: int, cause: str) -> None:
        self.tally.dropped[cause] += 1
        self.listener.dropped(device, sequence, cause)

    # what paho calls -------------------------------------------------------------------------------------

    def _agent(self, device: Device) -> _Agent:
        client = configured(device)
        agent = _Agent(device, client)
        read, both = selectors.EVENT_READ, selectors.EVENT_READ | selectors.EVENT_WRITE
        client.on_socket_open = lambda *_: self._watch(agent, read)
        client.on_socket_close = lambda *_: self._watch(agent, 0)
        client.on_socket_register_write = lambda *_: self._watch(agent, both)
        client.on_socket_unregister_write = lambda *_: self._watch(agent, read) if agent.mask else None
        client.on_connect = partial(self._on_connect, agent)
        client.on_disconnect = partial(self._on_disconnect, agent)
        client.on_message = partial(self._on_message, agent)
        client.on_publish = partial(self._on_publish, agent)
        client.on_subscribe = partial(self._on_subscribe, agent)
        client.on_unsubscribe = partial(self._on_unsubscribe, agent)
        return agent

    def _on_connect(self, agent: _Agent, _client: Any, _data: Any, flags: Any, reason: Any, _p: Any) -> None:
        device, code = agent.device, reason.value
        if reason.is_failure:
            code = V3_CODES.get(code, code) if device.profile.version == "3.1.1" else code
            self.tally.refused[f"{code:#04x}"] += 1
            agent.refusal = f"refused with {code:#04x}"
            self.listener.refused(device, code)
            return
        device.phase = Phase.UP
        device.failures = 0
        self._connecting_count -= 1
        self._timers.stop(device)
        self._look_later(agent)
        self.tally.connected += 1
        self.tally.connect.add(self._clock() - device.began_s)
        if flags.session_present:
            device.session = max(device.session, 1)
        else:
            device.session += 1
            device.granted = set() if device.filters else None
        agent.asked.clear()
        self.listener.connected(device, flags.session_present)
        if device.is_up and device.filters is not None:
            granted = device.granted or set()
            for topic_filter in sorted(device.filters.keys() - granted):
                self._ask(agent, topic_filter, device.filters[topic_filter])
            for topic_filter in sorted(granted - device.filters.keys()):
                self._ask(agent, topic_filter, None)

    def _on_disconnect(
        self, agent: _Agent, _client: Any, _data: Any, flags: Any, reason: Any, _p: Any
    ) -> None:
        if agent.device.phase is Phase.LEAVING:
            self._end(agent, DISCONNECTED)
        elif flags.is_disconnect_packet_from_server:
            self._end(agent, f"the broker disconnects us with reason {reason.value:#04x}")
        elif reason.getName() == "Keep alive timeout":
            self._end(agent, f"the broker was silent for {agent.client.keepalive:g} s after a ping")
        else:
            reason_given, agent.refusal = agent.refusal, ""
            self._end(agent, reason_given or CLOSED)

    def _on_message(self, agent: _Agent, _client: Any, _data: Any, message: paho.MQTTMessage) -> None:
        said = message.properties
        properties = b"\0" if said is None else bytes(said.pack())  # type: ignore[no-untyped-call]
        delivery = Delivery(
            message.topic,
            bytes(message.payload),
            message.qos,
            message.retain,
            message.dup,
            message.mid if message.qos else 0,
            properties[1:] if len(properties) < 129 else properties[2:],
        )
        self.tally.received += 1
        if self._read_due is not None and (due_s := self._read_due(delivery)) is not None:
            self.tally.delivery.add(self._clock() - due_s)
        self.listener.received(agent.device, delivery)

    def _on_publish(self, agent: _Agent, _client: Any, _data: Any, mid: int, reason: Any, _p: Any) -> None:
        found = agent.under_way.pop(mid, None)
        if found is None:
            return
        sequence, due_s = found
        if reason.value >= 0x80:
            self._drop(agent.device, sequence, f"refused with {reason.value:#04x}")
            return
        self.tally.acknowledged += 1
        self.tally.acknowledgement.add(self._clock() - due_s)
        self.listener.acknowledged(agent.device, sequence)

    def _on_subscribe(self, agent: _Agent, _client: Any, _data: Any, mid: int, reasons: Any, _p: Any) -> None:
        topic_filter, _ = agent.asked.pop(mid, ("", True))
        if topic_filter and agent.device.granted is not None:
            if reasons[0].value < 0x80:
                agent.device.granted.add(topic_filter)
            self.listener.granted(agent.device, topic_filter, reasons[0].value)

    def _on_unsubscribe(self, agent: _Agent, _client: Any, _data: Any, mid: int, *_said: Any) -> None:
        topic_filter, _ = agent.asked.pop(mid, ("", False))
        if topic_filter:
            if agent.device.granted is not None:
                agent.device.granted.discard(topic_filter)
            self.listener.released(agent.device, topic_filter)
