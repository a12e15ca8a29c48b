"""A device that keeps a shadow: what it reports, which wishes it follows, and how it reconnects."""

import msgspec
import pytest

from devices_models.shadow_device import ByHand, Property, ShadowDevice
from twin.kernel.behaviour import Actuate, LinkChanged, Observe, Received, Send, Started, Wake, Woken
from twin.message import Message

SHADOW = "$aws/things/D1/shadow/"


def device(**options):
    """A gate that is closed, started."""
    return ShadowDevice("hub", properties={"gate": Property(values=("closed", "open"))}, **options)


def started(made, context):
    list(made.react(Started(), context))
    return made


def received(made, context, suffix, document):
    message = Message(
        suffix if suffix.startswith("shadow_device/") else SHADOW + suffix, msgspec.json.encode(document)
    )
    return list(made.react(Received(message, "hub", 0.0), context))


def delta(made, context, gate, version, made_s=0):
    document = {"version": version, "state": {"gate": gate}, "metadata": {"gate": {"timestamp": made_s}}}
    return received(made, context, "update/delta", document)


def said(effects, suffix="update"):
    """The documents sent on a topic of the shadow."""
    sends = [each.message for each in effects if isinstance(each, Send) and each.message.kind == "publish"]
    return [msgspec.json.decode(each.payload) for each in sends if each.topic == SHADOW + suffix]


def subscribed(effects, kind="subscribe"):
    return [
        each.message.topic.removeprefix(SHADOW)
        for each in effects
        if isinstance(each, Send) and each.message.kind == kind
    ]


@pytest.fixture
def context(at_node):
    return at_node("D1")


def test_a_change_by_itself_is_reported_with_the_time_of_the_event(context):
    """The next of its values, and when it happened on the device's own clock."""
    made = started(device(), context)
    context.now = 12.5

    assert said(made.react(Woken("change/gate"), context)) == [
        {"state": {"reported": {"gate": "open"}}, "eventTime": 12.5}
    ]
    assert made.mirrored() == {"gate": "open"}


def test_exponential_gaps_have_the_mean_asked_for(context):
    """Toggles are a Poisson process of rate 1 / `toggles_every`."""
    law = Property(values=(0, 1), toggles_every_s=30.0)
    gaps = [law.gap_s(context) for _ in range(20_000)]

    assert sum(gaps) / len(gaps) == pytest.approx(30.0, rel=0.03)


def test_a_walk_moves_by_its_step_either_way(context):
    """Up or down, as often."""
    law = Property(start=20.0, every_s=1.0, walks=0.5)
    steps = {law.next_after(20.0, context) for _ in range(50)}

    assert steps == {19.5, 20.5}


def test_a_wish_is_followed_and_reported_and_taken_back_if_asked_for(context):
    """`clear_desired` nulls what was fulfilled."""
    made = started(device(clear_desired=True), context)
    effects = delta(made, context, "open", 3)

    assert Observe("wish_followed") in effects
    assert said(effects)[0]["state"] == {"reported": {"gate": "open"}, "desired": {"gate": None}}


def test_an_older_delta_is_dropped_and_one_of_the_same_version_is_followed(context):
    """SH-21: the version tracked is that of accepted messages too, which may come first."""
    made = started(device(), context)
    received(made, context, "update/accepted", {"version": 5})

    assert delta(made, context, "open", 4) == []
    assert Observe("wish_followed") in delta(made, context, "open", 5)


def test_a_client_that_ignores_equal_versions_loses_the_delta_behind_its_accepted(context):
    """The fault of a known client: `>` where `>=` is right."""
    made = started(device(ignores="lower_or_equal"), context)
    received(made, context, "update/accepted", {"version": 5})

    assert delta(made, context, "open", 5) == []


def test_a_wish_takes_the_time_to_act_however_often_it_is_repeated(context):
    """The second delta does not start the movement anew."""
    made = started(device(act_time_s=2.0), context)

    assert Wake(2.0, "act") in delta(made, context, "open", 1)
    assert delta(made, context, "open", 2) == []
    assert said(made.react(Woken("act"), context))[0]["state"]["reported"] == {"gate": "open"}


