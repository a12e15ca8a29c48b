"""The sections that say what was found: the answer, the time budget, the key figures, why it failed."""

from __future__ import annotations

import math
from collections.abc import Sequence

from scenarios.report.charts import MOST_HOPS_DRAWN, BarRow, Caption, Segment, sequence, stacked_bars
from scenarios.report.elements import Row, breakable, command, figure, remark, variant_title, verdict
from scenarios.report.markup import escape
from scenarios.report.wording import (
    LIMITS,
    count,
    expectations,
    headline,
    humanise,
    judgement,
    measured,
    names_of,
    number,
    quantity,
    repeat_command,
    requirement_names,
    requirement_of,
    signed,
    span,
)
from scenarios.results import BudgetPart, Hop, RequirementResult, Study, VariantResult

MOST_CHAINS = 8
_GATE_PARTS = ("network", "rule", "actuate")
_PARTS = ("detect", "confirm", *_GATE_PARTS, "pre-movement", "flow")


def answer(study: Study) -> str:
    """The answer in one sentence and the matrix of variants and requirements."""
    head = "".join(_requirement_head(study, name) for name in requirement_names(study))
    rows = "".join(_matrix_row(study, variant) for variant in study.variants)
    return (
        f'<p class="answer">{escape(headline(study))}</p>{remark(expectations(study))}{_reasons(study)}'
        f'<div class="scroll"><table class="matrix"><thead><tr><th scope="col">Variant</th>{head}</tr>'
        f'</thead><tbody>{rows}</tbody></table></div><p class="limits">{escape(LIMITS)}</p>'
    )


def _reasons(study: Study) -> str:
    lines = (_reason(variant) for variant in study.variants)
    items = "".join(f"<li>{line}</li>" for line in lines if line)
    return f'<ul class="reasons">{items}</ul>' if items else ""


def _reason(variant: VariantResult) -> str:
    """One line for a variant that does not meet everything; empty for one that does."""
    missed = " ".join(_missed(r) for r in variant.requirements if r.verdict != "PASS")
    return missed and f"<strong>{escape(variant_title(variant))}</strong> {missed}"


def _missed(requirement: RequirementResult) -> str:
    said = verdict(requirement, requirement.verdict.lower())
    value = f"<em>{escape(measured(requirement))}</em>"
    return f'<span class="miss">{said} {escape(requirement.name)} {value}</span>'


def _requirement_head(study: Study, name: str) -> str:
    first = next(r for v in study.variants for r in v.requirements if r.name == name)
    why = f' title="{escape(first.why)}"' if first.why else ""
    expect = breakable(first.expect)
    asked = f"in {quantity(first.probability, 'ratio')} of runs"
    return (
        f'<th scope="col"{why}>{escape(name)}<small class="expect">{expect}</small>'
        f"<small>{escape(asked)}</small></th>"
    )


def _matrix_row(study: Study, variant: VariantResult) -> str:
    cells = "".join(_matrix_cell(variant, name) for name in requirement_names(study))
    why = f"<small>{escape(variant.why)}</small>" if variant.why else ""
    return (
        f'<tr><th scope="row">{escape(variant.title or variant.name)} <span class="name">'
        f"{escape(variant.name)}</span>{why}</th>{cells}</tr>"
    )


def _matrix_cell(variant: VariantResult, name: str) -> str:
    requirement = requirement_of(variant, name)
    if requirement is None:
        return f'<td class="none" data-label="{escape(name)}">not asked</td>'
    met = f"met in {requirement.met} of {count(requirement.runs, 'run')}"
    lines = "".join(f"<small>{escape(line)}</small>" for line in (measured(requirement), met) if line)
    return (
        f'<td class="{requirement.verdict.lower()}" data-label="{escape(name)}">{verdict(requirement)}'
        f"{lines}{_expectation(variant, requirement)}</td>"
    )


def _expectation(variant: VariantResult, requirement: RequirementResult) -> str:
    match variant.expectation(requirement):
        case "expected":
            return "<small>as expected</small>"
        case "unexpected":
            return '<small class="surprise">not expected</small>'
        case _:
            return ""


# Time budget


def budget(study: Study) -> str:
    """The time budget of each variant against the available time."""
    variants = [variant for variant in study.variants if variant.time_budget]
    if not variants:
        return ""
    caption = Caption("budget", "Time budget of each variant", "Mean seconds from ignition until all are out")
    chart = stacked_bars(caption, [_budget_row(v) for v in variants], unit="s", limit_name="ASET")
    names = names_of([part.name for part in v.time_budget] for v in variants)
    rows = ([variant_title(v), *_budget_cells(v, names)] for v in variants)
    why = (
        "From ignition until everybody is out (RSET), against the time the place stays safe (ASET). What the "
        "network and the rule cost is written under each bar. It is the budget of people on foot, who need "
        "no gate: what a shut gate does to the cars is judged by the requirements above."
    )
    return remark(why) + figure(chart, ["Variant", *names, "RSET", "ASET", "margin"], rows)


def _budget_row(variant: VariantResult) -> BarRow:
    rset, aset = variant.rset_s or 0.0, variant.aset_s
    margin = None if aset is None else aset - rset
    gate = {part.name: part.duration_s for part in variant.time_budget if part.name in _GATE_PARTS}
    share = sum(gate.values()) / rset if rset else 0.0
    value = f"out in {quantity(rset, 's')}"
    return BarRow(
        label=variant_title(variant),
        segments=[Segment(p.name, p.duration_s, _part_style(p.name)) for p in variant.time_budget],
        limit=aset,
        value_text=value if margin is None else f"{value}, margin {signed(margin, 's')}",
        is_bad=margin is not None and margin < 0,
        note=f"{', '.join(gate)}: {quantity(sum(gate.values()), 's')}, {number(share * 100, 2)} % of RSET"
        if gate
        else "",
        note_at=_gate_start(variant.time_budget),
    )


