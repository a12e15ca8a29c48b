"""The device types that come with the product."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from typing import Any, Final

import yaml

from twin.state.types.checking import read_type, type_name
from twin.state.types.model import ThingModel

ENDING: Final = ".tm.yaml"


class _CoreLoader(yaml.CSafeLoader):
    """Reads scalars by the core schema of YAML 1.2, in which `on` is a text."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012  (as the class above declares it)


for _tag, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+", list("-+0123456789")),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", list("-+.0123456789")),
):
    _CoreLoader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"(?:{_pattern})\Z"), _first)


def parse_document(text: str) -> Any:
    """The data of a type's text. Raises yaml.YAMLError for what is no YAML."""
    return _CoreLoader(text).get_single_data()


@cache
def shipped_documents() -> dict[str, Any]:
    """The documents of the shipped types by name."""
    folder = files("twin.state.types").joinpath("data")
    texts = {each.name: each.read_text("utf-8") for each in folder.iterdir() if each.name.endswith(ENDING)}
    return {type_name(name): parse_document(texts[name]) for name in sorted(texts)}


@cache
def shipped_types() -> dict[str, ThingModel]:
    """The shipped types by name."""
    documents = shipped_documents()
    return {name: read_type(document, name, documents) for name, document in documents.items()}
