import math

import pytest

from devices_models.actuators import SWITCHES, BoomGate, Switch
from twin.kernel.behaviour import Actuate, Observe, Received, Send, Started, Wake, Woken
from twin.message import Message


def received(topic, payload=b"{}"):
    return Received(Message(topic, payload), "gateway", 0.0)


def reacted(behaviour, event, context):
    return list(behaviour.react(event, context))


def kinds(effects):
    return [type(effect) for effect in effects]


@pytest.fixture
def context(at_node):
    return at_node("GA")


OPEN = received("boom_gate/GA/cmd/open")
CLOSE = received("boom_gate/GA/cmd/close")
SILENCE = Woken("silence")
MOVED = Woken("moved")


def report(gate, *, emergency):
    payload = f'{{"ts":0,"gate":"{gate}","emergency":{str(emergency).lower()}}}'.encode()
    return Send("gateway", Message("boom_gate/GA/report", payload, qos=1))


def shadow(gate):
    payload = f'{{"state":{{"reported":{{"gate":"{gate}"}}}}}}'.encode()
    return Send("gateway", Message("$aws/things/GA/shadow/update", payload, qos=1))


def opened(context, **options):
    """A gate that was commanded open and is."""
    gate = BoomGate("gateway", **options)
    for event in (Started(), OPEN, MOVED):
        reacted(gate, event, context)
    return gate


def test_without_a_mode_the_gate_leaves_the_lane_as_it_is(context):
    """The world may say how cars pass."""
    assert reacted(BoomGate("gateway"), Started(), context) == [shadow("closed"), Wake(30.0, "silence")]


def test_a_gate_starts_in_its_mode_and_tells_its_shadow(context):
    """Authorise is the fourth mode of the world; three silent periods of 10 s are the limit."""
    assert reacted(BoomGate("gateway", mode="authorise"), Started(), context) == [
        Actuate("mode", 3),
        shadow("closed"),
        Wake(30.0, "silence"),
    ]


def test_a_command_opens_the_gate_after_its_opening_time(context):
    """The boom is up, and reported up, 1.8 s after the command."""
    gate = BoomGate("gateway")
    gate.react(Started(), context)

    assert reacted(gate, OPEN, context) == [Observe("gate_command"), Wake(1.8, "moved")]
    assert reacted(gate, MOVED, context) == [
        Actuate("boom", 1.0),
        Observe("gate_open", 1.0),
        report("open", emergency=True),
        shadow("open"),
    ]


def test_a_shadow_delta_opens_the_gate_like_a_command(context):
    """The wish of the shadow is an order."""
    delta = received("boom_gate/GA/delta", b'{"version":4,"state":{"gate":"open"}}')

    assert reacted(BoomGate("gateway"), delta, context) == [Observe("gate_command"), Wake(1.8, "moved")]


def test_an_overtaken_delta_is_not_followed(context):
    """A wish older than the last one followed is void."""
    gate = BoomGate("gateway")
    reacted(gate, received("boom_gate/GA/delta", b'{"version":5,"state":{"other":1}}'), context)

    stale = received("boom_gate/GA/delta", b'{"version":4,"state":{"gate":"open"}}')

    assert reacted(gate, stale, context) == []


def test_a_repeated_command_starts_no_second_movement(context):
    """While it moves it only counts the command; once up it confirms that it is."""
    gate = BoomGate("gateway")
    reacted(gate, OPEN, context)
    assert reacted(gate, OPEN, context) == [Observe("gate_command")]
    reacted(gate, MOVED, context)

    assert reacted(gate, OPEN, context) == [
        Observe("gate_command"),
        Observe("gate_open", 1.0),
        report("open", emergency=True),
    ]


@pytest.mark.parametrize(
    "close", [CLOSE, received("boom_gate/GA/delta", b'{"version":9,"state":{"gate":"closed"}}')]
)
def test_closing_in_an_emergency_is_refused(close, context):
    """Neither a command nor a stale wish of the shadow closes a gate that was ordered open."""
    gate = opened(context)

    refused = reacted(gate, close, context)

    assert refused == [
        Observe("close_refused"),
        Send(
            "gateway",
            Message("boom_gate/GA/report", b'{"ts":0,"gate":"open","refused":"close"}', qos=1),
        ),
    ]
    assert gate.position == "open"


def test_after_the_reset_the_gate_closes(context):
    """The lane is back in its mode at once, and the gate is reported closed when it is."""
    gate = opened(context, mode="ticket")
    assert reacted(gate, received("boom_gate/GA/cmd/reset"), context) == [report("open", emergency=False)]

    assert reacted(gate, CLOSE, context) == [Actuate("boom", 0.0), Actuate("mode", 1), Wake(2.5, "moved")]
    assert reacted(gate, MOVED, context) == [
        Observe("gate_open", 0.0),
        report("closed", emergency=False),
        shadow("closed"),
    ]


