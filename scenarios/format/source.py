"""Scenario text: a YAML 1.2 subset, read into plain data with the place of every key and value.

Built from libyaml's events and not from its node tree, because the tree is made by recursion in C, which
deeply nested text drives into a crash. Depth, size and the expansion of aliases are bounded; duplicate
keys, tags, merge keys and several documents are refused.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import yaml

from scenarios.format.issues import Issue, Related, ScenarioError, Span, issue_at, listed, nearest, suggestion
from twin.errors import InputError

LARGEST_FILE_BYTES = 5_000_000
DEEPEST_NESTING = 40
MOST_ALIASED_VALUES = 10_000
MOST_VALUES = 1_000_000

Keys: TypeAlias = tuple[str | int, ...]

_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_TRUE = frozenset({"true", "True", "TRUE"})
_FALSE = frozenset({"false", "False", "FALSE"})
_INTEGER = re.compile(r"[-+]?[0-9]{1,18}")
_OTHER_BASE = re.compile(r"0x[0-9a-fA-F]{1,15}|0o[0-7]{1,20}")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
NUMBER = re.compile(rf"(?:{_INTEGER.pattern}|{_OTHER_BASE.pattern}|{_FLOAT.pattern})\Z")
"""A plain scalar that may be read as a number."""


@dataclass(slots=True)
class Source:
    """A scenario text: its plain data, and where each key and value stands."""

    name: str
    text: str
    data: Any = None
    values: dict[Keys, Span] = field(default_factory=dict)
    keys: dict[Keys, Span] = field(default_factory=dict)

    def value_at(self, path: Keys) -> Span:
        """The place of a value, or of the nearest one around it."""
        while path not in self.values and path:
            path = path[:-1]
        return self.values.get(path, Span(1, 1))

    def key_at(self, path: Keys) -> Span:
        """The place of the key that holds the value, or of the value if it has none."""
        return self.keys.get(path) or self.value_at(path)


def read(path: Path, name: str = "") -> Source:
    """Read a file. Raises ScenarioError if it cannot be read, is too large, or is no YAML in UTF-8.

    `name` is what messages call it (default: the file's name without its folder).
    """
    name = name or path.name
    try:
        size = path.stat().st_size
        raw = path.read_bytes() if size <= LARGEST_FILE_BYTES else b""
    except OSError as error:
        raise _refusal(name, "E001", f"{name} cannot be read: {error.strerror}", _nearby(path)) from error
    except ValueError as error:
        raise _refusal(repr(name), "E001", "the file's name holds a zero byte") from error
    if size > LARGEST_FILE_BYTES:
        limit = LARGEST_FILE_BYTES // 1_000_000
        advice = "use `count` and `matrix` instead of writing out every device and case"
        raise _refusal(name, "E002", f"the file has {size / 1e6:.1f} MB; the limit is {limit} MB", advice)
    try:
        return parse(raw.decode("utf-8-sig"), name)
    except UnicodeDecodeError as error:
        raise _not_text(name, raw, error.start) from error


def _nearby(path: Path) -> str:
    """The file that was meant, if one like it stands in the same folder; else where scenarios come from."""
    folder = path if path.is_dir() else path.parent
    try:
        found = [each.name for each in folder.glob("*.scenario.yaml")]
    except OSError:
        found = []
    if path.is_dir():
        return f"name a file in it: {listed(found)}" if found else "no *.scenario.yaml stands in it"
    wanted = path.name if "." in path.name else f"{path.name}.scenario.yaml"
    near = suggestion(wanted, found)
    return near or "`windtunnel new my_site` makes one to start from"


def _refusal(name: str, code: str, message: str, advice: str = "") -> ScenarioError:
    return ScenarioError([issue_at(Span(1, 1), code, message, advice=advice)], name=name)


def _not_text(name: str, raw: bytes, position: int) -> ScenarioError:
    before = raw[:position]
    line = before.count(b"\n") + 1
    column = len(before[before.rfind(b"\n") + 1 :].decode("utf-8", "replace")) + 1
    message = f"byte {position} (0x{raw[position]:02x}) is not UTF-8"
    issue = issue_at(Span(line, column), "E003", message, advice="save the file with the encoding UTF-8")
    return ScenarioError([issue], name=name, text=raw.decode("utf-8", "replace"))


def parse(text: str, name: str = "scenario") -> Source:
    """Read a text. Raises ScenarioError for what is not in the subset."""
    source = Source(name, text)
    builder = _Builder(source)
    try:
        source.data = builder.document()
    except yaml.reader.ReaderError as error:
        raise ScenarioError([_control_character(text, error)], name=name, text=text) from error
    except yaml.MarkedYAMLError as error:
        raise ScenarioError([_syntax_issue(text, error)], name=name, text=text) from error
    except UnicodeEncodeError as error:
        raise _refusal(name, "E003", f"character {error.start} is half of a surrogate pair") from error
    if builder.issues:
        raise ScenarioError(builder.issues, name=name, text=text)
    return source


class _StopError(InputError):
    """The text must not be read any further."""


class _Builder:
    """Builds plain data from the events of one text."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.issues: list[Issue] = []
        self._events: Iterator[Any] = yaml.parse(source.text, Loader=yaml.CSafeLoader)
        self._anchors: dict[str, tuple[Any, int]] = {}
        self._count = 0
        self._aliased = 0

    def document(self) -> Any:
        """The data of the only document."""
        try:
            return self._read_document()
        except _StopError:
            return None

    def _read_document(self) -> Any:
        data = None
        is_seen = False
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                if is_seen:
                    self._stop(event, "E008", "a second document starts here; a scenario is one document")
                is_seen = True
                data = self._value(next(self._events), (), 0)
        return data

    def _value(self, event: Any, path: Keys, depth: int) -> Any:
        self._count += 1
        if depth > DEEPEST_NESTING or self._count > MOST_VALUES:
            what = f"nested deeper than {DEEPEST_NESTING} levels" if depth > DEEPEST_NESTING else "too long"
            self._stop(event, "E007", f"the scenario is {what}")
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, path)
        if event.tag is not None and not (event.tag == "!" and isinstance(event, yaml.ScalarEvent)):
            self._report(event, "E008", f"the tag '{event.tag}' is not understood", "remove it")
        before = self._count
        self.source.values[path] = _span(event)
        if isinstance(event, yaml.ScalarEvent):
            value: Any = _scalar(event)
        elif isinstance(event, yaml.SequenceStartEvent):
            value = self._sequence(path, depth)
        else:
            value = self._mapping(path, depth)
        if event.anchor is not None:
            self._anchors[event.anchor] = (value, self._count - before + 1)
        return value

    def _alias(self, event: Any, path: Keys) -> Any:
        self.source.values[path] = _span(event)
        if event.anchor not in self._anchors:
            near = nearest(event.anchor, self._anchors)
            advice = (
                f"did you mean '*{near}'?" if near else "an anchor stands before its aliases: key: &name ..."
            )
            self._report(event, "E004", f"no anchor '&{event.anchor}' stands before this alias", advice)
            return None
        value, size = self._anchors[event.anchor]
        self._aliased += size
        self._count += size
        if self._aliased > MOST_ALIASED_VALUES:
            limit = f"{MOST_ALIASED_VALUES:,}"
            self._stop(event, "E007", f"the aliases of this file stand for more than {limit} values")
        return value

    def _sequence(self, path: Keys, depth: int) -> list[Any]:
        items: list[Any] = []
        for event in self._events:
            if isinstance(event, yaml.SequenceEndEvent):
                break
            items.append(self._value(event, (*path, len(items)), depth + 1))
        return items

    def _mapping(self, path: Keys, depth: int) -> dict[str, Any]:
        items: dict[str, Any] = {}
        for event in self._events:
            if isinstance(event, yaml.MappingEndEvent):
                break
            key = self._key(event)
            here = (*path, key)
            if key in items:
                self._duplicate(event, key, self.source.keys[here])
            else:
                self.source.keys[here] = _span(event)
            items[key] = self._value(next(self._events), here, depth + 1)
        return items

    def _key(self, event: Any) -> str:
        if not isinstance(event, yaml.ScalarEvent):
            self._stop(event, "E008", "a key must be a plain word", "put a name before the ':'")
        key: str = event.value
        if key == "<<" and event.implicit[0]:
            advice = "write the keys out, or use `variants` for what differs"
            self._report(event, "E008", "merge keys ('<<') belong to YAML 1.1 and are not understood", advice)
        return key

    def _duplicate(self, event: Any, key: str, first: Span) -> None:
        message = f"the key '{key}' stands twice in the same map (lines {first.line} and {_span(event).line})"
        advice = "keep one of the two; YAML would silently take the last"
        issue = issue_at(_span(event), "E006", message, advice=advice, related=[Related(first, "first here")])
        self.issues.append(issue)

    def _report(self, event: Any, code: str, message: str, advice: str = "") -> None:
        self.issues.append(issue_at(_span(event), code, message, advice=advice))

    def _stop(self, event: Any, code: str, message: str, advice: str = "") -> None:
        self._report(event, code, message, advice)
        raise _StopError(message)


