"""The contract of MQTT clients: the fleet engine and paho do the same against a real mosquitto."""

import socket
import subprocess
import sys
import time

import pytest

from twin.live.endpoint import Endpoint
from twin.live.wires import tls_of
from twin.mqtt.codec import Credentials
from twin.mqtt.fleet.connections import DISCONNECTED
from twin.mqtt.fleet.device import Phase
from twin.mqtt.packets import Will
from twin.service.authority import Authority, write

clients = sys.modules["live_clients"]
pytestmark = pytest.mark.live


@pytest.fixture(params=sorted(clients.ENGINES))
def kind(request):
    return request.param


@pytest.fixture(params=("3.1.1", "5"))
def version(request):
    return request.param


@pytest.fixture
def talk(kind, mosquitto_port):
    """An engine on the broker that all tests share."""
    talk = clients.Talk(kind, mosquitto_port)
    yield talk
    talk.engine.close()


@pytest.fixture
def broker_of(tmp_path):
    """A function that starts a broker of the test's own with these lines; it is stopped at the end."""
    started = []

    def start(*lines):
        started.append(clients.Broker(tmp_path, lines or ("allow_anonymous true",)))
        return started[-1].start()

    yield start
    for broker in started:
        broker.stop()


@pytest.fixture
def talk_to(kind):
    """A function that makes an engine for a broker's port."""
    made = []

    def make(port, **options):
        made.append(clients.Talk(kind, port, **options))
        return made[-1]

    yield make
    for talk in made:
        talk.engine.close()


@pytest.fixture
def topic():
    return f"contract/{time.monotonic_ns()}"


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_messages_arrive_once_and_in_order(talk, version, topic, qos):
    """At each QoS, with the topic and payload that were sent."""
    listener = talk.listening(f"l{topic}", f"{topic}/#", version=version)
    speaker = talk.up(f"s{topic}", version=version)

    for number in range(60):
        talk.engine.publish(speaker, f"{topic}/{number % 3}", b"%d" % number, qos)
    talk.until(lambda: len(talk.payloads(listener.client_id)) == 60)
    talk.until(lambda: len(talk.acknowledged) == (60 if qos else 0))

    assert talk.payloads(listener.client_id) == [b"%d" % number for number in range(60)]
    assert {delivery.qos for _, delivery in talk.deliveries} == {qos}
    assert speaker.sequence == 60
    if qos:
        assert [sequence for _, sequence in talk.acknowledged] == list(range(1, 61))


def test_a_retained_message_greets_who_subscribes_later(talk, version, topic):
    """It says that it was retained; an empty one removes it."""
    speaker = talk.up(f"s{topic}", version=version)
    talk.engine.publish(speaker, topic, b"state", 1, is_retained=True)
    talk.until(lambda: talk.acknowledged)

    first = talk.listening(f"f{topic}", topic, version=version)
    talk.until(lambda: talk.payloads(first.client_id))
    talk.engine.publish(speaker, topic, b"", 1, is_retained=True)
    talk.until(lambda: len(talk.acknowledged) == 2)
    late = talk.listening(f"l{topic}", topic, version=version)
    talk.rest(0.2)

    assert talk.payloads(first.client_id) == [b"state", b""]
    assert next(delivery.is_retained for _, delivery in talk.deliveries)
    assert talk.payloads(late.client_id) == []


def test_a_will_is_published_when_the_connection_is_cut(talk, version, topic):
    """And not when the client leaves in good order."""
    listener = talk.listening(f"l{topic}", topic, version=version)
    polite = talk.up(f"p{topic}", version=version, will=Will(topic, b"polite"), is_reconnecting=False)
    rude = talk.up(f"r{topic}", version=version, will=Will(topic, b"rude", 1), is_reconnecting=False)

    talk.engine.disconnect(polite)
    talk.until(lambda: polite.phase is Phase.IDLE)
    talk.engine.cut(rude)
    talk.until(lambda: talk.payloads(listener.client_id))
    talk.rest(0.3)

    assert talk.payloads(listener.client_id) == [b"rude"]
    assert talk.reason(polite.client_id) == "disconnected"


