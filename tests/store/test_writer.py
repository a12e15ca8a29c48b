import threading

import pytest
from counting import Counter, Counters, add

from twin.message import Message
from twin.service.writer import Batching, BusyError, Writer
from twin.state.journal import Outgoing, StoreError, Wanted, load
from twin.state.memory_store import MemoryStore
from twin.state.twins import Twins

WAIT_S = 10.0


class FailingStore(MemoryStore):
    """Keeps nothing while it is full."""

    is_full = False

    def commit(self, transactions):
        if self.is_full:
            raise StoreError("the disk is full")
        return super().commit(transactions)


class Bench:
    """A writer with a clock of its own."""

    def __init__(self, **options):
        self.now_s = 100.0
        self.store = FailingStore()
        self.twins = Twins([Counters()])
        self.published, self.reported, self.kept = [], [], []
        self.writer = Writer(
            self.twins,
            self.store,
            lambda number, messages: self.published.append((number, [each.topic for each in messages])),
            lambda: self.now_s,
            report=self.reported.append,
            kept=self.kept.extend,
            **options,
        )

    def count(self, thing):
        return self.writer.submit(lambda transaction: add(thing, transaction)).result(WAIT_S)


@pytest.fixture
def bench():
    made = Bench()
    made.writer.start()
    yield made
    made.writer.stop(WAIT_S)


def test_an_answer_comes_after_the_change_is_kept_and_published(bench):
    """Accepted only after the commit."""
    assert [bench.count("a"), bench.count("a"), bench.count("b")] == [1, 2, 1]
    assert list(load(bench.store, Counters().kinds)) == list(bench.twins.records)
    assert [topics for _, topics in bench.published] == [["count/a/accepted"]] * 2 + [["count/b/accepted"]]


def test_a_message_is_handled_and_its_giver_told(bench):
    """On the writer's thread, once it is kept."""
    is_kept = threading.Event()
    bench.writer.offer(Message("count/a"), is_kept.set)

    assert is_kept.wait(WAIT_S)
    assert bench.store.bounds().last == 1


def test_what_waits_is_kept_with_one_commit():
    """Group commit: requests that came meanwhile share one."""
    bench = Bench(batching=Batching(limit=100, span_s=60.0))
    futures = [bench.writer.submit(lambda transaction: add("a", transaction)) for _ in range(250)]
    bench.writer.start()
    counts = [future.result(WAIT_S) for future in futures]
    bench.writer.stop(WAIT_S)

    assert counts == list(range(1, 251))
    assert bench.writer.counts.commits == 3
    assert len(bench.kept) == 250


def test_each_request_has_a_commit_of_its_own_if_asked():
    """Durability `each`."""
    bench = Bench(batching=Batching(limit=1))
    futures = [bench.writer.submit(lambda transaction: add("a", transaction)) for _ in range(5)]
    bench.writer.start()
    [future.result(WAIT_S) for future in futures]
    bench.writer.stop(WAIT_S)

    assert bench.writer.counts.commits == 5


def test_what_could_not_be_kept_did_not_happen(bench):
    """The twins never run ahead of the store; whoever waits learns it; later it works again."""
    bench.count("a")
    bench.store.is_full = True
    with pytest.raises(StoreError, match="the disk is full"):
        bench.count("a")
    with pytest.raises(StoreError):
        bench.count("b")
    assert bench.writer.trouble == "the disk is full"
    assert [(key, record.count) for _, key, record in bench.twins.records] == [("a", 1)]
    assert len(bench.published) == 1

    bench.store.is_full = False
    assert bench.count("a") == 2
    assert bench.writer.trouble == ""


def test_a_batch_that_could_not_be_kept_is_undone_as_a_whole():
    """Also where one request changed what another had changed before."""
    bench = Bench()
    bench.store.is_full = True
    futures = [bench.writer.submit(lambda transaction: add("a", transaction)) for _ in range(7)]
    bench.writer.start()

    assert all(isinstance(future.exception(WAIT_S), StoreError) for future in futures)
    bench.writer.stop(WAIT_S)
    assert list(bench.twins.records) == []


