"""A run against a real broker by every way in: password, certificates, WebSocket, MQTT 5."""

import json
import re
import shutil
import socket
import subprocess
import sys
import time
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from live_clients import free_port

from scenarios.live import run_live
from scenarios.shipped import load
from twin.errors import MissingEnvironmentError
from twin.live.dialect import inward, outward
from twin.live.endpoint import Endpoint
from twin.live.mistaken import ASK_S, protocol
from twin.live.probe import probe
from twin.message import Message
from twin.mqtt.packets import ACCEPTED, Connect, Will, connect_message, read_connect
from twin.service.authority import Authority, write
from twin.service.mosquitto import BrokerSettings, Mosquitto
from twin.service.subjects import papers_in, subject

pytestmark = pytest.mark.timeout(120)

LOOP = """
scenario: 1
sites: {here: {metro: singapore}, cloud: {metro: singapore}}
fleets:
  meters: {device: periodic, count: 20, at: here, via: gateway, link: ethernet, every: 1 s}
nodes:
  gateway: {kind: gateway, at: here, version: "VERSION"}
  broker: {kind: mqtt_broker, at: cloud}
  database: {kind: database, runs_on: broker}
  app: {kind: application, at: cloud, database: database}
  manager: {kind: user, at: here, application: app, every: 500 ms}
links:
  - {between: [gateway, broker], path: wan, access: gpon, qos: 1}
requirements:
  - {name: answers, expect: count(request) > 2}
run: {duration: 2500 ms}
"""


@pytest.fixture
def run(tmp_path):
    """Runs the loop by a way in."""

    def run(endpoint, version="3.1.1", links="in-driver"):
        path = tmp_path / "loop.scenario.yaml"
        path.write_text(LOOP.replace("VERSION", version))
        return run_live(load(path).variants[0], {"broker": endpoint}, links=links)

    return run


def is_whole(found):
    """Everything was answered, and no connection ended."""
    return (
        found.outcome.judgements["answers"].is_met
        and found.ended_connections == {}
        and found.outcome.tally.sent == found.outcome.tally.delivered + found.outcome.tally.in_flight
    )


@pytest.mark.live
@pytest.mark.parametrize("name", ["mosquitto", "embedded"])
def test_every_way_in_carries_a_run(run, name):
    """Plain, with a password, with TLS and a certificate of ours, through WebSocket."""
    with subject(name) as found:
        for door, endpoint in found.doors.items():
            assert is_whole(run(endpoint)), door


@pytest.mark.live
@pytest.mark.parametrize("links", ["none", "in-driver", "proxy"])
@pytest.mark.parametrize("name", ["mosquitto", "embedded"])
def test_sessions_may_speak_mqtt_5(run, name, links):
    """As the scenario says, also where the broker has a port of its own for it, at every level of links."""
    with subject(name) as found:
        assert is_whole(run(found.doors["plain"], "5", links))


