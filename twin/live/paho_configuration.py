"""paho clients as a profile asks for them, with the socket they are given."""

from __future__ import annotations

import math
from typing import Any

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from twin.mqtt.fleet.device import Device


class Prepared(paho.Client):
    """A paho client that takes the socket it is given."""

    prepared: Any = None

    def forget(self) -> None:
        """Its socket has been closed by somebody else."""
        self._sock = None
        self._registered_write = False

    def _create_socket(self) -> Any:
        return self.prepared


def configured(device: Device) -> Prepared:
    """A paho client as the device's profile has it."""
    profile = device.profile
    is_v5 = profile.version == "5"
    client = Prepared(
        CallbackAPIVersion.VERSION2,
        client_id=device.client_id,
        clean_session=None if is_v5 else profile.clean_session,
        protocol=paho.MQTTv5 if is_v5 else paho.MQTTv311,
        reconnect_on_failure=False,
    )
    client.max_inflight_messages_set(profile.window)
    client.max_queued_messages_set(profile.queue_limit + profile.window)
    if profile.credentials is not None:
        client.username_pw_set(profile.credentials.user, profile.credentials.password.decode())
    if profile.will is not None:
        will = profile.will
        said = None
        if is_v5:
            said = Properties(PacketTypes.WILLMESSAGE)  # type: ignore[no-untyped-call]
            said.WillDelayInterval = will.delay_s
            if will.message_expiry_s is not None:
                said.MessageExpiryInterval = will.message_expiry_s
        client.will_set(will.topic, will.payload, will.qos, will.retain, said)
    properties = None
    if is_v5 and profile.session_expiry_s:
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = profile.session_expiry_s
    clean_start: Any = profile.clean_session if is_v5 else paho.MQTT_CLEAN_START_FIRST_ONLY
    client.connect_async(
        profile.host, profile.port, math.ceil(profile.keep_alive_s), "", 0, clean_start, properties
    )
    return client
