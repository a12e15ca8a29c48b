"""What the page Replay shows, without a browser: choices, moments, events, and the way of a message."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from scenarios.judging.chain_path import ChainPath, Step, chain_path, took_s
from scenarios.replaying.document import Device, Explained, Happening, Replay
from scenarios.replaying.explanation import clock
from scenarios.report.wording import count, quantity
from scenarios.results import Hop, VariantResult, decode
from twin.errors import InputError

PROGRESS: Final = "progress.json"
MOST_ROWS: Final = 200
"""Devices told of in one moment."""
MOST_STEPS: Final = 60
MOST_NAMED: Final = 3
BACK: Final = "/back"
"""How the other direction of a link is called."""
NEVER: Final = "\u2013"
MILLISECONDS: Final = 3


class SeedChoice(NamedTuple):
    """A replication that can be shown, and why one would."""

    seed: int
    reasons: tuple[str, ...]

    @property
    def label(self) -> str:
        """The seed, with the requirements that it misses worst."""
        if not self.reasons:
            return str(self.seed)
        what = self.reasons[0] if len(self.reasons) == 1 else count(len(self.reasons), "requirement")
        return f"{self.seed} (misses {what})"


def seed_choices(variant: VariantResult) -> list[SeedChoice]:
    """The replications of a variant: the worst of each missed requirement first."""
    reasons: dict[int, list[str]] = {}
    for each in variant.requirements:
        if each.met < each.runs and each.worst_seed is not None:
            reasons.setdefault(each.worst_seed, []).append(each.name)
    worst = [SeedChoice(seed, tuple(names)) for seed, names in reasons.items()]
    return worst + [SeedChoice(seed, ()) for seed in variant.seeds if seed not in reasons]


def command(run: str, variant: str, seed: int, root: Path) -> list[str]:
    """The command that makes a replay."""
    return ["replay", run, "--variant", variant, "--seed", str(seed), "--runs", str(root)]


def share_done(folder: Path) -> float:
    """How much of a replay that is being made is done, 0..1; 0 while nobody says."""
    try:
        told = msgspec.json.decode((folder / PROGRESS).read_bytes())
        return min(max(float(told["done"]) / float(told["planned"]), 0.0), 1.0)
    except (OSError, msgspec.MsgspecError, KeyError, TypeError, ValueError, ZeroDivisionError):
        return 0.0


def read_replay(path: Path) -> Replay:
    """A stored replay document. Raises InputError if there is none that can be read."""
    try:
        return decode(path.read_bytes(), Replay)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read as a replay: {error}") from error


def first_to_explain(requirements: Sequence[Explained]) -> str:
    """The requirement whose why is shown unasked: the first missed one, with a chain if any has."""
    missed = [each for each in requirements if not each.is_met]
    ranked = [*(each for each in missed if each.chain), *missed, *requirements]
    return ranked[0].name if ranked else ""


# one moment ----------------------------------------------------------------------------------------------


def figures_at(replay: Replay, at_s: float) -> list[tuple[str, str]]:
    """The counted quantities at a time: who is inside, who waits where, the smoke."""
    found = []
    for name, rows in replay.occupancy.items():
        value = _last(rows, at_s)
        if value is not None:
            is_height = name.endswith("_m")
            found.append((_figure_name(name), quantity(value, "m") if is_height else f"{value:.0f}"))
    for name, rows in sorted(replay.queues.items()):
        waiting = _last(rows, at_s)
        if waiting:
            found.append((f"waiting at {name}", f"{waiting:.0f}"))
    return found


def moment_line(replay: Replay, at_s: float) -> str:
    """The moment in one sentence: who is inside, what is not as usual, and what happened last."""
    inside = [
        f"{value:.0f} {name} inside"
        for name in ("people", "cars")
        if (value := _last(replay.occupancy.get(name, ()), at_s)) is not None
    ]
    cut = [
        f"{link.name} {state}"
        for link in replay.links
        if (state := _last(link.states, at_s)) not in {None, "up"} and not link.name.endswith(BACK)
    ]
    more = [count(len(cut) - MOST_NAMED, "more link")] if len(cut) > MOST_NAMED else []
    last = events_around(replay, at_s, before=1, after=0)
    told = [f"last: {each.text}{f' ({each.node})' if each.node else ''}" for each in last]
    parts = [*inside, *cut[:MOST_NAMED], *more, *told]
    return f"At {clock(at_s)}: {', '.join(parts) or 'nothing yet'}."


def states_at(replay: Replay, at_s: float) -> list[tuple[str, str, str, str]]:
    """Devices and links that are not as they began: name, state, level, since when."""
    changed = [
        (device.node, state, device.level or NEVER, since)
        for device in replay.devices
        if (state := _state(device, at_s)) and (since := _since(device.states, at_s))
    ]
    links = [
        (f"link {link.name}", state, NEVER, _since(link.states, at_s) or NEVER)
        for link in replay.links
        if (state := _last(link.states, at_s)) not in {None, "up"}
    ]
    return [*((name, str(state), level, since) for name, state, level, since in links), *changed][:MOST_ROWS]


def events_around(replay: Replay, at_s: float, *, before: int = 4, after: int = 6) -> list[Happening]:
    """The last events up to a time and the next ones."""
    here = bisect_right(replay.events, at_s + 1e-6, key=lambda event: event.at_s)
    return replay.events[max(0, here - before) : here + after]


def event_kinds(events: Iterable[Happening]) -> list[str]:
    """The kinds there are, the most frequent last: what is rare is what one looks for."""
    counts: dict[str, int] = {}
    for event in events:
        counts[event.kind] = counts.get(event.kind, 0) + 1
    return sorted(counts, key=lambda kind: (counts[kind], kind))


def event_rows(events: Iterable[Happening], kinds: Sequence[str]) -> list[dict[str, Any]]:
    """Events as rows of a table; all kinds if none is named."""
    return [
        {
            "Time": clock(event.at_s),
            "Kind": event.kind.replace("_", " "),
            "What": event.text,
            "Where": ", ".join(filter(None, (event.node, event.level))),
            "at_s": event.at_s,
        }
        for event in events
        if not kinds or event.kind in kinds
    ]


def _last(rows: Sequence[tuple[float, Any]], at_s: float) -> Any:
    here = bisect_right(rows, at_s, key=lambda row: row[0])
    return rows[here - 1][1] if here else None


def _state(device: Device, at_s: float) -> str:
    """The state, if it is another one than at the beginning."""
    here = bisect_right(device.states, at_s, key=lambda row: row[0])
    state = device.states[here - 1][1] if here else ""
    return "" if not device.states or state == device.states[0][1] else state


def _since(states: Sequence[tuple[float, str]], at_s: float) -> str:
    here = bisect_right(states, at_s, key=lambda row: row[0])
    return clock(states[here - 1][0]) if here else ""


def _figure_name(name: str) -> str:
    words = name.removesuffix("_m").replace("_", " ")
    return {"people": "people inside", "cars": "cars inside", "layer height": "smoke-free height"}.get(
        words, words
    )


# the way of a message ------------------------------------------------------------------------------------


def diagram(requirement: Explained, *, is_whole: bool, number: int = 0) -> dict[str, Any]:
    """The data of the sequence diagram: the way that leads to the effect, or every message of the chain."""
    path = chain_path(requirement.chain)
    steps = [_of_hop(hop) for hop in requirement.chain] if is_whole or not path.steps else path.steps
    shown = steps[:MOST_STEPS]
    longest = path.longest
    nodes = list(dict.fromkeys(node for step in shown for node in (step.source, step.to)))
    return {
        "id": f"sequence-{number}",
        "label": f"Message chain of the requirement {requirement.name}: {count(len(shown), 'step')}.",
        "nodes": nodes,
        "steps": [_drawn(step, is_longest=not is_whole and step is longest) for step in shown],
    }


def breakdown(path: ChainPath) -> list[dict[str, Any]]:
    """Where the time went, step by step, and the sum."""
    total_s = sum(step.took_s for step in path.steps)
    rows = [
        {
            "Time": clock(step.at_s, MILLISECONDS),
            "Took": _took(step),
            "Step": _words(step),
            "Share": step.took_s / total_s if total_s and step.kind != "lost" else None,
        }
        for step in path.steps
    ]
    if rows:
        word = "From cause to effect" if math.isfinite(path.took_s) else "So far; it never came to its end"
        rows.append(
            {"Time": "", "Step": word, "Took": quantity(total_s, "s"), "Share": 1.0 if total_s else None}
        )
    return rows


def _of_hop(hop: Hop) -> Step:
    taken = took_s(hop)
    if hop.source == hop.to:
        return Step("wait", hop.at_s, 0.0, hop.source, hop.to, hop.topic, hop.topic)
    kind = "lost" if taken is None else "hop"
    return Step(
        "hop" if kind == "hop" else "lost", hop.at_s, taken or 0.0, hop.source, hop.to, hop.topic, hop.note
    )


def _drawn(step: Step, *, is_longest: bool) -> dict[str, Any]:
    return {
        "kind": step.kind,
        "at_s": step.at_s,
        "clock": clock(step.at_s, MILLISECONDS),
        "source": step.source,
        "to": step.to,
        "topic": step.topic,
        "label": _label(step),
        "took": _took(step) if step.kind != "wait" or step.took_s else "",
        "isLongest": is_longest,
        "words": f"{clock(step.at_s)}: {_words(step)}, {_took(step)}",
    }


def _label(step: Step) -> str:
    if step.kind == "wait":
        return _spaced(step.topic) if "/" not in step.topic else "waits"
    return "/".join(step.topic.split("/")[-2:])


def _words(step: Step) -> str:
    if step.kind == "wait":
        if "/" in step.topic:
            return f"{step.source} waits, {step.note}" if step.note else f"inside {step.source}"
        return f"{step.source}: {_spaced(step.topic)}"
    return f"{step.source} to {step.to}: {step.topic}"


def _took(step: Step) -> str:
    if step.kind == "lost":
        return f"lost: {step.note.split(': ', 1)[-1]}" if step.note else "lost"
    return quantity(step.took_s, "s") if step.took_s else "at once"


def _spaced(name: str) -> str:
    return name.replace("_", " ")
