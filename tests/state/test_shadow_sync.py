import math
from collections import deque
from dataclasses import dataclass, field

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twin.message import Message
from twin.state.records import Transaction
from twin.state.shadow import SHADOW, Shadows, ShadowSettings
from twin.state.shadow.merging import merged, patch
from twin.state.shadow.sync import SYNC, UPLINK, ShadowSync
from twin.state.shadow.trees import stamps_at
from twin.state.twins import Twins

TOPIC = "$aws/things/gate/shadow"
FROM_CLOUD = ("/accepted", "/rejected", "/update/documents")


@dataclass
class Pair:
    """An edge twin and a cloud twin, and a link that holds or loses what is sent while it is down."""

    strategy: str = "real_time"
    direction: str = "both"
    things: tuple = ("gate",)
    limit: int = 8_192
    conflicts: str = "three_way"
    in_full: bool = True
    now_s: float = 0.0
    is_up: bool = True
    loses: bool = False
    down: deque = field(default_factory=deque)
    up: deque = field(default_factory=deque)
    observed: list = field(default_factory=list)

    def __post_init__(self):
        shadows = Shadows(ShadowSettings(state_limit_bytes=self.limit))
        self.sync = ShadowSync(
            shadows, self.things, self.strategy, 30.0, self.direction, self.conflicts, self.in_full
        )
        self.edge = Twins([shadows, self.sync])
        self.cloud = Twins([Shadows()])
        self._at_edge(self._begun())

    def _begun(self):
        transaction = Transaction(self.edge.records, self.now_s)
        self.sync.begin(transaction)
        return transaction

    def begin(self):
        self._at_edge(self.edge.handle(Message(UPLINK), self.now_s))

    def _at_edge(self, transaction):
        self.sync.follow(transaction)
        self.observed += [name for name, _ in transaction.observations]
        requests = [each for each in transaction.messages if b'"sync-' in each.payload]
        if self.is_up or not self.loses:
            self.up.extend(each for each in requests if each.topic.endswith(("/get", "/update", "/delete")))

    def _at_cloud(self, transaction):
        answers = [each for each in transaction.messages if each.topic.endswith(FROM_CLOUD)]
        if self.is_up or not self.loses:
            self.down.extend(answers)

    def carry(self):
        """Let everything that waits arrive, if the link is up."""
        for _ in range(10_000):
            if not self.is_up or not (self.up or self.down):
                return
            if self.up:
                self._at_cloud(self.cloud.handle(self.up.popleft(), self.now_s))
            if self.down:
                self._at_edge(self.edge.handle(self.down.popleft(), self.now_s))
        pytest.fail("the two sides never come to rest")

    def at_edge(self, state, topic=TOPIC, verb="update"):
        payload = b"" if verb != "update" else msgspec.json.encode({"state": state})
        self._at_edge(self.edge.handle(Message(f"{topic}/{verb}", payload), self.now_s))

    def at_cloud(self, state, topic=TOPIC, verb="update"):
        payload = b"" if verb != "update" else msgspec.json.encode({"state": state})
        self._at_cloud(self.cloud.handle(Message(f"{topic}/{verb}", payload), self.now_s))

    def wait(self, seconds):
        until_s = self.now_s + seconds
        while self.edge.next_due_s() <= until_s:
            self.now_s = max(self.now_s, self.edge.next_due_s())
            self._at_edge(self.edge.elapse(self.now_s))
            self.carry()
        self.now_s = until_s
        self.carry()

    def heal(self):
        """The link is there again, and enough time passes."""
        self.is_up = True
        self.begin()
        self.carry()
        self.wait(500.0)

    def states(self, key="gate"):
        """The state at the edge and in the cloud; None where there is no shadow."""
        found = (twins.records.get(SHADOW, key) for twins in (self.edge, self.cloud))
        return tuple(None if each is None else each.state.tree() for each in found)


def test_each_side_hears_of_the_other():
    """A report goes up and a wish comes down at once, with a version each time."""
    pair = Pair()
    pair.carry()
    pair.at_edge({"reported": {"gate": "closed"}})
    pair.carry()
    pair.at_cloud({"desired": {"gate": "open"}})
    pair.carry()
    both = {"desired": {"gate": "open"}, "reported": {"gate": "closed"}}
    assert pair.states() == (both, both)
    assert pair.observed == []
    state = pair.edge.records.get(SYNC, "gate")
    assert (state.base, state.cloud_version, state.due_s) == (both, 2, math.inf)


