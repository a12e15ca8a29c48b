"""The parts every section of the page is made of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from scenarios.report.markup import escape
from scenarios.report.wording import SYMBOLS
from scenarios.results import RequirementResult, VariantResult

Row = Sequence[str]


def table(headers: Row, rows: Iterable[Row], *, is_numeric: bool = True) -> str:
    """A table of texts; the first column names the row, the others are numbers unless said otherwise."""
    style = ' class="n"' if is_numeric else ""
    first, *others = headers
    head = f'<th scope="col">{escape(first)}</th>' + "".join(
        f'<th scope="col"{style}>{escape(header)}</th>' for header in others
    )
    body = "".join(
        f'<tr><th scope="row">{escape(row[0])}</th>'
        + "".join(f"<td{style}>{escape(text)}</td>" for text in row[1:])
        + "</tr>"
        for row in rows
    )
    return (
        f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
        if body
        else ""
    )


def figure(chart: str, headers: Row, rows: Iterable[Row], note: str = "") -> str:
    """A chart with its caption and its data as a table."""
    caption = f"<figcaption>{escape(note)}</figcaption>" if note else ""
    data = table(headers, rows)
    return (
        f'<figure><div class="scroll">{chart}</div>{caption}<details class="data">'
        f"<summary>Data of this chart as a table</summary>{data}</details></figure>"
    )


def remark(text: str) -> str:
    """One sentence under a heading that says how to read what follows."""
    return f'<p class="why">{escape(text)}</p>' if text else ""


def verdict(requirement: RequirementResult, style: str = "") -> str:
    """The verdict as symbol and word."""
    symbol = SYMBOLS[requirement.verdict]
    return (
        f'<span class="verdict {style}"><span aria-hidden="true">{symbol}</span> {requirement.verdict}</span>'
    )


def variant_title(variant: VariantResult) -> str:
    """What a variant is called in the report."""
    return variant.title or variant.name


def breakable(text: str) -> str:
    """The text with places where a narrow column may break it."""
    return escape(text).replace("_", "_<wbr/>").replace("(", "(<wbr/>")


def command(line: str) -> str:
    """A line to type."""
    return f'<pre class="command">{escape(line)}</pre>'
