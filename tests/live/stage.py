"""The stage: our broker or mosquitto behind one wire, the clients on it, and what is compared."""

from __future__ import annotations

import select
import socket
import time
from collections import Counter, deque
from dataclasses import dataclass, field

from msgspec.structs import replace

from twin.cloud.broker import Broker
from twin.kernel.behaviour import LinkChanged, Received, Send, Started, Wake, Woken
from twin.kernel.randomness import Stream
from twin.message import Message, Properties
from twin.mqtt.client import ClientSession
from twin.mqtt.codec import TYPES, Decoder, encode
from twin.mqtt.packets import Will, read_connack
from twin.mqtt.topics import matches

FOR_EVER_S = 1e9
ANSWER_LIMIT_S = 20.0
LATE_S = 0.7
TRIES = 4
ALL_KINDS = frozenset(TYPES)


class TooSlowError(Exception):
    """The machine was too busy for a timed script: what happened first is not certain."""


# two wires ---------------------------------------------------------------------------------------------


@dataclass
class OurWire:
    """Our broker in virtual time. A node is one connection."""

    now: float = 1.0
    node: str = "broker"
    trace: int = 0
    random: Stream = field(default_factory=lambda: Stream(1, "broker", "behaviour"))
    broker: Broker = field(default_factory=lambda: Broker(session_expiry_s=FOR_EVER_S))
    open_nodes: set = field(default_factory=set)
    arrived: deque = field(default_factory=deque)
    wakes: dict = field(default_factory=dict)

    def __post_init__(self):
        self._react(Started())

    def open(self, node, version):  # noqa: ARG002
        self.open_nodes.add(node)

    def send(self, node, message):
        self._react(Received(message, node, self.now), node)

    def kill(self, node):
        self.open_nodes.discard(node)
        self._react(LinkChanged(node, is_up=False))

    def close(self, node):
        self.open_nodes.discard(node)

    def _react(self, event, source=None):
        for effect in self.broker.react(event, self):
            if isinstance(effect, Send) and effect.to in self.open_nodes:
                self.arrived.append((effect.to, effect.message))
            elif isinstance(effect, Wake):
                self.wakes[effect.tag] = self.now + effect.after_s
        for node in sorted(self.open_nodes - set(self.broker.clients) - {source}):
            self.open_nodes.discard(node)
            self.arrived.append((node, None))

    def poll(self, until_s):
        """What has arrived by then; time goes on to the broker's next wake if nothing has."""
        if not self.arrived:
            due = min([until_s, *self.wakes.values()])
            self.now = max(self.now, due)
            for tag in [tag for tag, at in self.wakes.items() if at <= self.now]:
                del self.wakes[tag]
                self._react(Woken(tag))
        arrived, self.arrived = self.arrived, deque()
        return arrived

    def shut(self):
        """Nothing is left open."""


@dataclass
class Socket:
    """One connection to mosquitto."""

    stream: socket.socket
    decoder: Decoder


@dataclass
class RealWire:
    """Mosquitto on a loopback port."""

    port: int
    random: Stream = field(default_factory=lambda: Stream(1, "broker", "behaviour"))
    trace: int = 0
    node: str = "client"
    sockets: dict = field(default_factory=dict)

    @property
    def now(self):
        return time.monotonic()

    def open(self, node, version):
        stream = socket.create_connection(("127.0.0.1", self.port), timeout=ANSWER_LIMIT_S)
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sockets[node] = Socket(stream, Decoder(version))

    def send(self, node, message):
        if node in self.sockets:
            self.sockets[node].stream.sendall(encode(message))

    def kill(self, node):
        self.close(node)

    def close(self, node):
        self.sockets.pop(node).stream.close()

    def poll(self, until_s):
        """What has arrived; waits until then for it."""
        streams = {one.stream: node for node, one in self.sockets.items()}
        ready, _, _ = select.select(list(streams), [], [], max(0.0, until_s - self.now))
        return [each for stream in ready for each in self._read(streams[stream])]

    def _read(self, node):
        one = self.sockets[node]
        try:
            data = one.stream.recv(65_536)
        except ConnectionResetError:
            data = b""
        if not data:
            self.close(node)
            return [(node, None)]
        return [(node, message) for message in one.decoder.feed(data)]

    def shut(self):
        for node in list(self.sockets):
            self.close(node)


# the players -------------------------------------------------------------------------------------------


@dataclass
class Player:
    """One client of a script: its session, and the connection that it has now."""

    name: str
    client: ClientSession
    node: str = ""
    connections: int = 0
    deaf_to: frozenset = frozenset()
    is_mute: bool = False
    marker: bytes = b""
    filters: dict = field(default_factory=dict)
    once: set = field(default_factory=set)
    log: list = field(default_factory=list)

    @property
    def is_connected(self):
        return bool(self.node)