def _span(event: Any) -> Span:
    """Where an event stands; one that goes on over lines is marked on its first character only."""
    start, end = event.start_mark, event.end_mark
    length = end.column - start.column if end.line == start.line else 1
    return Span(start.line + 1, start.column + 1, max(1, length))


def _scalar(event: Any) -> Any:
    """A scalar by the core schema of YAML 1.2: `NO`, `on` and `12:30` are texts."""
    text: str = event.value
    if not event.implicit[0] or event.style in {"'", '"', "|", ">"}:
        return text
    if text in _NULL:
        return None
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    if _INTEGER.fullmatch(text):
        return int(text)
    if _OTHER_BASE.fullmatch(text):
        return int(text, 0)
    number = float(text) if _FLOAT.fullmatch(text) else math.nan
    return number if math.isfinite(number) else text


_ADVICE = (
    ("mapping values are not allowed", "a ':' cannot stand here",
     "put the text in quotes, or check the indentation of this line and the line before"),
    ("did not find expected key", "this line does not fit the lines around it",
     "lines of one map start in the same column"),
    ("did not find expected '-'", "a list goes on here, so a '- ' is expected",
     "items of one list start in the same column"),
    ("expected ',' or ']'", "the list that starts with '[' is not closed", "add ',' or ']'"),
    ("expected ',' or '}'", "the map that starts with '{' is not closed", "add ',' or '}'"),
    ("unexpected end of stream", "a quoted text is not closed", "add the missing quote"),
    ("could not find expected ':'", "a key needs a ':' behind it", "write 'key: value'"),
    ("unknown escape character", "this escape is not known in a text in double quotes",
     "use single quotes: backslashes stay as they are there"),
    ("cannot start any token", "a value cannot start with this character", "put the text in quotes"),
)  # fmt: skip
"""Words of libyaml's messages, and what we say instead."""