def test_a_defect_of_a_component_is_its_own(bench):
    """The request fails, the rest of the batch is kept, and nothing is half done."""

    def broken(transaction):
        add("a", transaction)
        raise ZeroDivisionError

    futures = [bench.writer.submit(broken), bench.writer.submit(lambda transaction: add("b", transaction))]
    is_dealt_with = threading.Event()
    bench.writer.offer(Message("count/c", b"break"), is_dealt_with.set)
    bench.count("d")

    assert isinstance(futures[0].exception(WAIT_S), ZeroDivisionError)
    assert futures[1].result(WAIT_S) == 1
    assert [key for _, key, _ in bench.twins.records] == ["b", "d"]
    assert bench.reported == ["a message could not be handled: ZeroDivisionError: "]
    assert is_dealt_with.wait(WAIT_S)  # or a broker would bring it again for ever


def test_deadlines_come_without_a_request(bench):
    """What time leads to is kept and published like any other change."""
    bench.count("a")
    bench.now_s += 1.5
    rests = threading.Event()
    bench.writer.offer(Message("nobody/takes/it"), rests.set)
    assert rests.wait(WAIT_S)

    assert bench.twins.records.get("counter", "a").is_resting
    assert bench.store.entries(Wanted())[-1].at_s == 101.5
    assert bench.published[-1][1] == ["count/a/rests"]


def test_time_does_not_go_back(bench):
    """Also not when the clock does: the journal is in order of time."""
    bench.count("a")
    bench.now_s -= 50.0
    bench.count("a")

    assert [entry.at_s for entry in bench.store.entries(Wanted())] == [100.0, 100.0]


def test_what_was_not_settled_is_published_again():
    """At the next start, before anything else."""
    left = [Outgoing(3, [Message("count/a/accepted")]), Outgoing(4, [Message("count/b/accepted")])]
    bench = Bench(waiting=left)
    bench.writer.start()
    bench.count("a")
    bench.writer.settle(3)
    bench.writer.stop(WAIT_S)

    assert bench.published[:2] == [(3, ["count/a/accepted"]), (4, ["count/b/accepted"])]


def test_settled_messages_are_forgotten():
    """With the next commit, or when the writer stops."""
    bench = Bench()
    bench.writer.start()
    bench.count("a")
    assert [each.number for each in bench.store.outbox()] == [1]
    bench.writer.settle(1)
    bench.count("a")
    assert [each.number for each in bench.store.outbox()] == [2]
    bench.writer.settle(2)
    bench.writer.stop(WAIT_S)

    assert bench.store.outbox() == []


def test_a_full_queue_turns_requests_away():
    """After a wait for room; nothing is lost silently."""
    bench = Bench(batching=Batching(queue_limit=2))
    for _ in range(2):
        bench.writer.offer(Message("count/a"))

    with pytest.raises(BusyError, match="2 requests are waiting"):
        bench.writer.offer(Message("count/a"), timeout_s=0.01)
    assert bench.writer.counts.turned_away == 1
    bench.writer.start()
    bench.writer.stop(WAIT_S)
    assert bench.twins.records.get("counter", "a").count == 2


def test_a_stopped_writer_takes_nothing(bench):
    """Whoever asks learns it at once."""
    bench.writer.stop(WAIT_S)

    with pytest.raises(BusyError, match="stopping"):
        bench.count("a")


def test_requests_that_wait_when_it_stops_are_finished():
    """A clean stop loses nothing that was taken."""
    bench = Bench()
    futures = [bench.writer.submit(lambda transaction: add("a", transaction)) for _ in range(500)]
    bench.writer.start()
    bench.writer.stop(WAIT_S)

    assert [future.result(0) for future in futures] == list(range(1, 501))


def test_counts_from_many_threads_are_all_kept(bench):
    """The law of the single writer: the sum is right however many ask at once."""
    threads = [threading.Thread(target=lambda: [bench.count("a") for _ in range(50)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_S)

    assert bench.twins.records.get("counter", "a") == Counter(thing="a", count=400, due_s=101.0)
    assert bench.store.bounds().last == 440