def test_a_persistent_session_holds_what_came_meanwhile(talk, version, topic):
    """Who comes back gets it without subscribing again."""
    sleeper = talk.listening(
        f"l{topic}", topic, version=version, clean_session=False, session_expiry_s=60, is_reconnecting=False
    )
    speaker = talk.up(f"s{topic}", version=version)
    talk.engine.cut(sleeper)
    talk.until(lambda: sleeper.phase is Phase.IDLE)
    for number in range(30):
        talk.engine.publish(speaker, topic, b"%d" % number, 1)
    talk.until(lambda: len(talk.acknowledged) == 30)

    talk.engine.connect(sleeper)
    talk.until(lambda: len(talk.payloads(sleeper.client_id)) == 30)
    talk.rest(0.1)

    assert talk.payloads(sleeper.client_id) == [b"%d" % number for number in range(30)]
    assert talk.connected[-1] == (sleeper.client_id, True)
    assert sleeper.session == 1
    assert len(talk.granted) == 1


def test_a_clean_session_begins_anew_and_subscribes_again(talk, version, topic):
    """The broker forgot it; the client knows what it wants."""
    listener = talk.listening(f"l{topic}", topic, version=version)
    speaker = talk.up(f"s{topic}", version=version)

    talk.engine.cut(listener)
    talk.until(lambda: len(talk.granted) == 2)
    talk.engine.publish(speaker, topic, b"again", 1)
    talk.until(lambda: talk.payloads(listener.client_id))

    assert listener.session == 2
    assert talk.connected[-1] == (listener.client_id, False)


@pytest.mark.parametrize("qos", [1, 2])
def test_what_a_killed_connection_did_not_acknowledge_is_delivered_again(
    talk_to, broker_of, version, topic, qos
):
    """The broker is frozen, the connection killed, the broker thawed: everything arrives, QoS 2 once."""
    broker = broker_of()
    talk = talk_to(broker.port)
    listener = talk.listening("listener", topic, version=version)
    options = {"clean_session": False, "session_expiry_s": 60}
    speaker = talk.up("speaker", version=version, keep_alive_s=30.0, **options)
    broker.pause()
    for number in range(10):
        talk.engine.publish(speaker, topic, b"%d" % number, qos)
    talk.rest(0.2)
    talk.engine.cut(speaker)
    talk.rest(0.1)
    broker.resume()

    talk.until(lambda: len(set(talk.acknowledged)) == 10)
    talk.until(lambda: len(set(talk.payloads("listener"))) == 10)
    talk.rest(0.2)

    arrived = talk.payloads(listener.client_id)
    assert sorted(set(arrived)) == [b"%d" % number for number in range(10)]
    assert len(arrived) == 10 or qos == 1
    assert speaker.waiting_count == 0


def test_the_later_of_two_clients_with_one_id_takes_over(talk, version, topic):
    """The earlier one is closed."""
    early = talk.up(topic, version=version, is_reconnecting=False)
    late = talk.up(topic, version=version, is_reconnecting=False)

    talk.until(lambda: early.phase is Phase.IDLE)
    talk.rest(0.1)

    assert late.is_up
    reason = talk.reason(topic)
    assert reason in {"closed by the broker", "the broker disconnects us with reason 0x8e"}


def test_a_broker_that_falls_silent_is_noticed_by_keep_alive(talk_to, broker_of, version):
    """A stopped broker keeps its connections; the ping stays unanswered for a second keep-alive time."""
    broker = broker_of()
    talk = talk_to(broker.port)
    talk.up("watchful", version=version, keep_alive_s=1.0, is_reconnecting=False)
    broker.pause()
    began_s = time.monotonic()

    reason = talk.reason("watchful")

    assert reason == "the broker was silent for 1 s after a ping"
    assert 0.9 <= time.monotonic() - began_s < 4.0


def test_a_client_with_nothing_to_say_stays_connected(talk_to, broker_of, version):
    """It pings in time, so the broker does not cut it off."""
    talk = talk_to(broker_of().port)
    client = talk.up("quiet", version=version, keep_alive_s=1.0)

    talk.rest(4.0)

    assert client.is_up
    assert talk.closed == []


