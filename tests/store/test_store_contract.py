"""What every store promises, whichever database is behind it."""

import threading

import pytest
from counting import Counter, Counters, Unknown, add
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from twin.message import Message
from twin.service.opening import open_store
from twin.service.postgres_store import PostgresStore
from twin.service.sql_store import SqlStore
from twin.service.writer import Writer
from twin.state.journal import Wanted, load, sequence_at, state_at, walk
from twin.state.memory_store import MemoryStore
from twin.state.records import Records, Transaction
from twin.state.twins import Twins

KINDS = Counters().kinds


@pytest.fixture(params=["memory", "sqlite", pytest.param("postgres", marks=pytest.mark.live)])
def reopen(request, tmp_path):
    """Opens the store of this test, or opens it again."""
    kept, opened = MemoryStore(), []
    url = request.getfixturevalue("postgres_url") if request.param == "postgres" else ""

    def open_it():
        if opened:
            opened.pop().close()
        if request.param == "memory":
            return kept
        if request.param == "postgres":
            store, findings = PostgresStore(url), []
        else:
            store, findings = open_store(tmp_path / "twins.db")
        assert findings == []
        opened.append(store)
        return store

    yield open_it
    if opened:
        opened.pop().close()


@pytest.fixture
def store(reopen):
    return reopen()


def changed(records, now_s, *steps):
    """A transaction of puts, removals and notes: ("a", 3), ("a", None), ("note", {...})."""
    transaction = Transaction(records, now_s)
    for key, what in steps:
        if key == "note":
            transaction.note("remark", "a", what)
        elif what is None:
            transaction.remove("counter", key)
        else:
            transaction.put("counter", key, Counter(thing=key, count=what))
    return transaction


def test_what_was_kept_is_there_when_it_is_opened_again(reopen):
    """Records, journal and outbox."""
    records, store = Records(), reopen()
    first = changed(records, 1.0, ("a", 1), ("b", 1), ("note", {"by": "me"}))
    first.publish("x/y", {"z": 1}, retain=True)
    assert store.commit([first]) == 1
    assert store.commit([changed(records, 2.0, ("a", 2))]) == 0
    entries = store.entries(Wanted())
    store = reopen()

    assert list(load(store, KINDS)) == list(records)
    assert store.entries(Wanted()) == entries
    assert [each.sequence for each in entries] == [1, 2, 3, 4]
    assert [(each.number, each.messages) for each in store.outbox()] == [
        (1, [Message("x/y", b'{"z":1}', 1, retain=True)])
    ]
    assert store.bounds() == (1, 4, 2.0)


@pytest.mark.parametrize("ready", [0, 1, 2, 3])
def test_a_commit_writes_the_same_however_much_was_prepared(reopen, ready):
    """In one part or several, and over what was folded in the meantime."""
    records, store = Records(), reopen()
    store.commit([changed(records, 1.0, ("a", 1), ("b", 1))])
    transactions = [
        changed(records, 2.0, ("a", None), ("c", 1), ("note", 1)),
        changed(records, 3.0, ("c", None), ("a", 2)),
        changed(records, 4.0, ("c", 3)),
    ]
    for each in transactions:
        each.publish("x/y", each.now_s)
    store.prepare(transactions[:1])
    if ready == 2 and isinstance(store, SqlStore):
        store.fold()
    store.prepare(transactions[1:ready])
    number = store.commit(transactions)
    store = reopen()

    assert [(each.sequence, each.last, each.what, each.key) for each in store.entries(Wanted(after=2))] == [
        (3, 5, "remove", "a"),
        (4, 5, "put", "c"),
        (5, 5, "note", "a"),
        (6, 7, "remove", "c"),
        (7, 7, "put", "a"),
        (8, 8, "put", "c"),
    ]
    assert list(load(store, KINDS)) == list(records)
    (waiting,) = store.outbox()
    assert (waiting.number, [each.payload for each in waiting.messages]) == (number, [b"2.0", b"3.0", b"4.0"])


