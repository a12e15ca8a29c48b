"""A scenario played on from a branch: the twin starts from its records, the devices as they had reported."""

import msgspec
import pytest

from devices_models.actuators import BoomGate, Switch
from scenarios.what_if import what_if
from twin.errors import InputError
from twin.kernel.behaviour import Started
from twin.message import Message
from twin.service.opening import open_store
from twin.state.branch import branch_at
from twin.state.journal import Wanted, walk
from twin.state.standard import standard_twins
from windtunnel.cli import run_command_line

EPOCH_S = 1_790_000_000.0
YARD = """\
scenario: 1
title: A yard with gates
sites:
  yard: {metro: singapore}
  cloud: {metro: ashburn}
fleets:
  gates:
    device: shadow_device
    count: 2
    at: yard
    via: broker
    link: {medium: lte-m, path: wan, transport: tcp, tls: "1.3", keep_alive: 20 s}
    properties:
      gate: {start: closed, values: [closed, open]}
      lamp: {start: "off", values: ["off", "on"]}
    by_hand:
      - {at: 60 s, set: {lamp: "on"}}
nodes:
  broker: {kind: mqtt_broker, at: cloud}
  twin: {kind: twin, runs_on: broker}
  porter:
    kind: operator
    runs_on: broker
    wishes:
      - {at: 30 s, things: "gates-001", set: {gate: closed}}
requirements:
  - name: a wish is followed
    expect: count(wish_followed) >= 1
variants:
  as_is: {}
  twice:
    nodes.twin.clear_on_report: true
run: {duration: 120 s}
"""


def report(twins, store, thing, values, now_s):
    payload = msgspec.json.encode({"state": {"reported": values}})
    store.commit([twins.handle(Message(f"$aws/things/{thing}/shadow/update", payload), now_s)])


@pytest.fixture
def kept(tmp_path):
    """A store in which two gates were opened, one after the other, and a stranger once spoke."""
    path, twins = tmp_path / "twins.db", standard_twins()
    store, _ = open_store(path)
    report(twins, store, "gates-001", {"gate": "closed", "lamp": "off"}, EPOCH_S)
    report(twins, store, "gates-002", {"gate": "closed", "lamp": "off"}, EPOCH_S + 1.0)
    report(twins, store, "fan-7", {"on": True}, EPOCH_S + 2.0)
    report(twins, store, "gates-001", {"gate": "open"}, EPOCH_S + 3.0)
    report(twins, store, "gates-002", {"gate": "open"}, EPOCH_S + 4.0)
    store.close()
    scenario = tmp_path / "yard.scenario.yaml"
    scenario.write_text(YARD)
    return path, scenario


@pytest.fixture
def branches(kept):
    """Makes branches of that store."""
    from twin.service.sqlite_store import SqliteHistory

    history = SqliteHistory(kept[0])
    yield lambda at="now": branch_at(history, standard_twins().kinds, at, at)
    history.close()


def places(found):
    return {
        (each.thing, each.path): (each.branch, each.live)
        for each in found.differences
        if each.kind == "shadow" and each.thing != "fan-7"
    }


def test_a_scenario_goes_on_from_what_the_twins_knew(kept, branches):
    """The open gate is closed by the wish, the other stays as it had reported; lamps are set by hand."""
    found = what_if(kept[1], branches())

    assert places(found) == {
        ("gates-001", "reported.gate"): ("closed", "open"),
        ("gates-001", "reported.lamp"): ("on", "off"),
        ("gates-001", "desired"): ({"gate": "closed"}, None),
        ("gates-002", "reported.lamp"): ("on", "off"),
    }
    assert found.adopted == ["gates-001", "gates-002"]
    assert found.strangers == ["fan-7"]
    assert found.judgements["a wish is followed"].is_met


def test_the_past_is_another_beginning(kept, branches):
    """With the gate still closed there is nothing to follow."""
    live = branches().records
    found = what_if(kept[1], branches(f"{EPOCH_S + 2.5}s"), live=live)

    assert not found.judgements["a wish is followed"].is_met
    assert places(found)["gates-002", "reported.gate"] == ("closed", "open")


def test_time_goes_on_from_the_branch(kept, branches):
    """Stamps and deadlines of the records mean what they meant: nothing is younger than it is."""
    branch = branches()
    found = what_if(kept[1], branch, variant="twice")

    assert found.at_s == EPOCH_S + 4.0
    assert ("gates-001", "desired") not in places(found)


def test_a_branch_is_not_changed_by_what_runs_in_it(kept, branches):
    """It can be run twice, and leads to the same."""
    branch = branches()
    before = list(branch.records)

    assert what_if(kept[1], branch) == what_if(kept[1], branch)
    assert list(branch.records) == before


def test_a_scenario_without_a_twin_is_refused(branches, tmp_path):
    """There is nowhere for the branch to be."""
    scenario = tmp_path / "bare.scenario.yaml"
    scenario.write_text(
        YARD.replace("  twin: {kind: twin, runs_on: broker}\n", "").replace(
            "  twice:\n    nodes.twin.clear_on_report: true\n", ""
        )
    )
    with pytest.raises(InputError, match="has no node of kind twin"):
        what_if(scenario, branches())


def test_the_command_line_does_it_from_end_to_end(kept, capsys):
    """And leaves the store as it was."""
    path, scenario = kept
    before = {each.name: each.read_bytes() for each in path.parent.iterdir()}
    code = run_command_line(
        ["twin", "branch", str(path), "--scenario", str(scenario), "--at", f"{EPOCH_S + 3.5}s", "--json"]
    )
    found = msgspec.json.decode(capsys.readouterr().out)

    assert code == 0
    assert found["sequence"] == 4
    assert {(each["thing"], each["path"]) for each in found["differences"]} >= {
        ("gates-001", "reported.gate")
    }
    assert before == {each.name: each.read_bytes() for each in path.parent.iterdir()}


def test_a_gate_and_a_switch_adopt_what_they_had_reported():
    """A gate that was moving has arrived; the world is told at the start."""
    gate, fan = BoomGate("gateway"), Switch("gateway", "fan")
    gate.adopt({"gate": "opening"})
    fan.adopt({"on": True})

    assert gate.position == "open"
    assert [(each.name, each.value) for each in fan.react(Started(), None)] == [("fan", 1.0)]
    gate.adopt({"gate": "ajar"})
    assert gate.position == "open"


def test_the_journal_is_untouched(kept, branches):
    """What runs in a branch is kept nowhere."""
    from twin.service.sqlite_store import SqliteHistory

    what_if(kept[1], branches())
    history = SqliteHistory(kept[0])
    assert len(list(walk(history, Wanted()))) == 5
    history.close()
