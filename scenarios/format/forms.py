"""Form errors: what pydantic found, said in our own words at the right place."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from scenarios.format.issues import Issue, issue_at, listed, suggestion
from scenarios.format.schema import FORMAT_VERSION, Form, schema_of, written_keys
from scenarios.format.source import Keys
from scenarios.format.variants import Draft

_TYPES = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "string_type": "a text",
    "bool_type": "true or false",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "a map",
    "model_type": "a map",
    "model_attributes_type": "a map",
    "none_required": "nothing",
}
_LIMITS = {
    "greater_than": "more than {gt}",
    "greater_than_equal": "at least {ge}",
    "less_than": "less than {lt}",
    "less_than_equal": "at most {le}",
    "string_too_short": "a text that is not empty",
    "string_too_long": "a text of at most {max_length} characters",
    "finite_number": "a finite number",
}
_SECTIONS = {"sites": "site", "fleets": "fleet", "nodes": "node", "variants": "variant"}


def form_issues(form: type[Form], data: Any, at: Keys, draft: Draft) -> list[Issue]:
    """Every form error of the data that stands at this path of a variant."""
    try:
        form.model_validate(data)
    except ValidationError as error:
        return issues_of(error.errors(include_url=False), data, at, draft)
    return []


def issues_of(
    errors: Iterable[ErrorDetails],
    data: Any,
    at: Keys,
    draft: Draft,
    keys_at: Callable[[Keys], Collection[str]] | None = None,
) -> list[Issue]:
    """Our issues for pydantic's errors; `keys_at` gives the valid keys inside `data` if it is of no form."""
    grouped: dict[tuple[Keys, str | int | None], list[ErrorDetails]] = {}
    for error in errors:
        inside, rest = _split(error["loc"], data)
        is_about_key = error["type"] in {"missing", "extra_forbidden"}
        grouped.setdefault((inside, rest if is_about_key else None), []).append(error)
    return [
        _issue(group, key, inside, _value(data, inside), at, draft, keys_at)
        for (inside, key), group in grouped.items()
    ]


def _split(location: Sequence[str | int], data: Any) -> tuple[Keys, str | int | None]:
    """The part of pydantic's location that exists in the data, and the first part that does not."""
    path: list[str | int] = []
    for part in location:
        if isinstance(part, str) and part.startswith("~"):
            continue
        is_key = isinstance(data, dict) and part in data
        if not is_key and not (isinstance(data, list) and isinstance(part, int) and part < len(data)):
            return tuple(path), part
        path.append(part)
        data = data[part]
    return tuple(path), None


def _value(data: Any, path: Keys) -> Any:
    for part in path:
        data = data[part]
    return data


def _issue(
    group: Sequence[ErrorDetails],
    key: str | int | None,
    inside: Keys,
    value: Any,
    at: Keys,
    draft: Draft,
    keys_at: Callable[[Keys], Collection[str]] | None,
) -> Issue:
    error = group[0]
    path = (*at, *inside)
    if error["type"] == "missing" and isinstance(key, str):
        where = draft.key_at(path)
        return issue_at(where, "E011", f"{thing(path, draft.data)} needs the key '{key}'", advice=_need(key))
    if error["type"] == "extra_forbidden":
        keys = keys_at(inside[:-1]) if keys_at else _known_keys(path)
        return unknown_key(path, keys, draft)
    if error["type"] in {"missing", "too_long", "too_short"}:
        return issue_at(
            draft.value_at(path), "E013", f"{_named(path, draft.data)}: expected exactly two values"
        )
    if error["type"] == "value_error":
        reason = str(error.get("ctx", {}).get("error", error["msg"]))
        return issue_at(draft.value_at(path), "E014", f"{_named(path, draft.data)}: {reason}")
    if error["type"] == "string_pattern_mismatch":
        return _bad_word(path, error, draft)
    return _wrong_value(group, value, path, draft)


def _known_keys(path: Keys) -> Collection[str]:
    form = schema_of(path[:-1])
    return written_keys(form) if form is not None else ()


def unknown_key(path: Keys, keys: Collection[str], draft: Draft) -> Issue:
    """A key that nobody knows, with the nearest one that somebody does."""
    name = str(path[-1])
    message = f"unknown key '{name}' in {thing(path[:-1], draft.data)}"
    help_ = f"keys here: {listed(keys, 40)}" if keys else ""
    return issue_at(draft.key_at(path), "E012", message, label=suggestion(name, keys), advice=help_)


