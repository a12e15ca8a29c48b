"""Rules compiled, in the order in which they run, and which of them take a topic."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import blake2b
from typing import Any, Final, TypeAlias

import msgspec

from twin.message import Message
from twin.mqtt.topics import FilterTree
from twin.state.rules.aggregates import SUMS, Sum
from twin.state.rules.compiler import Compiled, Compiler
from twin.state.rules.functions import U
from twin.state.rules.syntax import (
    MOST_RULES_A_TOPIC,
    AlarmAction,
    CommandAction,
    DesireAction,
    ForwardAction,
    PublishAction,
    Rule,
    RuleAction,
    conditions_of,
)

LARGEST_PAYLOAD_BYTES: Final = 131_072
DEEPEST_PAYLOAD: Final = 64
MOST_TOPICS: Final = 50_000
"""Topics whose rules are remembered."""
ELSEWHERE: Final = ("site/", "$", "alarms/", "things/")
"""How a filter begins that speaks of a broker's topics; any other one speaks of the field's."""

Fields: TypeAlias = dict[str, Any]
Shadow: TypeAlias = Callable[[str, str], Any]


def field_topic(topic: str) -> str:
    """A topic without the site that a broker has before it."""
    if topic.startswith("site/"):
        parts = topic.split("/", 2)
        return parts[2] if len(parts) == 3 else topic
    return topic


def site_of(topic: str) -> str:
    """The site that a broker has before a topic, or nothing."""
    return topic.split("/", 2)[1] if topic.startswith("site/") else ""


def thing_of(topic: str) -> str:
    """The thing that a topic is about."""
    levels = field_topic(topic).split("/")
    if levels[:2] == ["$aws", "things"]:
        levels = levels[1:]
    return levels[1] if len(levels) > 1 else levels[0]


def no_shadow(_thing: str, _path: str) -> Any:
    """Where there are no shadows every value of theirs is Undefined."""
    return U


@dataclass(slots=True)
class Moment:
    """What functions without a field may ask: the topic, the thing, the time, a shadow."""

    topic: str
    now_s: float
    client: str = ""
    shadow_value: Shadow = no_shadow
    thing: str = field(init=False)

    def __post_init__(self) -> None:
        self.thing = thing_of(self.topic)

    def level(self, number: Any) -> Any:
        """A level of the topic, from 1; 0 is all of it."""
        if number.__class__ is not int or number < 0:
            return U
        if number == 0:
            return self.topic
        levels = self.topic.split("/")
        return levels[number - 1] if number <= len(levels) else U

    def shadow(self, thing: Any, path: Any) -> Any:
        """A value in a thing's shadow."""
        if thing.__class__ is not str or path.__class__ is not str:
            return U
        return self.shadow_value(thing, path)


def fields_of(payload: bytes) -> Fields | None:
    """The fields of a JSON object (none in an empty payload); None for anything else, also for too much."""
    if not payload:
        return {}
    if len(payload) > LARGEST_PAYLOAD_BYTES:
        return None
    try:
        found = msgspec.json.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if found.__class__ is not dict or is_too_deep(payload, found):
        return None
    return found


def is_too_deep(payload: bytes, value: Any) -> bool:
    """Whether a value is nested so deep that a walk over it might not come back."""
    if payload.count(b"[") + payload.count(b"{") <= DEEPEST_PAYLOAD:
        return False
    level = [value]
    for _ in range(DEEPEST_PAYLOAD):
        inner: list[Any] = []
        for each in level:
            if each.__class__ is dict:
                inner += each.values()
            elif each.__class__ is list:
                inner += each
        level = [each for each in inner if each.__class__ in (dict, list)]
        if not level:
            return False
    return True


@dataclass(slots=True, frozen=True)
class Column:
    """One aggregate, ready to sum up."""

    sums: Sum
    argument: Compiled | None
    condition: Compiled | None

    def of(self, get: Any, moment: Moment) -> Any:
        """The sum of one message."""
        if self.condition is not None and self.condition(get, moment, ()) is not True:
            return self.sums.empty
        return self.sums.of(True if self.argument is None else self.argument(get, moment, ()))


