"""Who may reach which topic."""

import pytest
from attempts import Own, attempts, own_attempts

from twin.state.registry.access import Guard, may, thing_of
from twin.state.registry.certificates import Certificate
from twin.state.registry.policies import Client, Policy, check_policy
from twin.state.registry.things import Group, RegistryError, Thing

GATE = Own("gate-1", "boom_gate", "car_park")
OTHERS = [
    Own("gate-2", "boom_gate", "car_park"),
    Own("gate-10", "boom_gate", "depot"),
    Own("det-1", "smoke_detector", "car_park"),
    Own("gate", "boom_gate", "car_park"),
]


@pytest.mark.parametrize("seed", range(5))
def test_a_thousand_attempts_outside_a_devices_topics_are_refused_and_audited(car_park, seed):
    """Other things, wildcards, shared, look-alikes, other case, steps upward, forged answers."""
    guard = Guard(car_park.records, lambda: 7.0)
    tried = attempts(seed, GATE, OTHERS)
    assert len(tried) == 1000

    assert [each for each in tried if guard("gate-1", each.verb, each.topic)] == []
    assert [(entry.verb, entry.what) for entry in guard.log] == [each[:2] for each in tried]
    assert {(entry.who, entry.decision, entry.at_s) for entry in guard.log} == {("gate-1", "refused", 7.0)}


def test_a_device_reaches_all_of_its_own_topics(car_park):
    """What it hears it may subscribe to and receive, what it says it may publish."""
    refused = [
        each for each in own_attempts(GATE) if not may(car_park.records, "gate-1", each.verb, each.topic)
    ]
    assert refused == []
    for topic in ("site/car_park/boom_gate/gate-1/cmd/open", "$aws/things/gate-1/shadow/update/delta"):
        assert may(car_park.records, "gate-1", "receive", topic)
        assert not may(car_park.records, "gate-2", "receive", topic)


def test_a_client_that_nobody_knows_may_nothing(car_park):
    """Not even connect, and not its own topics either."""
    assert not may(car_park.records, "stranger", "connect")
    assert not may(car_park.records, "stranger", "publish", "$aws/things/stranger/shadow/update")


def test_a_gateway_speaks_for_what_hangs_on_it_and_nobody_else(car_park):
    """It hears deltas under one filter, and receives those of its own things only."""
    records = car_park.records
    assert may(records, "gateway", "publish", "site/car_park/boom_gate/gate-1/telemetry")
    assert may(records, "gateway", "publish", "$aws/things/det-1/shadow/update")
    assert may(records, "gateway", "publish", "site/car_park/parking_bay_sensor/gateway/telemetry")
    assert may(records, "gateway", "subscribe", "$aws/things/+/shadow/update/delta")
    assert may(records, "gateway", "subscribe", "site/car_park/+/+/cmd/#")
    assert may(records, "gateway", "receive", "$aws/things/gate-2/shadow/update/delta")
    assert not may(records, "gateway", "receive", "$aws/things/gate-10/shadow/update/delta")
    assert not may(records, "gateway", "publish", "$aws/things/gate-10/shadow/update")
    assert not may(records, "gateway", "publish", "site/car_park/boom_gate/gate-10/telemetry")
    assert not may(records, "gateway", "publish", "site/car_park/boom_gate/gate-1/cmd/open")


@pytest.mark.parametrize(
    ("state", "is_admitted"),
    [
        ("ACTIVE", True),
        ("PENDING_ACTIVATION", False),
        ("INACTIVE", False),
        ("REVOKED", False),
        ("EXPIRED", False),
    ],
)
def test_only_an_active_certificate_admits(car_park, state, is_admitted):
    """A thing with certificates needs one that holds."""
    certificate = Certificate(fingerprint="f", serial="1", common_name="gate-1", state=state, thing="gate-1")
    car_park.put("certificate", "f", certificate)
    assert may(car_park.records, "gate-1", "connect") is is_admitted
    assert may(car_park.records, "gate-1", "publish", "$aws/things/gate-1/shadow/get") is is_admitted


def test_a_certificate_of_another_name_is_its_thing(car_park):
    """While it holds: another certificate of the same thing does not stand in for one that was revoked."""
    for name, state in (("certificate.1", "REVOKED"), ("certificate.2", "ACTIVE")):
        kept = Certificate(fingerprint=name, serial="1", common_name=name, state=state, thing="gate-1")
        car_park.put("certificate", name, kept)
    records = car_park.records
    assert thing_of(records, "certificate.2").name == "gate-1"
    assert may(records, "certificate.2", "publish", "$aws/things/gate-1/shadow/update")
    assert not may(records, "certificate.2", "publish", "$aws/things/certificate.2/shadow/update")
    assert not may(records, "certificate.1", "connect")
    assert may(records, "gate-1", "connect")