def test_what_was_prepared_and_not_committed_is_not_kept(reopen):
    """Because the batch was given up, or another one is committed."""
    records, store = Records(), reopen()
    given_up = changed(Records(), 1.0, ("a", 1), ("z", 1))
    given_up.publish("x/y", "lost")
    store.prepare([given_up])
    store.commit([changed(records, 2.0, ("a", 2))])
    store.prepare([given_up])
    store.commit([])
    store.commit([changed(records, 3.0, ("b", 3))])
    store = reopen()

    assert [(each.sequence, each.at_s, each.key) for each in store.entries(Wanted())] == [
        (1, 2.0, "a"),
        (2, 3.0, "b"),
    ]
    assert (list(load(store, KINDS)), store.outbox()) == (list(records), [])


def test_the_sequence_goes_on(reopen):
    """Without a gap, and the same subject is the same."""
    records, store = Records(), reopen()
    store.commit([changed(records, 1.0, ("a", 1))])
    store = reopen()
    store.commit([changed(records, 2.0, ("a", None), ("b", 1)), changed(records, 3.0, ("a", 7))])
    store = reopen()

    assert [(each.sequence, each.last, each.what, each.key) for each in store.entries(Wanted())] == [
        (1, 1, "put", "a"),
        (2, 3, "remove", "a"),
        (3, 3, "put", "b"),
        (4, 4, "put", "a"),
    ]
    assert list(load(store, KINDS)) == list(records)


def test_records_are_loaded_oldest_first(reopen):
    """One that was removed and made again is young."""
    records, store = Records(), reopen()
    store.commit([changed(records, 1.0, ("c", 1), ("a", 1), ("b", 1))])
    store.commit([changed(records, 2.0, ("c", None), ("a", 2), ("c", 2))])
    store.commit([changed(records, 2.0, ("d", 1), ("d", None), ("a", None))])
    store = reopen()

    assert [key for _, key, _ in load(store, KINDS)] == ["b", "c"]


def test_settled_messages_go_with_the_next_commit(reopen):
    """What is not settled stays, whatever else happens."""
    records, store = Records(), reopen()
    numbers = []
    for second in range(3):
        transaction = changed(records, float(second), ("a", second))
        transaction.publish("x", second)
        numbers.append(store.commit([transaction]))
    store.settle([numbers[1]])
    store.commit([])
    store = reopen()

    assert [each.number for each in store.outbox()] == [numbers[0], numbers[2]]
    assert [message.payload for each in store.outbox() for message in each.messages] == [b"0", b"2"]


def test_entries_can_be_chosen(store):
    """By sequence, kind, key and thing, a page at a time, from either end."""
    records = Records()
    for second in range(4):
        store.commit([changed(records, float(second), ("a", second), ("b", second), ("note", second))])

    def numbers(**wanted):
        return [each.sequence for each in store.entries(Wanted(**wanted))]

    assert numbers(key="b") == [2, 5, 8, 11]
    assert numbers(kind="remark", after=3) == [6, 9, 12]
    assert numbers(thing="a", until=6) == [1, 3, 4, 6]
    assert numbers(after=2, limit=3) == [3, 4, 5]
    assert numbers(is_newest_first=True, limit=2) == [12, 11]
    assert numbers(thing="a", is_newest_first=True, limit=2) == [12, 10]
    assert numbers(key="nobody") == []
    assert sequence_at(store, 1.5) == 6


WANTED = st.builds(
    Wanted,
    after=st.integers(0, 700),
    until=st.none() | st.integers(0, 800),
    kind=st.sampled_from([None, None, "counter", "remark", "remar_"]),
    key=st.sampled_from([None, None, "a", "k7", "nobody"]),
    thing=st.sampled_from([None, None, "a", "k7"]),
    limit=st.sampled_from([1, 3, 300, 1_000]),
    is_newest_first=st.booleans(),
)


