"""One replication of a stored run again: which one, whether it is the same, and what is kept of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from scenarios.archive import Archive
from scenarios.judging.runner import Plan, replicate, simulate
from scenarios.replaying.document import Replay
from scenarios.replaying.running import choose, kept_replay, replay_name, replay_stored, stored_variant
from scenarios.replaying.trajectory import decode
from scenarios.results import decode as decode_document
from scenarios.shipped import load
from twin.errors import InputError

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
  cut:
    timeline:
      - {at: 5 s, for: 5 s, fault: partition, between: [site, cloud]}
      - {at: 12 s, for: 3 s, fault: surge, link: uplink, delay: 50 ms}
      - {at: 16 s, for: 2 s, fault: crash, node: database}
requirements:
  - {name: answers, expect: max(request => response) < 2 s, probability: 0.9, indifference: 0.1}
  - {name: asked, expect: count(request) > 5, probability: 0.9, indifference: 0.1}
run: {duration: 20 s, seed: 4, replications: 3}
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of the small site: its folder and manifest."""
    folder = tmp_path_factory.mktemp("small")
    file = folder / "small.scenario.yaml"
    file.write_text(SMALL, encoding="utf-8")
    scenario, plan = load(file), Plan(workers=1)
    archive = Archive.open(folder / "runs", scenario, plan)
    archive.close(simulate(scenario, plan), "done")
    return archive.folder, archive.manifest


def chosen(run, **wanted):
    return choose(*run, **{"variant": None, "seed": None, "requirement": None, **wanted})


def test_without_a_wish_it_shows_what_failed_first(run):
    """The cut misses a requirement in every replication."""
    choice = chosen(run)

    assert (choice.variant.name, choice.seed, choice.name) == ("cut", 4, "cut-4")


def test_a_wish_is_followed(run):
    """Variant, seed and requirement; the seed may be one that the run has not seen."""
    assert chosen(run, variant="far").variant.name == "far"
    assert chosen(run, seed=9).seed == 9
    assert chosen(run, requirement="answers").variant.name == "cut"


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"variant": "cat"}, "has no variant 'cat'; did you mean 'cut'?"),
        ({"requirement": "answer"}, "has no requirement 'answer'; did you mean 'answers'?"),
        ({"requirement": "zzz"}, "has no requirement 'zzz'; it has: answers, asked"),
    ],
)
def test_an_unknown_name_is_answered_with_the_known(run, wanted, message):
    """One sentence, with the nearest name."""
    with pytest.raises(InputError, match=message.replace("?", r"\?")):
        chosen(run, **wanted)


def test_the_stored_variant_is_the_one_that_was_run(run):
    """Even after the file has changed: its text was kept, and has the same hash."""
    folder, manifest = run
    before = stored_variant(folder, manifest, "cut")
    Path(manifest.scenario).write_text("scenario: 1\n", encoding="utf-8")
    after = stored_variant(folder, manifest, "cut")
    Path(manifest.scenario).write_text(SMALL, encoding="utf-8")

    assert before.hash == after.hash == load(manifest.scenario).variant("cut").hash


def test_a_replay_has_the_result_of_the_run(run):
    """Compared with what the run has kept, and nothing to compare with for another seed."""
    assert replay_stored(run[0], chosen(run)).is_same is True
    assert replay_stored(run[0], chosen(run, seed=9)).is_same is None


def test_a_difference_is_noticed(run, tmp_path):
    """As if the product had changed since."""
    folder, manifest = run
    copy = tmp_path / folder.name
    copy.mkdir()
    for each in folder.iterdir():
        if each.is_file():
            (copy / each.name).write_bytes(each.read_bytes())
    rows = json.loads((copy / "metrics.json").read_bytes())
    for row in rows:
        row["metrics"]["messages_sent"] += 1.0
    (copy / "metrics.json").write_text(json.dumps(rows), encoding="utf-8")

    assert replay_stored(copy, chosen((copy, manifest))).is_same is False


def test_without_a_scene_there_is_all_but_a_trajectory(run, tmp_path):
    """Devices, links, events and chains; the document comes back as it was written."""
    found = replay_stored(run[0], chosen(run))
    found.keep(tmp_path / "replay")
    document = decode_document((tmp_path / "replay" / "replay.json").read_bytes(), Replay)

    assert [path.name for path in (tmp_path / "replay").iterdir()] == ["replay.json"]
    assert (document.has_scene, document.scene, document.agents) == (False, None, {})
    assert document == found.document
    assert document.metrics == replicate(chosen(run).variant, 4).metrics


def test_links_and_nodes_have_their_states(run):
    """Cut while partitioned, degraded while slowed; a node that crashed is dead until it is up."""
    document = replay_stored(run[0], chosen(run)).document
    links = {link.name: link.states for link in document.links}
    database = next(device for device in document.devices if device.node == "database")
    faults = [(event.at_s, event.text) for event in document.events if event.kind == "fault"]

    cut = [(0.0, "up"), (5.0, "cut"), (10.0, "up"), (12.0, "degraded"), (15.0, "up")]
    assert links["uplink"] == links["uplink/back"] == cut
    assert database.states == [(0.0, "up"), (16.0, "dead"), (18.0, "up")]
    assert faults[:2] == [
        (5.0, "partition begins between site and cloud"),
        (10.0, "partition ends between site and cloud"),
    ]
    assert (16.0, "crash begins at node database") in faults


