"""The identity in a message."""

import pytest

from twin.errors import InputError
from twin.mqtt.fleet.device import Device, Profile
from twin.mqtt.fleet.frames import Delivery
from twin.mqtt.fleet.stamp import due_of, read_stamp, read_stamp_property, stamp_property, stamped

DEVICE = Device(70_000, "d", Profile(host="h", port=1))
DEVICE.session = 3


def test_a_stamped_payload_says_who_when_and_which():
    """And has the size asked for."""
    payload = stamped(100)(DEVICE, 5_000_000_000, 12.25)

    assert len(payload) == 100
    assert read_stamp(payload) == (70_000, 3, 5_000_000_000, 12.25)


def test_a_stamp_travels_as_a_user_property_too():
    """Beside other properties."""
    properties = b"\x02\0\0\0\x09" + stamp_property(DEVICE, 7, 1.5)

    assert read_stamp_property(properties) == (70_000, 3, 7, 1.5)
    assert due_of(Delivery("t", b"{}", 1, False, False, 1, properties)) == 1.5


@pytest.mark.parametrize("payload", [b"", b"WTd1", b"x" * 100])
def test_what_bears_no_stamp_has_none(payload):
    """Foreign messages are no error."""
    assert read_stamp(payload) is None
    assert due_of(Delivery("t", payload, 0, False, False, 0)) is None


def test_a_payload_too_small_for_its_stamp_is_refused():
    """With the size that it needs."""
    with pytest.raises(InputError, match="at least 28 bytes"):
        stamped(27)
