"""Campaigns, commands and alarms that a scenario asks of its twin."""

import pytest

from scenarios.format.issues import ScenarioError
from scenarios.rehearsal import put_together
from scenarios.shipped import load
from scenarios.wiring.assembly import Blueprint
from scenarios.wiring.members import scenes_of
from twin.state.commands import commands
from twin.state.jobs import jobs
from twin.state.registry.search import members_of

TEXT = """\
scenario: 1
sites: {works: {metro: singapore}, cloud: {metro: ashburn}}
fleets:
  pumps:
    device: managed_device
    count: 4
    at: works
    via: broker
    link: {medium: ethernet, path: wan, transport: tcp}
    install: 5 s
nodes:
  broker: {kind: mqtt_broker, at: cloud}
  twin:
    kind: twin
    runs_on: broker
    store: durable
    campaigns:
      - {at: 20 s, job: new, target: pumps, document: {version: "2.0"}, rollout: {per_minute: 60}}
    commands:
      - {at: 10 s, target: pumps, name: prime, args: {times: 2}, timeout: 5 s, wait_for_session: true}
requirements: [{name: done, expect: max(job_done_share) == 1}]
run: {duration: 120 s, seed: 1}
"""


@pytest.fixture
def ran(tmp_path):
    """The assembly after the scenario with text replaced has run."""

    def run(*changes, more=""):
        text = TEXT
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        path = tmp_path / "operations.scenario.yaml"
        path.write_text(text + more, encoding="utf-8")
        variant = load(path).variants[0]
        folder = variant.folder
        assembly = Blueprint.of(variant.scenario, scenes_of(variant.scenario, folder), folder).assemble(1)
        assembly.run()
        return assembly

    return run


def records(assembly):
    return assembly.kernel.behaviour("twin").twins.records


def test_a_campaign_reaches_every_device_of_a_fleet(ran):
    """Through the broker, over the devices' own sessions."""
    (job,) = jobs(records(ran()))

    assert (job["status"], job["counts"]) == ("COMPLETED", {"SUCCEEDED": 4})
    assert [thing.split("-")[0] for thing in members_of(records(ran()), "tag:pumps")] == ["pumps"] * 4


def test_commands_are_answered_across_the_wide_area(ran):
    """A round trip and the half second that the device takes."""
    assembly = ran()
    latencies = [sample.value for sample in assembly.kernel.observations.samples("command_latency")]

    assert [command.stage for command in commands(records(assembly))] == ["done"] * 4
    assert all(0.5 < latency < 1.5 for latency in latencies)


def test_a_twin_that_crashes_goes_on_with_its_campaign(ran):
    """Its store is durable: no device is told twice, and all are done."""
    crash = "timeline: [{at: 21 s, for: 20 s, fault: crash, node: twin}]\n"
    (job,) = jobs(records(ran(more=crash)))

    assert (job["status"], job["counts"]) == ("COMPLETED", {"SUCCEEDED": 4})


def test_a_campaign_that_could_never_start_is_refused(ran):
    """At its place in the file, before anything runs."""
    with pytest.raises(ScenarioError, match="per_minute is 1 to 1000") as caught:
        ran(("per_minute: 60", "per_minute: 0"))
    assert TEXT.splitlines()[caught.value.issues[0].line - 1].startswith("      - {at: 20 s")


@pytest.mark.parametrize("old", ["job: new, target: pumps", "at: 10 s, target: pumps"])
def test_what_is_asked_of_nobody_is_refused_when_all_is_put_together(old, tmp_path):
    """A misspelt fleet would otherwise be a thing that nobody has, and the campaign would wait for it."""
    path = tmp_path / "nobody.scenario.yaml"
    assert old in TEXT
    path.write_text(TEXT.replace(old, old.replace("pumps", "pmps")), encoding="utf-8")
    with pytest.raises(
        ScenarioError, match=r"'pmps' of a campaign or command is nobody; did you mean 'pumps'\?"
    ) as caught:
        put_together(load(path), "nobody.scenario.yaml")
    issue = caught.value.issues[0]
    line = path.read_text(encoding="utf-8").splitlines()[issue.line - 1]
    assert line[issue.column - 1 :].startswith("pmps")


def test_a_hand_cannot_set_what_a_device_has_not(tmp_path):
    """The nearest property is named."""
    path = tmp_path / "hand.scenario.yaml"
    fleet = (
        "fleets:\n  gates: {device: shadow_device, count: 1, at: works, via: broker,"
        " link: {medium: ethernet, path: wan, transport: tcp}, properties: {gate: {values: [shut, open]}},"
        " by_hand: [{at: 5 s, set: {gte: open}}]}\n"
    )
    path.write_text(TEXT.replace("fleets:\n", fleet), encoding="utf-8")
    with pytest.raises(ScenarioError, match="'gte', which is no property; did you mean 'gate'"):
        put_together(load(path), "hand.scenario.yaml")


def test_the_twin_keeps_telemetry_and_sets_aside_what_it_cannot_use(tmp_path):
    """Of devices that say what their type allows, nothing is set aside."""
    path = tmp_path / "kept.scenario.yaml"
    fleets = (
        "fleets:\n  meters: {device: periodic, count: 2, at: works, via: broker, every: 5 s,"
        " link: {medium: ethernet, path: wan, transport: tcp}}\n"
    )
    path.write_text(TEXT.replace("fleets:\n", fleets), encoding="utf-8")
    variant = load(path).variants[0]
    assembly = Blueprint.of(variant.scenario, scenes_of(variant.scenario, variant.folder), variant.folder)
    ran = assembly.assemble(1)
    ran.run()
    kept = records(ran).of("telemetry")

    assert {name.rpartition("-")[0] for name in kept} >= {"meters"}
    assert not ran.kernel.observations.samples("set_aside")


@pytest.mark.slow
def test_the_shipped_campaign_has_the_verdicts_it_promises():
    """Each variant fails what it says that it fails, and nothing else."""
    import windtunnel

    study = windtunnel.run("firmware_campaign")

    surprises = [
        (variant.name, requirement.name, requirement.verdict)
        for variant in study.variants
        for requirement in variant.requirements
        if variant.expectation(requirement) == "unexpected" or requirement.verdict == "INCONCLUSIVE"
    ]
    assert surprises == []
    failing = {variant.name for variant in study.variants if variant.expected_fails}
    assert failing == {"unguarded", "impatient"}