def _syntax_issue(text: str, error: yaml.MarkedYAMLError) -> Issue:
    mark = error.problem_mark or error.context_mark
    lines = text.splitlines() or [""]
    line, column = (mark.line, mark.column) if mark else (0, 0)
    line = min(line, len(lines) - 1)
    column = min(column, len(lines[line]))
    place = Span(line + 1, column + 1)
    indent = lines[line][: len(lines[line]) - len(lines[line].lstrip())]
    if "\t" in indent:
        tab = Span(line + 1, indent.index("\t") + 1)
        return issue_at(tab, "E005", "a tab cannot indent YAML", advice="use two spaces for each level")
    problem = error.problem or ""
    for words, message, advice in _ADVICE:
        if words in problem:
            opening = _opening(error)
            if "quoted" in (error.context or "") and opening is not None and "end of" in problem:
                return issue_at(opening, "E004", message, advice=advice)
            related = [] if opening is None else [Related(opening, "opened here")]
            return issue_at(place, "E004", message, advice=advice, related=related)
    return issue_at(place, "E004", f"this cannot be read as YAML ({problem or 'unknown problem'})")


def _opening(error: yaml.MarkedYAMLError) -> Span | None:
    """Where the bracket or quote that is not closed was opened."""
    mark = error.context_mark
    is_opened = any(word in (error.context or "") for word in ("flow", "quoted"))
    return Span(mark.line + 1, mark.column + 1) if mark is not None and is_opened else None


def _control_character(text: str, error: yaml.reader.ReaderError) -> Issue:
    before = text[: error.position]
    span = Span(before.count("\n") + 1, len(before) - before.rfind("\n"))
    return issue_at(span, "E004", f"the control character {error.character!r} cannot stand in YAML")