def _bad_word(path: Keys, error: ErrorDetails, draft: Draft) -> Issue:
    is_name = error["loc"][-1] == "[key]"
    if is_name:
        message = f"the name '{path[-1]}' holds a character that a name cannot have"
        advice = "names are letters, digits, '-' and '_', and start with a letter or digit"
        return issue_at(draft.key_at(path), "E017", message, advice=advice)
    message = f"{_named(path, draft.data)}: expected two capital letters such as 'SG'"
    return issue_at(draft.value_at(path), "E017", message)


def _wrong_value(group: Sequence[ErrorDetails], value: Any, path: Keys, draft: Draft) -> Issue:
    choices = [_choices(error) for error in group if error["type"] == "literal_error"]
    named = [choice for each in choices for choice in each]
    if named == [str(FORMAT_VERSION)]:
        message = f"the version of the format is {FORMAT_VERSION}; found {described(value)}"
        return issue_at(draft.value_at(path), "E010", message, advice=f"write 'scenario: {FORMAT_VERSION}'")
    expected = list(dict.fromkeys(_expected(error) for error in group))
    code = "E015" if named else "E016" if any(error["type"] in _LIMITS for error in group) else "E013"
    message = f"{_named(path, draft.data)}: expected {' or '.join(expected)}; found {described(value)}"
    return issue_at(draft.value_at(path), code, message, label=suggestion(str(value), named))


def _choices(error: ErrorDetails) -> list[str]:
    text: str = error.get("ctx", {}).get("expected", "")
    return [part.strip("' ") for part in text.replace(" or ", ", ").split(", ")]


def _expected(error: ErrorDetails) -> str:
    kind = error["type"]
    if kind in _TYPES:
        return _TYPES[kind]
    if kind in _LIMITS:
        return _LIMITS[kind].format(**error.get("ctx", {}))
    if kind == "literal_error":
        return str(error["ctx"]["expected"])
    return error["msg"].removeprefix("Input should be ")


def described(value: Any) -> str:
    """A written value in words."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return f"the number {value}"
    if isinstance(value, str):
        return f"the text '{value if len(value) <= 40 else value[:37] + '...'}'"
    return "a list" if isinstance(value, list) else "a map"


def _named(path: Keys, data: Any) -> str:
    """A value by its key and the thing it belongs to."""
    keys = [part for part in path if isinstance(part, str)]
    if len(path) == 1:
        return f"'{path[0]}'"
    if path and isinstance(path[-1], int):
        return f"item {path[-1] + 1} of {_named(path[:-1], data)}" if len(path) > 2 else thing(path, data)
    if len(path) == 2 and path[0] in _SECTIONS:
        return thing(path, data)
    return f"'{keys[-1]}' of {thing(path[:-1], data)}" if keys else "the scenario"


def thing(path: Keys, data: Any) -> str:
    """What stands at a path, in words: `fleet 'smoke'`, `link 'gateway-broker'`, `'run'`."""
    match path:
        case ():
            return "the scenario"
        case (str(section), str(name)) if section in _SECTIONS:
            return f"{_SECTIONS[section]} '{name}'"
        case ("links" | "timeline" | "requirements" as section, int(index)):
            return _item(section, index, data)
        case (*outer, last) if isinstance(last, int):
            return f"item {last + 1} of {thing(tuple(outer), data)}"
        case (only,):
            return f"'{only}'"
        case (*outer, last):
            return f"'{last}' of {thing(tuple(outer), data)}"
    return "the scenario"


def _item(section: str, index: int, data: Any) -> str:
    items = data.get(section) if isinstance(data, Mapping) else None
    item = items[index] if isinstance(items, list) and index < len(items) else None
    written: Mapping[str, Any] = item if isinstance(item, dict) else {}
    if section == "links":
        ends = written.get("between")
        name = written.get("name") or ("-".join(map(str, ends)) if isinstance(ends, list) and ends else "")
        return f"link '{name}'" if name else f"link {index + 1}"
    if section == "timeline":
        return f"fault '{written['fault']}'" if "fault" in written else f"timeline entry {index + 1}"
    return f"requirement '{written['name']}'" if "name" in written else f"requirement {index + 1}"


_NEEDS = {
    "scenario": f"the first line is 'scenario: {FORMAT_VERSION}', the version of the format",
    "device": "name the type of the devices, such as 'device: smoke_detector'",
    "at": "a fleet needs its site; a timeline entry needs its time, such as 'at: 60 s'",
    "kind": "name the kind of the node, such as 'kind: gateway'",
    "between": "name both ends, such as 'between: [gateway, broker]'",
    "fault": "name the fault, such as 'fault: partition'",
    "expect": "write what must hold, such as 'expect: \"max(alarm -> gate_open) < 35 s\"'",
    "name": "give it a name that reads as a claim, such as 'name: gate opens in time'",
    "medium": "name the technology, such as 'medium: zigbee'",
}


def _need(key: str) -> str:
    return _NEEDS.get(key, "")