@dataclass(slots=True, frozen=True)
class CompiledRule:
    """A rule with its functions; `fields` are the names that are still needed when a timer fires."""

    rule: Rule
    order: int
    digest: str
    where: Compiled | None
    by: Compiled | None
    having: Compiled | None
    clear: Compiled | None
    opens: Compiled | None
    closes: Compiled | None
    columns: tuple[Column, ...]
    selections: tuple[tuple[str, Compiled | None], ...]
    actions: tuple[tuple[RuleAction, tuple[Compiled, ...]], ...]
    clear_actions: tuple[tuple[RuleAction, tuple[Compiled, ...]], ...]
    fields: frozenset[str] | None
    is_stateless: bool
    may_repeat: bool
    is_latched: bool
    clears_on_window: bool
    takes_field_topics: bool

    @property
    def name(self) -> str:
        """The rule's name."""
        return self.rule.name

    def topic(self, topic: str) -> str:
        """The topic as the rule speaks of it: with the site only if its filter has one."""
        return field_topic(topic) if self.takes_field_topics else topic

    def kept(self, fields: Fields) -> Fields:
        """Those of the fields that a timer will need."""
        if self.fields is None:
            return fields
        return {name: fields[name] for name in self.fields if name in fields}

    def document(self, get: Any, moment: Moment, results: Sequence[Any], fields: Fields) -> Fields:
        """What SELECT makes of a message."""
        found: Fields = {}
        for name, value in self.selections:
            if value is None:
                found |= fields
            elif (made := value(get, moment, results)) is not U:
                found[name] = made
        return found


def compile_rule(rule: Rule, order: int = 0) -> CompiledRule:
    """The rule with its functions, all from one code object."""
    compiler = Compiler(is_aws=rule.is_aws)
    conditions = {"where": rule.where, "by": rule.by, "having": rule.having, "clear": rule.clear}
    if rule.window is not None:
        conditions |= {"opens": rule.window.opens, "closes": rule.window.closes}
    for name, expr in conditions.items():
        if expr is not None:
            compiler.add(name, expr)
    for number, aggregate in enumerate(rule.aggregates):
        if aggregate.argument is not None:
            compiler.add(f"argument {number}", aggregate.argument)
        if aggregate.condition is not None:
            compiler.add(f"condition {number}", aggregate.condition)
    for number, column in enumerate(rule.selections):
        if column.value is not None:
            compiler.add(f"select {number}", column.value)
    for what, actions in (("do", rule.actions), ("clear", rule.clear_actions)):
        for number, action in enumerate(actions):
            _add_action(compiler, f"{what} {number}", action)
    return _assembled(rule, order, compiler.functions())


def _add_action(compiler: Compiler, name: str, action: RuleAction) -> None:
    """Compile an action's texts; what names a thing or a topic takes safe values only."""
    match action:
        case DesireAction(things, values) | CommandAction(things, _, values):
            compiler.add(f"{name} 0", things, substitutes="safe")
            for number, (_, value) in enumerate(values):
                compiler.add(f"{name} {number + 1}", value)
        case PublishAction(topic, payload):
            compiler.add(f"{name} 0", topic, substitutes="safe")
            if payload is not None:
                compiler.add(f"{name} 1", payload)
        case AlarmAction(_, type_, text, thing):
            compiler.add(f"{name} 0", type_, substitutes="safe")
            if text is not None:
                compiler.add(f"{name} 1", text)
            if thing is not None:
                compiler.add(f"{name} 2", thing, substitutes="safe")
        case ForwardAction():
            pass