def test_every_store_answers_as_memory_does(reopen):
    """Whatever is asked for, with commits of one entry and of many, folded or not."""
    store, memory, records = reopen(), MemoryStore(), Records()
    for number, count in enumerate((1, 3, 300, 2, 1, 90, 1, 290, 2)):
        steps = [(f"k{(number + each) % 40}", each) for each in range(count - 1)]
        transactions = [
            changed(records, float(number), *steps[: count // 2]),
            changed(records, float(number), ("a", number)),
            changed(records, number + 0.5, *steps[count // 2 :], *([("note", number)] * (number % 2))),
        ]
        store.commit(transactions)
        memory.commit(transactions)
        if number in (2, 5):
            store = reopen()

    @settings(max_examples=200, deadline=None)
    @given(WANTED)
    def answers(wanted):
        assert store.entries(wanted) == memory.entries(wanted)

    answers()


def test_a_record_that_names_its_thing_is_found_by_it(store):
    """A command's key is its own number."""
    records = Records()
    transaction = Transaction(records, 0.0)
    transaction.put("counter", "0815", Counter(thing="a"))
    transaction.put("counter", "a/x", Counter(thing=""))
    store.commit([transaction])
    removal = Transaction(records, 1.0)
    removal.remove("counter", "0815")
    store.commit([removal])

    assert [each.key for each in store.entries(Wanted(thing="a"))] == ["0815", "a/x", "0815"]


def test_a_kind_of_a_newer_version_is_not_lost(reopen):
    """It is not loaded, and stays in the store whatever is written beside it."""
    records, store = Records(), reopen()
    transaction = Transaction(records, 0.0)
    transaction.put("novelty", "a", Unknown(text="x"))
    store.commit([transaction])
    store = reopen()
    store.commit([changed(load(store, KINDS), 1.0, ("a", 1))])
    store.snapshot()
    store = reopen()

    assert next((row.kind, row.record) for row in store.rows()) == ("novelty", b'{"text":"x"}')
    assert [key for _, key, _ in load(store, KINDS)] == ["a"]


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    max_examples=25,
    deadline=None,
)
@given(
    steps=st.lists(
        st.lists(st.tuples(st.sampled_from("abcd"), st.none() | st.integers(0, 9)), max_size=5),
        max_size=12,
    ),
    snapshots=st.sets(st.integers(0, 11)),
)
def test_every_past_state_can_be_read_again(store, steps, snapshots):
    """The law of the journal: snapshot plus replay is the state as it was."""
    records, base = load(store, KINDS), store.bounds().last
    was = {base: list(records)}
    for number, step in enumerate(steps):
        store.commit([changed(records, 0.0, *step)])
        was[store.bounds().last] = list(records)
        if number in snapshots:
            store.snapshot()

    assert list(load(store, KINDS)) == list(records)
    for sequence, expected in was.items():
        assert list(state_at(store, KINDS, sequence)) == expected


def test_the_journal_can_be_walked_through(store):
    """Page by page."""
    records = Records()
    for _ in range(5):
        store.commit([changed(records, 0.0, *[(f"k{i}", i) for i in range(500)])])

    assert [entry.sequence for entry in walk(store, Wanted(after=7))] == list(range(8, 2501))


def test_a_writer_keeps_what_many_threads_ask_for(reopen):
    """End to end: the twins in memory and the store agree, and go on after a restart."""
    for run in (1, 2):
        store = reopen()
        twins = Twins([Counters()], load(store, KINDS))
        writer = Writer(twins, store, lambda _number, _messages: None, lambda: 1.0)
        writer.start()

        def ask(writer=writer):
            for _ in range(100):
                writer.submit(lambda transaction: add("a", transaction)).result(60.0)

        threads = [threading.Thread(target=ask) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60.0)
        writer.stop()
        store = reopen()
        assert load(store, KINDS).get("counter", "a").count == 300 * run
