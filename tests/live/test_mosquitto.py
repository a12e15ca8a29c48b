"""Our broker and client machines against a real mosquitto: same script, same deliveries.

A script is played twice by the same `ClientSession`s: on our `Broker` in virtual time, and on mosquitto
over sockets, where the codec carries the packets. After each step a barrier makes sure that all has
arrived: every client publishes a marker to itself and waits for it, until a round brought nothing new.

The standard leaves open, so these differences are levelled before comparing:

- overlapping subscriptions of one client deliver once or once each [MQTT-3.3.5-1]: copies of one
  publication count as one, at their greatest QoS;
- what a lost answer leads to where subscriptions overlap, and copies with different QoS or retain flags
  meet: such scripts are not written;
- the order of messages with different QoS or from different publishers [MQTT-4.6.0-5, -6]: order is
  compared for each receiver, publisher and QoS, and topic if subscriptions may overlap;
- the order of retained messages that greet a subscription (section 3.3.1.3): compared as a set;
- the member of a shared subscription that gets a message (MQTT 5, section 4.8.2): all members together;
- whether QoS 0 is kept for a client that is away [MQTT-3.1.2-5]: both brokers give it up.

Where mosquitto 2.0.11 itself leaves the standard our broker keeps to it, and scripts go around:

- it keeps the will of a connection that is taken over to itself, against [MQTT-3.1.2-8] and MQTT 5, 3.1.4-3;
- it sends retained messages to new shared subscriptions, against MQTT 5, section 4.8.2;
- it ignores new options of a subscription that is there already, against [MQTT-3.8.4-3];
- it does not look at overlapping filters' greatest QoS unless `allow_duplicate_messages` is on.

`WINDTUNNEL_LIVE_SCRIPTS` sets the number of scripts (default 200; `.ci/run` plays 2,000).
"""

from __future__ import annotations

import os
import random
import select
import socket
import time
from collections import Counter, deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pytest
from msgspec.structs import replace

from twin.cloud.broker import Broker
from twin.kernel.behaviour import LinkChanged, Received, Send, Started, Wake, Woken
from twin.kernel.randomness import Stream
from twin.message import Message, Properties
from twin.mqtt.client import ClientSession
from twin.mqtt.codec import TYPES, Decoder, encode
from twin.mqtt.packets import Will, read_connack
from twin.mqtt.topics import matches