class Theatre:
    """Plays one script on one wire and writes down what every client sees."""

    def __init__(self, wire, prefix, versions):
        self.wire, self.prefix = wire, prefix
        self.rounds = 0
        self.timers = {}
        self.players = {
            name: Player(
                name,
                ClientSession(
                    "broker", f"{prefix}-{name}", keep_alive_s=0.0, version=version, topic_alias_count=4
                ),
            )
            for name, version in versions.items()
        }

    # steps of a script

    def connect(self, name, is_clean, will=None, keep_alive_s=0.0, session_expiry_s=FOR_EVER_S):
        """Open a connection, whether there is one or not (then it is taken over)."""
        player = self.players[name]
        client = player.client
        client.clean_session, client.will, client.keep_alive_s = is_clean, self._will(will), keep_alive_s
        client.session_expiry_s = session_expiry_s
        client.filters.clear()
        player.deaf_to, player.is_mute = frozenset(), False
        if is_clean:
            player.filters.clear()
        player.connections += 1
        player.node = f"{self.prefix}-{name}#{player.connections}"
        self.wire.open(player.node, client.version)
        self._perform(player, client.start(self.wire))
        self._pump(lambda: client.is_connected or not player.node)
        if player.node:
            self._perform(player, client.subscribe(self._marker_topic(player), 0))
            client.filters.clear()

    def subscribe(self, name, topic_filter, qos, options):
        player = self.players[name]
        full = self._full(topic_filter)
        player.filters[full] = options
        self._perform(player, player.client.subscribe(full, qos, options))
        player.client.filters.clear()

    def unsubscribe(self, name, topic_filter):
        player = self.players[name]
        player.filters.pop(self._full(topic_filter), None)
        self._perform(player, player.client.unsubscribe(self._full(topic_filter)))

    def publish(self, name, topic, payload, qos, is_retained, expiry_s=None):
        player = self.players[name]
        said = None
        if player.client.version == "5":
            said = Properties(message_expiry_s=expiry_s)
        message = Message(self._full(topic), payload, qos=qos, retain=is_retained, properties=said)
        self._perform(player, player.client.publish(message, self.wire))

    def disconnect(self, name):
        player = self.players[name]
        self._perform(player, player.client.close())
        self.wire.close(player.node)
        self._leave(player)

    def kill(self, name):
        player = self.players[name]
        self.wire.kill(player.node)
        player.client.link_changed(False, self.wire)
        self._leave(player)

    def deafen(self, name, kinds=ALL_KINDS):
        """From now on packets of these kinds do not reach the client, though a log keeps them."""
        self.players[name].deaf_to = frozenset(kinds)

    def mute(self, name):
        """From now on nothing that the client says reaches the broker."""
        self.players[name].is_mute = True

    def wait(self, seconds):
        """Let time pass; clients keep their connections alive."""
        limit_s = self.wire.now + seconds
        self._pump(lambda: self.wire.now >= limit_s, limit_s)

    def settle(self):
        """Barrier: rounds of markers until two brought nothing new."""
        quiet_rounds = 0
        while quiet_rounds < 2:
            before = self._seen()
            self._round()
            quiet_rounds = quiet_rounds + 1 if self._seen() == before else 0

    # what happens

    def _round(self):
        self.rounds += 1
        marker = b"%d" % self.rounds
        there = [player for player in self.players.values() if player.node]
        for player in there:
            message = Message(self._marker_topic(player), marker)
            if player.client.version == "5":
                message = replace(message, properties=Properties())
            self.wire.send(player.node, message)
        self._pump(lambda: all(player.marker == marker or not player.node for player in there))

    def _seen(self):
        return [(len(player.log), player.client.waiting_count) for player in self.players.values()]

    def _pump(self, is_done, limit_s=None):
        give_up_s = self.wire.now + ANSWER_LIMIT_S if limit_s is None else limit_s
        while not is_done():
            due_s = min([give_up_s, *self.timers.values()])
            for node, message in self.wire.poll(due_s):
                self._arrived(node, message)
            self._fire()
            if limit_s is None and self.wire.now >= give_up_s:
                raise AssertionError(f"no answer within {ANSWER_LIMIT_S} s: {self._seen()}")

    def _fire(self):
        now = self.wire.now
        for name, tag in [key for key, due_s in self.timers.items() if due_s <= now]:
            player = self.players[name]
            del self.timers[name, tag]
            if player.node and player.deaf_to != ALL_KINDS:
                self._perform(player, player.client.woken(tag, self.wire))

    def _arrived(self, node, message):
        player = next((each for each in self.players.values() if each.node == node), None)
        if player is None:
            if message is None:
                name = node.removeprefix(self.prefix + "-").partition("#")[0]
                self.players[name].log.append(("old connection closed",))
        elif message is None:
            player.client.link_changed(False, self.wire)
            self._leave(player)
            player.log.append(("closed",))
        elif message.kind == "disconnect":
            pass  # the connection is closed next
        elif message.kind == "publish" and message.topic == self._marker_topic(player):
            player.marker = message.payload
        else:
            self._take(player, message)

    def _take(self, player, message):
        if message.kind == "suback":
            player.log.append(("suback", min(message.qos, 128)))
        if message.kind == "connack":
            player.log.append(("connack", read_connack(message).is_session_present))
        messages = [message] if message.kind == "publish" else []
        if message.kind not in player.deaf_to:
            effects, messages = player.client.received(Received(message, "broker", 0.0), self.wire)
            self._perform(player, effects)
            self._count(player, messages)
        for each in messages:
            topic = each.topic.removeprefix(self.prefix + "/")
            player.log.append(("got", topic, each.payload, each.qos, each.retain, each.dup))

    def _count(self, player, messages):
        """QoS 2 is exactly once, whatever broke; retained messages may greet again, and filters overlap."""
        if len(player.filters) <= 1:
            for each in messages:
                if each.qos == 2 and each.payload and not each.retain:
                    assert each.payload not in player.once, f"{player.name} got {each.payload} twice"
                    player.once.add(each.payload)

    def _leave(self, player):
        player.node = ""
        for key in [key for key in self.timers if key[0] == player.name]:
            del self.timers[key]

    def _perform(self, player, effects):
        for effect in effects:
            if isinstance(effect, Send) and player.node and not player.is_mute:
                self.wire.send(player.node, effect.message)
            elif isinstance(effect, Wake):
                self.timers[player.name, effect.tag] = self.wire.now + effect.after_s

    def _full(self, topic):
        if topic.startswith("$share/"):
            _, group, inner = topic.split("/", 2)
            return f"$share/{group}/{self.prefix}/{inner}"
        return f"{self.prefix}/{topic}"

    def _marker_topic(self, player):
        return f"marker/{self.prefix}/{player.name}"

    def _will(self, will):
        return None if will is None else Will(**{**will, "topic": self._full(will["topic"])})