def _part_style(name: str) -> str:
    return f"p-{name}" if name in _PARTS else "p-other"


def _gate_start(parts: Sequence[BudgetPart]) -> float:
    start = 0.0
    for part in parts:
        if part.name in _GATE_PARTS:
            break
        start += part.duration_s
    return start


def _budget_cells(variant: VariantResult, names: Sequence[str]) -> list[str]:
    durations = {part.name: part.duration_s for part in variant.time_budget}
    rset, aset = variant.rset_s or 0.0, variant.aset_s
    cells = [quantity(durations[name], "s") if name in durations else "" for name in names]
    limit = ["", ""] if aset is None else [quantity(aset, "s"), signed(aset - rset, "s")]
    return [*cells, quantity(rset, "s"), *limit]


def key_figures(study: Study) -> str:
    """Every metric of every variant: a row a metric; those that are the same everywhere in one line."""
    names = names_of(variant.metrics for variant in study.variants)
    if not names:
        return ""
    cells = {name: [_metric_cell(variant, name) for variant in study.variants] for name in names}
    same = [name for name, row in cells.items() if len(row) > 1 and len(set(row)) == 1]
    units = {name: each.unit for variant in study.variants for name, each in variant.metrics.items()}
    rows = "".join(_metric_row(name, units[name], row) for name, row in cells.items() if name not in same)
    head = "".join(f'<th scope="col" class="n">{breakable(v.name)}</th>' for v in study.variants)
    return (
        remark("Median over the runs of a variant; below it the range that holds 90 % of the runs.")
        + f'<div class="scroll"><table class="figures"><thead><tr><th scope="col">Figure</th>{head}</tr>'
        f"</thead><tbody>{rows}</tbody></table></div>{_same(study.variants[0], same)}"
    )


def _metric_row(name: str, unit: str, cells: Sequence[str]) -> str:
    counted = "" if _unit_in_cell(unit) or unit in name else f" <small>{escape(unit)}</small>"
    row = "".join(f'<td class="n">{cell}</td>' for cell in cells)
    return f'<tr><th scope="row">{escape(humanise(name))}{counted}</th>{row}</tr>'


def _metric_cell(variant: VariantResult, name: str) -> str:
    metric = variant.metrics.get(name)
    if metric is None:
        return ""
    unit = _unit_in_cell(metric.unit)
    spread = span(metric.p05, metric.p95, unit) if metric.p05 < metric.p95 else ""
    middle = "never" if metric.p50 == math.inf else quantity(metric.p50, unit)
    return escape(middle) + (f"<small>{escape(spread)}</small>" if spread else "")


def _unit_in_cell(unit: str) -> str:
    """Units that change their prefix with the value stand beside it; counted things in the row's name."""
    return unit if unit in {"s", "bytes", "ratio"} else ""


def _same(variant: VariantResult, names: Sequence[str]) -> str:
    known = [(name, variant.metrics[name]) for name in names if name in variant.metrics]
    listed = "; ".join(f"{humanise(name)} {quantity(each.p50, each.unit)}" for name, each in known)
    return remark(f"The same in every variant: {listed}.") if listed else ""


def chains(study: Study) -> str:
    """The message chain of a run that did not meet the requirement, for each that was not met."""
    found = [(v, r) for v in study.variants for r in v.requirements if r.verdict != "PASS" and r.chain]
    content = "".join(
        _chain(study, variant, requirement, index)
        for index, (variant, requirement) in enumerate(found[:MOST_CHAINS])
    )
    left = len(found) - MOST_CHAINS
    more = remark(f"{count(left, 'more chain')} in the JSON report.") if left > 0 else ""
    why = "The messages of one run that did not meet the requirement, for each; the longest wait in red."
    return content and remark(why) + content + more


def _chain(study: Study, variant: VariantResult, requirement: RequirementResult, index: int) -> str:
    title = f"{variant_title(variant)}: {requirement.name}"
    caption = Caption(
        f"chain-{index}", title, f"Message chain of a run that did not meet it. {judgement(requirement)}"
    )
    shown, left = _ends_of(requirement.chain), len(requirement.chain) - MOST_HOPS_DRAWN
    note = f"{count(left, 'step')} between the first and the last are in the JSON report." if left > 0 else ""
    headers = ["Time", "from", "to", "topic", "note"]
    drawn = figure(sequence(caption, shown), headers, map(_hop_cells, shown), note)
    is_open = ' open="open"' if index == 0 else ""
    repeat = command(repeat_command(study, variant.name, requirement.worst_seed))
    return (
        f'<details class="chain"{is_open}><summary>{verdict(requirement, requirement.verdict.lower())} '
        f"{escape(title)} <small>{escape(judgement(requirement))}</small></summary>"
        f"{drawn}{repeat}</details>"
    )


def _ends_of(chain: Sequence[Hop]) -> Sequence[Hop]:
    """The first and the last steps: how it began, and what ended the wait."""
    if len(chain) <= MOST_HOPS_DRAWN:
        return chain
    half = MOST_HOPS_DRAWN // 2
    return [*chain[:half], *chain[-half:]]


def _hop_cells(hop: Hop) -> Row:
    return [f"{hop.at_s:.3f} s", hop.source, hop.to, hop.topic, hop.note]
