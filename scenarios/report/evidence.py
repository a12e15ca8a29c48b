"""The sections that show what a finding rests on: curves, differences, ledger, sources, the way to repeat."""

from __future__ import annotations

import math
from collections.abc import Sequence

from scenarios.report.charts import Caption, IntervalRow, Panel, SwingRow, dot_whisker, panels, tornado
from scenarios.report.elements import command, figure, remark, table, variant_title
from scenarios.report.markup import drawing, escape
from scenarios.report.wording import (
    LIMITS,
    count,
    humanise,
    names_of,
    number,
    quantity,
    repeat_command,
    signed,
)
from scenarios.results import Comparison, Curve, Study, VariantResult

MOST_SCENARIO_CHARACTERS = 60_000
MOST_SEEDS_WRITTEN = 20


# Curves over time and distributions


def curves(study: Study) -> str:
    """Every series over time, one panel a variant."""
    names = names_of(variant.series for variant in study.variants)
    content = "".join(_series(study, name, index) for index, name in enumerate(names))
    why = "One run of each variant, one panel a variant; the other variants stand behind it in grey."
    return content and remark(why) + content


def _series(study: Study, name: str, index: int) -> str:
    variants = [variant for variant in study.variants if variant.series.get(name)]
    title = _series_title(name)
    parts = [Panel(variant_title(v), v.series[name], v.aset_s, _at_limit(v, name)) for v in variants]
    caption = Caption(f"series-{index}", title, f"{title} over time, with the available safe egress time")
    chart = panels(caption, parts, unit="", is_log=False, marker_name="ASET")
    rows = ([variant_title(v), *_series_cells(v.series[name], v.aset_s)] for v in variants)
    headers = ["Variant", "at the start", "at ASET", "at the end", "last change at"]
    return f"<h3>{escape(title)}</h3>" + figure(chart, headers, rows)


def _series_title(name: str) -> str:
    """The name as prose; a metre suffix becomes words."""
    text = humanise(name.removesuffix("_m")) + (" in m" if name.endswith("_m") else "")
    return text[:1].upper() + text[1:]


def _at_limit(variant: VariantResult, name: str) -> str:
    if variant.aset_s is None:
        return ""
    return f"{number(value_at(variant.series[name], variant.aset_s))} at ASET"


def value_at(curve: Curve, at_s: float) -> float:
    """The last value of the curve at or before the time; its first value before it starts."""
    return next((value for time_s, value in reversed(curve) if time_s <= at_s), curve[0][1])


def quantile(cdf: Curve, share: float) -> float:
    """The least latency that at least this share of the observations does not exceed, in s.

    Infinite where fewer were answered at all: the distribution ends below the share.
    """
    return next((latency_s for latency_s, below in cdf if below >= share - 1e-9), math.inf)


def _series_cells(curve: Curve, aset_s: float | None) -> list[str]:
    last = curve[-1][1]
    settled_s = next((time_s for time_s, value in curve if value == last), curve[-1][0])
    at_limit = "" if aset_s is None else number(value_at(curve, aset_s))
    return [number(curve[0][1]), at_limit, number(last), quantity(settled_s, "s")]


def latencies(study: Study) -> str:
    """Every latency distribution, one panel a variant."""
    names = names_of(variant.cdfs for variant in study.variants)
    content = "".join(_latency(study, name, index) for index, name in enumerate(names))
    why = (
        "Share of observations that took at most so long; time on a logarithmic scale. "
        "A line that ends below 100 %: the others were never answered."
    )
    return content and remark(why) + content


def _latency(study: Study, name: str, index: int) -> str:
    variants = [variant for variant in study.variants if variant.cdfs.get(name)]
    parts = [Panel(variant_title(v), v.cdfs[name], None, _median_and_tail(v.cdfs[name])) for v in variants]
    caption = Caption(f"cdf-{index}", f"Latency {name}", "Cumulative distribution on a logarithmic time axis")
    chart = panels(caption, parts, unit="ratio", is_log=True)
    shares = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99, "highest": 1.0}
    rows = (
        [variant_title(v), *(_time(quantile(v.cdfs[name], s)) for s in shares.values())] for v in variants
    )
    return f"<h3>{escape(_series_title(name))}</h3>" + figure(chart, ["Variant", *shares], rows)


