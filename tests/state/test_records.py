import math
from dataclasses import dataclass, field

import msgspec
import pytest

from twin.message import Message
from twin.state.records import STALE_DEADLINES, Record, Records, Transaction
from twin.state.twins import Twins


class Egg(Record, frozen=True):
    """A record that is done at its deadline."""

    name: str
    boiled_count: int = 0


@dataclass
class Kitchen:
    """Boils eggs: a component."""

    filters: tuple[str, ...] = ("kitchen/+/boil",)
    kinds: dict[str, type[Record]] = field(default_factory=lambda: {"egg": Egg})

    def handle(self, message, transaction):
        name = message.topic.split("/")[1]
        transaction.put("egg", name, Egg(name=name, due_s=transaction.now_s + 4.0))
        transaction.publish(f"kitchen/{name}/boil/accepted", {"name": name})

    def expire(self, kind, key, transaction):
        egg = transaction.records.get(kind, key)
        transaction.put(kind, key, Egg(name=egg.name, boiled_count=egg.boiled_count + 1))
        transaction.observe("boiled")


@pytest.fixture
def twins():
    return Twins([Kitchen()])


def test_a_message_changes_records_and_says_what_to_keep_and_publish(twins):
    """One transaction holds the change, for the journal, and the answer."""
    transaction = twins.handle(Message("kitchen/a/boil"), 10.0)

    assert [(change.what, change.kind, change.key) for change in transaction.changes] == [("put", "egg", "a")]
    assert [message.topic for message in transaction.messages] == ["kitchen/a/boil/accepted"]
    assert twins.next_due_s() == 14.0


def test_a_message_that_nobody_takes_changes_nothing(twins):
    """An unknown topic is nobody's."""
    transaction = twins.handle(Message("garage/a/boil"), 10.0)

    assert (transaction.changes, transaction.messages) == ([], [])


def test_a_deadline_comes_once_and_not_before_its_time(twins):
    """The component gives the record a new deadline, or none."""
    twins.handle(Message("kitchen/a/boil"), 10.0)

    assert twins.elapse(13.9).changes == []
    assert twins.elapse(14.0).observations == [("boiled", 1.0)]
    assert twins.elapse(99.0).changes == []
    assert twins.next_due_s() == math.inf


def test_a_later_record_takes_the_older_ones_deadline_away(twins):
    """Only the record that stands falls due."""
    twins.handle(Message("kitchen/a/boil"), 10.0)
    twins.handle(Message("kitchen/a/boil"), 12.0)

    assert twins.elapse(14.0).changes == []
    assert twins.next_due_s() == 16.0


def test_a_fork_goes_its_own_way(twins):
    """What happens in a branch does not happen here, and the other way round."""
    twins.handle(Message("kitchen/a/boil"), 10.0)
    branch = twins.fork()
    branch.elapse(14.0)
    twins.handle(Message("kitchen/b/boil"), 11.0)

    assert twins.records.get("egg", "a").boiled_count == 0
    assert branch.records.get("egg", "a").boiled_count == 1
    assert branch.records.get("egg", "b") is None
    assert twins.next_due_s() == 14.0


def test_deadlines_that_were_passed_over_are_forgotten(twins):
    """A record whose deadline is put off for ever does not fill the memory."""
    for second in range(10 * STALE_DEADLINES):
        twins.handle(Message("kitchen/a/boil"), float(second))

    assert len(twins.records._deadlines) <= STALE_DEADLINES + 2
    assert twins.next_due_s() == 10 * STALE_DEADLINES + 3.0


def test_a_removed_record_falls_not_due():
    """Its deadline goes with it."""
    records = Records()
    transaction = Transaction(records, 0.0)
    transaction.put("egg", "a", Egg(name="a", due_s=1.0))
    transaction.remove("egg", "a")

    assert [records.take_due(now_s) for now_s in (2.0, math.inf, math.nan)] == [None] * 3
    assert [change.what for change in transaction.changes] == ["put", "remove"]


