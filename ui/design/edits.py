"""Changes of a scenario text in place: only the characters that must change do.

Each function returns the new text. It is read again and compared with what the change should have given; a
change that cannot be made without touching anything else is refused with one sentence.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from scenarios.format import source as yaml_source
from scenarios.format.issues import ScenarioError
from scenarios.format.schema import Scenario, written_keys
from scenarios.format.source import Keys
from twin.errors import InputError
from ui.design import writing
from ui.design.tree import (
    NoPlaceError,
    Place,
    column_of,
    dash_before,
    find,
    line_end,
    next_line,
    read_places,
)

SECTIONS: Final = written_keys(Scenario)
ELSEWHERE: Final = (
    "this cannot be changed here without rewriting other parts of the text; change it in the YAML"
)


class EditError(InputError):
    """A change that cannot be made in place; the message says why and what to do."""


def set_value(text: str, path: Keys, value: Any) -> str:
    """Put a value at a path; keys on the way that are not there are added."""
    return _checked(
        text, lambda root: _put(text, root, path, value), lambda data: _data_put(data, path, value)
    )


def remove(text: str, path: Keys) -> str:
    """Take a key or an item out of the text, with its value."""
    return _checked(text, lambda root: _without(text, root, path), lambda data: _data_without(data, path))


def append(text: str, path: Keys, value: Any) -> str:
    """Add an item behind the last one of a list, which is made if it is not there."""
    return _checked(
        text, lambda root: _appended(text, root, path, value), lambda data: _data_appended(data, path, value)
    )


def rename(text: str, path: Keys, name: str) -> str:
    """Give the key at a path another name; its place stays."""
    if name == path[-1]:
        return text

    def change(root: Place) -> str:
        entry = find(root, path[:-1]).entry(path[-1])
        if entry is None:
            raise NoPlaceError(f"there is no '{path[-1]}' in the text")
        if find(root, path[:-1]).entry(name) is not None:
            raise EditError(f"'{name}' is there already; choose another name")
        quote = text[entry.start] if text[entry.start] in "'\"" else ""
        return text[: entry.start] + writing.flow(name, quote) + text[entry.end :]

    return _checked(text, change, lambda data: _data_renamed(data, path, name))


def _checked(text: str, change: Callable[[Place], str], expected: Callable[[Any], Any]) -> str:
    try:
        before = yaml_source.parse(text).data
        changed = change(read_places(text))
        after = yaml_source.parse(changed).data
        wanted = expected(_copied(before))
    except NoPlaceError as error:
        raise EditError(str(error)) from error
    except ScenarioError as error:
        raise EditError(ELSEWHERE) from error
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise EditError("this part of the text is not a map or list of the usual form") from error
    if not _same(after, wanted):
        raise EditError(ELSEWHERE)
    return changed


def _copied(data: Any) -> Any:
    """A copy in which nothing is shared, so that a change behind an alias is seen as the two that it is."""
    if isinstance(data, dict):
        return {key: _copied(value) for key, value in data.items()}
    return [_copied(each) for each in data] if isinstance(data, list) else data


def _same(a: Any, b: Any) -> bool:
    """Equal in value, type and order of keys."""
    if isinstance(a, dict) and isinstance(b, dict):
        return list(a) == list(b) and all(_same(a[key], b[key]) for key in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(_same, a, b))
    return type(a) is type(b) and bool(a == b)


# what the data should be ------------------------------------------------------------------------------


def _data_put(data: Any, path: Keys, value: Any) -> Any:
    if not path:
        return value
    step, rest = path[0], path[1:]
    if data is None:
        data = {}
    if isinstance(data, dict) and step not in data:
        new = _nested(rest, value)
        return _inserted(data, str(step), new) if _is_root(data) else {**data, step: new}
    data[step] = _data_put(data[step], rest, value)
    return data


def _is_root(data: Mapping[str, Any]) -> bool:
    return "scenario" in data


def _inserted(data: Mapping[str, Any], key: str, value: Any) -> dict[str, Any]:
    """A new section comes behind the last one that stands before it in the format."""
    behind = _section_before(list(data), key)
    result: dict[str, Any] = {}
    for each, its in data.items():
        result[each] = its
        if each == behind:
            result[key] = value
    return result if key in result else {**result, key: value}


def _section_before(present: list[str], key: str) -> str:
    """The section behind which a new one is written."""
    if key not in SECTIONS:
        return present[-1]
    earlier = SECTIONS[: SECTIONS.index(key)]
    return next((each for each in reversed(earlier) if each in present), present[-1])


def _nested(path: Keys, value: Any) -> Any:
    for step in reversed(path):
        value = {step: value}
    return value


def _data_without(data: Any, path: Keys) -> Any:
    inner = data
    for step in path[:-1]:
        inner = inner[step]
    del inner[path[-1]]
    return data


def _data_appended(data: Any, path: Keys, value: Any) -> Any:
    inner = data
    for step in path:
        inner = inner.get(step) if isinstance(inner, dict) else inner[step]
        if inner is None:
            return _data_put(data, path, [value])
    inner.append(value)
    return data


def _data_renamed(data: Any, path: Keys, name: str) -> Any:
    inner = data
    for step in path[:-1]:
        inner = inner[step]
    items = [(name if key == path[-1] else key, value) for key, value in inner.items()]
    inner.clear()
    inner.update(items)
    return data


# putting ----------------------------------------------------------------------------------------------


def _put(text: str, root: Place, path: Keys, value: Any) -> str:
    place = root
    for depth, step in enumerate(path):
        inner = place.child(step)
        if inner is None:
            return _added(text, place, step, _nested(path[depth + 1 :], value), path[:depth], root)
        place = inner
    return _replaced(text, place, value, _is_in_flow(root, path))


def _is_in_flow(root: Place, path: Keys) -> bool:
    place = root
    for step in path:
        if place.is_flow:
            return True
        place = place.child(step) or place
    return False


def _replaced(text: str, place: Place, value: Any, is_inside: bool) -> str:
    new = None
    if place.style in {"|", ">"} and isinstance(value, str):
        header = text[place.start : line_end(text, place.start)]
        lines = text[place.start : place.end].split("\n")[1:]
        indent = min((len(line) - len(line.lstrip()) for line in lines if line.strip()), default=2)
        new = writing.folded(value, place.style, header, indent)
    if new is None:
        new = writing.flow(value, place.style, is_inside=is_inside)
    space = " " if place.start > 0 and text[place.start - 1] == ":" and new else ""
    return text[: place.start] + space + new + text[place.end :]


def _added(text: str, place: Place, key: str | int, value: Any, at: Keys, root: Place) -> str:
    """A new key behind the last one of a map, or behind the section that comes before it."""
    if place.shape == "scalar" and not text[place.start : place.end].strip(" ~nul"):
        new = {str(key): value}
        return _replaced(text, place, new, _is_in_flow(root, at))
    if place.shape != "map" or not isinstance(key, str):
        raise NoPlaceError(f"'{'.'.join(map(str, at))}' is no map that could take '{key}'")
    if not place.entries:
        return text[: place.start] + writing.flow({key: value}) + text[place.end :]
    if place.is_flow:
        end = place.entries[-1].value.end
        return f"{text[:end]}, {writing.flow(key)}: {writing.flow(value)}{text[end:]}"
    if not at:
        return _with_section(text, place, key, value)
    last = place.entries[-1].value
    return _with_line(text, last.end, " " * place.column + _entry_text(key, value, place, text))


def _entry_text(key: str, value: Any, place: Place, text: str) -> str:
    """An entry as its neighbours are written: a map in one line, or over several."""
    shown = writing.flow(key, is_inside=False)
    neighbours = [entry.value for entry in place.entries if entry.value.shape == "map"]
    is_block = bool(neighbours) and not neighbours[-1].is_flow
    if is_block and isinstance(value, Mapping) and value:
        step = max(2, neighbours[-1].column - place.column)
        pad = " " * (place.column + step)
        return f"{shown}:{_break(text)}{pad}" + writing.block(value, place.column + step).replace(
            "\n", _break(text)
        )
    return f"{shown}: {writing.flow(value, is_inside=False)}"


def _with_section(text: str, root: Place, key: str, value: Any) -> str:
    present = [entry.key for entry in root.entries]
    behind = root.entry(_section_before(present, key))
    end = behind.value.end if behind else root.end
    pad = " " * root.column
    if isinstance(value, list) and value:
        lines = [f"{pad}{key}:", *(f"{pad}  - {writing.flow(item)}" for item in value)]
    elif isinstance(value, Mapping) and value:
        entries = (
            f"{pad}  {writing.flow(k, is_inside=False)}: {writing.flow(v, is_inside=False)}"
            for k, v in value.items()
        )
        lines = [f"{pad}{key}:", *entries]
    else:
        lines = [f"{pad}{key}: {writing.flow(value, is_inside=False)}"]
    is_spaced = isinstance(value, list | Mapping) and key in SECTIONS
    return _with_line(text, end, _break(text).join(["", *lines] if is_spaced else lines))


def _with_line(text: str, index: int, line: str) -> str:
    """The text with a new line behind the one in which this character stands."""
    at = line_end(text, index)
    return text[:at] + _break(text) + line + text[at:]


def _break(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"


# adding items -----------------------------------------------------------------------------------------


def _appended(text: str, root: Place, path: Keys, value: Any) -> str:
    try:
        place = find(root, path)
    except NoPlaceError:
        return _put(text, root, path, [value])
    if place.shape == "scalar" and not text[place.start : place.end].strip(" ~nul"):
        pad = " " * (2 * len(path))
        item = f"{_break(text)}{pad}- {writing.flow(value)}"
        if _is_in_flow(root, path):
            return _replaced(text, place, [value], is_inside=True)
        return text[: place.start].rstrip(" ") + item + text[place.end :]
    if place.shape != "list":
        raise NoPlaceError(f"'{'.'.join(map(str, path))}' is no list")
    if not place.items:
        return text[: place.start] + writing.flow([value]) + text[place.end :]
    last = place.items[-1]
    if place.is_flow:
        return f"{text[: last.end]}, {writing.flow(value)}{text[last.end :]}"
    pad = " " * place.column
    if last.shape == "map" and not last.is_flow and isinstance(value, Mapping):
        gap = max(2, last.column - place.column)
        shown = writing.block(value, place.column + gap).replace("\n", _break(text))
        return _with_line(text, last.end, f"{pad}-{' ' * (gap - 1)}{shown}")
    return _with_line(text, last.end, f"{pad}- {writing.flow(value)}")


# removing ---------------------------------------------------------------------------------------------


def _without(text: str, root: Place, path: Keys) -> str:
    parent = find(root, path[:-1])
    step = path[-1]
    if parent.shape == "map":
        spans = [(entry.start, max(entry.end, entry.value.end)) for entry in parent.entries]
        index = next((i for i, entry in enumerate(parent.entries) if entry.key == step), None)
    else:
        spans = [(item.start, item.end) for item in parent.items]
        index = step if isinstance(step, int) and step < len(spans) else None
    if index is None:
        raise NoPlaceError(f"there is no '{step}' in the text")
    if parent.is_flow:
        return _without_in_flow(text, spans, index)
    if len(spans) == 1:
        return _emptied(text, parent, path)
    start, end = spans[index]
    if parent.shape == "list":
        start = dash_before(text, start)
    return _without_lines(text, start, end, spans, index)


def _emptied(text: str, parent: Place, path: Keys) -> str:
    """The last entry of a map or list in block style: what stays is an empty one."""
    if len(path) == 1:
        raise NoPlaceError("a scenario cannot be empty")
    empty = "{}" if parent.shape == "map" else "[]"
    before = text[: parent.start].rstrip(" \r\n")
    if before.endswith((":", "-")):
        return f"{before} {empty}{text[parent.end :]}"
    return text[: parent.start] + empty + text[parent.end :]


def _without_lines(text: str, start: int, end: int, spans: list[tuple[int, int]], index: int) -> str:
    line = start - column_of(text, start)
    if text[line:start].strip():  # it stands behind a dash: what comes next takes its place
        following = spans[index + 1][0]
        gap = text[end:following]
        return text[:start] + (gap.lstrip(" ") if "#" in gap else "") + text[following:]
    return text[:line] + text[next_line(text, end) :]


def _without_in_flow(text: str, spans: list[tuple[int, int]], index: int) -> str:
    start, end = spans[index]
    if index + 1 < len(spans):
        following = spans[index + 1][0]
        if "#" in text[end:following]:
            raise NoPlaceError("a comment stands in the way; take it out in the YAML")
        return text[:start] + text[following:]
    if index > 0:
        return text[: spans[index - 1][1]] + text[end:]
    return text[:start] + text[end:]