def test_an_outage_is_merged_by_the_owner_of_each_section():
    """Of what changed on both sides reported is the edge's and desired the cloud's; the rest is kept."""
    pair = Pair()
    pair.at_edge({"reported": {"gate": "closed", "load": 1}, "desired": {"mode": "auto", "lamp": 1}})
    pair.wait(1.0)
    pair.is_up = False
    pair.at_edge({"reported": {"gate": "open"}, "desired": {"mode": "edge", "at_edge": 1}})
    pair.at_cloud({"reported": {"gate": "lost", "load": 2}, "desired": {"mode": "cloud", "lamp": None}})
    pair.wait(100.0)
    pair.heal()
    wanted = {
        "desired": {"mode": "cloud", "at_edge": 1},
        "reported": {"gate": "open", "load": 2},
    }
    assert pair.states() == (wanted, wanted)


@pytest.mark.parametrize(("conflicts", "lamp"), [("three_way", "cloud"), ("last_writer", "before")])
def test_the_last_writer_takes_back_what_the_other_side_wished(conflicts, lamp):
    """The whole shadow of the edge replaces that of the cloud, with the wish from before."""
    pair = Pair(conflicts=conflicts)
    pair.at_edge({"reported": {"mode": "eco"}, "desired": {"lamp": "before"}})
    pair.wait(1.0)
    pair.is_up = False
    pair.at_cloud({"desired": {"lamp": "cloud"}})
    pair.at_edge({"reported": {"mode": "comfort"}})
    pair.heal()
    assert [state["desired"] for state in pair.states()] == [{"lamp": lamp}] * 2


@pytest.mark.parametrize(("in_full", "lamp"), [(True, "cloud"), (False, "before")])
def test_without_a_fetch_after_an_outage_what_was_not_heard_stays_unheard(in_full, lamp):
    """The event of the cloud was lost with the line, and nothing here makes the edge ask."""
    pair = Pair(in_full=in_full, loses=True)
    pair.at_edge({"desired": {"lamp": "before"}})
    pair.wait(1.0)
    pair.is_up = False
    pair.at_cloud({"desired": {"lamp": "cloud"}})
    pair.heal()
    assert pair.states()[0]["desired"] == {"lamp": lamp}


def test_a_race_is_found_by_the_version():
    """Changes that cross each other end in one refusal, a get, and a merge."""
    pair = Pair()
    pair.at_edge({"reported": {"gate": "closed"}})
    pair.carry()
    pair.at_edge({"reported": {"gate": "open"}})
    pair.at_cloud({"desired": {"gate": "open"}})
    pair.carry()
    assert pair.states() == ({"desired": {"gate": "open"}, "reported": {"gate": "open"}},) * 2
    assert pair.observed == ["sync_conflict"]


def test_changes_of_one_period_are_merged():
    """A periodic sync sends one update for many changes."""
    pair = Pair(strategy="periodic")
    pair.wait(1.0)
    for value in range(10):
        pair.at_edge({"reported": {"load": value}})
        pair.carry()
        pair.wait(1.0)
    assert pair.states()[1] is None
    pair.wait(30.0)
    assert pair.states() == ({"reported": {"load": 9}},) * 2
    assert pair.cloud.records.get(SHADOW, "gate").version == 1


@pytest.mark.parametrize(
    ("direction", "edge", "cloud"),
    [
        ("to_cloud", {"reported": {"a": 1, "b": 1}}, {"reported": {"a": 1, "b": 1}}),
        ("to_edge", {"reported": {"a": 2, "c": 2}}, {"reported": {"a": 2, "c": 2}}),
        ("both", {"reported": {"a": 1, "b": 1, "c": 2}}, {"reported": {"a": 1, "b": 1, "c": 2}}),
    ],
)
def test_a_direction_lets_one_side_follow(direction, edge, cloud):
    """The side that follows becomes what the other is."""
    pair = Pair(direction=direction)
    pair.is_up = False
    pair.at_edge({"reported": {"a": 1, "b": 1}})
    pair.at_cloud({"reported": {"a": 2, "c": 2}})
    pair.heal()
    assert pair.states() == (edge, cloud)


