"""From a scenario's text to a running system: what each key does, seen in what the system then does."""

from itertools import pairwise

import pytest

from network.stages.loss import Loss
from network.wan import route_events
from scenarios.format import schema
from scenarios.format.issues import ScenarioError
from scenarios.format.loading import parse
from scenarios.judging.runner import replicate
from scenarios.shipped import load
from scenarios.wiring.assembly import Blueprint
from scenarios.wiring.members import scenes_of
from scenarios.wiring.nodes import make_station
from scenarios.wiring.vocabulary import Vocabulary
from twin.kernel.flight import Flight
from twin.kernel.randomness import Streams
from twin.message import Message

SITE = """\
scenario: 1
title: Wiring
sites: {site: {metro: singapore}, cloud: {metro: ashburn}}
fleets:
  meters: {device: periodic, count: 3, at: site, via: gateway, link: ethernet, every: 1 s}
  gates: {device: boom_gate, count: 2, at: site, via: gateway, link: ethernet}
nodes:
  gateway: {kind: gateway, at: site, heartbeat: 0 s}
  broker: {kind: mqtt_broker, at: cloud}
  rules: {kind: rule_engine, runs_on: broker, rules: fire}
  database: {kind: database, runs_on: broker}
  app: {kind: application, at: cloud, database: database}
  manager: {kind: user, at: site, application: app, every: 2 s}
links:
  - {name: uplink, between: [gateway, broker], path: wan, access: gpon, tls: "1.3", qos: 1}
requirements: [{name: answers, expect: p95(request => response) < 2 s}]
run: {duration: 60 s, seed: 1}
"""


@pytest.fixture
def site(tmp_path):
    """The scenario with some of its text replaced."""

    def write(*changes, more=""):
        text = SITE
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        (tmp_path / "site.scenario.yaml").write_text(text + more, encoding="utf-8")
        return load(tmp_path / "site.scenario.yaml")

    return write


def assemble(variant, seed=1, *, is_traced=True):
    scenes = scenes_of(variant.scenario, variant.folder)
    return Blueprint.of(variant.scenario, scenes, variant.folder).assemble(seed, is_traced=is_traced)


def ran(variant, seed=1):
    """The assembly after its run, whose ledger has been checked."""
    assembly = assemble(variant, seed)
    assembly.run()
    return assembly


def legs(assembly, source, to, topic=""):
    """(sent, ended, outcome) of the transfers between two nodes."""
    return [
        (leg.sent_s, leg.ended_s, leg.outcome)
        for trace in range(1, 10_000)
        for leg in assembly.kernel.transfers.of_trace(trace)
        if (leg.source, leg.to) == (source, to) and topic in leg.topic
    ]


# nodes and links -----------------------------------------------------------------------------------------


def test_a_fleet_of_a_count_has_numbered_nodes_at_its_site(site):
    """Three digits at least, in the order of the file after the nodes."""
    members = assemble(site().variants[0]).members

    devices = [(each.node, each.site, each.via) for each in members if each.fleet]
    assert devices[:3] == [(f"meters-00{n}", "site", "gateway") for n in (1, 2, 3)]
    assert [name for name, _, _ in devices[3:]] == ["gates-001", "gates-002"]


@pytest.mark.parametrize("host", ["broker", "gateway"])
def test_a_rule_engine_works_on_the_broker_and_on_the_gateway(site, host):
    """An alarm of a device opens both gates, and the engine is joined to its host without delay."""
    scenario = site(
        ("runs_on: broker, rules: fire", f"runs_on: {host}, rules: fire"),
        (
            "fleets:\n",
            (
                "fleets:\n  alarm: {device: replay, count: 1, at: site, via: gateway, link: ethernet, qos: 1,"
                " times: [5 s], topic: smoke_detector/alarm-001/event/alarm}\n"
            ),
        ),
    )
    assembly = ran(scenario.variants[0])

    opened = assembly.kernel.observations.samples("gate_command")
    assert sorted(sample.node for sample in opened) == ["gates-001", "gates-002"]
    assert all(5.0 < sample.at_s < 7.0 for sample in opened)
    assert {ended - sent for sent, ended, _ in legs(assembly, "rules", host)} == {0.0}


