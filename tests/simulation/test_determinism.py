"""The same file and seed give the same bytes: in one process or two, and whatever Python's hash seed."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

HOME = Path(__file__).parents[2]

SMALL = """\
scenario: 1
title: Small
sites: {site: {metro: singapore}, cloud: {metro: ashburn}}
fleets:
  meters: {device: periodic, count: 20, at: site, via: gateway, link: thread, every: 1 s, jitter: 20 %}
  noise: {device: poisson, count: 3, at: site, via: gateway, link: lorawan-sf7, rate: 12/min}
  gates: {device: boom_gate, count: 2, at: site, via: gateway, link: rs485-modbus}
nodes:
  gateway: {kind: gateway, at: site}
  broker: {kind: mqtt_broker, at: cloud, station: {service: 2 ms, law: lognormal, cv: 2}}
  rules: {kind: rule_engine, runs_on: broker, rules: fire}
  twin: {kind: twin, runs_on: broker}
  database: {kind: database, runs_on: broker, station: {service: 5 ms, law: exponential}}
  app: {kind: application, at: cloud, database: database}
  manager: {kind: user, at: site, application: app, every: 2 s}
links:
  - {name: uplink, between: [gateway, broker], path: wan, access: lte-cat1, tls: "1.3", qos: 1}
variants:
  calm: {}
  rough:
    timeline:
      - {at: 5 s, for: 10 s, fault: partition, between: [site, cloud]}
      - {at: 20 s, for: 5 s, fault: burst, link: uplink, loss: 30 %}
requirements:
  - {name: answers, expect: p95(request => response) < 2 s}
  - {name: slow, expect: p95(request => response) < 10 ms}
run: {duration: 26 s, replications: 4, seed: 7}
"""

PROGRAM = """\
import sys
from scenarios.archive import metrics_text
from scenarios.judging.runner import Plan, simulate
from scenarios.shipped import load
if __name__ == "__main__":
    name, workers, replications, *variants = sys.argv[1:]
    plan = Plan(variants or None, int(replications), None, int(workers))
    sys.stdout.buffer.write(metrics_text(simulate(load(name), plan).runs))
"""


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """Digest of the metrics of a scenario, run by a process of its own."""
    folder = tmp_path_factory.mktemp("determinism")
    (folder / "small.scenario.yaml").write_text(SMALL, encoding="utf-8")
    (folder / "measure.py").write_text(PROGRAM, encoding="utf-8")

    def run(name, workers, replications, *variants, hash_seed="0"):
        done = subprocess.run(
            [sys.executable, "measure.py", name, str(workers), str(replications), *variants],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(HOME), "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            check=True,
        )
        assert len(done.stdout) > 1000
        return hashlib.sha256(done.stdout).hexdigest()

    return run


@pytest.fixture(scope="module")
def reference(measured):
    """One process, hash seed 0."""
    return measured("small.scenario.yaml", 1, 4)


@pytest.mark.parametrize(
    ("workers", "hash_seed"),
    [(1, "0"), (2, "0"), (1, "1"), (2, "4711")],
    ids=["again", "two", "hash", "both"],
)
def test_a_small_scenario_gives_the_same_bytes(measured, reference, workers, hash_seed):
    """Metrics, judgements, ledger and border bytes of two variants, with faults, radio and queues."""
    assert measured("small.scenario.yaml", workers, 4, hash_seed=hash_seed) == reference


def test_another_number_of_replications_changes_none_of_them(tmp_path):
    """Replication r depends on its seed alone."""
    from scenarios.judging.runner import Plan, simulate
    from scenarios.shipped import load

    (tmp_path / "small.scenario.yaml").write_text(SMALL, encoding="utf-8")
    scenario = load(tmp_path / "small.scenario.yaml")
    two = simulate(scenario, Plan(replications=2, workers=1)).runs
    last = simulate(scenario, Plan(replications=1, workers=1, seed=8)).runs

    assert [run.outcomes[1].metrics for run in two] == [run.outcomes[0].metrics for run in last]
    assert [run.outcomes[1].tally for run in two] == [run.outcomes[0].tally for run in last]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_flagship_gives_the_same_bytes(measured):
    """A building, a fire, people and cars: three replications of two variants."""
    digests = {
        measured("car_park_fire", workers, 3, "cloud_us", "cloud_us_cut", hash_seed=seed)
        for workers, seed in ((1, "0"), (2, "1"))
    }

    assert len(digests) == 1
