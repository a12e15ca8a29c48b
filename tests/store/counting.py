"""A small component for tests of the writer and the stores: counters that add up and fall due."""

from dataclasses import dataclass, field

from twin.state.records import Record


class Counter(Record, frozen=True):
    """How often a thing was counted; after a second of silence it rests."""

    thing: str
    count: int = 0
    is_resting: bool = False


class Unknown(Record, frozen=True):
    """A kind of a newer version."""

    text: str


@dataclass
class Counters:
    """Adds one for each message `count/THING`, says so, and notes every tenth."""

    filters: tuple[str, ...] = ("count/+",)
    kinds: dict[str, type[Record]] = field(default_factory=lambda: {"counter": Counter})

    def handle(self, message, transaction):
        add(message.topic.split("/")[1], transaction)
        if message.payload == b"break":
            raise ZeroDivisionError

    def expire(self, kind, key, transaction):
        old = transaction.records.get(kind, key)
        transaction.put(kind, key, Counter(thing=old.thing, count=old.count, is_resting=True))
        transaction.publish(f"count/{key}/rests", {})


def add(thing, transaction):
    """One more."""
    old = transaction.records.get("counter", thing)
    count = 1 if old is None else old.count + 1
    transaction.put("counter", thing, Counter(thing=thing, count=count, due_s=transaction.now_s + 1.0))
    transaction.publish(f"count/{thing}/accepted", {"count": count})
    if count % 10 == 0:
        transaction.note("milestone", thing, {"count": count})
    return count