def test_a_replay_sends_at_the_times_of_its_file(site, tmp_path):
    """With the sizes of the file, from each device."""
    (tmp_path / "times.csv").write_text("seconds,bytes\n1.5,10\n2.25,700\n", encoding="utf-8")
    scenario = site(
        ("device: periodic, count: 3", "device: replay, count: 3, file: times.csv"), (", every: 1 s}", "}")
    )
    assembly = ran(scenario.variants[0])

    sent = [sent_s for n in (1, 2, 3) for sent_s, _, _ in legs(assembly, f"meters-00{n}", "gateway")]
    assert sent == [1.5, 2.25] * 3


def test_a_trace_drives_its_link(site, tmp_path):
    """Half the measured round trip, each way; no answer in the trace is a loss."""
    (tmp_path / "way.csv").write_text("seconds,round_trip_s\n0,0.2\n30,0.4\n60,0.4\n", encoding="utf-8")
    scenario = site(
        ('path: wan, access: gpon, tls: "1.3", qos: 1', "path: ethernet, transport: datagram, trace: way.csv")
    )
    assembly = ran(scenario.variants[0])

    delays = [(sent, ended - sent) for sent, ended, _ in legs(assembly, "gateway", "broker", "telemetry")]
    assert [d for sent, d in delays if 1 < sent < 29] == [pytest.approx(0.1, abs=1e-3)] * 84
    assert {round(d, 2) for sent, d in delays if sent > 31} == {0.2}


def test_devices_placed_by_a_generated_scene_have_its_names(site):
    """Two levels: two gates of the building, each with its camera's place."""
    scenario = site(
        ("site: {metro: singapore}", "site: {metro: singapore, scene: {levels: 2, bays: 20}}"),
        ("device: boom_gate, count: 2", "device: boom_gate, placed_by: scene"),
        ("run: {duration", "world: {people: 5, cars: 3}\nrun: {duration"),
    )
    assembly = assemble(scenario.variants[0])

    assert [each.node for each in assembly.members if each.fleet == "gates"] == ["GA", "GB"]
    assert assembly.building is not None


# stations, warm-up, end ----------------------------------------------------------------------------------


def test_a_station_serves_one_message_after_the_other(site):
    """100 ms each at the broker: the next of two neighbours waits for the first."""
    scenario = site(
        (
            "broker: {kind: mqtt_broker, at: cloud}",
            "broker: {kind: mqtt_broker, at: cloud, station: {service: 100 ms}}",
        )
    )
    assembly = ran(scenario.variants[0])

    ends = sorted(ended for _, ended, _ in legs(assembly, "gateway", "broker") if ended > 5)
    assert len(ends) > 100
    assert min(b - a for a, b in pairwise(ends)) > 0.0999


def test_a_full_station_drops_and_says_where(site):
    """One server of two seconds and a queue of three: what does not fit is lost, and all is accounted for."""
    scenario = site(
        (
            "broker: {kind: mqtt_broker, at: cloud}",
            "broker: {kind: mqtt_broker, at: cloud, station: {service: 2 s, queue: 3 messages}}",
        )
    )
    outcome = replicate(scenario.variants[0], 1)

    lost = {place: count for place, count in outcome.tally.lost.items() if place.startswith("broker:")}
    assert sum(lost.values()) > 10
    tally = outcome.tally
    assert tally.sent == tally.delivered + sum(tally.lost.values()) + tally.in_flight


def test_the_warm_up_is_left_out_of_judgement(site):
    """Nothing that was observed in the first 50 of 60 seconds counts."""
    scenario = site(
        ("expect: p95(request => response) < 2 s", "expect: count(request) < 10"),
        ("duration: 60 s", "duration: 60 s, warm_up: 50 s"),
    )
    judged = replicate(scenario.variants[0], 1).judgements["answers"]

    assert judged.value in {4.0, 5.0, 6.0}


