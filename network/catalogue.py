"""Access technologies: what a link of a known kind is like, and what that knowledge rests on."""

from __future__ import annotations

import re
from functools import cache
from typing import Literal

import msgspec

from network.laws import ShiftedLognormal
from network.naming import unknown
from network.stages.air_time import AirTime, is_low_rate, symbol_s
from network.stages.delay import Delay
from network.stages.gilbert_elliott import GilbertElliott
from network.stages.jitter import Jitter
from network.stages.loss import Loss
from network.stages.medium import Medium
from network.stages.rate import DEFAULT_QUEUE_BYTES, Rate
from network.tables import table
from twin.errors import InputError
from twin.kernel.ports import Stage
from twin.kernel.randomness import Streams

LORA_MTU_BYTES = {8: 222, 9: 115, 10: 51, 11: 51}  # LoRaWAN EU868 regional parameters
LORA_NAME = re.compile(r"lorawan-sf(\d+)")
MOST_HOPS = 16
FRAME_FAMILIES = ("wpan", "fieldbus", "lpwan")  # their delays are those of whole frames or transactions


class LinkFigures(msgspec.Struct, frozen=True):
    """One technology: one-way delay (s), rates (bit/s), payload limit (bytes), loss as netem's p and r.

    `kind` is the kind of the median delay; `basis` names the sources and says which figures are defaults.
    """

    name: str
    label: str
    family: str
    down_bps: float
    up_bps: float
    mtu_bytes: int
    floor_s: float
    p50_s: float
    p99_s: float
    ge_p: float
    ge_r: float
    kind: Literal["published", "derived", "default"]
    basis: str
    notes: str = ""

    @property
    def law(self) -> ShiftedLognormal:
        """Law of the one-way delay."""
        return ShiftedLognormal(self.floor_s, self.p50_s, self.p99_s)

    @property
    def loss_ratio(self) -> float:
        """Mean loss: p / (p + r)."""
        return self.ge_p / (self.ge_p + self.ge_r)


@cache
def technologies() -> dict[str, LinkFigures]:
    """All technologies by name, without aliases."""
    found = {row["id"]: _figures(row) for row in table("link_catalogue")}
    for spreading_factor in LORA_MTU_BYTES:
        derived = _lora_figures(spreading_factor, found["lorawan-sf7"])
        found[derived.name] = derived
    return found


@cache
def aliases() -> dict[str, str]:
    """The technology each other name stands for."""
    return {alias: row["id"] for row in table("link_catalogue") for alias in row["aliases"].split()}


def link_figures(name: str) -> LinkFigures:
    """The figures of a technology by its name or alias; raise InputError for an unknown one."""
    figures = technologies().get(aliases().get(name, name))
    if figures is None:
        raise unknown("link technology", name, [*technologies(), *aliases()])
    return figures


def access_stages(
    name: str, technology: str, streams: Streams, *, is_down: bool = False, hops: int = 1
) -> tuple[Stage, ...]:
    """Stages of an access link, once for each radio hop; `name` is the link's, for its random streams.

    Up is from the device to the network.
    """
    if not 1 <= hops <= MOST_HOPS:
        raise InputError(f"a path of {hops} hops is outside 1 to {MOST_HOPS}")
    figures = link_figures(technology)
    stages: list[Stage] = []
    for hop in range(1, hops + 1):
        stages.append(_transmitter(figures, is_down=is_down))
        if figures.ge_p > 0:
            stages.append(GilbertElliott(figures.ge_p, figures.ge_r, streams.stream(name, f"burst {hop}")))
        stages.append(Jitter(figures.law, streams.stream(name, f"jitter {hop}")))
    return tuple(stages)


@cache
def presets() -> dict[str, dict[str, str]]:
    """Link presets of other tools by `<family>:<name>`: the rows of named_link_presets.csv."""
    return {f"{row['family']}:{row['name']}": row for row in table("named_link_presets")}


@cache
def loss_presets() -> dict[str, tuple[float, float, float, float]]:
    """Gilbert-Elliott presets by name: p, r, 1-h, 1-k."""
    columns = ("p_good_to_bad", "r_bad_to_good", "loss_in_bad_1-h", "loss_in_good_1-k")
    return {row["name"]: tuple(float(row[c]) for c in columns) for row in table("gilbert_elliott_presets")}  # type: ignore[misc]


def _transmitter(figures: LinkFigures, *, is_down: bool) -> Stage:
    """A LoRa uplink is bound by air time and duty cycle, everything else by its rate."""
    lora = LORA_NAME.fullmatch(figures.name)
    if lora and not is_down:
        return AirTime(int(lora[1]))
    rate_bps = figures.down_bps if is_down else figures.up_bps
    if figures.family in FRAME_FAMILIES and not lora:
        return Medium(rate_bps, figures.mtu_bytes)
    return Rate(rate_bps)


def _figures(row: dict[str, str]) -> LinkFigures:
    return LinkFigures(
        name=row["id"],
        label=row["label"],
        family=row["family"],
        down_bps=float(row["down_bps"]),
        up_bps=float(row["up_bps"]),
        mtu_bytes=int(row["mtu_payload_bytes"]),
        floor_s=float(row["one_way_floor_ms"]) / 1e3,
        p50_s=float(row["one_way_p50_ms"]) / 1e3,
        p99_s=float(row["one_way_p99_ms"]) / 1e3,
        ge_p=float(row["ge_p"]),
        ge_r=float(row["ge_r"]),
        kind=row["kind"],  # type: ignore[arg-type]
        basis=row["source"],
        notes=row["notes"],
    )


def _lora_figures(spreading_factor: int, model: LinkFigures) -> LinkFigures:
    """SF8 to SF11 from the LoRa modulation: bits a symbol / symbol time x coding rate 4/5."""
    bits = spreading_factor - 2 * is_low_rate(spreading_factor)
    rate_bps = round(bits / symbol_s(spreading_factor) * 4 / 5)
    return msgspec.structs.replace(
        model,
        name=f"lorawan-sf{spreading_factor}",
        label=f"LoRaWAN EU868 SF{spreading_factor}BW125",
        up_bps=rate_bps,
        down_bps=rate_bps,
        mtu_bytes=LORA_MTU_BYTES[spreading_factor],
        basis="rate from the LoRa modulation formula; backhaul default",
    )


def given_stages(
    name: str,
    streams: Streams,
    *,
    delay_s: float = 0.0,
    jitter_s: float = 0.0,
    loss_ratio: float = 0.0,
    rate_bps: float | None = None,
    queue_bytes: float = DEFAULT_QUEUE_BYTES,
) -> tuple[Stage, ...]:
    """Stages of a link whose figures somebody gave; `name` is the link's, for its random streams.

    The median delay is `delay_s`, and one message in a hundred takes `jitter_s` longer.
    """
    stages: list[Stage] = [Rate(rate_bps, queue_bytes)] if rate_bps is not None else []
    if loss_ratio:
        stages.append(Loss(loss_ratio, streams.stream(name, "loss")))
    if jitter_s:
        if jitter_s > delay_s:
            raise InputError(
                f"link {name!r}: a jitter of {jitter_s} s is longer than the delay of {delay_s} s"
            )
        law = ShiftedLognormal(delay_s - jitter_s, delay_s, delay_s + jitter_s)
        stages.append(Jitter(law, streams.stream(name, "jitter")))
    elif delay_s:
        stages.append(Delay(delay_s))
    return tuple(stages)