def _median_and_tail(cdf: Curve) -> str:
    return f"p50 {_time(quantile(cdf, 0.5))}, p99 {_time(quantile(cdf, 0.99))}"


def _time(value_s: float) -> str:
    return "never" if value_s == math.inf else quantity(value_s, "s")


# Differences and sensitivities


def differences(study: Study) -> str:
    """Paired differences, one chart a metric."""
    metrics = dict.fromkeys((c.metric, c.unit) for c in study.comparisons)
    titles = {variant.name: variant_title(variant) for variant in study.variants}
    content = "".join(
        _difference(index, [c for c in study.comparisons if (c.metric, c.unit) == key], titles)
        for index, key in enumerate(metrics)
    )
    why = (
        "Mean difference of two variants that saw the same random numbers, with its 95 % interval. "
        "A hollow grey dot: the interval contains zero, so no difference is shown."
    )
    return content and remark(why) + content


def _difference(index: int, comparisons: Sequence[Comparison], titles: dict[str, str]) -> str:
    unit, title = comparisons[0].unit, humanise(comparisons[0].metric).capitalize()
    reference = _only_reference(comparisons)
    labels = [
        titles.get(c.variant_a, c.variant_a)
        + ("" if reference else f" against {titles.get(c.variant_b, c.variant_b)}")
        for c in comparisons
    ]
    rows = [
        IntervalRow(label, c.mean_difference, c.low, c.high, _interval(c))
        for label, c in zip(labels, comparisons)
        if not _is_nothing(c)
    ]
    caption = Caption(
        f"difference-{index}", f"Differences in {title}", "Mean paired differences and intervals"
    )
    cells = (
        [label, *_signed(unit, c.mean_difference, c.low, c.high), str(c.pairs)]
        for label, c in zip(labels, comparisons)
    )
    headers = ["Variants", "mean difference", "low", "high", "pairs"]
    against = f" against {titles.get(reference, reference)}" if reference else ""
    chart = dot_whisker(caption, rows, unit=unit) if rows else ""
    equal = [label for label, c in zip(labels, comparisons) if _is_nothing(c)]
    note = f"Exactly no difference: {', '.join(equal)}." if equal else ""
    return f"<h3>{escape(title + against)}</h3>" + figure(chart, headers, cells, note)


def _only_reference(comparisons: Sequence[Comparison]) -> str:
    """The variant all others were compared with; empty if there are several."""
    names = {c.variant_b for c in comparisons}
    return names.pop() if len(names) == 1 else ""


def _is_nothing(comparison: Comparison) -> bool:
    return comparison.low == comparison.high == 0


def _signed(unit: str, *values: float) -> list[str]:
    return [signed(value, unit) for value in values]


def _interval(comparison: Comparison) -> str:
    mean, low, high = _signed(comparison.unit, comparison.mean_difference, comparison.low, comparison.high)
    return mean if low == mean == high else f"{mean} ({low} to {high})"


def swings(study: Study) -> str:
    """The tornado: which input moves the margin."""
    if not study.sensitivities:
        return ""
    rows = [
        SwingRow(s.input, s.low_label, s.high_label, s.margin_low_s, s.margin_high_s)
        for s in study.sensitivities
    ]
    caption = Caption(
        "tornado", "What moves the margin", "The margin at the low and high value of each input"
    )
    cells = (
        [r.label, r.low_label, signed(r.at_low, "s"), r.high_label, signed(r.at_high, "s")] for r in rows
    )
    headers = ["Input", "low value", "margin", "high value", "margin"]
    why = (
        "The margin (ASET less RSET) when one input goes from its low to its high value, widest swing first."
    )
    return remark(why) + figure(tornado(caption, rows, unit="s"), headers, cells)


# Where the messages and the personal data are