def test_a_note_stands_in_the_journal_only():
    """It changes no record."""
    transaction = Transaction(Records(), 0.0)
    transaction.note("audit", "a", {"verb": "publish"})

    assert list(transaction.records) == []
    assert transaction.changes[0].entry == {"verb": "publish"}


def test_an_undone_transaction_leaves_no_trace(twins):
    """What could not be kept never was: records, their deadlines, and nothing to publish."""
    twins.handle(Message("kitchen/a/boil"), 10.0)
    before = list(twins.records)
    transaction = twins.handle(Message("kitchen/a/boil"), 12.0)
    transaction.put("egg", "b", Egg(name="b"))
    transaction.remove("egg", "a")
    transaction.undo()

    assert list(twins.records) == before
    assert (transaction.changes, transaction.messages) == ([], [])
    assert twins.next_due_s() == 14.0


def test_a_deadline_that_was_undone_comes_again(twins):
    """Time led to nothing if what it led to was not kept."""
    twins.handle(Message("kitchen/a/boil"), 10.0)
    twins.elapse(14.0).undo()

    assert twins.next_due_s() == 14.0
    assert twins.elapse(15.0).observations == [("boiled", 1.0)]


class Oven(Kitchen):
    """Breaks after it has changed something."""

    def handle(self, message, transaction):
        super().handle(message, transaction)
        raise ZeroDivisionError

    def expire(self, kind, key, transaction):
        super().expire(kind, key, transaction)
        raise ZeroDivisionError


def test_a_component_that_fails_leaves_nothing_half_done():
    """The records stand as before, and a deadline that was not dealt with comes again."""
    twins = Twins([Oven()])

    with pytest.raises(ZeroDivisionError):
        twins.handle(Message("kitchen/a/boil"), 10.0)
    assert list(twins.records) == []

    twins.records.put("egg", "a", Egg(name="a", due_s=11.0))
    with pytest.raises(ZeroDivisionError):
        twins.elapse(12.0)
    assert twins.records.get("egg", "a").boiled_count == 0
    assert twins.next_due_s() == 11.0


def test_a_record_comes_back_from_json_as_it_was():
    """Infinity, which JSON lacks, is the default and is left out."""
    egg = Egg(name="a", boiled_count=2)

    assert msgspec.json.encode(egg) == b'{"name":"a","boiled_count":2}'
    assert msgspec.json.decode(msgspec.json.encode(egg), type=Egg) == egg


def test_what_is_derived_from_records_is_made_anew_when_one_of_their_kind_changes(twins):
    """A change of another kind, and a question asked again, cost nothing; a fork has its own answer."""
    records, made = twins.records, []

    def names(records):
        made.append(1)
        return sorted(records.of("egg"))

    records.put("egg", "a", Egg(name="a"))
    assert records.derived("names", ("egg",), names) == ["a"]
    records.put("spoon", "b", Egg(name="b"))
    assert records.derived("names", ("egg",), names) == ["a"]
    assert len(made) == 1

    branch = records.fork()
    branch.put("egg", "c", Egg(name="c"))
    records.remove("egg", "a")
    assert records.derived("names", ("egg",), names) == []
    assert branch.derived("names", ("egg",), names) == ["a", "c"]


def test_a_topic_goes_the_same_way_every_time(monkeypatch):
    """Routes are remembered, up to a bound, and components keep their order."""
    monkeypatch.setattr("twin.state.twins.ROUTES_REMEMBERED", 2)
    seen = []

    class Taker:
        def __init__(self, name, *filters):
            self.name, self.filters, self.kinds = name, filters, {}

        def handle(self, message, _transaction):
            seen.append((self.name, message.topic))

    twins = Twins([Taker("first", "a/#"), Taker("second", "+/b", "a/b"), Taker("third", "c")])
    for topic in ("a/b", "c", "a/x", "a/b", "none", "a/b"):
        twins.handle(Message(topic), 0.0)
        assert len(twins.routes) <= 2
    both = [("first", "a/b"), ("second", "a/b")]
    assert seen == [*both, ("third", "c"), ("first", "a/x"), *both, *both]
