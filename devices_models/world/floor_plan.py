"""Draws one level of a scene as SVG: bays, aisles, ramps, doors, gates, devices and what is marked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from xml.sax.saxutils import escape

from devices_models.world.feature import Feature, Point
from devices_models.world.scene import Scene

SCALE = 12
"""Drawing units a metre."""
MARGIN_M = 3.0
LEGEND_M = 5.0
FIRE = "fire"
"""The mark that sets a bay on fire; any other mark is a word written beside its feature."""

STYLE = """
.fp{font:13px system-ui,-apple-system,'Segoe UI',sans-serif;background:#f6f7f9}
.fp text{fill:#3d4653}.fp .head{font-size:19px;font-weight:600;fill:#1c2430}.fp .small{font-size:11px}
.fp .floor{fill:#fff;stroke:#8a94a3;stroke-width:2.5}.fp .aisle{stroke:#e9edf2;fill:none}
.fp .dash{stroke:#c3ccd8;stroke-width:1.5;stroke-dasharray:10 12;fill:none}
.fp .bay{fill:#fbfcfd;stroke:#c9d1dc;stroke-width:1}.fp .ev{fill:#e6f5ec}.fp .accessible{fill:#e5effb}
.fp .burning{fill:#e4572e;stroke:#a8330f;stroke-width:2}
.fp .ramp{stroke:#d7dde6;fill:none}.fp .arrow{fill:#8a94a3}.fp .door{fill:#1f9d63}.fp .exit{fill:#12754a}
.fp .gate{stroke:#d63f3f;stroke-width:6;stroke-linecap:round}.fp .road{stroke:#e9edf2;fill:none}
.fp .detector{fill:#fff;stroke:#5b6ee1;stroke-width:1.6}.fp .sensor{fill:#5b6ee1}.fp .gateway{fill:#26324a}
.fp .sign{fill:#fff;stroke:#1f9d63;stroke-width:2}
.fp .fan{fill:none;stroke:#93a0b2;stroke-width:1.5}.fp .lift{fill:#c3ccd8}
.fp .ring{fill:none;stroke:#e4572e;stroke-width:3}
.fp .label{font-weight:600;fill:#a8330f;paint-order:stroke;stroke:#fff;stroke-width:4px}
""".strip()
GLOW = (
    '<radialGradient id="fp-glow"><stop offset="0" stop-color="#e4572e" stop-opacity=".55"/>'
    '<stop offset="1" stop-color="#e4572e" stop-opacity="0"/></radialGradient>'
)
ORDER = ("road", "ramp", "level", "aisle", "bay", "lift", "fan", "sign", "sensor", "detector", "gateway")
LEGEND = (
    ("bay ev", "charging bay"),
    ("bay accessible", "accessible bay"),
    ("door", "door, exit"),
    ("gate", "exit gate"),
    ("detector", "detector"),
    ("sensor", "sensor"),
    ("gateway", "gateway"),
    ("sign", "sign"),
    ("fan", "fan"),
)


def floor_plan_svg(scene: Scene, level: str, marks: Mapping[str, str] | None = None) -> str:
    """The level as one self-contained SVG text. `marks` maps feature ids to a word shown at them;
    the word `fire` makes a bay burn. Raises InputError for an unknown level or marked feature.
    """
    scene.feature(level)
    shown = [
        feature
        for feature in scene.features
        if level in {feature.level, feature.text("to_level")} and feature.kind != "assembly"
    ]
    sheet = _Sheet(shown, f"{scene.name}, {level}")
    for kind in (*ORDER, "door", "exit", "gate"):
        for feature in shown:
            if feature.kind == kind:
                sheet.draw(feature, (marks or {}).get(feature.id, ""))
    for identity, word in (marks or {}).items():
        if scene.feature(identity).level == level:
            sheet.mark(scene.feature(identity), word)
    return sheet.text()


class _Sheet:
    """Collects elements; turns metres with y northwards into drawing units with y downwards."""

    def __init__(self, features: list[Feature], title: str) -> None:
        xs = [x for feature in features for x, _ in feature.points]
        ys = [y for feature in features for _, y in feature.points]
        self._west, self._north = min(xs) - MARGIN_M, max(ys) + MARGIN_M + LEGEND_M / 2
        self._width = (max(xs) + MARGIN_M - self._west) * SCALE
        self._height = (self._north - min(ys) + MARGIN_M + LEGEND_M) * SCALE
        self._title = title
        self._parts: list[str] = []

    def text(self) -> str:
        size = f"{self._width:.0f} {self._height:.0f}"
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" class="fp" viewBox="0 0 {size}" role="img"'
            f' aria-label="{escape(self._title, {chr(34): "&quot;"})}"><style>{STYLE}</style>'
            f"<defs>{GLOW}</defs>"
            f'<rect width="100%" height="100%" fill="#f6f7f9"/>'
            f'<text class="head" x="{MARGIN_M * SCALE:.0f}" y="32">{escape(self._title)}</text>'
        )
        return "\n".join([head, *self._parts, *self._legend(), "</svg>"]) + "\n"

    def draw(self, feature: Feature, mark: str) -> None:
        """One feature, with its id as a tooltip."""
        body = "".join(self._shape(feature, mark))
        self._parts.append(f"<g><title>{escape(feature.id)}</title>{body}</g>")

    def mark(self, feature: Feature, word: str) -> None:
        """A ring or a glow at the feature, and the word beside it."""
        x, y = self._at(feature.place)
        if word == FIRE:
            self._parts.append(f'<circle fill="url(#fp-glow)" cx="{x:.1f}" cy="{y:.1f}" r="{7 * SCALE}"/>')
            x, y = x - 28, y - 36
        else:
            self._parts.append(f'<circle class="ring" cx="{x:.1f}" cy="{y:.1f}" r="12"/>')
        self._parts.append(f'<text class="label" x="{x + 16:.1f}" y="{y + 5:.1f}">{escape(word)}</text>')

    def _at(self, point: Point) -> Point:
        return (point[0] - self._west) * SCALE, (self._north - point[1]) * SCALE

    def _shape(self, feature: Feature, mark: str) -> Iterator[str]:
        x, y = self._at(feature.place)
        match feature.kind:
            case "level":
                corners = " ".join(f"{px:.1f},{py:.1f}" for px, py in map(self._at, feature.points))
                yield f'<polygon class="floor" points="{corners}"/>'
            case "bay":
                yield self._bay(feature, x, y, "burning" if mark == FIRE else "")
            case "aisle" | "ramp" | "road":
                yield from self._way(feature)
            case "gate":
                yield f'<line class="gate" x1="{x:.1f}" y1="{y - 20:.1f}" x2="{x:.1f}" y2="{y + 20:.1f}"/>'
                yield f'<text x="{x - 26:.1f}" y="{y - 26:.1f}">{escape(feature.id)}</text>'
            case _:
                yield symbol(feature.kind, x, y)

    def _bay(self, feature: Feature, x: float, y: float, state: str) -> str:
        width, depth = (part * SCALE for part in feature.properties["size"])
        sort = state or next((name for name in ("ev", "accessible") if feature.properties.get(name)), "")
        return (
            f'<rect class="bay {sort}" x="{x - width / 2:.1f}" y="{y - depth / 2:.1f}"'
            f' width="{width:.1f}" height="{depth:.1f}" rx="3"/>'
        )

    def _way(self, feature: Feature) -> Iterator[str]:
        points = [self._at(point) for point in feature.points]
        path = "M" + " L".join(f"{x:.1f} {y:.1f}" for x, y in points)
        width = float(feature.properties.get("width", 3.0)) * SCALE
        cap = ' stroke-linecap="square"' if feature.kind == "aisle" else ""
        yield f'<path class="{feature.kind}" d="{path}" stroke-width="{width:.1f}"{cap}/>'
        if feature.kind == "aisle":
            yield f'<path class="dash" d="{path}"/>'
            return
        for (ax, ay), (bx, by) in pairwise(points):
            turn = f"translate({(ax + bx) / 2:.1f} {(ay + by) / 2:.1f}) {_heading(bx - ax, by - ay)}"
            yield f'<path class="arrow" transform="{turn}" d="M-8 -9 L10 0 L-8 9 L-4 0 Z"/>'

    def _legend(self) -> Iterator[str]:
        y = self._height - LEGEND_M * SCALE / 2
        for number, (kind, word) in enumerate(LEGEND):
            x = (MARGIN_M + 1) * SCALE + number * (self._width - 20 * SCALE) / len(LEGEND)
            yield symbol(kind, x, y)
            yield f'<text class="small" x="{x + 16:.1f}" y="{y + 4:.1f}">{word}</text>'
        x = self._width - (MARGIN_M + 10) * SCALE
        yield f'<path d="M{x:.1f} {y - 6:.1f} v6 h{10 * SCALE} v-6" fill="none" stroke="#3d4653"/>'
        yield f'<text class="small" x="{x + 4 * SCALE:.1f}" y="{y - 5:.1f}">10 m</text>'


def _heading(dx: float, dy: float) -> str:
    """The turn that points an eastward arrow along a line of the plan."""
    if abs(dx) >= abs(dy):
        return "rotate(0)" if dx > 0 else "rotate(180)"
    return "rotate(90)" if dy > 0 else "rotate(-90)"


def symbol(kind: str, x: float, y: float) -> str:
    """The sign of a kind, on the plan and in its legend."""
    match kind.split(maxsplit=1)[0]:
        case "detector":
            return f'<circle class="detector" cx="{x:.1f}" cy="{y:.1f}" r="4.5"/>'
        case "sensor":
            return f'<rect class="sensor" x="{x - 3.5:.1f}" y="{y - 3.5:.1f}" width="7" height="7"/>'
        case "fan":
            return (
                f'<circle class="fan" cx="{x:.1f}" cy="{y:.1f}" r="9"/>'
                f'<path class="fan" d="M{x - 6:.1f} {y:.1f} h12 M{x:.1f} {y - 6:.1f} v12"/>'
            )
        case "sign":
            return f'<path class="sign" d="M{x - 9:.1f} {y:.1f} l9 -7 l9 7 l-9 7 Z"/>'
        case "gate":
            return f'<line class="gate" x1="{x:.1f}" y1="{y - 8:.1f}" x2="{x:.1f}" y2="{y + 8:.1f}"/>'
        case "bay":
            return f'<rect class="{kind}" x="{x - 7:.1f}" y="{y - 9:.1f}" width="14" height="18" rx="2"/>'
        case "door" | "exit":
            return f'<rect class="{kind}" x="{x - 9:.1f}" y="{y - 9:.1f}" width="18" height="18" rx="4"/>'
    return f'<rect class="{kind}" x="{x - 8:.1f}" y="{y - 8:.1f}" width="16" height="16" rx="3"/>'
