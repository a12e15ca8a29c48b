import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin.message import Message
from twin.state.quality import Standing, age_s, described, qualities, quality_of
from twin.state.sessions import Sessions
from twin.state.shadow import SHADOW, Shadows
from twin.state.twins import Twins


class Types:
    """A type whose gate may be 10 s old and whose battery an hour."""

    def max_ages_s(self, _thing, _records):
        return {"gate": 10.0, "battery": 3_600.0}


def gate_at(now_s, reported, **members):
    """Twins with one gate that reported at a time."""
    twins = Twins([Sessions(), Shadows()])
    report(twins, now_s, {"reported": reported}, **members)
    return twins


def report(twins, now_s, state, **members):
    payload = json.dumps({"state": state, **members}).encode()
    twins.handle(Message("$aws/things/gate/shadow/update", payload), now_s)


def read(twins, now_s, **standing):
    return described("gate", twins.records.get(SHADOW, "gate"), twins.records, now_s, Standing(**standing))


def test_a_value_ages_and_goes_stale():
    """Each value has the age of its own last report, and its own greatest age."""
    twins = gate_at(100.0, {"gate": "open", "battery": 90})
    report(twins, 105.0, {"reported": {"battery": 89}})
    document = read(twins, 111.5, types=Types())
    assert document["quality"] == {
        "/gate": {"age_s": 11.5, "quality": "stale"},
        "/battery": {"age_s": 6.5, "quality": "good"},
    }
    assert document["twin"] == "stale"
    assert document["timestamp"] == 111
    assert read(twins, 109.0, types=Types())["twin"] == "live"


def test_the_age_counts_from_the_event_if_the_clock_can_be_believed():
    """A report that was held back is older than its receipt; one from the future is not."""
    held_back = gate_at(100.0, {"gate": "open"}, eventTime=40.0)
    assert read(held_back, 101.0)["quality"]["/gate"]["age_s"] == 61.0
    assert read(held_back, 101.0, is_event_time_trusted=False)["quality"]["/gate"]["age_s"] == 1.0
    from_the_future = gate_at(100.0, {"gate": "open"}, eventTime=5_000.0)
    assert read(from_the_future, 101.0)["quality"]["/gate"]["age_s"] == 1.0


def test_a_dead_session_makes_every_value_stale():
    """However young it is; a birth makes it good again."""
    twins = gate_at(100.0, {"gate": "open"})
    for online, session, quality in ((True, 1, "good"), (False, 1, "stale"), (True, 2, "good")):
        payload = json.dumps({"online": online, "session": session}).encode()
        twins.handle(Message("site/park/gate/gate/session", payload), 101.0)
        assert read(twins, 102.0)["quality"]["/gate"]["quality"] == quality


def test_what_was_never_reported_is_unknown():
    """A desired value and a property that the type knows have no age."""
    twins = gate_at(100.0, {"gate": "open"})
    report(twins, 100.0, {"desired": {"lamp": {"on": True}, "gate": "closed"}})
    document = read(twins, 101.0, types=Types())
    unknown = {"age_s": None, "quality": "unknown"}
    assert document["quality"] == {
        "/gate": {"age_s": 1.0, "quality": "good"},
        "/lamp/on": unknown,
        "/battery": unknown,
    }
    assert document["twin"] == "live"
    assert document["state"]["delta"] == {"lamp": {"on": True}, "gate": "closed"}


@pytest.mark.parametrize(
    ("standing", "state"),
    [
        ({"is_branch": True, "has_broker": False, "diverged": frozenset({"gate"})}, "branch"),
        ({"has_broker": False, "diverged": frozenset({"gate"})}, "read_only"),
        ({"diverged": frozenset({"gate"}), "max_age_s": 0.5}, "diverged"),
        ({"max_age_s": 0.5}, "stale"),
        ({}, "live"),
    ],
)
def test_a_twin_has_one_state(standing, state):
    """The first that applies."""
    assert read(gate_at(100.0, {"gate": "open"}), 101.0, **standing)["twin"] == state


def test_without_the_broker_nothing_is_good():
    """A host that lost its broker does not know what it misses."""
    twins = gate_at(100.0, {"gate": "open"})
    assert read(twins, 101.0, has_broker=False)["quality"]["/gate"]["quality"] == "stale"


def test_every_kind_of_value_has_one_age():
    """Arrays are one value; an empty object has no stamp, so its age is not known; keys are escaped."""
    twins = gate_at(100.0, {"a/b": {"timestamp": [1, {"x": 2}]}, "none": {}, "list": []})
    document = read(twins, 101.0, max_age_s=10.0)
    assert document["quality"] == {
        "/a~1b/timestamp": {"age_s": 1.0, "quality": "good"},
        "/none": {"age_s": None, "quality": "stale"},
        "/list": {"age_s": 1.0, "quality": "good"},
    }
    json.dumps(document, allow_nan=False)


@given(st.floats(0.0, 1e9), st.floats(0.0, 1e9), st.floats(0.0, 1e9))
def test_an_age_is_never_negative_and_never_less_than_since_the_receipt(received, event, now):
    """A device can only make a value older, not younger."""
    least = max(0.0, now - received)
    assert age_s(received, now) == least
    assert age_s([received, event], now) >= least


def test_the_greatest_age_is_still_good():
    """The bound belongs to the good side, and no bound lets every age pass."""
    assert quality_of(10.0, 10.0, is_reachable=True) == "good"
    assert quality_of(10.1, 10.0, is_reachable=True) == "stale"
    assert quality_of(math.inf, math.inf, is_reachable=True) == "good"
    assert quality_of(1.0, 10.0, is_reachable=False) == "stale"
    assert quality_of(None, 10.0, is_reachable=False) == "unknown"


def test_qualities_are_by_path():
    """A caller that wants one value finds it."""
    twins = gate_at(100.0, {"gate": {"arm": "up"}})
    judged = qualities("gate", twins.records.get(SHADOW, "gate"), twins.records, 103.0, Standing())
    assert judged[("gate", "arm")] == (3.0, "good")
