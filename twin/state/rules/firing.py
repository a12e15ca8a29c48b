"""A rule that fired, and the actions that follow from it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import msgspec

from twin.mqtt.topics import TOPIC_LIMIT_BYTES
from twin.state.rules.functions import U, glob
from twin.state.rules.port import Action, Alarm, Command, Desire, Forward, Publish
from twin.state.rules.program import ELSEWHERE, CompiledRule, Fields, Moment, Shadow
from twin.state.rules.syntax import (
    AlarmAction,
    CommandAction,
    DesireAction,
    ForwardAction,
    PublishAction,
    RuleAction,
)

MOST_THINGS: Final = 1_000
"""Things that one action reaches."""
MASK: Final = "***"


class Seen(NamedTuple):
    """A message, as far as a timer needs it: topic, fields, time (seconds), the site that was before it."""

    topic: str
    fields: Fields
    at_s: float
    site: str = ""


class Raised(NamedTuple):
    """An alarm that the rule has raised."""

    thing: str
    type: str
    severity: str


@dataclass(slots=True)
class Firing:
    """A rule fired, or what it had fired is over; `results` are the values of its window's aggregates."""

    rule: CompiledRule
    partition: str
    at_s: float
    seen: Seen
    results: tuple[Any, ...] = ()
    is_cleared: bool = False
    raised: tuple[Raised, ...] = ()

    @property
    def thing(self) -> str:
        """The thing that the message of the firing is about."""
        return self.moment().thing

    def moment(self, shadow: Shadow | None = None) -> Moment:
        """What the actions' expressions may ask, at the time of the firing."""
        found = Moment(self.seen.topic, self.at_s)
        if shadow is not None:
            found.shadow_value = shadow
        return found

    def document(self, shadow: Shadow | None = None) -> Fields:
        """What SELECT makes of the message and the window."""
        fields = self.seen.fields
        return self.rule.document(fields.get, self.moment(shadow), self.results, fields)


class Named(NamedTuple):
    """An alarm that an action raises, and its text."""

    identity: Raised
    text: str


class Actions(NamedTuple):
    """What a firing asks for.

    `skipped_count` actions could not be said, because a value in them is Undefined or unfit for a name;
    `unmatched` are the patterns that name nothing.
    """

    actions: list[Action]
    skipped_count: int
    unmatched: list[str]


def alarms_of(firing: Firing, shadow: Shadow) -> Iterator[Named]:
    """The alarms that a firing raises."""
    moment = firing.moment(shadow)
    for action, functions in firing.rule.actions:
        if isinstance(action, AlarmAction) and (found := _alarm(action, functions, firing, moment)):
            yield found


def actions_of(firing: Firing, kinds: Mapping[str, str], shadow: Shadow) -> Actions:
    """The actions of a firing in their order; `kinds` are the things that patterns choose from."""
    moment = firing.moment(shadow)
    made: list[Action] = []
    skipped_count, unmatched = 0, []
    if firing.is_cleared:
        made += _cleared(firing)
    todo = firing.rule.clear_actions if firing.is_cleared else firing.rule.actions
    for number, (action, functions) in enumerate(todo):
        found = _made(number, action, functions, firing, moment, kinds)
        skipped_count += found is None
        made += found or ()
        if found == []:
            unmatched.append(str(_value(functions[0], firing, moment)))
    return Actions(made, skipped_count, unmatched)


