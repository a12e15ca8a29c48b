"""Every fault acts, is accounted for, and ends: the lines of the documentation, run."""

import random
import re
from pathlib import Path

import pytest

from scenarios.format.fault_vocabulary import FAULT_FORMS, OF_WORLD
from scenarios.format.loading import ScenarioError, load
from scenarios.wiring.assembly import Blueprint
from scenarios.wiring.vocabulary import Vocabulary

PAGE = Path(__file__).parents[2] / "docs" / "faults.md"
SITE = re.search(r"```yaml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)[1]

# what each example must cause: a loss for this reason, or one of the checks below
LOSSES = {
    "burst": "burst",
    "corrupt": "corrupt",
    "handover": "handover",
    "fade": "burst",
    "duty_cycle": "duty cycle",
    "data_cap": "data cap",
    "crash": "node down",
    "power_cut": "node down",
}


def assembled(timeline, tmp_path, seed=1):
    """The site of the documentation with this timeline, ready to run."""
    path = tmp_path / "site.scenario.yaml"
    path.write_text(SITE + "\n".join(["timeline:", *(f"  - {line}" for line in timeline)]), encoding="utf-8")
    scenario = load(path, catalogue=Vocabulary()).variants[0].scenario
    return Blueprint.of(scenario, {}, tmp_path).assemble(seed, is_traced=True)


def played(timeline, tmp_path, seed=1):
    system = assembled(timeline, tmp_path, seed)
    system.run()
    return system


@pytest.fixture(scope="module")
def quiet(tmp_path_factory):
    """A run without faults."""
    return played([], tmp_path_factory.mktemp("quiet"))


def delivered(system):
    return [(each.topic, each.to, each.ended_s) for each in system.kernel.transfers.all()]


CLOCKS = {"clock_skew": -3.0, "clock_strobe": 5.0}
REFUSALS = ("certificate_expiry", "dns_error")


@pytest.mark.parametrize("name", sorted({*FAULT_FORMS} - {*CLOCKS, *REFUSALS, *OF_WORLD}))
def test_the_example_of_each_fault_changes_the_run(name, quiet, tmp_path):
    """And every message is accounted for, which the run checks itself."""
    system = played([FAULT_FORMS[name].example], tmp_path)

    assert delivered(system) != delivered(quiet)


@pytest.mark.parametrize("name", REFUSALS)
def test_new_connections_are_refused_while_open_ones_go_on(name, quiet, tmp_path):
    """So the fault shows when a connection breaks."""
    alone = played([FAULT_FORMS[name].example], tmp_path)
    with_reset = played([FAULT_FORMS[name].example, "{at: 70 s, fault: conn_reset, link: uplink}"], tmp_path)

    assert delivered(alone) == delivered(quiet)
    assert {why for _, why in with_reset.kernel.ledger.lost} & {"certificate expired", "name not resolved"}


@pytest.mark.parametrize(("name", "skew_s"), CLOCKS.items())
def test_a_clock_is_wrong_during_the_fault_and_right_afterwards(name, skew_s, tmp_path):
    """As the node itself sees it."""
    system = assembled([FAULT_FORMS[name].example], tmp_path)
    shown_s = []
    for at_s in (59.0, 60.5, 61.5, 91.0):
        system.kernel.run(at_s)
        shown_s.append(system.kernel._nodes["gateway"].now - at_s)

    between_s = 0.0 if name == "clock_strobe" else skew_s
    assert shown_s == [0.0, skew_s, between_s, 0.0]


@pytest.mark.parametrize(("name", "cause"), LOSSES.items(), ids=LOSSES)
def test_losses_are_counted_for_their_cause(name, cause, tmp_path):
    """The ledger says what took the messages."""
    system = played([FAULT_FORMS[name].example], tmp_path)

    assert cause in {why for _, why in system.kernel.ledger.lost}


@pytest.mark.parametrize(
    "name", sorted(set(FAULT_FORMS) - {"conn_reset", "slow_close", "restart", *OF_WORLD})
)
def test_every_fault_ends_exactly(name, tmp_path):
    """Stages, counters and clocks are those of before."""
    system = assembled([FAULT_FORMS[name].example], tmp_path)
    links = system.network.topology.links
    before = {key: link.stages for key, link in links.items()}
    system.run()

    assert {key: link.stages for key, link in links.items()} == before
    assert {(link.down_count, link.cut_count, link.hold_count) for link in links.values()} == {(0, 0, 0)}
    assert {node.spec.skew_s for node in system.kernel._nodes.values()} == {0.0}
    assert all(node.is_up and node.put_off is None for node in system.kernel._nodes.values())


def test_the_page_of_faults_has_every_fault_with_its_meaning_and_line():
    """It is generated: `python docs/make_faults.py`."""
    text = PAGE.read_text(encoding="utf-8")

    missing = [
        name
        for name, form in FAULT_FORMS.items()
        if f"`{name}`" not in text or form.meaning not in text or form.example not in text
    ]
    assert missing == []


def crashed(system):
    """Nodes that were hit by messages lost at a node that is down."""
    return {where for where, why in system.kernel.ledger.lost if why == "node down"}


@pytest.mark.parametrize(
    ("choice", "count"),
    [("fleet: meters", 10), ("tag: outdoor", 3), ("select: 'meters-00*'", 9), ("fleet: meters, mode: one", 1),
     ("fleet: meters, percent: 30 %", 3), ("fleet: meters, count: 4", 4),
     ("site: site, mode: fixed, count: 2", 2)],
)  # fmt: skip
def test_selectors_choose_so_many_nodes(choice, count, tmp_path):
    """By fleet, tag, pattern and site; all, one, a number or a share."""
    system = assembled([f"{{at: 1 s, fault: crash, {choice}}}"], tmp_path)
    system.kernel.run(2.0)

    assert sum(not node.is_up for node in system.kernel._nodes.values()) == count


def test_a_random_choice_follows_the_seed(tmp_path):
    """The same seed chooses the same nodes; other seeds others."""

    def down(seed):
        system = assembled(["{at: 1 s, fault: crash, fleet: meters, count: 3}"], tmp_path, seed)
        system.kernel.run(2.0)
        return tuple(name for name, node in system.kernel._nodes.items() if not node.is_up)

    assert down(1) == down(1)
    assert len({down(seed) for seed in range(6)}) > 1


def test_jitter_moves_each_begin_by_less_than_it(tmp_path):
    """And not all by the same."""
    system = assembled(
        ["{at: 10 s, every: 10 s, until: 50 s, jitter: 4 s, fault: restart, node: gateway}"], tmp_path
    )
    times_s = []
    system.kernel.restart = lambda _node: times_s.append(system.kernel.now)
    system.kernel.run(60.0)

    shifts_s = [time_s - 10 * number for number, time_s in enumerate(times_s, 1)]
    assert len(shifts_s) == 5
    assert all(0 <= shift_s < 4 for shift_s in shifts_s)
    assert len(set(shifts_s)) == 5


@pytest.mark.parametrize("shape", ["halves", "bridge", "minority_third", "majorities_ring"])
def test_shapes_of_partitions_cut(shape, tmp_path):
    """Some messages meet a black hole."""
    system = played([f"{{at: 60 s, for: 30 s, fault: partition, shape: {shape}}}"], tmp_path)

    assert "partition" in {why for _, why in system.kernel.ledger.lost}


def test_faults_of_one_node_overlap_and_end_in_any_order(tmp_path):
    """A crash within a power cut and a pause around a crash leave a node that is up."""
    system = assembled(
        [
            "{at: 10 s, for: 30 s, fault: power_cut, site: site}",
            "{at: 20 s, for: 40 s, fault: crash, node: gateway}",
            "{at: 5 s, for: 70 s, fault: pause, node: gateway}",
        ],
        tmp_path,
    )
    up = []
    for at_s in (45.0, 61.0, 80.0):
        system.kernel.run(at_s)
        up.append(system.kernel._nodes["gateway"].is_up)

    assert up == [False, False, True]
    system.kernel.check_ledger()


def test_an_application_that_answers_with_errors_is_a_failed_request(tmp_path):
    """The user sees it at once, and not after a time-out."""
    system = played(["{at: 60 s, for: 60 s, fault: http_error, node: app, share: 100 %}"], tmp_path)

    failed = [each.at_s for each in system.kernel.observations.samples("request_failed")]
    assert len(failed) >= 10
    assert all(60 < at_s < 121 for at_s in failed)


def test_after_the_certificate_has_expired_a_lost_connection_does_not_come_back(tmp_path):
    """Until it is renewed."""
    timeline = [
        "{at: 30 s, for: 60 s, fault: certificate_expiry, node: broker}",
        "{at: 40 s, fault: conn_reset, link: uplink}",
    ]
    system = assembled(timeline, tmp_path)
    connected = []
    for at_s in (35.0, 80.0, 170.0):
        system.kernel.run(at_s)
        connected.append(system.kernel.behaviour("gateway").session.is_connected)

    assert connected == [True, False, True]
    assert ("gateway", "certificate expired") in system.kernel.ledger.lost


@pytest.mark.parametrize(
    ("line", "code", "text"),
    [
        ("{at: 1 s, fault: crash, fleet: metres}", "E030", "did you mean 'meters'"),
        ("{at: 1 s, fault: crash, site: here}", "E030", "here"),
        ("{at: 1 s, fault: crash, tag: indoor}", "E030", "indoor"),
        ("{at: 1 s, fault: crash, fleet: meters, mode: fixed}", "E041", "two ways"),
        ("{at: 1 s, fault: crash, fleet: meters, count: 2, percent: 5 %}", "E041", "two ways"),
        ("{at: 1 s, fault: crash, shape: halves}", "E041", "only a partition"),
        ("{at: 1 s, fault: slow_close, link: uplink}", "E041", "delay"),
        ("{at: 1 s, fault: netem, link: uplink, netem: delay 100}", "E", "100ms"),
        ("{at: 1 s, fault: netem, link: uplink, netem: los 1%}", "E", "did you mean 'loss'"),
        ("{at: 1 s, fault: burst, link: uplink, gemodel: [1 %, 200 %]}", "E", "200 %"),
        ("{at: 1 s, fault: http_error, node: app, share: 5 %, status: 200}", "E", "400"),
    ],
)
def test_a_fault_that_cannot_be_is_refused_when_the_file_is_read(line, code, text, tmp_path):
    """With its place and what to write."""
    with pytest.raises(ScenarioError) as caught:
        assembled([line], tmp_path)

    assert f"[{code}" in str(caught.value)
    assert text in str(caught.value)


@pytest.mark.parametrize("seed", range(12))
def test_all_faults_together_at_random_times_keep_the_account(seed, tmp_path):
    """Each message has one fate, and in the end every stage and node is as before."""
    dice = random.Random(seed)
    lines = [
        form.example.replace("at: 60 s", f"at: {dice.randint(5, 80)} s")
        for name, form in FAULT_FORMS.items()
        if name not in OF_WORLD
    ]
    dice.shuffle(lines)
    system = assembled(lines, tmp_path)
    before = {name: link.stages for name, link in system.network.topology.links.items()}
    system.run()

    assert {name: link.stages for name, link in system.network.topology.links.items()} == before
    assert all(node.is_up and node.put_off is None for node in system.kernel._nodes.values())
    assert {node.spec.skew_s for node in system.kernel._nodes.values()} == {0.0}


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("{at: 1 s, fault: fire, bay: L2-B016}", "needs a building"),
        ("{at: 1 s, fault: fire, bay: L2-B016, node: gateway}", "it takes no 'node'"),
        ("{at: 1 s, fault: fire}", "does nothing without a figure"),
    ],
)
def test_a_fire_needs_a_building_and_a_bay(line, text, tmp_path):
    """And stands nowhere else."""
    with pytest.raises(ScenarioError, match=text):
        assembled([line], tmp_path)
