import math

import pytest

from devices_models.publications import telemetry
from devices_models.sensors import (
    GasSensor,
    HeatDetector,
    ParkingBaySensor,
    PeopleCounter,
    PlateCamera,
    SmokeDetector,
    plate_text,
)
from twin.kernel.behaviour import Observe, Received, Send, Started, Wake, Watch, Woken
from twin.message import Message


def reacted(behaviour, event, context):
    return list(behaviour.react(event, context))


def published(topic, payload, qos=0, personal_bytes=0):
    return Send("gateway", Message(topic, payload, qos=qos, personal_bytes=personal_bytes))


ALARM = published("smoke_detector/s1/event/alarm", b'{"ts":80000,"value":13.5}', qos=1)


def raised(context, **options):
    """A smoke detector that has just raised its alarm at 80 s."""
    detector = SmokeDetector("gateway", **options)
    detector.react(Started(), context)
    context.now = 80.0
    return detector, reacted(detector, Woken("smoulder"), context)


def test_a_smoke_detector_waits_for_its_comparator(at_node):
    """It asks to be woken at 13 K, and supervises from a random phase on."""
    watch, supervision = reacted(SmokeDetector("gateway"), Started(), at_node())

    assert watch == Watch("smoke_sensor_rise", 13.0, "smoulder")
    assert supervision.tag == "supervision"
    assert 0.0 <= supervision.after_s < 300.0


def test_the_alarm_is_observed_and_sent_with_qos_1(at_node):
    """The alarm goes out at once, and a repetition and a look for its end are planned."""
    _, effects = raised(at_node("s1", smoke_sensor_rise=13.5))

    assert effects == [Observe("alarm"), ALARM, Wake(10.0, "repeat"), Wake(30.0, "clear")]


def test_an_unacknowledged_alarm_is_repeated_so_often_and_no_more(at_node):
    """`repeats` bounds the repetitions."""
    context = at_node("s1", smoke_sensor_rise=13.5)
    detector, _ = raised(context, repeats=2)

    assert reacted(detector, Woken("repeat"), context) == [ALARM, Wake(10.0, "repeat")]
    assert reacted(detector, Woken("repeat"), context) == [ALARM, Wake(10.0, "repeat")]
    assert reacted(detector, Woken("repeat"), context) == []


def test_an_acknowledged_alarm_is_not_repeated(at_node):
    """`cmd/ack` ends the repetitions."""
    context = at_node("s1", smoke_sensor_rise=13.5)
    detector, _ = raised(context)
    ack = Received(Message("smoke_detector/s1/cmd/ack", b"{}"), "gateway", 80.0)

    assert reacted(detector, ack, context) == [Wake(math.inf, "repeat")]
    assert reacted(detector, Woken("repeat"), context) == []


def test_an_alarm_clears_below_nine_tenths_of_its_threshold(at_node):
    """It stands at 90 % of 13 K, clears below, and then listens anew."""
    context = at_node("s1", smoke_sensor_rise=11.8)
    detector, _ = raised(context)
    assert reacted(detector, Woken("clear"), context) == [Wake(30.0, "clear")]

    context.senses["smoke_sensor_rise"] = 11.6

    assert reacted(detector, Woken("clear"), context) == [
        published("smoke_detector/s1/event/clear", b'{"ts":80000,"value":11.6}', qos=1),
        Wake(math.inf, "repeat"),
        Watch("smoke_sensor_rise", 13.0, "smoulder"),
    ]


def test_a_sampling_detector_alarms_at_a_sample_and_once(at_node):
    """With `sample_every_s` the alarm waits for the next sample; later samples add nothing."""
    context = at_node("s1", smoke_sensor_rise=12.0)
    detector = SmokeDetector("gateway", sample_every_s=5.0)
    first = reacted(detector, Started(), context)[0]
    assert first.tag == "sample"
    assert 0.0 <= first.after_s < 5.0
    assert reacted(detector, Woken("sample"), context) == [Wake(5.0, "sample")]

    context.senses["smoke_sensor_rise"] = 14.0

    assert Observe("alarm") in reacted(detector, Woken("sample"), context)
    assert reacted(detector, Woken("sample"), context) == [Wake(5.0, "sample")]


def test_a_heat_detector_alarms_at_57_degrees(at_node):
    """57 C is the usual fixed temperature rating."""
    effects = reacted(HeatDetector("gateway"), Started(), at_node())

    assert effects[0] == Watch("heat_sensor_temperature", 57.0, "smoulder")


def test_supervision_says_whether_the_alarm_stands(at_node):
    """The supervision telemetry is QoS 0 and comes every `every_s`."""
    context = at_node("s1", smoke_sensor_rise=13.5)
    detector, _ = raised(context, every_s=60.0)

    assert reacted(detector, Woken("supervision"), context) == [
        published("smoke_detector/s1/telemetry", b'{"ts":80000,"alarm":true}'),
        Wake(60.0, "supervision"),
    ]


def test_without_supervision_a_detector_is_silent(at_node):
    """`every_s` 0 switches supervision off."""
    assert len(reacted(SmokeDetector("gateway", every_s=0.0), Started(), at_node())) == 1


@pytest.mark.parametrize(("before", "after", "word"), [(0.0, 1.0, b"true"), (1.0, 0.0, b"false")])
def test_a_bay_sensor_says_at_once_that_a_car_came_or_left(before, after, word, at_node):
    """It waits for the other state, tells the change as an event, and waits for the way back."""
    context = at_node("b1", occupied=before)
    sensor = ParkingBaySensor("gateway")
    assert Watch("occupied", after, "change") in reacted(sensor, Started(), context)

    context.senses["occupied"] = after

    assert reacted(sensor, Woken("change"), context) == [
        published("parking_bay_sensor/b1/event/change", b'{"ts":0,"occupied":%s}' % word, qos=1),
        Watch("occupied", before, "change"),
    ]


