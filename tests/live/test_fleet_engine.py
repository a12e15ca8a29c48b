"""The fleet engine as a load generator: ramps, due times, many clients, and no trace left behind."""

import contextlib
import gc
import os
import resource
import socket
import subprocess
import sys
import threading
import time

import pytest

from twin.errors import MissingEnvironmentError
from twin.mqtt.fleet import connections
from twin.mqtt.fleet.connections import EngineSettings
from twin.mqtt.fleet.device import Listener, Phase, Profile
from twin.mqtt.fleet.engine import FleetEngine
from twin.mqtt.fleet.feed import Feed
from twin.mqtt.fleet.poller import SelectorPoller
from twin.mqtt.fleet.schedule import periodic, poisson, until
from twin.mqtt.fleet.stamp import due_of, read_stamp, stamp_property, stamped

clients = sys.modules["live_clients"]
pytestmark = pytest.mark.live


@pytest.fixture
def broker(tmp_path):
    broker = clients.Broker(tmp_path).start()
    yield broker
    broker.stop()


@pytest.fixture
def engine():
    engine = FleetEngine(read_due=due_of)
    yield engine
    engine.close()


def fleet(engine, port, count, **options):
    """Connected devices."""
    profile = Profile(host="127.0.0.1", port=port, **options)
    prefix = f"fleet{time.monotonic_ns()}-"
    devices = [engine.add(f"{prefix}{number}", profile) for number in range(count)]
    for device in devices:
        engine.connect(device)
    assert engine.run(lambda: engine.up_count == count, 60)
    return devices


def busy(devices):
    return sum(each.phase in {Phase.CONNECTING, Phase.SECURING, Phase.GREETING} for each in devices)


def test_a_ramp_has_no_more_under_way_than_its_window(mosquitto_port):
    """However many wait; and all get there."""
    engine = FleetEngine(settings=EngineSettings(connect_window=7))
    devices = [
        engine.add(f"ramp{number}", Profile(host="127.0.0.1", port=mosquitto_port)) for number in range(100)
    ]
    for device in devices:
        engine.connect(device)
    most = 0

    def all_up():
        nonlocal most
        most = max(most, busy(devices))
        return engine.up_count == 100

    assert engine.run(all_up, 30)
    assert 0 < most <= 7
    assert engine.tally.connect.count == 100
    assert engine.tally.syn_retries == {}
    engine.close()


def test_a_fleet_comes_back_through_the_window_after_the_broker_was_killed(broker):
    """A storm of reconnections is no larger than the ramp, and spread by back-off."""
    engine = FleetEngine(settings=EngineSettings(connect_window=20))
    devices = fleet(engine, broker.port, 300, reconnect_min_s=0.2, reconnect_max_s=1.0)
    broker.kill()
    assert engine.run(lambda: engine.up_count == 0, 10)
    broker.start()
    most = 0

    def all_up():
        nonlocal most
        most = max(most, busy(devices))
        return engine.up_count == 300

    assert engine.run(all_up, 30)
    assert 0 < most <= 20
    assert engine.tally.ended["connection reset"] + engine.tally.ended["closed by the broker"] == 300
    engine.close()


@pytest.mark.skipif(sys.platform != "linux", reason="the backlog of other systems behaves differently")
def test_connections_whose_first_syn_was_lost_are_a_class_of_their_own(engine):
    """A full backlog drops the SYN, which is sent again after a second."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        accepted = []
        profile = Profile(host="127.0.0.1", port=server.getsockname()[1], connect_timeout_s=20.0)
        for number in range(3):
            engine.connect(engine.add(f"c{number}", profile))
        engine.run(lambda: False, 0.3)
        acceptor = threading.Thread(target=lambda: accepted.extend(server.accept()[0] for _ in range(3)))
        acceptor.start()
        assert engine.run(lambda: len(accepted) == 3, 10)
        engine.run(lambda: engine.tally.syn_retries.total() > 0, 2)
        acceptor.join(5)
        for sock in accepted:
            sock.close()

    assert engine.tally.syn_retries.total() >= 1
    assert set(engine.tally.syn_retries) <= {"+1 s", "+3 s"}


def test_a_frozen_broker_shows_in_the_latency_of_every_message_due_meanwhile(broker, engine):
    """Frozen for 1 s of 3: a third of the messages waited, however long nothing could be sent."""
    devices = fleet(engine, broker.port, 10)
    schedule = until(periodic(10, 0.1), 2.999)
    engine.feed(Feed(devices, schedule, lambda d: f"t/{d.number}", stamped(), engine.now, 1))
    engine.run(lambda: False, 1.0)
    broker.pause()
    engine.run(lambda: False, 1.0)
    broker.resume()
    assert engine.run(lambda: not engine.feeds and not engine.tally.waiting_count, 20)

    latency = engine.tally.acknowledgement
    assert latency.count == engine.tally.offered == 300
    assert latency.quantile(0.5) < 0.25
    assert latency.quantile(0.72) < 0.7 < latency.quantile(0.93)
    assert latency.largest_s == pytest.approx(1.0, abs=0.3)


def test_a_generator_that_was_held_up_catches_up_and_says_so(mosquitto_port, engine):
    """No message is left out; the lateness is the generator's, and in the latency too."""
    devices = fleet(engine, mosquitto_port, 5)
    schedule = until(periodic(5, 0.05), 0.999)
    engine.feed(Feed(devices, schedule, lambda d: f"late/{d.number}", stamped(), engine.now, 1))
    engine.run(lambda: False, 0.3)
    time.sleep(0.5)
    assert engine.run(lambda: not engine.feeds and not engine.tally.waiting_count, 10)

    assert engine.tally.lateness.count == engine.tally.acknowledged == 100
    assert engine.tally.lateness.largest_s == pytest.approx(0.5, abs=0.15)
    assert engine.tally.acknowledgement.largest_s >= engine.tally.lateness.largest_s


