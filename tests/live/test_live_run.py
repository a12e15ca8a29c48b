"""A scenario in wall time, its broker a real mosquitto."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest

from scenarios.live import run_live
from scenarios.shipped import load
from twin.errors import InputError, MissingEnvironmentError
from twin.live.endpoint import endpoint
from twin.service.brokers import broker

pytestmark = [pytest.mark.live, pytest.mark.waits, pytest.mark.timeout(120)]

LOOP = """
scenario: 1
sites: {here: {metro: singapore}, cloud: {metro: singapore}}
fleets:
  meters: {device: periodic, count: 20, at: here, via: gateway, link: ethernet, every: 1 s}
nodes:
  gateway: {kind: gateway, at: here}
  broker: {kind: mqtt_broker, at: cloud}
  database: {kind: database, runs_on: broker}
  app: {kind: application, at: cloud, database: database}
  manager: {kind: user, at: here, application: app, every: 1 s}
links:
  - {between: [gateway, broker], path: wan, access: gpon, qos: 1}
requirements:
  - {name: answers, expect: count(request) > 2}
run: {duration: 5 s}
"""


FAR = """
scenario: 1
sites: {here: {metro: singapore}, cloud: {metro: ashburn}}
fleets:
  lamps:
    device: shadow_device
    count: 5
    at: here
    via: broker
    link: {medium: ethernet, path: wan, transport: tcp}
    properties: {lamp: {values: ["off", "on"]}}
nodes:
  broker: {kind: mqtt_broker, at: cloud}
  twin: {kind: twin, runs_on: broker}
  manager: {kind: operator, runs_on: broker, wishes: [{at: 4 s, things: "lamps-*", set: {lamp: "on"}}]}
requirements:
  - {name: followed, expect: max(desired -> wish_followed) < 5 s}
run: {duration: 6 s}
"""


@pytest.fixture
def scenario_file(tmp_path):
    path = tmp_path / "loop.scenario.yaml"
    path.write_text(LOOP)
    return path


@pytest.fixture
def variant(scenario_file):
    return load(scenario_file).variants[0]


@pytest.mark.slow
def test_the_fire_reaches_the_gate_through_a_real_broker(mosquitto_port):
    """The alarm goes up to mosquitto and the order comes back, as late as the links are long."""
    variant = load("car_park_fire").variant("cloud_us")
    found = run_live(variant, {"broker": endpoint(f"mqtt://127.0.0.1:{mosquitto_port}")}, duration_s=75.0)

    assert found.outcome.judgements["gates open within 35 s"].is_met
    assert 0.25 < found.outcome.metrics["alarm_to_gate_command"] < 1.0
    assert found.outcome.tally.lost == {}
    assert found.brokers == {"broker": f"mqtt://127.0.0.1:{mosquitto_port}"}
    assert found.timeliness.late_p50_s < 0.05


def test_what_runs_on_the_broker_is_one_of_its_clients(mosquitto_port, variant):
    """The database's session carries queries and answers."""
    found = run_live(variant, {"broker": endpoint(f"mqtt://127.0.0.1:{mosquitto_port}")})

    assert found.outcome.judgements["answers"].is_met
    assert found.outcome.tally.sent == found.outcome.tally.delivered + found.outcome.tally.in_flight


@pytest.mark.slow
def test_the_levels_of_the_links_delay_alike(mosquitto_port, tmp_path):
    """Nothing at `none`; at `in-driver` and `proxy` the way from Virginia before a wish is followed."""
    path = tmp_path / "far.scenario.yaml"
    path.write_text(FAR)
    variant = load(path).variants[0]
    took = {}
    for links in ("none", "in-driver", "proxy"):
        bound = {"broker": endpoint(f"mqtt://127.0.0.1:{mosquitto_port}")}
        found = run_live(variant, bound, links=links)
        delays_s = found.outcome.latencies["desired to wish_followed"]
        assert len(delays_s) == 5
        took[links] = sorted(delays_s)[2]

    assert took["none"] < 0.08
    assert took["in-driver"] == pytest.approx(took["proxy"], abs=0.05)
    assert took["proxy"] > 0.1


