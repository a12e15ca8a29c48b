"""The rules as a component of the twin service: rules and their state are records."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from twin.errors import InputError
from twin.message import Message
from twin.mqtt.topics import matches
from twin.state.records import Record, Records, Transaction
from twin.state.rules.evaluation import Partition, RuleState
from twin.state.rules.firing import Actions, Firing, Raised, Seen, actions_of
from twin.state.rules.functions import U, text
from twin.state.rules.port import Action
from twin.state.rules.problems import nearest
from twin.state.rules.program import (
    ELSEWHERE,
    CompiledRule,
    Fields,
    Moment,
    Program,
    compiled,
    field_topic,
    fields_of,
    no_shadow,
    site_of,
)

MOST_STATES: Final = 200_000
"""Devices, over all rules, of which something is remembered."""
MOST_RULES: Final = 1_000
LONGEST_KEY: Final = 200
FIELD_FILTERS: Final = ("site/#",)
"""What a broker has of the field: rules that are added while the service runs find their messages there."""

Perform: TypeAlias = Callable[[Action, Transaction], None]
Kinds: TypeAlias = Callable[[Records], Mapping[str, str]]
ShadowOf: TypeAlias = Callable[[Records, str, str], Any]


class RuleText(Record, frozen=True, kw_only=True, gc=False):
    """A rule that was put in: its text, whether it runs, how often it was changed, by whom."""

    text: str
    is_enabled: bool = True
    version: int = 1
    who: str = ""


class RuleBook(Record, frozen=True, kw_only=True, gc=False):
    """How often any rule was changed; what was made from the rules is made anew with it."""

    version: int = 0


def no_kinds(_records: Records) -> Mapping[str, str]:
    """Where no things are known patterns name nothing."""
    return {}


def no_shadow_of(_records: Records, _thing: str, _path: str) -> Any:
    """Where there are no shadows every value of theirs is Undefined."""
    return U


def perform_nothing(_action: Action, _transaction: Transaction) -> None:
    """Fires, and does nothing about it."""


@dataclass(slots=True)
class Rules:
    """Evaluates every message once for each rule that takes it, in the order of priority.

    `given` are the rules of files; others are put in as records while the service runs, and one of the same
    name takes the place of a given one. `place` is where this is (edge, cloud; empty: everywhere). `perform`
    does what a rule asks for, within the same transaction. `kinds` are the things that patterns choose from,
    each with its kind; `shadow_of` reads a value in a shadow (Undefined: an empty tuple).

    Observes `rule_fired` with the number of actions, `rule_cleared`, and how often something was not done:
    `rule_undefined` (WHERE, BY), `rule_payload` (no JSON object), `rule_suppressed` (COOLDOWN), `rule_late`,
    `rule_overflow` (more than 200,000 states), `rule_skipped` (an action with a value that is Undefined),
    `rule_unmatched` (a pattern that names nothing).
    """

    given: Sequence[CompiledRule] = ()
    perform: Perform = perform_nothing
    place: str = ""
    kinds_of: Kinds = no_kinds
    shadow_of: ShadowOf = no_shadow_of
    field_filters: Sequence[str] = FIELD_FILTERS
    on_firing: Callable[[Firing, Actions, Transaction], None] | None = None

    _book: RuleBook | None = field(init=False, default=None)
    _program: Program | None = field(init=False, default=None)

    @property
    def filters(self) -> Sequence[str]:
        """The field's topics and what the given rules take besides."""
        wanted = [self._subscription(each) for each in Program(self.given, self.place).sources]
        further = [each for each in wanted if not self._is_covered(each)]
        return list(dict.fromkeys((*self.field_filters, *further)))

    @property
    def kinds(self) -> Mapping[str, type[Record]]:
        """Rules, how often they were changed, and what each knows about each device."""
        return {"rule": RuleText, "rule_book": RuleBook, "rule_state": RuleState}

    # rules that come and go -------------------------------------------------------------------------------

    def put_rule(
        self, rule_text: str, transaction: Transaction, *, who: str = "", is_enabled: bool = True
    ) -> str:
        """Put in a rule, or another text for one of the same name, and return the name.

        Raises RulesError for a text that is no rule, InputError for one whose messages do not come here. The
        state of the old text is forgotten; alarms that it had raised are cleared.
        """
        rules = compiled(rule_text)
        if len(rules) != 1:
            raise InputError(f"one rule was expected, not {len(rules)}")
        rule = rules[0]
        source = self._subscription(rule.rule.source)
        if not self._is_covered(source) and source not in self.filters:
            shown = ", ".join(self.filters)
            raise InputError(f"no messages of '{rule.rule.source}' come here; the service takes: {shown}")
        records = transaction.records
        old: RuleText | None = records.get("rule", rule.name)
        if old is None and len(records.of("rule")) >= MOST_RULES:
            raise InputError(f"there are {MOST_RULES} rules already")
        if old is None or old.text != rule_text:
            self._forget_states(rule.name, transaction)
        version = 1 if old is None else old.version + 1
        made = RuleText(text=rule_text, is_enabled=is_enabled, version=version, who=who)
        transaction.put("rule", rule.name, made)
        self._changed(transaction)
        return rule.name

    def enable_rule(self, name: str, transaction: Transaction, *, is_enabled: bool, who: str = "") -> None:
        """Let a rule run, or stop it and forget its state. Raises InputError for an unknown name."""
        rule_text = self._text_of(name, transaction.records)
        self.put_rule(rule_text, transaction, who=who, is_enabled=is_enabled)
        if not is_enabled:
            self._forget_states(name, transaction)

    def remove_rule(self, name: str, transaction: Transaction) -> None:
        """Take out a rule that was put in; a given one of the same name runs again. Raises InputError."""
        if transaction.records.get("rule", name) is None:
            near = nearest(name, transaction.records.of("rule"))
            raise InputError(f"no rule '{name}' was put in{f'; {near}' if near else ''}")
        self._forget_states(name, transaction)
        transaction.remove("rule", name)
        self._changed(transaction)

    def program(self, records: Records) -> Program:
        """The rules that run now."""
        book: RuleBook | None = records.get("rule_book", "all")
        program = self._program
        if program is None or book is not self._book:
            texts: Mapping[str, RuleText] = records.of("rule")
            rules = [each for each in self.given if each.name not in texts]
            rules += [compiled(each.text)[0] for each in texts.values() if each.is_enabled]
            program = self._program = Program(rules, self.place)
            self._book = book
        return program

    def _text_of(self, name: str, records: Records) -> str:
        found: RuleText | None = records.get("rule", name)
        if found is not None:
            return found.text
        given = {each.name: each.rule.text for each in self.given}
        if name not in given:
            near = nearest(name, [*given, *records.of("rule")])
            raise InputError(f"there is no rule '{name}'{f'; {near}' if near else ''}")
        return given[name]

    def _changed(self, transaction: Transaction) -> None:
        book: RuleBook | None = transaction.records.get("rule_book", "all")
        transaction.put("rule_book", "all", RuleBook(version=1 if book is None else book.version + 1))

    def _forget_states(self, name: str, transaction: Transaction) -> None:
        rule = self.program(transaction.records).by_name.get(name)
        states: Mapping[str, RuleState] = transaction.records.of("rule_state")
        for key in [each for each in states if each.startswith(f"{name}|")]:
            state = states[key]
            if rule is not None and state.is_active and state.last is not None:
                firing = Firing(
                    rule, key.partition("|")[2], transaction.now_s, state.last, is_cleared=True,
                    raised=tuple(Raised(*each) for each in state.raised),
                )  # fmt: skip
                self._fire(firing, transaction)
            transaction.remove("rule_state", key)

    def _subscription(self, source: str) -> str:
        """The filter at a broker of what a rule takes."""
        return source if source.startswith(ELSEWHERE) else f"site/+/{source}"

    def _is_covered(self, source: str) -> bool:
        """Whether every message of a filter comes with the field's."""
        sample = source.replace("+", "\x01").replace("#", "\x01")
        return any(matches(each, sample) for each in self.field_filters)

    # messages and deadlines -------------------------------------------------------------------------------

    def handle(self, message: Message, transaction: Transaction) -> None:
        """Evaluate the rules that take the message; whatever is in it, nothing is raised."""
        records = transaction.records
        rules = self.program(records).taking(message.topic)
        if not rules:
            return
        fields = fields_of(message.payload)
        if fields is None:
            transaction.observe("rule_payload")
            return
        get, shadow, now_s = fields.get, self._shadow(records), transaction.now_s
        near = Moment(field_topic(message.topic), now_s, shadow_value=shadow)
        far = Moment(message.topic, now_s, shadow_value=shadow)
        for rule in rules:  # most rules are not true of most messages: nothing is made for those
            moment = near if rule.takes_field_topics else far
            where = True if rule.where is None else rule.where(get, moment, ())
            if where is U:
                transaction.observe("rule_undefined")
            if where is True or not rule.is_stateless:
                seen = Seen(moment.topic, fields, now_s, site_of(message.topic))
                self._evaluate(rule, seen, moment, where, transaction)

    def _evaluate(
        self, rule: CompiledRule, seen: Seen, moment: Moment, where: Any, transaction: Transaction
    ) -> None:
        """Fire a rule without state, or tell the state of the device what came."""
        if rule.is_stateless:
            self._fire(Firing(rule, moment.thing, seen.at_s, seen), transaction)
            return
        partition_name = self._partition_name(rule, seen.fields, moment, transaction)
        if partition_name is None:
            return
        key = f"{rule.name}|{partition_name}"
        old: RuleState | None = transaction.records.get("rule_state", key)
        if old is None and where is not True:
            return
        partition = Partition.of(rule, partition_name, old, moment.shadow_value)
        partition.settle(transaction.now_s)
        partition.take(seen, moment, where)
        self._keep(partition, key, old, transaction)

    def _partition_name(
        self, rule: CompiledRule, fields: Fields, moment: Moment, transaction: Transaction
    ) -> str | None:
        """What the rule tells apart: devices, or the values of BY."""
        if rule.by is None:
            return moment.thing
        found = text(rule.by(fields.get, moment, ()))
        if found is U or len(found) > LONGEST_KEY:
            transaction.observe("rule_undefined")
            return None
        return str(found)

    def expire(self, kind: str, key: str, transaction: Transaction) -> None:
        """The time of a state has come: a FOR, a window, an absence, the end of a cool-down."""
        if kind != "rule_state":
            return
        name, _, partition_name = key.partition("|")
        old: RuleState = transaction.records.get(kind, key)
        rule = self.program(transaction.records).by_name.get(name)
        if rule is None or rule.digest != old.digest:
            transaction.remove(kind, key)
            return
        partition = Partition.of(rule, partition_name, old, self._shadow(transaction.records))
        partition.pass_deadline(old.due_s)
        self._keep(partition, key, old, transaction)

    def _keep(self, partition: Partition, key: str, old: RuleState | None, transaction: Transaction) -> None:
        """Fire what has fired, and keep the state if it has changed."""
        for firing in partition.firings:
            self._fire(firing, transaction)
        for measure, count in (
            ("rule_suppressed", partition.suppressed_count), ("rule_late", partition.late_count),
        ):  # fmt: skip
            if count:
                transaction.observe(measure, count)
        new = partition.record()
        if new is None:
            if old is not None:
                transaction.remove("rule_state", key)
        elif old is None and len(transaction.records.of("rule_state")) >= MOST_STATES:
            transaction.observe("rule_overflow")
        elif new != old:
            transaction.put("rule_state", key, new)

    def _fire(self, firing: Firing, transaction: Transaction) -> None:
        """Do what follows from a firing, as of its own time."""
        records = transaction.records
        found = actions_of(firing, self.kinds_of(records), self._shadow(records))
        if firing.is_cleared:
            transaction.observe("rule_cleared")
        else:
            transaction.observe("rule_fired", len(found.actions))
        for measure, count in (
            ("rule_skipped", found.skipped_count),
            ("rule_unmatched", len(found.unmatched)),
        ):
            if count:
                transaction.observe(measure, count)
        if self.on_firing is not None:
            self.on_firing(firing, found, transaction)
        for action in found.actions:
            self.perform(action, transaction)

    def _shadow(self, records: Records) -> Callable[[str, str], Any]:
        if self.shadow_of is no_shadow_of:
            return no_shadow
        return lambda thing, path: self.shadow_of(records, thing, path)
