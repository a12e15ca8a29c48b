"""What the device types say: which wishes and commands are allowed, and how long wishes stand."""

from __future__ import annotations

import math
from dataclasses import dataclass

from twin.state.records import Records, Tree
from twin.state.registry.things import THING
from twin.state.types.model import PropertyModel, ThingModel, Types, without_null


@dataclass(frozen=True, slots=True)
class TypeSchema:
    """The `Schema` of the shadows, and of commands: checks things that have a type, and leaves others be."""

    types: Types

    def problem(self, thing: str, section: str, changes: Tree, records: Records) -> str:
        """Why the changes are refused, or an empty text."""
        model = self._model(thing, records)
        if model is None:
            return ""
        if section == "desired":
            return model.desired_problem(changes)
        return model.report_problem(without_null(changes))

    def protected(self, thing: str, changes: Tree, records: Records) -> Tree:
        """The reported changes with personal values masked or dropped; null, which removes, stays."""
        model = self._model(thing, records)
        if model is None or not model.has_personal_properties:
            return changes
        kept = model.protected(changes)
        return {name: None if changes[name] is None else value for name, value in kept.items()}

    def writer_problem(self, thing: str, changes: Tree, by: str, records: Records) -> str:
        """Why the wishes are not for rules, an operator, the cloud or the device, or an empty text."""
        model = self._model(thing, records)
        return "" if model is None else model.writer_problem(changes, by)

    def desired_expiry_s(self, thing: str, name: str, records: Records) -> float:
        """For how long a desired value of the property holds (seconds), infinite: for ever."""
        found = self._property(thing, name, records)
        return math.inf if found is None else found.desired_expiry_s

    def is_cleared_on_report(self, thing: str, name: str, records: Records) -> bool:
        """Whether a desired value of the property goes when the device reports it."""
        found = self._property(thing, name, records)
        return found is not None and found.is_cleared_on_report

    def max_age_s(self, thing: str, name: str, records: Records) -> float:
        """How old a value of the property may be before it is stale (seconds), infinite: it never is."""
        found = self._property(thing, name, records)
        return math.inf if found is None else found.max_age_s

    def command_problem(self, records: Records, thing: str, name: str, arguments: Tree) -> str:
        """Why the thing's type does not have a command with these arguments, or an empty text."""
        model = self._model(thing, records)
        return "" if model is None else model.command_problem(name, arguments)

    def _model(self, thing: str, records: Records) -> ThingModel | None:
        known = records.get(THING, thing)
        return None if known is None else self.types.get(known.type)

    def _property(self, thing: str, name: str, records: Records) -> PropertyModel | None:
        model = self._model(thing, records)
        return None if model is None else model.properties.get(name)
