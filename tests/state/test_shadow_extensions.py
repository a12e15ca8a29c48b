import json
from dataclasses import dataclass, field

import pytest

from twin.message import Message
from twin.state.records import Transaction
from twin.state.shadow import SHADOW, RejectedError, Shadows, ShadowSettings
from twin.state.twins import Twins

TOPIC = "$aws/things/gate/shadow"


def twins_with(schema=None, **settings):
    return Twins([Shadows(ShadowSettings(**settings), schema)])


def update(twins, now_s, desired=None, reported=None, **members):
    """Send an update; return the documents by topic suffix."""
    state = {key: value for key, value in (("desired", desired), ("reported", reported)) if value is not None}
    message = Message(f"{TOPIC}/update", json.dumps({"state": state, **members}).encode())
    return documents(twins.handle(message, now_s))


def documents(transaction):
    return {
        each.topic.removeprefix(f"{TOPIC}/update/"): json.loads(each.payload) for each in transaction.messages
    }


def desired(twins):
    return twins.records.get(SHADOW, "gate").state.desired


@dataclass
class Types:
    """A type of gates: `gate` ends after `expiry_s`, `lock` goes by its report, `angle` ends at 90."""

    expiry_s: float = 30.0
    asked: list = field(default_factory=list)

    def protected(self, _thing, changes, _records):
        return changes

    def problem(self, thing, section, changes, _records):
        self.asked.append((thing, section))
        return "angle: at most 90" if changes.get("angle", 0) > 90 else ""

    def desired_expiry_s(self, _thing, name, _records):
        return self.expiry_s if name == "gate" else float("inf")

    def is_cleared_on_report(self, _thing, name, _records):
        return name == "lock"


# expiry ----------------------------------------------------------------------------------------------


def test_a_desired_value_ends_when_its_time_is_over():
    """The version rises, the delta goes, documents are published, and it is counted."""
    twins = twins_with(has_extensions=True)
    update(twins, 10.0, desired={"gate": "open"}, expiresIn=5)
    update(twins, 11.0, desired={"mode": "auto"})
    assert twins.next_due_s() == 15.0
    assert twins.elapse(14.9).messages == []

    ended = twins.elapse(15.0)
    said = documents(ended)
    assert desired(twins) == {"mode": "auto"}
    assert said["delta"] == {
        "state": {"mode": "auto"},
        "metadata": {"mode": {"timestamp": 11}},
        "version": 3,
        "versions": {"desired": 3, "reported": 0},
        "timestamp": 15,
    }
    assert said["documents"]["previous"]["state"] == {"desired": {"gate": "open", "mode": "auto"}}
    assert said["documents"]["current"]["version"] == 3
    assert ended.observations == [("shadow_desired_ended", 1)]
    assert twins.next_due_s() == float("inf")


def test_the_last_desired_value_takes_its_section_along():
    """When the delta empties by expiry, the time for which it stood is observed."""
    twins = twins_with(desired_expiry_s=60.0)
    update(twins, 10.0, desired={"barrier": {"arm": {"gate": "open"}}})
    ended = twins.elapse(70.0)
    assert twins.records.get(SHADOW, "gate").state.tree() == {}
    assert set(documents(ended)) == {"documents"}
    assert ended.observations == [("shadow_delta_open", 60.0), ("shadow_desired_ended", 1)]


def test_desiring_anew_prolongs_only_what_was_named():
    """Each value has its own end; one that is desired without an end keeps none."""
    twins = twins_with(has_extensions=True)
    update(twins, 0.0, desired={"a": {"x": 1, "y": 1}, "b": 1, "c": 1}, expiresIn=10)
    update(twins, 5.0, desired={"a": {"x": 2}}, expiresIn=10)
    update(twins, 6.0, desired={"b": 1})
    twins.elapse(10.0)
    assert desired(twins) == {"a": {"x": 2}, "b": 1}
    twins.elapse(15.0)
    assert desired(twins) == {"b": 1}


def test_a_get_says_what_its_values_are_worth():
    """With extensions; without them it is AWS's to the letter."""
    for has_extensions in (True, False):
        twins = twins_with(has_extensions=has_extensions)
        update(twins, 0.0, reported={"a": {"x": 1}}, desired={"b": 1})
        (answer,) = twins.handle(Message(f"{TOPIC}/get"), 5.0).messages
        document = json.loads(answer.payload)
        if has_extensions:
            assert document["twin"] == "live"
            quality = document["quality"]
            assert quality["/a/x"] == {"age_s": 5.0, "quality": "good"}
            assert quality["/b"] == {"age_s": None, "quality": "unknown"}
        else:
            assert document.keys() == {"state", "metadata", "version", "timestamp"}


