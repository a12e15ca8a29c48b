"""Where every value and key of a scenario text begins and ends, so that a change touches nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import yaml

from scenarios.format.source import Keys
from twin.errors import InputError

Shape = Literal["map", "list", "scalar", "alias"]
MOST_DEPTH: Final = 60


class NoPlaceError(InputError):
    """There is nothing at this path of the text that could be changed."""


@dataclass(slots=True)
class Entry:
    """A key of a map and its value; `start` and `end` are of the key."""

    key: str
    start: int
    end: int
    value: Place


@dataclass(slots=True)
class Place:
    """One value: its first character and the one after its last, without comments behind it.

    `start` is behind an anchor. `column` is where a map's keys or a list's dashes stand (block style only).
    """

    shape: Shape
    start: int
    end: int
    is_flow: bool = False
    style: str = ""
    column: int = 0
    entries: list[Entry] = field(default_factory=list)
    items: list[Place] = field(default_factory=list)

    def entry(self, key: str | int) -> Entry | None:
        """The entry of a map with this key."""
        return next((entry for entry in self.entries if entry.key == key), None)

    def child(self, key: str | int) -> Place | None:
        """The value under a key, or the item at an index."""
        if self.shape == "list":
            return self.items[key] if isinstance(key, int) and 0 <= key < len(self.items) else None
        found = self.entry(key)
        return found.value if found else None


def read_places(text: str) -> Place:
    """The places of a text that our loader can read. Raises NoPlaceError for one that holds no document."""
    events = yaml.parse(text, Loader=yaml.CSafeLoader)
    for event in events:
        if isinstance(event, yaml.DocumentStartEvent):
            return _Reader(text, events).place(next(events), 0)
    raise NoPlaceError("the text is empty")


class _Reader:
    def __init__(self, text: str, events: Iterator[Any]) -> None:
        self.text, self.events = text, events

    def place(self, event: Any, depth: int) -> Place:
        if depth > MOST_DEPTH:
            raise NoPlaceError("the text is nested too deep")
        start, end = event.start_mark.index, event.end_mark.index
        if isinstance(event, yaml.AliasEvent):
            return Place("alias", start, end)
        if isinstance(event, yaml.ScalarEvent):
            return self._scalar(event, self._behind_anchor(event, start), end)
        is_map = isinstance(event, yaml.MappingStartEvent)
        place = Place("map" if is_map else "list", self._behind_anchor(event, start), end, event.flow_style)
        (self._read_map if is_map else self._read_list)(place, depth)
        return place

    def _behind_anchor(self, event: Any, start: int) -> int:
        if event.anchor is None:
            return start
        start += 1 + len(event.anchor)
        while start < len(self.text) and self.text[start].isspace():
            start += 1
        return start

    def _scalar(self, event: Any, start: int, end: int) -> Place:
        style = event.style or ""
        if style in {"|", ">"}:
            end = start + len(self.text[start:end].rstrip())
        return Place("scalar", min(start, end), end, style=style)

    def _read_map(self, place: Place, depth: int) -> None:
        for event in self.events:
            if isinstance(event, yaml.MappingEndEvent):
                break
            value = self.place(next(self.events), depth + 1)
            entry = Entry(event.value, event.start_mark.index, event.end_mark.index, value)
            place.entries.append(entry)
        self._close(place, event, place.entries[-1].value.end if place.entries else place.start)
        if place.entries and not place.is_flow:
            place.start = place.entries[0].start
            place.column = column_of(self.text, place.start)

    def _read_list(self, place: Place, depth: int) -> None:
        for event in self.events:
            if isinstance(event, yaml.SequenceEndEvent):
                break
            place.items.append(self.place(event, depth + 1))
        self._close(place, event, place.items[-1].end if place.items else place.start)
        if place.items and not place.is_flow:
            place.start = dash_before(self.text, place.items[0].start)
            place.column = column_of(self.text, place.start)

    def _close(self, place: Place, event: Any, last: int) -> None:
        """A flow collection ends behind its bracket, one in block style behind its last value."""
        place.end = event.end_mark.index if place.is_flow else last


def column_of(text: str, index: int) -> int:
    """How many characters stand before this one in its line."""
    return index - (text.rfind("\n", 0, index) + 1)


def dash_before(text: str, index: int) -> int:
    """Where the dash of the item stands whose value begins here."""
    return text.rfind("-", 0, index)


def line_end(text: str, index: int) -> int:
    """The end of the line, before its line break."""
    end = text.find("\n", index)
    end = len(text) if end < 0 else end
    return end - 1 if end > index and text[end - 1] == "\r" else end


def next_line(text: str, index: int) -> int:
    """The beginning of the next line, or the end of the text."""
    end = text.find("\n", index)
    return len(text) if end < 0 else end + 1


def find(root: Place, path: Keys) -> Place:
    """The value at a path. Raises NoPlaceError where the text has none of its own there."""
    place = root
    for depth, step in enumerate(path):
        found = place.child(step)
        if found is None:
            where = ".".join(map(str, path[: depth + 1]))
            raise NoPlaceError(f"there is no '{where}' in the text that could be changed here")
        place = found
    return place


def path_at(root: Place, index: int) -> Keys:
    """The path of the innermost value, or key, that stands at a character."""
    path: list[str | int] = []
    place = root
    while True:
        step = _step_at(place, index)
        if step is None:
            return tuple(path)
        path.append(step)
        following = place.child(step)
        if following is None:
            return tuple(path)
        place = following


def _step_at(place: Place, index: int) -> str | int | None:
    for entry in place.entries:
        if entry.start <= index < max(entry.value.end, entry.end + 1):
            return entry.key
    for number, item in enumerate(place.items):
        if item.start <= index < item.end:
            return number
    return None
