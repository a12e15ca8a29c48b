"""Checks of what MQTT 5 added."""

from __future__ import annotations

import struct

from twin.live.conformance.bench import Bench, check, need
from twin.live.conformance.client import QUIET_S
from twin.live.conformance.verdicts import Failed, NotSupported
from twin.message import Properties
from twin.mqtt.packets import Version

V5: tuple[Version, ...] = ("5",)
NO_SUBSCRIPTION = 0x11
PROPERTIES = {
    "content type": b"\x03\0\x04text",
    "response topic": b"\x08\0\x06answer",
    "correlation data": b"\x09\0\x0342!",
    "user property": b"\x26\0\x04wind\0\x06tunnel",
}
SUBSCRIPTION_ID = b"\x0b\x2a"


@check("session-expiry", "3.1.2.11.2", versions=V5)
def session_expiry(bench: Bench) -> None:
    """A session is there until its expiry has passed, and gone after it."""
    client = bench.lasting()
    client.connect(is_clean=False, expiry_s=60)
    client.disconnect()
    need(client.connect(is_clean=False, expiry_s=1).is_session_present, "it is gone before its expiry")
    client.disconnect()
    bench.connected("p").listen(3.0)
    need(
        not client.connect(is_clean=False, expiry_s=1).is_session_present, "it is there 2 s after its expiry"
    )


@check("session-expiry-clean", "3.1.2.4", versions=V5, is_quick=True)
def session_expiry_clean(bench: Bench) -> None:
    """A session that began with Clean Start is kept as long as its expiry says."""
    client = bench.lasting()
    client.connect(is_clean=True, expiry_s=60)
    client.subscribe(bench.topic())
    client.disconnect()
    bench.connected("p").publish(bench.topic(), b"kept")
    need(client.connect(is_clean=False).is_session_present, "CONNACK says that no session is present")
    client.messages(1)


@check("session-expiry-changed", "3.14.2.2.2", versions=V5, is_quick=True)
def session_expiry_changed(bench: Bench) -> None:
    """DISCONNECT may end the session with the connection."""
    client = bench.lasting()
    client.connect(is_clean=False, expiry_s=60)
    client.disconnect(session_expiry_s=0)
    need(not client.connect(is_clean=False).is_session_present, "the session is still there")


@check("message-expiry", "3.3.2.3.3", versions=V5)
def message_expiry(bench: Bench) -> None:
    """A message that waits longer than its expiry is not delivered; one that waits less is."""
    client, publisher = bench.lasting(), bench.connected("p")
    client.connect(is_clean=False)
    client.subscribe(bench.topic())
    client.disconnect()
    publisher.publish(bench.topic(), b"short", said=Properties(message_expiry_s=1))
    publisher.publish(bench.topic(), b"long", said=Properties(message_expiry_s=60))
    publisher.listen(2.5)
    client.connect(is_clean=False)
    got = client.messages(1, extra_s=QUIET_S)
    need([each.payload for each in got] == [b"long"], f"what comes is {[each.payload for each in got]}")
    rest_s = got[0].properties.message_expiry_s if got[0].properties else None
    need(rest_s is not None and rest_s < 60, f"its expiry is said to be {rest_s}, not what is left of 60 s")


@check("no-local", "3.8.3.1", versions=V5, is_quick=True)
def no_local(bench: Bench) -> None:
    """With No Local a client does not get what it publishes itself, and others do."""
    client, other = bench.connected(), bench.watcher(bench.topic())
    client.subscribe(bench.topic(), 1, Properties(is_no_local=True))
    client.publish(bench.topic(), b"x")
    other.messages(1)
    need(client.is_quiet(), "it gets its own message")


@check("retain-handling", "3.8.3.1", versions=V5, is_quick=True)
def retain_handling(bench: Bench) -> None:
    """A subscription says whether it wants retained messages: always, if new, never."""
    topic = bench.retained_topic()
    bench.connected("p").publish(topic, b"x", is_retained=True)
    expected = {0: [1, 1], 1: [1, 0], 2: [0, 0]}
    for handling, counts in expected.items():
        client = bench.connected(f"h{handling}")
        for place, count in enumerate(counts):
            client.subscribe(topic, 1, Properties(retain_handling=handling))
            got = len(client.listen(QUIET_S))
            client.inbox.clear()
            when = "again" if place else "at first"
            need(got == count, f"handling {handling}, subscribed {when}: {got} instead of {count} come")


@check("retain-as-published", "3.8.3.1", versions=V5, is_quick=True)
def retain_as_published(bench: Bench) -> None:
    """With Retain As Published the flag of a message is left as it was."""
    topic, client = bench.retained_topic(), bench.connected()
    client.subscribe(topic, 1, Properties(is_retain_as_published=True))
    bench.connected("p").publish(topic, b"x", is_retained=True)
    [message] = client.messages(1)
    need(message.retain, "the flag is cleared")


