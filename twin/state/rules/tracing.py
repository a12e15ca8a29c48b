"""Why a rule fired or did not: every part of its conditions with the values that it saw."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import msgspec

from twin.state.rules.compiler import Compiled, Compiler
from twin.state.rules.evaluation import RuleState
from twin.state.rules.explaining import aggregate, seconds
from twin.state.rules.functions import U
from twin.state.rules.program import CompiledRule, Moment, fields_of
from twin.state.rules.replay import Recorded, Replay
from twin.state.rules.syntax import Expr, Rule
from twin.state.rules.windows import joined

MOST_VALUES: Final = 6
LONGEST_VALUE: Final = 60


class Part(NamedTuple):
    """A part of a condition: its text, and what it comes to; the values in it with their texts."""

    text: str
    value: Compiled
    inside: tuple[tuple[str, Compiled], ...]


@dataclass(slots=True)
class Tracer:
    """Tells for each message what each rule made of it."""

    replay: Replay

    parts: dict[str, tuple[Part, ...]] = field(init=False, default_factory=dict)

    def why(self, recorded: Recorded) -> Iterator[str]:
        """A line for each rule that takes the message; to be asked before the rules are told."""
        rules = self.replay.component.program(self.replay.records).taking(recorded.topic)
        fields = fields_of(recorded.payload)
        for rule in rules:
            if fields is None:
                yield f"{rule.name}: the payload is no JSON object (or too long, or too deep)"
                continue
            moment = Moment(rule.topic(recorded.topic), recorded.at_s)
            shown = [_shown(part, fields.get, moment) for part in self._parts_of(rule)]
            outcome = True if rule.where is None else rule.where(fields.get, moment, ())
            details = f": {'; '.join(shown)}" if shown else ""
            yield f"{rule.name}: WHERE is {_truth(outcome)}{details}"

    def after(self, recorded: Recorded) -> Iterator[str]:
        """What each rule remembers once it was told the message."""
        rules = self.replay.component.program(self.replay.records).taking(recorded.topic)
        fields = fields_of(recorded.payload)
        for rule in rules if fields is not None else ():
            moment = Moment(rule.topic(recorded.topic), recorded.at_s)
            partition = moment.thing
            if rule.by is not None:
                value = rule.by((fields or {}).get, moment, ())
                partition = value if isinstance(value, str) else msgspec.json.encode(value).decode()
            state = self.replay.state(rule, partition)
            if state is not None:
                yield f"{rule.name}: {'; '.join((*_remembered(rule.rule, state), *_sums(rule, state)))}"

    def _parts_of(self, rule: CompiledRule) -> tuple[Part, ...]:
        found = self.parts.get(rule.name)
        if found is None:
            found = self.parts[rule.name] = _parts(rule.rule)
        return found


def _parts(rule: Rule) -> tuple[Part, ...]:
    """The parts of WHERE that are joined by its outermost AND or OR."""
    if rule.where is None:
        return ()
    pieces = rule.where.args if rule.where.op in {"and", "or"} else (rule.where,)
    compiler = Compiler(is_aws=rule.is_aws)
    inside = [list(_values_in(piece, rule.text))[:MOST_VALUES] for piece in pieces]
    for number, piece in enumerate(pieces):
        compiler.add(f"{number}", piece)
        for place, (_, expr) in enumerate(inside[number]):
            compiler.add(f"{number} {place}", expr)
    made = compiler.functions()
    return tuple(
        Part(
            _text(piece, rule.text),
            made[f"{number}"],
            tuple((text, made[f"{number} {place}"]) for place, (text, _) in enumerate(inside[number])),
        )
        for number, piece in enumerate(pieces)
    )


def _text(expr: Expr, text: str) -> str:
    return " ".join(text[expr.start : expr.end].split())


def _values_in(expr: Expr, text: str) -> Iterator[tuple[str, Expr]]:
    """The fields and functions in an expression, each once."""
    seen: set[str] = set()
    waiting = [expr]
    while waiting:
        each = waiting.pop()
        shown = _text(each, text)
        if each.op in {"field", "get", "item"} or (each.op == "call" and not each.args):
            if shown not in seen and each is not expr:
                seen.add(shown)
                yield shown, each
        else:
            waiting.extend(reversed(each.args))


def _shown(part: Part, get: Any, moment: Moment) -> str:
    values = [f"{text} = {_brief(value(get, moment, ()))}" for text, value in part.inside]
    outcome = _truth(part.value(get, moment, ()))
    details = f" ({', '.join(values)})" if values else ""
    return f"{part.text} is {outcome}{details}"


def _truth(value: Any) -> str:
    return "Undefined" if value is U else _brief(value)


def _brief(value: Any) -> str:
    if value is U:
        return "Undefined"
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= LONGEST_VALUE else f"{text[: LONGEST_VALUE - 3]}..."


def _remembered(rule: Rule, state: RuleState) -> Iterator[str]:
    """What a state says, in words."""
    if state.since_s is not None and not state.is_held and rule.for_s is not None and rule.window is None:
        yield f"holds since {state.since_s:g} s, fires at {state.since_s + rule.for_s:g} s"
    elif state.since_s is not None:
        yield f"holds since {state.since_s:g} s"
    if state.is_active:
        yield "has fired and is not cleared" if rule.clear is not None else "has fired"
    if state.clear_since_s is not None:
        yield f"clears at {state.clear_since_s + rule.clear_for_s:g} s"
    if state.cooldown_until_s is not None:
        yield f"cools down until {state.cooldown_until_s:g} s"
    if state.seen_s is not None and rule.absent_s is not None:
        yield f"is absent at {state.seen_s + rule.absent_s:g} s ({seconds(rule.absent_s)} of silence)"
    if state.panes:
        what = "empty" if rule.window is not None and rule.window.kind == "sliding" else "next look"
        ends = f", {what} at {state.close_s:g} s" if state.close_s is not None else ""
        yield f"window of {sum(pane.count for pane in state.panes)} messages{ends}"


def _sums(rule: CompiledRule, state: RuleState) -> Iterator[str]:
    """The aggregates over what the window holds now."""
    if state.panes:
        results = joined(rule.columns, state.panes)
        for each, value in zip(rule.rule.aggregates, results):
            yield f"{aggregate(each)} = {_brief(value)}"
