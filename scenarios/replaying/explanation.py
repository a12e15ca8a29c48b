"""Why a requirement was met or missed, in plain words: where its message was held up, and by what."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from scenarios.judging.chain_path import ChainPath, Step, chain_path
from scenarios.replaying.document import Explained, Happening, Replay
from scenarios.report.wording import quantity

FAULT: Final = "fault"
BEGINS, ENDS = " begins", " ends"
NOTABLE_S: Final = 1.0
"""What took less was not held up."""
NOTHING_LED: Final = "Nothing in this chain led to what was asked for."


class FaultWindow(NamedTuple):
    """When a fault was at work; infinite if it did not end in the run."""

    name: str
    begin_s: float
    end_s: float


def explanation(requirement: Explained, replay: Replay) -> list[str]:
    """Sentences that say what held it up; names in them are a scenario author's own text."""
    if not requirement.chain:
        return [_without_chain(requirement)]
    path = chain_path(requirement.chain)
    sentences = [_whole(path), _hold_up(path), *_before(path, replay.events)]
    sentences += _meanwhile(path, fault_windows(replay.events))
    return [sentence for sentence in sentences if sentence]


def fault_windows(events: Iterable[Happening]) -> list[FaultWindow]:
    """Faults with their beginnings and ends, as the events tell them."""
    open_at: dict[str, float] = {}
    found = []
    for event in events:
        if event.kind != FAULT:
            continue
        if BEGINS in event.text:
            open_at.setdefault(event.text.replace(BEGINS, "", 1), event.at_s)
        elif ENDS in event.text and (name := event.text.replace(ENDS, "", 1)) in open_at:
            found.append(FaultWindow(name, open_at.pop(name), event.at_s))
    return sorted(
        [*found, *(FaultWindow(name, at_s, math.inf) for name, at_s in open_at.items())], key=_begin
    )


def clock(at_s: float, digits: int = 1) -> str:
    """A time in the run as people read it on a clock: 78.3 s is 1:18.3."""
    parts = 10**digits
    minutes, rest = divmod(math.floor(max(at_s, 0.0) * parts + 1e-4), 60 * parts)
    hours, minutes = divmod(minutes, 60)
    head = f"{hours}:{minutes:02d}" if hours else f"{minutes}"
    return f"{head}:{rest // parts:02d}.{rest % parts:0{digits}d}"


def _begin(window: FaultWindow) -> float:
    return window.begin_s


def _without_chain(requirement: Explained) -> str:
    if requirement.at_s is None:
        return "No message decides this requirement, and no single moment does."
    return f"No message decides this requirement. It was decided at {clock(requirement.at_s)}."


def _whole(path: ChainPath) -> str:
    if path.start is None or path.end is None:
        return ""
    return (
        f"From {_spaced(path.start.topic)} at {path.start.source} to {_spaced(path.end.topic)}"
        f" at {path.end.source} it took {quantity(path.took_s, 's')}."
    )


def _hold_up(path: ChainPath) -> str:
    lost, longest = path.last_lost, path.longest
    if lost is not None:
        return (
            f"The message from {lost.source} to {lost.to} was lost at {clock(lost.at_s)}:"
            f" {_cause(lost.note)}. It was not sent again, so nothing followed."
        )
    if longest is None:
        return "The messages of this chain took no time worth a word." if path.end else NOTHING_LED
    if path.end is not None or path.start is None:
        return _longest(path, longest)
    arrived = "Every message of this way arrived."
    return f"{_longest(path, longest) if longest.took_s >= NOTABLE_S else arrived} {NOTHING_LED}"


def _longest(path: ChainPath, step: Step) -> str:
    share = ""
    if math.isfinite(path.took_s) and path.took_s > 0:
        share = f", {step.took_s / path.took_s:.0%} of the time"
    took = quantity(step.took_s, "s")
    if step.kind == "hop":
        return f"The longest step was the message from {step.source} to {step.to}: {took}{share}."
    lost = [each for each in path.steps if each.kind == "lost" and each.topic == step.topic]
    if lost:
        tries = "one attempt" if len(lost) == 1 else f"{len(lost)} attempts"
        return (
            f"The message waited {took} at {step.source}{share}, after {tries} to reach {lost[0].to} had been"
            f" lost ({_cause(lost[-1].note)})."
        )
    if path.end is not None and step is path.steps[-1]:
        return f"The longest step was {step.source} itself, until {_spaced(step.topic)}: {took}{share}."
    return f"The longest step was inside {step.source}, before it sent on: {took}{share}."


def _before(path: ChainPath, events: Sequence[Happening]) -> list[str]:
    """A chain that began late: the same thing had happened before, and set nothing off."""
    start = path.start
    if start is None:
        return []
    first = next((event for event in events if event.kind == start.topic), None)
    if first is None or start.at_s - first.at_s < 0.05:
        return []
    whence = f" from {first.node}" if first.node else ""
    return [
        (
            f"This chain began at {clock(start.at_s)}; the first {_spaced(start.topic)} had come"
            f" {quantity(start.at_s - first.at_s, 's')} before, at {clock(first.at_s)}{whence},"
            " and had not led to it."
        )
    ]


def _meanwhile(path: ChainPath, windows: Sequence[FaultWindow]) -> list[str]:
    """The faults at work while the chain was held up, and how long it took after they had ended."""
    step = path.last_lost or path.longest
    if step is None:
        return []
    if step.kind != "lost" and step.took_s < NOTABLE_S:
        return []
    end_s = step.at_s + step.took_s
    found = []
    for window in windows:
        if window.begin_s > end_s or window.end_s < step.at_s:
            continue
        until = f"until {clock(window.end_s)}" if math.isfinite(window.end_s) else "until the end"
        found.append(f"At work meanwhile: {window.name}, from {clock(window.begin_s)} {until}.")
        if step.kind == "wait" and window.end_s < end_s:
            found.append(f"After it had ended, it took another {quantity(end_s - window.end_s, 's')}.")
    return found


def _cause(note: str) -> str:
    """What the ledger says of a loss, without the place, which the sentence has named."""
    return note.split(": ", 1)[-1] if note.startswith("lost at ") else note or "lost"


def _spaced(name: str) -> str:
    return name.replace("_", " ")
