"""The way through a message chain, and what is said of it."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scenarios.judging.chain_path import TOLERANCE_S, chain_path
from scenarios.judging.chains import LONGEST_CHAIN, longest
from scenarios.judging.runner import replicate
from scenarios.replaying.document import Explained, Happening, Replay
from scenarios.replaying.explanation import clock, explanation, fault_windows
from scenarios.results import Hop
from scenarios.shipped import load

LATE = [
    Hop(60.0, "detector", "detector", "alarm"),
    Hop(60.0, "detector", "gateway", "event/alarm", "10 ms", 0.01),
    Hop(60.01, "gateway", "sounder", "cmd/sound", "0 ms", 0.0),
    Hop(60.01, "gateway", "broker", "site/event/alarm", "lost at gateway: connection closed"),
    Hop(60.01, "sounder", "gateway", "sounder/report", "0 ms", 0.0),
    Hop(85.0, "gateway", "broker", "site/event/alarm", "100 ms", 0.1),
    Hop(85.1, "broker", "database", "site/event/alarm", "30 ms", 0.03),
    Hop(85.1, "broker", "rules", "site/event/alarm", "20 ms", 0.02),
    Hop(85.12, "rules", "broker", "site/gate/cmd/open", "0 ms", 0.0),
    Hop(85.12, "broker", "gate", "site/gate/cmd/open", "80 ms", 0.08),
    Hop(87.0, "gate", "gate", "gate_open"),
]
FAULTS = [
    Happening(55.0, "fault", "partition begins between a and b"),
    Happening(80.0, "fault", "partition ends between a and b"),
]


def document(events=()):
    return Replay(
        "t", "v", 1, 100.0, has_scene=False, scene=None, devices=[], links=[], smoke=[], queues={},
        occupancy={}, events=list(events), requirements=[],
    )  # fmt: skip


def said(chain, events=(), at_s=None):
    requirement = Explained("r", "e", is_met=False, text="", at_s=at_s, chain=list(chain))
    return " ".join(explanation(requirement, document(events)))


def test_the_way_leads_from_the_cause_to_the_effect():
    """Neither the sounder nor the database is on the way; the lost attempt and the wait are."""
    path = chain_path(LATE)

    assert path.nodes == ["detector", "gateway", "broker", "rules", "gate"]
    assert [step.kind for step in path.steps] == ["hop", "lost", "wait", "hop", "hop", "hop", "hop", "wait"]
    assert path.longest.source == "gateway"
    assert path.longest.took_s == pytest.approx(24.99)


def test_the_steps_add_up_to_the_whole_time():
    """Nothing of the time between cause and effect is left out, and nothing is counted twice."""
    path = chain_path(LATE)

    assert sum(step.took_s for step in path.steps) == pytest.approx(path.took_s)
    assert path.took_s == 27.0


@given(st.lists(st.tuples(st.floats(0, 50), st.floats(0, 50)), min_size=1, max_size=12))
def test_the_steps_of_any_relayed_message_add_up(parts):
    """Whatever each node waits and each link takes: waits and ways make up the whole.

    Waits of less than a microsecond are not told.
    """
    at_s, chain = 5.0, [Hop(5.0, "n0", "n0", "begin")]
    for number, (waited_s, taken_s) in enumerate(parts):
        at_s += waited_s
        chain.append(Hop(at_s, f"n{number}", f"n{number + 1}", f"t{number}", "", taken_s))
        at_s += taken_s
    chain.append(Hop(at_s, f"n{len(parts)}", f"n{len(parts)}", "end"))

    path = chain_path(chain)

    untold_s = TOLERANCE_S * (len(parts) + 1)
    assert sum(step.took_s for step in path.steps) == pytest.approx(at_s - 5.0, abs=untold_s)
    assert path.nodes == [f"n{number}" for number in range(len(parts) + 1)]


def test_a_lost_message_ends_the_way():
    """What is not sent again is where it ended, and that is said."""
    path = chain_path(LATE[:5])

    assert path.took_s == math.inf
    assert path.last_lost.to == "broker"
    assert "from gateway to broker was lost at 1:00.0: connection closed. It was not sent again" in said(
        LATE[:5]
    )


def test_an_older_chain_tells_its_times_in_notes():
    """Chains kept before hops said how long they took are read as well."""
    old = [Hop(hop.at_s, hop.source, hop.to, hop.topic, hop.note) for hop in LATE]

    assert chain_path(old).nodes == chain_path(LATE).nodes


def test_a_long_chain_keeps_the_way():
    """Of a chain longer than is kept, the steps that lead to the effect are kept first."""
    noise = [Hop(60.02, "sounder", "gateway", f"sounder/{n}/report", "0 ms", 0.0) for n in range(100)]
    whole = sorted([*LATE, *noise], key=lambda hop: hop.at_s)

    kept = longest(whole)

    assert len(kept) == LONGEST_CHAIN
    assert chain_path(kept).steps == chain_path(LATE).steps


def test_it_is_said_what_held_it_up_and_by_what():
    """The longest part, its share, the cause of the loss, the fault, and what came after the fault."""
    text = said(LATE, FAULTS)

    assert "From alarm at detector to gate open at gate it took 27\u00a0s." in text
    assert "waited 25\u00a0s at gateway, 93% of the time, after one attempt to reach broker" in text
    assert "(connection closed)" in text
    assert "At work meanwhile: partition between a and b, from 0:55.0 until 1:20.0." in text
    assert "After it had ended, it took another 5\u00a0s." in text


def test_a_chain_that_began_late_names_what_came_first():
    """Two detectors had to agree: the first alarm set nothing off."""
    text = said(LATE, [Happening(40.0, "alarm", "alarm", "other")])

    assert "the first alarm had come 20\u00a0s before, at 0:40.0 from other, and had not led to it" in text


def test_without_a_message_the_moment_is_named():
    """A requirement about the building is explained by its moment, or by none."""
    assert said([], at_s=591.0).endswith("It was decided at 9:51.0.")
    assert "no single moment" in said([])


def test_a_fault_that_does_not_end_lasts():
    """Faults are read from their events, in order."""
    windows = fault_windows(FAULTS[:1])

    assert windows == [("partition between a and b", 55.0, math.inf)]


def test_times_are_told_as_on_a_clock():
    """Minutes and seconds, hours where there are some; never rounded up."""
    assert [clock(at_s) for at_s in (0, 59.96, 78.3, 3661.25)] == ["0:00.0", "0:59.9", "1:18.3", "1:01:01.2"]
    assert clock(66.7597, 3) == "1:06.759"


def test_the_flagships_cut_cable_is_explained():
    """The alarm waits at the gateway until the cable is back, and then opens the gate."""
    outcome = replicate(load("car_park_fire").variant("cloud_us_cut"), 1, is_traced=True)
    path = chain_path(outcome.chains["gates open within 35 s"])

    assert path.nodes[1:4] == ["gateway", "broker", "rules"]
    assert path.end.topic == "gate_open"
    assert path.longest.source == "gateway"
    assert sum(step.took_s for step in path.steps) == pytest.approx(path.took_s)
