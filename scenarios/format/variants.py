"""Variants: overrides merged into the base scenario, multiplied by the matrix, printed in full.

Maps merge deep, lists replace, null removes. A dotted key addresses one value; an item of a list is
addressed by its `name` or its index. A key must exist, or be one that the format knows with a default.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice, product
from typing import Any, NamedTuple

import yaml

from scenarios.format.issues import Issue, Span, issue_at, listed, suggestion
from scenarios.format.schema import OpenForm, Scenario, VariantForm, schema_of, written_keys
from scenarios.format.source import NUMBER, Keys, Source

BASE = "base"
MOST_VARIANTS = 200
RESERVED = frozenset(written_keys(VariantForm))
MULTIPLIERS = frozenset({"variants", "matrix", "sensitivity"})
LISTED = frozenset({"matrix", "sensitivity"})
"""Sections whose overrides are lists of values."""


class Override(NamedTuple):
    """One override: the path it addresses, its value, and where it is written."""

    path: tuple[str, ...]
    value: Any
    origin: Keys


@dataclass(slots=True)
class Draft:
    """A variant before it is checked: plain data, and where overridden parts of it are written."""

    name: str
    family: str
    """The variant's name without the values of the matrix."""
    data: dict[str, Any]
    source: Source
    origins: dict[Keys, Keys] = field(default_factory=dict)

    def value_at(self, path: Keys) -> Span:
        """The place of a value of this variant in the source."""
        return self.source.value_at(self._origin(path))

    def key_at(self, path: Keys) -> Span:
        """The place of a key of this variant in the source."""
        return self.source.key_at(self._origin(path))

    def _origin(self, path: Keys) -> Keys:
        for length in range(len(path), 0, -1):
            found = self.origins.get(path[:length])
            if found is not None:
                return (*found, *path[length:])
        return path


def expand(source: Source) -> tuple[list[Draft], list[Issue]]:
    """Every variant of a scenario: the base alone if it names none. At most 200."""
    base = {key: value for key, value in source.data.items() if key not in MULTIPLIERS}
    drafts: list[Draft] = []
    issues = [*_name_issues(source), *_repetitions(source)]
    cases = list(islice(_cases(source), MOST_VARIANTS + 1))
    if len(cases) > MOST_VARIANTS:
        advice = "run fewer values, or split the file"
        message = f"variants and matrix make more than {MOST_VARIANTS} variants"
        issues.append(issue_at(source.key_at(("matrix",)), "E043", message, advice=advice))
    for name, family, overrides in cases[:MOST_VARIANTS]:
        draft = Draft(name, family, base, source)
        for override in overrides:
            _apply(draft, override, issues)
        drafts.append(draft)
    return drafts, list(dict.fromkeys(issues))


def _name_issues(source: Source) -> Iterator[Issue]:
    """Variants without a name, and matrix values whose variants would go by the same name."""
    for variant in source.data.get("variants") or ():
        if not variant.strip():
            advice = "results are found by the variant's name"
            yield issue_at(
                source.key_at(("variants", variant)), "E043", "a variant needs a name", advice=advice
            )
    for key, values in (source.data.get("matrix") or {}).items():
        words = [_word(value) for value in values]
        for index, word in enumerate(words):
            if word in words[:index]:
                message = f"two values of the matrix key '{key}' make variants of one name, '{key}={word}'"
                place = source.value_at(("matrix", key, index))
                yield issue_at(place, "E043", message, advice="leave one of them out")


def _repetitions(source: Source) -> Iterator[Issue]:
    """Keys that a variant overrides twice, once dotted and once nested."""
    for variant, written in (source.data.get("variants") or {}).items():
        seen: set[tuple[str, ...]] = set()
        for override in _overrides(variant, written or {}):
            for path, origin in _leaves(override.path, override.value, override.origin):
                if path in seen:
                    message = f"the variant '{variant}' overrides '{_dotted(path)}' twice"
                    yield issue_at(source.key_at(origin), "E042", message, advice="keep one of the two")
                seen.add(path)