@pytest.mark.slow
def test_a_keep_alive_that_the_broker_dictates_is_kept(talk_to, broker_of):
    """MQTT 5: a broker that allows 10 s cuts off after 15 s (and up to 5 s) whoever sticks to an hour."""
    talk = talk_to(broker_of("allow_anonymous true", "max_keepalive 10").port)
    client = talk.up("sleepy", version="5", keep_alive_s=3_600.0)

    talk.rest(21.0)

    assert client.is_up
    assert talk.closed == []


@pytest.mark.parametrize("size_bytes", [0, 127, 128, 16_384, 1_000_000])
def test_payloads_of_every_size_arrive_unchanged(talk, version, topic, size_bytes):
    """Also those that neither a socket buffer nor a read holds at once."""
    listener = talk.listening(f"l{topic}", topic, version=version)
    payload = bytes(number * 7 % 251 for number in range(size_bytes))

    talk.engine.publish(talk.up(f"s{topic}", version=version), topic, payload, 1)
    talk.until(lambda: talk.payloads(listener.client_id))

    assert talk.payloads(listener.client_id) == [payload]


def test_wildcards_choose_and_unsubscribing_ends(talk, version, topic):
    """A plus is one level, a hash all below."""
    listener = talk.listening(f"l{topic}", f"{topic}/+/t", f"{topic}/deep/#", version=version)
    speaker = talk.up(f"s{topic}", version=version)

    def say(payload):
        for tail in ("a/t", "a/b/t", "deep/er/still", "t"):
            talk.engine.publish(speaker, f"{topic}/{tail}", payload, 1)
        talk.until(lambda: speaker.waiting_count == 0 and len(talk.acknowledged) % 4 == 0)
        talk.rest(0.1)

    say(b"1")
    talk.engine.unsubscribe(listener, f"{topic}/deep/#")
    talk.until(lambda: talk.released == [f"{topic}/deep/#"])
    say(b"2")

    heard = [(delivery.topic.removeprefix(topic), delivery.payload) for _, delivery in talk.deliveries]
    assert heard == [("/a/t", b"1"), ("/deep/er/still", b"1"), ("/a/t", b"2")]


def test_a_wrong_password_is_refused(talk_to, broker_of, version, tmp_path):
    """With the code of the protocol version; the right one is taken."""
    passwords = tmp_path / "passwords"
    subprocess.run(["mosquitto_passwd", "-b", "-c", passwords, "me", "right"], check=True, timeout=10)
    broker = broker_of("allow_anonymous false", f"password_file {passwords}")
    talk = talk_to(broker.port)
    wrong = talk.add("a", version=version, credentials=Credentials("me", b"wrong"), is_reconnecting=False)

    talk.engine.connect(wrong)
    talk.reason("a")
    right = talk.up("b", version=version, credentials=Credentials("me", b"right"))

    assert talk.refused == [("a", 5 if version == "3.1.1" else 0x87)]
    assert wrong.phase is Phase.IDLE
    assert right.is_up


def test_a_port_where_nobody_listens_is_tried_again(talk_to):
    """With growing pauses, until somebody listens; the reason is said."""
    port = clients.free_port()
    talk = talk_to(port)
    client = talk.add("patient")
    talk.engine.connect(client)
    talk.until(lambda: len(talk.closed) >= 3)

    assert {reason for _, reason in talk.closed} == {"connection refused"}
    assert client.is_wanted


