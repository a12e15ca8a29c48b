"""The charts of a report as pictures of their own: SVG files that need no style sheet beside them."""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib.resources import files
from typing import Final, NamedTuple

from devices_models.world import floor_plan
from scenarios.report import evidence, findings
from scenarios.results import Study

SOURCES: Final[dict[str, Callable[[Study], str]]] = {
    "time budget": findings.budget,
    "latencies": evidence.latencies,
    "differences": evidence.differences,
    "inputs": evidence.swings,
    "message chain": findings.chains,
    "floor plan": evidence.plan,
}
MARGIN: Final = 14.0
_DRAWING: Final = re.compile(r'<svg (?=[^>]*class="(?:chart|fp)").*?</svg>', re.DOTALL)
_SIZE: Final = re.compile(r'viewBox="0 0 ([\d.]+) ([\d.]+)"')
_ON_BAR: Final = re.compile(r"\.(on-p-[a-z-]+)")
_VARIABLE: Final = re.compile(r"(--[a-z-]+):\s*([^;]+);")
_USE: Final = re.compile(r"var\((--[a-z-]+)\)")


class Picture(NamedTuple):
    """A chart of a report, ready to be written to a file."""

    name: str
    svg: str


def pictures(study: Study) -> list[Picture]:
    """Every chart of the study's report in light colours, in its order; several of a kind are numbered."""
    found = []
    for name, write in SOURCES.items():
        drawings = _DRAWING.findall(write(study))
        for number, drawing in enumerate(drawings, 1):
            found.append(Picture(name if len(drawings) == 1 else f"{name} {number}", _alone(drawing)))
    return found


def _alone(drawing: str) -> str:
    """The drawing with what it needs: its name space, size, a background and the rules of the page."""
    opening, _, content = drawing.partition(">")
    found = _SIZE.search(opening)
    width, height = (float(each) + 2 * MARGIN for each in (found.groups() if found else (0, 0)))
    frame = f'x="{-MARGIN:g}" y="{-MARGIN:g}" width="{width:g}" height="{height:g}" fill="#fff"'
    opening = _SIZE.sub(f'viewBox="{-MARGIN:g} {-MARGIN:g} {width:g} {height:g}"', opening)
    return (
        f'{opening} xmlns="http://www.w3.org/2000/svg" width="{width:g}" height="{height:g}">'
        f"<style>{_rules()}</style><rect {frame}/>{content}"
    )


def _rules() -> str:
    """The page's rules for drawings, with the values of their variables written out."""
    sheet = files(__package__ or "").joinpath("report.css").read_text("utf-8")
    values = dict(_VARIABLE.findall(sheet[: sheet.index("@media screen and (prefers")]))
    drawn = sheet[sheet.index(".t {") : sheet.index("@media screen and (max-width")]
    named = ",".join(f".t.{name}" for name in sorted(set(_ON_BAR.findall(drawn))))
    drawn += f"{named}{{stroke:none}}"  # not every program knows a selector by a part of a class
    return _USE.sub(lambda use: values.get(use[1], "inherit"), drawn + floor_plan.STYLE)
