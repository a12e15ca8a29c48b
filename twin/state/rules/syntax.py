"""What a rule says, as values: expressions, windows, actions, the rule.

An expression is one kind of node throughout, so that every walk over it is the same loop:

    field    value: name                  get      value: key, args: (of what)     item value: index
    literal  value                        not, neg                                 and, or: any number of args
    compare  value: < <= > >= = !=        add sub mul div mod                      in   args: (what, *choices)
    like     value: pattern               between  args: (what, low, high)         is   value: null, undefined
    call     value: function name         aggregate  value: number                 case value: has ELSE
    object   value: keys                  array    template: args joined as text
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

LONGEST_RULE: Final = 4_000
"""Characters of one rule."""
MOST_NODES: Final = 600
"""Nodes of all expressions of one rule, names from SELECT put in."""
DEEPEST: Final = 80
MOST_PANES: Final = 1_000
"""Messages that a window of single messages keeps, and hops in a hopping window."""
MOST_RULES_A_TOPIC: Final = 200


@dataclass(frozen=True, slots=True)
class Expr:
    """One node of an expression; it stands from `start` to `end` in the text."""

    op: str
    args: tuple[Expr, ...] = ()
    value: Any = None
    start: int = 0
    end: int = 0
    depth: int = 1
    size: int = 1

    def walk(self) -> Iterator[Expr]:
        """This node and all below it, from the root down."""
        waiting = [self]
        while waiting:
            node = waiting.pop()
            yield node
            waiting.extend(reversed(node.args))

    def bottom_up(self) -> list[Expr]:
        """This node and all below it, each after what is below it, in the order of the text."""
        found: list[Expr] = []
        waiting = [self]
        while waiting:
            node = waiting.pop()
            found.append(node)
            waiting.extend(node.args)
        found.reverse()
        return found


def node(op: str, *args: Expr, value: Any = None, start: int = 0, end: int = 0) -> Expr:
    """An expression above others; and-s and or-s of the same kind become one."""
    if op in {"and", "or"}:
        flat: list[Expr] = []
        for each in args:
            flat += each.args if each.op == op else (each,)
        args = tuple(flat)
    depth = 1 + max((each.depth for each in args), default=0)
    return Expr(op, args, value, start, end, depth, 1 + sum(each.size for each in args))


@dataclass(frozen=True, slots=True)
class Aggregate:
    """One value of a window: a function over an argument, of the messages for which the filter is true."""

    function: str
    argument: Expr | None
    condition: Expr | None = None
    is_distinct: bool = False


@dataclass(frozen=True, slots=True)
class Selection:
    """One column of SELECT; without an expression it is all fields."""

    value: Expr | None
    name: str
    start: int
    end: int


WindowKind: TypeAlias = Literal["tumbling", "hopping", "sliding", "session", "count", "state"]


@dataclass(frozen=True, slots=True)
class Window:
    """Over which messages aggregates are taken.

    `size_s`: length, or the gap that ends a session; `every_s`: hop; `most_s`: longest session; `size_count`
    and `every_count` for windows of so many messages; `opens` and `closes` for a state.
    """

    kind: WindowKind
    size_s: float = 0.0
    every_s: float = 0.0
    most_s: float = 0.0
    size_count: int = 0
    every_count: int = 0
    opens: Expr | None = None
    closes: Expr | None = None


@dataclass(frozen=True, slots=True)
class DesireAction:
    """Set desired values in the shadows of the things that a pattern names."""

    things: Expr
    values: tuple[tuple[str, Expr], ...]
    expires_s: float | None = None


@dataclass(frozen=True, slots=True)
class AlarmAction:
    """Raise an alarm; `thing` if it is not the one the message came from."""

    severity: str
    type: Expr
    text: Expr | None = None
    thing: Expr | None = None


@dataclass(frozen=True, slots=True)
class PublishAction:
    """Publish on a topic: a text, a value as JSON, or without either the document of SELECT."""

    topic: Expr
    payload: Expr | None = None
    qos: int = 1


@dataclass(frozen=True, slots=True)
class CommandAction:
    """Send a command to the things that a pattern names."""

    things: Expr
    name: str
    arguments: tuple[tuple[str, Expr], ...] = ()
    timeout_s: float | None = None


@dataclass(frozen=True, slots=True)
class ForwardAction:
    """Hand the document of SELECT to a sink, without the values of the masked fields."""

    sink: str
    masked: tuple[str, ...] = ()


RuleAction: TypeAlias = DesireAction | AlarmAction | PublishAction | CommandAction | ForwardAction


def expressions_of(action: RuleAction) -> list[Expr]:
    """Every expression of an action."""
    match action:
        case DesireAction(things, values):
            return [things, *(value for _, value in values)]
        case AlarmAction(_, type_, text, thing):
            return [each for each in (type_, text, thing) if each is not None]
        case PublishAction(topic, payload):
            return [topic] if payload is None else [topic, payload]
        case CommandAction(things, _, arguments):
            return [things, *(value for _, value in arguments)]
        case ForwardAction():
            return []


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule as it was written; times in seconds, None where the clause is not there."""

    name: str
    text: str
    selections: tuple[Selection, ...]
    source: str
    actions: tuple[RuleAction, ...]
    priority: int = 0
    place: str = ""
    is_aws: bool = False
    is_event_time: bool = False
    late_s: float = 0.0
    where: Expr | None = None
    for_s: float | None = None
    cooldown_s: float | None = None
    absent_s: float | None = None
    window: Window | None = None
    by: Expr | None = None
    having: Expr | None = None
    clear: Expr | None = None
    clear_for_s: float = 0.0
    clear_actions: tuple[RuleAction, ...] = ()
    aggregates: tuple[Aggregate, ...] = ()
    offset: int = 0
    """Where the rule begins in its file."""


def conditions_of(rule: Rule) -> list[Expr]:
    """Every expression that a timer may need: columns, HAVING, actions, what clears."""
    found = [each.value for each in rule.selections if each.value is not None]
    found += [each for each in (rule.having, rule.clear) if each is not None]
    for action in (*rule.actions, *rule.clear_actions):
        found += expressions_of(action)
    return found
