"""Rules in plain English, for whoever has to answer for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from twin.state.rules.syntax import (
    Aggregate,
    AlarmAction,
    CommandAction,
    DesireAction,
    Expr,
    ForwardAction,
    PublishAction,
    Rule,
    RuleAction,
    Window,
)
from twin.units import format_quantity

COMPARISONS: Final = {
    "<": "is less than",
    "<=": "is at most",
    ">": "is greater than",
    ">=": "is at least",
    "=": "is",
    "!=": "is not",
}
SIGNS: Final = {"add": "+", "sub": "-", "mul": "*", "div": "/", "mod": "%"}
AGGREGATES: Final = {
    "count": "the number of",
    "sum": "the sum of",
    "avg": "the mean of",
    "min": "the least",
    "max": "the greatest",
    "first": "the first",
    "last": "the last",
    "stddev": "the standard deviation of",
}
CALLS: Final = {
    "thing": "the thing",
    "topic": "the topic",
    "timestamp": "the time in ms",
    "now": "the time in seconds",
    "clientid": "the client",
}


def in_words(rule: Rule) -> str:
    """What a rule does, a sentence for each clause."""
    return "\n".join([_title(rule), *(f"  {line}" for line in _body(rule))])


def seconds(value_s: float) -> str:
    """A duration in its best unit."""
    return format_quantity("time", value_s)


def expression(expr: Expr, aggregates: tuple[Aggregate, ...] = ()) -> str:
    """An expression as a phrase."""
    done: list[str] = []
    for each in expr.bottom_up():
        count = len(each.args)
        args = done[len(done) - count :]
        del done[len(done) - count :]
        done.append(_phrase(each, args, aggregates))
    return done[0]


def _phrase(each: Expr, args: list[str], aggregates: tuple[Aggregate, ...]) -> str:
    match each.op:
        case "literal":
            return _literal(each.value)
        case "field":
            return str(each.value)
        case "get":
            return f"{args[0]}.{each.value}"
        case "item":
            return f"{args[0]}[{each.value}]"
        case "and" | "or":
            return f" {each.op} ".join(map(_grouped, each.args, args))
        case "not":
            return _negated(each.args[0], args[0])
        case "compare":
            return f"{args[0]} {COMPARISONS[each.value]} {args[1]}"
        case "aggregate":
            return aggregate(aggregates[each.value]) if aggregates else "an aggregate"
        case "template":
            parts = (a.value if a.op == "literal" else f"{{{text}}}" for a, text in zip(each.args, args))
            return f"'{''.join(parts)}'"
        case "case":
            return _case(each, args)
        case "call":
            return _call(each.value, args)
    return _test(each, args)


def _test(each: Expr, args: list[str]) -> str:
    match each.op:
        case "in":
            return f"{args[0]} is one of {', '.join(args[1:])}"
        case "like":
            return f"{args[0]} looks like '{each.value}'"
        case "between":
            return f"{args[0]} is between {args[1]} and {args[2]}"
        case "is":
            return f"{args[0]} is {'missing' if each.value == 'undefined' else 'null'}"
        case "neg":
            return f"-{args[0]}"
        case "object":
            pairs = (f"{key}: {value}" for key, value in zip(each.value, args))
            return f"{{{', '.join(pairs)}}}"
        case "array":
            return f"[{', '.join(args)}]"
    grouped = [f"({a})" if e.op in SIGNS else a for e, a in zip(each.args, args)]
    return f"{grouped[0]} {SIGNS[each.op]} {grouped[1]}"


def _literal(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return (
        f"'{value}'" if isinstance(value, str) else f"{value:g}" if isinstance(value, float) else str(value)
    )


def _grouped(expr: Expr, text: str) -> str:
    return f"({text})" if expr.op in {"and", "or"} else text


def _negated(expr: Expr, text: str) -> str:
    swaps = {"in": (" is one of ", " is none of "), "like": (" looks like ", " does not look like ")}
    swaps |= {"is": (" is ", " is not "), "between": (" is between ", " is not between ")}
    if expr.op in swaps:
        return text.replace(*swaps[expr.op], 1)
    return f"not ({text})"


def _call(name: str, args: list[str]) -> str:
    if not args:
        return CALLS[name]
    if name == "isundefined":
        return f"{args[0]} is missing"
    if name == "topic":
        return f"level {args[0]} of the topic"
    return f"{name}({', '.join(args)})"


def _case(each: Expr, args: list[str]) -> str:
    pairs = args[:-1] if each.value else args
    parts = [f"{then} if {when}" for when, then in zip(pairs[::2], pairs[1::2])]
    return ", ".join([*parts, f"else {args[-1]}"] if each.value else parts)


def aggregate(each: Aggregate) -> str:
    """An aggregate as a phrase."""
    if each.function == "count" and each.argument is None:
        text = "the number of messages"
    else:
        kind = "different values of " if each.is_distinct else ""
        what = expression(each.argument) if each.argument is not None else ""
        text = f"{AGGREGATES[each.function]} {kind}{what}"
    return text if each.condition is None else f"{text} (of messages where {expression(each.condition)})"


# the rule ------------------------------------------------------------------------------------------------


def _title(rule: Rule) -> str:
    notes = [f"priority {rule.priority}"] if rule.priority else []
    notes += {"edge": ["at the edge only"], "cloud": ["in the cloud only"]}.get(rule.place, [])
    notes += ["with AWS's conversions"] if rule.is_aws else []
    return f"{rule.name} ({', '.join(notes)})" if notes else rule.name


def _body(rule: Rule) -> Iterator[str]:
    yield f"It takes messages on '{rule.source}'{_where(rule)}."
    yield from _timing(rule)
    yield "Then it" if rule.actions else "Then it does nothing."
    yield from (f"  - {_action(each, rule)}" for each in rule.actions)
    yield from _ending(rule)


def _where(rule: Rule) -> str:
    return "" if rule.where is None else f" where {expression(rule.where)}"


def _timing(rule: Rule) -> Iterator[str]:
    whom = "each thing" if rule.by is None else f"each value of {expression(rule.by)}"
    if rule.absent_s is not None:
        yield f"It fires when none has come from {whom} for {seconds(rule.absent_s)} after the last one."
    elif rule.window is not None:
        yield f"It takes together, for {whom}, {_window(rule.window)}."
        if rule.is_event_time:
            wait = f", and waits {seconds(rule.late_s)} for late ones" if rule.late_s else ""
            yield f"The time of a message is the one that the device says (ts){wait}."
        yield from _having(rule)
    elif rule.for_s is not None:
        yield f"It fires when that has held for {seconds(rule.for_s)} without a break, for {whom}."
    else:
        yield "It fires at each such message."
    if rule.cooldown_s is not None:
        yield f"It fires at most once in {seconds(rule.cooldown_s)} for {whom}."


def _having(rule: Rule) -> Iterator[str]:
    held = f" and has been for {seconds(rule.for_s)}" if rule.for_s is not None else ""
    if rule.having is None:
        yield f"It fires whenever it looks at them{held}."
    else:
        yield f"It fires when {expression(rule.having, rule.aggregates)}{held}."


def _window(window: Window) -> str:
    size, every = seconds(window.size_s), seconds(window.every_s)
    texts: dict[str, Callable[[], str]] = {
        "tumbling": lambda: f"the messages of every {size}, and looks at them when that is over",
        "hopping": lambda: f"the messages of the last {size}, and looks at them every {every}",
        "sliding": lambda: f"the messages of the last {size}, and looks at them at each message",
        "session": lambda: f"messages that are less than {size} apart{_most(window)}, and looks at them then",
        "count": lambda: f"{window.size_count} messages{_moves(window)}",
        "state": lambda: f"messages from when {_maybe(window.opens)} until {_maybe(window.closes)}",
    }
    return texts[window.kind]()


def _most(window: Window) -> str:
    return f" (for at most {seconds(window.most_s)})" if window.most_s else ""


def _moves(window: Window) -> str:
    return f", the last ones at every {window.every_count}" if window.every_count else ""


def _maybe(expr: Expr | None) -> str:
    return "" if expr is None else expression(expr)


def _action(action: RuleAction, rule: Rule) -> str:
    def words(expr: Expr) -> str:
        return expression(expr, rule.aggregates)

    match action:
        case DesireAction(things, values, expires_s):
            shown = ", ".join(f"{name} = {words(value)}" for name, value in values)
            until = f" for {seconds(expires_s)}" if expires_s is not None else ""
            return f"wants {shown} of {words(things)}{until}"
        case AlarmAction(severity, type_, text, thing):
            saying = f" that says {words(text)}" if text is not None else ""
            at = f" at {words(thing)}" if thing is not None else ""
            return f"raises the {severity} alarm {words(type_)}{at}{saying}"
        case PublishAction(topic, payload, qos):
            what = "what SELECT says" if payload is None else words(payload)
            return f"publishes {what} on {words(topic)} (QoS {qos})"
        case CommandAction(things, name, arguments, timeout_s):
            shown = ", ".join(f"{key} = {words(value)}" for key, value in arguments)
            within = f", to be done within {seconds(timeout_s)}" if timeout_s is not None else ""
            return f"commands {words(things)} to {name}{f' ({shown})' if shown else ''}{within}"
        case ForwardAction(sink, masked):
            without = f" without the values of {', '.join(masked)}" if masked else ""
            return f"hands what SELECT says to {sink}{without}"


def _ending(rule: Rule) -> Iterator[str]:
    if rule.clear is not None:
        held = f" for {seconds(rule.clear_for_s)}" if rule.clear_for_s else ""
        phrase = expression(rule.clear, rule.aggregates)
        yield f"It is over when {phrase}{held}; until then it does not fire anew{_again(rule)}."
    elif rule.absent_s is not None:
        yield "It is over with the next message."
    if rule.clear_actions:
        yield "Then it"
        yield from (f"  - {_action(each, rule)}" for each in rule.clear_actions)


def _again(rule: Rule) -> str:
    return f", but for a reminder after {seconds(rule.cooldown_s)}" if rule.cooldown_s is not None else ""
