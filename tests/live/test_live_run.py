"""A scenario in wall time, its broker a real mosquitto."""

import socket
import threading

import pytest

from scenarios.live import run_live
from scenarios.shipped import load
from twin.errors import InputError, MissingEnvironmentError
from twin.live.endpoint import endpoint

pytestmark = [pytest.mark.live, pytest.mark.timeout(120)]

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


@pytest.fixture
def variant(tmp_path):
    path = tmp_path / "loop.scenario.yaml"
    path.write_text(LOOP)
    return load(path).variants[0]


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
        with pytest.raises(MissingEnvironmentError, match="speaks no MQTT"):
            run_live(variant, {"broker": endpoint(f"mqtt://127.0.0.1:{server.getsockname()[1]}")})
        thread.join(5.0)


def test_a_url_that_is_none_keeps_its_password_to_itself():
    """The message shows the form, and no secret."""
    with pytest.raises(InputError, match="a broker is written") as caught:
        endpoint("http://me:secret@host")
    assert "secret" not in str(caught.value)
    assert "secret" not in repr(endpoint("mqtt://me:secret@host"))