@pytest.mark.live
@pytest.mark.parametrize("name", ["mosquitto", "embedded"])
def test_sessions_may_speak_mqtt_5_in_real_packets(name, tmp_path):
    """The broker's port for it is beyond the links too."""
    (tmp_path / "loop.scenario.yaml").write_text(LOOP.replace("VERSION", "5"))
    command = [sys.executable, "-m", "windtunnel", "live", "loop.scenario.yaml", "--broker", name]
    done = subprocess.run(
        [*command, "--links", "tun", "--json"],
        cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["ended_connections"] == {}


LAMPS = """
scenario: 1
sites: {here: {metro: singapore}, cloud: {metro: singapore}}
fleets:
  lamps:
    device: shadow_device
    count: 2
    at: here
    via: broker
    link: {medium: ethernet, path: wan, transport: tcp}
    properties: {lamp: {values: ["off", "on"]}}
nodes:
  broker: {kind: mqtt_broker, at: cloud, version: "5"}
  twin: {kind: twin, runs_on: broker}
  manager: {kind: operator, runs_on: broker, wishes: [{at: 1 s, things: "lamps-*", set: {lamp: "on"}}]}
requirements:
  - {name: followed, expect: max(desired -> wish_followed) < 1 s}
run: {duration: 3 s}
"""


@pytest.mark.live
@pytest.mark.parametrize("name", ["mosquitto", "embedded"])
def test_devices_and_what_runs_on_a_broker_speak_what_the_scenario_says(name, tmp_path):
    """So a broker that knows MQTT 5 alone will do."""
    path = tmp_path / "lamps.scenario.yaml"
    path.write_text(LAMPS)
    with subject(name) as found:
        plain = found.doors["plain"]
        only_new = replace(plain, port=plain.port_v5 or plain.port, port_v5=0)
        run = run_live(load(path).variants[0], {"broker": only_new})

    assert run.outcome.judgements["followed"].is_met
    assert run.ended_connections == {}


@pytest.mark.live
def test_a_broker_that_knows_mqtt_5_alone_is_checked_in_it(tmp_path):
    """Its row says so, and the run goes on."""
    loop = LOOP.replace("VERSION", "5").replace("kind: mqtt_broker,", 'kind: mqtt_broker, version: "5",')
    (tmp_path / "loop.scenario.yaml").write_text(loop)
    with subject("embedded") as found:
        plain = found.doors["plain"]
        url = replace(plain, port=plain.port_v5).url
        command = [sys.executable, "-m", "windtunnel", "live", "loop.scenario.yaml", "--broker", url]
        done = subprocess.run(
            [*command, "--json"], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
        )

    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["requirements"]["answers"]["is_met"]
    assert list(said["conformance"]["broker"]["checks"]) == ["5"]


@pytest.mark.live
def test_a_broker_of_another_version_is_refused_before_the_run(run, tmp_path):
    """One sentence says what it speaks, what it does not, and who would have; nothing is kept."""
    with subject("embedded") as found:
        plain = found.doors["plain"]
        only_old, only_new = replace(plain, port_v5=0), replace(plain, port=plain.port_v5)
        for where, version, spoken, who in (
            (only_old, "5", "3.1.1", "gateway"),
            (only_new, "3.1.1", "5", "gateway, database"),
        ):
            sentence = f"the broker at {where.url} speaks MQTT {spoken} and not {version}, which {who} would"
            with pytest.raises(MissingEnvironmentError, match=re.escape(sentence)):
                run(where, version)

        (tmp_path / "loop.scenario.yaml").write_text(LOOP.replace("VERSION", "5"))
        command = [sys.executable, "-m", "windtunnel", "live", "loop.scenario.yaml", "--no-check"]
        done = subprocess.run(
            [*command, "--broker", only_old.url],
            cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
    assert done.returncode == 4
    assert done.stderr.splitlines()[-1].startswith("windtunnel: the broker at ")
    assert not list(tmp_path.glob("runs/*/live.json"))


@pytest.mark.live
def test_websocket_goes_over_tls_too(run, tmp_path):
    """wss, with a certificate of ours."""
    papers, port = papers_in(tmp_path), free_port()
    lines = (
        f"listener {port} 127.0.0.1",
        "protocol websockets",
        "allow_anonymous true",
        f"cafile {papers.ca}",
        f"certfile {papers.server}",
        f"keyfile {papers.server_key}",
    )
    child = Mosquitto(tmp_path / "broker", BrokerSettings(plain_port=0, further_lines=lines))
    child.start()
    try:
        assert is_whole(run(Endpoint("wss", "127.0.0.1", port, ca=papers.ca)))
    finally:
        child.stop()


@pytest.mark.live
def test_who_is_not_let_in_is_told_why(tmp_path):
    """A wrong password, no certificate, a foreign authority, plain words to TLS, MQTT to WebSocket."""
    foreign = papers_in(tmp_path)
    with subject("mosquitto") as found:
        doors = found.doors
        cases = {
            "user name or password is wrong": replace(doors["password"], password=b"wrong"),
            "certificate does not hold": replace(doors["tls"], ca=foreign.ca),
            f"speaks TLS; write {doors['tls'].url}$": replace(doors["plain"], port=doors["tls"].port),
            f"speaks MQTT; write {doors['plain'].url} ": replace(
                doors["websocket"], port=doors["plain"].port
            ),
            "speaks MQTT; write mqtt://": replace(doors["plain"], scheme="mqtts"),
            f"speaks HTTP; write {doors['websocket'].url}": replace(
                doors["plain"], port=doors["websocket"].port
            ),
            f"write {doors['websocket'].url}": replace(doors["tls"], port=doors["websocket"].port),
        }
        for because, endpoint in cases.items():
            with pytest.raises(MissingEnvironmentError, match=because):
                probe(endpoint, timeout_s=2.0)
        for others in (
            replace(doors["tls"], certificate=None, key=None),
            replace(doors["password"], user="", password=b""),
        ):
            with pytest.raises(MissingEnvironmentError, match=f"no broker at {others.scheme}://"):
                probe(others, timeout_s=2.0)


@pytest.mark.live
@pytest.mark.parametrize("name", ["mosquitto", "embedded"])
def test_a_probe_does_not_cost_the_next_its_connection(name):
    """The embedded broker may drop who comes while it sees a client off, so a probe leaves when it has."""
    with subject(name) as found:
        doors = [found.doors[door] for door in ("plain", "password")] * 200
        codes = [probe(door).return_code for door in doors]

    assert codes == [ACCEPTED] * len(doors)


@pytest.mark.live
def test_redis_behind_a_url_of_a_broker_is_named(tmp_path):
    """It waits for the end of a line, which a CONNECT has not; only when asked otherwise does it answer."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.fail("not here; install it: apt-get install redis-server", pytrace=False)
    port = free_port()
    with (tmp_path / "log").open("wb") as log:
        server = subprocess.Popen([program, "--port", str(port), "--save", ""], cwd=tmp_path, stdout=log)
    try:
        for scheme in ("mqtt", "mqtts"):
            with pytest.raises(MissingEnvironmentError, match="speaks the protocol of Redis, not MQTT"):
                _until_it_is_there(Endpoint(scheme, "127.0.0.1", port))
    finally:
        server.terminate()
        server.wait(10)


def _until_it_is_there(there):
    for _ in range(50):
        try:
            return probe(there, timeout_s=0.5)
        except MissingEnvironmentError as error:
            if "refused" not in str(error):
                raise
            time.sleep(0.1)
    raise AssertionError(there)


@pytest.mark.parametrize(
    ("answer", "name"),
    [
        (b"-ERR unknown command", "the protocol of Redis"),
        (b"HTTP/1.1 400 Bad Request", "HTTP"),
        (b"\x15\x03\x01\x00\x02", "TLS"),
        (b"SSH-2.0-x", "SSH"),
        (b"AMQP\x00\x00\x09\x01", "AMQP"),
        (b" hello", ""),
        (b"", ""),
    ],
)
def test_a_protocol_is_known_by_its_first_bytes(answer, name):
    """Or not at all."""
    assert protocol(answer) == name


def test_a_server_that_says_nothing_is_not_guessed_at():
    """And the questions cost a bounded time."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        began_s = time.monotonic()
        with pytest.raises(MissingEnvironmentError, match=r"does not answer within 0.3 s$"):
            probe(Endpoint("mqtt", "127.0.0.1", server.getsockname()[1]), timeout_s=0.3)
        assert time.monotonic() - began_s < 0.3 + 3 * ASK_S


@pytest.mark.live
def test_a_certificate_that_has_expired_is_one_sentence(tmp_path):
    """And the exit code is that of something missing."""
    now_s = time.time()
    authority = Authority.ensure(tmp_path / "authority", lambda: now_s - 86_400.0)
    (tmp_path / "ca.pem").write_text(authority.certificate_pem)
    write(authority.server_certificate(["127.0.0.1"], valid_s=60.0), tmp_path / "s.pem", tmp_path / "s.key")
    port = free_port()
    lines = (
        f"listener {port} 127.0.0.1",
        "allow_anonymous true",
        f"certfile {tmp_path / 's.pem'}",
        f"keyfile {tmp_path / 's.key'}",
    )
    child = Mosquitto(tmp_path / "broker", BrokerSettings(plain_port=0, further_lines=lines))
    child.start()
    try:
        done = live(f"mqtts://127.0.0.1:{port}", "--ca", str(tmp_path / "ca.pem"), cwd=tmp_path)
    finally:
        child.stop()

    assert done.returncode == 4
    assert done.stderr.splitlines()[-1] == (
        f"windtunnel: no broker at mqtts://127.0.0.1:{port}: the broker's certificate does not hold:"
        " certificate has expired"
    )


@pytest.mark.live
@pytest.mark.parametrize("scheme", ["mqtt", "mqtts", "ws"])
def test_a_broker_that_does_not_answer_is_one_sentence(scheme, tmp_path):
    """After five seconds, whatever it was to answer."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"{scheme}://127.0.0.1:{server.getsockname()[1]}"
        done = live(url, cwd=tmp_path)

    assert done.returncode == 4
    assert "it does not answer within 5 s" in done.stderr.splitlines()[-1]
    assert not any((tmp_path / "runs").glob("*/"))


def live(url, *options, cwd):
    command = [sys.executable, "-m", "windtunnel", "live", "car_park_fire", "--for", "1 s", "--broker", url]
    return subprocess.run(
        [*command, *options], cwd=cwd, capture_output=True, text=True, timeout=60, check=False
    )


STRICT = Endpoint("mqtt", "host", 1883, dollar="dollar/", has_keep_alive_off=False)
TOPICS = st.text(st.sampled_from("$a/+#"), min_size=1, max_size=12).filter(
    lambda topic: not topic.startswith(("dollar/", "$share"))
)


@given(TOPICS, st.sampled_from(["publish", "subscribe", "unsubscribe"]))
def test_a_broker_that_takes_no_dollar_sees_none_and_the_run_sees_no_difference(topic, kind):
    """There and back is where it began."""
    message = Message(topic, kind=kind, qos=1, packet_id=7)
    there = outward(message, STRICT)

    assert not there.topic.startswith("$")
    assert inward(there, STRICT) == message


def test_shared_subscriptions_stay_what_they_are():
    """Their filter is what follows the group."""
    topics = {"$share/g/$aws/+": "$share/g/dollar/aws/+", "$share/g/a": "$share/g/a", "$share/g": "$share/g"}

    assert {each: outward(Message(each, kind="subscribe"), STRICT).topic for each in topics} == topics


def test_keep_alive_off_is_the_longest_one_and_a_will_keeps_its_topic():
    """For a broker that takes no 0; any other keep-alive is left alone."""
    will = Will("$aws/gone")
    there = read_connect(outward(connect_message(Connect("a", 0.0, will=will)), STRICT))

    assert (there.keep_alive_s, there.will.topic) == (65_535.0, "dollar/aws/gone")
    plain = connect_message(Connect("a", 30.0))
    assert outward(plain, STRICT) == plain
    assert outward(plain, replace(STRICT, dollar="$", has_keep_alive_off=True)) is plain
