"""The same drill, simulated and live."""

import json
import subprocess
import sys

import pytest
from paho.mqtt import client as paho

from twin.service.brokers import broker
from windtunnel.cli import run_command_line as main

pytestmark = [pytest.mark.live, pytest.mark.alone, pytest.mark.timeout(180)]
SLIPPED = 4
WITHOUT = """
import sys
for name in ("cryptography", "fastapi", "psycopg", "uvicorn"):
    sys.modules[name] = None
from windtunnel.cli import run_command_line
sys.exit(run_command_line(sys.argv[1:]))
"""


def test_a_live_drill_is_near_its_simulation(capsys, tmp_path):
    """On the embedded broker no chain is lost, and the median order comes within some ms of the simulated."""
    arguments = ["fidelity", "alarm_drill", "--broker", "embedded", "--for", "8 s", "--json"]
    report = tmp_path / "fidelity.html"
    code = main([*arguments, "--out", str(report)])
    if code == SLIPPED:
        code = main([*arguments, "--out", str(report)])
    found = json.loads(capsys.readouterr().out)
    (latency,) = found["comparison"]["latencies"]

    assert code in {0, 1, 3}
    assert found["comparison"]["losses"][0]["live_lost"] == 0
    assert 0 < latency["quantiles"][0]["difference_s"] < 0.03
    assert "at mqtt_broker" in {
        each["name"] for each in found["comparison"]["steps"]["alarm => gate_command"]
    }
    assert report.read_text("utf-8").startswith("<!DOCTYPE html>")


def test_a_convention_of_the_users_own_changes_no_chain(capsys):
    """On their broker are their topics in the place of ours, and every order comes as in the simulation."""
    with broker("mosquitto") as running:
        topics = set()
        listener = paho.Client(paho.CallbackAPIVersion.VERSION2)
        listener.on_message = lambda _client, _data, message: topics.add(message.topic)
        listener.connect(running.endpoint.host, running.endpoint.port)
        listener.subscribe("#")
        listener.loop_start()
        try:
            arguments = [
                "fidelity",
                "alarm_drill",
                "--broker",
                running.endpoint.url,
                "--for",
                "6 s",
                "--json",
            ]
            code = main([*arguments, "--convention", "topics:ours/{thing}/{what}"])
        finally:
            listener.loop_stop()
    found = json.loads(capsys.readouterr().out)

    assert code in {0, 1, 3}
    assert found["comparison"]["losses"][0]["live_lost"] == 0
    assert found["comparison"]["latencies"][0]["live_count"] > 20
    first_levels = {each.split("/")[0] for each in topics}
    assert "ours" in first_levels
    assert "site" not in first_levels


def test_it_needs_no_more_than_the_extra_for_live_runs(tmp_path):
    """`dev.py demo` installs nothing of the service, whose certificates a plain broker does not need."""
    arguments = [
        "live",
        "alarm_drill",
        "--broker",
        "embedded",
        "--for",
        "1 s",
        "--json",
        "--runs",
        str(tmp_path),
    ]
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, *arguments], capture_output=True, text=True, check=False, timeout=60
    )

    assert done.returncode in {0, 1}, done.stderr
    assert "timeliness" in json.loads(done.stdout)
