"""Foreign conventions with a cloud of somebody else's behind a real broker."""

import json
import subprocess
import sys
import threading
import time
from pathlib import Path

import msgspec
import pytest
from paho.mqtt import client as paho

from scenarios.live import run_live
from scenarios.shipped import load
from twin.live.endpoint import endpoint
from twin.live.sparkplug_node import sparkplug
from twin.mqtt.sparkplug import Metric, Payload, decode, encode
from twin.service.brokers import broker
from windtunnel.convention_options import convention_of

ROOT = Path(__file__).parents[2]
SITE = """
scenario: 1
sites: {here: {metro: singapore}, cloud: {metro: singapore}}
fleets:
  gates: {device: boom_gate, count: 2, at: here, via: gateway, link: ethernet}
  meters: {device: periodic, count: 3, at: here, via: gateway, link: ethernet, every: 500 ms}
nodes:
  gateway: {kind: gateway, at: here}
  broker: {kind: mqtt_broker, at: cloud}
links:
  - {between: [gateway, broker], path: wan, access: gpon, qos: 1}
requirements:
  - {name: opened, expect: count(gate_open) == 1}
run: {duration: 6 s}
"""


class Cloud:
    """Somebody else's cloud: listens to everything, and orders once."""

    def __init__(self, port, order_when="never", topic="", payload=b"", topics="#"):
        self.heard, self.ordered = [], threading.Event()
        self.order_when, self.order = order_when, (topic, payload)
        self.client = paho.Client(paho.CallbackAPIVersion.VERSION2)
        self.client.on_message = self._on_message
        self.client.on_connect = lambda client, *_: client.subscribe(topics, 1)
        self.client.reconnect_delay_set(0.05, 0.2)
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()

    def _on_message(self, client, _data, message):
        if message.retain:  # what somebody left on the broker long ago
            return
        self.heard.append((message.topic, message.payload))
        if not self.ordered.is_set() and self.order_when in message.topic:
            self.ordered.set()
            client.publish(*self.order)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        time.sleep(0.3)
        self.client.disconnect()
        self.client.loop_stop()


@pytest.fixture
def variant(tmp_path):
    path = tmp_path / "site.scenario.yaml"
    path.write_text(SITE)
    return load(path).variants[0]


def ran(variant, port, convention):
    return run_live(variant, {"broker": endpoint(f"mqtt://127.0.0.1:{port}")}, convention=convention)


@pytest.mark.live
def test_a_host_of_sparkplug_sees_births_orders_a_gate_and_sees_it_open(variant, mosquitto_port):
    """Nothing but Sparkplug is on the broker; seq has no gap; the death comes at the end."""
    order = encode(Payload(0, (Metric("cmd/open", True),)))
    with Cloud(
        mosquitto_port, "DBIRTH/gateway/gates-001", "spBv1.0/plant/DCMD/gateway/gates-001", order
    ) as cloud:
        found = ran(variant, mosquitto_port, sparkplug("plant"))
    ours = [each for each in cloud.heard if "/DCMD/" not in each[0]]
    kinds = [topic.split("/")[2] for topic, _ in ours]
    names, values = {}, []
    for topic, payload in ours:
        for metric in decode(payload).metrics:
            if metric.name:
                names[topic.rpartition("/")[2], metric.alias] = metric.name
            values.append((names.get((topic.rpartition("/")[2], metric.alias)), metric.value))

    assert found.outcome.judgements["opened"].is_met
    assert {topic.split("/")[0] for topic, _ in ours} == {"spBv1.0"}
    assert kinds[0] == "NBIRTH"
    assert kinds[-1] == "NDEATH"
    assert kinds.count("DDATA") > 10
    assert [decode(payload).seq for _, payload in ours[:-1]] == [
        number % 256 for number in range(len(ours) - 1)
    ]
    assert values.index(("state/gate", "closed")) < values.index(("state/gate", "open"))


