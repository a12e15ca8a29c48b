"""How fast things are found, access is decided and telemetry kept: `python tests/benchmarks/registry.py`."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator

import msgspec

from twin.cloud.broker import Broker
from twin.kernel.behaviour import Received
from twin.kernel.randomness import Stream
from twin.message import Message
from twin.state.records import Records, Transaction
from twin.state.registry.access import Guard, may
from twin.state.registry.policies import Client
from twin.state.registry.search import search
from twin.state.registry.things import Thing
from twin.state.telemetry import TelemetryKeeper
from twin.state.twins import Twins
from twin.state.types import shipped_types

THINGS = 100_000
ROUNDS = 5


def rate(count: int, task: Callable[[], None]) -> float:
    """Times a second, the median of several rounds."""
    taken = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        task()
        taken.append(time.perf_counter() - began)
    return count / statistics.median(taken)


def registered() -> Records:
    records, kinds = Records(), sorted(shipped_types())
    for number in range(THINGS):
        kind, site = kinds[number % len(kinds)], f"site-{number % 20}"
        tags = ("fire",) if number % 50 == 0 else ()
        name = f"thing-{number:06d}"
        records.put("thing", name, Thing(name=name, type=kind, site=site, level=f"L{number % 4}", tags=tags))
    return records


def searches(records: Records) -> None:
    for query in (
        "type:boom_gate",
        "type:lift site:site-10 tag:fire -level:L1",
        "name:thing-0000*",
        "thing-09999",
    ):
        found = search(records, query).total_count
        taken_ms = 1e3 / rate(1, lambda query=query: search(records, query))
        print(f"search {query!r:48} {taken_ms:8.1f} ms  {found} of {THINGS}")


def decisions(records: Records) -> None:
    topics = [f"site/site-{n % 20}/boom_gate/thing-{n:06d}/telemetry" for n in range(0, 15_000, 15)]
    clients = [f"thing-{n:06d}" for n in range(0, 15_000, 15)]

    def decide() -> None:
        for client, topic in zip(clients, topics, strict=True):
            may(records, client, "publish", topic)

    began = time.perf_counter()
    may(records, clients[0], "publish", topics[0])
    print(f"may, index of {THINGS} things made anew   {1e3 * (time.perf_counter() - began):8.1f} ms")
    began = time.perf_counter()
    decide()
    print(
        f"may, a client's first question             {len(clients) / (time.perf_counter() - began):10,.0f} /s"
    )
    print(f"may, asked before                          {rate(len(clients), decide):10,.0f} /s")
    fresh = [f"site/x/boom_gate/thing-000000/{n}" for n in range(1_000)] * 2

    def refuse() -> None:
        for topic in fresh:
            may(records, "thing-000000", "publish", topic)

    print(f"may, other topics of a known client        {rate(len(fresh), refuse):10,.0f} /s")


def telemetry(records: Records) -> None:
    payloads = [
        msgspec.json.encode({"ts": 1_000 * n, "seq": n, "carbon_monoxide_ppm": 7.5}) for n in range(99)
    ]
    names = [name for name, thing in records.of("thing").items() if thing.type == "gas_sensor"][:2_000]
    topics = [f"site/{records.get('thing', name).site}/gas_sensor/{name}/telemetry" for name in names]
    for label, types in (("checked", shipped_types()), ("unchecked", {})):
        keeper = TelemetryKeeper(types)
        twins = Twins([keeper], records)
        said = iter(payloads)

        def keep(twins: Twins = twins, said: Iterator[bytes] = said) -> None:
            payload = next(said)
            for topic in topics:
                twins.handle(Message(topic, payload), 1.0)

        print(f"telemetry, {label:32}{rate(len(topics), keep):10,.0f} /s")
    model, fields = shipped_types()["gas_sensor"], {"carbon_monoxide_ppm": 7.5}

    def check() -> None:
        for _ in range(10_000):
            model.report_problem(fields)

    print(f"schema alone                               {rate(10_000, check):10,.0f} /s")


class Here:
    """A context that stands still."""

    node, now, trace, random = "broker", 0.0, 0, Stream(1, "broker", "x")

    def sense(self, quantity: str) -> float:
        raise LookupError(quantity)


def broker(records: Records) -> None:
    topic = "site/site-0/boom_gate/thing-000000/telemetry"

    def run(subject: Broker) -> float:
        subject.react(Received(Message("site/#", kind="subscribe"), "service", 0.0), Here())
        message = Received(Message(topic, b"x"), "thing-000000", 0.0)

        def publish() -> None:
            for _ in range(20_000):
                subject.react(message, Here())

        return rate(20_000, publish)

    open_rate = run(Broker())
    records.put("client", "service", Client(name="service", role="service"))
    guarded = run(Broker(authorise=Guard(records, lambda: 0.0)))
    print(f"simulated broker, open                     {open_rate:10,.0f} /s")
    print(
        f"simulated broker, authorised               {guarded:10,.0f} /s  ({guarded / open_rate:.2f} of it)"
    )


if __name__ == "__main__":
    known = registered()
    began = time.perf_counter()
    transaction = Transaction(Records(), 0.0)
    for each in list(known.of("thing").values()):
        transaction.put("thing", each.name, each)
    print(f"things put in a transaction                {THINGS / (time.perf_counter() - began):10,.0f} /s")
    searches(known)
    decisions(known)
    telemetry(known)
    broker(known)
