"""What a rule means, and whether it can: names put in, functions known, clauses that go together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from lark import Token

from twin.errors import InputError
from twin.mqtt.topics import check_filter, check_name, matches
from twin.state.rules.actions import read_actions
from twin.state.rules.builder import Call, Draft, Name, Part
from twin.state.rules.functions import FUNCTIONS
from twin.state.rules.lexer import text_of
from twin.state.rules.problems import Problem, RulesError, TextError, nearest
from twin.state.rules.syntax import (
    MOST_NODES,
    MOST_PANES,
    Aggregate,
    AlarmAction,
    Expr,
    PublishAction,
    Rule,
    RuleAction,
    Selection,
    Window,
    node,
)

AGGREGATES: Final = ("avg", "count", "first", "last", "max", "min", "stddev", "sum")
PLACES: Final = ("cloud", "edge")
LONGEST_TIME_S: Final = 366 * 86400.0
MOST_COUNT: Final = 1_000_000
LONGEST_PATTERN: Final = 200
MOST_COLUMNS: Final = 50
MOST_AGGREGATES: Final = 20
ANYTHING: Final = "\x01"
"""Stands in a topic for what a message puts in: a level that no filter names."""
MOST_PRIORITY: Final = 1_000_000


def checked(draft: Draft, text: str, offset: int) -> Rule:
    """The rule, ready to be compiled. Raises RulesError with places in the whole file."""
    check = _Check(draft, text, offset)
    rule = check.rule()
    if check.problems:
        moved = [each._replace(start=each.start + offset, end=each.end + offset) for each in check.problems]
        raise RulesError(moved, " " * offset + text)
    return rule


class _Check:
    """The checks of one rule; problems are collected, not raised."""

    def __init__(self, draft: Draft, text: str, offset: int) -> None:
        self.draft = draft
        self.text = text
        self.offset = offset
        self.problems: list[Problem] = []
        self.aggregates: list[Aggregate] = []
        self.aliases: dict[str, Expr] = {}
        self.size = 0
        self.parts: dict[str, Part] = {}

    def rule(self) -> Rule:
        """The rule, as far as it makes sense."""
        draft = self.draft
        for part in [*draft.headers, *draft.clauses]:
            if part.what in self.parts:
                self._report(f"{part.what} is written twice", part)
            self.parts[part.what] = part
        selections = self._selections()
        self._check_aliases()
        window, by = self._value("WINDOW", 0), self._value("WINDOW", 1)
        clear = draft.clear.values if draft.clear else (None, 0.0, [])
        source = text_of(draft.source)
        rule = Rule(
            name=draft.name.text,
            text=self.text,
            offset=self.offset,
            source=source,
            selections=tuple(selections),
            priority=self._priority(),
            place=self._place(),
            is_aws="STRICT AWS" in self.parts,
            is_event_time="ON EVENT TIME" in self.parts,
            late_s=self._time("ON EVENT TIME") or 0.0,
            where=self._expression(self._value("WHERE"), "WHERE"),
            for_s=self._time("FOR"),
            cooldown_s=self._time("COOLDOWN"),
            absent_s=self._time("ABSENT FOR"),
            window=self._window(window),
            by=self._expression(by, "BY"),
            having=self._expression(self._value("HAVING"), "HAVING", has_aggregates=True),
            actions=self._actions(draft.actions),
            clear=self._expression(clear[0], "CLEAR WHEN", has_aggregates=True),
            clear_for_s=self._limited(clear[1], draft.clear) or 0.0,
            clear_actions=self._actions(clear[2]),
            aggregates=tuple(self.aggregates),
        )
        self._check_names()
        self._check_together(rule)
        self._check_loop(rule)
        return rule

    def _report(self, message: str, place: Any, label: str = "") -> None:
        start = place.start_pos if isinstance(place, Token) else place.start
        end = place.end_pos if isinstance(place, Token) else place.end
        self.problems.append(Problem(message, start or 0, end or 0, label))

    def _value(self, what: str, index: int = 0) -> Any:
        part = self.parts.get(what)
        return part.values[index] if part is not None and part.values else None

    def _time(self, what: str) -> float | None:
        return self._limited(self._value(what), self.parts.get(what))

    def _limited(self, seconds: float | None, place: Any) -> float | None:
        if place is None or seconds is None:
            return seconds
        if seconds > LONGEST_TIME_S:
            self._report("a duration is at most 366 days", place)
        if seconds == 0 and place.what not in {"CLEAR", "ON EVENT TIME"}:
            self._report("a duration is longer than nothing", place)
        return seconds

    # names and heads --------------------------------------------------------------------------------------

    def _check_names(self) -> None:
        name, source = self.draft.name, self.draft.source
        if not name.text.isidentifier() or not name.text.isascii() or len(name.text) > 64:
            self._report("the name of a rule has at most 64 letters, digits and _", name)
        try:
            check_filter(text_of(source))
        except InputError as error:
            self._report(str(error), source)
        if text_of(source).startswith("$share/"):
            self._report("a rule takes no shared subscription; write the filter alone", source)

    def _priority(self) -> int:
        value = self._value("PRIORITY")
        if value is None:
            return 0
        if not isinstance(value, int) or abs(value) > MOST_PRIORITY:
            self._report("a priority is a whole number, at most a million", self.parts["PRIORITY"])
            return 0
        return value

    def _place(self) -> str:
        name: Name | None = self._value("AT")
        if name is None:
            return ""
        place = name.text.lower()
        if place not in PLACES:
            self._report(
                f"a rule runs AT edge or AT cloud, not at '{name.text}'", name, nearest(place, PLACES)
            )
        return place

    # SELECT -----------------------------------------------------------------------------------------------

    def _selections(self) -> list[Selection]:
        found: list[Selection] = []
        for number, part in enumerate(self.draft.columns):
            written, name = part.values
            value = self._expression(written, "SELECT", has_aggregates=True)
            text = name.text if name is not None else _column_name(written, number)
            found.append(Selection(value, text, part.start, part.end))
            if name is not None and value is not None:
                if text in self.aliases:
                    self._report(f"two columns are called '{text}'", name)
                self.aliases[text] = value
        if len(found) > MOST_COLUMNS:
            self._report(f"SELECT has at most {MOST_COLUMNS} columns", self.draft.columns[MOST_COLUMNS])
        return found

    def _check_aliases(self) -> None:
        """A name that is a field and something else as well would be read in two ways."""
        condition = self._value("WHERE")
        used = {each.value for each in condition.walk() if each.op == "field"} if condition else set()
        for name, value in self.aliases.items():
            inside = {each.value for each in value.walk() if each.op == "field"}
            if value.op != "field" and name in inside & used and "STRICT AWS" not in self.parts:
                place = next(each for each in condition.walk() if each.op == "field" and each.value == name)
                label = "give the column another name"
                self._report(f"'{name}' may be the field or the column of SELECT", place, label)

    # expressions ------------------------------------------------------------------------------------------

    def _expression(self, expr: Expr | None, where: str, *, has_aggregates: bool = False) -> Expr | None:
        """The expression with columns put in for their names, calls checked, aggregates numbered."""
        if expr is None:
            return None
        is_plain = where == "SELECT" or (where == "WHERE" and "STRICT AWS" in self.parts)
        aliases = {} if is_plain else self.aliases
        made = rewrite(expr, lambda each, args: self._node(each, args, aliases, where, has_aggregates))
        self.size += made.size
        if self.size > MOST_NODES and self.size - made.size <= MOST_NODES:
            self._report(f"the expressions of the rule have more than {MOST_NODES} parts", expr)
        if where != "HAVING" and not has_aggregates and any(each.op == "aggregate" for each in made.walk()):
            self._report(f"{where} sees one message, not a window", expr, "write it in HAVING")
        return made

    def _node(
        self,
        each: Expr,
        args: tuple[Expr, ...],
        aliases: Mapping[str, Expr],
        where: str,
        has_aggregates: bool,
    ) -> Expr:
        if each.op == "field" and each.value in aliases:
            return aliases[each.value]
        if each.op == "like" and len(each.value) > LONGEST_PATTERN:
            self._report(f"a pattern has at most {LONGEST_PATTERN} characters", each)
        if each.op == "call":
            return self._call(each, args, where, has_aggregates)
        return node(each.op, *args, value=each.value, start=each.start, end=each.end)

    def _call(self, each: Expr, args: tuple[Expr, ...], where: str, has_aggregates: bool) -> Expr:
        call: Call = each.value
        if call.name in AGGREGATES:
            return self._aggregate(each, args, where, has_aggregates)
        name = call.name.replace("_", "")
        known = FUNCTIONS.get(name)
        if known is None:
            names = {function.name for function in FUNCTIONS.values()} | set(AGGREGATES)
            near = nearest(call.name, names)
            self._report(f"there is no function '{call.name[:40]}'", each, near)
        elif call.is_star or call.is_distinct or call.has_filter:
            self._report(f"'{known.name}' is no aggregate: it takes no *, DISTINCT or FILTER", each)
        elif not known.least <= len(args) <= known.most:
            shown = str(known.least) if known.least == known.most else f"{known.least} to {known.most}"
            self._report(f"'{known.name}' takes {shown} arguments, not {len(args)}", each)
        return node("call", *args, value=name, start=each.start, end=each.end)

    def _aggregate(self, each: Expr, args: tuple[Expr, ...], where: str, has_aggregates: bool) -> Expr:
        call: Call = each.value
        condition = args[-1] if call.has_filter else None
        arguments = args[:-1] if call.has_filter else args
        if not has_aggregates:
            self._report(
                f"'{call.name}' is of a window; {where} sees one message", each, "write it in HAVING"
            )
        elif "WINDOW" not in self.parts:
            self._report(f"'{call.name}' needs a WINDOW", each, "for example WINDOW TUMBLING 10s")
        if call.is_star != (not arguments) or len(arguments) > 1 or (call.is_star and call.name != "count"):
            shown = "count(*) or count(value)" if call.name == "count" else f"{call.name}(value)"
            self._report(f"write {shown}", each)
        if call.is_distinct and (call.name != "count" or call.is_star):
            self._report("DISTINCT stands in count(DISTINCT value) only", each)
        if any(inner.op == "aggregate" for arg in args for inner in arg.walk()):
            self._report("an aggregate cannot hold another one", each)
        found = Aggregate(call.name, arguments[0] if arguments else None, condition, call.is_distinct)
        if found not in self.aggregates:
            self.aggregates.append(found)
        if len(self.aggregates) > MOST_AGGREGATES:
            self._report(f"a rule has at most {MOST_AGGREGATES} aggregates", each)
        return node("aggregate", value=self.aggregates.index(found), start=each.start, end=each.end)

    # windows and actions ----------------------------------------------------------------------------------

    def _window(self, window: Window | None) -> Window | None:
        if window is None:
            return None
        place = self.parts["WINDOW"]
        for seconds in (window.size_s, window.every_s, window.most_s):
            if seconds > LONGEST_TIME_S:
                self._report("a duration is at most 366 days", place)
        if window.kind in {"tumbling", "hopping", "sliding", "session"} and window.size_s == 0:
            self._report("a window is longer than nothing", place)
        if window.kind == "hopping":
            hops = window.size_s / window.every_s if window.every_s else 0.0
            if not 1 <= hops <= MOST_PANES or abs(hops - round(hops)) > 1e-6:
                message = f"the length of a hopping window is a multiple of its hop, 1 to {MOST_PANES} hops"
                self._report(message, place)
        if window.kind == "count":
            most = MOST_PANES if window.every_count else MOST_COUNT
            if not 1 <= window.size_count <= most or window.every_count > window.size_count:
                self._report(f"a window counts 1 to {most:,} messages, and moves by at most as many", place)
        opens = self._expression(window.opens, "STATE WHEN")
        closes = self._expression(window.closes, "UNTIL")
        return Window(
            window.kind, window.size_s, window.every_s, window.most_s, window.size_count, window.every_count,
            opens, closes,
        )  # fmt: skip

    def _actions(self, parts: list[Part]) -> tuple[RuleAction, ...]:
        try:
            return tuple(read_actions(parts, self._resolved, self._report))
        except TextError as error:
            self.problems.append(error.problem)
            return ()

    def _resolved(self, expr: Expr) -> Expr:
        found = self._expression(expr, "an action", has_aggregates=True)
        return expr if found is None else found

    # what goes together -----------------------------------------------------------------------------------

    def _check_together(self, rule: Rule) -> None:
        if rule.having is not None and rule.window is None:
            self._report("HAVING needs a WINDOW", self.parts["HAVING"], "a condition on one message is WHERE")
        if rule.absent_s is not None and (rule.for_s is not None or rule.window is not None):
            self._report("ABSENT FOR goes with no FOR and no WINDOW", self.parts["ABSENT FOR"])
        if rule.clear_actions and rule.clear is None:
            self._report("what is done at the end needs CLEAR WHEN", self.draft.clear or self.draft.name)
        if rule.is_event_time and (rule.window is None or rule.window.kind not in {"tumbling", "hopping"}):
            message = "ON EVENT TIME goes with a tumbling or hopping window only"
            self._report(message, self.parts["ON EVENT TIME"])

    def _check_loop(self, rule: Rule) -> None:
        """A rule that sets itself off would go round for ever."""
        for action, part in zip((*rule.actions, *rule.clear_actions), self._action_parts()):
            topic = _topic_of(action)
            if action.__class__ is PublishAction and ANYTHING not in topic:
                try:
                    check_name(topic)
                except InputError as error:
                    self._report(str(error), part)
                    continue
            if topic and any(matches(rule.source or "-", each) for each in _forms(topic)):
                self._report("the rule would set itself off: it publishes what it takes", part)

    def _action_parts(self) -> list[Part]:
        clear = self.draft.clear.values[2] if self.draft.clear else []
        return [*self.draft.actions, *clear]


def rewrite(expr: Expr, change: Callable[[Expr, tuple[Expr, ...]], Expr]) -> Expr:
    """The expression made anew from the leaves up."""
    done: list[Expr] = []
    for each in expr.bottom_up():
        count = len(each.args)
        args = tuple(done[len(done) - count :])
        del done[len(done) - count :]
        done.append(change(each, args))
    return done[0]


def _column_name(expr: Expr | None, number: int) -> str:
    """A field has its own name, anything else the number of its column."""
    if expr is None:
        return "*"
    if expr.op in {"field", "get"}:
        return str(expr.value)
    return expr.value.name if expr.op == "call" else f"column_{number + 1}"


def _topic_of(action: RuleAction) -> str:
    """What an action publishes on, with a mark for what only the message will tell; nothing if on none."""
    match action:
        case PublishAction(topic) if topic.op == "template":
            return "".join(each.value if each.op == "literal" else ANYTHING for each in topic.args)
        case PublishAction(topic):
            return str(topic.value)
        case AlarmAction():
            return "rule/alarm"
    return ""


def _forms(topic: str) -> tuple[str, str]:
    """A topic without and with the site that a broker has before it."""
    if topic.startswith("site/"):
        return topic, topic.split("/", 2)[-1]
    return topic, topic if topic.startswith("$") else f"site/{ANYTHING}/{topic}"
