"""Values as YAML: the shortest way to write one that our own loader reads back as the same value."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any, Final

from scenarios.format import source as yaml_source
from scenarios.format.issues import ScenarioError

WIDTH: Final = 110
_ESCAPED: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff\ud800-\udfff\ufffe\uffff]")


def flow(value: Any, quote: str = "", *, is_inside: bool = True) -> str:
    """A value in one line; `quote` is the quote it had before, `is_inside`: it stands within brackets."""
    if isinstance(value, Mapping):
        inner = (f"{flow(key)}: {flow(each)}" for key, each in value.items())
        return "{" + ", ".join(inner) + "}"
    if isinstance(value, str):
        return _text(value, quote, is_inside=is_inside)
    if isinstance(value, Sequence):
        return "[" + ", ".join(flow(each) for each in value) + "]"
    if value is None:
        return "null"
    return json.dumps(value)


def _text(value: str, quote: str, *, is_inside: bool) -> str:
    for candidate in _candidates(value, quote):
        if _reads_as(candidate, value, is_inside=is_inside):
            return candidate
    return _double_quoted(value)


def _candidates(value: str, quote: str) -> list[str]:
    single = "'" + value.replace("'", "''") + "'"
    plain = [value] if value == value.strip() and value and "\n" not in value else []
    ordered = {"'": [single], '"': [], "": plain}[quote if quote in {"'", '"'} else ""]
    return [each for each in ordered if not _ESCAPED.search(each)]


def _reads_as(candidate: str, value: str, *, is_inside: bool) -> bool:
    text = f"{{k: {candidate}, l: 0}}" if is_inside else f"k: {candidate}\nl: 0"
    try:
        data = yaml_source.parse(text).data
    except ScenarioError:
        return False
    return isinstance(data, dict) and data == {"k": value, "l": 0} and isinstance(data["k"], str)


def _double_quoted(value: str) -> str:
    """JSON's escapes are YAML's too; what cannot be printed is escaped, everything else stays readable."""
    quoted = json.dumps(value, ensure_ascii=False)
    return _ESCAPED.sub(lambda found: f"\\u{ord(found[0]):04x}", quoted)


def folded(value: str, style: str, header: str, indent: int) -> str | None:
    """A text as block scalar in the style it had; None if it cannot be written so."""
    pad = " " * indent
    if not value.strip() or value != value.strip() or _ESCAPED.search(value.replace("\n", "")):
        return None
    if style == "|":
        lines = value.split("\n")
    elif "\n" in value:
        return None
    else:
        lines = textwrap.wrap(value, max(20, WIDTH - indent), break_long_words=False, break_on_hyphens=False)
    return header + "".join(f"\n{pad}{line}".rstrip(" ") for line in lines)


def block(value: Mapping[str, Any], indent: int) -> str:
    """The entries of a map, one a line, the first without indentation."""
    pad = "\n" + " " * indent
    return pad.join(
        f"{flow(key, is_inside=False)}: {flow(each, is_inside=False)}" for key, each in value.items()
    )


def read_cell(written: str) -> Any:
    """What somebody means who types this into a cell: the value YAML reads, or the text as it is."""
    text = written.strip()
    try:
        found = yaml_source.parse(f"k: {text}\n").data
    except ScenarioError:
        return text
    value = found.get("k") if isinstance(found, dict) and len(found) == 1 else text
    if value is None and text not in {"", "null", "~"}:
        return text
    return value
