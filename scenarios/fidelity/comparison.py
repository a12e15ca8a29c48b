"""Two recordings held side by side: latencies, hops, losses, requirements, and a verdict."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec
import numpy as np

from scenarios.fidelity.distances import (
    Estimate,
    Sample,
    kolmogorov_smirnov,
    kolmogorov_smirnov_chance,
    quantile,
    quantile_differences,
    wasserstein,
)
from scenarios.fidelity.recording import Chain, Pair, Recording
from scenarios.results import Verdict

LEVELS: Final = (0.5, 0.9, 0.99)
FEWEST: Final = 20
"""With fewer values a distribution says nothing: they are shown, and not judged."""
FLOOR_S: Final = 0.001
"""A difference below a millisecond is within what an emulator on one machine adds by itself."""
POINTS: Final = 200
MOST_STEPS_SHOWN: Final = 20


class Tolerance(msgspec.Struct, frozen=True):
    """How far live may be from virtual: of the median, of the 99 % quantile, and in the share of losses."""

    median: float = 0.02
    tail: float = 0.05
    loss: float = 0.01

    def of(self, level: float) -> float:
        """The relative tolerance of a quantile; those between median and tail have the wider one."""
        return self.median if level <= 0.5 else self.tail


class QuantileDifference(msgspec.Struct, frozen=True):
    """A quantile in both runs (seconds) and the difference, live less virtual, with its 95 % interval."""

    level: float
    virtual_s: float
    live_s: float
    difference_s: float
    low_s: float
    high_s: float
    allowed_s: float
    verdict: Verdict | None

    @property
    def relative(self) -> float:
        """The difference as a share of the virtual quantile."""
        return self.difference_s / self.virtual_s if self.virtual_s else math.nan


class Distribution(msgspec.Struct, frozen=True):
    """One latency or hop in both runs; `virtual` and `live` are points of the distribution functions."""

    name: str
    virtual_count: int
    live_count: int
    is_paired: bool
    quantiles: list[QuantileDifference]
    ks: float
    ks_chance: float
    wasserstein_s: float
    virtual: list[tuple[float, float]]
    live: list[tuple[float, float]]


class Losses(msgspec.Struct, frozen=True):
    """Chains of a latency that never ended, and those that ended more than once, in both runs."""

    name: str
    where: str
    virtual_count: int
    live_count: int
    virtual_lost: int
    live_lost: int
    virtual_duplicated: int
    live_duplicated: int
    verdict: Verdict | None


class Step(msgspec.Struct, frozen=True):
    """One step of a latency's chains: mean time (seconds) in both runs."""

    name: str
    virtual_s: float
    live_s: float

    @property
    def difference_s(self) -> float:
        """Live less virtual."""
        return self.live_s - self.virtual_s


class Judged(msgspec.Struct, frozen=True):
    """A requirement, or another figure, in both runs."""

    name: str
    virtual: str
    live: str
    verdict: Verdict | None


class Comparison(msgspec.Struct, frozen=True):
    """Everything that was compared."""

    verdict: Verdict
    latencies: list[Distribution]
    touched: list[Distribution]
    hops: list[Distribution]
    losses: list[Losses]
    steps: dict[str, list[Step]]
    requirements: list[Judged]
    figures: list[Judged]
    lost_at: list[Judged]


def compare(virtual: Recording, live: Recording, tolerance: Tolerance) -> Comparison:
    """Hold a live run against the virtual one of the same scenario and seed."""
    latencies, touched, losses, steps = [], [], [], {}
    for name, chains in virtual.chains.items():
        paired = _paired(chains, live.chains.get(name, {}))
        clear = [each for each in paired if not (each[0].is_touched or each[1].is_touched)]
        rest = [each for each in paired if each[0].is_touched or each[1].is_touched]
        latencies += _of_pairs(name, clear, tolerance)
        touched += _of_pairs(name, rest, None)
        losses += [_losses(name, "outside faults", clear, tolerance)] if clear else []
        losses += [_losses(name, "in and after faults", rest, None)] if rest else []
        steps[name] = _steps(clear)
    for name, firsts in virtual.firsts.items():
        both = [(firsts[node], live.firsts.get(name, {}).get(node, math.inf)) for node in firsts]
        latencies += _distribution(name, both, tolerance) if len(both) >= FEWEST else []
    requirements = _requirements(virtual, live)
    judged = [each.verdict for latency in latencies for each in latency.quantiles]
    verdicts = [*judged, *(each.verdict for each in losses), *(each.verdict for each in requirements)]
    return Comparison(
        verdict=_worst(verdicts),
        latencies=latencies,
        touched=touched,
        hops=_hops(virtual, live),
        losses=losses,
        steps={name: found for name, found in steps.items() if found},
        requirements=requirements,
        figures=_figures(virtual, live),
        lost_at=_lost_at(virtual, live),
    )


def _worst(verdicts: Iterable[Verdict | None]) -> Verdict:
    known = [each for each in verdicts if each is not None]
    order: tuple[Verdict, ...] = ("FAIL", "INCONCLUSIVE")
    return next((each for each in order if each in known), "PASS" if known else "INCONCLUSIVE")


def _paired(a: Mapping[Pair, Chain], b: Mapping[Pair, Chain]) -> list[tuple[Chain, Chain]]:
    """Chains of the same start: what has no fellow, because its run was over, is left out."""
    return [(chain, b[pair]) for pair, chain in a.items() if pair in b]


