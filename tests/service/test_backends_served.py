"""A service that forwards to every backend at once, two of which are killed; the page about backends."""

import contextlib
import json
import re
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from twin.live.sinks.port import CALL_S

for folder in ("store", "sinks"):
    sys.path.insert(0, str(Path(__file__).parents[1] / folder))

import servers  # noqa: E402

pytestmark = [pytest.mark.live, pytest.mark.slow, pytest.mark.timeout(240)]
ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```bash\n(.*?)^```$", re.DOTALL | re.MULTILINE)
KILLED = ("postgres", "influx")
LONGEST_S = 60.0
RULES = """\
RULE keep
SELECT v FROM 'boom_gate/+/telemetry'
THEN {}
"""


def publish(service, numbers):
    with service.device("gate-1") as gate:
        for number in numbers:
            gate.publish("site/home/boom_gate/gate-1/telemetry", b'{"v": %d}' % number)


@pytest.fixture
def backends():
    """One of each, by the name of its sink."""
    kinds = {"postgres": servers.Postgres, "redis": servers.Redis, "kafka": servers.Kafka}
    kinds |= {"s3": servers.S3, "influx": servers.Influx}
    with contextlib.ExitStack() as stack:
        found = {}
        for name, kind in kinds.items():
            server = kind()
            if server.missing:
                pytest.fail(server.missing, pytrace=False)
            found[name] = stack.enter_context(server)
            found[name].empty()
        yield found


def test_one_rule_reaches_every_backend_and_outlasts_their_fall(service_of, eventually, backends, tmp_path):
    """What is published while two of them are dead is there when they are back; the others had it at once."""
    rules = tmp_path / "keep.rules"
    rules.write_text(RULES.format("; ".join(f"FORWARD {name}" for name in backends)))
    sinks = [word for name, server in backends.items() for word in ("--sink", f"{name}={server.url}")]
    service = service_of("--rules", str(rules), *sinks)
    service.http.post("/v1/things", json={"name": "gate-1", "type": "boom_gate", "site": "home"})

    def kept(names, count):
        standing = service.http.get("/health").json()["sinks"]
        return all(standing[name]["kept"] == count for name in names)

    publish(service, range(10))
    eventually(lambda: kept(backends, 10), LONGEST_S)
    for name in KILLED:
        backends[name].kill()
    publish(service, range(10, 30))
    eventually(lambda: kept(set(backends) - set(KILLED), 30), LONGEST_S)
    standing = service.http.get("/health").json()["sinks"]
    assert not any(standing[name]["up"] for name in KILLED)
    for name in KILLED:
        backends[name].start()
    eventually(lambda: kept(backends, 30), LONGEST_S + CALL_S)

    found = {name: server.keys() for name, server in backends.items()}
    assert {name: len(set(keys)) for name, keys in found.items()} == dict.fromkeys(backends, 30)
    assert "s3cret" not in json.dumps(service.http.get("/health").json()) + "".join(service.said)


def test_the_page_does_what_it_says(service_of, eventually, tmp_path):
    """Its rules and its sinks, which need nothing."""
    text = (ROOT / "docs" / "backends.md").read_text("utf-8")
    (block,) = BLOCK.findall(text)
    here, end, command = block.rpartition("END\n")
    subprocess.run(["bash", "-c", here + end], cwd=tmp_path, check=True, timeout=10)
    options = command.split()
    assert options[:2] == ["windtunnel", "serve"]
    places = {"keep.rules": str(tmp_path / "keep.rules")}
    places |= {
        f"{name}={kind}:{file}": f"{name}={kind}:{tmp_path / file}"
        for name, kind, file in (
            ("database", "sqlite", "records.sqlite"),
            ("archive", "file", "records.jsonl"),
        )
    }
    service = service_of(*(places.get(each, each) for each in options[2:]))
    service.http.post("/v1/things", json={"name": "gate-1", "type": "boom_gate", "site": "home"})
    publish(service, range(3))
    eventually(lambda: {each["kept"] for each in service.http.get("/health").json()["sinks"].values()} == {3})

    lines = (tmp_path / "records.jsonl").read_text().splitlines()
    assert [json.loads(line)["document"]["document"]["v"] for line in lines] == [0, 1, 2]
    with sqlite3.connect(tmp_path / "records.sqlite") as file:
        assert file.execute("SELECT count(*) FROM records").fetchone() == (3,)
