import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from twin.message import Message
from twin.state.rules.fire import FireRules
from twin.state.rules.port import Alarm, Command, Desire

DEVICES = {
    "GA": "boom_gate",
    "GB": "boom_gate",
    "L2-SND": "sounder",
    "L2-VMS1": "sign",
    "L2-LIFT": "lift",
    "L2-EV1": "charger_isolator",
    "L2-JF1": "fan",
    "L2-S1-PC": "people_counter",
    "L3-S1-PC": "people_counter",
}
OPEN = [Command("boom_gate", "GA", "open"), Command("boom_gate", "GB", "open")]
REST = [
    Command("sounder", "L2-SND", "sound"),
    Command("sign", "L2-VMS1", "evacuate"),
    Command("lift", "L2-LIFT", "recall"),
    Command("charger_isolator", "L2-EV1", "isolate"),
]
FAN = Command("fan", "L2-JF1", "on")


def event(node, name, kind="smoke_detector", payload=b"{}"):
    return Message(f"{kind}/{node}/event/{name}", payload, qos=1)


def rules(**options):
    return FireRules(devices=DEVICES, **options)


def test_one_detector_is_a_fire_when_one_suffices():
    """With single confirmation the first alarm fires the whole response, in its order."""
    fire = rules()
    actions = fire.evaluate(event("L2-D07", "alarm"), 10.0)
    assert actions == [*OPEN, *REST, Alarm("critical", "fire: L2-D07", "fire", "L2-D07")]


def test_two_detectors_within_the_window_are_a_fire():
    """Double knock waits for a second detector; repeats of the first are no second."""
    fire = rules(confirm="double_knock")
    assert fire.evaluate(event("L2-D07", "alarm"), 10.0) == []
    assert fire.evaluate(event("L2-D07", "alarm"), 20.0) == []
    assert fire.evaluate(event("L2-D08", "alarm"), 30.0)[-1] == Alarm(
        "critical", "fire: L2-D07, L2-D08", "fire", "L2-D07"
    )


def test_two_detectors_further_apart_than_the_window_are_no_fire():
    """An alarm older than the window does not confirm a new one."""
    fire = rules(confirm="double_knock", window_s=60.0)
    fire.evaluate(event("L2-D07", "alarm"), 10.0)
    assert fire.evaluate(event("L2-D08", "alarm"), 71.0) == []
    assert fire.evaluate(event("L2-D09", "alarm"), 131.0) != []


def test_a_lone_alarm_that_does_not_clear_is_a_fire_in_the_end():
    """After `fallback_after_s` without a clear one detector suffices."""
    fire = rules(confirm="double_knock", fallback_after_s=120.0)
    fire.evaluate(event("L2-D07", "alarm"), 10.0)
    assert fire.due() == 130.0
    assert fire.elapse(129.0) == []
    assert fire.elapse(130.0)[:2] == OPEN
    assert fire.due() is None


@given(st.floats(0.0, 1e5), st.floats(1.0, 1e3))
@example(33.3, 119.9)
def test_the_fallback_fires_at_the_very_time_it_names(raised_s, after_s):
    """However the sum of times is rounded, the wake asked for is not a moment too early."""
    fire = rules(confirm="double_knock", fallback_after_s=after_s)
    fire.evaluate(event("L2-D07", "alarm"), raised_s)
    assert fire.elapse(fire.due()) != []


def test_an_alarm_that_clears_is_forgotten():
    """After a clear neither the fallback nor a second detector fires."""
    fire = rules(confirm="double_knock")
    fire.evaluate(event("L2-D07", "alarm"), 10.0)
    assert fire.evaluate(event("L2-D07", "clear"), 20.0) == []
    assert fire.due() is None
    assert fire.evaluate(event("L2-D08", "alarm"), 30.0) == []