@pytest.mark.parametrize("version", ["3.1.1", "5"])
def test_every_message_says_who_sent_it_when_and_which_it_is(mosquitto_port, version):
    """In the payload, or beside a payload of another form in a user property; latency comes from it."""
    stamps = []
    engine = FleetEngine(
        Listener(received=lambda _, delivery: stamps.append(read_stamp(delivery.payload))), read_due=due_of
    )
    topic = f"who{time.monotonic_ns()}"
    devices = fleet(engine, mosquitto_port, 4, version=version)
    engine.subscribe(devices[0], f"{topic}/+", 1)
    assert engine.run(lambda: bool(devices[0].granted), 10)
    begun_s = engine.now
    properties = stamp_property if version == "5" else None
    payload = (lambda *_: b"{}") if properties else stamped(50)
    schedule = until(poisson(4, 0.05), 0.5)
    engine.feed(
        Feed(devices, schedule, lambda d: f"{topic}/{d.number}", payload, begun_s, 1, properties=properties)
    )
    assert engine.run(lambda: not engine.feeds and engine.tally.received == engine.tally.offered, 10)

    assert engine.tally.delivery.count == engine.tally.offered > 10
    if version == "3.1.1":
        sequences = {number: [s.sequence for s in stamps if s.device == number] for number in range(4)}
        for number, found in sequences.items():
            assert found == list(range(1, devices[number].sequence + 1))
        assert all(begun_s <= each.due_s <= begun_s + 0.5 for each in stamps)
        assert {each.session for each in stamps} == {1}
    engine.close()


def test_a_poller_of_another_system_serves_as_well(mosquitto_port):
    """`selectors` instead of epoll."""
    engine = FleetEngine(poller=SelectorPoller())
    devices = fleet(engine, mosquitto_port, 50)
    for device in devices:
        engine.publish(device, "other", b"x" * 100_000, 1)

    assert engine.run(lambda: engine.tally.acknowledged == 50, 20)
    engine.close()
    assert engine.tally.ended == {"disconnected": 50}


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have one loopback address")
def test_a_device_connects_from_the_address_it_is_given(mosquitto_port, engine):
    """So that each may have its own, or more share the ports of several."""
    device = engine.add(
        f"s{time.monotonic_ns()}", Profile(host="127.0.0.1", port=mosquitto_port), "127.0.0.77"
    )
    engine.connect(device)
    assert engine.run(lambda: device.is_up, 10)

    assert device.socket.getsockname()[0] == "127.0.0.77"


def test_closing_leaves_no_socket_behind(mosquitto_port):
    """Neither of the connected, nor of those on their way, nor of the poller."""
    gc.collect()
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0  # noqa: PTH112, PTH208
    engine = FleetEngine()
    fleet(engine, mosquitto_port, 30)
    for number in range(30):
        engine.connect(engine.add(f"late{number}", Profile(host="127.0.0.1", port=mosquitto_port)))
    engine.step(0.0)
    engine.close()
    engine.close()

    after = len(os.listdir("/proc/self/fd")) if before else 0  # noqa: PTH208
    assert after == before
    assert engine.open_count == engine.up_count == 0