def test_a_missed_requirement_says_when_and_by_which_messages(run):
    """The request that got no answer was sent while the cable was cut, and its message came late or never."""
    document = replay_stored(run[0], chosen(run)).document
    missed = next(each for each in document.requirements if each.name == "answers")

    assert not missed.is_met
    assert missed.at_s is not None
    assert [(hop.source, hop.to) for hop in missed.chain][:2] == [("manager", "manager"), ("manager", "app")]


def test_names_of_replays_are_fit_for_a_path():
    """Names of a matrix hold what a path may not; two that look alike stay apart."""
    assert replay_name("cloud_us", 3) == "cloud_us-3"
    assert "/" not in replay_name("a/b [x=1]", 3)
    assert replay_name("a b", 1) != replay_name("a/b", 1)
    assert not replay_name("../x", 1).startswith(".")


def test_a_replay_of_the_flagship_is_complete(car_park):
    """Fire, smoke, queues, events and, for each missed requirement, its moment and chain."""
    from scenarios.replaying.running import replay

    found = replay(car_park.variant("cloud_us_cut"), 1)
    document = found.document
    header, frames = decode(found.trajectory)
    missed = {each.name: each for each in document.requirements if not each.is_met}
    gate = next(device for device in document.devices if device.node == "GA")

    assert document.fire == ("L2-B016", 0.0)
    assert [series.level for series in document.smoke] == ["L2"]
    assert document.smoke[0].visibility_m[0] is None
    assert {"L3-S1-door", "L2-RD", "S1-EXIT", "GA"} <= set(document.queues)
    assert document.occupancy["people on L3"][-1][1] == 0.0
    assert [state for _, state in gate.states] == ["closed", "opening", "open"]
    assert (gate.level, gate.feature) == ("L1", "GA")
    assert [event.at_s for event in document.events] == sorted(event.at_s for event in document.events)
    assert "gates open within 35 s" in missed
    notes = [hop.note for hop in missed["gates open within 35 s"].chain]
    assert any(note.startswith("lost at") for note in notes)
    assert all(each.chain and each.at_s for each in missed.values())
    assert len(frames.x) == header.frames


def test_the_slowest_chain_explains_a_latency_along_chains(run):
    """Of all requests that were answered, the one that waited longest."""
    found = replay_stored(run[0], chosen(run, variant="far"))
    answers = next(each for each in found.document.requirements if each.name == "answers")

    assert answers.is_met
    assert answers.chain[-1].at_s - answers.chain[0].at_s == pytest.approx(
        found.outcome.judgements["answers"].value
    )


def test_of_too_many_events_the_rare_ones_are_all_kept():
    """Frequent kinds are thinned evenly over the whole run."""
    from scenarios.replaying.document import Happening
    from scenarios.replaying.notes import MOST_EVENTS, most_telling

    often = [(True, Happening(float(number), "alarm", "alarm")) for number in range(20_000)]
    seldom = [(True, Happening(7.5, "fire", "a car begins to burn"))]
    kept, omitted = most_telling([*often, *seldom])

    assert len(kept) == MOST_EVENTS
    assert omitted == 15_001
    assert [event for event in kept if event.kind == "fire"] == [seldom[0][1]]
    assert kept[0].at_s == 0.0
    assert kept[-1].at_s > 19_990.0


def test_a_shadow_gate_is_seen_by_what_it_does():
    """It observes nothing of its boom, but it moves it."""
    from scenarios.replaying.running import replay

    document = replay(load("gate_hazard").variants[0], 1).document
    gate = next(device for device in document.devices if device.node == "GA-shadow")

    assert {state for _, state in gate.states} == {"open", "closed"}
    assert any(event.node == "GA-shadow" and event.kind == "gate" for event in document.events)


def test_faults_by_hand_are_part_of_the_variant(run, tmp_path):
    """What was cut by hand while the run was watched is cut again, at the same times to the bit."""
    folder, manifest = run
    (tmp_path / "scenario.resolved.yaml").write_bytes((folder / "scenario.resolved.yaml").read_bytes())
    entry = "timeline:\n- {at: 2.5000000001 s, for: 1 s, fault: down, link: uplink}\n"
    (tmp_path / "timeline.yaml").write_text(entry, encoding="utf-8")
    variant = stored_variant(tmp_path, manifest, "far")

    assert [(each.at_s, each.fault) for each in variant.scenario.timeline] == [(2.5000000001, "down")]
    assert variant.hash != stored_variant(folder, manifest, "far").hash


def test_a_watched_run_has_its_replay_already(run, tmp_path):
    """It was recorded while somebody gave orders; it is not run again."""
    folder, _ = run
    choice = chosen(run)
    found = replay_stored(folder, choice)
    found.keep(tmp_path / "replays" / choice.name)

    assert kept_replay(tmp_path, choice) is None
    (tmp_path / "watch.json").write_text("{}", encoding="utf-8")
    assert kept_replay(tmp_path, choice) == found.document


def test_a_live_run_is_not_compared(run, tmp_path):
    """Its times were real, so a simulation of it cannot be the same."""
    folder, manifest = run
    for name in ("scenario.resolved.yaml", "metrics.json", "study.json"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    (tmp_path / "live.json").write_text("{}", encoding="utf-8")

    assert replay_stored(tmp_path, chosen((tmp_path, manifest))).is_same is None


def test_a_rule_that_fires_and_orders_nothing_ends_the_chain(car_park):
    """Where every car is authorised, no gate is told to open: the chain leads to the rule and no further."""
    from scenarios.replaying.running import replay

    document = replay(car_park.variant("authorise_by_cloud"), 1).document
    gates = next(each for each in document.requirements if each.name == "gates open within 35 s")

    assert (gates.chain[0].topic, gates.chain[-1].topic) == ("alarm", "rule_fired")
    assert len(gates.chain) < 8