def _leaves(path: tuple[str, ...], value: Any, origin: Keys) -> Iterator[tuple[tuple[str, ...], Keys]]:
    """The path of every single value of an override, and where it is written."""
    if not isinstance(value, dict) or not value:
        yield path, origin
        return
    for key, inner in value.items():
        yield from _leaves((*path, key), inner, (*origin, key))


def swings(source: Source) -> tuple[list[tuple[str, Draft, Draft]], list[Issue]]:
    """For each input of `sensitivity`: the first variant with its low and with its high value."""
    base = {key: value for key, value in source.data.items() if key not in MULTIPLIERS}
    first, _, own = next(_cases(source))
    issues: list[Issue] = []
    found: list[tuple[str, Draft, Draft]] = []
    for key, values in (source.data.get("sensitivity") or {}).items():
        ends = []
        for number, value in enumerate(values):
            draft = Draft(f"{first} {key}={_word(value)}", first, base, source)
            for override in (*own, Override(tuple(key.split(".")), value, ("sensitivity", key, number))):
                _apply(draft, override, issues)
            ends.append(draft)
        found.append((key, ends[0], ends[1]))
    return found, list(dict.fromkeys(issues))


def _cases(source: Source) -> Iterator[tuple[str, str, list[Override]]]:
    variants: Mapping[str, Any] = source.data.get("variants") or {BASE: {}}
    matrix: Mapping[str, list[Any]] = source.data.get("matrix") or {}
    for variant, written in variants.items():
        own = _overrides(variant, written or {})
        for indices in product(*(range(len(values)) for values in matrix.values())):
            chosen = list(zip(matrix, indices))
            extra = [Override(tuple(k.split(".")), matrix[k][i], ("matrix", k, i)) for k, i in chosen]
            suffix = "".join(f" {key}={_word(matrix[key][i])}" for key, i in chosen)
            yield variant + suffix, variant, own + extra


def _overrides(variant: str, written: Mapping[str, Any]) -> list[Override]:
    return [
        Override(tuple(key.split(".")), value, ("variants", variant, key))
        for key, value in written.items()
        if key not in RESERVED and not key.startswith("x-")
    ]


def _word(value: Any) -> str:
    return value if isinstance(value, str) else yaml.safe_dump(value, default_flow_style=True).split("\n")[0]


def override(draft: Draft, key: str, value: Any, issues: list[Issue]) -> None:
    """Override one value of a draft by its dotted key; append what is wrong with the key."""
    _apply(draft, Override(tuple(key.split(".")), value, ("set", "", key)), issues)


class _NoSuchKeyError(Exception):
    """An override addresses nothing."""

    def __init__(self, message: str, label: str, help_: str) -> None:
        super().__init__(message)
        self.label = label
        self.help = help_


def _apply(draft: Draft, override: Override, issues: list[Issue]) -> None:
    try:
        draft.data = _changed(draft, draft.data, (), override)
    except _NoSuchKeyError as error:
        is_listed = override.origin[0] in LISTED
        place = draft.source.key_at(override.origin[:2] if is_listed else override.origin)
        issues.append(issue_at(place, "E042", str(error), label=error.label, advice=error.help))


def _changed(draft: Draft, data: Any, at: Keys, override: Override) -> Any:
    """A copy of `data` with the value at the override's path changed; what is not changed is shared."""
    step, *rest = override.path
    if isinstance(data, list):
        return _changed_item(draft, data, at, override)
    if data is None:
        data = {}
    if not isinstance(data, dict):
        raise _NoSuchKeyError(f"'{_dotted(at)}' is a single value and has no key '{step}'", "", "")
    _require_known(data, at, step, override)
    here = (*at, step)
    if rest:
        inner = _changed(draft, data.get(step), here, override._replace(path=tuple(rest)))
        return {**data, step: inner}
    if override.value is None:
        return {key: value for key, value in data.items() if key != step}
    return {**data, step: _merged(draft, data.get(step), here, override)}


