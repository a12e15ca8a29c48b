"""Checks of what a broker keeps: retained messages, sessions, and what was not acknowledged."""

from __future__ import annotations

from twin.live.conformance.bench import Bench, check, need
from twin.live.conformance.client import QUIET_S, Client

QUEUED_COUNT = 30


@check("retained", "3.3.1.3", is_quick=True)
def retained(bench: Bench) -> None:
    """Who subscribes later gets the last retained message of a topic, marked as retained."""
    topic, publisher = bench.retained_topic(), bench.connected("p")
    publisher.publish(topic, b"old", is_retained=True)
    publisher.publish(topic, b"new", is_retained=True)
    got = bench.watcher(topic).messages(1, extra_s=QUIET_S / 2)
    need([message.payload for message in got] == [b"new"], f"what comes is {[each.payload for each in got]}")
    need(got[0].retain, "it is not marked as retained")


@check("retained-now", "3.3.1.3", is_quick=True)
def retained_now(bench: Bench) -> None:
    """Who has subscribed already gets it as an ordinary message."""
    topic = bench.retained_topic()
    watcher = bench.watcher(topic)
    bench.connected("p").publish(topic, b"x", is_retained=True)
    [message] = watcher.messages(1)
    need(not message.retain, "it is marked as retained")


@check("retained-wildcard", "3.3.1.3", is_quick=True)
def retained_wildcard(bench: Bench) -> None:
    """A filter with wildcards brings every retained message that it covers."""
    publisher = bench.connected("p")
    topics = {bench.retained_topic(str(number), "state") for number in range(5)}
    for topic in sorted(topics):
        publisher.publish(topic, b"x", is_retained=True)
    for wildcard in (bench.topic("+", "state"), bench.topic("#")):
        got = {message.topic for message in bench.watcher(wildcard, f"w{len(wildcard)}").messages(5)}
        need(got == topics, f"{len(got & topics)} of 5 come for {wildcard[-7:]}")


@check("retained-cleared", "3.3.1.3", is_quick=True)
def retained_cleared(bench: Bench) -> None:
    """A retained message without payload takes the retained one away."""
    topic, publisher = bench.retained_topic(), bench.connected("p")
    publisher.publish(topic, b"x", is_retained=True)
    publisher.publish(topic, b"", is_retained=True)
    need(bench.watcher(topic).is_quiet(), "something is still retained")


def _queued(bench: Bench, leave: str) -> None:
    subscriber, publisher = bench.lasting(), bench.connected("p")
    subscriber.connect(is_clean=False)
    subscriber.subscribe(bench.topic())
    if leave == "disconnect":
        subscriber.disconnect()
    else:
        subscriber.cut()
    payloads = [b"%d" % number for number in range(QUEUED_COUNT)]
    for payload in payloads:
        publisher.publish(bench.topic(), payload)
    connack = subscriber.connect(is_clean=False)
    need(connack.is_session_present, "CONNACK says that no session is present")
    got = [message.payload for message in subscriber.messages(QUEUED_COUNT, extra_s=QUIET_S / 2)]
    need(got == payloads, "they come twice" if len(got) > QUEUED_COUNT else "they come in another order")


@check("session-left", "3.1.2.4", is_quick=True)
def session_left(bench: Bench) -> None:
    """30 publications of QoS 1 wait for a client that has disconnected, and come in order."""
    _queued(bench, "disconnect")


@check("session-cut", "3.1.2.4", is_quick=True)
def session_cut(bench: Bench) -> None:
    """The same for a client whose connection broke."""
    _queued(bench, "cut")


@check("session-cleaned", "3.1.2.4", is_quick=True)
def session_cleaned(bench: Bench) -> None:
    """Who connects with a clean session gets nothing of an earlier one, and it is gone for good."""
    subscriber = bench.lasting()
    subscriber.connect(is_clean=False)
    subscriber.subscribe(bench.topic())
    subscriber.disconnect()
    bench.connected("p").publish(bench.topic(), b"queued")
    need(not subscriber.connect().is_session_present, "CONNACK says that a session is present")
    need(subscriber.is_quiet(), "what was queued comes")
    subscriber.disconnect()
    connack = subscriber.connect(is_clean=False)
    need(not connack.is_session_present, "the clean session was kept")


def _redelivered(bench: Bench) -> tuple[Client, bool]:
    """A client that did not acknowledge, reconnected; and whether what comes again is marked so."""
    subscriber, publisher = bench.lasting(), bench.connected("p")
    subscriber.connect(is_clean=False)
    subscriber.subscribe(bench.topic())
    subscriber.is_acknowledging = False
    publisher.publish(bench.topic(), b"again")
    [first] = subscriber.messages(1)
    need(not first.dup, "the first delivery is marked as a repetition")
    subscriber.cut()
    subscriber.is_acknowledging = True
    subscriber.connect(is_clean=False)
    [second] = subscriber.messages(1)
    need(second.payload == b"again", f"what comes is {second.payload!r}")
    return subscriber, second.dup


@check("redelivery", "4.4", is_quick=True)
def redelivery(bench: Bench) -> None:
    """What a client has not acknowledged comes again when it reconnects, and no more once it has."""
    subscriber, _ = _redelivered(bench)
    subscriber.ping()
    subscriber.cut()
    subscriber.connect(is_clean=False)
    need(subscriber.is_quiet(), "it comes a third time")


@check("redelivery-marked", "3.3.1.1", is_quick=True)
def redelivery_marked(bench: Bench) -> None:
    """What comes again is marked so (DUP)."""
    _, is_marked = _redelivered(bench)
    need(is_marked, "DUP is 0")


@check("redelivery-qos-2", "4.4", is_quick=True)
def redelivery_qos_2(bench: Bench) -> None:
    """An exchange of QoS 2 that broke after PUBREC is finished in the next connection, and delivered once."""
    watcher, publisher = bench.watcher(bench.topic(), qos=2), bench.lasting("p")
    publisher.connect(is_clean=False)
    number = publisher.send_publish(bench.topic(), b"once", 2)
    publisher.needed("pubrec", number)
    publisher.cut()
    publisher.connect(is_clean=False)
    publisher.release(number)
    got = watcher.messages(1, extra_s=QUIET_S)
    need(len(got) == 1, f"it comes {len(got)} times")
