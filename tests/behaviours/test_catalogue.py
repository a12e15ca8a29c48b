import dataclasses
import typing

import pytest

from devices_models.catalogue import DEVICES
from network.catalogue import link_figures
from twin.kernel.behaviour import Effect, Send, Started, Woken
from twin.units import Quantity

EVERY = pytest.mark.parametrize("name", sorted(DEVICES))
SENSED = {
    "smoke_sensor_rise": 0.0,
    "heat_sensor_temperature": 28.0,
    "occupied": 0.0,
    "people_passed": 0.0,
    "level_people": 1.0,
    "carbon_monoxide_ppm": 0.0,
    "car_waiting": 0.0,
    "cars_passed": 0.0,
    "plate": 1.0,
}


@EVERY
def test_every_device_type_makes_a_behaviour_that_starts(name, at_node):
    """Made from its gateway alone, it reacts to the start with what the kernel can do."""
    device = DEVICES[name].make("gateway", {})

    effects = device.react(Started(), at_node("L1-X", **SENSED))

    assert {type(each) for each in effects} <= set(typing.get_args(Effect))


@EVERY
def test_every_telemetry_names_its_own_kind(name, at_node):
    """What a periodic device sends stands under `{kind}/{node}/`."""
    context = at_node("L1-X", **SENSED)
    device = DEVICES[name].make("gateway", {})
    device.react(Started(), context)

    sent = [*device.react(Woken("reading"), context), *device.react(Woken("supervision"), context)]

    topics = [effect.message.topic for effect in sent if type(effect) is Send]
    assert all(topic.startswith(f"{DEVICES[name].kind}/L1-X/") for topic in topics)


@EVERY
def test_every_option_is_understood_by_the_loader(name):
    """Floats carry a quantity, so that a bare number in a scenario can be refused."""
    form = DEVICES[name].behaviour
    hints = typing.get_type_hints(form, include_extras=True)
    bare = [
        field.name
        for field in dataclasses.fields(form)
        if field.init and field.name not in DEVICES[name].wired and hints[field.name] is float
    ]

    assert bare == []
    assert "gateway" in DEVICES[name].wired


@EVERY
def test_every_device_type_says_what_it_is_good_for(name):
    """A reason or more for its tier, a known link, a first line of documentation."""
    device = DEVICES[name]

    assert device.quality.reasons
    assert link_figures(device.link)
    assert device.behaviour.__doc__.strip()


def test_features_of_a_scene_find_their_devices():
    """A level carries a sounder and an isolator, a gate booms and a camera: all with names of their own."""
    found = sorted(
        device.placement.node("X")
        for kind, feature_type in [("detector", "multi_heat_smoke"), ("gate", "boom"), ("level", "")]
        for device in DEVICES.values()
        if device.placement and device.placement.accepts(kind, feature_type)
    )

    assert found == ["X", "X", "X-camera", "X-chargers", "X-heat", "X-shadow", "X-sounder"]


def test_sensors_are_told_apart_by_type():
    """A feature of kind sensor is a people counter or a gas sensor."""

    def devices_on(feature_type):
        return [
            name
            for name, device in DEVICES.items()
            if device.placement and device.placement.accepts("sensor", feature_type)
        ]

    assert devices_on("people_counter") == ["people_counter"]
    assert devices_on("co") == ["gas_sensor"]


def test_quantities_are_annotated_with_units():
    """The rise of a smoke detector is a temperature, its supervision a duration."""
    hints = typing.get_type_hints(DEVICES["smoke_detector"].behaviour, include_extras=True)

    kinds = [Quantity("kelvin"), Quantity("time")]
    assert [hints[name].__metadata__[0] for name in ("rise_k", "every_s")] == kinds
