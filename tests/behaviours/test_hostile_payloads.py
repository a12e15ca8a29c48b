"""What a real broker may bring: no payload, however wrong, ends a device and with it the run."""

import json
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices_models.actuators import SWITCHES, BoomGate, Switch
from devices_models.managed_device import ManagedDevice
from devices_models.shadow_device import Property, ShadowDevice
from twin.cloud.application import REQUEST_TOPIC, Application
from twin.cloud.database import QUERY_TOPIC, Database
from twin.kernel.behaviour import Effect, LinkChanged, Received, Started, Woken
from twin.message import Message

DEEP = b'{"state":' * 5_000
NAMES = (
    *("version", "state", "desired", "reported", "metadata", "current", "gate", "timestamp", "id"),
    *("execution", "executionNumber", "versionNumber", "jobDocument", "size_bytes", "expires", "status"),
)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(-1e9, 1e9)
    | st.sampled_from(["", "x"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4),
    max_leaves=8,
)
PAYLOADS = st.one_of(
    st.just(DEEP), st.binary(max_size=20), VALUES.map(lambda value: json.dumps(value).encode())
)
SHADOW = ("get/accepted", "get/rejected", "update/accepted", "update/delta", "update/documents")
DEVICES = {
    "gate": (lambda: BoomGate("hub"), ["boom_gate/d/delta", "boom_gate/d/cmd/open"]),
    "switch": (lambda: Switch("hub", min(SWITCHES)), [f"{min(SWITCHES)}/d/delta"]),
    "shadow": (
        lambda: ShadowDevice("hub", properties={"gate": Property(values=("closed", "open"))}),
        [f"$aws/things/d/shadow/{suffix}" for suffix in SHADOW],
    ),
    "managed": (
        lambda: ManagedDevice("hub"),
        [f"$aws/things/d/jobs/{suffix}" for suffix in ("start-next/accepted", "notify-next")]
        + ["managed_device/d/cmd/reset"],
    ),
    "database": (Database, [QUERY_TOPIC]),
    "application": (lambda: Application("database"), [REQUEST_TOPIC]),
}


@pytest.mark.parametrize("kind", DEVICES)
@given(st.data())
def test_no_payload_ends_a_device(at_node, kind, data):
    """It does what it understands, and goes on: all that comes of it is something the kernel can do."""
    make, topics = DEVICES[kind]
    device, context = make(), at_node("d")
    heard = [
        Received(Message(topic, data.draw(PAYLOADS)), "hub", 0.0)
        for topic in data.draw(st.lists(st.sampled_from(topics), max_size=6))
    ]
    effects = [
        effect
        for event in (Started(), LinkChanged("hub", is_up=True), *heard, Woken("job"))
        for effect in device.react(event, context)
    ]

    assert {type(each) for each in effects} <= set(get_args(Effect))
