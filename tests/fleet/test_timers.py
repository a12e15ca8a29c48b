"""The wheel: one timer a device, never early, late by a grain at most."""

from hypothesis import given
from hypothesis import strategies as st

from twin.mqtt.fleet.device import Device, Profile
from twin.mqtt.fleet.timers import GRAIN_S, Timers

PROFILE = Profile(host="h", port=1)
STEPS = st.lists(st.tuples(st.integers(0, 4), st.floats(0.0, 2.0), st.booleans()), max_size=60)


@given(STEPS)
def test_every_device_is_woken_once_at_its_last_time(steps):
    """Whatever was set before."""
    timers, now = Timers(), 0.0
    devices = [Device(number, f"d{number}", PROFILE) for number in range(5)]
    due = {}
    for number, ahead_s, is_advancing in steps:
        if is_advancing:
            now += ahead_s
            for device in timers.due(now):
                assert due[device.number] <= now
                del due[device.number]
            assert all(due_s > now - GRAIN_S for due_s in due.values())
        else:
            timers.set(devices[number], now + ahead_s)
            due[number] = now + ahead_s

    assert {device.number for device in timers.due(now + 10.0)} == set(due)
    assert timers.due(now + 100.0) == []


def test_a_stopped_timer_stays_silent():
    """And can be set again."""
    timers, device = Timers(), Device(0, "d", PROFILE)
    timers.set(device, 1.0)
    timers.stop(device)

    assert timers.due(2.0) == []
    timers.set(device, 3.0)
    assert timers.due(4.0) == [device]