def _assembled(rule: Rule, order: int, made: Any) -> CompiledRule:
    columns = tuple(
        Column(
            SUMS["distinct" if each.is_distinct else each.function],
            made.get(f"argument {number}"),
            made.get(f"condition {number}"),
        )
        for number, each in enumerate(rule.aggregates)
    )
    selections = tuple(
        (each.name, made.get(f"select {number}")) for number, each in enumerate(rule.selections)
    )
    has_period = rule.for_s is not None or rule.clear is not None or rule.absent_s is not None
    is_stateless = not has_period and rule.cooldown_s is None and rule.window is None
    return CompiledRule(
        rule=rule,
        order=order,
        digest=blake2b(rule.text.encode(), digest_size=8).hexdigest(),
        where=made.get("where"),
        by=made.get("by"),
        having=made.get("having"),
        clear=made.get("clear"),
        opens=made.get("opens"),
        closes=made.get("closes"),
        columns=columns,
        selections=selections,
        actions=_functions_of(rule.actions, "do", made),
        clear_actions=_functions_of(rule.clear_actions, "clear", made),
        fields=_needed(rule),
        is_stateless=is_stateless,
        may_repeat=rule.cooldown_s is not None or not has_period,
        is_latched=has_period,
        clears_on_window=rule.clear is not None and any(e.op == "aggregate" for e in rule.clear.walk()),
        takes_field_topics=not rule.source.startswith(ELSEWHERE),
    )


def _functions_of(
    actions: Sequence[RuleAction], what: str, made: Any
) -> tuple[tuple[RuleAction, tuple[Compiled, ...]], ...]:
    """Each action with the functions of its expressions in their order; a missing one is None."""
    return tuple(
        (action, tuple(made.get(f"{what} {number} {place}") for place in range(_width(action))))
        for number, action in enumerate(actions)
    )


def _width(action: RuleAction) -> int:
    match action:
        case DesireAction(_, values) | CommandAction(_, _, values):
            return 1 + len(values)
        case AlarmAction():
            return 3
        case PublishAction():
            return 2
    return 0


def _needed(rule: Rule) -> frozenset[str] | None:
    """The names of the fields that columns, HAVING, actions and CLEAR read; None for all of them."""
    if any(each.value is None for each in rule.selections):
        return None
    names = {node.value for expr in conditions_of(rule) for node in expr.walk() if node.op == "field"}
    return frozenset(names)


class Program:
    """Rules in the order in which they run: by priority, greatest first, then as they were given."""

    def __init__(self, rules: Iterable[CompiledRule], place: str = "") -> None:
        here = [each for each in rules if not place or each.rule.place in {"", place}]
        self.rules = tuple(sorted(here, key=lambda each: -each.rule.priority))
        self.by_name = {each.name: each for each in self.rules}
        self._field: FilterTree[int] = FilterTree()
        self._whole: FilterTree[int] = FilterTree()
        self._known: dict[str, tuple[CompiledRule, ...]] = {}
        for number, each in enumerate(self.rules):
            tree = self._field if each.takes_field_topics else self._whole
            tree.add(each.rule.source, number)

    @property
    def sources(self) -> list[str]:
        """The topic filters of the rules, each once, as they are written."""
        return list(dict.fromkeys(each.rule.source for each in self.rules))

    def taking(self, topic: str) -> tuple[CompiledRule, ...]:
        """The rules that take a topic, in the order in which they run."""
        found = self._known.get(topic)
        if found is None:
            if len(self._known) >= MOST_TOPICS:
                self._known.clear()
            numbers = {*self._field.match(field_topic(topic)), *self._whole.match(topic)}
            found = tuple(self.rules[each] for each in sorted(numbers)[:MOST_RULES_A_TOPIC])
            self._known[topic] = found
        return found


def compile_rules(text: str, name: str = "") -> tuple[CompiledRule, ...]:
    """The rules of a file. Raises RulesError with every problem of the text."""
    from twin.state.rules.parser import parse_rules  # with the grammar, which a run without rules never needs

    return tuple(compile_rule(rule, order) for order, rule in enumerate(parse_rules(text, name)))


@lru_cache(maxsize=1024)
def compiled(text: str) -> tuple[CompiledRule, ...]:
    """The same, remembered: rules that are kept as records are compiled once a process."""
    return compile_rules(text)


def message_fields(message: Message) -> Fields | None:
    """The fields of a message; None if they cannot be read."""
    return fields_of(message.payload)
