"""Checks of publications on their way: QoS, order, wildcards, sizes, shared subscriptions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from twin.live.conformance.bench import Bench, check, need
from twin.live.conformance.client import QUIET_S
from twin.live.conformance.verdicts import Failed, NotSupported
from twin.message import Message
from twin.mqtt.topics import matches

SIZES = (0, 1, 127, 128, 16_383, 16_384, 65_536, 262_144)
TOPIC_COUNT = 100
SHARED_COUNT = 60


def _exactly(messages: Sequence[Message], qos: int, payloads: Sequence[bytes]) -> None:
    """Raise Failed unless these are the messages, once each, in this order, with this QoS."""
    got = [message.payload for message in messages]
    need(got == list(payloads), _difference(got, payloads))
    levels = {message.qos for message in messages}
    need(levels == {qos}, f"they come with QoS {', '.join(map(str, sorted(levels)))} instead of {qos}")


def _difference(got: Sequence[bytes], expected: Sequence[bytes]) -> str:
    if sorted(got) == sorted(expected):
        return "they come in another order"
    more = Counter(got) - Counter(expected)
    return (
        f"{sum(more.values())} come twice or are not ours" if more else f"{len(got)} of {len(expected)} come"
    )


def _round(bench: Bench, qos: int, count: int) -> None:
    watcher, publisher = bench.watcher(bench.topic(), qos=qos), bench.connected("p")
    payloads = [b"%d" % number for number in range(count)]
    for payload in payloads:
        publisher.publish(bench.topic(), payload, qos)
    _exactly(watcher.messages(count, extra_s=QUIET_S / 2), qos, payloads)


@check("qos-0", "4.3.1", is_quick=True)
def qos_0(bench: Bench) -> None:
    """Publications of QoS 0 come, in order."""
    _round(bench, 0, 10)


@check("qos-1", "4.3.2", is_quick=True)
def qos_1(bench: Bench) -> None:
    """Publications of QoS 1 are acknowledged and come, in order."""
    _round(bench, 1, 10)


@check("qos-2", "4.3.3", is_quick=True)
def qos_2(bench: Bench) -> None:
    """Publications of QoS 2 go through their four packets and come once, as QoS 2."""
    _round(bench, 2, 10)


@check("qos-2-once", "4.3.3", is_quick=True)
def qos_2_once(bench: Bench) -> None:
    """A PUBLISH of QoS 2 that is sent again before PUBREL is delivered once."""
    watcher, publisher = bench.watcher(bench.topic(), qos=2), bench.connected("p")
    number = publisher.send_publish(bench.topic(), b"once", 2)
    publisher.needed("pubrec", number)
    publisher.send_publish(bench.topic(), b"once", 2, again=number)
    publisher.needed("pubrec", number)
    publisher.release(number)
    got = watcher.messages(1, extra_s=QUIET_S)
    need(len(got) == 1, f"it comes {len(got)} times")


@check("qos-lower", "3.8.4", is_quick=True)
def qos_lower(bench: Bench) -> None:
    """A message comes with the lower of its QoS and the subscription's."""
    publisher = bench.connected("p")
    for published, subscribed in ((2, 0), (2, 1), (1, 0), (0, 1)):
        topic = bench.topic(f"{published}{subscribed}")
        watcher = bench.watcher(topic, f"w{published}{subscribed}", subscribed)
        publisher.publish(topic, b"x", published)
        [message] = watcher.messages(1)
        expected = min(published, subscribed)
        need(
            message.qos == expected,
            f"published with {published}, subscribed with {subscribed}: comes with {message.qos}",
        )


@check("order", "4.6", is_quick=True)
def order(bench: Bench) -> None:
    """500 publications of QoS 1 that are sent without waiting come in order."""
    watcher, publisher = bench.watcher(bench.topic()), bench.connected("p")
    payloads = [b"%d" % number for number in range(500)]
    for start in range(0, len(payloads), 20):
        numbers = [publisher.send_publish(bench.topic(), each) for each in payloads[start : start + 20]]
        for number in numbers:
            publisher.needed("puback", number)
    _exactly(watcher.messages(len(payloads), extra_s=QUIET_S / 2), 1, payloads)