@pytest.mark.parametrize("direction", ["both", "to_cloud", "to_edge"])
def test_an_edge_that_forgot_everything_deletes_nothing(direction):
    """Only what both sides had can be deleted; an empty edge takes over, or lets be."""
    pair = Pair(direction=direction)
    pair.at_cloud({"desired": {"gate": "open"}})
    pair.carry()
    pair.heal()
    edge, cloud = pair.states()
    assert cloud == {"desired": {"gate": "open"}}
    assert edge == (None if direction == "to_cloud" else cloud)


def test_a_deletion_is_followed_unless_the_other_side_went_on():
    """A shadow that was changed after the deletion is kept, on both sides."""
    for is_changed in (False, True):
        for delete, change in (("at_edge", "at_cloud"), ("at_cloud", "at_edge")):
            pair = Pair()
            pair.at_edge({"reported": {"a": 1}})
            pair.carry()
            pair.is_up = False
            getattr(pair, delete)(None, verb="delete")
            if is_changed:
                getattr(pair, change)({"reported": {"a": 2}})
            pair.heal()
            wanted = {"reported": {"a": 2}} if is_changed else None
            assert pair.states() == (wanted, wanted), (delete, is_changed)
            assert (pair.edge.records.get(SYNC, "gate") is None) is not is_changed


def test_a_shadow_recreated_in_the_cloud_is_kept():
    """The sync neither deletes it again nor asks for ever with an old version."""
    pair = Pair()
    pair.at_edge({"reported": {"a": 1}})
    pair.carry()
    pair.at_cloud(None, verb="delete")
    pair.at_cloud({"desired": {"b": 2}})
    pair.carry()
    pair.wait(100.0)
    assert pair.states() == ({"desired": {"b": 2}},) * 2
    pair.at_edge({"reported": {"a": 3}})
    pair.carry()
    assert pair.states() == ({"desired": {"b": 2}, "reported": {"a": 3}},) * 2
    assert "sync_conflict" not in pair.observed


def test_named_shadows_of_unlisted_things_are_synced_once_known():
    """Things may come later; what belongs to others is left alone."""
    pair = Pair(things=())
    other, named = "$aws/things/other/shadow", "$aws/things/lamp/shadow/name/cfg"
    pair.at_cloud({"desired": {"a": 1}}, topic=other)
    pair.at_edge({"reported": {"b": 1}}, topic=named)
    pair.carry()
    assert pair.states("lamp/cfg") == ({"reported": {"b": 1}},) * 2
    assert pair.states("other")[0] is None


def test_a_refusal_ends_the_attempt_and_a_later_change_goes_on():
    """What the edge cannot take is counted, and nothing runs in circles."""
    pair = Pair(limit=100)
    pair.at_edge({"reported": {"a": 1}})
    pair.carry()
    pair.at_cloud({"desired": {"b": "x" * 200}})
    pair.carry()
    pair.wait(1_000.0)
    assert pair.observed.count("sync_refused") == 1
    pair.at_cloud({"desired": {"b": "y"}})
    pair.carry()
    assert pair.states() == ({"reported": {"a": 1}, "desired": {"b": "y"}},) * 2


def test_a_silent_cloud_is_asked_less_and_less():
    """The pauses double up to a minute, so an outage fills no buffer."""
    pair = Pair()
    pair.is_up = False
    pair.at_edge({"reported": {"a": 1}})
    pair.wait(3_600.0)
    assert 60 <= pair.observed.count("sync_retry") <= 66
    pair.heal()
    assert pair.states() == ({"reported": {"a": 1}},) * 2


def test_true_is_not_one_for_a_sync_either():
    """A change of kind is a change."""
    pair = Pair()
    pair.at_edge({"reported": {"a": 1}})
    pair.carry()
    pair.at_edge({"reported": {"a": True}})
    pair.carry()
    assert pair.states()[1]["reported"]["a"] is True


def test_a_value_is_as_old_in_the_cloud_as_it_is():
    """What was held back by an outage is not young because it arrives."""
    pair = Pair()
    pair.carry()
    pair.is_up = False
    pair.now_s = 50.0
    pair.at_edge({"reported": {"a": 1}})
    pair.now_s = 90.0
    pair.heal()
    assert stamps_at(pair.cloud.records.get(SHADOW, "gate").metadata.reported, ("a",)) == [90.0, 50.0]


def test_nonsense_from_the_cloud_is_ignored():
    """A broken answer neither raises nor changes anything; the request is repeated."""
    pair = Pair()
    pair.carry()
    pair.at_edge({"reported": {"a": 1}})
    pair.carry()
    before = pair.states()
    for suffix in ("update/documents", "get/accepted", "update/accepted", "update/rejected"):
        for payload in (b"", b"[]", b"\xff", b'{"current":5}', b'{"clientToken":"sync-3","version":"x"}'):
            pair._at_edge(pair.edge.handle(Message(f"{TOPIC}/{suffix}", payload), pair.now_s))
    pair.heal()
    assert pair.states() == before