def test_a_run_ends_when_its_condition_is_met(site):
    """Asked every ten seconds."""
    scenario = site(("duration: 60 s", "duration: 60 s, stop_when: count(request) >= 8"))

    assert replicate(scenario.variants[0], 1).duration_s == 20.0


# requirements --------------------------------------------------------------------------------------------


def test_during_and_after_judge_a_part_of_the_run(site):
    """While the cable is cut nothing is answered; after the heal everything is."""
    scenario = site(
        (
            "requirements: [{name: answers, expect: p95(request => response) < 2 s}]",
            (
                "timeline: [{at: 20 s, for: 20 s, fault: partition, between: [site, cloud]}]\n"
                "requirements:\n"
                "  - {name: cut, expect: count(response during partition) == 0}\n"
                "  - {name: healed, expect: count(response after 45 s) > 5}\n"
                "  - {name: before, expect: count(response) > 10}"
            ),
        )
    )
    judgements = replicate(scenario.variants[0], 1).judgements

    assert {name: each.is_met for name, each in judgements.items()} == {
        "cut": True,
        "healed": True,
        "before": True,
    }


def test_bytes_that_leave_are_counted_by_site_and_country(site):
    """Everything crosses the border here; nothing of it is personal."""
    scenario = site(
        (
            "requirements: [{name: answers, expect: p95(request => response) < 2 s}]",
            (
                "requirements:\n"
                "  - {name: site, expect: 'bytes(all, leaving site) > 0 B'}\n"
                "  - {name: country, expect: 'bytes(all, leaving SG) > 0 B'}\n"
                "  - {name: personal, expect: 'bytes(personal, leaving singapore) == 0 B'}"
            ),
        )
    )
    judgements = replicate(scenario.variants[0], 1).judgements

    assert judgements["site"].value == judgements["country"].value > 10_000
    assert judgements["personal"].value == 0


def test_a_matrix_multiplies_variants(site):
    """Two metros by two rates."""
    scenario = site(
        more="matrix: {sites.cloud.metro: [singapore, ashburn], fleets.meters.every: [1 s, 2 s]}\n"
    )

    assert len(scenario.variants) == 4
    assert len({variant.hash for variant in scenario.variants}) == 4
    sent = [replicate(variant, 1).tally.sent for variant in scenario.variants]
    assert sent[0] > sent[1]


# faults through the kernel ---------------------------------------------------------------------------------


def with_faults(site, *entries):
    lines = "".join(f"  - {{{entry}}}\n" for entry in entries)
    return site(("requirements: [{", f"timeline:\n{lines}requirements: [{{")).variants[0]


def answers(assembly, from_s, to_s):
    """Latencies of the answers to requests of an interval; a request without an answer counts as None."""
    observations = assembly.kernel.observations
    ends = {sample.trace: sample.at_s for sample in observations.samples("response")}
    return [
        ends[sample.trace] - sample.at_s if sample.trace in ends else None
        for sample in observations.samples("request")
        if from_s <= sample.at_s < to_s
    ]


@pytest.mark.parametrize(
    "fault",
    [
        "fault: partition, between: [site, cloud]",
        "fault: partition, between: [cloud, site], one_way: true",
        "fault: crash, node: app",
    ],
    ids=["partition", "one way", "crash"],
)
def test_nothing_is_answered_while_it_is_cut_and_all_is_later(site, fault):
    """From 20 s to 30 s; what was asked in time before, and from five seconds after, is answered."""
    assembly = ran(with_faults(site, f"at: 20 s, for: 10 s, {fault}"))

    assert None not in answers(assembly, 0, 18)
    assert not any(answer is not None and answer < 0.9 for answer in answers(assembly, 20.3, 29))
    assert None not in answers(assembly, 35, 57)