@pytest.mark.live
def test_things_with_connections_of_their_own_are_born_again_when_the_broker_is_back(tmp_path):
    """Each an edge node; what a host hears of it last is the death of its last birth."""
    own = "via: broker, link: {medium: ethernet, path: direct, transport: tcp}"
    text = SITE.partition("links:")[0].replace("via: gateway, link: ethernet", own)
    text = text.replace("  gateway: {kind: gateway, at: here}\n", "") + "run: {duration: 12 s}\n"
    path = tmp_path / "own.scenario.yaml"
    path.write_text(text)
    with broker("embedded") as real:

        def fall():
            time.sleep(3.0)
            real.child.kill()
            time.sleep(0.3)
            real.child.start()

        trouble = threading.Thread(target=fall)
        with Cloud(real.endpoint.port, topics="spBv1.0/#") as cloud:
            trouble.start()
            run_live(load(path).variants[0], {"broker": real.endpoint}, convention=sparkplug("plant"))
            trouble.join()
    numbers = {}
    for topic, payload in cloud.heard:
        _, _, kind, node, *_ = topic.split("/")
        if kind in ("NBIRTH", "NDEATH"):
            values = {each.name: each.value for each in decode(payload).metrics}
            numbers.setdefault(node, []).append((kind, values["bdSeq"]))

    assert len(numbers) == 5
    for said_of_it in numbers.values():
        births = [number for kind, number in said_of_it if kind == "NBIRTH"]
        assert births[0] == 0
        assert births == sorted(set(births))
        death, last = said_of_it[-1]
        assert death == "NDEATH"
        assert last > 0  # born again, though perhaps before the host was back to hear of it
        assert births[-1] <= last


@pytest.mark.live
def test_a_cloud_with_topics_and_payloads_of_its_own_orders_a_gate(variant, mosquitto_port, tmp_path):
    """From a file, as the page has it."""
    text = (ROOT / "docs" / "live.md").read_text("utf-8")
    (tmp_path / "ours.yaml").write_text(text.partition("```yml\n# ours.yaml\n")[2].partition("```")[0])
    convention = convention_of(str(tmp_path / "ours.yaml"))
    with Cloud(mosquitto_port, "gates-001", "cmd/here/gates-001/cmd/open", b"{}") as cloud:
        found = ran(variant, mosquitto_port, convention)
    first = msgspec.json.decode(next(data for topic, data in cloud.heard if "meters-001" in topic))

    assert found.outcome.judgements["opened"].is_met
    assert {topic.split("/")[0] for topic, _ in cloud.heard} == {"dt", "cmd"}
    assert first["device"] == "here/meters-001"
    assert abs(first["at"] / 1000 - time.time()) < 60
    assert first["data"] == {}
    states = [msgspec.json.decode(data)["data"] for topic, data in cloud.heard if "gates-001/state" in topic]
    assert [each["gate"] for each in states] == ["closed", "open"]


@pytest.mark.live
def test_telemetry_reaches_the_shadows_of_somebody_elses_cloud(variant, mosquitto_port):
    """And its delta reaches the gate, which reports."""
    delta = json.dumps({"version": 3, "state": {"gate": "open"}}).encode()
    topic = "$aws/things/gates-001/shadow/update/delta"
    with Cloud(mosquitto_port, "gates-001", topic, delta) as cloud:
        cloud.client.subscribe("$aws/#", 1)
        found = ran(variant, mosquitto_port, convention_of("aws-shadow"))
    reported = [
        msgspec.json.decode(data)["state"]["reported"]
        for topic, data in cloud.heard
        if topic.startswith("$aws/things/meters-001/shadow/update")
    ]

    assert found.outcome.judgements["opened"].is_met
    assert len(reported) > 5


@pytest.mark.live
def test_the_command_takes_a_convention(tmp_path, mosquitto_port):
    """As the page says it; one that is none ends with exit code 2 before anything starts."""
    (tmp_path / "my_site.scenario.yaml").write_text(SITE.replace("== 1", "== 0").replace("6 s", "2 s"))
    command = [sys.executable, "-m", "windtunnel", "live", "my_site.scenario.yaml", "--json", "--broker"]
    command += [f"mqtt://127.0.0.1:{mosquitto_port}", "--no-check", "--convention"]

    def run(asked):
        return subprocess.run(
            [*command, asked], cwd=tmp_path, env={"PYTHONPATH": str(ROOT), "PATH": ""}, timeout=60,
            capture_output=True, text=True, check=False,
        )  # fmt: skip

    done, refused = run("sparkplug-b:plant"), run("sparkplug-c:plant")

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["is_real_time"] in (True, False)
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert "did you mean sparkplug-b" in refused.stderr
