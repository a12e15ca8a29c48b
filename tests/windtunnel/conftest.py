"""The command line as a user runs it: in a folder of their own, in its own process."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

HOME = Path(__file__).parents[2]

SMALL = """\
scenario: 1
title: Small site
sites: {site: {metro: singapore}, cloud: {metro: ashburn}}
fleets:
  meters: {device: periodic, count: 3, at: site, via: gateway, link: ethernet, every: 1 s}
nodes:
  gateway: {kind: gateway, at: site}
  broker: {kind: mqtt_broker, at: cloud}
  database: {kind: database, runs_on: broker}
  app: {kind: application, at: cloud, database: database}
  manager: {kind: user, at: site, application: app, every: 2 s}
links:
  - {name: uplink, between: [gateway, broker], path: wan, access: gpon, tls: "1.3", qos: 1}
variants:
  far: {}
  near: {sites.cloud.metro: singapore}
  cut: {timeline: [{at: 1 s, fault: partition, between: [site, cloud]}], fails: [answers]}
requirements:
  - {name: answers, expect: p95(request => response) < 2 s, probability: 0.9, indifference: 0.1}
  - name: close
    expect: p95(request => response) < 100 ms
    variants: [far, near]
    probability: 0.9
    indifference: 0.1
run: {duration: 20 s, seed: 1}
"""


@pytest.fixture
def folder(tmp_path):
    """A user's folder with one small scenario: `far` fails one requirement, `near` meets both."""
    (tmp_path / "small.scenario.yaml").write_text(SMALL, encoding="utf-8")
    return tmp_path


@pytest.fixture
def environment():
    """Without settings of ours that a user's shell would not have."""
    kept = {
        key: value for key, value in os.environ.items() if not key.startswith(("PYTEST", "PYTHON", "COV"))
    }
    return {**kept, "PYTHONPATH": str(HOME), "COLUMNS": "120"}


@pytest.fixture
def windtunnel(keeper, folder, environment):
    """`windtunnel ARGUMENTS` in the user's folder, in a process of its own that has its imports already."""

    def call(*arguments, **settings):
        return keeper.run(arguments, folder, {**environment, **settings})

    return call


@pytest.fixture
def cold(folder, environment):
    """The same, started anew: for what is about the start."""

    def call(*arguments):
        return subprocess.run(
            [sys.executable, "-m", "windtunnel", *arguments],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=100,
            check=False,
        )

    return call