def test_who_accepts_and_never_answers_is_given_up(talk_to):
    """After the connect timeout, with what was waited for."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        talk = talk_to(server.getsockname()[1])
        talk.engine.connect(talk.add("c", connect_timeout_s=0.5, is_reconnecting=False))

        assert talk.reason("c") == "no answer to greeting within 0.5 s"


@pytest.fixture
def tls_broker(broker_of, tmp_path):
    """A broker that wants a client certificate, its authority, and a function that gives TLS with one."""
    authority = Authority.ensure(tmp_path / "ca")
    issued = authority.server_certificate(["127.0.0.1"])
    write(issued, tmp_path / "server.pem", tmp_path / "server.key")
    broker = broker_of(
        "allow_anonymous true",
        f"cafile {tmp_path / 'ca' / 'ca.pem'}",
        f"certfile {tmp_path / 'server.pem'}",
        f"keyfile {tmp_path / 'server.key'}",
        "require_certificate true",
    )

    def tls(name="", **options):
        files = {}
        if name:
            files = {"certificate": tmp_path / f"{name}.pem", "key": tmp_path / f"{name}.key"}
            write(authority.client_certificate(name, **options), *files.values())
        return tls_of(Endpoint("mqtts", "127.0.0.1", broker.port, ca=tmp_path / "ca" / "ca.pem", **files))

    return broker, tls


def test_messages_go_over_tls_with_a_client_certificate(talk_to, tls_broker, version):
    """Big ones too."""
    broker, tls = tls_broker
    talk = talk_to(broker.port)
    listener = talk.listening("listener", "t", version=version, tls=tls("listener"))
    speaker = talk.up("speaker", version=version, tls=tls("speaker"))

    for payload in (b"small", b"x" * 300_000, b"last"):
        talk.engine.publish(speaker, "t", payload, 1)
    talk.until(lambda: len(talk.payloads(listener.client_id)) == 3)

    assert talk.payloads(listener.client_id) == [b"small", b"x" * 300_000, b"last"]
    for device in (listener, speaker):
        talk.engine.disconnect(device)
    talk.until(lambda: len(talk.closed) == 2)
    assert {reason for _, reason in talk.closed} == {DISCONNECTED}


def test_without_a_certificate_nobody_comes_in(talk_to, tls_broker):
    """A stranger's authority, or none at all: no session."""
    broker, tls = tls_broker
    talk = talk_to(broker.port)
    bare = talk.add("bare", tls=tls(), is_reconnecting=False)
    expired = talk.add("old", tls=tls("old", valid_s=-100.0), is_reconnecting=False)

    talk.engine.connect(bare)
    talk.engine.connect(expired)
    reasons = [talk.reason("bare"), talk.reason("old")]

    assert talk.connected == []
    assert all("TLS" in reason or "closed" in reason or "reset" in reason for reason in reasons)


def test_no_acknowledged_message_is_lost_by_us_when_the_broker_is_killed(
    talk_to, broker_of, version, tmp_path
):
    """Killed with -9 amid publications and started again: all is acknowledged in the end, and whatever was
    acknowledged arrives, but for what the broker itself took and had not passed on when it died.
    """
    saved = ("persistence true", "autosave_on_changes true", "autosave_interval 1")
    broker = broker_of("allow_anonymous true", *saved, f"persistence_location {tmp_path}/")
    talk = talk_to(broker.port)
    options = {"version": version, "clean_session": False, "session_expiry_s": 600, "reconnect_max_s": 0.5}
    listener = talk.listening("listener", "t", **options)
    speaker = talk.up("speaker", **options)
    ticks = iter(range(10_000))
    acknowledged_s = {}

    def speak(count):
        for _ in range(count):
            talk.engine.publish(speaker, "t", b"%d" % (next(ticks) + 1), 1)
            talk.rest(0.002)
            for _, sequence in talk.acknowledged:
                acknowledged_s.setdefault(sequence, time.monotonic())

    speak(150)
    killed_s = time.monotonic()
    broker.kill()
    speak(50)
    broker.start()
    talk.until(lambda: speaker.is_up and listener.is_up)
    speak(100)
    talk.until(lambda: len(set(talk.acknowledged)) == 300)
    talk.rest(0.5)

    missing = set(range(1, 301)) - {int(payload) for payload in talk.payloads("listener")}
    taken_to_the_grave = {
        number for number, at_s in acknowledged_s.items() if killed_s - 0.2 <= at_s <= killed_s
    }
    assert missing <= taken_to_the_grave
    assert talk.dropped == []
    assert speaker.waiting_count == 0
