"""Small scenarios to sweep: a queue at a broker, a link that is too slow."""

import pytest

from scenarios.shipped import load

QUEUE = """\
scenario: 1
title: A queue
sites: {home: {metro: singapore}}
fleets:
  meters: {device: poisson, count: 1, at: home, via: broker, link: ethernet, rate: 5 /s}
nodes:
  broker: {kind: mqtt_broker, at: home, station: {service: 100 ms, law: exponential}}
run: {duration: 20 min, warm_up: 1 min, replications: 8}
"""

LINK = """\
scenario: 1
title: A slow line
sites: {home: {metro: singapore}, cloud: {metro: ashburn}}
nodes:
  broker: {kind: mqtt_broker, at: cloud}
  database: {kind: database, runs_on: broker}
  app: {kind: application, at: cloud, database: database, station: {service: 50 ms, law: exponential}}
  user: {kind: user, at: home, application: app, every: 5 s}
links: [{name: line, between: [user, app], path: wan}]
variants: {plain: {}, slow: {nodes.app.station.service: 300 ms}}
requirements:
  - {name: quick, expect: "p50(request => response) < 1 s"}
  - {name: answered, expect: "count(response) > 0"}
run: {duration: 2 min, replications: 4}
"""


@pytest.fixture
def scenario(tmp_path):
    """Load a scenario from its text."""

    def loaded(text):
        path = tmp_path / "small.scenario.yaml"
        path.write_text(text, encoding="utf-8")
        return load(path)

    return loaded


@pytest.fixture
def queue(scenario):
    """Poisson arrivals at one server with exponential service: M/M/1."""
    return scenario(QUEUE)


@pytest.fixture
def line(scenario):
    """A user in Singapore of an application in Virginia."""
    return scenario(LINK)
