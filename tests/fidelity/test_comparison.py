"""Recordings of runs, and what comes of holding two of them side by side."""

import re
from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest
from msgspec import structs

from scenarios.fidelity.comparison import Tolerance, compare, judge
from scenarios.fidelity.distances import Estimate
from scenarios.fidelity.page import line, page, undecided
from scenarios.fidelity.running import circumstances, compared, lasting, record_virtual
from scenarios.format.schema import Station
from scenarios.live import LiveRun, Timeliness
from scenarios.results import encode
from scenarios.shipped import load
from twin.errors import InputError, MissingEnvironmentError
from twin.kernel import observation
from windtunnel.fidelity_commands import _tolerance

NAME = "alarm => gate_command"


@pytest.fixture(scope="module")
def variant():
    return lasting(load("alarm_drill").variants[0], 12.0)


@pytest.fixture(scope="module")
def virtual(variant):
    return record_virtual(variant, 1)


def slower(variant, service_s):
    """The variant with a broker that takes so long for each message."""
    scenario = variant.scenario
    station = Station.model_validate({"service": f"{service_s * 1e3} ms", "servers": 1000})
    broker = scenario.nodes["broker"].model_copy(update={"station": station})
    nodes = {**scenario.nodes, "broker": broker}
    return replace(variant, scenario=scenario.model_copy(update={"nodes": nodes}))


def live(recording, *, slips=0):
    late = Timeliness(1e-4, 2e-3, 5e-3, slips, 0.3 * slips)
    return LiveRun(recording.outcome, late, {"broker": "mqtt://127.0.0.1:1"}, {})


@pytest.mark.parametrize(
    ("estimate", "verdict"),
    [
        (Estimate(1.0, 0.5, 2.0), "PASS"),
        (Estimate(1.0, 0.5, 2.1), "INCONCLUSIVE"),
        (Estimate(3.0, 2.5, 4.0), "FAIL"),
        (Estimate(-3.0, -4.0, -2.5), "FAIL"),
        (Estimate(0.0, -9.0, 9.0), "INCONCLUSIVE"),
    ],
)
def test_the_whole_interval_decides(estimate, verdict):
    """Inside what is allowed, outside it, or neither."""
    assert judge(estimate, 2.0) == verdict


def test_steps_are_compared_where_both_runs_kept_all_transfers(variant, virtual, monkeypatch):
    """Of a long run the last transfers are not kept; the time of their chains is not put down to a node."""
    monkeypatch.setattr(observation.Transfers.__init__, "__defaults__", (len(virtual.chains[NAME]) * 6,))
    cut = record_virtual(variant, 1)
    known = [chain for chain in cut.chains[NAME].values() if chain.steps]

    assert 100 < len(known) < len(virtual.chains[NAME]) - 100
    assert all(sum(took_s for _, took_s in each.steps) == pytest.approx(each.latency_s) for each in known)
    assert all(step.difference_s == 0.0 for step in compare(virtual, cut, Tolerance()).steps[NAME])


def test_the_steps_of_a_chain_add_up_to_its_latency(virtual):
    """No time is lost between links and nodes, and each chain goes up, through the rule, and down."""
    chains = virtual.chains[NAME]

    assert len(chains) > 450
    for chain in chains.values():
        names = [name for name, _ in chain.steps]
        assert sum(took_s for _, took_s in chain.steps) == pytest.approx(chain.latency_s)
        assert [name for name in names if ">" in name] == [
            "drill_button > gateway",
            "gateway > mqtt_broker",
            "mqtt_broker > rule_engine",
            "rule_engine > mqtt_broker",
            "mqtt_broker > gateway",
            "gateway > boom_gate",
        ]


def test_a_run_is_no_distance_from_itself(virtual):
    """Everything equal, everything PASS."""
    found = compare(virtual, virtual, Tolerance())

    assert found.verdict == "PASS"
    assert [each.ks for each in (*found.latencies, *found.hops)] == [0.0] * (1 + len(found.hops))
    assert all(step.difference_s == 0.0 for step in found.steps[NAME])
    assert all(each.verdict == "PASS" for each in (*found.requirements, *found.losses))