@check("topic-alias", "3.3.2.3.4", versions=V5, is_quick=True)
def topic_alias(bench: Bench) -> str:
    """A topic alias stands for its topic."""
    watcher, publisher = bench.watcher(bench.topic()), bench.client("p")
    connack = publisher.connect()
    if not connack.topic_alias_maximum:
        raise NotSupported("CONNACK allows no aliases")
    publisher.publish(bench.topic(), b"1", said=Properties(topic_alias=1))
    publisher.publish(bench.topic(), b"2", said=Properties(topic_alias=1, is_topic_omitted=True))
    got = [message.payload for message in watcher.messages(2)]
    need(got == [b"1", b"2"], f"what comes is {got}")
    return f"up to {connack.topic_alias_maximum}"


@check("receive-maximum", "3.1.2.11.3", versions=V5, is_quick=True)
def receive_maximum(bench: Bench) -> None:
    """A client gets no more unacknowledged publications than it can take."""
    client, publisher = bench.client(), bench.connected("p")
    client.connect(receive_maximum=3)
    client.subscribe(bench.topic())
    client.is_acknowledging = False
    for number in range(10):
        publisher.publish(bench.topic(), b"%d" % number)
    held = client.listen(QUIET_S * 2)
    need(len(held) == 3, f"{len(held)} instead of 3 come before any is acknowledged")
    client.is_acknowledging = True
    for message in held:
        client.acknowledge(message)
    got = [message.payload for message in client.messages(10)]
    need(got == [b"%d" % number for number in range(10)], "the others do not come in order afterwards")


@check("largest-packet", "3.1.2.11.4", versions=V5, is_quick=True)
def largest_packet(bench: Bench) -> None:
    """A client gets no packet larger than it can take, and goes on without it."""
    client, publisher = bench.client(), bench.connected("p")
    client.connect(maximum_packet_bytes=1_000)
    client.subscribe(bench.topic())
    publisher.publish(bench.topic(), b"x" * 2_000)
    publisher.publish(bench.topic(), b"small")
    got = [len(message.payload) for message in client.messages(1, extra_s=QUIET_S)]
    need(got == [5], f"payloads of {got} bytes come")


@check("reason-codes", "3.11.3", versions=V5, is_quick=True)
def reason_codes(bench: Bench) -> None:
    """Acknowledgements say what happened: no subscription to end, a filter that is none."""
    client = bench.connected()
    code = client.unsubscribe(bench.topic("nothing"))
    need(code == NO_SUBSCRIPTION, f"UNSUBACK without a subscription says {code:#04x} instead of 0x11")
    try:
        code = client.ask_subscribe(bench.topic("#", "after"))
    except Failed:
        need(client.is_closed, "a filter that is none is not answered")
        return
    need(code >= 0x80, f"a filter that is none is granted with {code:#04x}")


@check("properties", "3.3.2.3", versions=V5, is_quick=True)
def properties(bench: Bench) -> None:
    """Content type, response topic, correlation data and user properties come as they were sent."""
    watcher, publisher = bench.watcher(bench.topic()), bench.connected("p")
    topic, said = bench.topic().encode(), b"".join(PROPERTIES.values())
    body = struct.pack(">H", len(topic)) + topic + bytes([len(said)]) + said + b"x"
    publisher.send_bytes(bytes([0x30, *_length(len(body))]) + body)
    watcher.messages(1)
    missing = [name for name, value in PROPERTIES.items() if value not in watcher.received]
    need(not missing, f"lost on the way: {', '.join(missing)}")


@check("subscription-id", "3.8.2.1.2", versions=V5, is_quick=True)
def subscription_id(bench: Bench) -> None:
    """A message says by which subscription it comes."""
    client, topic = bench.connected(), bench.topic().encode()
    number = client.next_id()
    body = struct.pack(">H", number) + bytes([len(SUBSCRIPTION_ID)]) + SUBSCRIPTION_ID
    body += struct.pack(">H", len(topic)) + topic + b"\x01"
    client.send_bytes(bytes([0x82, *_length(len(body))]) + body)
    code = client.needed("suback", number).qos
    if code >= 0x80:
        raise NotSupported(f"SUBACK says {code:#04x}")
    bench.connected("p").publish(bench.topic(), b"x")
    client.messages(1)
    need(SUBSCRIPTION_ID in client.received, "the subscription's identifier is not there")


def _length(number: int) -> bytes:
    """A remaining length below 16,384."""
    return bytes([number]) if number < 128 else bytes([number % 128 | 128, number // 128])