def _changed_item(draft: Draft, data: list[Any], at: Keys, override: Override) -> list[Any]:
    step, *rest = override.path
    index = _index(data, step)
    if index is None:
        names = [str(item["name"]) for item in data if isinstance(item, dict) and "name" in item]
        help_ = (
            f"an item of a list is addressed by its name, or its index from 0; names here: {listed(names)}"
        )
        raise _NoSuchKeyError(f"'{_dotted(at)}' has no item '{step}'", suggestion(step, names), help_)
    here = (*at, index)
    if rest:
        changed = [_changed(draft, data[index], here, override._replace(path=tuple(rest)))]
    elif override.value is None:
        changed = []
        for later in range(index + 1, len(data)):
            draft.origins[(*at, later - 1)] = draft.origins.get((*at, later), (*at, later))
    else:
        changed = [_merged(draft, data[index], here, override)]
    return [*data[:index], *changed, *data[index + 1 :]]


def _index(data: list[Any], step: str) -> int | None:
    named = [i for i, item in enumerate(data) if isinstance(item, dict) and item.get("name") == step]
    if named:
        return named[0]
    return int(step) if step.isascii() and step.isdigit() and int(step) < len(data) else None


def _merged(draft: Draft, old: Any, at: Keys, override: Override) -> Any:
    """The override's value merged into the old one."""
    if not isinstance(override.value, dict) or not isinstance(old, dict):
        draft.origins[at] = override.origin
        return override.value
    merged = old
    for key, value in override.value.items():
        if not key.startswith("x-"):
            merged = _changed(draft, merged, at, Override((key,), value, (*override.origin, key)))
    return merged


def _require_known(data: Mapping[str, Any], at: Keys, step: str, override: Override) -> None:
    """Refuse a key that neither stands in the scenario nor is known with a default."""
    form = schema_of(at)
    is_option = at[:1] == ("world",) or (form is None and schema_of(at[:2]) is not None and len(at) > 2)
    if step in data or is_option or (form is not None and issubclass(form, OpenForm)):
        return
    known = set(data) | (set(written_keys(form)) if form is not None else set()) - MULTIPLIERS
    if step in known:
        return
    where = f"'{_dotted(at)}' has" if at else "the scenario has"
    section = override.origin[0]
    what = (
        f"{section} key '{override.origin[1]}'"
        if section in LISTED
        else f"override '{_dotted(override.origin[2:])}'"
    )
    message = f"the {what} changes nothing: {where} no key '{step}'"
    raise _NoSuchKeyError(message, suggestion(step, known), f"keys here: {listed(known)}")


def _dotted(path: Keys) -> str:
    return ".".join(map(str, path))


# printing ---------------------------------------------------------------------------------------------


class Resolved(NamedTuple):
    """A variant written out in full, in the order of the format, and the SHA-256 of that text."""

    text: str
    sha256: str


class _Dumper(yaml.SafeDumper):
    """Quotes also the texts that are numbers in YAML 1.2 only, such as 1e3 and 0o17."""


_Dumper.add_implicit_resolver("tag:yaml.org,2002:float", NUMBER, list("-+.0123456789"))


def resolve(data: Mapping[str, Any]) -> Resolved:
    """Print a variant's data as YAML. Equal data gives equal text, however the file was laid out."""
    body = yaml.dump(
        _in_order(data, ()),
        Dumper=_Dumper,
        sort_keys=False,
        allow_unicode=True,
        default_flow_style=False,
        width=100,
    )
    return Resolved(body, hashlib.sha256(body.encode()).hexdigest())


def _in_order(value: Any, path: Keys) -> Any:
    """The value with the keys of known maps in the order of the format, other keys after them, sorted."""
    if isinstance(value, list):
        return [_in_order(item, (*path, i)) for i, item in enumerate(value)]
    if not isinstance(value, dict):
        return value
    form = Scenario if not path else schema_of(path)
    if form is None:
        return {key: _in_order(item, (*path, key)) for key, item in value.items()}
    known = [key for key in written_keys(form) if key in value]
    ordered = known + sorted(set(value) - set(known))
    return {key: _in_order(value[key], (*path, key)) for key in ordered if not key.startswith("x-")}