def test_a_slower_broker_is_found_and_named(variant, virtual):
    """Ten milliseconds at the broker, which a chain comes through twice, are in the steps and fail it.

    Answers come so much later as well, and windows are full a little longer.
    """
    found = compare(virtual, record_virtual(slower(variant, 0.010), 1), Tolerance())
    steps = {step.name: step.difference_s for step in found.steps[NAME]}

    assert found.verdict == "FAIL"
    assert found.latencies[0].quantiles[0].difference_s == pytest.approx(0.0215, abs=0.003)
    assert steps["at mqtt_broker"] == pytest.approx(0.010, abs=1e-6)
    assert steps["at mqtt_broker (2)"] == pytest.approx(0.010, abs=1e-6)


def test_chains_that_met_a_fault_are_shown_apart(variant):
    """A partition of a second delays its own site's chains only, and they are not judged."""
    cut = variant.scenario.model_validate(
        {
            **variant.data,
            "variants": {},
            "timeline": [{"at": "4 s", "for": "1 s", "fault": "partition", "between": ["a", "cloud"]}],
            "run": {"duration": "12 s", "seed": 1},
        }
    )
    recording = record_virtual(replace(variant, scenario=cut), 1)
    found = compare(recording, recording, Tolerance())

    assert found.latencies[0].virtual_count + found.touched[0].virtual_count == len(recording.chains[NAME])
    assert all(quantile.verdict is None for quantile in found.touched[0].quantiles)
    assert [each.where for each in found.losses] == ["outside faults", "in and after faults"]


def test_a_run_that_was_not_in_real_time_is_refused(virtual):
    """One sentence says by how much, and what to do."""
    with pytest.raises(MissingEnvironmentError, match=r"slipped 2 times, 0\.60 s in all; try again"):
        compared(virtual, virtual, live(virtual, slips=2), Tolerance())


def test_the_report_is_one_well_formed_page(variant, virtual):
    """It names the level of the links, draws both distributions, and shows hostile names as text."""
    comparison = compare(virtual, virtual, Tolerance())
    hostile = replace(variant, name="<script>x</script>")
    found = circumstances(
        hostile, "alarm_drill", "broker at mqtt://b", live(virtual), Tolerance(), comparison
    )
    text = page(found)

    ET.fromstring(text.removeprefix("<!DOCTYPE html>\n"))  # noqa: S314  (our own page)
    assert "same law" in text
    assert text.count('class="line virtual"') == text.count('class="line live"') == 1
    assert "<script>" not in text
    assert re.search(r"median (\d+) ms live, \1 ms simulated \(0 %\)", line(found))
    assert b'"verdict":"PASS"' in encode(found)


def test_what_is_not_decided_is_named_with_what_decides_it(variant, virtual):
    """The quantiles whose interval reaches beyond what is asked; nothing where all is decided."""
    comparison = compare(virtual, virtual, Tolerance())
    (latency,) = comparison.latencies
    median, *tail = latency.quantiles
    wide = [structs.replace(median, verdict="INCONCLUSIVE"), *tail]
    latencies = [structs.replace(latency, quantiles=wide)]
    unsure = structs.replace(comparison, verdict="INCONCLUSIVE", latencies=latencies)
    decided, open_ = (
        circumstances(variant, "alarm_drill", "b", live(virtual), Tolerance(), each)
        for each in (comparison, unsure)
    )
    assert undecided(decided) == ""
    assert undecided(open_).startswith("no defect: p50 may agree")


@pytest.mark.parametrize("text", ["median", "mean=2%", "p99:5%"])
def test_a_tolerance_that_is_none_is_one_sentence(text):
    """It says what may be asked."""
    with pytest.raises(InputError, match="expected median=SHARE, p99=SHARE or loss=SHARE"):
        _tolerance([text])


def test_tolerances_are_read_as_shares():
    """What is not given keeps its default."""
    assert _tolerance(["median=1 %", "loss=0.5"]) == Tolerance(0.01, 0.05, 0.5)
