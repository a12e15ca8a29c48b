"""The sessions of a fleet without a socket: what is sent for what is received."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin.errors import InputError
from twin.message import Message, Properties
from twin.mqtt.codec import CodecError, Decoder, encode
from twin.mqtt.fleet.device import Device, Listener, Phase, Profile, Publication
from twin.mqtt.fleet.frames import topic_field
from twin.mqtt.fleet.sessions import EndedByBrokerError, Sessions, properties_field
from twin.mqtt.fleet.tally import Tally
from twin.mqtt.packets import Connack, connack_message


class Bench:
    """A device whose connection is a list."""

    def __init__(self, **options):
        self.sent, self.events = [], []
        note = self.events.append
        listener = Listener(
            acknowledged=lambda _, sequence: note(("acknowledged", sequence)),
            dropped=lambda _, sequence, cause: note(("dropped", sequence, cause)),
            received=lambda _, delivery: note(("received", delivery.payload)),
        )
        self.tally = Tally()
        self.sessions = Sessions(
            lambda _, data: self.sent.append(data), lambda _: None, listener, self.tally, None
        )
        self.device = Device(0, "d", Profile(host="h", port=1, **options))

    def connack(self, *, present=False, **options):
        self.device.phase = Phase.GREETING
        version = self.device.profile.version
        self.take(connack_message(Connack(0, present, version, **options)))
        return self

    def take(self, *messages):
        self.sessions.take(self.device, b"".join(encode(message) for message in messages))

    def publish(self, payload, qos=1):
        self.device.sequence += 1
        said = properties_field(self.device, b"")
        publication = Publication(0x30 | qos << 1, topic_field("t"), payload, said, self.device.sequence, 0.0)
        self.sessions.offer(self.device, publication)

    def packets(self):
        """What was sent since the last look."""
        data, self.sent = b"".join(self.sent), []
        found = Decoder(self.device.profile.version).feed(data)
        return [(each.kind, each.packet_id, each.payload, each.dup) for each in found]


def test_the_window_holds_back_and_acknowledgements_let_go():
    """In the order of the publications."""
    bench = Bench(window=2).connack()
    for payload in (b"1", b"2", b"3", b"4"):
        bench.publish(payload)

    first = bench.packets()
    bench.take(Message("", kind="puback", packet_id=2), Message("", kind="puback", packet_id=1))

    assert [payload for _, _, payload, _ in first] == [b"1", b"2"]
    assert [payload for _, _, payload, _ in bench.packets()] == [b"3", b"4"]
    assert bench.events == [("acknowledged", 2), ("acknowledged", 1)]


def test_a_full_queue_drops_and_says_so():
    """The newest goes; the counts add up."""
    bench = Bench(queue_limit=2)
    for payload in (b"1", b"2", b"3"):
        bench.publish(payload)

    assert bench.events == [("dropped", 3, "queue full")]
    assert bench.tally.offered == 3 == bench.device.waiting_count + bench.tally.dropped.total()


def test_a_resumed_session_repeats_with_dup_and_a_released_one_with_pubrel():
    """[MQTT-4.4.0-1]; what was acknowledged is not repeated."""
    bench = Bench(clean_session=False).connack()
    for payload in (b"1", b"2", b"3"):
        bench.publish(payload, 2)
    bench.take(Message("", kind="pubrec", packet_id=1), Message("", kind="pubrec", packet_id=2))
    bench.take(Message("", kind="pubcomp", packet_id=1))
    bench.packets()

    bench.connack(present=True)

    assert bench.packets() == [("pubrel", 2, b"", False), ("publish", 3, b"3", True)]


def test_a_lost_session_publishes_anew_without_what_had_arrived():
    """Released messages arrived; the others go out as new ones, before what waited."""
    bench = Bench(window=2).connack()
    for payload in (b"1", b"2", b"3"):
        bench.publish(payload, 2)
    bench.take(Message("", kind="pubrec", packet_id=1))
    bench.packets()

    bench.connack()

    sent = bench.packets()
    assert [(kind, payload, dup) for kind, _, payload, dup in sent] == [
        ("publish", b"2", False),
        ("publish", b"3", False),
    ]
    assert bench.events == [("acknowledged", 1)]
    assert bench.tally.offered == bench.tally.sent == 3


def test_a_repeated_message_at_qos_2_is_handed_on_once():
    """Until it is released; then its id is free."""
    bench = Bench().connack()
    message = Message("t", b"x", 2, packet_id=9)

    bench.take(message, Message("t", b"x", 2, packet_id=9, dup=True), Message("", kind="pubrel", packet_id=9))
    bench.take(message)

    assert bench.events == [("received", b"x")] * 2
    assert [kind for kind, *_ in bench.packets()] == ["pubrec", "pubrec", "pubcomp", "pubrec"]


@pytest.mark.parametrize("size", [1, 3, 7])
def test_packets_may_come_in_any_pieces(size):
    """A stream has no packets."""
    bench = Bench().connack()
    data = b"".join(encode(Message("t", bytes([each]) * 200, 1, packet_id=each)) for each in range(1, 9))

    for at in range(0, len(data), size):
        bench.sessions.take(bench.device, data[at : at + size])

    assert bench.events == [("received", bytes([each]) * 200) for each in range(1, 9)]
    assert len(bench.packets()) == 8


def test_the_brokers_limits_are_kept():
    """MQTT 5: its receive maximum and packet size."""
    bench = Bench(version="5").connack(receive_maximum=1, maximum_packet_bytes=50)

    bench.publish(b"1")
    bench.publish(b"2")
    bench.publish(b"x" * 50, 0)

    assert len(bench.packets()) == 1
    assert bench.events == [("dropped", 3, "packet too large")]


def test_a_refused_publication_is_dropped_with_its_reason():
    """MQTT 5: reason codes from 0x80 on, in PUBACK and PUBREC."""
    bench = Bench(version="5").connack()
    bench.publish(b"1")
    bench.publish(b"2", 2)

    bench.take(Message("", kind="puback", packet_id=1, properties=Properties(0x87)))
    bench.take(Message("", kind="pubrec", packet_id=2, properties=Properties(0x97)))

    assert bench.events == [("dropped", 1, "refused with 0x87"), ("dropped", 2, "refused with 0x97")]
    assert bench.device.waiting_count == 0


def test_what_is_no_mqtt_ends_the_connection():
    """An HTTP answer, a packet that only clients send, one that is too long."""
    for data in (b"HTTP/1.1 400 Bad Request\r\n", b"\xc0\0", b"\x10\xff\xff\xff\x7f"):
        bench = Bench(largest_packet_bytes=1_000)
        bench.device.phase = Phase.GREETING
        with pytest.raises(CodecError):
            bench.sessions.take(bench.device, data)


@given(st.binary(max_size=80), st.sampled_from(["3.1.1", "5"]), st.sampled_from([Phase.GREETING, Phase.UP]))
def test_any_bytes_of_a_broker_are_packets_or_the_end_of_the_connection(data, version, phase):
    """Nothing that a broker sends ends more than its own connection."""
    bench = Bench(version=version)
    bench.device.phase = phase
    bench.device.inflight[1] = Publication(0x32, topic_field("t"), b"", b"", 1, 0.0)
    with suppress(CodecError, EndedByBrokerError):
        bench.sessions.take(bench.device, data)


@given(st.binary(max_size=20), st.integers(1, 15), st.integers(0, 15), st.sampled_from(["3.1.1", "5"]))
def test_any_body_of_a_packet_is_read_or_refused(body, kind, flags, version):
    """Also where the length is right."""
    bench = Bench(version=version).connack()
    bench.device.inflight[1] = Publication(0x34, topic_field("t"), b"", b"", 1, 0.0)
    with suppress(CodecError, EndedByBrokerError):
        bench.sessions.take(bench.device, bytes([kind << 4 | flags, len(body)]) + body)


def test_a_keep_alive_that_the_broker_dictates_holds():
    """[MQTT-3.2.2-21]; on the next connection it may be another, or none."""
    bench = Bench(version="5", keep_alive_s=600.0).connack(keep_alive_s=10)
    assert bench.device.keep_alive_s == 10

    bench.connack()
    assert bench.device.keep_alive_s == 600.0


def test_a_refusal_ends_the_connection():
    """With its code."""
    bench = Bench()
    bench.device.phase = Phase.GREETING

    with pytest.raises(EndedByBrokerError, match="refused with 0x05"):
        bench.take(connack_message(Connack(5)))

    assert bench.tally.refused == {"0x05": 1}


def test_packet_ids_are_never_given_twice():
    """Not even after 65,535 of them."""
    bench = Bench(window=10).connack()
    bench.publish(b"old")
    for _ in range(65_600):
        bench.publish(b"")
        (last,) = set(bench.device.inflight) - {1}
        bench.sessions.take(bench.device, b"\x40\x02" + last.to_bytes(2, "big"))

    assert bench.device.inflight[1].payload == b"old"


def test_properties_need_mqtt_5():
    """Said before anything is sent."""
    with pytest.raises(InputError, match="no place for properties"):
        properties_field(Bench().device, b"\x02\0\0\0\1")
