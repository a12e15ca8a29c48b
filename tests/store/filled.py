"""Stores with something in them, and what is in them."""

import shutil

from counting import Counter, Counters

from twin.state.records import Transaction

KINDS = Counters().kinds
TWINS = 40


def fill(store, records, *, start=0, commits=60):
    """So many commits, each with a message; returns the records."""
    for number in range(start, start + commits):
        transaction = Transaction(records, float(number))
        for key in (f"thing-{number % TWINS}", f"thing-{number * 7 % TWINS}"):
            transaction.put("counter", key, Counter(thing=key, count=number))
        transaction.publish("x", {"n": number})
        store.commit([transaction])
    return records


def outbox(store):
    return [(each.number, each.messages) for each in store.outbox()]


def dict_of(records):
    return {(kind, key): record for kind, key, record in records}


def copied(path, folder):
    folder.mkdir()
    for each in path.parent.glob(f"{path.name}*"):
        shutil.copy(each, folder)
    return folder / path.name
