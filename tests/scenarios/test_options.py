"""Options of devices, kinds and worlds come from the init fields of a data class."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import pytest

from devices_models.shadow_device import Property, ShadowDevice
from scenarios.format.options import options_of
from twin.errors import InputError
from twin.units import BitsPerSecond, Bytes, Celsius, MessageCount, Metres, PerSecond, Ratio, Seconds


@dataclass(slots=True)
class Device:
    """A device with every sort of option."""

    gateway: str
    every_s: Seconds = 60.0
    payload_bytes: Bytes = 20
    uplink_bps: BitsPerSecond = 1e3
    jitter_ratio: Ratio = 0.0
    height_m: Metres = 2.0
    buffer_count: MessageCount = 10
    threshold_c: Celsius = 60.0
    arrivals_per_s: PerSecond = 1.0
    mode: Literal["fast", "slow"] = "fast"
    times_s: Sequence[Seconds] = ()
    level_m: int = 3
    measures: ClassVar[tuple[str, ...]] = ()
    _sent: int = field(init=False, default=0)


def test_a_key_is_the_attribute_without_its_unit_suffix():
    """State, class variables and what the wiring gives are no options."""
    assert list(options_of(Device, frozenset({"gateway"})).keys) == [
        "every", "payload", "uplink", "jitter", "height", "buffer", "threshold", "arrivals", "mode", "times",
        "level_m",
    ]  # fmt: skip


def test_what_was_written_becomes_arguments_in_si():
    """Only what was written: the rest is left to the data class."""
    written = {"every": "5 min", "payload": "2 kB", "buffer": "7 messages", "times": ["1 ms", "2 s"]}

    found, errors = options_of(Device, frozenset({"gateway"})).read(written)

    assert errors == []
    assert found == {"every_s": 300.0, "payload_bytes": 2000, "buffer_count": 7, "times_s": [0.001, 2.0]}
    assert Device("g", **found).every_s == 300.0


def test_an_option_without_default_must_be_written():
    """A rule engine needs its rules."""
    _, errors = options_of(Device).read({})

    assert [(each["type"], each["loc"]) for each in errors] == [("missing", ("gateway",))]


@dataclass(slots=True, frozen=True)
class Fire:
    """A nested form that checks itself."""

    bay: str
    peak_w: float = 1.0

    def __post_init__(self):
        """Refuse a fire without heat."""
        if self.peak_w <= 0:
            raise InputError("a fire needs heat")


@dataclass(slots=True, frozen=True)
class World:
    """A form or nothing, a number or a form."""

    fire: Fire | None = None
    people: Fire | int = 0


def test_a_nested_data_class_is_a_nested_map():
    """It arrives as an instance."""
    found, errors = options_of(World).read({"fire": {"bay": "B1"}, "people": 3})

    assert (found, errors) == ({"fire": Fire("B1"), "people": 3}, [])


def test_what_a_data_class_refuses_is_an_error_of_the_options():
    """Its own message is kept."""
    _, errors = options_of(World).read({"fire": {"bay": "B1", "peak_w": 0.0}})

    assert [each["msg"] for each in errors] == ["a fire needs heat"]


@pytest.mark.parametrize(
    ("path", "keys"), [((), ["fire", "people"]), (("fire",), ["bay", "peak_w"]), (("nothing",), [])]
)
def test_the_keys_at_a_path_are_known(path, keys):
    """An unknown key can be answered with the nearest one, also inside."""
    assert list(options_of(World).keys_at(path)) == keys


def test_a_map_of_data_classes_is_read_and_its_keys_are_known():
    """Whatever the names in the map are."""
    form = options_of(ShadowDevice, frozenset({"gateway", "is_direct"}))
    read, errors = form.read({"properties": {"lamp": {"values": [0, 1], "toggles_every": "5 s"}}})

    assert (read, errors) == ({"properties": {"lamp": Property(values=[0, 1], toggles_every_s=5.0)}}, [])
    assert "toggles_every" in form.keys_at(("properties", "lamp"))
