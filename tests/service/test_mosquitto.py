"""The broker that we manage, with real clients: who may connect, speak and listen; and it ends with us."""

import queue
import signal
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from paho.mqtt import client as paho

from twin.errors import MissingEnvironmentError
from twin.service.broker_log import Arrived, Denied, Left, NotVerified, Subscribed
from twin.service.mosquitto import BrokerSettings, Mosquitto, find_mosquitto

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.live

OWN = "pattern write up/%u\npattern read down/%u\npattern write $aws/things/%u/shadow/update\n"
UPDATE = "$aws/things/gate-1/shadow/update"


def test_a_client_is_known_by_the_name_in_its_certificate_whatever_it_says(site_of):
    """The client id that it sends is replaced, so it cannot take over another's session."""
    site = site_of(OWN)

    with site.device("gate-1", name="gate-2"):
        arrived = site.seen(Arrived)

    assert (arrived.client, arrived.user) == ("gate-1", "gate-1")
    assert site.seen(Left, client="gate-1")


def test_a_client_speaks_on_its_own_topics_only(site_of):
    """MQTT 5 is told so with reason code 135; the log says who tried what."""
    site = site_of(OWN)

    with site.owner() as owner, site.device("gate-1", version=paho.MQTTv5) as gate:
        owner.subscribe("up/#")
        others, own = gate.publish("up/gate-2"), gate.publish("up/gate-1")
        heard = owner.message()

    assert (others.value, own.is_failure) == (135, False)
    assert heard == ("up/gate-1", b"x")
    assert site.seen(Denied, client="gate-1", topic="up/gate-2")


def test_a_client_hears_its_own_topics_only(site_of):
    """Mosquitto grants the subscription and delivers nothing; the log tells what was asked for."""
    site = site_of(OWN)

    with site.owner() as owner, site.device("gate-1") as gate:
        gate.subscribe("down/gate-2", "#", "down/gate-1")
        owner.publish("down/gate-2")
        owner.publish("down/gate-1")
        heard = gate.message()
        with pytest.raises(queue.Empty):
            gate.message(timeout=0.3)

    assert heard[0] == "down/gate-1"
    assert site.seen(Subscribed, client="gate-1", topic_filter="down/gate-2")


def test_without_a_valid_certificate_there_is_no_connection(site_of):
    """None at all, an expired one, and one that another authority issued for the same name."""
    site = site_of(OWN)
    _, expired = site.certificate("expired", valid_s=1.0 - 300.0)

    for files in (expired, ()):
        with pytest.raises(OSError), site.client(files):
            pass

    assert site.seen(NotVerified, reason="certificate verify failed")
    assert site.seen(NotVerified, reason="peer did not return a certificate")


def test_a_revoked_certificate_connects_no_more_and_its_connection_is_silenced(site_of, eventually):
    """Both lists hold at once; other clients stay connected."""
    site = site_of(OWN)
    issued, files = site.certificate("gate-1")
    with site.client(files, version=paho.MQTTv5) as gate, site.device("gate-2", version=paho.MQTTv5) as other:
        site.authority.revoke(issued.serial)
        site.broker.grant(f"user gate-1\ntopic deny #\ntopic deny $aws/#\n{OWN}")
        eventually(lambda: gate.publish("up/gate-1").is_failure)

        assert not other.publish("up/gate-2").is_failure
        with pytest.raises(OSError), site.client(files):
            pass


def test_a_last_will_outside_the_own_topics_is_dropped_and_known(site_of):
    """It is refused when it falls due; the log tells when the client connects."""
    site = site_of(OWN)

    with site.owner() as owner:
        owner.subscribe("up/#")
        with site.device("gate-1", will="up/gate-2") as gate:
            assert site.seen(Arrived, client="gate-1", will="up/gate-2")
            gate.cut()
        with site.device("gate-1", will="up/gate-1") as gate:
            gate.cut()

        assert owner.message() == ("up/gate-1", b"gone")


