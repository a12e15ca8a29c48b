import math

import msgspec
import pytest
from counting import Counter, Counters, Unknown
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from twin.errors import InputError
from twin.message import Message
from twin.state.journal import (
    RecordReader,
    Retention,
    StoreError,
    Wanted,
    load,
    sequence_at,
    state_at,
    walk,
)
from twin.state.memory_store import MemoryStore
from twin.state.records import Records, Transaction
from twin.state.twins import Twins

KINDS = Counters().kinds


def count(twins, store, thing, now_s):
    transaction = twins.handle(Message(f"count/{thing}"), now_s)
    store.commit([transaction])


def test_the_journal_has_every_change_in_order():
    """Puts with the whole new record, removals, and notes; each says where its transaction ends."""
    store, transaction = MemoryStore(), Transaction(Records(), 3.0)
    transaction.put("counter", "a", Counter(thing="a", count=1))
    transaction.note("audit", "a", {"by": "me"})
    transaction.remove("counter", "a")
    store.commit([transaction])

    assert [each[:8] for each in store.entries(Wanted())] == [
        (1, 3, 3.0, "put", "counter", "a", "a", b'{"thing":"a","count":1}'),
        (2, 3, 3.0, "note", "audit", "a", "a", b'{"by":"me"}'),
        (3, 3, 3.0, "remove", "counter", "a", "a", b""),
    ]


def test_a_state_is_whole_transactions_only():
    """In the middle of one it is as before."""
    store, transaction = MemoryStore(), Transaction(Records(), 0.0)
    transaction.put("counter", "a", Counter(thing="a"))
    transaction.put("counter", "b", Counter(thing="b"))
    store.commit([transaction])

    assert list(state_at(store, KINDS, 1)) == []
    assert [key for _, key, _ in state_at(store, KINDS, 2)] == ["a", "b"]


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    steps=st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=30),
    snapshots=st.sets(st.integers(0, 30)),
    data=st.data(),
)
def test_every_past_state_can_be_read_again(steps, snapshots, data):
    """Snapshot plus replay equals the records as they were, for every sequence."""
    twins, store = Twins([Counters()]), MemoryStore()
    was = {0: list(twins.records)}
    for number, (thing, is_quiet) in enumerate(steps):
        if is_quiet and twins.records.get("counter", thing):
            transaction = Transaction(twins.records, float(number))
            transaction.remove("counter", thing)
            store.commit([transaction])
        else:
            count(twins, store, thing, float(number))
        was[store.bounds().last] = list(twins.records)
        if number in snapshots:
            store.snapshot()
    sequence = data.draw(st.sampled_from(sorted(was)))

    assert list(state_at(store, KINDS, sequence)) == was[sequence]
    assert list(load(store, KINDS)) == list(twins.records)


@given(times=st.lists(st.floats(0, 100), min_size=1), at_s=st.floats(-1, 101))
def test_a_time_is_found_in_the_journal(times, at_s):
    """The last entry at that time or before it."""
    store, records = MemoryStore(), Records()
    for now_s in sorted(times):
        transaction = Transaction(records, now_s)
        transaction.note("tick", "a", None)
        store.commit([transaction])

    assert sequence_at(store, at_s) == sum(each <= at_s for each in times)


def test_retention_keeps_what_the_newest_snapshot_lacks():
    """However short it is."""
    twins, store = Twins([Counters()]), MemoryStore(Retention(entries=2))
    for second in range(5):
        count(twins, store, "a", float(second))
    assert store.bounds().first == 1

    store.snapshot()
    assert store.bounds()[:2] == (4, 5)
    count(twins, store, "a", 5.0)
    assert next(iter(state_at(store, KINDS, 5)))[2].count == 5
    with pytest.raises(InputError, match="sequence 2 lies before what is kept; the oldest state is at 5"):
        state_at(store, KINDS, 2)


def test_a_journal_in_memory_is_bounded():
    """A service without a store must not grow for ever."""
    twins, store = Twins([Counters()]), MemoryStore(Retention(entries=10))
    for second in range(500):
        count(twins, store, "a", float(second))
        store.tend()

    assert 10 <= len(store.journal) < 22
    assert len(store.marks) <= 4
    assert list(load(store, KINDS)) == list(twins.records)


def test_retention_by_time_keeps_what_is_younger():
    """Both limits hold: what one of them wants to keep is kept."""
    twins, store = Twins([Counters()]), MemoryStore(Retention(entries=1, age_s=2.0))
    for second in range(5):
        count(twins, store, "a", float(second))
    store.snapshot()

    assert [entry.at_s for entry in walk(store, Wanted())] == [3.0, 4.0]


def test_an_unknown_kind_is_left_alone():
    """A record of a newer version is not loaded and not lost."""
    store, transaction = MemoryStore(), Transaction(Records(), 0.0)
    transaction.put("novelty", "a", Unknown(text="x"))
    store.commit([transaction])

    assert list(load(store, KINDS)) == []
    assert [row.record for row in store.rows()] == [b'{"text":"x"}']


def test_an_infinite_deadline_that_was_computed_survives():
    """JSON has no infinity, so null stands for it."""
    store, transaction = MemoryStore(), Transaction(Records(), 0.0)
    transaction.put("counter", "a", Counter(thing="a", due_s=float("inf")))
    store.commit([transaction])
    raw = RecordReader(KINDS).read("counter", "a", b'{"thing":"a","due_s":null}')

    assert load(store, KINDS).get("counter", "a") == raw == Counter(thing="a", due_s=math.inf)


@pytest.mark.parametrize("record", [b'{"thing":7}', b"[]", b'{"thing":"a"', msgspec.json.encode(None)])
def test_a_record_that_does_not_fit_is_an_error(record):
    """It names the record."""
    with pytest.raises(StoreError, match="counter 'a' in the store"):
        RecordReader(KINDS).read("counter", "a", record)