# laws ------------------------------------------------------------------------------------------------

KEYS = st.sampled_from(["a", "b", "c"])
VALUES = st.none() | st.integers(0, 2) | st.booleans() | st.dictionaries(KEYS, st.integers(0, 2), max_size=2)
SECTIONS = st.dictionaries(KEYS, VALUES, max_size=3)
STATES = st.fixed_dictionaries({}, optional={"desired": SECTIONS, "reported": SECTIONS})
STEPS = st.one_of(
    st.tuples(st.sampled_from(["at_edge", "at_cloud"]), STATES),
    st.tuples(st.just("wait"), st.sampled_from([0.0, 1.0, 40.0, 200.0])),
    st.tuples(st.sampled_from(["fail", "lose", "restore", "carry"]), st.none()),
)


def take(pair, step, value):
    """One random step: a change on one side, time, or a change of the link."""
    match step:
        case "at_edge" | "at_cloud":
            getattr(pair, step)(value)
        case "wait":
            pair.wait(value)
        case "fail" | "lose":
            pair.is_up, pair.loses = False, step == "lose"
        case "restore" if not pair.is_up:
            pair.is_up = True
            pair.begin()
        case "carry":
            pair.carry()


@given(st.lists(STEPS, max_size=14), st.sampled_from(["real_time", "periodic"]))
@settings(max_examples=200, deadline=None)
def test_both_sides_agree_after_every_outage(steps, strategy):
    """Whatever changes where, and whatever the link holds back or loses: in the end they are the same."""
    pair = Pair(strategy=strategy)
    for step, value in steps:
        take(pair, step, value)
    pair.heal()
    edge, cloud = pair.states()
    assert edge == cloud
    assert msgspec.json.encode(edge) is not None
    assert not pair.up
    assert not pair.down


@given(st.lists(STEPS, max_size=14), st.sampled_from(["real_time", "periodic"]))
@settings(max_examples=200, deadline=None)
def test_no_update_of_the_winning_side_is_lost(steps, strategy):
    """If only the device reports and only the cloud desires, each side ends with all that the other said."""
    pair, alone = Pair(strategy=strategy), Pair()
    for step, value in steps:
        if step in ("at_edge", "at_cloud"):
            section = "reported" if step == "at_edge" else "desired"
            own = {section: value[section]} if section in value else {}
            getattr(alone, step)(own)
            take(pair, step, own)
        else:
            take(pair, step, value)
    pair.heal()
    reported, desired = (each or {} for each in alone.states())
    for state in pair.states():
        assert (state or {}).get("reported", {}) == reported.get("reported", {})
        assert (state or {}).get("desired", {}) == desired.get("desired", {})


@given(STATES, STATES, STATES)
def test_a_patch_leads_from_one_state_to_the_other(local, cloud, base):
    """The patch of two states, applied by the shadow's own rules, makes the second of the first."""
    twins = Twins([Shadows()])
    for state in (base, local, cloud, base, cloud, merged(local, cloud, base)):
        known = twins.records.get(SHADOW, "gate")
        wanted = Twins([Shadows()])
        wanted.handle(Message(f"{TOPIC}/update", msgspec.json.encode({"state": state})), 0.0)
        wanted_state = wanted.records.get(SHADOW, "gate").state.tree()
        changes = patch({} if known is None else known.state.tree(), wanted_state)
        twins.handle(Message(f"{TOPIC}/update", msgspec.json.encode({"state": changes})), 0.0)
        assert twins.records.get(SHADOW, "gate").state.tree() == wanted_state


@given(STATES, STATES)
def test_a_merge_with_one_changed_side_is_that_side(one, base):
    """Where nobody contradicts, nobody is overruled; a merge of the merged changes nothing."""
    stored = []
    for state in (one, base):
        twins = Twins([Shadows()])
        twins.handle(Message(f"{TOPIC}/update", msgspec.json.encode({"state": state})), 0.0)
        stored.append(twins.records.get(SHADOW, "gate").state.tree())
    changed, before = stored
    assert merged(changed, before, before) == changed
    assert merged(before, changed, before) == changed
    assert merged(changed, changed, before) == changed