def test_a_last_will_on_a_shadow_topic_is_told_from_an_update(site_of):
    """Also where ordinary updates on the same topic surround it."""
    site = site_of(OWN)

    with site.owner() as owner:
        owner.subscribe("$aws/#")
        with site.device("gate-1", will=UPDATE) as gate:
            gate.publish(UPDATE, b"1")
            gate.publish(UPDATE, b"2")
            gate.cut()
        with site.device("gate-1") as gate:
            gate.publish(UPDATE, b"3")
        heard = [owner.message() for _ in range(4)]
    is_will = [site.broker.log.is_will(each, UPDATE) for each in owner.packet_ids]

    assert [payload for _, payload in heard] == [b"1", b"2", b"gone", b"3"]
    assert is_will == [False, False, True, False]


@pytest.mark.parametrize("signal_number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_the_broker_ends_with_whoever_started_it(tmp_path, eventually, signal_number):
    """Also when that one is killed and can clean up nothing."""
    code = f"""
        import time
        from pathlib import Path
        from twin.service.mosquitto import BrokerSettings, Mosquitto
        broker = Mosquitto(Path({str(tmp_path)!r}), BrokerSettings(plain_port=0))
        broker.start()
        print(broker.pid, flush=True)
        time.sleep(60)
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as starter:
        broker = int(starter.stdout.readline())
        assert is_alive(broker)
        starter.send_signal(signal_number)
        starter.wait(10)

    eventually(lambda: not is_alive(broker))


def is_alive(pid):
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"


def test_sessions_outlive_a_restart_of_the_broker(site_of):
    """What a client that is away has not got yet waits on disk."""
    site = site_of(OWN)
    with site.owner("away", clean=False) as away:
        away.subscribe("up/#")
    with site.device("gate-1") as gate:
        gate.publish("up/gate-1", b"kept")

    site.broker.stop()
    site.broker.start(OWN)

    with site.owner("away", clean=False) as away:
        assert away.message() == ("up/gate-1", b"kept")


def test_without_an_authority_there_is_a_plain_port_only(tmp_path):
    """And it is open to the machine itself alone."""
    broker = Mosquitto(tmp_path / "b", BrokerSettings(plain_port=0, is_durable=False))
    broker.start()
    try:
        configuration = (broker.folder / "mosquitto.conf").read_text()

        assert broker.port == 0
        assert f"listener {broker.plain_port} 127.0.0.1" in configuration
        assert configuration.count("listener ") == 2
        assert broker.folder.stat().st_mode & 0o077 == 0
    finally:
        broker.stop()


def test_a_broker_comes_back_on_its_port(tmp_path):
    """Its clients know no other."""
    broker = Mosquitto(tmp_path / "b", BrokerSettings(plain_port=0))
    broker.start()
    try:
        port = broker.plain_port
        broker.kill()
        broker.start()

        assert broker.plain_port == port
        socket.create_connection(("127.0.0.1", port), timeout=5.0).close()
    finally:
        broker.stop()


def test_a_folder_with_a_long_name_does(tmp_path):
    """Socket paths are bounded by the operating system, so the socket goes elsewhere."""
    broker = Mosquitto(tmp_path / ("long" * 30), BrokerSettings())
    broker.start()
    place = Path(broker.socket_path)
    broker.stop()

    assert broker.folder not in place.parents
    assert not place.parent.exists()


def test_a_port_that_is_taken_is_one_clear_sentence(tmp_path):
    """It names the port."""
    first = Mosquitto(tmp_path / "a", BrokerSettings(plain_port=0))
    first.start()
    try:
        second = Mosquitto(tmp_path / "b", BrokerSettings(plain_port=first.plain_port))
        with pytest.raises(MissingEnvironmentError, match=f"port {first.plain_port} is taken"):
            second.start()
        assert not second.is_running
    finally:
        first.stop()


def test_a_machine_without_mosquitto_is_told_how_to_get_it(monkeypatch):
    """The sentence ends with the line to type."""
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr("twin.service.mosquitto.FOLDERS", ())

    with pytest.raises(MissingEnvironmentError, match="apt-get install -y mosquitto"):
        find_mosquitto()
