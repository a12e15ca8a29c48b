"""How long a device's radio sends and listens, and what current it takes meanwhile."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

from network.catalogue import LORA_NAME, LinkFigures, link_figures
from network.link import Link
from network.media import ble, ieee802154, lorawan
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
    if LORA_NAME.fullmatch(figures.name):
        return up.message_count * lorawan.windows_s(int(figures.name.removeprefix("lorawan-sf")))
    if figures.name == "sigfox":
        return down.message_count * LISTEN_S
    if figures.name == "thread":
        return up.message_count * (ieee802154.ASSESSMENT_S + ieee802154.ACKNOWLEDGEMENT_S)
    return up.message_count * radio(figures.name).tail_s
