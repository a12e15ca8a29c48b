"""What was measured, for people: a line while it runs, a table at its end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from loadtests.figures import QUANTILES, Figures
from twin.mqtt.fleet.histogram import Histogram

ROWS: Final = (
    ("due to acknowledged", "acknowledgement"),
    ("due to delivered", "delivery"),
    ("handed over to acknowledged", "service"),
    ("connect", "connect"),
    ("generator late", "lateness"),
)


def progress_line(figures: Figures) -> str:
    """How it stands."""
    account, latency = (
        figures.account,
        figures.delivery if figures.delivery.count else figures.acknowledgement,
    )
    text = f"  {figures.published_s:5.0f} s  {figures.up:>7,} up  {account.attempted:>9,} published"
    if latency.count:
        middle, tail = (value * 1e3 for value in latency.quantiles((0.5, 0.99)))
        text += f"  {figures.rate_per_s:8,.0f}/s  p50 {middle:.1f} ms  p99 {tail:.1f} ms"
    return text


def table(figures: Figures, cpu_s: float) -> Iterator[str]:
    """Counts, then a row of quantiles for each kind of duration."""
    account = figures.account
    yield f"  devices      {figures.devices:,}, {figures.most_up:,} connected at once"
    yield f"  messages     {account.attempted:,} published, {figures.rate_per_s:,.1f}/s"
    yield f"  generator    {cpu_s:.1f} s of processor time"
    yield f"  acknowledged {account.acknowledged:,}, still without: {account.unacknowledged:,}"
    if figures.delivery.count or account.lost:
        yield (
            f"  delivered    {account.delivered:,}, lost {account.lost:,}, duplicated {account.duplicated:,},"
            f" recovered {account.recovered:,}, undelivered {account.undelivered:,}"
        )
    for kind, counts in figures.trouble.items():
        for reason, count in counts.items():
            yield f"  {kind:<12} {count:,}: {reason}"
    yield ""
    heads = "".join(f"{f'p{share * 100:g}':>10}" for share in QUANTILES)
    yield f"  {'milliseconds':<28}{heads}{'largest':>10}{'count':>12}"
    for title, name in ROWS:
        histogram: Histogram = getattr(figures, name)
        if histogram.count:
            values = [*histogram.quantiles(QUANTILES), histogram.largest_s]
            cells = "".join(f"{value * 1e3:>10.2f}" for value in values)
            yield f"  {title:<28}{cells}{histogram.count:>12,}"
