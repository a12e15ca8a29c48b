#!/usr/bin/env python3
"""Write the pictures, the table and the figures of the README from a stored run of the shipped scenario.

    windtunnel demo
    python docs/make_images.py            the latest run below runs/
    python docs/make_images.py runs/NAME  another one

The pictures are cut out of the run's HTML report; they need no script, font or file beside them.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import msgspec

from scenarios import report
from scenarios.archive import read_study
from scenarios.report.findings import budget
from scenarios.report.wording import signed
from scenarios.results import Study, VariantResult
from twin.units import format_quantity

DOCS = Path(__file__).resolve().parent
README = DOCS.parent / "README.md"
TABLE_WIDTH = 120
SHOWN = (
    "edge",
    "cloud_us",
    "cloud_us_cold",
    "cloud_us_cut",
    "alarm_by_cloud_cut",
    "double_knock",
    "fans_first",
)


def main(arguments: list[str]) -> int:
    """Write all of it from one stored run."""
    folder = (
        Path(arguments[0]) if arguments else max(path for path in Path("runs").iterdir() if path.is_dir())
    )
    study = read_study(folder)
    images = DOCS / "images"
    images.mkdir(exist_ok=True)
    (images / "floor-plan.svg").write_text(study.floor_plan_svg, "utf-8")
    (images / "time-budget.svg").write_text(time_budget(study), "utf-8")
    text = README.read_text("utf-8")
    text = replaced(text, "table", f"```text\n{table(study)}\n```")
    text = replaced(text, "figures", figures(study))
    README.write_text(text, "utf-8")
    return 0


def time_budget(study: Study) -> str:
    """The chart of the time budget as a file of its own, with the colours of the report."""
    shown = msgspec.structs.replace(study, variants=[each for each in study.variants if each.name in SHOWN])
    found = re.search(r'<svg class="chart".*?</svg>', budget(shown), re.DOTALL)
    if found is None:
        raise SystemExit("the run has no time budget")
    css = "\n".join(each.group() for each in chart_rules())
    inner = found.group().replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)
    head, body = inner.split(">", 1)
    ground = '<rect width="100%" height="100%" style="fill:var(--paper)"/>'
    box = re.sub(
        r'viewBox="0 0 (\S+) (\S+)"',
        lambda m: f'viewBox="-12 -8 {float(m[1]) + 24:g} {float(m[2]) + 16:g}" width="860"',
        head,
    )
    ground = ground.replace("<rect ", '<rect x="-12" y="-8" ')
    return f"{box}><style>{css}</style>{ground}{body}\n"


def chart_rules() -> list[re.Match[str]]:
    """The style rules a chart needs: the light colours, and the classes of its parts."""
    page = (
        (DOCS.parent / "scenarios" / "report" / "report.css").read_text("utf-8").partition("@media print")[0]
    )
    light = page.partition("@media screen and (prefers-color-scheme: dark)")
    rest = light[2].partition("* { box-sizing")[2].replace("@media", "\n@media")
    return list(re.finditer(r"(?m)^(?::root \{[^}]*\}|\.[^{}\n]*\{[^{}]*\}.*)", light[0] + rest))


def table(study: Study) -> str:
    """The verdicts and the legend as the demo prints them, without the list of reasons."""
    return report.terminal_table(study, is_colour=False, width=TABLE_WIDTH).split("\n\n\u2717")[0].rstrip()


def figures(study: Study) -> str:
    """What the designs differ in, as a Markdown table."""
    rows = ["| design | gate open after the alarm | cars inside at untenable | margin of the people |"]
    rows.append("|---|---|---|---|")
    rows += [figure_row(each) for each in study.variants if each.name in SHOWN]
    return "\n".join(rows)


def figure_row(variant: VariantResult) -> str:
    """Medians over the replications; the margin as in the table."""
    metrics = variant.metrics
    gate = format_quantity("time", float(f"{metrics['alarm_to_gate_open'].p50:.3g}"))
    margin = signed((variant.aset_s or 0.0) - (variant.rset_s or 0.0), "s")
    return f"| {variant.title} | {gate} | {metrics['cars_inside_at_untenable'].p50:.0f} | {margin} |"


def replaced(text: str, name: str, content: str) -> str:
    """The text with everything between the two markers of this name replaced."""
    begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    if begin not in text or end not in text:
        raise SystemExit(f"README.md has no markers for {name!r}")
    before, _, rest = text.partition(begin)
    return f"{before}{begin}\n{content}\n{end}{rest.partition(end)[2]}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
