"""A profile: what a real broker and a machine took, measured live, for the simulation to use.

    profile: 1
    source: measured
    brokers:
      broker: {stay: {count: 5874, p50: 0.68 ms, p99: 3.1 ms}, crossing: {...}, late: {...}, connect: {...}}

A simulated broker with the profile keeps each message for a lognormal time through the p50 and p99 of `stay`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final, Literal

import numpy as np
import yaml
from pydantic import Field, ValidationError

from scenarios.fidelity.comparison import FEWEST
from scenarios.fidelity.distances import quantile
from scenarios.format.loading import ScenarioFile, Variant
from scenarios.format.schema import Form, Node, Station
from twin.errors import InputError, MissingEnvironmentError
from twin.live.real_broker import Times
from twin.units import Seconds

SERVERS: Final = 100_000
"""So many that nobody waits for another: what was measured has its waiting in it."""
Z_99: Final = 2.3263478740408408
"""The 99 % quantile of the standard normal law."""
LEAST_SIGMA: Final = 1e-6
LARGEST_PROFILE_BYTES: Final = 1_000_000


class Spread(Form):
    """A measured time: how often, and two quantiles."""

    count: int
    p50_s: Seconds = Field(alias="p50")
    p99_s: Seconds = Field(alias="p99")

    def model_post_init(self, _context: object) -> None:
        """Quantiles come in order."""
        if not 0 < self.p50_s <= self.p99_s:
            raise ValueError("expected 0 < p50 <= p99")


class BrokerTimes(Form):
    """What one broker took: see `twin.live.real_broker.Times`."""

    broker: str = ""
    stay: Spread
    crossing: Spread | None = None
    late: Spread | None = None
    connect: Spread | None = None


class Profile(Form):
    """Measured times by node, and when, where and by what they were measured."""

    profile: Literal[1]
    source: Literal["measured"]
    when: str = ""
    where: str = ""
    scenario: str = ""
    brokers: dict[str, BrokerTimes]


def spread_of(times_s: Iterable[float]) -> Spread | None:
    """Two quantiles of what was measured, if it was often enough."""
    sample = np.array(list(times_s))
    if len(sample) < FEWEST:
        return None
    low, high = max(1e-9, quantile(sample, 0.5)), max(1e-9, quantile(sample, 0.99))
    return Spread.model_construct(count=len(sample), p50_s=low, p99_s=high)


def profile_of(
    times: Mapping[str, Times], brokers: Mapping[str, str], scenario: str, when: str, where: str
) -> Profile:
    """The profile of a live run. Raises MissingEnvironmentError if too little came through a broker."""
    found = {}
    for node, each in times.items():
        stay = spread_of(each.stay_s)
        if stay is None:
            raise MissingEnvironmentError(
                f"only {len(each.stay_s)} publications came through {node!r}, and {FEWEST} are needed for a"
                " profile; run longer (--for)"
            )
        found[node] = BrokerTimes(
            broker=brokers.get(node, ""),
            stay=stay,
            crossing=spread_of(each.crossing_s),
            late=spread_of(each.late_s),
            connect=spread_of(each.connect_s),
        )
    return Profile(profile=1, source="measured", when=when, where=where, scenario=scenario, brokers=found)


def text_of(profile: Profile) -> str:
    """The profile as a file: times with their units."""
    data = profile.model_dump(exclude_none=True)
    for broker in data["brokers"].values():
        for name, spread in broker.items():
            if isinstance(spread, dict):
                times = {key.removesuffix("_s"): f"{spread[key] * 1e3:.4g} ms" for key in ("p50_s", "p99_s")}
                broker[name] = {"count": spread["count"], **times}
    head = "# Measured by `windtunnel calibrate`; use it with `windtunnel run SCENARIO --profile FILE`.\n"
    return head + yaml.safe_dump(data, sort_keys=False, allow_unicode=True)


def read_profile(path: Path) -> Profile:
    """Read a profile. Raises InputError, saying where and what, for a file that is none."""
    if path.stat().st_size > LARGEST_PROFILE_BYTES:
        raise InputError(f"{path.name}: a profile has at most {LARGEST_PROFILE_BYTES:,} bytes")
    try:
        return Profile.model_validate(yaml.safe_load(path.read_text("utf-8")))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path.name} is no YAML: {' '.join(str(error).split())}") from None
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        raise InputError(f"{path.name}: {place}: {first['msg']}") from None


def station_of(spread: Spread) -> Station:
    """A station that keeps each message for a lognormal time through two quantiles."""
    sigma = max(LEAST_SIGMA, math.log(spread.p99_s / spread.p50_s) / Z_99)
    mean_s = spread.p50_s * math.exp(sigma * sigma / 2)
    variation = min(100.0, math.sqrt(math.expm1(sigma * sigma)))
    return Station.model_construct(service_s=mean_s, law="lognormal", variation=variation, servers=SERVERS)


def with_profile(variant: Variant, profile: Profile) -> Variant:
    """The variant with what was measured at the brokers that have no station of their own.

    Raises InputError if no node of the profile is such a broker.
    """
    nodes: dict[str, Node] = dict(variant.scenario.nodes)
    known = [name for name, node in nodes.items() if node.kind == "mqtt_broker" and node.station is None]
    fitting = [name for name in known if name in profile.brokers]
    if not fitting:
        raise InputError(
            f"the profile is of {', '.join(profile.brokers) or 'nothing'}; brokers of {variant.name!r}"
            f" without a station of their own: {', '.join(known) or 'none'}"
        )
    data = {**variant.data, "nodes": {**variant.data.get("nodes", {})}}
    for name in fitting:
        station = station_of(profile.brokers[name].stay)
        nodes[name] = nodes[name].model_copy(update={"station": station})
        written = {
            "service": f"{station.service_s * 1e3:.6g} ms",
            "law": station.law,
            "cv": station.variation,
        }
        data["nodes"][name] = {**data["nodes"][name], "station": {**written, "servers": SERVERS}}
    return replace(variant, scenario=variant.scenario.model_copy(update={"nodes": nodes}), data=data)


def all_with_profile(scenario: ScenarioFile, profile: Profile) -> ScenarioFile:
    """The scenario with the profile in every variant."""
    return replace(scenario, variants=tuple(with_profile(each, profile) for each in scenario.variants))
