"""Text of strangers made safe: what a scenario author wrote is shown as text and never becomes markup."""

from __future__ import annotations

import html
import re
import unicodedata
from xml.etree import ElementTree as ET

# Control characters, surrogates, non-characters and the marks that reorder text on the screen.
_UNPRINTABLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
)
_SVG_ELEMENTS = """
    svg g path rect circle ellipse line polyline polygon text tspan title desc defs marker symbol use
    radialGradient stop
"""
_SVG_ATTRIBUTES = """
    x y x1 y1 x2 y2 dx dy cx cy r rx ry width height d points viewBox preserveAspectRatio transform
    fill fill-opacity fill-rule stroke stroke-opacity stroke-width stroke-dasharray stroke-linecap
    stroke-linejoin opacity text-anchor dominant-baseline font-size font-weight class id role
    aria-label aria-hidden marker-end marker-start refX refY orient markerWidth markerHeight href
    offset stop-color stop-opacity
"""
_KNOWN_ELEMENTS = frozenset(_SVG_ELEMENTS.split())
_KNOWN_ATTRIBUTES = frozenset(_SVG_ATTRIBUTES.split())
_INNER_REFERENCE = re.compile(r"\s*url\(#[\w-]+\)\s*")


def plain(text: str) -> str:
    """The text without characters that no report may print (terminal escapes, reordering marks)."""
    return _UNPRINTABLE.sub("", text.replace("\r\n", "\n"))


def one_line(text: str) -> str:
    """The text on one line, single spaces, without unprintable characters."""
    return " ".join(plain(text).split())


def escape(text: object) -> str:
    """The text as HTML or XML text; also safe inside a quoted attribute."""
    return html.escape(plain(str(text)))


def display_width(text: str) -> int:
    """Columns the text takes in a terminal: wide East Asian characters take two, combining marks none."""
    return sum(_columns(character) for character in text)


def _columns(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def shorten(text: str, columns: int) -> str:
    """The text cut to at most `columns` terminal columns, with an ellipsis where it was cut."""
    if display_width(text) <= columns:
        return text
    kept = ""
    for character in text:
        if display_width(kept + character) >= columns:
            break
        kept += character
    return kept.rstrip() + "\u2026"


def drawing(svg: str) -> str:
    """An SVG drawing reduced to shapes and text; empty when it is not well-formed or declares entities.

    Styles, scripts, event handlers, foreign content and references that leave the drawing are dropped.
    """
    if "<!DOCTYPE" in svg.upper() or "<!ENTITY" in svg.upper():
        return ""
    try:
        root = ET.fromstring(svg)  # noqa: S314 - entities were refused above
    except ET.ParseError:
        return ""
    return _shape(root) if _local(root.tag) == "svg" else ""


def _shape(element: ET.Element) -> str:
    name = _local(element.tag)
    attributes = "".join(
        f' {key}="{escape(value)}"'
        for key, value in sorted((_local(key), value) for key, value in element.attrib.items())
        if key in _KNOWN_ATTRIBUTES and _stays_inside(key, value)
    )
    content = escape(element.text or "")
    for child in element:
        content += (_shape(child) if _local(child.tag) in _KNOWN_ELEMENTS else "") + escape(child.tail or "")
    return f"<{name}{attributes}>{content}</{name}>"


def _local(name: object) -> str:
    return name.rpartition("}")[2] if isinstance(name, str) else ""


def _stays_inside(key: str, value: str) -> bool:
    if key == "href":
        return value.startswith("#")
    return "url(" not in value.lower() or _INNER_REFERENCE.fullmatch(value) is not None
