"""A rule file beside a scenario: checked with it, and run at the place where the engine stands."""

import pytest

from scenarios.format.issues import ScenarioError
from scenarios.shipped import load
from scenarios.wiring.assembly import Blueprint
from scenarios.wiring.members import scenes_of

SITE = """\
scenario: 1
title: Rules of its own
sites: {site: {metro: singapore}, cloud: {metro: ashburn}}
fleets:
  meters: {device: periodic, count: 3, at: site, via: gateway, link: ethernet, every: 1 s}
  gates: {device: boom_gate, count: 2, at: site, via: gateway, link: ethernet}
nodes:
  gateway: {kind: gateway, at: site, heartbeat: 0 s}
  broker: {kind: mqtt_broker, at: cloud}
  rules: {kind: rule_engine, runs_on: broker, rules: my.rules}
  database: {kind: database, runs_on: broker, store: []}
links:
  - {name: uplink, between: [gateway, broker], path: wan, access: gpon, tls: "1.3", qos: 1}
variants:
  cloud: {}
  edge: {nodes.rules.runs_on: gateway}
requirements: [{name: opens, expect: count(gate_open) > 0}]
run: {duration: 60 s, seed: 1}
"""
RULES = """\
RULE open_all PRIORITY 2
SELECT thing() AS meter FROM '+/+/telemetry' FOR 5s COOLDOWN 1h
THEN COMMAND 'boom_gate/*' open TIMEOUT 20s; FORWARD database

RULE far AT cloud SELECT * FROM '+/+/telemetry' COOLDOWN 1h THEN ALARM MINOR 'far'
RULE near AT edge SELECT * FROM '+/+/telemetry' COOLDOWN 1h THEN ALARM MINOR 'near'
"""


@pytest.fixture
def write(tmp_path):
    """The scenario and its rules, with some of their text replaced."""

    def made(rules=RULES, old="", new=""):
        assert old in SITE
        (tmp_path / "my.rules").write_text(rules, encoding="utf-8")
        (tmp_path / "site.scenario.yaml").write_text(SITE.replace(old, new) if old else SITE, "utf-8")
        return load(tmp_path / "site.scenario.yaml")

    return made


def ran(variant):
    """The assembly after its run, whose ledger has been checked."""
    scenes = scenes_of(variant.scenario, variant.folder)
    assembly = Blueprint.of(variant.scenario, scenes, variant.folder).assemble(1, is_traced=True)
    assembly.run()
    return assembly


def topics(assembly, source, to):
    """The topics of what went from one node to another."""
    return {
        leg.topic
        for trace in range(1, 1_000)
        for leg in assembly.kernel.transfers.of_trace(trace)
        if (leg.source, leg.to) == (source, to)
    }


@pytest.mark.parametrize(("number", "alarm"), [(0, "site/site/rule/alarm"), (1, "rule/alarm")])
def test_the_rules_of_a_file_run_at_the_broker_and_on_the_gateway(write, number, alarm):
    """The gates open, the document arrives at the database, and each place has its own rule."""
    variant = write().variants[number]
    assembly = ran(variant)
    opened = assembly.kernel.observations.samples("gate_open")
    assert {sample.node for sample in opened} == {"gates-001", "gates-002"}
    assert min(sample.at_s for sample in opened) > 5.0
    host = variant.scenario.nodes["rules"].runs_on
    assert alarm in topics(assembly, "rules", host)
    assert {topic[:27] for topic in topics(assembly, "rules", "database")} == {"rule/forward/open_all/meter"}
    assert len(topics(assembly, "rules", "database")) == 3


def test_a_mistake_in_the_rules_is_one_of_the_scenario(write):
    """Found when the file is checked, with line, column and the nearest word."""
    with pytest.raises(ScenarioError) as caught:
        write(RULES.replace("FOR 5s", "FRO 5s"))
    assert "my.rules:2:46: expected" in str(caught.value)
    assert "did you mean 'FOR'?" in str(caught.value)
    assert [each.code for each in caught.value.issues] == ["E052"]


def test_a_rule_file_that_is_not_there(write):
    """The nearest name beside the scenario is told."""
    with pytest.raises(ScenarioError, match=r"did you mean 'my\.rules'"):
        write(old="rules: my.rules", new="rules: my.rule")


def test_a_sink_is_a_node_of_the_scenario(write):
    """Whom a rule forwards to must be there."""
    with pytest.raises(ScenarioError, match="did you mean 'database'"):
        write(RULES.replace("FORWARD database", "FORWARD databse"))


def test_options_of_the_built_in_rules_do_nothing_for_others(write):
    """So they are refused, not passed over."""
    with pytest.raises(ScenarioError, match="'confirm' goes with the built-in 'rules: fire' only"):
        write(old="rules: my.rules", new="rules: my.rules, confirm: single")