def test_a_disabled_thing_may_nothing_and_is_let_in_again(car_park):
    """The decisions that were kept go when the record changes."""
    records = car_park.records
    topic = "$aws/things/gate-1/shadow/update"
    assert may(records, "gate-1", "publish", topic)
    car_park.put("thing", "gate-1", Thing(name="gate-1", type="boom_gate", site="car_park", state="disabled"))
    assert not may(records, "gate-1", "publish", topic)
    car_park.undo()
    assert may(records, "gate-1", "publish", topic)


@pytest.mark.parametrize(
    ("role", "verb", "topic", "is_allowed"),
    [
        ("service", "publish", "$aws/things/gate-1/shadow/update/accepted", True),
        ("service", "subscribe", "$aws/things/+/shadow/update", True),
        ("service", "subscribe", "site/+/+/+/telemetry", True),
        ("operator", "publish", "site/car_park/boom_gate/gate-1/cmd/open", True),
        ("operator", "publish", "$SYS/broker/log", False),
        ("reader", "subscribe", "#", True),
        ("reader", "publish", "site/car_park/boom_gate/gate-1/cmd/open", False),
        ("reader", "subscribe", "$aws/certificates/create/json/accepted", False),
        ("claim", "publish", "$aws/certificates/create/json", True),
        ("claim", "publish", "$aws/provisioning-templates/gates/provision/json", True),
        ("claim", "publish", "$aws/things/gate-1/shadow/update", False),
        ("claim", "subscribe", "#", False),
    ],
)
def test_a_role_may_what_its_policies_say(car_park, role, verb, topic, is_allowed):
    """Services everything, operators all but the broker's own, readers hear, claims ask for certificates."""
    car_park.put("client", "somebody", Client(name="somebody", role=role))
    assert may(car_park.records, "somebody", verb, topic) is is_allowed


def test_a_policy_of_ones_own_allows_a_group_more(car_park):
    """For the members of the group, each with its own topic, and not for others."""
    car_park.put("group", "exits", Group(name="exits", query="tag:exit"))
    policy = Policy(
        name="exits", subjects=("group:exits",), verbs=("publish",), topics=("exits/${group}/${thing}",)
    )
    car_park.put("policy", "exits", policy)
    assert may(car_park.records, "gate-1", "publish", "exits/exits/gate-1")
    assert not may(car_park.records, "gate-1", "publish", "exits/exits/gate-2")
    assert not may(car_park.records, "gate-2", "publish", "exits/exits/gate-2")


def test_deny_goes_before_allow(car_park):
    """Also for a subscription that would take in what is denied."""
    denied = ("$aws/things/${thing}/jobs/#",)
    verbs, gates = ("publish", "subscribe"), ("type:boom_gate",)
    policy = Policy(name="no-jobs", subjects=gates, verbs=verbs, topics=denied, effect="deny")
    car_park.put("policy", "no-jobs", policy)
    records = car_park.records
    assert not may(records, "gate-1", "publish", "$aws/things/gate-1/jobs/get")
    assert not may(records, "gate-1", "subscribe", "$aws/things/gate-1/#")
    assert may(records, "gate-1", "subscribe", "$aws/things/gate-1/shadow/#")


def test_a_default_policy_can_be_replaced(car_park):
    """By one of the same name."""
    car_park.put("policy", "own-publish", Policy(name="own-publish", subjects=(), verbs=(), topics=()))
    assert not may(car_park.records, "gate-1", "publish", "$aws/things/gate-1/shadow/update")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"subjects": ("thin:gate",)}, "did you mean 'thing'"),
        ({"verbs": ("subscrbe",)}, "did you mean 'subscribe'"),
        ({"topics": ("a/${thng}",)}, "did you mean 'thing'"),
        ({"topics": ("a/#/b",)}, "'#' must be the last level"),
    ],
)
def test_a_policy_that_says_nothing_sensible_is_refused(changes, words):
    """With the nearest name."""
    sound = {"name": "p", "subjects": ("thing:*",), "verbs": ("publish",), "topics": ("a",)}
    with pytest.raises(RegistryError, match=words):
        check_policy(Policy(**(sound | changes)))


def test_the_refusals_are_written_into_the_journal_once(car_park):
    """The guard hands them over with a transaction."""
    guard = Guard(car_park.records, lambda: 7.0)
    guard("gate-1", "subscribe", "#")
    guard.write(car_park)
    guard.write(car_park)
    assert [change.entry["what"] for change in car_park.changes if change.kind == "audit"] == ["#"]
