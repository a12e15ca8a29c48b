"""What rules forward under `windtunnel serve`: to a file, a database, and nobody; across a kill."""

import json
import sqlite3
from pathlib import Path

import pytest

pytestmark = pytest.mark.live

RULES = """\
RULE keep
SELECT v, plate FROM 'boom_gate/+/telemetry'
THEN FORWARD db (MASK plate)
"""


@pytest.fixture
def rules(tmp_path):
    path = tmp_path / "keep.rules"
    path.write_text(RULES)
    return str(path)


def publish(service, numbers):
    service.http.post("/v1/things", json={"name": "gate-1", "type": "boom_gate", "site": "home"})
    with service.device("gate-1") as gate:
        for number in numbers:
            gate.publish(
                "site/home/boom_gate/gate-1/telemetry", json.dumps({"v": number, "plate": "AB 1"}).encode()
            )


def values(path):
    with sqlite3.connect(path) as file:
        return [
            json.loads(row[0])["document"]["v"]
            for row in file.execute("SELECT payload FROM records ORDER BY id")
        ]


def test_a_rule_forwards_to_a_sink_and_health_says_so(service_of, eventually, rules, tmp_path):
    """Masked as the rule asks, under the thing and the rule."""
    path = tmp_path / "records.sqlite"
    service = service_of("--rules", rules, "--sink", f"db=sqlite:{path}")
    publish(service, range(5))
    eventually(lambda: service.http.get("/health").json()["sinks"]["db"]["kept"] == 5)

    assert values(path) == [0, 1, 2, 3, 4]
    with sqlite3.connect(path) as file:
        row = file.execute("SELECT topic, thing, payload FROM records").fetchone()
    assert row[:2] == ("rule/keep", "gate-1")
    assert b"AB 1" not in row[2]
    assert 'windtunnel_sink_kept{sink="db"} 5' in service.http.get("/metrics").text


def test_what_waits_for_a_sink_survives_a_kill_and_is_kept_once(service_of, eventually, rules, tmp_path):
    """The sink is locked by somebody else, the service killed and started again."""
    path = tmp_path / "records.sqlite"
    service = service_of("--rules", rules, "--sink", f"db=sqlite:{path}")
    publish(service, range(3))
    eventually(lambda: path.exists() and len(values(path)) == 3)
    locker = sqlite3.connect(path, isolation_level=None)
    locker.execute("BEGIN IMMEDIATE")
    publish(service, range(3, 10))
    eventually(lambda: service.http.get("/health").json()["sinks"]["db"]["waiting"] == 7)
    service.kill()
    locker.execute("ROLLBACK")
    locker.close()
    service.start()
    eventually(lambda: len(values(path)) == 10)
    publish(service, [10])
    eventually(lambda: len(values(path)) == 11)

    assert values(path) == list(range(11))


@pytest.mark.parametrize(
    ("sink", "part"),
    [
        ("db", "--sink is written NAME=URL"),
        ("db=oracle://x", "is no backend"),
        ("db=sqlite:/nowhere/x", "cannot be used"),
    ],
)
def test_a_wrong_sink_is_refused_in_one_sentence(service_of, eventually, sink, part):
    """With exit code 2, and nothing left running."""
    service = service_of("--store", "memory", "--sink", sink)

    assert service.process.returncode == 2
    assert eventually(lambda: any(part in line for line in service.said))


def test_a_sink_that_is_away_at_the_start_is_waited_for(service_of, rules):
    """The service does not depend on its sinks; its password is nowhere to be seen."""
    service = service_of("--rules", rules, "--sink", "db=redis://:hunter2@127.0.0.1:1/0")

    standing = service.http.get("/health").json()["sinks"]["db"]
    assert not standing["up"]
    assert "hunter2" not in json.dumps(standing) + "".join(service.said)
    assert Path(service.folder).exists()