@pytest.mark.parametrize(
    ("wins", "made_s", "is_undone", "is_refused"),
    [
        ("never", 50, True, False),
        ("older", 50, False, True),
        ("older", 150, False, False),
        ("always", 150, False, True),
    ],
)
def test_what_a_hand_has_done_is_defended_as_asked(context, wins, made_s, is_undone, is_refused):
    """A wish from before undoes it, unless such wishes are dropped or all are refused."""
    made = started(device(by_hand=[ByHand(100.0, {"gate": "open"})], by_hand_wins=wins), context)
    context.now = 100.0
    list(made.react(Woken("hand/0"), context))
    effects = delta(made, context, "closed", 9, made_s)

    assert (Observe("hand_undone") in effects) == is_undone
    assert (Observe("wish_refused") in effects) == is_refused
    assert made.mirrored()["gate"] == ("open" if is_refused else "closed")


def test_a_refusal_is_said_once_though_each_report_brings_the_delta_again(context):
    """Else refusing and reporting would go on for ever."""
    made = started(device(by_hand=[ByHand(0.0, {"gate": "open"})], by_hand_wins="always"), context)
    list(made.react(Woken("hand/0"), context))

    assert len(said(delta(made, context, "closed", 1))) == 1
    assert delta(made, context, "closed", 2) == []


@pytest.mark.parametrize(
    ("strategy", "at_start", "on_connection"),
    [
        ("get_then_delta", ["get/accepted", "get/rejected", "update/accepted", "update/delta"], ["get"]),
        ("azure", ["get/accepted", "get/rejected", "update/documents"], ["get"]),
        ("rebirth", ["update/accepted", "update/delta"], ["update"]),
        ("get_before_subscribe", ["get/accepted", "get/rejected"], ["get"]),
        ("none", ["update/accepted", "update/delta"], []),
    ],
)
def test_a_strategy_is_what_is_subscribed_to_and_what_is_said_on_connection(
    context, strategy, at_start, on_connection
):
    """In this order."""
    made = device(reconnect=strategy, is_direct=True)

    assert subscribed(made.react(Started(), context)) == at_start
    sent = list(made.react(LinkChanged("hub", is_up=True), context))
    assert [each.message.topic.removeprefix(SHADOW) for each in sent] == on_connection


def test_a_persistent_session_is_asked_for_the_shadow_once_only(context):
    """Later the broker has kept what came."""
    made = started(device(reconnect="persistent_session", is_direct=True), context)
    first, second = (list(made.react(LinkChanged("hub", is_up=True), context)) for _ in range(2))

    assert (len(first), second, made.is_session_clean) == (1, [], False)


def test_who_gets_before_subscribing_subscribes_when_the_answer_is_there(context):
    """What is published between the two is lost: the race."""
    made = started(device(reconnect="get_before_subscribe", is_direct=True), context)
    effects = received(made, context, "get/accepted", {"version": 1, "state": {}})

    assert subscribed(effects) == ["update/delta"]
    assert subscribed(made.react(LinkChanged("hub", is_up=False), context), "unsubscribe") == ["update/delta"]


def test_a_get_tells_what_to_follow_and_what_to_report(context):
    """Desired and not so is followed; so and not reported is reported."""
    made = started(device(), context)
    document = {"version": 7, "state": {"desired": {"gate": "open"}, "reported": {"gate": "closed"}}}
    effects = received(made, context, "get/accepted", document)

    assert made.mirrored() == {"gate": "open"}
    assert said(effects)[0]["state"]["reported"] == {"gate": "open"}


def test_azure_takes_only_notifications_that_are_newer_than_the_document(context):
    """Equal versions are in the document already."""
    made = started(device(reconnect="azure"), context)
    received(made, context, "get/accepted", {"version": 7, "state": {}})
    current = {"state": {"desired": {"gate": "open"}}}

    assert received(made, context, "update/documents", {"current": {**current, "version": 7}}) == []
    assert received(made, context, "update/documents", {"current": {**current, "version": 8}}) != []


def test_after_a_restart_a_hand_of_the_past_does_not_come_again(context):
    """Its state begins anew."""
    context.now = 200.0
    effects = list(device(by_hand=[ByHand(100.0, {"gate": "open"})]).react(Started(), context))

    assert not [each for each in effects if isinstance(each, Wake) and each.tag.startswith("hand")]


def test_a_property_moves_the_world_with_its_value(context):
    """At the start, by hand and on a wish: 1 while it has the value that moves."""
    law = Property(start="closed", values=("closed", "open"), moves="boom", moved_by="open")
    made = ShadowDevice("hub", properties={"gate": law}, by_hand=[ByHand(0.0, {"gate": "open"})])

    moved = [
        [each.value for each in effects if isinstance(each, Actuate)]
        for effects in (
            list(made.react(Started(), context)),
            list(made.react(Woken("hand/0"), context)),
            delta(made, context, "closed", 1),
        )
    ]
    assert moved == [[0.0], [1.0], [0.0]]