def test_replacing_an_object_forgets_the_ends_below():
    """A path that is no more cannot end; the value that took its place stays."""
    twins = twins_with(has_extensions=True)
    update(twins, 0.0, desired={"a": {"x": 1}, "a/b~c": [1]}, expiresIn=10)
    update(twins, 1.0, desired={"a": 5})
    twins.elapse(10.0)
    assert desired(twins) == {"a": 5}
    update(twins, 11.0, desired={"a": {"x": 1}}, expiresIn=10)
    update(twins, 12.0, desired=None, reported={"z": 1})
    message = Message(f"{TOPIC}/update", b'{"state":null}')
    twins.handle(message, 13.0)
    assert twins.next_due_s() == float("inf")


@pytest.mark.parametrize("expires_in", [0, -1, "5", True, [1], 10**400])
def test_an_expiry_must_be_a_number_above_zero(expires_in):
    """Anything else is refused with 400, and nothing is stored."""
    twins = twins_with(has_extensions=True)
    said = update(twins, 0.0, desired={"a": 1}, expiresIn=expires_in)
    assert said["rejected"]["code"] == 400
    assert twins.records.get(SHADOW, "gate") is None


def test_extensions_are_off_unless_asked_for():
    """The members are ignored as any other unknown member is, and answers show nothing more."""
    twins = twins_with()
    said = update(twins, 0.0, desired={"a": 1}, expiresIn="soon", condition=5, eventTime="noon")
    assert set(said["accepted"]) == {"state", "metadata", "version", "timestamp"}
    assert twins.next_due_s() == float("inf")


# cleared, overtaken ----------------------------------------------------------------------------------


def test_the_hazard_of_the_gate():
    """As at AWS, a gate that was opened on demand and closed by hand is told to open again."""
    for is_cleared, is_told in ((False, True), (True, False)):
        twins = twins_with(is_cleared_on_report=is_cleared)
        update(twins, 1.0, desired={"gate": "open"}, reported={"gate": "closed"})
        update(twins, 2.0, reported={"gate": "open"})
        said = update(twins, 3.0, reported={"gate": "closed"})
        assert ("delta" in said) is is_told
        assert desired(twins) == ({} if is_cleared else {"gate": "open"})


def test_a_report_clears_what_it_meets_and_nothing_else():
    """Of an object the leaves that are reported go; a different value stays desired."""
    twins = twins_with(is_cleared_on_report=True)
    update(twins, 1.0, desired={"a": {"x": 1, "y": [1, 2]}, "b": True})
    said = update(twins, 2.0, reported={"a": {"x": 1.0, "y": [2, 1]}, "b": 1})
    assert desired(twins) == {"a": {"y": [1, 2]}, "b": True}
    assert said["delta"]["state"] == {"a": {"y": [1, 2]}, "b": True}


def test_a_wish_that_is_met_already_is_cleared_at_once():
    """It can never come back as a delta."""
    twins = twins_with(is_cleared_on_report=True)
    update(twins, 1.0, reported={"gate": "open"})
    update(twins, 2.0, desired={"gate": "open"})
    assert desired(twins) == {}


def test_a_local_change_overtakes_an_older_wish():
    """Whoever turned the thermostat by hand after the wish is not overruled when the device is back."""
    twins = twins_with(keeps_newer_reports=True)
    update(twins, 1.0, reported={"target": 20})
    update(twins, 10.0, desired={"target": 25})
    update(twins, 11.0, reported={"target": 20})
    assert desired(twins) == {"target": 25}, "the same value again is no local change"
    update(twins, 12.0, reported={"target": 18}, eventTime=9.0)
    assert desired(twins) == {"target": 25}, "the change is older than the wish"
    said = update(twins, 13.0, reported={"target": 17}, eventTime=12.5)
    assert desired(twins) == {}
    assert "delta" not in said


def test_a_late_wish_is_dropped():
    """A wish made before the device reported something else is too old, however late it comes."""
    twins = twins_with(keeps_newer_reports=True)
    update(twins, 10.0, reported={"gate": "closed"}, eventTime=9.0)
    said = update(twins, 11.0, desired={"gate": "open", "lamp": 1}, eventTime=8.0)
    assert said["accepted"]["state"] == {"desired": {"gate": "open", "lamp": 1}}
    assert desired(twins) == {"lamp": 1}
    update(twins, 12.0, desired={"gate": "open"}, eventTime=9.5)
    assert desired(twins) == {"lamp": 1, "gate": "open"}


