"""How fast twins are kept: durable shadow updates end to end, the store alone, and a fork.

    python tests/benchmarks/store.py [--folder DIR] [--profile]

Each update is a request of 497 bytes for one of 10,000 things, handled by the real shadow component and
kept with its journal entry and the messages that answer it. Nothing is switched off: every commit is synced.
The processor's figure is what one core does if it waits for no disk; the clock's figure waits for this one.
PostgreSQL is started for the benchmark if it is installed; its own processor time is not counted.
"""

import argparse
import cProfile
import pstats
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

import msgspec

sys.path.insert(0, str(Path(__file__).parents[2]))
sys.path.insert(0, str(Path(__file__).parents[1] / "store"))

import postgres

from twin.kernel.randomness import Streams
from twin.message import Message
from twin.service.opening import open_store
from twin.service.postgres_store import PostgresStore
from twin.service.writer import Batching, Writer
from twin.state.memory_store import MemoryStore
from twin.state.shadow import Shadows, ShadowSettings
from twin.state.twins import Twins

THINGS = 10_000
UPDATES = 60_000
DOCUMENT_BYTES = 497
ROUNDS = 3


def request(number):
    """An update of 497 bytes: numbers, words and a switch, and padding in one member."""
    reported = {
        "temperature": 20.0 + number % 100 / 10,
        "smoke": number % 7 / 100,
        "gate": ("open", "closed")[number % 2],
        "battery": 3.3,
        "online": True,
        "position": {"x": number % 60, "y": number % 40, "level": number % 3},
        "firmware": "4.2.1",
        "note": "",
    }
    bare = len(msgspec.json.encode({"state": {"reported": reported}}))
    reported["note"] = "x" * (DOCUMENT_BYTES - bare)
    return msgspec.json.encode({"state": {"reported": reported}})


def messages():
    """Updates of things in a random order."""
    draws = Streams(1).stream("benchmark", "things")
    payloads = [request(number) for number in range(100)]
    things = [int(draws.uniform(0, THINGS)) for _ in range(UPDATES)]
    return [
        Message(f"$aws/things/thing-{thing:05}/shadow/update", payloads[number % 100], 1)
        for number, thing in enumerate(things)
    ]


def shadows(*, has_documents=True):
    """Twins that know shadows only."""
    return Twins([Shadows(ShadowSettings(has_documents=has_documents))])


def filled(store, *, has_documents=True):
    """Twins with a shadow for every thing, kept in the store."""
    twins, payload = shadows(has_documents=has_documents), request(1)
    for start in range(0, THINGS, 100):
        store.commit(
            [
                twins.handle(Message(f"$aws/things/thing-{number:05}/shadow/update", payload, 1), 1.0)
                for number in range(start, start + 100)
            ]
        )
    return twins


def end_to_end(store, sent, limit, *, has_documents):
    """Updates a second through the writer: by the wall clock, and by its thread's processor time."""
    twins, holder = filled(store, has_documents=has_documents), []
    writer = Writer(
        twins, store, lambda number, _: holder[0].settle(number), time.time,
        batching=Batching(limit=limit), since_s=2.0,
    )  # fmt: skip
    holder.append(writer)
    writer.start()
    clock = time.pthread_getcpuclockid(writer._thread.ident)
    began_s, began_cpu_s = time.perf_counter(), time.clock_gettime(clock)
    for message in sent:
        writer.offer(message, timeout_s=60.0)
    writer.submit(lambda _: None, timeout_s=60.0).result(60.0)
    wall_s, cpu_s = time.perf_counter() - began_s, time.clock_gettime(clock) - began_cpu_s
    writer.stop()
    assert writer.counts.kept == len(sent) + 1
    return len(sent) / wall_s, len(sent) / cpu_s


def raw(store, limit, count):
    """Transactions of one record each, prepared before, kept without anything else."""
    twins = shadows()
    transactions = [twins.handle(each, 1.0) for each in messages()[:count]]
    began_s, began_cpu_s = time.perf_counter(), time.process_time()
    for start in range(0, count, limit):
        number = store.commit(transactions[start : start + limit])
        store.settle([number])
    wall_s, cpu_s = time.perf_counter() - began_s, time.process_time() - began_cpu_s
    return count / wall_s, count / cpu_s