def _made(
    number: int,
    action: RuleAction,
    functions: tuple[Any, ...],
    firing: Firing,
    moment: Moment,
    kinds: Mapping[str, str],
) -> list[Action] | None:
    """What one action asks for; None if it cannot be said."""
    match action:
        case DesireAction(_, pairs, expires_s):
            things = _things(functions[0], firing, moment, kinds)
            values = _values(pairs, functions[1:], firing, moment)
            return None if things is None else [Desire(thing, values, expires_s) for thing in things]
        case CommandAction(_, name, pairs, timeout_s):
            things = _things(functions[0], firing, moment, kinds)
            values = _values(pairs, functions[1:], firing, moment)
            key = f"{firing.rule.name}:{firing.partition}:{round(firing.at_s * 1e6)}:{number}"
            return (
                None
                if things is None
                else [
                    Command(kinds.get(thing, ""), thing, name, values, timeout_s, f"{key}:{thing}")
                    for thing in things
                ]
            )
        case AlarmAction(severity):
            alarm = _alarm(action, functions, firing, moment)
            if alarm is None:
                return None
            (thing, type_, _), text = alarm
            return [Alarm(severity, text, type_, thing)]  # type: ignore[arg-type]
        case PublishAction():
            return _publish(action, functions, firing, moment)
        case ForwardAction(sink, masked):
            document = firing.document(moment.shadow_value)
            hidden = dict.fromkeys(document.keys() & _columns_with(firing.rule, masked), MASK)
            stamp = {"rule": firing.rule.name, "thing": moment.thing, "at_s": firing.at_s}
            return [Forward(sink, {**stamp, "document": document | hidden})]
    return None


def _columns_with(rule: CompiledRule, masked: tuple[str, ...]) -> set[str]:
    """The columns of these names, and those made from fields of these names."""
    found = set(masked)
    for column in rule.rule.selections:
        if column.value is not None and any(
            each.op in {"field", "get"} and each.value in masked for each in column.value.walk()
        ):
            found.add(column.name)
    return found


def _value(function: Any, firing: Firing, moment: Moment) -> Any:
    return function(firing.seen.fields.get, moment, firing.results)


def _things(function: Any, firing: Firing, moment: Moment, kinds: Mapping[str, str]) -> list[str] | None:
    pattern = _value(function, firing, moment)
    return None if pattern is U or not pattern else things_named(pattern, kinds)[:MOST_THINGS]


def _values(
    pairs: tuple[tuple[str, Any], ...], functions: tuple[Any, ...], firing: Firing, moment: Moment
) -> dict[str, Any]:
    """The values that are set; what is Undefined is left out."""
    found = {name: _value(each, firing, moment) for (name, _), each in zip(pairs, functions)}
    return {name: value for name, value in found.items() if value is not U}


def _alarm(action: AlarmAction, functions: tuple[Any, ...], firing: Firing, moment: Moment) -> Named | None:
    type_ = _value(functions[0], firing, moment)
    text = _value(functions[1], firing, moment) if functions[1] is not None else type_
    thing = _value(functions[2], firing, moment) if functions[2] is not None else moment.thing
    if U in (type_, thing) or not type_ or not thing:
        return None
    return Named(Raised(thing, type_, action.severity), type_ if text is U else text)


def _cleared(firing: Firing) -> Iterator[Alarm]:
    """The end of each alarm that was raised."""
    for thing, type_, severity in firing.raised:
        yield Alarm(severity, f"{type_} is over", type_, thing, is_cleared=True)  # type: ignore[arg-type]


def _publish(
    action: PublishAction, functions: tuple[Any, ...], firing: Firing, moment: Moment
) -> list[Action] | None:
    topic = _value(functions[0], firing, moment)
    if topic is U or not topic or "+" in topic or "#" in topic or len(topic.encode()) > TOPIC_LIMIT_BYTES:
        return None
    if functions[1] is None:
        payload: Any = firing.document(moment.shadow_value)
    else:
        payload = _value(functions[1], firing, moment)
    if payload is U:
        return None
    if firing.seen.site and not topic.startswith(ELSEWHERE):
        topic = f"site/{firing.seen.site}/{topic}"
    data = payload.encode() if payload.__class__ is str else msgspec.json.encode(payload)
    return [Publish(topic, data, action.qos)]


def things_named(pattern: str, kinds: Mapping[str, str]) -> list[str]:
    """The things of a pattern such as `gate-*` or, with their kind, `boom_gate/*`, by name."""
    kind, slash, rest = pattern.rpartition("/")
    if not slash and not any(char in rest for char in "*?"):
        return [rest]
    fits = glob(rest)
    return sorted(
        thing for thing, its_kind in kinds.items() if (not slash or its_kind == kind) and fits(thing)
    )