def _of_pairs(
    name: str, pairs: Sequence[tuple[Chain, Chain]], tolerance: Tolerance | None
) -> list[Distribution]:
    return _distribution(name, [(a.latency_s, b.latency_s) for a, b in pairs], tolerance)


def _distribution(
    name: str, pairs: Sequence[tuple[float, float]], tolerance: Tolerance | None
) -> list[Distribution]:
    """The distribution of what was paired, if there is anything."""
    if not pairs:
        return []
    a, b = (np.array(each, dtype=np.float64) for each in zip(*pairs))
    return [distribution(name, a, b, tolerance, is_paired=True)]


def distribution(
    name: str, a: Sample, b: Sample, tolerance: Tolerance | None, *, is_paired: bool
) -> Distribution:
    """One latency or hop in both runs; judged if there is a tolerance and there are values enough."""
    differences = quantile_differences(a, b, LEVELS, is_paired=is_paired)
    is_judged = tolerance is not None and min(len(a), len(b)) >= FEWEST
    found = []
    for level, estimate in zip(LEVELS, differences):
        at_s = quantile(a, level)
        share = (tolerance or Tolerance()).of(level)
        allowed_s = max(FLOOR_S, share * at_s) if math.isfinite(at_s) else FLOOR_S
        verdict = judge(estimate, allowed_s) if is_judged else None
        found.append(QuantileDifference(level, at_s, quantile(b, level), *estimate, allowed_s, verdict))
    distance = kolmogorov_smirnov(a, b)
    return Distribution(
        name,
        len(a),
        len(b),
        is_paired,
        found,
        distance,
        kolmogorov_smirnov_chance(distance, len(a), len(b)),
        wasserstein(a, b),
        _curve(a),
        _curve(b),
    )


def judge(estimate: Estimate, allowed: float) -> Verdict:
    """PASS if the whole interval is within what is allowed, FAIL if all of it is outside."""
    if -allowed <= estimate.low and estimate.high <= allowed:
        return "PASS"
    if estimate.low > allowed or estimate.high < -allowed:
        return "FAIL"
    return "INCONCLUSIVE"


def _curve(sample: Sample) -> list[tuple[float, float]]:
    """Points of the distribution function, dense at its ends."""
    values = np.sort(sample[np.isfinite(sample)])
    if not len(values):
        return []
    places = np.unique(np.round(np.linspace(0, len(values) - 1, min(POINTS, len(values)))).astype(int))
    return [(float(values[place]), float((place + 1) / len(sample))) for place in places]


def _losses(
    name: str, where: str, pairs: Sequence[tuple[Chain, Chain]], tolerance: Tolerance | None
) -> Losses:
    lost_a, lost_b = (sum(math.isinf(pair[side].latency_s) for pair in pairs) for side in (0, 1))
    twice_a, twice_b = (sum(pair[side].end_count > 1 for pair in pairs) for side in (0, 1))
    verdict: Verdict | None = None
    if tolerance is not None and len(pairs) >= FEWEST:
        verdict = "PASS" if abs(lost_b - lost_a) <= tolerance.loss * len(pairs) else "FAIL"
    return Losses(name, where, len(pairs), len(pairs), lost_a, lost_b, twice_a, twice_b, verdict)


def _steps(pairs: Sequence[tuple[Chain, Chain]]) -> list[Step]:
    """Mean time of each step over all pairs whose steps are known, as they are where the transfers of both
    were kept: the differences add up to that of the means.
    """
    ended = [pair for pair in pairs if all(each.steps for each in pair)]
    if not ended:
        return []
    names: dict[str, list[float]] = {}
    for pair in ended:
        for side, chain in enumerate(pair):
            for name, took_s in chain.steps:
                names.setdefault(name, [0.0, 0.0])[side] += took_s
    steps = [Step(name, a / len(ended), b / len(ended)) for name, (a, b) in names.items()]
    return [step for step in steps if max(step.virtual_s, step.live_s) > 0.0][:MOST_STEPS_SHOWN]


def _hops(virtual: Recording, live: Recording) -> list[Distribution]:
    return [
        distribution(name, np.array(virtual.hops[name]), np.array(live.hops[name]), None, is_paired=False)
        for name in virtual.hops
        if name in live.hops and max(virtual.hops[name]) > 0.0
    ]


def _requirements(virtual: Recording, live: Recording) -> list[Judged]:
    """The same requirement must be met in both runs, or missed in both."""
    found = []
    for name, judgement in virtual.outcome.judgements.items():
        other = live.outcome.judgements[name]
        verdict: Verdict = "PASS" if judgement.is_met == other.is_met else "FAIL"
        found.append(
            Judged(name, _met(judgement.is_met, judgement.text), _met(other.is_met, other.text), verdict)
        )
    return found


def _met(is_met: bool, text: str) -> str:
    return f"{'met' if is_met else 'missed'}: {text}"


def _figures(virtual: Recording, live: Recording) -> list[Judged]:
    a, b = virtual.outcome.metrics, live.outcome.metrics
    return [Judged(name, f"{a[name]:.6g}", f"{b[name]:.6g}", None) for name in a if name in b]


def _lost_at(virtual: Recording, live: Recording) -> list[Judged]:
    """Messages lost or given up, by place and cause."""
    rows = []
    for word in ("lost", "given_up"):
        a: dict[str, int] = getattr(virtual.outcome.tally, word)
        b: dict[str, int] = getattr(live.outcome.tally, word)
        rows += [Judged(key, str(a.get(key, 0)), str(b.get(key, 0)), None) for key in sorted({*a, *b})]
    return rows