SCRIPTS = int(os.environ.get("WINDTUNNEL_LIVE_SCRIPTS", "200"))
TIMED_SHARE = 10
PARTS = 8
TIMED_PARTS = max(1, SCRIPTS // 500)
ACTORS = 50
FOR_EVER_S = 1e9
ANSWER_LIMIT_S = 20.0
LATE_S = 0.7
ALL_KINDS = frozenset(TYPES)
TRIES = 4
LONG_S = 5.0
SILENT_S = 9.0  # mosquitto looks for silent clients every few seconds


class TooSlowError(Exception):
    """The machine was too busy for a timed script: what happened first is not certain."""


pytestmark = [pytest.mark.live, pytest.mark.timeout(300)]


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


# random scripts ----------------------------------------------------------------------------------------

TOPICS = ("x", "y", "x/1", "y/1", "x/1/deep", "/1", "x/")
FILTERS = ("#", "+", "x", "x/#", "+/1", "x/+", "+/+", "y/1", "+/1/#", "/+", "x/1/deep")
PLAIN_OPTIONS = Properties()


@dataclass
class Author:
    """Writes a random script; knows who is connected, so that the steps make sense."""

    seed: int
    connected: set = field(default_factory=set)
    deaf: set = field(default_factory=set)
    mute: set = field(default_factory=set)
    with_will: set = field(default_factory=set)
    shared: set = field(default_factory=set)
    filters: dict = field(default_factory=lambda: {"a": set(), "b": set(), "c": set()})
    budget: int = 0
    flags: dict = field(default_factory=dict)
    number: int = 0

    def __post_init__(self):
        self.dice = random.Random(self.seed)
        self.versions = {name: self.dice.choice(("3.1.1", "5")) for name in ("a", "b", "c")}
        self.versions |= {"member1": "5", "member2": "5"}
        self.group_qos = self.dice.randrange(3)
        self.group_filter = self.dice.choice(("#", "x/#", "+/1"))

    def script(self):
        steps = [self.connect(name) for name in self.versions]
        steps += [self.subscribe(name) for name in ("a", "b", "c")]
        for _ in range(self.dice.randint(8, 16)):
            steps += self.drama() if self.dice.random() < 0.1 else [self.step()]
        prefix = f"s{self.seed}-{time.monotonic_ns()}"
        return {
            "seed": self.seed,
            "prefix": prefix,
            "versions": self.versions,
            "steps": [step for step in steps if step],
            "is_timed": False,
        }

    def step(self):
        acts = (
            (self.publish, 10), (self.burst, 4), (self.subscribe, 5), (self.unsubscribe, 2), (self.share, 2),
            (self.connect, 5), (self.disconnect, 2), (self.kill, 3), (self.deafen, 2),
        )  # fmt: skip
        act = self.dice.choices([act for act, _ in acts], [weight for _, weight in acts])[0]
        name = self.dice.choice(("a", "b", "c"))
        return act(name)

    def payload(self, name):
        self.number += 1
        return f"{name}:{self.number}".encode()

    def will(self, name):
        if self.dice.random() < 0.5:
            return None
        will = {"topic": self.dice.choice(TOPICS), "payload": self.payload(f"will of {name}")}
        return {**will, "qos": self.dice.randrange(3), "retain": self.dice.random() < 0.3}

    def connect(self, name, is_clean=None):
        if name in self.connected & self.with_will:
            return self.kill(name)
        is_member = name.startswith("member")
        if is_clean is None:
            is_clean = is_member or self.dice.random() < 0.4
        self.connected.add(name)
        self.deaf.discard(name)
        self.mute.discard(name)
        if is_clean and not is_member:
            self.filters[name].clear()
        will = None if is_member else self.will(name)
        (self.with_will.discard if will is None else self.with_will.add)(name)
        return [("connect", name, is_clean, will)]

    def subscribe(self, name, topic_filter=None, qos=None):
        if name not in self.connected - self.deaf:
            return None
        topic_filter, options = topic_filter or self.dice.choice(FILTERS), PLAIN_OPTIONS
        if self.versions[name] == "5":
            is_no_local = self.flags.setdefault((name, topic_filter), self.dice.random() < 0.3)
            is_as_published = self.flags.setdefault(name, self.dice.random() < 0.3)
            handling = self.dice.randrange(3)
            options = Properties(0, None, 0, False, None, is_no_local, is_as_published, handling)
        self.filters[name].add(topic_filter)
        return [("subscribe", name, topic_filter, self.dice.randrange(3) if qos is None else qos, options)]

    def unsubscribe(self, name):
        if name not in self.connected - self.deaf:
            return None
        return [("unsubscribe", name, self.dice.choice(FILTERS))]

    def share(self, _):
        name = self.dice.choice(("member1", "member2"))
        topic_filter = f"$share/g/{self.group_filter}"
        if name in self.shared:
            self.shared.discard(name)
            return [("unsubscribe", name, topic_filter)]
        self.shared.add(name)
        return [("subscribe", name, topic_filter, self.group_qos, Properties(retain_handling=2))]

    def publish(self, name, count=1):
        """As many as the window of a deaf client with overlapping filters can hold on either broker."""
        if any(len(self.filters[each]) > 1 for each in self.deaf):
            count = min(count, self.budget)
            self.budget -= count
        if name not in self.connected or not count:
            return None
        return [self.publication(name) for _ in range(count)]

    def publication(self, name):
        is_retained = self.dice.random() < 0.3
        payload = b"" if is_retained and self.dice.random() < 0.3 else self.payload(name)
        return (
            "publish",
            name,
            self.dice.choice(TOPICS),
            payload,
            self.dice.choice((0, 1, 2, 2)),
            is_retained,
        )

    def burst(self, name):
        return self.publish(name, self.dice.choice((2, 4, 30)))

    def disconnect(self, name):
        if name in self.mute:
            return self.kill(name)
        if name not in self.connected:
            return None
        self.connected.discard(name)
        return [("disconnect", name)]

    def kill(self, name):
        if name not in self.connected:
            return None
        self.connected.discard(name)
        return [("kill", name)]

    def deafen(self, name):
        """One direction of a connection breaks, or one kind of answer gets lost."""
        if name not in self.connected:
            return None
        self.deaf.add(name)
        self.budget = 6
        if self.dice.random() < 0.4 and len(self.filters[name]) <= 1:
            self.mute.add(name)
            return [("mute", name)]
        kinds = self.dice.choice((ALL_KINDS, ALL_KINDS, {"pubrec"}, {"pubrel"}, {"pubcomp"}, {"puback"}))
        return [("deafen", name, frozenset(kinds))]

    def drama(self):
        """A client breaks down amid publications, and comes back to its session."""
        name = min("abc", key=lambda each: len(self.filters[each]))
        qos, other = self.dice.choice((1, 2, 2)), self.dice.choice(("a", "b", "c"))
        steps = [self.kill(name), self.connect(name, is_clean=False), self.subscribe(name, "#", qos)]
        steps += [self.deafen(name), *(self.publish(self.dice.choice((name, other)), 2) for _ in range(3))]
        steps += [self.kill(name), self.publish(other)]
        steps += [self.connect(name, is_clean=self.dice.random() < 0.2), self.publish(name)]
        return steps


@dataclass
class Timekeeper:
    """Writes a random script in which time matters: one client comes and goes, another listens.

    Waits are long against mosquitto's grain of a second, and everything else is short.
    """

    seed: int
    number: int = 0

    def __post_init__(self):
        self.dice = random.Random(f"timed {self.seed}")
        self.versions = {"a": self.dice.choice(("3.1.1", "5", "5", "5")), "b": "5"}

    def script(self):
        acts = [self.keep_alive, self.stay_alive]
        if self.versions["a"] == "5":
            acts += [self.session_expiry, self.session_expiry, self.message_expiry, self.will_delay]
        steps = [[("connect", "b", True, None, 2.0)], [("subscribe", "b", "#", 2, PLAIN_OPTIONS)]]
        for act in self.dice.sample(acts, 2):
            steps += act()
        prefix = f"t{self.seed}-{time.monotonic_ns()}"
        return {
            "seed": self.seed,
            "prefix": prefix,
            "versions": self.versions,
            "steps": steps,
            "is_timed": True,
        }

    def publish(self, topic, expiry_s=None):
        self.number += 1
        payload, is_retained = f"b:{self.number}".encode(), self.dice.random() < 0.5
        return [("publish", "b", topic, payload, self.dice.randrange(3), is_retained, expiry_s)]

    def will(self, delay_s=0):
        self.number += 1
        will = {"topic": "x/1", "payload": f"will:{self.number}".encode(), "qos": self.dice.randrange(3)}
        return {**will, "retain": self.dice.random() < 0.3, "delay_s": delay_s}

    def wait(self):
        return [[("wait", LONG_S)]] if self.dice.random() < 0.6 else []

    def leave(self):
        return [(self.dice.choice(("kill", "disconnect")), "a")]

    def keep_alive(self):
        """A client that falls silent is cut off and its will speaks; its session is kept or not."""
        is_clean = self.dice.random() < 0.5
        steps = [[("connect", "a", is_clean, self.will(), 1.0)], [("subscribe", "a", "y", 1, PLAIN_OPTIONS)]]
        steps += [[("deafen", "a")], [("wait", SILENT_S)], self.publish("y")]
        return [*steps, [("connect", "a", False, None)]]

    def stay_alive(self):
        """A client with nothing to say pings, and stays."""
        steps = [[("connect", "a", True, self.will(), 2.0)], [("subscribe", "a", "x/#", 2, PLAIN_OPTIONS)]]
        return [*steps, [("wait", LONG_S)], self.publish("x")]

    def session_expiry(self):
        """The session is there before its expiry, and gone after it."""
        steps = [[("connect", "a", True, self.will() if self.dice.random() < 0.5 else None, 0.0)]]
        steps = [[("connect", "a", False, None, 0.0, 2)], [("subscribe", "a", "x", 1, PLAIN_OPTIONS)]]
        return [*steps, self.leave(), self.publish("x"), *self.wait(), [("connect", "a", False, None)]]

    def message_expiry(self):
        """A message that waits too long, for a client or retained, is not delivered."""
        steps = [[("connect", "a", False, None)], [("subscribe", "a", "x", 1, PLAIN_OPTIONS)], self.leave()]
        steps += [self.publish("x", 2), self.publish("x"), self.publish("x/1", 2), *self.wait()]
        return [*steps, [("connect", "a", False, None)], [("subscribe", "a", "x/1", 2, PLAIN_OPTIONS)]]

    def will_delay(self):
        """A will waits; the client's return cancels it, and the end of the session brings it forward."""
        session_expiry_s = self.dice.choice((2, FOR_EVER_S))
        delay_s = self.dice.choice((2, 60)) if session_expiry_s == 2 else 2
        steps = [[("connect", "a", False, self.will(delay_s), 0.0, session_expiry_s)], [("kill", "a")]]
        return [*steps, *self.wait(), [("connect", "a", False, None)], [("wait", LONG_S)]]


@pytest.mark.parametrize("part", range(PARTS))
def test_untimed_scripts_are_served_alike(mosquitto_port, part):
    """Connect, subscribe, publish, kill, take over, come back: the same deliveries from both brokers."""
    count = SCRIPTS * (TIMED_SHARE - 1) // TIMED_SHARE
    found = (difference(Author(seed), mosquitto_port) for seed in range(part, count, PARTS))
    assert not (report := next((each for each in found if each), "")), report


@pytest.mark.parametrize("part", range(TIMED_PARTS))
def test_timed_scripts_are_served_alike(mosquitto_port, part):
    """Keep-alive, session expiry, message expiry, will delay: the same end from both brokers."""
    authors = [
        Timekeeper(seed) for seed in range(part, max(SCRIPTS // TIMED_SHARE, TIMED_PARTS), TIMED_PARTS)
    ]
    with ThreadPoolExecutor(ACTORS) as pool:
        found = list(pool.map(lambda author: difference(author, mosquitto_port), authors))
    assert not (report := next((each for each in found if each), "")), report
