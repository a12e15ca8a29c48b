"""Things, groups and relationships: the records of what there is."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable
from itertools import islice
from typing import Final

from msgspec import field

from twin.errors import RefusedError
from twin.state.records import Record

THING: Final = "thing"
GROUP: Final = "group"
RELATIONSHIP: Final = "relationship"
LARGEST_ATTRIBUTES: Final = 50
LONGEST_VALUE: Final = 800
MOST_TAGS: Final = 50
MOST_COORDINATES: Final = 3
MOST_COMPARED: Final = 1_000
"""So many names are looked at for one that is near."""

_THING_NAME: Final = re.compile(r"[a-zA-Z0-9:_-]{1,128}")
_WORD: Final = re.compile(r"[^\s/+#$\x00-\x1f]{1,128}")
_STATES: Final = ("planned", "active", "disabled", "retired")


class RegistryError(RefusedError):
    """What the registry refuses; `code` is the HTTP status that says it: 400, 403, 404 or 409."""


class Thing(Record, frozen=True):
    """A device, gateway or other thing that has a twin.

    `via` names the gateway that speaks for it; `location` is for people, `position` are coordinates in the
    frame of its site. `groups` are those it was put in; a group with a query finds its members itself.
    """

    name: str
    type: str = ""
    site: str = ""
    level: str = ""
    bay: str = ""
    via: str = ""
    location: str = ""
    position: tuple[float, ...] = ()
    tags: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    attributes: dict[str, str] = field(default_factory=dict)
    state: str = "active"
    created_s: float = 0.0
    changed_s: float = 0.0
    version: int = 1


class Group(Record, frozen=True):
    """Things put together by hand, or found by `query`; the members of groups below `parent` count too."""

    name: str
    description: str = ""
    parent: str = ""
    query: str = ""
    created_s: float = 0.0
    version: int = 1


class Relationship(Record, frozen=True):
    """A directed edge between things: `source` contains, controls, feeds ... `target`."""

    source: str
    kind: str
    target: str
    created_s: float = 0.0

    @property
    def key(self) -> str:
        """What it is kept under."""
        return f"{self.source}/{self.kind}/{self.target}"


def check_thing_name(name: str) -> None:
    """Raise RegistryError unless it is 1 to 128 letters, digits, colons, underscores and hyphens."""
    if not _THING_NAME.fullmatch(name):
        raise RegistryError(
            400,
            f"thing name {name!r}: 1 to 128 letters, digits, ':', '_' and '-' are allowed, such as gate-1",
        )


def check_word(text: str, what: str) -> None:
    """Raise RegistryError for a text that could not stand in a topic or in a query."""
    if not _WORD.fullmatch(text):
        raise RegistryError(400, f"{what} {text!r}: 1 to 128 characters without spaces and without / + # $")


def check_thing(thing: Thing) -> None:
    """Raise RegistryError for the first field that cannot be kept."""
    check_thing_name(thing.name)
    for what in ("type", "site", "level", "bay", "via"):
        if text := getattr(thing, what):
            check_word(text, what)
    for what, words in (("tag", thing.tags), ("group", thing.groups), ("attribute", thing.attributes)):
        for word in words:
            check_word(word, what)
        if len(words) > MOST_TAGS:
            raise RegistryError(400, f"thing {thing.name!r} has more than {MOST_TAGS} {what}s")
    for name, value in thing.attributes.items():
        if len(value) > LONGEST_VALUE:
            raise RegistryError(
                400, f"attribute {name!r} of {thing.name!r} is longer than {LONGEST_VALUE} characters"
            )
    if len(thing.location) > LONGEST_VALUE:
        raise RegistryError(400, f"the location of {thing.name!r} is longer than {LONGEST_VALUE} characters")
    if len(thing.position) > MOST_COORDINATES or not all(map(math.isfinite, thing.position)):
        raise RegistryError(
            400, f"the position of {thing.name!r} is not at most {MOST_COORDINATES} finite numbers"
        )
    if thing.state not in _STATES:
        raise RegistryError(400, unknown("state", thing.state, _STATES))


def unknown(what: str, name: str, known: Iterable[str]) -> str:
    """One sentence about a name that is not known, with the nearest that is."""
    names = sorted(islice(known, MOST_COMPARED))
    near = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(names[:12]) or 'none'}"
    return f"unknown {what} {name!r}; {hint}"