def test_too_few_descriptors_are_said_in_one_sentence(mosquitto_port):
    """And the device tries again, as descriptors may come free."""
    code = (
        "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))\n"
        "from twin.mqtt.fleet.device import Profile\n"
        "from twin.mqtt.fleet.engine import FleetEngine\n"
        "e = FleetEngine()\n"
        f"p = Profile(host='127.0.0.1', port={mosquitto_port})\n"
        "[e.connect(e.add(f'few{n}', p)) for n in range(60)]\n"
        "e.run(lambda: bool(e.tally.ended), 10)\n"
        "print(*e.tally.ended); e.close()\n"
    )
    said = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )

    assert said.stdout.strip() == (
        "this process may not open more files; raise the limit (ulimit -n) or use more processes"
    )


def test_a_host_that_nobody_knows_is_said_at_once(engine):
    """Before anything is tried."""
    with pytest.raises(MissingEnvironmentError, match=r"no broker at nowhere\.invalid:1883"):
        engine.add("d", Profile(host="nowhere.invalid", port=1883))


def test_a_listener_may_close_and_publish_from_within_a_step(mosquitto_port):
    """What comes behind on the same connection is not handed on any more."""
    heard = []

    def received(device, delivery):
        heard.append(delivery.payload)
        engine.publish(other, "answers", b"thanks", 1)
        if delivery.payload == b"last":
            engine.disconnect(device)

    engine = FleetEngine(Listener(received=received))
    topic = f"within{time.monotonic_ns()}"
    listener, other = fleet(engine, mosquitto_port, 2)
    engine.subscribe(listener, topic, 1)
    assert engine.run(lambda: bool(listener.granted), 10)
    for payload in (b"first", b"last", b"too late"):
        engine.publish(other, topic, payload, 1)

    assert engine.run(lambda: listener.phase is Phase.IDLE and engine.tally.acknowledged == 5, 10)
    assert heard == [b"first", b"last"]
    engine.close()


def greet_and_flood(server, is_over):
    """A broker that takes a client, sends messages at QoS 1 without end, and reads no acknowledgement."""
    sock, _ = server.accept()
    with sock:
        sock.recv(4096)
        sock.sendall(b"\x20\x02\0\0")
        sock.settimeout(0.2)
        flood = b"\x32\x05\0\x01t\0\x01" * 2_000
        with contextlib.suppress(ConnectionError):
            while not is_over.is_set():
                with contextlib.suppress(TimeoutError):
                    sock.send(flood)


def test_a_broker_that_does_not_read_cannot_fill_our_memory(monkeypatch):
    """It is not read either, until its own buffers are full; then keep-alive ends it."""
    monkeypatch.setattr(connections, "CHOKED_BYTES", 20_000)
    is_over = threading.Event()
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2_048)
        server.bind(("127.0.0.1", 0))
        server.listen()
        flooder = threading.Thread(target=greet_and_flood, args=(server, is_over))
        flooder.start()
        engine = FleetEngine()
        profile = Profile(
            host="127.0.0.1", port=server.getsockname()[1], keep_alive_s=2.0, is_reconnecting=False
        )
        device = engine.add("drowning", profile)
        engine.connect(device)
        most = 0

        def ended():
            nonlocal most
            most = max(most, len(device.unsent or b""))
            return device.phase is Phase.IDLE and bool(engine.tally.ended)

        try:
            assert engine.run(ended, 60)
        finally:
            is_over.set()
            flooder.join(5)
            engine.close()

    assert 20_000 <= most < 40_000
    assert engine.tally.received > 10_000
    assert engine.tally.ended == {"the broker was silent for 2 s after a ping": 1}


def open_files(limit):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < limit:
        pytest.skip(f"this machine allows {hard} open files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return soft, hard


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the limit of open files is set as Linux has it")
def test_ten_thousand_clients_live_in_one_process(tmp_path):
    """Connected, each heard twice at QoS 1, nothing lost. A connect takes under 80 us of processor time and
    a message under 30 us when nothing else runs; half as much again is the margin for a busy machine.
    """
    before = open_files(10_500)
    broker = clients.Broker(tmp_path).start()
    engine = FleetEngine()
    try:
        used_s = time.process_time()
        devices = fleet(engine, broker.port, 10_000, keep_alive_s=600.0)
        connect_s = (time.process_time() - used_s) / 10_000
        schedule = until(periodic(10_000, 0.5), 1.0)
        used_s = time.process_time()
        engine.feed(Feed(devices, schedule, lambda d: f"many/{d.number}", stamped(100), engine.now, 1))
        assert engine.run(lambda: not engine.feeds and not engine.tally.waiting_count, 60)
        message_s = (time.process_time() - used_s) / 20_000
    finally:
        engine.close(10.0)
        broker.stop()
        resource.setrlimit(resource.RLIMIT_NOFILE, before)

    assert engine.tally.acknowledged == engine.tally.offered == 20_000
    assert engine.tally.ended == {"disconnected": 10_000}
    assert connect_s < 120e-6
    assert message_s < 45e-6
