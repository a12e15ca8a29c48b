"""A twin service without a network that is killed again and again: its load, and what it says it accepted."""

import os
import time

import msgspec
from counting import Counter, Counters, add

from twin.kernel.randomness import Streams
from twin.message import Message
from twin.service.opening import open_store
from twin.service.sql_store import Keeping
from twin.service.writer import BusyError, Writer
from twin.state.alarms import Alarms
from twin.state.jobs import Jobs
from twin.state.journal import load
from twin.state.rules.program import compile_rules
from twin.state.standard import TwinSettings, component, standard_twins
from twin.state.twins import Twins

THINGS = [f"thing-{number}" for number in range(20)]
RULES = compile_rules("""
RULE heat SELECT thing() AS thing FROM 'sensor/+/telemetry' WHERE temp > 60 FOR 10m THEN ALARM MAJOR 'heat'
RULE busy SELECT count(*) AS n FROM 'sensor/+/telemetry' WINDOW TUMBLING 10m
    THEN ALARM MINOR 'busy' '${n} said'
""")
COMPONENTS = [*standard_twins(TwinSettings(rules=RULES)).components, Counters()]
"""Made once, before the first fork: reading the grammar takes longer than most lives."""
KEEPING = Keeping(snapshot_entries=300, snapshot_records=0, fold_entries=70)
"""Small, so that folding and snapshots are interrupted too."""


def twins_of(store):
    """All components of the twins, and counters, which have a window of a second."""
    twins = Twins(COMPONENTS)
    twins.records = load(store, twins.kinds)
    return twins


class Service:
    """Opens the store, publishes what was left, and takes requests; `say` is told what was accepted."""

    def __init__(self, path, say, clock=time.time):
        store, findings = open_store(path, KEEPING)
        for finding in findings:
            say(f"finding {finding}")
        self.say, self.store, self.twins = say, store, twins_of(store)
        self.writer = Writer(
            self.twins, store, self.publish, clock, report=lambda text: say(f"trouble {text}"),
            since_s=store.bounds().last_s, waiting=store.outbox(),
        )  # fmt: skip
        self.writer.start()

    def publish(self, number, messages):
        for message in messages:
            if message.topic.endswith("/shadow/update/accepted"):
                version = msgspec.json.decode(message.payload)["version"]
                self.say(f"published {message.topic.split('/')[2]} {version}")
        if number % 3:  # the others are still on their way when the service is killed
            self.writer.settle(number)

    def update(self, thing, number):
        payload = msgspec.json.encode({"state": {"reported": {"n": number}}})
        message = Message(f"$aws/things/{thing}/shadow/update", payload, 1)
        self.writer.offer(message, lambda: self.say(f"update {thing} {number}"))

    def pair(self, number):
        """Two records in one transaction."""

        def work(transaction):
            for side in ("left", "right"):
                transaction.put("counter", side, Counter(thing=side, count=number))

        self.writer.submit(work).add_done_callback(lambda done: done.result() or self.say(f"pair {number}"))

    def count(self, thing):
        asked = self.writer.submit(lambda transaction: add(thing, transaction))
        asked.add_done_callback(lambda done: self.say(f"count {thing} {done.result()}"))

    def alarm(self, thing, number):
        alarms, kind = component(self.twins, Alarms), f"type-{number}"

        def work(transaction):
            alarms.raise_alarm(thing, kind, "major", "it burns", transaction)

        self.writer.submit(work).add_done_callback(
            lambda done: done.result() or self.say(f"alarm {thing} {kind}")
        )

    def heat(self, thing):
        """A reading that two rules remember until their time has come."""
        message = Message(f"site/yard/sensor/{thing}/telemetry", b'{"temp":80}')
        self.writer.offer(message, lambda: self.say(f"hot {thing}"))

    def job(self):
        """A campaign that tells a few things a second."""
        jobs, plan = component(self.twins, Jobs), {
            "job_id": "fleet", "targets": THINGS, "document": {"operation": "install"},
            "rollout": {"per_minute": 60},
        }  # fmt: skip
        asked = self.writer.submit(lambda transaction: jobs.create(plan, transaction))
        asked.add_done_callback(lambda done: done.result() and self.say("job fleet"))

    def work_on_job(self, thing):
        self.writer.offer(Message(f"$aws/things/{thing}/jobs/start-next", b"{}", 1))
        done = msgspec.json.encode({"status": "SUCCEEDED"})
        self.writer.offer(
            Message(f"$aws/things/{thing}/jobs/fleet/update", done, 1), lambda: self.say(f"worked {thing}")
        )


def run_until_killed(path, seed, pipe):
    """In a process of its own: a random load, as fast as it is taken."""
    service = Service(path, lambda text: os.write(pipe, f"{text}\n".encode()))
    service.say("ready")
    draws = Streams(seed).stream("crash", "load")
    base = seed * 1_000_000
    service.job()
    for number in range(1_000_000):
        thing, choice = THINGS[int(draws.uniform(0, len(THINGS)))], draws.uniform(0.0, 1.0)
        try:
            if choice < 0.1:
                service.heat(thing)
            elif choice < 0.6:
                service.update(thing, base + number)
            elif choice < 0.75:
                service.pair(base + number)
            elif choice < 0.9:
                service.count(thing)
            elif choice < 0.97:
                service.alarm(thing, number % 50)
            else:
                service.work_on_job(thing)
        except BusyError as error:
            service.say(f"trouble {error}")
        if number % 40 == 0:
            time.sleep(0.002)
