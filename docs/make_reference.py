#!/usr/bin/env python3
"""Write the generated parts of docs/scenario-file.md from the program itself.

    python docs/make_reference.py

A test holds the page up to date: it fails when a key, a word or an error code is not on the page.
"""

from __future__ import annotations

import sys
import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Any

from scenarios.explanations import defaults
from scenarios.format import schema
from scenarios.format.catalogue import Description
from scenarios.format.fault_vocabulary import FAULT_FORMS
from scenarios.wiring.vocabulary import Vocabulary
from twin.units import KINDS, format_quantity

PAGE = Path(__file__).resolve().parent / "scenario-file.md"
FORMS: dict[str, type[schema.Form]] = {
    "Top level": schema.Scenario,
    "A site": schema.Site,
    "A generated car park (`scene: {levels: 3, bays: 120}`)": schema.Carpark,
    "A fleet": schema.Fleet,
    "A fleet's `link`, written as a map": schema.Access,
    "A node": schema.Node,
    "A node's `station`": schema.Station,
    "A link": schema.Link,
    "An entry of the timeline": schema.TimelineEntry,
    "A variant": schema.VariantForm,
    "A requirement": schema.Requirement,
    "The run": schema.RunForm,
}
TYPES = {
    "string": "text",
    "array": "list",
    "object": "map",
    "boolean": "yes or no",
    "integer": "whole number",
}
DEFAULT_UNITS = {"_s": "time", "_ratio": "ratio", "_bps": "rate"}


def main() -> int:
    """Rewrite the page."""
    PAGE.write_text(page(PAGE.read_text("utf-8")), "utf-8")
    return 0


def page(text: str) -> str:
    """The page with its generated parts made anew."""
    words = Vocabulary()
    parts = {
        "keys": "\n\n".join(form_table(title, model) for title, model in FORMS.items()),
        "devices": described(words.devices, "device"),
        "kinds": described(words.kinds, "kind"),
        "world": world(words.world),
        "faults": table(["fault", "what happens", "figures"], fault_rows()),
        "links": ", ".join(f"`{name}`" for name in sorted(words.technologies)) + ".",
        "units": table(["quantity", "units"], unit_rows()),
        "codes": table(["code", "meaning"], code_rows()),
    }
    for name, content in parts.items():
        text = replaced(text, name, content)
    return text


def form_table(title: str, model: type[schema.Form]) -> str:
    """The keys of one map of the format."""
    properties: dict[str, Any] = model.model_json_schema(by_alias=True)["properties"]
    fields = {field.alias or name: (name, field) for name, field in model.model_fields.items()}
    rows = [
        [
            f"`{key}`",
            default_of(name, field),
            (field.description or hint(properties[key])).replace("|", "\\|"),
        ]
        for key, (name, field) in fields.items()
    ]
    return f"### {title}\n\n{table(['key', 'default', 'what'], rows)}"


def default_of(name: str, field: Any) -> str:
    """How a default is written in a file."""
    if field.is_required():
        return "**needed**"
    value = field.default
    kind = next((kind for suffix, kind in DEFAULT_UNITS.items() if name.endswith(suffix)), "")
    if isinstance(value, float) and kind:
        return format_quantity(kind, value)
    if value is None or value in ("", [], {}) or isinstance(value, schema.Form):
        return ""
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def hint(property_schema: dict[str, Any]) -> str:
    """What can be said about a value from its schema: its unit, its words, its type."""
    choices = [property_schema, *property_schema.get("anyOf", [])]
    for choice in choices:
        if "enum" in choice:
            return "one of " + ", ".join(f"`{value}`" for value in choice["enum"])
        if "const" in choice:
            return f"`{choice['const']}`"
        if "description" in choice:
            return str(choice["description"]).partition(" with its unit")[0]
    kinds = [choice["type"] for choice in choices if choice.get("type", "null") != "null"]
    return TYPES.get(kinds[0], kinds[0]) if kinds else "map, see below"


def described(known: Any, title: str) -> str:
    """Device types or node kinds: their options and measures."""
    rows = [[f"`{name}`", option_list(each), measure_list(each)] for name, each in sorted(known.items())]
    return table([title, "options", "measures"], rows)


def option_list(known: Description) -> str:
    """The options a scenario may write, with their defaults."""
    listed = ((key, default.partition("  (")[0]) for key, default in defaults(known).items())
    return ", ".join(f"`{key}`" + f" ({text})" * bool(text) for key, text in listed) or "none"


def world(known: Description) -> str:
    """The options of the world, with those inside its maps, and its measures."""
    inside = [
        f"- `{key}` as a map: " + ", ".join(f"`{each}`" for each in sorted(keys)) + "."
        for key in sorted(known.form.keys)
        if (keys := known.form.keys_at((key,)))
    ]
    return "\n".join([option_list(known) + ".", "", *inside, "", f"Measures: {measure_list(known)}."])


def measure_list(known: Description) -> str:
    """What is observed, for requirements."""
    return ", ".join(f"`{measure}`" for measure in sorted(known.measures)) or "none"


def fault_rows() -> list[list[str]]:
    """Each fault: what happens, and the figures it may be given."""
    return [
        [f"`{name}`", form.meaning, ", ".join(f"`{key}`" for key in sorted(form.figures))]
        for name, form in sorted(FAULT_FORMS.items())
    ]


def unit_rows() -> list[list[str]]:
    """Each kind of quantity with the units that are read."""
    return [[kind.noun, ", ".join(f"`{unit}`" for unit in kind.units)] for kind in KINDS.values()]


def code_rows() -> list[list[str]]:
    """Each error code with its title."""
    known = tomllib.loads(files("scenarios").joinpath("data", "explanations.toml").read_text("utf-8"))
    return [[f"`{code}`", str(entry["title"])] for code, entry in sorted(known.items())]


def table(headers: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    lines = [headers, ["---"] * len(headers), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def replaced(text: str, name: str, content: str) -> str:
    """The text with everything between the two markers of this name replaced."""
    begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    if begin not in text or end not in text:
        raise SystemExit(f"{PAGE.name} has no markers for {name!r}")
    before, _, rest = text.partition(begin)
    return f"{before}{begin}\n\n{content}\n\n{end}{rest.partition(end)[2]}"


if __name__ == "__main__":
    sys.exit(main())
