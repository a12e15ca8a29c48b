"""Authors of random scripts; they know who is connected, so that the steps make sense."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, field

from twin.message import Properties
from twin.mqtt.codec import TYPES

FOR_EVER_S = 1e9
ALL_KINDS = frozenset(TYPES)
LONG_S = 5.0
SILENT_S = 9.0  # mosquitto looks for silent clients every few seconds

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