# device types ----------------------------------------------------------------------------------------


def test_a_type_refuses_ends_and_clears():
    """The schema gives the reason of a 400, the expiry of a property, and what a report clears."""
    types = Types()
    twins = twins_with(types, has_extensions=True)
    refused = update(twins, 0.0, desired={"angle": 100})
    assert (refused["rejected"]["code"], refused["rejected"]["message"]) == (400, "angle: at most 90")
    update(twins, 0.0, desired={"gate": "open", "lock": 1, "lamp": 1}, expiresIn=100)
    assert types.asked == [("gate", "desired")] * 2
    twins.elapse(30.0)
    assert desired(twins) == {"lock": 1, "lamp": 1}, "the earliest end counts"
    update(twins, 31.0, reported={"lock": 1, "lamp": 1})
    assert desired(twins) == {"lamp": 1}


# conditions ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("condition", "code"),
    [
        ({"reported.gate": "closed"}, None),
        ({"reported.gate": "open"}, 412),
        ({"/reported/gate": "closed", "reported.load": 3}, None),
        ({"reported.load": 3.0, "version": 1}, None),
        ({"reported.on": 1}, 412),
        ({"reported.load": {"<": 4, ">=": 3}}, None),
        ({"reported.load": {"<": 3}}, 412),
        ({"reported.load": {"!=": 4}}, None),
        ({"reported.load": {"<": "4"}}, 400),
        ({"reported.on": {"<": 2}}, 412),
        ({"reported.none": None}, None),
        ({"reported.gate": None}, 412),
        ({"reported.none": 1}, 412),
        ({"reported.none": {"<": 1}}, 412),
        ({"versions.reported": 1, "versions.desired": 0}, None),
        ({"desired": None}, None),
        ([], 400),
        ({}, None),
    ],
)
def test_an_update_may_have_a_condition(condition, code):
    """It is refused with 412 unless the document is as the condition says."""
    twins = twins_with(has_extensions=True)
    update(twins, 0.0, reported={"gate": "closed", "load": 3, "on": True})
    said = update(twins, 1.0, desired={"gate": "open"}, condition=condition, clientToken="t")
    if code is None:
        assert said["accepted"]["version"] == 2
    else:
        assert (said["rejected"]["code"], said["rejected"]["clientToken"]) == (code, "t")
        assert twins.records.get(SHADOW, "gate").version == 1


def test_a_shadow_may_be_created_on_condition():
    """Where nothing is, only null holds."""
    twins = twins_with(has_extensions=True)
    assert update(twins, 0.0, desired={"a": 1}, condition={"version": 1})["rejected"]["code"] == 412
    assert "accepted" in update(twins, 0.0, desired={"a": 1}, condition={"version": None})


# calls without topics --------------------------------------------------------------------------------


def test_desiring_by_call_is_an_update():
    """The values may have an end even where requests cannot ask for one."""
    shadows = Shadows()
    twins = Twins([shadows])
    transaction = Transaction(twins.records, 5.0)
    accepted = shadows.desire("gate", {"gate": "open"}, transaction, expires_s=2.0, name="cfg")
    assert accepted["state"] == {"desired": {"gate": "open"}}
    topics = [each.topic.removeprefix("$aws/things/gate/shadow/name/cfg/") for each in transaction.messages]
    assert topics == ["update/accepted", "update/delta", "update/documents"]
    assert twins.next_due_s() == 7.0
    assert shadows.names("gate", twins.records) == ["cfg"]


def test_a_refused_call_publishes_nothing():
    """Who calls hears of it alone."""
    shadows = Shadows()
    twins = Twins([shadows])
    transaction = Transaction(twins.records, 5.0)
    with pytest.raises(RejectedError, match="No shadow exists with name: 'gate'") as caught:
        shadows.get("gate", "", b"", transaction)
    assert caught.value.code == 404
    with pytest.raises(RejectedError, match="Missing required node: state"):
        shadows.update("gate", "", b"{}", transaction)
    with pytest.raises(RejectedError, match="maximum size"):
        shadows.desire("gate", {"a": "x" * 9000}, transaction)
    assert (transaction.messages, transaction.changes) == ([], [])
