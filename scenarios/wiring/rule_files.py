"""Rule files beside a scenario: read, checked, and which nodes they name."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from twin.errors import InputError
from twin.state.rules.problems import RulesError
from twin.state.rules.program import CompiledRule, compiled
from twin.state.rules.syntax import ForwardAction


def read_rule_file(path: Path) -> str:
    """The text of a rule file. Raises InputError, with line and column, unless every rule in it is one."""
    try:
        text = path.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{path.name} is not UTF-8 text") from error
    _compiled(text, path.name)
    return text


def sinks_of(path: Path) -> Collection[str]:
    """The nodes that the rules of a file forward to."""
    rules = _compiled(path.read_text("utf-8"), path.name)
    actions = [action for each in rules for action in (*each.rule.actions, *each.rule.clear_actions)]
    return dict.fromkeys(action.sink for action in actions if isinstance(action, ForwardAction))


def _compiled(text: str, name: str) -> tuple[CompiledRule, ...]:
    try:
        return compiled(text)
    except RulesError as error:
        raise InputError(RulesError(error.problems, text, name).summary) from error
