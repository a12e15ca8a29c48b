"""One rule for one device: what a message or a deadline makes of its state, and whether it fires.

Everything here is a function of the rule, the state, the message and the time, so it is the same in virtual
time, live, after a restart and in a fork. What a deadline does has the time of the deadline, not the time at
which somebody came to look: a clock that wakes late changes nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Final

from twin.state.records import Record
from twin.state.rules.firing import Firing, Raised, Seen, alarms_of
from twin.state.rules.functions import U
from twin.state.rules.program import CompiledRule, Moment, Shadow, no_shadow
from twin.state.rules.windows import NOTHING, Kept, Pane, View, elapse, enter, hop_s, joined

MOST_RAISED: Final = 64
"""Alarms of one rule and device that are remembered to be cleared."""


class RuleState(Record, frozen=True, kw_only=True, gc=False):
    """What one rule knows about one device; times in seconds of the engine's clock, None: not running.

    `since_s`: the condition holds since then; `is_held`: for long enough; `is_active`: fired, not cleared;
    `is_waiting`: to fire when it has cooled down; `seen_s`: for ABSENT; `panes`, `boundary`, `ticks`,
    `close_s`: the window; `last`: the message of which a timer will speak; `raised`: alarms to be cleared;
    `digest`: of the rule's text, as the state of another text is worth nothing.
    """

    digest: str = ""
    since_s: float | None = None
    is_held: bool = False
    cooldown_until_s: float | None = None
    is_active: bool = False
    is_waiting: bool = False
    clear_since_s: float | None = None
    seen_s: float | None = None
    panes: tuple[Pane, ...] = ()
    boundary: int = 0
    ticks: int = 0
    close_s: float | None = None
    is_open: bool = False
    last: Seen | None = None
    raised: tuple[Raised, ...] = ()


@dataclass(slots=True)
class Partition:
    """The state of one rule for one device while it changes."""

    rule: CompiledRule
    key: str
    since_s: float | None = None
    is_held: bool = False
    cooldown_until_s: float | None = None
    is_active: bool = False
    is_waiting: bool = False
    clear_since_s: float | None = None
    seen_s: float | None = None
    kept: Kept = NOTHING
    is_open: bool = False
    last: Seen | None = None
    raised: tuple[Raised, ...] = ()
    shadow: Shadow = no_shadow

    firings: list[Firing] = field(default_factory=list)
    suppressed_count: int = 0
    late_count: int = 0

    @classmethod
    def of(cls, rule: CompiledRule, key: str, state: RuleState | None, shadow: Shadow) -> Partition:
        """What a record says."""
        found = cls(rule, key, shadow=shadow)
        if state is not None and state.digest == rule.digest:
            found.since_s, found.is_held = state.since_s, state.is_held
            found.cooldown_until_s, found.is_active = state.cooldown_until_s, state.is_active
            found.is_waiting = state.is_waiting
            found.clear_since_s, found.seen_s = state.clear_since_s, state.seen_s
            due_s = math.inf if state.close_s is None else state.close_s
            found.kept = Kept(state.panes, state.boundary, state.ticks, due_s)
            found.is_open, found.last, found.raised = state.is_open, state.last, state.raised
        return found

    def record(self) -> RuleState | None:
        """The record to keep; None if there is nothing to remember."""
        close_s = None if self.kept.due_s == math.inf else self.kept.due_s
        due_s = self.due_s()
        is_running = due_s != math.inf or self.is_active or bool(self.kept.panes) or self.is_open
        if not is_running and self.since_s is None:
            return None
        return RuleState(
            due_s=due_s,
            digest=self.rule.digest,
            since_s=self.since_s,
            is_held=self.is_held,
            cooldown_until_s=self.cooldown_until_s,
            is_active=self.is_active,
            is_waiting=self.is_waiting,
            clear_since_s=self.clear_since_s,
            seen_s=self.seen_s,
            panes=self.kept.panes,
            boundary=self.kept.boundary,
            ticks=self.kept.ticks,
            close_s=close_s,
            is_open=self.is_open,
            last=self.last,
            raised=self.raised,
        )

    # deadlines --------------------------------------------------------------------------------------------

    def due_s(self) -> float:
        """The next time at which something happens without a message (seconds), infinite if never."""
        return min(due_s for due_s, _ in self._deadlines())

    def _deadlines(self) -> list[tuple[float, str]]:
        """Every deadline, in the order in which those of the same time are taken."""
        rule = self.rule.rule
        found = [(self.kept.due_s, "window")]
        if self.since_s is not None and not self.is_held and rule.window is None and rule.for_s is not None:
            found.append((self.since_s + rule.for_s, "held"))
        if self.seen_s is not None and rule.absent_s is not None:
            found.append((self.seen_s + rule.absent_s, "absent"))
        if self.clear_since_s is not None:
            found.append((self.clear_since_s + rule.clear_for_s, "clear"))
        if self.cooldown_until_s is not None:
            found.append((self.cooldown_until_s, "cooldown"))
        return found

    def settle(self, now_s: float) -> None:
        """Do what time has brought up to `now_s`, in its order."""
        while (due_s := self.due_s()) <= now_s:
            self.pass_deadline(due_s)

    def pass_deadline(self, due_s: float) -> None:
        """Do what is due at this time."""
        what = next(what for at_s, what in self._deadlines() if at_s <= due_s)
        match what:
            case "window":
                self._window_ends(due_s)
            case "held":
                self.is_held = True
                self._try(due_s, waits=True)
            case "absent":
                self.seen_s = self.clear_since_s = None  # silent again: nothing is over
                self._try(due_s, waits=True)
            case "clear":
                self._clear(due_s)
            case "cooldown":
                self.cooldown_until_s = None
                if self.is_waiting:
                    self._try(due_s)

    def _window_ends(self, due_s: float) -> None:
        rule = self.rule.rule
        if rule.window is None:
            self.kept = NOTHING
            return
        was_empty, is_sliding = not self.kept.panes, rule.window.kind == "sliding"
        self.kept = elapse(rule.window, self.rule.columns, self.kept, rule.late_s)
        if is_sliding:
            self.since_s = None
            if rule.clear is None:
                self.is_active = False
        if self.kept.view is not None:
            self._look(self.kept.view._replace(at_s=due_s))
        self.kept = self.kept._replace(view=None)
        if self.kept.panes or not self.is_active or not self.rule.clears_on_window or self.last is None:
            return
        if was_empty or is_sliding:
            results = joined(self.rule.columns, ())
            self._consider_clear(self.last.fields.get, self._moment(self.last, due_s), results, self.last)
        elif rule.window.kind in ("tumbling", "hopping"):
            self.kept = Kept((), due_s=due_s + hop_s(rule.window))  # to see once that nothing is left

    # messages ---------------------------------------------------------------------------------------------

    def take(self, seen: Seen, moment: Moment, where: Any) -> None:
        """A message came at `seen.at_s`, and WHERE was true, false or Undefined of it."""
        get = seen.fields.get
        if self.rule.rule.absent_s is not None:
            self._heard(seen, where)
            return
        outcome = where
        if self.rule.rule.window is not None:
            outcome = self._enter(seen, moment) if where is True else U
        else:
            self._judge(outcome, seen)
        if outcome is not True and not self.rule.clears_on_window:
            self._consider_clear(get, moment, (), seen)

    def _heard(self, seen: Seen, where: Any) -> None:
        """ABSENT FOR: the device has spoken."""
        if where is not True:
            return
        self.last = self._short(seen)
        self.seen_s, self.is_waiting = seen.at_s, False
        if self.is_active and self.rule.clear is None:
            self._clear(seen.at_s)
        elif self.is_active:
            moment = self._moment(seen)
            self._consider_clear(seen.fields.get, moment, (), seen)

    def _judge(self, outcome: Any, seen: Seen) -> None:
        """The condition of a rule without a window, at a message."""
        rule = self.rule.rule
        if outcome is True:
            self.clear_since_s = None
            if rule.for_s is None:
                self.last = self._short(seen)
                self._try(seen.at_s)
                return
            if self.since_s is None:
                self.since_s, self.is_held = seen.at_s, False
            self.last = self._short(seen) if not self.is_held or self.rule.may_repeat else self.last
            if self.is_held:
                self._try(seen.at_s)
        elif outcome is False:
            self.since_s, self.is_held, self.is_waiting = None, False, False
            if self.rule.clear is None:
                self.is_active = False

    def _enter(self, seen: Seen, moment: Moment) -> Any:
        """A message enters the window; what HAVING says, Undefined if nobody looked."""
        rule, window = self.rule.rule, self.rule.rule.window
        if window is None:
            return U
        get = seen.fields.get
        if window.kind == "state" and not self.is_open:
            if self.rule.opens is None or self.rule.opens(get, moment, ()) is not True:
                return U
            self.is_open = True
        sums = tuple(column.of(get, moment) for column in self.rule.columns)
        at_s = _event_time(seen) if rule.is_event_time else seen.at_s
        self.kept = enter(window, self.rule.columns, self.kept, sums, at_s, seen.at_s, rule.late_s)
        self.late_count += self.kept.is_late
        self.last = self._short(seen)
        if window.kind == "state" and self.rule.closes is not None:
            if self.rule.closes(get, moment, ()) is not True:
                return U
            panes, self.kept, self.is_open = self.kept.panes, NOTHING, False
            return self._look(View(seen.at_s, joined(self.rule.columns, panes)))
        view, self.kept = self.kept.view, self.kept._replace(view=None, is_late=False)
        return U if view is None else self._look(view)

    def _look(self, view: View) -> Any:
        """Look at the window: fire if HAVING is true, and has been for long enough."""
        last = self.last
        if last is None:
            return U
        moment = self._moment(last, view.at_s)
        rule = self.rule
        outcome = True
        if rule.having is not None:
            outcome = rule.having(last.fields.get, moment, view.results)
        if outcome is True:
            self.clear_since_s = None
            self.since_s = view.at_s if self.since_s is None else self.since_s
            if rule.rule.for_s is None or view.at_s - self.since_s >= rule.rule.for_s:
                self._try(view.at_s, view.results)
            if rule.rule.for_s is None:
                self.since_s = None
        elif outcome is False:
            self.since_s = None
            if rule.clear is None:
                self.is_active = False
        if outcome is not True and rule.clears_on_window:
            self._consider_clear(last.fields.get, moment, view.results, last)
        return outcome

    # firing and clearing ----------------------------------------------------------------------------------

    def _try(self, at_s: float, results: tuple[Any, ...] = (), *, waits: bool = False) -> None:
        """Fire, unless the rule has fired for this already or is cooling down, which the clock waits for."""
        if self.last is None or (self.is_active and not self.rule.may_repeat):
            return
        if self.cooldown_until_s is not None and at_s < self.cooldown_until_s:
            self.suppressed_count += 1
            self.is_waiting |= waits and not self.is_active
            return
        self.is_waiting = False
        cooldown_s = self.rule.rule.cooldown_s
        self.cooldown_until_s = None if cooldown_s is None else at_s + cooldown_s
        self.is_active = self.rule.is_latched
        firing = Firing(self.rule, self.key, at_s, self.last, results)
        self.firings.append(firing)
        if self.is_active:
            raised = (each.identity for each in alarms_of(firing, self.shadow))
            self.raised = tuple(dict.fromkeys((*self.raised, *raised)))[:MOST_RAISED]

    def _consider_clear(self, get: Any, moment: Moment, results: tuple[Any, ...], seen: Seen) -> None:
        """Whether what was fired is over, or begins to be."""
        if not self.is_active or self.rule.clear is None:
            return
        outcome = self.rule.clear(get, moment, results)
        if outcome is True:
            self.last = self._short(seen)
            if self.rule.rule.clear_for_s == 0:
                self._clear(moment.now_s)
            elif self.clear_since_s is None:
                self.clear_since_s = moment.now_s
        elif outcome is False:
            self.clear_since_s = None

    def _clear(self, at_s: float) -> None:
        self.clear_since_s, self.since_s, self.is_held, self.is_waiting = None, None, False, False
        was_active, self.is_active = self.is_active, False
        raised, self.raised = self.raised, ()
        if was_active and self.last is not None:
            self.firings.append(Firing(self.rule, self.key, at_s, self.last, is_cleared=True, raised=raised))

    def _short(self, seen: Seen) -> Seen:
        """The message without the fields that no timer needs."""
        return Seen(seen.topic, self.rule.kept(seen.fields), seen.at_s, seen.site)

    def _moment(self, seen: Seen, at_s: float | None = None) -> Moment:
        return Moment(seen.topic, seen.at_s if at_s is None else at_s, shadow_value=self.shadow)


def _event_time(seen: Seen) -> float:
    """The time that the device says (`ts`, milliseconds), at most that of the engine's clock."""
    stamp = seen.fields.get("ts")
    if stamp.__class__ not in (int, float) or not math.isfinite(stamp):
        return seen.at_s
    return min(stamp / 1000.0, seen.at_s)
