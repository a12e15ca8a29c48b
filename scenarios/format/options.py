"""Options of device types, node kinds and worlds: a pydantic model made from a data class's init fields.

A key is written as the attribute without its unit suffix: `every_s` is written `every: 60 s`. Nested data
classes become nested maps; a field that is a data class or a plain value takes either.
"""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Collection, Mapping, Sequence
from functools import cache
from typing import Annotated, Any, ClassVar, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationError, create_model
from pydantic_core import ErrorDetails, PydanticUndefined

from scenarios.format.schema import FORM, PLAIN, shape_of
from twin.errors import InputError
from twin.units import Quantity

UNIT_SUFFIXES = ("_bytes", "_bps", "_per_s", "_ratio", "_s")
"""Cut off every attribute's name; the suffixes below only where the annotation is such a quantity."""
QUANTITY_SUFFIXES = {"distance": "_m", "messages": "_count", "celsius": "_c", "kelvin": "_k", "power": "_w"}


@dataclasses.dataclass(frozen=True, slots=True)
class Options:
    """The options of one data class, ready to check what was written."""

    model: type[BaseModel]
    attributes: Mapping[str, str]
    """Attribute by written key."""

    @property
    def keys(self) -> Collection[str]:
        """The keys that may be written."""
        return self.attributes.keys()

    def keys_at(self, path: tuple[str | int, ...]) -> Collection[str]:
        """The keys that may be written at a path inside the options."""
        found: Any = self.model
        is_map = False
        for part in path:
            fields = found.model_fields.items() if _is_model(found) else ()
            field = next((field for name, field in fields if (field.alias or name) == part), None)
            is_among = field is None and (isinstance(part, int) or is_map)
            found = _model_in(found if is_among else field.annotation if field is not None else None)
            is_map = field is not None and get_origin(field.annotation) is dict
        return [field.alias or name for name, field in found.model_fields.items()] if _is_model(found) else ()

    def read(self, written: Mapping[str, Any]) -> tuple[dict[str, Any], list[ErrorDetails]]:
        """Keyword arguments for the data class, in SI units, of the keys that were written; or errors."""
        try:
            found = self.model.model_validate(dict(written))
        except ValidationError as error:
            return {}, error.errors(include_url=False)
        try:
            return _fields(found, ()), []
        except _BadPartError as error:
            details = ErrorDetails(type="value_error", loc=error.place, msg=str(error.cause), input=written)
            return {}, [{**details, "ctx": {"error": error.cause}}]


class _BadPartError(Exception):
    """A data class that does not take its values, and where it stands in the options."""

    def __init__(self, place: tuple[str | int, ...], cause: Exception) -> None:
        super().__init__(str(cause))
        self.place, self.cause = place, cause


class _OptionModel(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, arbitrary_types_allowed=True)
    built_from: ClassVar[type]


def _is_model(hint: Any) -> bool:
    return isinstance(hint, type) and issubclass(hint, BaseModel)


def _model_in(hint: Any) -> Any:
    """The model that an annotation speaks of, or None."""
    if _is_model(hint):
        return hint
    return next((found for part in get_args(hint) if (found := _model_in(part)) is not None), None)


def _fields(model: BaseModel, place: tuple[str | int, ...]) -> dict[str, Any]:
    """The values that were written, by attribute."""
    known = type(model).model_fields
    return {
        name: _plain(getattr(model, name), (*place, known[name].alias or name))
        for name in sorted(model.model_fields_set)
    }


def _plain(value: Any, place: tuple[str | int, ...]) -> Any:
    """A validated value with the data classes it stands for."""
    if isinstance(value, _OptionModel):
        given = _fields(value, place)
        try:
            return value.built_from(**given)
        except (InputError, ValueError) as error:
            raise _BadPartError(place, error) from None
    if isinstance(value, dict):
        return {key: _plain(each, (*place, key)) for key, each in value.items()}
    if isinstance(value, list):
        return [_plain(each, (*place, number)) for number, each in enumerate(value)]
    return value


@cache
def options_of(form: type, given: frozenset[str] = frozenset()) -> Options:
    """The options of a data class, without the fields that the wiring gives it."""
    model = _model_of(form, given)
    return Options(model, {f.alias or name: name for name, f in model.model_fields.items()})


def _model_of(form: type, given: frozenset[str] = frozenset()) -> type[_OptionModel]:
    hints = get_type_hints(form, include_extras=True)
    fields: dict[str, Any] = {}
    for field in dataclasses.fields(form):
        if field.init and field.name not in given:
            hint = hints[field.name]
            default = Field(_default(field), alias=written_key(field.name, hint))
            fields[field.name] = (_readable(hint), default)
    model = create_model(form.__name__, __base__=_OptionModel, **fields)
    model.built_from = form
    return model


def _default(field: dataclasses.Field[Any]) -> Any:
    """Only whether there is one matters: an option that is not written is left to the data class."""
    has_none = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    return PydanticUndefined if has_none else None


def written_key(name: str, hint: Any) -> str:
    """The key of an attribute as it is written in a scenario."""
    kind = next((each.kind for each in _quantities(hint)), "")
    suffixes = (*UNIT_SUFFIXES, QUANTITY_SUFFIXES[kind]) if kind in QUANTITY_SUFFIXES else UNIT_SUFFIXES
    return next((name.removesuffix(suffix) for suffix in suffixes if name.endswith(suffix)), name)


def _quantities(hint: Any) -> list[Quantity]:
    marks = [each for each in getattr(hint, "__metadata__", ()) if isinstance(each, Quantity)]
    return marks + [found for part in get_args(hint) for found in _quantities(part)]


def _readable(hint: Any) -> Any:
    """The annotation with data classes replaced by models, and with lists for what YAML writes as lists."""
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return _model_of(hint)
    origin, inner = get_origin(hint), get_args(hint)
    if origin in {tuple, Sequence}:
        return list[_readable(inner[0])]  # type: ignore[misc]  # a type made at run time
    if origin is list:
        return list[_readable(inner[0])]  # type: ignore[misc]  # a type made at run time
    if origin in {dict, Mapping}:
        return dict[str, _readable(inner[1])]  # type: ignore[misc]  # a type made at run time
    if origin in {Union, types.UnionType}:
        return _either([_readable(each) for each in inner])
    return hint


def _either(choices: list[Any]) -> Any:
    """A union told apart by shape: a map is for the data class, anything else for the other choices."""
    maps = [each for each in choices if _is_model(each)]
    others = [each for each in choices if each not in maps]
    if not maps or not others:
        return Union[tuple(choices)]  # noqa: UP007  # a union made at run time
    plain: Any = Union[tuple(others)]  # noqa: UP007  # a union made at run time
    return Annotated[Annotated[maps[0], Tag(FORM)] | Annotated[plain, Tag(PLAIN)], Discriminator(shape_of)]