# what is compared --------------------------------------------------------------------------------------


def level(filters, entries, is_greeted):
    """What one client saw in one step, without what the standard leaves open."""
    others = [entry for entry in entries if entry[0] != "got"]
    greetings, live = Counter(), {}
    for _, topic, payload, qos, is_retained, is_dup in (entry for entry in entries if entry[0] == "got"):
        covering = [each for each in filters if matches(each, topic)]
        if is_retained and is_greeted:
            greetings[topic, payload, qos, is_dup] += 1
            continue
        key = (topic, payload) if len(covering) > 1 else (topic, payload, len(live))
        _, _, known_qos, was_retained, was_dup = live.get(key, (topic, payload, 0, False, False))
        live[key] = (topic, payload, max(qos, known_qos), is_retained or was_retained, is_dup or was_dup)
    order = {}
    for entry in live.values():
        ordered_topic = entry[0] if len(filters) > 1 else ""
        order.setdefault((entry[1].partition(b":")[0], entry[2], ordered_topic), []).append(entry)
    return {"others": sorted(map(repr, others)), "greetings": greetings, "live": order}


def play(wire, script):
    """The script on the wire: what every client saw in each step."""
    theatre = Theatre(wire, script["prefix"], script["versions"])
    seen = []
    try:
        for step in script["steps"]:
            marks = {name: len(player.log) for name, player in theatre.players.items()}
            begin_s = wire.now
            for action, *arguments in step:
                getattr(theatre, action)(*arguments)
            theatre.settle()
            waited_s = sum(arguments[0] for action, *arguments in step if action == "wait")
            if script["is_timed"] and wire.now - begin_s - waited_s > LATE_S:
                raise TooSlowError
            seen.append(_step_seen(theatre, marks, {action for action, *_ in step}))
    finally:
        wire.shut()
    return seen


def _step_seen(theatre, marks, actions):
    seen, shared = {}, Counter()
    for name, player in theatre.players.items():
        entries = player.log[marks[name] :]
        if name.startswith("member"):
            shared.update(entry[:5] for entry in entries if entry[0] == "got")
            entries = [entry for entry in entries if entry[0] != "got"]
        filters = {each.removeprefix(theatre.prefix + "/"): said for each, said in player.filters.items()}
        seen[name] = level(filters, entries, "subscribe" in actions)
    return seen, shared


def difference(author, port):
    """The first step in which the brokers differ, with all that led to it; None if they agree."""
    for _ in range(TRIES):
        script = author.script()
        try:
            ours, real = play(OurWire(), script), play(RealWire(port), script)
        except TooSlowError:
            author = type(author)(author.seed)
        else:
            return _first_difference(script, real, ours)
    return f"seed {author.seed}: the machine was too slow {TRIES} times"


def _first_difference(script, real, ours):
    for number, (step, expected, found) in enumerate(zip(script["steps"], real, ours)):
        if expected != found:
            lines = [f"seed {script['seed']}, versions {script['versions']}"]
            lines += [f"  {place}: {each}" for place, each in enumerate(script["steps"][: number + 1])]
            lines += [f"step {number}: {step}"]
            for name in expected[0]:
                if expected[0][name] != found[0][name]:
                    lines += [f"{name} mosquitto: {expected[0][name]}", f"{name} ours:      {found[0][name]}"]
            lines += [f"shared mosquitto: {expected[1]}", f"shared ours:      {found[1]}"]
            return "\n".join(lines)
    return None
