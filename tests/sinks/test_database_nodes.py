"""Database nodes of a live run that are real: the same messages as simulated ones, and what goes wrong."""

import json
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from scenarios.live import run_live
from scenarios.live_databases import Databases
from scenarios.shipped import load
from twin.errors import InputError, MissingEnvironmentError
from twin.live.endpoint import endpoint
from twin.service.brokers import broker

pytestmark = pytest.mark.live
ROOT = Path(__file__).parents[2]

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
  manager: {kind: user, at: here, application: app, every: 200 ms, topic: TOPIC}
links:
  - {between: [gateway, broker], path: wan, access: gpon, qos: 1}
requirements:
  - {name: answers, expect: count(request) > 15}
run: {duration: 5 s}
"""


@pytest.fixture
def scenario_file(tmp_path):
    path = tmp_path / "loop.scenario.yaml"
    path.write_text(LOOP.replace("TOPIC", "site/here/periodic/meters-3/reading"))
    return path


@pytest.fixture
def variant(scenario_file):
    return load(scenario_file).variants[0]


def ran(variant, url, bindings=None, said=None, **options):
    databases = Databases(variant, {"database": url}, (said if said is not None else []).append)
    try:
        return run_live(variant, bindings or {}, databases=databases, **options)
    finally:
        databases.close()


@pytest.mark.parametrize("name", ["postgres_backend", "redis_backend", ""])
def test_a_real_database_behind_a_simulated_broker_keeps_and_answers(name, variant, request, tmp_path):
    """Every reading that reached it is there, and every question is answered."""
    server = request.getfixturevalue(name) if name else None
    if server is not None:
        server.empty()
    found = ran(variant, server.url if server else f"sqlite:{tmp_path / 'x.sqlite'}")
    figures = found.databases["database"]

    assert found.outcome.judgements["answers"].is_met
    assert found.timeliness.is_real_time
    assert figures.kept >= 60
    assert figures.answered >= 15
    assert (figures.left, figures.refused, figures.rejected, figures.unanswered) == (0, 0, 0, 0)
    if server is not None:
        assert len(set(server.keys())) == figures.kept


def test_both_may_be_real(variant, postgres_backend):
    """The database is then a client of the broker."""
    postgres_backend.empty()
    with broker("mosquitto") as real:
        found = ran(variant, postgres_backend.url, {"broker": endpoint(real.endpoint.url)})

    assert found.outcome.judgements["answers"].is_met
    assert found.databases["database"].kept == len(postgres_backend.keys()) >= 60


def test_a_database_that_is_killed_during_the_run_gets_everything_later(variant, postgres_backend):
    """What came meanwhile waits; the run goes on in real time."""
    postgres_backend.empty()
    said = []

    def trouble():
        time.sleep(1.5)
        postgres_backend.kill()
        time.sleep(0.7)
        postgres_backend.start()

    thread = threading.Thread(target=trouble)
    thread.start()
    found = ran(variant, postgres_backend.url, said=said)
    thread.join()
    figures = found.databases["database"]

    assert found.timeliness.is_real_time
    assert figures.retries > 0
    assert (figures.left, figures.refused) == (0, 0)
    assert len(postgres_backend.keys()) == figures.kept >= 60
    assert ["is away" in said[0], "is there again" in said[-1]] == [True, True]


def test_what_cannot_be_bound_is_refused_in_one_sentence(variant, tmp_path):
    """No database, no answers, not there."""
    with pytest.raises(InputError, match="nodes that can: database"):
        Databases(variant, {"broker": "sqlite:x"}, print)
    with pytest.raises(InputError, match="cannot be asked for the latest value"):
        Databases(variant, {"database": f"file:{tmp_path / 'x'}"}, print)
    with pytest.raises(MissingEnvironmentError, match="'database' is not there"):
        Databases(variant, {"database": "redis://127.0.0.1:1/0"}, print)


@pytest.mark.slow
def test_the_command_says_what_became_of_the_records(scenario_file, tmp_path):
    """For people at the end, for machines in JSON; nothing real is an error."""
    command = [
        sys.executable,
        "-m",
        "windtunnel",
        "live",
        str(scenario_file),
        "--runs",
        str(tmp_path / "runs"),
    ]
    command += ["--broker", "simulated", "--for", "2 s"]
    url = f"database=sqlite:{tmp_path / 'x.sqlite'}"

    def run(*more):
        return subprocess.run(
            [*command, *more], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
        )

    for_machines, for_people, nothing = run("--bind", url, "--json"), run("--bind", url), run()

    assert json.loads(for_machines.stdout)["databases"]["database"]["kept"] > 10, for_machines.stderr
    assert "records kept in" in for_people.stdout
    assert nothing.returncode == 2
    assert "nothing is real" in nothing.stderr