def test_the_response_is_repeated_only_after_the_cooldown():
    """Repeated alarms repeat the response once the cooldown is over."""
    fire = rules(cooldown_s=30.0)
    fire.evaluate(event("L2-D07", "alarm"), 10.0)
    assert fire.evaluate(event("L2-D08", "alarm"), 39.9) == []
    assert fire.evaluate(event("L2-D08", "alarm"), 40.0)[:2] == OPEN


def test_the_chosen_gates_and_sounders_only():
    """Names given by the author narrow what is opened and sounded."""
    actions = rules(gates=["GB"], sounders=["L1-SND"]).evaluate(event("L2-D07", "alarm"), 0.0)
    assert actions[:2] == [Command("boom_gate", "GB", "open"), Command("sounder", "L1-SND", "sound")]


def test_gates_are_opened_by_their_shadow_when_asked_for():
    """With `act: desire` the gates get a desired value instead of a command."""
    actions = rules(act="desire").evaluate(event("L2-D07", "alarm"), 0.0)
    assert actions[:2] == [Desire("GA", {"gate": "open"}), Desire("GB", {"gate": "open"})]


def test_fans_wait_for_the_level_in_alarm_to_be_empty():
    """Only the level with the alarm counts, only after the fire, and the fans start once."""
    fire = rules()
    clear = event("L2-S1-PC", "level_clear", "people_counter")
    assert fire.evaluate(clear, 1.0) == []
    assert FAN not in fire.evaluate(event("L2-D07", "alarm"), 10.0)
    assert fire.evaluate(event("L3-S1-PC", "level_clear", "people_counter"), 20.0) == []
    assert fire.evaluate(clear, 30.0) == [FAN]
    assert fire.evaluate(clear, 40.0) == []


def test_a_level_that_emptied_before_the_confirmation_counts():
    """People who left between the first alarm and the confirmed fire need not be waited for."""
    fire = rules(confirm="double_knock")
    fire.evaluate(event("L2-D07", "alarm"), 10.0)
    assert fire.evaluate(event("L2-S1-PC", "level_clear", "people_counter"), 20.0) == []
    assert FAN in fire.evaluate(event("L2-D08", "alarm"), 30.0)


def test_fans_wait_for_every_level_when_the_alarm_has_none():
    """An alarm at a place without counters waits for all counted levels."""
    fire = rules()
    fire.evaluate(event("smoke-001", "alarm"), 10.0)
    assert fire.evaluate(event("L2-S1-PC", "level_clear", "people_counter"), 20.0) == []
    assert fire.evaluate(event("L3-S1-PC", "level_clear", "people_counter"), 30.0) == [FAN]


@pytest.mark.parametrize(("fans", "have_started"), [("first", True), ("off", False)])
def test_fans_start_first_or_never(fans, have_started):
    """The policy decides whether the fans belong to the first response, or to none."""
    fire = rules(fans=fans)
    assert (FAN in fire.evaluate(event("L2-D07", "alarm"), 10.0)) is have_started
    assert fire.evaluate(event("L2-S1-PC", "level_clear", "people_counter"), 30.0) == []


@pytest.mark.parametrize(
    ("camera", "payload"),
    [("anpr-001", b'{"plate":"SGX1A","gate":"GA"}'), ("GA", b'{"plate":"SGX1A"}'), ("GA-ANPR", b"SGX1A")],
)
def test_each_plate_is_admitted_when_cars_are_authorised(camera, payload):
    """A plate event is answered with an admission at its gate, without the plate."""
    plate = event(camera, "plate", "plate_camera", payload)
    assert rules(authorise=True).evaluate(plate, 0.0) == [Command("boom_gate", "GA", "admit")]
    assert rules().evaluate(plate, 0.0) == []


def test_the_rules_subscribe_to_what_they_use():
    """Plates are asked for only when cars are authorised."""
    events = ("+/+/event/alarm", "+/+/event/clear", "+/+/event/level_clear")
    assert rules().subscriptions() == events
    assert rules(authorise=True).subscriptions() == (*events, "+/+/event/plate")
