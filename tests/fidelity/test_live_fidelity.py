"""The same drill, simulated and live."""

import json

import pytest

from windtunnel.cli import run_command_line as main

pytestmark = [pytest.mark.live, pytest.mark.alone, pytest.mark.timeout(180)]
SLIPPED = 4


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