def test_a_closing_gate_turns_round_on_command(context):
    """The order to open wins over a movement down."""
    gate = opened(context)
    for event in (received("boom_gate/GA/cmd/reset"), CLOSE):
        reacted(gate, event, context)

    assert reacted(gate, OPEN, context) == [Observe("gate_command"), Wake(1.8, "moved")]
    assert reacted(gate, MOVED, context)[:2] == [Actuate("boom", 1.0), Observe("gate_open", 1.0)]


def test_a_gate_opens_alone_when_heartbeats_stop(context):
    """Silence of three periods is observed as such, and no command is."""
    gate = BoomGate("gateway")
    gate.react(Started(), context)

    assert reacted(gate, SILENCE, context) == [Observe("gate_opened_alone"), Wake(1.8, "moved")]


def test_a_secure_gate_stays_shut_when_heartbeats_stop(context):
    """`fail_mode: secure` trades safety for security."""
    assert reacted(BoomGate("gateway", fail_mode="secure"), SILENCE, context) == []


@pytest.mark.parametrize(("wanted", "other"), [("gateway", "rule"), ("rule", "gateway")])
def test_only_the_heartbeat_asked_for_counts(wanted, other, context):
    """A gate that trusts the rule engine is not calmed by a gateway, nor the other way round."""
    gate = BoomGate("gateway", heartbeat_from=wanted, heartbeat_s=5.0, open_after_missed=4)

    assert reacted(gate, received(f"{wanted}/heartbeat"), context) == [Wake(20.0, "silence")]
    assert reacted(gate, received(f"{other}/heartbeat"), context) == []


def test_a_gate_without_supervision_waits_for_ever(context):
    """`open_after_missed` 0 switches the fallback off."""
    assert reacted(BoomGate("gateway", open_after_missed=0), Started(), context)[-1] == Wake(
        math.inf, "silence"
    )


def test_admission_lets_one_car_pass(context):
    """Per-car authorisation ends at the gate."""
    assert reacted(BoomGate("gateway"), received("boom_gate/GA/cmd/admit"), context) == [
        Actuate("admit", 1.0)
    ]


@pytest.mark.parametrize("kind", sorted(SWITCHES))
def test_a_switch_acts_observes_and_reports(kind, context):
    """Each kind has its own word, quantity and measure."""
    wiring = SWITCHES[kind]

    effects = reacted(Switch("gateway", kind), received(f"{kind}/GA/cmd/{wiring.on}"), context)

    assert effects[:2] == [Actuate(wiring.quantity, 1.0), Observe(wiring.measure, 1.0)]
    assert effects[-1] == Send("gateway", Message(f"{kind}/GA/report", b'{"ts":0,"on":true}', qos=1))


def test_a_repeated_order_acts_again_but_is_no_new_observation(context):
    """The first act may have been lost on the way."""
    fan = Switch("gateway", "fan")
    reacted(fan, received("fan/GA/cmd/on"), context)

    assert kinds(reacted(fan, received("fan/GA/cmd/on"), context)) == [Actuate, Send]


def test_switching_off_undoes_switching_on(context):
    """The observed value says the direction."""
    fan = Switch("gateway", "fan")
    reacted(fan, received("fan/GA/delta", b'{"version":1,"state":{"on":true}}'), context)

    assert reacted(fan, received("fan/GA/cmd/off"), context)[:2] == [
        Actuate("fan", 0.0),
        Observe("fan_running", 0.0),
    ]


@pytest.mark.parametrize("topic", ["fan/GA/cmd/dance", "fan/GA/telemetry", "hello"])
def test_what_is_no_order_changes_nothing(topic, context):
    """Unknown commands and foreign topics are ignored."""
    assert reacted(Switch("gateway", "fan"), received(topic), context) == []
    assert reacted(BoomGate("gateway"), received(topic), context) == []


def test_a_switch_follows_no_overtaken_and_no_foreign_wish(context):
    """An older delta is void; one about something else is not for it."""
    fan = Switch("gateway", "fan")
    reacted(fan, received("fan/GA/delta", b'{"version":5,"state":{"on":true}}'), context)

    assert reacted(fan, received("fan/GA/delta", b'{"version":4,"state":{"on":false}}'), context) == []
    assert reacted(fan, received("fan/GA/delta", b'{"version":6,"state":{"speed":1}}'), context) == []
    assert reacted(fan, Started(), context) == []


def test_a_closed_gate_needs_no_closing(context):
    """The order changes nothing."""
    assert reacted(BoomGate("gateway"), CLOSE, context) == []