def test_a_partition_that_comes_again_is_there_each_time(site):
    """Every 20 s from 10 s on until 50 s, for 5 s."""
    assembly = ran(
        with_faults(
            site, "at: 10 s, for: 5 s, every: 20 s, until: 50 s, fault: partition, between: [site, cloud]"
        )
    )
    delivered = [ended for _, ended, outcome in legs(assembly, "gateway", "broker") if outcome == "delivered"]

    for begin_s in (10, 30, 50):
        assert [at for at in delivered if begin_s + 0.2 < at < begin_s + 5] == []
        assert [at for at in delivered if begin_s - 5 < at < begin_s] != []


def test_a_surge_is_added_to_each_way(site):
    """300 ms more, so an answer takes 600 ms more."""
    assembly = ran(with_faults(site, "at: 20 s, for: 20 s, fault: surge, link: uplink, delay: 300 ms"))
    calm, surged = (sorted(answers(assembly, *part)) for part in ((0, 19), (21, 38)))

    assert surged[len(surged) // 2] - calm[len(calm) // 2] == pytest.approx(0.6, abs=0.02)


def test_held_messages_are_released_in_order_when_the_hold_ends(site):
    """What was sent meanwhile arrives after 40 s, nothing is lost."""
    scenario = with_faults(site, "at: 20 s, for: 20 s, fault: hold, link: meters")
    assembly = ran(scenario)
    held = [leg for n in (1, 2, 3) for leg in legs(assembly, f"meters-00{n}", "gateway") if 20 < leg[0] < 40]

    assert len(held) == 60
    assert all(ended >= 40.0 and outcome == "delivered" for _, ended, outcome in held)


def test_a_burst_loses_its_share(site):
    """Half of what three meters send in 40 s."""
    assembly = ran(with_faults(site, "at: 10 s, for: 40 s, fault: burst, select: 'meters-*', loss: 50 %"))
    outcomes = [
        outcome != "delivered"
        for n in (1, 2, 3)
        for sent, _, outcome in legs(assembly, f"meters-00{n}", "gateway")
        if 10 < sent < 50
    ]

    assert 40 <= sum(outcomes) <= 80
    assert len(outcomes) == 120


@pytest.mark.parametrize("node", ["broker", "gateway"])
def test_after_a_crash_the_sessions_are_open_again_and_rules_subscribed(site, node):
    """Down from 20 s to 25 s; an alarm at 50 s opens the gates."""
    scenario = site(
        (
            "fleets:\n",
            (
                "fleets:\n  alarm: {device: replay, count: 1, at: site, via: gateway, link: ethernet, qos: 1,"
                " times: [50 s], topic: smoke_detector/alarm-001/event/alarm}\n"
            ),
        ),
        ("kind: gateway, at: site,", "kind: gateway, at: site, keep_alive: 5 s,"),
        (
            "requirements: [{",
            f"timeline: [{{at: 20 s, for: 5 s, fault: crash, node: {node}}}]\nrequirements: [{{",
        ),
    )
    opened = ran(scenario.variants[0]).kernel.observations.samples("gate_command")

    assert sorted(sample.node for sample in opened if sample.at_s > 50) == ["gates-001", "gates-002"]


def test_a_link_that_is_down_is_gone_round(site):
    """A second way over another node takes the messages; TCP waits for no timer there."""
    scenario = site(
        (
            "links:\n",
            (
                "links:\n  - {name: spare-a, between: [gateway, relay], path: wan}\n"
                "  - {name: spare-b, between: [relay, broker], path: direct}\n"
            ),
        ),
        ("  database:", "  relay: {kind: mqtt_broker, at: cloud}\n  database:"),
        (
            "requirements: [{",
            "timeline: [{at: 20 s, for: 20 s, fault: down, link: uplink}]\nrequirements: [{",
        ),
    )
    assembly = ran(scenario.variants[0])

    assert None not in answers(assembly, 25, 38)


def test_a_recorded_event_changes_the_route(site):
    """Named events of the catalogue; the round trip is that of the record while it lasts."""
    name, event = next((key, each) for key, each in route_events().items())
    first, second = event["pair_or_scope"].split("-")
    scenario = site(
        (
            "site: {metro: singapore}, cloud: {metro: ashburn}",
            f"site: {{metro: {first}}}, cloud: {{metro: {second}}}",
        ),
        (
            "requirements: [{",
            (
                "timeline:\n  - {at: 20 s, for: 20 s, fault: route_change, link: uplink, "
                f"event: {name}}}\nrequirements: [{{"
            ),
        ),
    )
    assembly = ran(scenario.variants[0])
    before, after = (sorted(answers(assembly, *part)) for part in ((0, 19), (22, 38)))

    assert after[len(after) // 2] != pytest.approx(before[len(before) // 2], rel=0.02)


def test_a_skewed_clock_is_the_node_s_own(site):
    """What the gateway's own clock says is ahead; the run's clock is not."""
    assembly = assemble(with_faults(site, "at: 20 s, for: 20 s, fault: clock_skew, node: gateway, skew: 5 s"))
    seen = []
    for at_s in (19.0, 25.0, 45.0):
        assembly.kernel.call_at(at_s, lambda: seen.append(assembly.kernel._nodes["gateway"].now))
    assembly.run()

    assert seen == [19.0, 30.0, 45.0]


def test_a_station_may_take_events_and_commands_first():
    """`discipline: priority` is the explicit queue ordered by urgency; overflow and bound stay."""
    form = schema.Station.model_validate(
        {"service": "1 s", "queue": "2 messages", "overflow": "oldest", "discipline": "priority"}
    )
    station = make_station(form, lambda: Streams(1).stream("node", "service"))
    heap = []

    class Line:
        now = 0.0

        def schedule(self, at_s, flight, then):
            heap.append((at_s, flight.message.topic, flight, then))

        def lose(self, flight, where, cause):
            heap.append((f"{where}: {cause}", flight.message.topic, flight, None))

    line = Line()
    for topic in ("a/telemetry", "b/telemetry", "c/telemetry", "d/event/alarm"):
        station.accept(Flight("n", "node", Message(topic), 0.0, 1), line, (lambda _flight: None,))

    assert [(what, topic) for what, topic, _, _ in heap] == [
        (1.0, "a/telemetry"),
        ("node: queue full", "b/telemetry"),
    ]
    line.now, _, flight, then = heap[0]
    then[0](flight)
    assert heap[-1][:2] == (2.0, "d/event/alarm")


@pytest.mark.parametrize(
    ("said", "loss_ratio", "p99_ratio"),
    [("", 0.001, 1.25), (", is_public: false", 0.0001, 1.25), (", is_public: true", 0.001, 1.6)],
)
def test_a_wide_area_link_loses_by_what_it_crosses(site, said, loss_ratio, p99_ratio):
    """A backbone loses 0.01 %, the public Internet 0.1 % with more jitter; unsaid: a backbone behind it."""
    scenario = site(("path: wan", f"path: wan{said}"))
    topology = assemble(scenario.variants[0], 1).network.topology
    link = next(each for each in topology.links.values() if each.wide_area is not None)

    assert [stage.loss_ratio for stage in link.stages if isinstance(stage, Loss)] == [loss_ratio]
    law = link.wide_area.jitter.law
    assert law.p99_s / law.p50_s == pytest.approx(p99_ratio)


def test_an_unknown_metro_is_told_with_its_place_also_where_a_link_asks_for_a_round_trip():
    """How far away it is cannot be known, so the floor of light is not looked for."""
    text = (
        "scenario: 1\nsites:\n  here: {metro: singapore}\n  there: {metro: virginia}\n"
        "nodes:\n  a: {kind: gateway, at: here}\n  b: {kind: mqtt_broker, at: there}\n"
        "links:\n  - {between: [a, b], path: wan, round_trip: 200 ms}\n"
    )

    with pytest.raises(ScenarioError) as raised:
        parse(text, catalogue=Vocabulary())

    assert (raised.value.issues[0].code, raised.value.issues[0].line) == ("E025", 4)