def memory_only(sent, *, has_documents):
    """Updates a second without a store."""
    twins = filled(MemoryStore(), has_documents=has_documents)
    began_s, began_cpu_s = time.perf_counter(), time.process_time()
    for message in sent:
        twins.handle(message, 2.0)
    wall_s, cpu_s = time.perf_counter() - began_s, time.process_time() - began_cpu_s
    return len(sent) / wall_s, len(sent) / cpu_s


def fork_ms():
    """Milliseconds for a fork of all twins: the median of a hundred."""
    twins = filled(MemoryStore())
    times = []
    for _ in range(100):
        began_s = time.perf_counter()
        twins.fork()
        times.append((time.perf_counter() - began_s) * 1e3)
    return statistics.median(times)


def measured(what, run, folder):
    """The median of a few rounds, each with a new store."""
    found = [run(folder, number) for number in range(ROUNDS)]
    wall, cpu = (statistics.median(each) for each in zip(*found))
    print(f"{what:52} {wall:9,.0f}/s wall {cpu:9,.0f}/s processor")
    return cpu


def on_sqlite(work):
    """Run with a new store in the folder."""

    def run(folder, number):
        place = Path(tempfile.mkdtemp(dir=folder))
        store, _ = open_store(place / f"twins-{number}.db")
        try:
            return work(store)
        finally:
            store.close()
            shutil.rmtree(place)

    return run


def on_postgres(url, work):
    """Run with an empty database."""

    def run(_folder, _number):
        store = PostgresStore(postgres.emptied(url))
        try:
            return work(store)
        finally:
            store.close()

    return run


def compared(which, sent, folder, *, has_documents):
    """In memory and durable, end to end; `which` messages answer an update."""
    memory = measured(
        f"in memory, {which}", lambda *_: memory_only(sent, has_documents=has_documents), folder
    )
    work = on_sqlite(lambda store: end_to_end(store, sent, Batching().limit, has_documents=has_documents))
    durable = measured(f"durable, end to end, {which}", work, folder)
    print(f"durable / in memory, processor: {durable / memory:.2f}")


def main():
    """Print all figures."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--folder", default=tempfile.gettempdir())
    options.add_argument("--profile", action="store_true")
    given = options.parse_args()
    sent = messages()
    assert len(sent[0].payload) == DOCUMENT_BYTES
    if given.profile:
        profile(sent, given.folder)
        return
    limit = Batching().limit
    compared("accepted", sent, given.folder, has_documents=False)
    compared("accepted and documents", sent, given.folder, has_documents=True)
    for size, count in ((limit, UPDATES), (100, UPDATES), (1, 2_000)):
        measured(f"SQLite alone, {size} a commit", on_sqlite(lambda s: raw(s, size, count)), given.folder)  # noqa: B023
    print(f"fork of {THINGS:,} twins: {fork_ms():.3f} ms")
    place = postgres.programs()
    if place is None:
        print(postgres.INSTALL)
        return
    with postgres.server(place) as url:
        measured(f"PostgreSQL alone, {limit} a commit", on_postgres(url, lambda s: raw(s, limit, 10_000)), "")
        measured("PostgreSQL alone, 1 a commit", on_postgres(url, lambda s: raw(s, 1, 1_000)), "")


def profile(sent, folder):
    """Where the time of the writer's thread goes."""
    place = Path(tempfile.mkdtemp(dir=folder))
    store, _ = open_store(place / "twins.db")
    twins = filled(store)
    profiler = cProfile.Profile()
    profiler.enable()
    for start in range(0, len(sent), 100):
        transactions = [twins.handle(message, 2.0) for message in sent[start : start + 100]]
        store.settle([store.commit(transactions)])
    profiler.disable()
    store.close()
    shutil.rmtree(place)
    pstats.Stats(profiler).sort_stats("tottime").print_stats(25)


def sizes():
    """Bytes of one shadow as a record."""
    twins = filled(MemoryStore())
    return len(msgspec.json.encode(next(iter(twins.records.of("shadow").values()))))


if __name__ == "__main__":
    main()
    print(f"record: {sizes()} bytes")
