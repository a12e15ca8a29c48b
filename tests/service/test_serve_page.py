"""The page about `windtunnel serve`: every command of its `bash` blocks, word by word, but for the ports."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from twin.live.ports import held_ports

pytestmark = pytest.mark.live
ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```bash\n(.*?)^```$", re.DOTALL | re.MULTILINE)
SERVE = "windtunnel serve"


@pytest.mark.timeout(120)
def test_the_page_does_what_it_says(tmp_path, eventually):
    """In an empty folder, in one shell; the service runs beside it."""
    if not shutil.which("curl") or not shutil.which("mosquitto_pub"):
        pytest.fail("the page needs: sudo apt-get install -y curl mosquitto-clients", pytrace=False)
    text = (ROOT / "docs" / "serve.md").read_text("utf-8")
    first, *commands = [line for block in BLOCK.findall(text) for line in block.splitlines()]
    (tmp_path / "windtunnel").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m windtunnel "$@"\n')
    (tmp_path / "windtunnel").chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    assert first == SERVE
    with held_ports(2) as (api, mqtt), subprocess.Popen(
        ["windtunnel", "serve", "--port", str(api), "--mqtt-port", str(mqtt)],
        cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True, executable=tmp_path / "windtunnel",
    ) as service:  # fmt: skip
        try:
            eventually((tmp_path / "windtunnel-service" / "service.json").exists)
            script = "\n".join(["set -e", *commands]).replace("8080", str(api)).replace("8883", str(mqtt))
            script = re.sub(r"^(mosquitto_pub .*)$", r"\1\nsleep 1", script, flags=re.MULTILINE)
            done = subprocess.run(
                ["bash", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True,
                timeout=60, check=False,
            )  # fmt: skip
        finally:
            service.terminate()
            banner = service.stdout.read()
            service.wait(10)

    assert done.returncode == 0, done.stdout + done.stderr
    assert '"code":' not in done.stdout
    for word in ("boom_gate", '"gate":"closed"', '"delta":{"gate":"open"}', '"state":"live"'):
        assert word in done.stdout, (word, done.stdout)
    assert "wt_" in done.stdout
    assert len(banner.splitlines()) <= 12
    assert f"mqtts://127.0.0.1:{mqtt}" in banner
