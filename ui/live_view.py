"""Live runs as the page shows them: commands to start, checks of brokers, and live beside simulated."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from scenarios.fidelity.comparison import Distribution
from scenarios.fidelity.running import Fidelity
from scenarios.report.wording import quantity

LIVE: Final = "live.json"
LEVELS: Final = {
    "in-driver": "The links delay in the process that runs the devices.",
    "proxy": "A proxy delays the real bytes between devices and broker.",
    "tun": "Real packets cross the links between network namespaces (Linux).",
    "none": "Nothing delays but this machine.",
}


class Access(NamedTuple):
    """A broker, and the files that it asks for; a password never stands on a command line."""

    broker: str
    ca: str = ""
    certificate: str = ""
    key: str = ""
    password_file: str = ""

    @property
    def options(self) -> list[str]:
        """The files as options of a command."""
        given = {
            "--ca": self.ca,
            "--cert": self.certificate,
            "--key": self.key,
            "--password-file": self.password_file,
        }
        return [part for name, value in given.items() if value for part in (name, value)]


class Asked(NamedTuple):
    """A live run that somebody asks for."""

    scenario: str
    variant: str
    links: str
    duration_s: float
    seed: int
    backends: tuple[str, ...] = ()
    """Which database nodes are real, as NODE=URL."""


def check_command(access: Access) -> list[str]:
    """Try what the broker does of MQTT."""
    return ["broker", "check", access.broker, "--quick", "--json", *access.options]


def live_command(asked: Asked, access: Access, runs: Path, desk: Path) -> list[str]:
    """Run live, with a desk that takes orders."""
    return ["live", *_both(asked, access), "--runs", str(runs), "--control", str(desk), "--json"]


def fidelity_command(asked: Asked, access: Access, runs: Path) -> list[str]:
    """Simulate, run live and compare."""
    return ["fidelity", *_both(asked, access), "--runs", str(runs), "--json"]


def _both(asked: Asked, access: Access) -> list[str]:
    return [
        asked.scenario,
        "--variant",
        asked.variant,
        "--broker",
        access.broker,
        "--links",
        asked.links,
        "--for",
        f"{asked.duration_s:g} s",
        "--seed",
        str(asked.seed),
        *(part for backend in asked.backends for part in ("--bind", backend)),
        *access.options,
    ]


def parsed(answer: str) -> Any:
    """What a command printed as JSON; None if it printed something else."""
    try:
        return json.loads(answer)
    except ValueError:
        return None


def findings(checked: Any) -> list[dict[str, str]]:
    """The checks of a broker as rows, those that failed first."""
    marks = {"passed": "✓ passed", "failed": "✗ failed", "not supported": "- not supported"}
    order = {name: number for number, name in enumerate(("failed", "not supported", "passed"))}
    rows = sorted(checked.get("findings", []), key=lambda row: order.get(row["verdict"], len(order)))
    return [
        {
            "verdict": marks.get(row["verdict"], row["verdict"]),
            "MQTT": row["version"],
            "what the standard says": row["says"],
            "what was seen": row["detail"],
            "clause": row["clause"],
        }
        for row in rows
    ]


# live beside simulated -----------------------------------------------------------------------------------


def read_live(folder: Path) -> dict[str, Any] | None:
    """What a live run left besides its study; None if the run was none."""
    try:
        found = json.loads((folder / LIVE).read_bytes())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def in_time(live: dict[str, Any]) -> str:
    """Whether the run kept real time, in a sentence."""
    late = live.get("timeliness") or {}
    if live.get("is_real_time"):
        p50_s, p99_s = late.get("late_p50_s", math.nan), late.get("late_p99_s", math.nan)
        return f"In real time: events late by {quantity(p50_s, 's')} (median), {quantity(p99_s, 's')} (p99)."
    return (
        f"Not in real time: the clock slipped {late.get('slip_count', 0)} times,"
        f" {quantity(late.get('slipped_s', math.nan), 's')} in all. Compare nothing with this run."
    )


def accounted(live: dict[str, Any]) -> list[dict[str, Any]]:
    """What became of the messages, in and outside of fault windows."""
    ledger = live.get("ledger") or {}
    return [
        {
            "window": window,
            "expected": count["expected"],
            "delivered": count["delivered"],
            "lost": sum(count["missing"].values()),
            "duplicated": count["duplicated"],
            "reordered": count["reordered"],
        }
        for window, count in (ledger.get("by_window") or {}).items()
    ]


# fidelity ------------------------------------------------------------------------------------------------


def quantile_rows(latencies: Iterable[Distribution]) -> list[dict[str, str]]:
    """Each compared quantile with its difference, interval and verdict."""
    marks = {"PASS": "✓ PASS", "FAIL": "✗ FAIL", "INCONCLUSIVE": "? INCONCLUSIVE", None: "not judged"}
    return [
        {
            "latency": each.name,
            "quantile": f"p{q.level * 100:g}",
            "simulated": quantity(q.virtual_s, "s"),
            "live": quantity(q.live_s, "s"),
            "difference": f"{q.relative:+.2%}" if math.isfinite(q.relative) else "-",
            "95 % interval": f"{quantity(q.low_s, 's')} to {quantity(q.high_s, 's')}",
            "verdict": marks[q.verdict],
        }
        for each in latencies
        for q in each.quantiles
    ]


def distance_rows(latencies: Iterable[Distribution]) -> list[dict[str, str]]:
    """How far whole distributions are apart."""
    return [
        {
            "latency": each.name,
            "simulated": str(each.virtual_count),
            "live": str(each.live_count),
            "Kolmogorov-Smirnov": f"{each.ks:.3f} (chance {each.ks_chance:.2g})",
            "Wasserstein": quantity(each.wasserstein_s, "s"),
        }
        for each in latencies
    ]


def pair_rows(found: Fidelity) -> list[dict[str, str]]:
    """Requirements and figures, simulated beside live."""
    shown = [*found.comparison.requirements, *found.comparison.figures, *found.comparison.lost_at]
    return [{"what": each.name, "simulated": each.virtual, "live": each.live} for each in shown]


def curves(latency: Distribution) -> list[dict[str, Any]]:
    """Both distribution functions as points of a chart."""
    sides: Sequence[tuple[str, list[tuple[float, float]]]] = (
        ("simulated", latency.virtual),
        ("live", latency.live),
    )
    return [
        {"run": name, "latency (s)": at_s, "share": share}
        for name, curve in sides
        for at_s, share in curve
        if math.isfinite(at_s)
    ]


def told(latency: Distribution) -> str:
    """The distribution functions in words."""
    quantiles = ", ".join(
        f"p{q.level * 100:g} {quantity(q.virtual_s, 's')} simulated and {quantity(q.live_s, 's')} live"
        for q in latency.quantiles
    )
    return f"Distribution of {latency.name}: {quantiles}"