def ledger(study: Study) -> str:
    """Where every message of each variant is."""
    headers = "sent", "delivered", "lost", "expired", "queued", "duplicated", "adds up"
    head = "".join(f'<th scope="col" class="n">{header}</th>' for header in headers)
    rows = "".join(_ledger_row(variant) for variant in study.variants)
    why = "Every message sent is delivered, lost, expired or still queued; the sum is checked on every run."
    return (
        f'{remark(why)}<div class="scroll"><table><thead><tr><th scope="col">Variant</th>{head}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def _ledger_row(variant: VariantResult) -> str:
    ledger = variant.ledger
    lost = _whole(sum(ledger.lost.values())) + "".join(
        f"<small>{escape(where)}: {_whole(amount)}</small>" for where, amount in sorted(ledger.lost.items())
    )
    balance = (
        "yes" if ledger.imbalance == 0 else f'<span class="surprise">{_whole(ledger.imbalance)} off</span>'
    )
    cells = [_whole(ledger.sent), _whole(ledger.delivered), lost]
    cells += [_whole(ledger.expired), _whole(ledger.queued), _whole(ledger.duplicated), balance]
    tds = "".join(f'<td class="n">{cell}</td>' for cell in cells)
    return f'<tr><th scope="row">{escape(variant_title(variant))}</th>{tds}</tr>'


def _whole(amount: int) -> str:
    return number(amount, 15)


def borders(study: Study) -> str:
    """Personal bytes over each border."""
    names = names_of(variant.border_bytes for variant in study.variants)
    rows = (
        [variant_title(v), *(quantity(v.border_bytes.get(n, 0), "bytes") for n in names)]
        for v in study.variants
    )
    why = "Bytes of personal fields that crossed each border, over all runs of the variant."
    return remark(why) + table(["Variant", *names], rows) if names else ""


# The place, the sources, the way to repeat


def plan(study: Study) -> str:
    """The floor plan, if there is one that is safe to show."""
    picture = drawing(study.floor_plan_svg)
    title = escape(f"Floor plan of {study.scenario_title}")
    return picture and f'<figure class="plan" role="img" aria-label="{title}">{picture}</figure>'


def sources(study: Study) -> str:
    """Where each figure comes from."""
    rows = ([f.name, f.value_text, f.kind, f.source] for f in study.provenance)
    listed = table(["Figure", "value", "kind", "source"], rows, is_numeric=False)
    why = (
        "Every figure the result rests on, and how far it can be trusted: published, derived from published "
    )
    return listed and remark(why + "figures, a default of the product, or estimated.") + listed


def repeat(study: Study) -> str:
    """The lines that repeat the study, the seeds, the resolved scenario."""
    rows = (
        [
            variant_title(v),
            str(v.replications),
            _seeds(v.seeds),
            repeat_command(study, v.name),
        ]
        for v in study.variants
    )
    headers = ["Variant", "runs", "seeds", "command"]
    return (
        remark("The same version, scenario and seed give the same result to the bit. The whole study:")
        + command(repeat_command(study))
        + table(headers, rows, is_numeric=False)
        + _scenario(study.scenario_text)
    )


def _seeds(seeds: Sequence[int]) -> str:
    more = len(seeds) - MOST_SEEDS_WRITTEN
    written = ", ".join(str(seed) for seed in seeds[:MOST_SEEDS_WRITTEN])
    return f"{written} and {more} more" if more > 0 else written


def _scenario(text: str) -> str:
    if not text:
        return ""
    left = len(text) - MOST_SCENARIO_CHARACTERS
    more = f"\n({count(left, 'more character')})" if left > 0 else ""
    shown = escape(text[:MOST_SCENARIO_CHARACTERS] + more)
    return f"<details><summary>The resolved scenario</summary><pre>{shown}</pre></details>"


def limits(_study: Study) -> str:
    """What the study cannot say."""
    return (
        f'<p class="limits">{escape(LIMITS)}</p><p>Differences between designs are as trustworthy as the '
        "figures above; absolute times are screening values. INCONCLUSIVE means that the runs made cannot "
        "tell PASS from FAIL: it is not a weak pass.</p>"
    )
