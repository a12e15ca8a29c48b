"""The fidelity report: one HTML page in the style of the other reports, and the one line of a console."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from scenarios.fidelity.comparison import Distribution, Judged, QuantileDifference, Step
from scenarios.fidelity.running import Fidelity
from scenarios.report.charts import (
    BarRow,
    Caption,
    IntervalRow,
    Overlaid,
    Segment,
    dot_whisker,
    overlay,
    stacked_bars,
)
from scenarios.report.elements import command, figure, remark, table
from scenarios.report.markup import escape
from scenarios.report.page import document
from scenarios.report.wording import SYMBOLS, number, quantity, signed, span
from scenarios.results import Verdict

STYLES: Final = ("p-detect", "p-network", "p-rule", "p-confirm", "p-actuate", "p-pre-movement", "p-flow")
SAME_LAW: Final = (
    "Both runs obey the same law of the links, drawn from the same seed. What is compared is everything else,"
    " above all a real broker and real sockets in the place of modelled ones; that the law itself is right is"
    " shown elsewhere."
)
SAME_LAWS: Final = ("in-driver", "proxy")
LAWS: Final = {
    "in-driver": f"Links are emulated in-driver, by the simulation's own network in wall time. {SAME_LAW}",
    "proxy": f"Links are emulated by a proxy that delays real bytes. {SAME_LAW}",
    "tun": "Packets crossed the links between two network namespaces: retransmission, back-off and windows"
    " are the kernel's own TCP, and the delays and losses of the links are drawn from the scenario's. In the"
    " steps of the live run the way to the broker and back counts as time at the broker.",
    "none": "The live run had no links to the broker but those of this machine.",
}


def line(found: Fidelity) -> str:
    """The whole report in one line."""
    shown = found.comparison
    text = f"fidelity {SYMBOLS[shown.verdict]} {shown.verdict}"
    for each in shown.latencies:
        middle, tail = each.quantiles[0], each.quantiles[-1]
        text += (
            f"; {each.name}: median {_ms(middle.live_s)} live, {_ms(middle.virtual_s)} simulated ("
            f"{_relative(middle)}), p99 {_relative(tail)}, {number(each.live_count, 15)} chains"
        )
    same = sum(each.verdict == "PASS" for each in shown.requirements)
    if shown.requirements:
        text += f"; {same} of {len(shown.requirements)} requirements with the same verdict"
    return text.replace("\N{NO-BREAK SPACE}", " ")


def undecided(found: Fidelity) -> str:
    """What a report that is INCONCLUSIVE leaves open, and what decides it; empty for any other."""
    if found.comparison.verdict != "INCONCLUSIVE":
        return ""
    quantiles = [each for latency in found.comparison.latencies for each in latency.quantiles]
    left = dict.fromkeys(_level(each) for each in quantiles if each.verdict == "INCONCLUSIVE")
    what = f"{', '.join(left)} may" if left else "live and simulated may"
    return f"no defect: {what} agree or differ by more than asked; a longer run decides (--for)"


def page(found: Fidelity) -> str:
    """The whole report as one HTML document."""
    written = [
        ("answer", "The answer", _answer(found)),
        ("latencies", "Latencies", _latencies(found)),
        ("steps", "Where the time differs", _steps(found)),
        ("losses", "Losses and duplicates", _losses(found)),
        ("faults", "In and after faults", _touched(found)),
        ("requirements", "Requirements", _requirements(found)),
        ("hops", "Hop by hop", _hops(found)),
        ("bias", "What the emulator adds", _bias(found)),
        ("repeat", "How to repeat this", command(repeat(found))),
    ]
    sections = [each for each in written if each[2]]
    footer = f"<p>Windtunnel {escape(found.product_version)}, {escape(found.created)}</p>"
    return document(f"Fidelity of {found.title}", _header(found), sections, footer)


def repeat(found: Fidelity) -> str:
    """The line that makes the same comparison."""
    return (
        f"windtunnel fidelity {found.scenario} --variant {found.variant} --seed {found.seed}"
        f' --links {found.level} --for "{found.duration_s:g} s"'
    )


def _header(found: Fidelity) -> str:
    facts = {
        "Variant": found.variant,
        "Broker": found.broker,
        "Links": f"{found.level} (same law)" if found.level in SAME_LAWS else found.level,
        "Lasted": quantity(found.duration_s, "s"),
        "Seed": str(found.seed),
        "Created": found.created,
        "Version": found.product_version,
        "Host": found.host,
    }
    entries = "".join(f"<div><dt>{key}</dt><dd>{escape(value)}</dd></div>" for key, value in facts.items())
    return (
        f'<p class="kicker">Windtunnel fidelity</p><h1>{escape(found.title)}</h1>'
        f'<p class="lede">The same scenario and seed, simulated and live.</p><dl class="meta">{entries}</dl>'
    )


def _answer(found: Fidelity) -> str:
    words = {
        "PASS": "Live and simulated agree within the tolerance.",
        "FAIL": "Live and simulated differ by more than the tolerance.",
        "INCONCLUSIVE": "There is too little to say whether live and simulated agree.",
    }
    asked = found.tolerance
    return (
        f'<p class="answer">{_verdict(found.comparison.verdict)} {words[found.comparison.verdict]}</p>'
        + remark(
            f"Asked: median within {number(asked.median * 100)} %, p90 and p99 within"
            f" {number(asked.tail * 100)} %, losses within {number(asked.loss * 100)} % of the chains, and"
            " the same verdict on every requirement. PASS wants the whole 95 % interval inside,"
            " FAIL all of it outside."
        )
        + remark(LAWS[found.level])
    )


def _verdict(verdict: Verdict | None) -> str:
    if verdict is None:
        return ""
    return f'<span class="verdict {verdict.lower()}">{SYMBOLS[verdict]} {verdict}</span>'


def _latencies(found: Fidelity) -> str:
    shown = found.comparison.latencies
    return "".join(_latency(index, each) for index, each in enumerate(shown))


def _latency(index: int, each: Distribution) -> str:
    caption = Caption(f"cdf-{index}", f"Latency {each.name}", "Distribution functions, simulated and live")
    curves = [Overlaid("simulated", each.virtual, "virtual"), Overlaid("live", each.live, "live")]
    headers = ["", "simulated", "live", "difference", "95 % interval", "allowed", "verdict"]
    content = f"<h3>{escape(each.name)}</h3>"
    content += figure(overlay(caption, curves), headers, _rows(each), _distances(each))
    return content + _differences(index, each) + table(headers, _rows(each))


def _rows(each: Distribution) -> list[list[str]]:
    return [
        [
            _level(q),
            _ms(q.virtual_s),
            _ms(q.live_s),
            f"{_signed_ms(q.difference_s)} ({_relative(q)})",
            f"{_signed_ms(q.low_s)} to {_signed_ms(q.high_s)}",
            f"\N{PLUS-MINUS SIGN}{_ms(q.allowed_s)}",
            q.verdict or "not judged",
        ]
        for q in each.quantiles
    ]


def _distances(each: Distribution) -> str:
    pairs = f"{number(each.live_count, 15)} {'pairs' if each.is_paired else 'values'}"
    return (
        f"{pairs}. Kolmogorov-Smirnov distance {number(each.ks)}, Wasserstein distance"
        f" {_ms(each.wasserstein_s)}."
    )


def _differences(index: int, each: Distribution) -> str:
    rows = [
        IntervalRow(_level(q), q.relative, q.low_s / q.virtual_s, q.high_s / q.virtual_s, _relative(q))
        for q in each.quantiles
        if q.virtual_s and all(map(math.isfinite, (q.virtual_s, q.live_s, q.low_s, q.high_s)))
    ]
    if not rows:
        return ""
    caption = Caption(
        f"quantiles-{index}", f"Quantiles of {each.name}", "Live less simulated, with intervals"
    )
    return f'<figure><div class="scroll">{dot_whisker(caption, rows, unit="ratio")}</div></figure>'


def _steps(found: Fidelity) -> str:
    content = ""
    for index, (name, steps) in enumerate(found.comparison.steps.items()):
        caption = Caption(f"steps-{index}", f"Mean time of {name} by step", "A bar for each run")
        bars = [_bar("simulated", steps, "virtual_s"), _bar("live", steps, "live_s")]
        chart = stacked_bars(caption, bars, unit="s", limit_name="")
        headers = ["Step", "simulated", "live", "difference"]
        rows = [
            [step.name, _ms(step.virtual_s), _ms(step.live_s), _signed_ms(step.difference_s)]
            for step in steps
        ]
        content += f"<h3>{escape(name)}</h3>" + f'<div class="scroll">{chart}</div>' + table(headers, rows)
    why = "Mean time that the chains outside faults spent on each link and at each node."
    return content and remark(why) + content


def _bar(label: str, steps: Sequence[Step], side: str) -> BarRow:
    segments = [
        Segment(step.name, getattr(step, side), STYLES[index % len(STYLES)])
        for index, step in enumerate(steps)
    ]
    total_s = sum(segment.value for segment in segments)
    return BarRow(label, segments, None, _ms(total_s), is_bad=False, note="", note_at=0.0)


def _losses(found: Fidelity) -> str:
    headers = [
        "Latency",
        "where",
        "chains",
        "lost simulated",
        "lost live",
        "twice simulated",
        "twice live",
        "",
    ]
    rows = [
        [
            each.name,
            each.where,
            str(each.live_count),
            str(each.virtual_lost),
            str(each.live_lost),
            str(each.virtual_duplicated),
            str(each.live_duplicated),
            each.verdict or "not judged",
        ]
        for each in found.comparison.losses
    ]
    places = table(
        ["Messages lost, by place and cause", "simulated", "live"], _pairs(found.comparison.lost_at)
    )
    return table(headers, rows) + places


def _touched(found: Fidelity) -> str:
    content = "".join(
        f"<h3>{escape(each.name)}</h3>"
        + table(["", "simulated", "live", "difference"], [row[:4] for row in _rows(each)])
        for each in found.comparison.touched
    )
    why = "Chains that met a fault, or came within seconds after one. They are shown, and not judged."
    return content and remark(why) + content


def _requirements(found: Fidelity) -> str:
    rows = [[each.name, each.virtual, each.live] for each in found.comparison.requirements]
    return table(["Requirement", "simulated", "live"], rows, is_numeric=False) + table(
        ["Figure", "simulated", "live"], _pairs(found.comparison.figures)
    )


def _pairs(rows: Sequence[Judged]) -> list[list[str]]:
    return [[each.name, each.virtual, each.live] for each in rows]


def _hops(found: Fidelity) -> str:
    headers = [
        "Hop",
        "messages",
        "p50 simulated",
        "p50 live",
        "p99 simulated",
        "p99 live",
        "KS",
        "Wasserstein",
    ]
    rows = [
        [
            each.name,
            span(each.virtual_count, each.live_count, ""),
            _ms(each.quantiles[0].virtual_s),
            _ms(each.quantiles[0].live_s),
            _ms(each.quantiles[-1].virtual_s),
            _ms(each.quantiles[-1].live_s),
            number(each.ks),
            _ms(each.wasserstein_s),
        ]
        for each in found.comparison.hops
    ]
    return table(headers, rows)


def _bias(found: Fidelity) -> str:
    at_broker = [
        step.difference_s
        for steps in found.comparison.steps.values()
        for step in steps
        if step.name.startswith("at ")
    ]
    own = f" Nodes took {_signed_ms(sum(at_broker))} longer live than simulated." if at_broker else ""
    return remark(
        f"Events of the live run were worked off late by {_ms(found.late_p50_s)} (p50),"
        f" {_ms(found.late_p99_s)} (p99), {_ms(found.late_most_s)} at most; the clock never slipped.{own}"
        " Differences below a millisecond are always allowed."
    )


def _level(q: QuantileDifference) -> str:
    return f"p{q.level * 100:g}"


def _ms(value_s: float) -> str:
    return "never" if math.isinf(value_s) else quantity(value_s, "s")


def _signed_ms(value_s: float) -> str:
    return signed(value_s, "s")


def _relative(q: QuantileDifference) -> str:
    return "unknown" if math.isnan(q.relative) else signed(q.relative, "ratio")
