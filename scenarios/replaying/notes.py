"""What happens to nodes and links during a run, noted as it happens or read from what nodes observed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import Final

from network.link import Link
from scenarios.format import schema
from scenarios.judging.outcome import WORLD
from scenarios.replaying.document import Device, Happening, LinkStates, States
from scenarios.replaying.wording import ACTS, BOOM_GATE, DEVICES, RESTING, words_of
from scenarios.wiring.assembly import Assembly
from scenarios.wiring.members import Member
from twin.kernel.kernel import Standing

MOST_EVENTS: Final = 5_000
MOST_SHOWN: Final = 20_000
"""Devices, and links, of one document."""
MOST_NOTES: Final = 100_000
CLEAR: Final = "/event/clear"
UP: Final = "up"
TARGETS: Final = ("node", "site", "fleet", "link", "select", "tag")


class Notes:
    """Listens to the nodes, links and faults of an assembly that has not run."""

    def __init__(self, assembly: Assembly) -> None:
        self._kernel = assembly.kernel
        self._links = assembly.network.topology.links
        self._members = {member.node: member for member in assembly.members}
        self._conditions: dict[str, States] = {}
        self._standings: dict[str, States] = {}
        self._acts: dict[str, States] = {}
        self.events: list[Happening] = []
        assembly.announcements.listeners.append(self._fault)
        self._kernel.on_node_changed(self._node)
        if assembly.building is not None:
            assembly.building.actuated = self._act
        for link in self._links.values():
            link.changed = self._link
            if link.wide_area is not None:
                link.wide_area.changed = partial(self._link, link)

    def add(
        self, kind: str, text: str, node: str = "", level: str = "", *, at_s: float | None = None
    ) -> None:
        """Note an event, now unless a time is given; past the bound it is left out."""
        if len(self.events) < MOST_NOTES:
            self.events.append(Happening(self._kernel.now if at_s is None else at_s, kind, text, node, level))

    def _fault(self, at_s: float, entry: schema.TimelineEntry, is_begin: bool) -> None:
        verb = "begins" if is_begin else "ends"
        self.add("fault", f"{entry.fault.replace('_', ' ')} {verb}{_aim(entry)}", at_s=at_s)

    def _node(self, node: str, standing: Standing) -> None:
        states = self._standings.setdefault(node, [])
        if len(states) < MOST_NOTES:
            states.append((self._kernel.now, "dead" if standing == "down" else standing))
        self.add("node", {"down": "stops", "up": "is up again", "paused": "stands still"}[standing], node)

    def _act(self, node: str, name: str, value: float) -> None:
        """A node acted on the world. What boom gates do they tell themselves, but for closing."""
        words = ACTS.get(name)
        member = self._members.get(node)
        if words is None or member is None:
            return
        state = words[value >= 1]
        if member.kind == BOOM_GATE:
            state = "closing" if value < 1 else state
        elif name == "boom":
            self.add("gate", f"gate is {state}", node)
        states = self._acts.setdefault(node, [])
        if len(states) < MOST_NOTES:
            states.append((self._kernel.now, state))

    def _link(self, link: Link) -> None:
        states = self._conditions.setdefault(link.name, [(0.0, UP)])
        now_s, condition = self._kernel.now, link.condition
        if states[-1][0] == now_s and len(states) > 1:
            states.pop()
        if states[-1][1] != condition and len(states) < MOST_NOTES:
            states.append((now_s, condition))

    # what is asked ---------------------------------------------------------------------------------------

    def links(self) -> list[LinkStates]:
        """The links between standing nodes, and those of devices that something happened to."""
        shown = [
            LinkStates(link.name, link.source, link.to, self._conditions.get(link.name, [(0.0, UP)]))
            for link in self._links.values()
            if link.name in self._conditions or not (self._is_device(link.source) or self._is_device(link.to))
        ]
        return shown[:MOST_SHOWN]

    def condition(self, name: str) -> str:
        """How a link is now."""
        return self._links[name].condition

    def since(self) -> dict[str, float]:
        """When each link and node began to be what it is now, for those that are not as usual."""
        noted = {**self._conditions, **self._standings}
        return {name: states[-1][0] for name, states in noted.items() if states and states[-1][1] != UP}

    def states(self) -> dict[str, States]:
        """The states of every node so far: as it observed them, and dead, paused or up again."""
        found: dict[str, States] = {
            node: [(0.0, RESTING.get(member.kind, UP))] for node, member in self._members.items()
        }
        for node, states in self._standings.items():
            resting = found[node][0][1]
            found[node] += [(at_s, resting if state == UP else state) for at_s, state in states]
        for node, states in self._acts.items():
            found[node] += states
        for at_s, node, state in (*self._observed(), *self._cleared()):
            found[node].append((at_s, state))
        return {node: _changes(sorted(states, key=_time)) for node, states in found.items()}

    def _is_device(self, node: str) -> bool:
        member = self._members.get(node)
        return member is not None and bool(member.fleet)

    def _observed(self) -> Iterator[tuple[float, str, str]]:
        for measure, words in DEVICES.items():
            if words.state is not None:
                for at_s, node, value, _ in self._kernel.observations.samples(measure):
                    if node in self._members:
                        yield at_s, node, words.state(value)

    def _cleared(self) -> Iterator[tuple[float, str, str]]:
        """Detectors say that they are quiet again in a message only."""
        transfers = self._kernel.transfers
        for leg in transfers.all() if transfers is not None else ():
            if leg.topic.endswith(CLEAR) and (member := self._members.get(leg.source)) and member.fleet:
                yield leg.sent_s, leg.source, RESTING.get(member.kind, UP)


def observed_events(
    samples: Mapping[str, Iterable[tuple[float, str, float, int]]], level_of: Mapping[str, str]
) -> Iterator[tuple[bool, Happening]]:
    """The events that these samples of measures make, and whether each is worth reading first."""
    for measure, each in samples.items():
        for at_s, node, value, trace in each:
            words = words_of(measure, node)
            if words is not None:
                is_first = node == WORLD or measure in DEVICES
                shown = "" if node == WORLD else node
                text = words.text(value)
                yield is_first, Happening(at_s, words.kind, text, shown, level_of.get(node, ""), trace)


def most_telling(events: Iterable[tuple[bool, Happening]]) -> tuple[list[Happening], int]:
    """At most 5,000 in order of time, and how many are left out.

    Those worth reading first come first; all of the rare kinds are kept, and evenly many of frequent ones.
    """
    groups: dict[tuple[bool, str], list[Happening]] = {}
    for is_first, event in events:
        groups.setdefault((not is_first, event.kind), []).append(event)
    ranked = sorted(groups.items(), key=lambda group: (group[0][0], len(group[1])))
    kept: list[Happening] = []
    for number, ((is_later, _), group) in enumerate(ranked):
        same = sum(rank == is_later for (rank, _), _ in ranked[number:])
        kept += _evenly(sorted(group, key=_at), (MOST_EVENTS - len(kept)) // same)
    return sorted(kept, key=_at), sum(map(len, groups.values())) - len(kept)


def _evenly(events: list[Happening], most: int) -> list[Happening]:
    """At most so many of them, evenly chosen."""
    if len(events) <= most:
        return events
    return [events[number * len(events) // most] for number in range(most)]


def devices_of(members: Iterable[Member], assembly: Assembly, states: Mapping[str, States]) -> list[Device]:
    """Every node with its states and its place; of very many, those that something happened to come first."""
    building = assembly.building
    rows = []
    for member in sorted(members, key=lambda member: (len(states[member.node]) < 2, bool(member.fleet))):
        feature = None if building is None else building.place_of(member.node)
        rows.append(
            Device(
                member.node,
                member.fleet,
                member.kind,
                states[member.node],
                member.site,
                "" if feature is None else feature.id,
                "" if feature is None else feature.level,
                None if feature is None else feature.place[0],
                None if feature is None else feature.place[1],
            )
        )
        if len(rows) == MOST_SHOWN:
            break
    return rows


def _aim(entry: schema.TimelineEntry) -> str:
    """What a fault is aimed at, in words."""
    if entry.between is not None:
        return f" between {' and '.join(map(str, entry.between))}"
    return next(
        (f" at {name} {value}" for name in TARGETS if (value := getattr(entry, name)) is not None), ""
    )


def _at(event: Happening) -> float:
    return event.at_s


def _time(state: tuple[float, str]) -> float:
    return state[0]


def _changes(states: States) -> States:
    """The last state of each time, without those that change nothing."""
    last = list(dict(states).items())
    return [state for number, state in enumerate(last) if not number or last[number - 1][1] != state[1]]
