"""The cells of a network: which links share which medium.

The devices of one `via` node with one technology are a cell; all spreading factors of LoRaWAN are one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple, TypeVar

from network.catalogue import LORA_NAME, LinkFigures, link_figures
from network.laws import ShiftedLognormal
from network.link import Link
from network.media import can, ieee802154, lorawan, sigfox
from network.media.ble import ConnectionEvents
from network.media.cellular import Handovers, TransportBlocks
from network.media.ethernet import Port
from network.media.modbus import MasterToSlave, ModbusBus, SlaveToMaster
from network.media.mstp import Master, TokenBus
from network.media.satellite import Reallocation
from network.media.wifi import AccessPoint
from network.stages.air_time import AirTime
from network.stages.gilbert_elliott import GilbertElliott
from network.stages.jitter import Jitter
from network.stages.medium import Medium
from network.stages.rate import Rate
from twin.kernel.ports import Stage
from twin.kernel.randomness import Streams

T = TypeVar("T")


class Place(NamedTuple):
    """Where a link stands in its cell: the device, the node around which the cell is, the direction."""

    device: str
    via: str
    is_down: bool
    hops: int
    on_duty_cycle: lorawan.OnDutyCycle


class Cells:
    """All cells of one network."""

    def __init__(self, streams: Streams) -> None:
        self.streams = streams
        self._found: dict[tuple[str, str], Any] = {}

    def join(
        self,
        link: Link,
        technology: str,
        *,
        is_down: bool = False,
        hops: int = 1,
        on_duty_cycle: lorawan.OnDutyCycle = "wait",
        handover_every_s: float | None = None,
        around: str = "",
    ) -> None:
        """Put a device's link into the medium of its cell; other technologies are left as they are.

        The device is the link's source, or its end if `is_down`; the cell is around the other end, or, where
        the link goes on from there, `around` something else. Raise InputError for handovers where the
        technology has none.
        """
        figures = link_figures(technology)
        device, via = (link.to, link.source) if is_down else (link.source, link.to)
        via = around or via
        place = Place(device, via, is_down, hops, on_duty_cycle)
        joins = _join_lora if LORA_NAME.fullmatch(figures.name) else _JOINS.get(figures.name)
        if joins is not None:
            joins(self, link, figures, place)
        if handover_every_s is not None:
            stream = self.streams.stream(device, "handovers")
            gaps = self.shared(device, "handovers", lambda: Handovers(figures.name, handover_every_s, stream))
            link.stages = (gaps, *link.stages)
        if said := carriage(technology):
            link.provenance = f"{link.provenance}; {said}"

    def shared(self, around: str, kind: str, make: Callable[[], T]) -> T:
        """What the links around a node share, made on first use."""
        key = (around, kind)
        if key not in self._found:
            self._found[key] = make()
        found: T = self._found[key]
        return found


def _join_lora(cells: Cells, link: Link, figures: LinkFigures, place: Place) -> None:
    spreading_factor = int(figures.name.removeprefix("lorawan-sf"))
    cell = cells.shared(place.via, "lorawan", lorawan.LoraCell)
    stream = cells.streams.stream(place.device, "lorawan")
    device = cells.shared(
        place.device,
        "lorawan device",
        lambda: lorawan.LoraDevice(cell, spreading_factor, stream, place.on_duty_cycle),
    )
    link.stages = _without(link.stages, AirTime, Rate)
    medium = lorawan.LoraDownlink(device) if place.is_down else lorawan.LoraUplink(device)
    link.join(medium, AirTime(spreading_factor).mean_s)


def _join_sigfox(cells: Cells, link: Link, figures: LinkFigures, place: Place) -> None:
    device = cells.shared(place.device, "sigfox device", sigfox.SigfoxDevice)
    law = sigfox.behind_the_air(figures.law)
    link.stages = _with_law(_without(link.stages, Medium, Rate), law)
    medium = sigfox.SigfoxDownlink(device) if place.is_down else sigfox.SigfoxUplink(device)
    link.join(medium, sigfox.air_s(sigfox.UP_BYTES))


def _join_mesh(cells: Cells, link: Link, figures: LinkFigures, place: Place) -> None:
    channel = cells.shared(place.via, figures.name, ieee802154.Channel)
    medium = ieee802154.MeshLink(channel, cells.streams.stream(link.name, "back-off"), place.hops)
    link.stages = _without(link.stages, Medium, Jitter)
    link.join(medium, medium.mean_s)


def _join_modbus(cells: Cells, link: Link, figures: LinkFigures, place: Place) -> None:
    bus = cells.shared(place.via, figures.name, lambda: ModbusBus(figures.up_bps))
    slave = cells.shared(place.device, "modbus slave", lambda: SlaveToMaster(bus, bus.join()))
    medium = MasterToSlave(bus) if place.is_down else slave
    link.stages = _without(link.stages, Medium, Jitter)
    link.join(medium, medium.mean_s)


def _join_mstp(cells: Cells, link: Link, figures: LinkFigures, place: Place) -> None:
    bus = cells.shared(place.via, figures.name, lambda: TokenBus(figures.up_bps))
    gateway = cells.shared(place.via, "mstp gateway", lambda: Master(bus, 0))
    device = cells.shared(place.device, "mstp master", lambda: Master(bus, bus.join()))
    medium = gateway if place.is_down else device
    link.stages = _without(link.stages, Medium, Jitter)
    link.join(medium, medium.mean_s)


def _join_can(cells: Cells, link: Link, figures: LinkFigures, place: Place) -> None:
    bus = cells.shared(place.via, figures.name, lambda: can.CanBus(figures.up_bps))
    sender = place.via if place.is_down else place.device
    identifier = cells.shared(sender, "can identifier", bus.join)
    is_first = not bus.has_counter
    bus.has_counter = True
    link.stages = _without(link.stages, Medium, Jitter)
    link.join(can.CanNode(bus, identifier, is_counting=is_first), can.frame_bits(8) / figures.up_bps)


def _join_ble(cells: Cells, link: Link, figures: LinkFigures, place: Place) -> None:
    del place
    loss = next((stage for stage in link.stages if isinstance(stage, GilbertElliott)), None)
    stream = cells.streams.stream(link.name, "connection")
    rest = _without(link.stages, Medium, Jitter, GilbertElliott)
    link.stages = (ConnectionEvents(stream, loss), *rest)
    del figures


def _join_wifi(cells: Cells, link: Link, figures: LinkFigures, place: Place) -> None:
    air = cells.shared(place.via, figures.name, lambda: AccessPoint(figures.up_bps))
    link.stages = (air, *_without(link.stages, Rate))


def _join_narrowband(cells: Cells, link: Link, figures: LinkFigures, place: Place) -> None:
    del cells
    if not place.is_down:
        link.stages = (TransportBlocks(figures.up_bps), *_without(link.stages, Rate, Medium))


def _join_low_orbit(cells: Cells, link: Link, figures: LinkFigures, place: Place) -> None:
    stream = cells.streams.stream(place.via, "reallocation")
    link.stages = (cells.shared(place.via, figures.name, lambda: Reallocation(stream)), *link.stages)


def _join_ethernet(cells: Cells, link: Link, figures: LinkFigures, place: Place) -> None:
    del cells
    port = Port(figures.down_bps if place.is_down else figures.up_bps)
    link.stages = (port, *_without(link.stages, Rate))


_JOINS: Final[dict[str, Callable[[Cells, Link, LinkFigures, Place], None]]] = {
    "sigfox": _join_sigfox,
    "thread": _join_mesh,
    "rs485-modbus": _join_modbus,
    "bacnet-mstp": _join_mstp,
    "can": _join_can,
    "ble": _join_ble,
    "wifi-good": _join_wifi,
    "wifi-busy": _join_wifi,
    "nb-iot": _join_narrowband,
    "starlink": _join_low_orbit,
    "ethernet": _join_ethernet,
}

_WHOLE: Final = frozenset({"thread", "ble", "rs485-modbus", "bacnet-mstp", "can"})
"""Technologies whose medium accounts for the whole delay of a link."""


def gives_way(technology: str, *, to_delay: bool, to_rate: bool) -> bool:
    """Whether figures that somebody gave for a link take the place of its medium.

    A rate does, wherever the medium has one; a delay does where the medium accounts for all of it, and is
    what comes on top elsewhere (the backhaul of LoRaWAN).
    """
    name = link_figures(technology).name
    has_rate = name in _JOINS and name != "starlink"
    return (to_rate and has_rate) or (to_delay and name in _WHOLE)


def most_payload_bytes(technology: str) -> int | None:
    """The longest payload a device may send over the technology; None where longer ones are cut up."""
    name = link_figures(technology).name
    if LORA_NAME.fullmatch(name):
        return lorawan.MOST_BYTES[int(name.removeprefix("lorawan-sf"))]
    most = {"sigfox": sigfox.UP_BYTES, "thread": ieee802154.MOST_BYTES, "can": can.MOST_BYTES}
    return most.get(name)


_PIECES: Final = {
    "thread": f"frames of {ieee802154.FRAME_PAYLOAD_BYTES} bytes",
    "ble": "packets of 244 bytes",
    "rs485-modbus": "transactions of 250 bytes",
    "bacnet-mstp": "segments of 480 bytes, one a token",
    "can": "ISO 15765-2 segments of 7 bytes",
    "nb-iot": "transport blocks of 125 bytes",
    "ethernet": "frames of 1460 bytes",
    "wifi-good": "frames of 1460 bytes",
    "wifi-busy": "frames of 1460 bytes",
}


def carriage(technology: str) -> str:
    """What becomes of a long payload, in words; '' where nothing is modelled."""
    pieces, most = _PIECES.get(link_figures(technology).name), most_payload_bytes(technology)
    cut = [f"payloads are cut into {pieces}"] if pieces else []
    refused = [f"payloads over {most} bytes are refused"] if most is not None else []
    return "; ".join(cut + refused)


def _without(stages: tuple[Stage, ...], *kinds: type[Any]) -> tuple[Stage, ...]:
    return tuple(stage for stage in stages if not isinstance(stage, kinds))


def _with_law(stages: tuple[Stage, ...], law: ShiftedLognormal) -> tuple[Stage, ...]:
    """The stages, with the delay law replaced."""
    for stage in stages:
        if isinstance(stage, Jitter):
            stage.law = law
    return stages
