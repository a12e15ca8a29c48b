"""How long a device's radio sends and listens, and what current it takes meanwhile."""

from __future__ import annotations

import math
from functools import cache
from typing import NamedTuple

from network.catalogue import LORA_NAME, LinkFigures, link_figures
from network.link import Link
from network.media import ble, cellular, ieee802154, lorawan, sigfox
from network.media.cells import most_payload_bytes
from network.stages.air_time import air_time_s
from network.tables import table
from twin.errors import InputError

LISTEN_S = 25.0  # Sigfox: the window of a downlink


class Radio(NamedTuple):
    """Currents in ampere, the seconds it listens on after each message, and what that rests on."""

    tx_a: float
    rx_a: float
    sleep_a: float
    tail_s: float
    kind: str
    source: str


class Spent(NamedTuple):
    """What one uplink message takes of a device: seconds on the air, seconds of listening after, joules."""

    air_s: float
    listening_s: float
    energy_j: float


class Activity(NamedTuple):
    """Seconds that a device's radio sent and listened."""

    tx_s: float
    rx_s: float


@cache
def radio(technology: str) -> Radio:
    """The currents of a technology's radio; raise InputError for one that no battery feeds."""
    name = link_figures(technology).name
    key = "lorawan" if LORA_NAME.fullmatch(name) else name
    row = next((row for row in table("radio_currents") if row["technology"] == key), None)
    if row is None:
        raise InputError(f"no battery is known to feed a device on {name}")
    tx_a, rx_a, sleep_a = (float(row[column]) / 1e3 for column in ("tx_ma", "rx_ma", "sleep_ma"))
    if name == "ble":
        on_air_s = ble.packet_s(0)
        sleep_a += (tx_a + rx_a) * on_air_s / ble.INTERVAL_S
    return Radio(tx_a, rx_a, sleep_a, float(row["tail_s"]), row["kind"], row["source"])


def has_battery_figures(technology: str) -> bool:
    """Whether currents are known for the technology."""
    name = link_figures(technology).name
    key = "lorawan" if LORA_NAME.fullmatch(name) else name
    return any(row["technology"] == key for row in table("radio_currents"))


def message_cost(technology: str, payload_bytes: int, voltage_v: float = 3.0) -> Spent:
    """Energy = voltage x (I_tx x air time + I_rx x listening), of one message on an idle medium.

    Raise InputError for a technology without known currents and for a payload that it refuses.
    """
    most = most_payload_bytes(technology)
    if most is not None and payload_bytes > most:
        raise InputError(f"{technology} carries payloads of at most {most} bytes, not {payload_bytes}")
    known, figures = radio(technology), link_figures(technology)
    air_s = _message_air_s(figures, payload_bytes)
    listening_s = _listening_after_s(figures)
    return Spent(air_s, listening_s, voltage_v * (known.tx_a * air_s + known.rx_a * listening_s))


def _message_air_s(figures: LinkFigures, payload_bytes: int) -> float:
    if LORA_NAME.fullmatch(figures.name):
        return air_time_s(int(figures.name.removeprefix("lorawan-sf")), payload_bytes)
    match figures.name:
        case "sigfox":
            return sigfox.air_s(payload_bytes)
        case "thread":
            return math.fsum(map(ieee802154.frame_s, ieee802154.frames_of(payload_bytes)))
        case "ble":
            return math.fsum(map(ble.packet_s, ble.packets_of(payload_bytes)))
        case "nb-iot":
            return cellular.blocks_s(payload_bytes, figures.up_bps)
    return payload_bytes * 8 / figures.up_bps


def activity(technology: str, up: Link, down: Link, hops: int = 1) -> Activity:
    """What the radio of a device did so far, from the counters of its two links.

    Of a path of several hops the device sends the first only.
    """
    figures = link_figures(technology)
    return Activity(
        _air_s(up, figures.up_bps) / hops,
        _air_s(down, figures.down_bps) / hops + _listening_s(figures, up, down) / hops,
    )


def _air_s(link: Link, rate_bps: float) -> float:
    """Seconds on the air: counted by the medium, or bits by rate where none is modelled."""
    counted_s = link.air_s + sum(getattr(stage, "air_s", 0.0) for stage in link.stages)
    return counted_s or link.byte_count * 8 / rate_bps


def _listening_s(figures: LinkFigures, up: Link, down: Link) -> float:
    """What a device listens besides the messages themselves."""
    answered_s = down.message_count * LISTEN_S if figures.name == "sigfox" else 0.0
    return answered_s + up.message_count * _listening_after_s(figures)


def _listening_after_s(figures: LinkFigures) -> float:
    """What a device listens after each of its messages."""
    if LORA_NAME.fullmatch(figures.name):
        return lorawan.windows_s(int(figures.name.removeprefix("lorawan-sf")))
    if figures.name == "thread":
        return ieee802154.ASSESSMENT_S + ieee802154.ACKNOWLEDGEMENT_S
    return radio(figures.name).tail_s
