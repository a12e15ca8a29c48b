"""The style sheet: readable contrast in light and dark, plain paper in print."""

from __future__ import annotations

import re
from importlib.resources import files

import pytest

from scenarios import report

STYLE = files("scenarios.report").joinpath("report.css").read_text("utf-8")
TEXT_ON_GROUND = [
    *((ink, "paper") for ink in ("ink", "quiet", "accent", "good", "bad", "open")),
    *((ink, f"{wash}-wash") for wash in ("good", "bad", "open") for ink in ("ink", "quiet", wash)),
    *(("on-dark", part) for part in ("detect", "confirm")),
    *(("on-light", part) for part in ("premove", "flow")),
]


def _variables(block):
    return dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", block))


def _themes():
    light, dark = re.findall(r":root \{(.*?)\}", STYLE, re.DOTALL)[:2]
    return {"light": _variables(light), "dark": _variables(dark)}


def _luminance(colour):
    """Relative luminance of WCAG 2.2."""
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear))


def _contrast(one, other):
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_contrast_of_black_on_white_is_21():
    """The formula is the one of the standard."""
    assert _contrast("#000000", "#ffffff") == pytest.approx(21)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize(("ink", "ground"), TEXT_ON_GROUND)
def test_text_has_contrast_of_at_least_four_and_a_half(theme, ink, ground):
    """WCAG 2.2 AA for normal text, in both themes."""
    colours = _themes()[theme]
    assert _contrast(colours[ink], colours[ground]) >= 4.5


def test_both_themes_define_the_same_colours():
    """No colour is missing in the dark."""
    themes = _themes()
    assert themes["light"].keys() == themes["dark"].keys()


def test_paper_never_gets_the_dark_theme():
    """The dark colours are for screens only."""
    assert re.findall(r"@media ([^{]*prefers-color-scheme: dark[^{]*)", STYLE) == [
        "screen and (prefers-color-scheme: dark) "
    ]


def test_every_class_of_a_drawing_has_a_style(study):
    """A chart never uses a class that the style sheet does not know."""
    used = set(" ".join(re.findall(r' class="([^"]*)"', report.html(study))).split())
    known = set(re.findall(r"\.([a-z][a-z-]*)", STYLE))
    assert used - known == set()