def test_a_bay_sensor_reports_its_state(at_node):
    """The reading repeats what the last change said."""
    context = at_node("b1", occupied=1.0)
    sensor = ParkingBaySensor("gateway")
    sensor.react(Started(), context)

    assert reacted(sensor, Woken("reading"), context) == [
        published("parking_bay_sensor/b1/telemetry", b'{"ts":0,"occupied":true}'),
        Wake(60.0, "reading"),
    ]


def test_a_change_that_was_gone_again_is_no_event(at_node):
    """When the car has left before the sensor looked, it waits on."""
    sensor = ParkingBaySensor("gateway")
    context = at_node("b1", occupied=0.0)
    sensor.react(Started(), context)

    assert reacted(sensor, Woken("change"), context) == [Watch("occupied", 1.0, "change")]


def test_a_bay_sensor_outside_any_scene_reports_an_unknown_state(at_node):
    """It watches nothing, and its readings say null."""
    context = at_node("b1")
    sensor = ParkingBaySensor("gateway")
    assert [effect.tag for effect in reacted(sensor, Started(), context)] == ["reading"]

    assert reacted(sensor, Woken("reading"), context)[0] == published(
        "parking_bay_sensor/b1/telemetry", b'{"ts":0,"occupied":null}'
    )


def test_a_people_counter_reports_its_count(at_node):
    """The count is telemetry every ten seconds."""
    context = at_node("p1", people_passed=7.0, level_people=3.0)

    assert reacted(PeopleCounter("gateway"), Woken("reading"), context) == [
        published("people_counter/p1/telemetry", b'{"ts":0,"passed":7}'),
        Wake(10.0, "reading"),
    ]


def test_only_a_level_that_had_people_can_become_clear(at_node):
    """An empty level is no news; the last person leaving is."""
    counter = PeopleCounter("gateway")
    full, empty = at_node("p1", level_people=2.0), at_node("p1", level_people=0.0)

    assert Watch("level_people", 0.0, "clear") in reacted(counter, Started(), full)
    assert [effect.tag for effect in reacted(counter, Started(), empty)] == ["reading"]


def test_a_clear_level_is_an_event(at_node):
    """The rules may start the fans on it."""
    assert reacted(PeopleCounter("gateway"), Woken("clear"), at_node("p1")) == [
        Observe("level_clear"),
        published("people_counter/p1/event/level_clear", b'{"ts":0,"people":0}', qos=1),
    ]


STANDING = Watch("car_waiting", 1.0, "standing")


def plate_event(text):
    payload = f'{{"ts":0,"plate":"{text}","gate":"GA"}}'.encode()
    return published("plate_camera/GA-camera/event/plate", payload, qos=1, personal_bytes=10)


def test_a_camera_waits_for_cars_that_stand_and_cars_that_pass(at_node):
    """Four cars have passed so far; the fifth is news."""
    context = at_node("GA-camera", cars_passed=4.0)

    assert reacted(PlateCamera("gateway"), Started(), context) == [
        STANDING,
        Watch("cars_passed", 5.0, "passed"),
    ]


def test_a_standing_car_is_read_once_with_its_personal_bytes(at_node):
    """The quoted plate takes ten bytes of the payload; when the car has passed nothing more is read."""
    context = at_node("GA-camera", cars_passed=4.0, plate=7.0)
    camera = PlateCamera("gateway")
    assert reacted(camera, Woken("standing"), context) == [Observe("plate_read"), plate_event("SAA0007H")]

    context.senses |= {"cars_passed": 5.0, "plate": 0.0}

    assert reacted(camera, Woken("passed"), context) == [STANDING, Watch("cars_passed", 6.0, "passed")]


def test_a_car_that_passes_an_open_gate_is_read_too(at_node):
    """It is gone when the camera looks; its plate is one that no other car at this gate has."""
    context = at_node("GA-camera", cars_passed=5.0, plate=0.0)
    camera = PlateCamera("gateway")
    assert reacted(camera, Woken("standing"), context) == [STANDING]

    assert reacted(camera, Woken("passed"), context) == [
        Observe("plate_read"),
        plate_event(plate_text(2_000_005)),
        Watch("cars_passed", 6.0, "passed"),
    ]


def test_plates_are_unique():
    """A hundred thousand cars have as many plates, all of one form."""
    plates = {plate_text(number) for number in range(100_000)}

    assert len(plates) == 100_000
    assert {len(plate) for plate in plates} == {8}


def test_a_gas_sensor_reports_parts_per_million(at_node):
    """One decimal is what an electrochemical cell gives."""
    context = at_node("g1", carbon_monoxide_ppm=12.34)

    assert reacted(GasSensor("gateway"), Woken("reading"), context) == [
        published("gas_sensor/g1/telemetry", b'{"ts":0,"carbon_monoxide_ppm":12.3}'),
        Wake(10.0, "reading"),
    ]


def test_binary_encoding_sends_a_frame(at_node):
    """12.3 ppm at 0.1 ppm a step is the register 123."""
    context = at_node("g1", carbon_monoxide_ppm=12.34)

    sent, _ = reacted(GasSensor("gateway", encoding="binary"), Woken("reading"), context)

    assert sent.message.payload == (123).to_bytes(2, "big")


def test_the_time_stamp_is_the_clock_of_the_device(at_node):
    """A skewed clock shows in `ts`, in milliseconds."""
    context = at_node("x")
    context.now = 1.2345

    assert telemetry("k", {}, context).payload == b'{"ts":1234}'