@check("wildcards", "4.7.1", is_quick=True)
def wildcards(bench: Bench) -> None:
    """The wildcards + and # cover what they should, and nothing else."""
    names = ((), ("a",), ("a", "c"), ("", "c"), ("b", "c"), ("a", "b", "c"), ("a", "b", "c", ""))
    topics = [bench.topic(*levels) for levels in names]
    filters = ("", "/#", "/+", "/+/c", "/a/+", "/a/#", "/+/+/+", "/a/b/c")
    watchers = {each: bench.watcher(bench.topic() + each, f"w{place}") for place, each in enumerate(filters)}
    publisher = bench.connected("p")
    for topic in topics:
        publisher.publish(topic, topic.encode())
    for each, watcher in watchers.items():
        expected = [topic for topic in topics if matches(bench.topic() + each, topic)]
        got = [message.topic for message in watcher.messages(len(expected), extra_s=QUIET_S / 4)]
        short = bench.topic()
        wrong = {topic.removeprefix(short) for topic in set(got) ^ set(expected)}
        need(
            not wrong, f"the filter T{each} is wrong about {', '.join(f'T{each}' for each in sorted(wrong))}"
        )


@check("system-topics", "4.7.2", is_alone=True)
def system_topics(bench: Bench) -> None:
    """What begins with $ is not covered by a filter that begins with a wildcard."""
    watchers = [bench.watcher("#", "e", 0), bench.watcher("+/#", "l", 0)]
    bench.connected("p").send_publish("$" + bench.topic(), b"x", 0)
    for watcher in watchers:
        leaked = [message.topic for message in watcher.listen(1.0) if message.topic.startswith("$")]
        need(not leaked, f"{leaked[:1]} comes")


@check("dollar-topics", "4.7.2", is_quick=True)
def dollar_topics(bench: Bench) -> None:
    """Clients may exchange messages under topics that begin with $, as AWS's shadows do (left open)."""
    topic = "$" + bench.topic()
    watcher = bench.connected("w")
    try:
        watcher.subscribe(topic)
        bench.connected("p").publish(topic, b"x")
        watcher.messages(1)
    except Failed as error:
        raise NotSupported(str(error)) from None


@check("payloads", "3.3.3", is_quick=True)
def payloads(bench: Bench) -> None:
    """Payloads of no byte to 256 KiB come whole."""
    watcher, publisher = bench.watcher(bench.topic()), bench.connected("p")
    for size_bytes in SIZES:
        payload = (b"0123456789abcdef" * (size_bytes // 16 + 1))[:size_bytes]
        try:
            publisher.publish(bench.topic(), payload)
            [message] = watcher.messages(1)
        except Failed as error:
            raise Failed(f"{size_bytes:,} bytes: {error}") from None
        need(message.payload == payload, f"{size_bytes:,} bytes come as {len(message.payload):,}")


@check("many-topics", "3.8")
def many_topics(bench: Bench) -> None:
    """A client with 100 subscriptions gets what is published to each."""
    watcher, publisher = bench.connected("w"), bench.connected("p")
    topics = [bench.topic(str(number)) for number in range(TOPIC_COUNT)]
    for number in [watcher.send_subscribe(topic) for topic in topics]:
        watcher.needed("suback", number)
    for number in [publisher.send_publish(topic, b"x") for topic in topics]:
        publisher.needed("puback", number)
    got = {message.topic for message in watcher.messages(TOPIC_COUNT)}
    need(got == set(topics), f"{len(got)} of {TOPIC_COUNT} topics come")


@check("unsubscribe", "3.10.4", is_quick=True)
def unsubscribe(bench: Bench) -> None:
    """After UNSUBACK nothing more comes."""
    watcher, publisher = bench.watcher(bench.topic()), bench.connected("p")
    publisher.publish(bench.topic(), b"before")
    watcher.messages(1)
    watcher.unsubscribe(bench.topic())
    publisher.publish(bench.topic(), b"after")
    need(watcher.is_quiet(), "a message comes after UNSUBACK")


@check("shared", "4.8.2", is_quick=True)
def shared(bench: Bench) -> str:
    """The members of a shared subscription get each message once between them."""
    members = [bench.connected(f"m{number}") for number in range(3)]
    for member in members:
        code = member.ask_subscribe(f"$share/{bench.mark}/{bench.topic()}")
        if code >= 0x80:
            raise NotSupported(f"SUBACK says {code:#04x}")
    publisher = bench.connected("p")
    sent = [b"%d" % number for number in range(SHARED_COUNT)]
    for payload in sent:
        publisher.publish(bench.topic(), payload)
    shares = [[message.payload for message in member.listen(QUIET_S)] for member in members]
    got = [payload for share in shares for payload in share]
    if not got and bench.version == "3.1.1":
        raise NotSupported("takes $share/... for a topic, as MQTT 3.1.1 allows")
    need(sorted(got) == sorted(sent), _difference(got, sent))
    return " + ".join(str(len(share)) for share in shares)
