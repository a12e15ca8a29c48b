"""JSON Schema as a Thing Description and DTDL have it: no references, one type, no true or false."""

from __future__ import annotations

from typing import Any, Final

from twin.errors import InputError
from twin.state.records import Tree
from twin.state.types.model import DEFINITIONS

_MANY: Final = ("oneOf", "anyOf", "allOf")
MOST_PARTS: Final = 10_000
"""Schemas within one document, as references that lead to references could make any number of them."""
DATA: Final = {
    "properties": ("",),
    "actions": ("input", "output"),
    "events": ("data", "subscription", "cancellation"),
}
"""Where the affordances of each section hold their data; a property is data itself."""


def plain(document: Tree) -> Tree:
    """A type's document, whose data say the same in those words; InputError for one that is too large."""
    writer = _Writer(document)
    made = dict(document)
    for section, places in DATA.items():
        if section in document:
            made[section] = {
                name: writer.affordance(entry, places) for name, entry in (document[section] or {}).items()
            }
    if definitions := made.pop("schemaDefinitions", None):
        made["schemaDefinitions"] = {name: writer.schema(each) for name, each in definitions.items()}
    made.pop("$defs", None)
    return made


class _Writer:
    """Writes the schemas of one document."""

    def __init__(self, document: Tree) -> None:
        self._definitions = {
            f"#/{key}/{name}": schema
            for key in DEFINITIONS
            for name, schema in (document.get(key) or {}).items()
        }
        self._count = 0

    def affordance(self, entry: Tree, places: tuple[str, ...]) -> Tree:
        """A property, or an action or event with its data."""
        if places == ("",):
            return self.schema(entry)
        return entry | {place: self.schema(entry[place]) for place in places if place in entry}

    def schema(self, schema: Any, above: tuple[str, ...] = ()) -> Tree:
        """One schema; a reference that leads back to itself says nothing more."""
        self._count += 1
        if self._count > MOST_PARTS:
            raise InputError(f"the type has more than {MOST_PARTS} schemas when its $ref are followed")
        if not isinstance(schema, dict):
            return {"type": "null"} if schema is False else {}
        made = dict(schema)
        target = made.pop("$ref", None)
        if target in self._definitions and target not in above:
            made = self.schema(self._definitions[target], (*above, target)) | made
        _have_one_type(made)
        for key in _MANY:
            if isinstance(made.get(key), list):
                made[key] = [self.schema(each, above) for each in made[key]]
        if isinstance(made.get("properties"), dict):
            made["properties"] = {name: self.schema(each, above) for name, each in made["properties"].items()}
        if "items" in made:
            made["items"] = self.schema(made["items"], above)
        return made


def _have_one_type(schema: Tree) -> None:
    kinds = schema.get("type")
    if not isinstance(kinds, list):
        return
    del schema["type"]
    if len(kinds) == 1:
        schema["type"] = kinds[0]
    elif "oneOf" not in schema:
        schema["oneOf"] = [{"type": each} for each in kinds]