def test_the_kernels_own_tcp_crosses_the_links(tmp_path):
    """Packets between two namespaces, moved by the scenario's links: the same delay as in the model."""
    path = tmp_path / "far.scenario.yaml"
    path.write_text(FAR)
    command = [
        sys.executable,
        "-m",
        "windtunnel",
        "live",
        str(path),
        "--links",
        "tun",
        "--broker",
        "mosquitto",
    ]
    done = subprocess.run(
        [*command, "--json", "--runs", str(tmp_path / "runs")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["links"] == "tun"
    assert 0.1 < found["metrics"]["desired_to_wish_followed"] < 0.4
    assert found["brokers"]["broker"].startswith("mqtt://10.78.0.1:")


def test_a_node_that_is_no_broker_cannot_be_bound(variant):
    """The message names those that can."""
    with pytest.raises(InputError, match="'app' cannot be bound to a broker; nodes that can: broker"):
        run_live(variant, {"app": endpoint("mqtt://127.0.0.1:9")})


def test_no_broker_there_is_one_sentence(variant):
    """Nothing is started."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.raises(
        MissingEnvironmentError, match=f"no broker at mqtt://127.0.0.1:{port}: connection refused"
    ):
        run_live(variant, {"broker": endpoint(f"mqtt://127.0.0.1:{port}")})


def test_something_that_speaks_another_protocol_is_one_sentence(variant):
    """An HTTP server, say."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer():
            client, _ = server.accept()
            with client:
                client.recv(1024)
                client.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        with pytest.raises(MissingEnvironmentError, match="what listens there speaks HTTP; write ws://"):
            run_live(variant, {"broker": endpoint(f"mqtt://127.0.0.1:{server.getsockname()[1]}")})
        thread.join(5.0)


def test_a_url_that_is_none_keeps_its_password_to_itself():
    """The message shows the form, and no secret."""
    with pytest.raises(InputError, match="a broker is written") as caught:
        endpoint("http://me:secret@host")
    assert "secret" not in str(caught.value)
    assert "secret" not in repr(endpoint("mqtt://me:secret@host"))


def test_a_misspelt_broker_of_ours_is_named():
    """What is like none of ours is taken for a URL."""
    with (
        pytest.raises(InputError, match="no broker 'mosquito'; did you mean 'mosquitto'"),
        broker("mosquito"),
    ):
        pass
    with pytest.raises(InputError, match="a broker is written mqtt://"), broker("rabbit"):
        pass


@pytest.mark.parametrize("name", ["mosquitto", "embedded"])
def test_a_broker_of_our_own_is_there_while_it_is_used(name, variant):
    """Started as a child, ended with its context."""
    with broker(name) as running:
        found = run_live(variant, {"broker": running.endpoint})
        pid = running.pid
        os.kill(pid, 0)

    assert found.outcome.judgements["answers"].is_met
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_the_command_keeps_what_it_measured_when_it_is_interrupted(scenario_file, tmp_path):
    """Ctrl-C ends the run between two events; its results and the broker's name are in the folder."""
    command = [sys.executable, "-m", "windtunnel", "live", str(scenario_file)]
    program = subprocess.Popen(
        [*command, "--broker", "embedded", "--json", "--runs", str(tmp_path / "runs")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert "embedded at mqtt://127.0.0.1:" in program.stderr.readline()
        time.sleep(3.0)
        program.send_signal(signal.SIGINT)
        out, _ = program.communicate(timeout=20.0)
    finally:
        program.kill()

    assert program.returncode == 130
    assert json.loads(out)["is_real_time"]
    (folder,) = [path for path in (tmp_path / "runs").iterdir() if path.is_dir()]
    assert {"live.json", "study.json", "report.html"} <= {path.name for path in folder.iterdir()}
    row = json.loads((folder / "live.json").read_text())["conformance"]["broker"]
    assert row["checks"]["3.1.1"]["failed"] == ["redelivery-marked"]


def test_a_password_comes_from_a_file_and_is_shown_nowhere(scenario_file, tmp_path, mosquitto_port):
    """Neither in the results nor in the output."""
    (tmp_path / "password").write_text("open sesame\n")
    command = [
        sys.executable,
        "-m",
        "windtunnel",
        "live",
        str(scenario_file),
        "--for",
        "1 s",
    ]
    url = f"mqtt://me@127.0.0.1:{mosquitto_port}"
    options = [
        "--broker",
        url,
        "--password-file",
        str(tmp_path / "password"),
        "--runs",
        str(tmp_path / "runs"),
    ]
    done = subprocess.run([*command, *options], capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == 1, done.stderr
    said = (
        done.stdout
        + done.stderr
        + "".join(
            path.read_text(errors="replace") for path in (tmp_path / "runs").rglob("*") if path.is_file()
        )
    )
    assert "sesame" not in said
