"""Where every car and person is at any time, from what the spatial queues tell when somebody enters a link.

A visit is one agent's time in one place: it begins, reaches the end of the way, may queue there, and leaves.
All but the leaving is known when it begins, so what is past is final. Agents leave a place in the order in
which they reached its end; one that queues stands back from the end by its rank. Nobody ever steps back:
who would have to, because somebody faster came in between, stands still.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from devices_models.world.evacuation import Departure, Evacuation
from devices_models.world.routes import DOORSTEP_WIDTH_M, Track, length_m
from devices_models.world.spatial_queue import CAR_SPACING_M, FLOW_DENSITY, Link, Traveller
from devices_models.world.tracks import Tracks
from scenarios.replaying.trajectory import ABSENT, MOVING, QUEUEING, RESTING, Frames

MOST_CELLS: Final = 400_000
"""Agents times frames that are worked out at a time."""
BESIDE_M: Final = 0.35
"""How far beside the middle of their way people walk at most."""
BEFORE: Final = "before "
GRAIN: Final = 2.0**24
"""Shares are multiples of its reciprocal, so that sums with whole numbers are exact."""
GOLDEN: Final = 0.6180339887498949

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]


class Queue(NamedTuple):
    """When agents came to stand at the end of a place, and when they left it, both in order of time."""

    name: str
    arrived_s: Floats
    left_s: Floats


class _Visits:
    """One growing column for each thing known of a visit."""

    def __init__(self) -> None:
        self.agent, self.place, self.track = array("q"), array("q"), array("q")
        self.begin, self.arrive, self.leave = array("d"), array("d"), array("d")
        self.spacing, self.reached = array("d"), array("d")

    def add(self, agent: int, place: int, track: int, begin_s: float, arrive_s: float, spacing: float) -> int:
        """Begin a visit that has no end yet; `spacing` is a share of the track. Returns its row."""
        self.agent.append(agent)
        self.place.append(place)
        self.track.append(track)
        self.begin.append(begin_s)
        self.arrive.append(arrive_s)
        self.leave.append(math.inf)
        self.spacing.append(spacing)
        self.reached.append(0.0)
        return len(self.agent) - 1

    def columns(self) -> tuple[Indices, Indices, Indices, Floats, Floats, Floats, Floats, Floats]:
        """Copies, as the columns cannot grow while anybody looks at them."""
        whole = tuple(np.array(each, np.intp) for each in (self.agent, self.place, self.track))
        real = tuple(
            np.array(each, np.float64)
            for each in (self.begin, self.arrive, self.leave, self.spacing, self.reached)
        )
        return (*whole, *real)  # type: ignore[return-value]


class Movement:
    """Listens to an evacuation that has not begun, and says where everybody is. Cars come before people."""

    def __init__(self, evacuation: Evacuation, tracks: Tracks, levels: Sequence[str]) -> None:
        self._evacuation = evacuation
        self._tracks = tracks
        self._lines = _Lines(levels)
        self._visits = _Visits()
        self._places: dict[str, int] = {}
        self._is_begun = False
        cars, people = evacuation.cars.departures, evacuation.people.departures
        self.departures: list[Departure] = [*cars, *people]
        self.car_count, self.count = len(cars), len(cars) + len(people)
        self._homes = [self._lines.add(self._home(agent)) for agent in range(self.count)]
        self._agents = {id(each.traveller): agent for agent, each in enumerate(self.departures)}
        self._current = [-1] * self.count
        self._beside = np.zeros(self.count)
        self._beside[self.car_count :] = (np.arange(len(people)) * GOLDEN % 1.0 * 2.0 - 1.0) * BESIDE_M
        self._out_s = np.full(self.count, math.inf)
        self._last = _Standing(self, self._lines)
        for link in (*evacuation.cars.links.values(), *evacuation.people.links.values()):
            link.entered = self._entered
        for departure in self.departures:
            self._listen(departure.traveller)

    # what happens ----------------------------------------------------------------------------------------

    def _listen(self, traveller: Traveller) -> None:
        finished = traveller.finished

        def finish(gone: Traveller) -> None:
            finished(gone)
            agent = self._agents[id(gone)]
            self._out_s[agent] = self._visits.leave[self._current[agent]] = self._now_s

        traveller.finished = finish

    @property
    def _now_s(self) -> float:
        return self._evacuation.now_s

    def _begin(self) -> None:
        """The evacuation has begun, so everybody's departure is known."""
        self._is_begun = True
        started_s = self._evacuation.started_s
        self._burn()
        for agent, departure in enumerate(self.departures):
            if self._out_s[agent] < math.inf:
                continue
            arrive_s = started_s + departure.delay_s
            first = departure.traveller.path[0].name
            walk_m = length_m(self._lines.tracks[self._homes[agent]].points)
            spacing = 0.0 if agent < self.car_count else _share(_crowded_m(), walk_m)
            self._current[agent] = self._visits.add(
                agent,
                self._place(_before(first)),
                self._homes[agent],
                arrive_s - departure.walk_s,
                arrive_s,
                spacing,
            )

    def _burn(self) -> None:
        """A car that caught fire before it could leave is counted no more."""
        for bay, at_s in self._evacuation.cars.burnt_s.items():
            agent = next(each for each in range(self.car_count) if self.departures[each].bay == bay)
            self._out_s[agent] = at_s

    def _entered(self, link: Link, traveller: Traveller, crossing_s: float) -> None:
        if not self._is_begun:
            self._begin()
        now_s, agent = self._now_s, self._agents[id(traveller)]
        last = self._current[agent]
        self._visits.leave[last] = now_s
        track = self._track(agent, link, traveller, self._visits.track[last])
        if agent < self.car_count:
            spacing = _share(CAR_SPACING_M, length_m(self._lines.tracks[track].points))
        else:
            spacing = 1.0 / len(link.pace)
        self._current[agent] = self._visits.add(
            agent, self._place(link.name), track, now_s, now_s + crossing_s, spacing
        )

    def _track(self, agent: int, link: Link, traveller: Traveller, before: int) -> int:
        """The line on which the agent crosses this link."""
        bay = self.departures[agent].bay
        if agent < self.car_count:
            if traveller.hop or traveller.first_m is None:
                return self._lines.add(self._tracks.lane(link.name))
            return self._lines.add(self._tracks.first_lane(bay, link.name, traveller.first_m))
        if not traveller.hop:
            return self._lines.add(self._tracks.to_door(bay, link.name)[1])
        earlier = traveller.path[traveller.hop - 1].name
        return self._lines.add(self._tracks.on_foot(link.name, earlier, self._lines.tracks[before]))

    def _home(self, agent: int) -> Track:
        departure = self.departures[agent]
        if agent < self.car_count:
            return self._tracks.pull_out(departure.bay)
        return self._tracks.to_door(departure.bay, departure.traveller.path[0].name)[0]

    def _place(self, name: str) -> int:
        return self._places.setdefault(name, len(self._places))

    # what is asked ---------------------------------------------------------------------------------------

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """The box around all tracks known so far."""
        return self._lines.bounds

    @property
    def over_s(self) -> float:
        """When the last agent was out; infinite while there are some inside."""
        return float(self._out_s.max(initial=0.0))

    @cached_property
    def labels(self) -> dict[str, list[str]]:
        """What to call each car and each person: its number and where it comes from."""
        names = [f"{each.traveller.number}, from {each.bay}" for each in self.departures]
        return {
            "cars": [f"car {name}" for name in names[: self.car_count]],
            "people": [f"person {name}" for name in names[self.car_count :]],
        }

    def levels_of_people(self) -> list[tuple[str, float]]:
        """Each person's first level, and when that leaves it through its door; infinite if never."""
        agent, place, _, _, _, leave, _, _ = self._visits.columns()
        left_s = dict.fromkeys(range(self.car_count, self.count), math.inf)
        doors = {self._places.get(self.departures[who].traveller.path[0].name, -1) for who in left_s}
        for who, where, at_s in zip(agent.tolist(), place.tolist(), leave.tolist()):
            if where in doors and who in left_s:
                left_s[who] = at_s
        return [(self._lines.tracks[self._homes[who]].level, at_s) for who, at_s in left_s.items()]

    def frames(self, times_s: Floats) -> Iterator[Frames]:
        """The frames at these times, which go on from those asked before; all of them past."""
        self._burn()
        if not self._is_begun and self._evacuation.started_s < math.inf:
            self._begin()
        step = max(1, MOST_CELLS // max(self.count, 1))
        for first in range(0, len(times_s), step):
            yield self._some_frames(times_s[first : first + step])

    def rewind(self) -> None:
        """Let `frames` begin at the start again."""
        self._last = _Standing(self, self._lines)
        self._visits.reached = array("d", bytes(8 * len(self._visits.agent)))

    def queues(self) -> Iterator[Queue]:
        """Who stood at the end of each place, so far."""
        _, place, _, _, arrive, leave, _, _ = self._visits.columns()
        for name, number in self._places.items():
            here = place == number
            yield self._queue(name, arrive[here], leave[here])

    def gate_queues(self) -> Iterator[Queue]:
        """Who stood at the end of any lane on the way to each gate, so far."""
        agent, place, _, _, arrive, leave, _, _ = self._visits.columns()
        on_lane = np.isin(place, [number for name, number in self._places.items() if not _is_before(name)])
        for gate, cars in self._cars_by_gate().items():
            here = on_lane & np.isin(agent, cars)
            yield self._queue(gate, arrive[here], leave[here])

    def _cars_by_gate(self) -> dict[str, list[int]]:
        lanes = {gate.lane.name: name for name, gate in self._evacuation.cars.gates.items()}
        found: dict[str, list[int]] = {}
        for car, departure in enumerate(self.departures[: self.car_count]):
            for link in departure.traveller.path:
                if link.name in lanes:
                    found.setdefault(lanes[link.name], []).append(car)
        return found

    def _queue(self, name: str, came_s: Floats, left_s: Floats) -> Queue:
        now_s = self._now_s
        return Queue(name, np.sort(came_s[came_s <= now_s]), np.sort(left_s[left_s <= now_s]))

    def _some_frames(self, times_s: Floats) -> Frames:
        agent, place, track, begin, arrive, leave, spacing, reached = self._visits.columns()
        is_due = (begin <= times_s[-1]) & (leave > times_s[0])
        rows = np.flatnonzero(is_due)
        rows = rows[np.lexsort((rows, arrive[rows], place[rows]))]
        stay = _Stay(times_s, place[rows], begin[rows], arrive[rows], leave[rows])
        visit, frame = stay.pairs()
        share = stay.shares(visit, frame, spacing[rows])
        share = _never_back(share, visit, reached[rows])
        if len(visit):
            ends = np.flatnonzero(np.append(visit[1:] != visit[:-1], True))
            for row, value in zip(rows[visit[ends]].tolist(), share[ends].tolist()):
                self._visits.reached[row] = value
        frames = self._last.spread(len(times_s))
        if len(visit):
            who = agent[rows[visit]]
            x, y, level = self._lines.at(track[rows[visit]], share, self._beside[who])
            frames.x[frame, who], frames.y[frame, who], frames.level[frame, who] = x, y, level
            frames.state[frame, who] = np.where(times_s[frame] >= arrive[rows[visit]], QUEUEING, MOVING)
        self._take_out(frames, times_s)
        self._last.keep(frames)
        return frames

    def _take_out(self, frames: Frames, times_s: Floats) -> None:
        """Who is out is gone; the place where that was stays, because equal bytes zip best."""
        for gone in np.flatnonzero(self._out_s <= times_s[-1]).tolist():
            first = int(np.searchsorted(times_s, self._out_s[gone]))
            frames.state[first:, gone] = ABSENT
            if first:
                for column in (frames.x, frames.y, frames.level):
                    column[first:, gone] = column[first - 1, gone]


class _Stay:
    """The visits of some frames, sorted by place and by when they reach its end."""

    def __init__(self, times_s: Floats, place: Indices, begin: Floats, arrive: Floats, leave: Floats) -> None:
        self._times_s = times_s
        self._begin, self._arrive = begin, arrive
        _, self._place, counts = np.unique(place, return_inverse=True, return_counts=True)
        self._order = np.arange(len(place)) - np.repeat(np.cumsum(counts) - counts, counts)
        self._from, self._at_end, self._to = (
            np.searchsorted(times_s, each) for each in (begin, arrive, leave)
        )
        shape = (len(counts), len(times_s) + 1)
        self._arrived, self._departed = (self._counted(when, shape) for when in (self._at_end, self._to))

    def _counted(self, when: Indices, shape: tuple[int, int]) -> NDArray[np.int64]:
        """How many visits of each place have done something by each frame."""
        cells = np.bincount(self._place * shape[1] + when, minlength=shape[0] * shape[1])
        return np.cumsum(cells.reshape(shape), axis=1)

    def pairs(self) -> tuple[Indices, Indices]:
        """Each visit with each frame of it."""
        lengths = np.maximum(self._to - self._from, 0)
        visit = np.repeat(np.arange(len(lengths)), lengths)
        within = np.arange(len(visit)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        return visit, self._from[visit] + within

    def shares(self, visit: Indices, frame: Indices, spacing: Floats) -> Floats:
        """How much of its track each visit has behind it: on free way, or up to those that queue ahead."""
        lasting = self._arrive - self._begin
        rate = np.divide(1.0, lasting, out=np.full(len(lasting), np.inf), where=lasting > 0)
        passed = self._times_s[frame] - self._begin[visit]
        free = np.where(passed > 0, np.minimum(passed * np.where(passed > 0, rate[visit], 0.0), 1.0), 0.0)
        place = self._place[visit]
        arrived = self._arrived[place, frame]
        ahead = np.where(frame >= self._at_end[visit], self._order[visit], arrived)
        rank = ahead - self._departed[place, frame]
        return np.clip(np.minimum(free, 1.0 - rank * spacing[visit]), 0.0, 1.0)


class _Lines:
    """Tracks side by side, so that places on many of them are found at once."""

    def __init__(self, levels: Sequence[str]) -> None:
        self._rank = {level: number for number, level in enumerate(levels)}
        self._numbers: dict[Track, int] = {}
        self.tracks: list[Track] = []
        self._keys: list[float] = []
        self._points: list[tuple[float, float]] = []
        self._joined: tuple[Floats, Floats, NDArray[np.uint8]] | None = None

    def add(self, track: Track) -> int:
        """The number of a track."""
        number = self._numbers.get(track)
        if number is None:
            number = self._numbers[track] = len(self.tracks)
            self.tracks.append(track)
            self._keys += [2.0 * number + share for share in _marks(track.points)]
            self._points += track.points
            self._joined = None
        return number

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        xs, ys = [x for x, _ in self._points], [y for _, y in self._points]
        return (min(xs, default=0.0), min(ys, default=0.0), max(xs, default=1.0), max(ys, default=1.0))

    def at(self, track: Indices, share: Floats, beside_m: Floats) -> tuple[Floats, Floats, NDArray[np.uint8]]:
        """x, y and level at a share of each track, so many metres left of it."""
        keys, points, levels = self._join()
        wanted = 2.0 * track + share
        piece = np.searchsorted(keys, wanted, side="right") - 1
        piece -= (piece + 1 >= len(keys)) | (keys[np.minimum(piece + 1, len(keys) - 1)] - 2.0 * track > 1.0)
        start, way = points[piece], points[piece + 1] - points[piece]
        part = (wanted - keys[piece]) / np.maximum(keys[piece + 1] - keys[piece], 1e-12)
        x, y = (start + way * np.clip(part, 0.0, 1.0)[:, None]).T
        long_m = np.maximum(np.hypot(way[:, 0], way[:, 1]), 1e-9)
        x, y = x - way[:, 1] / long_m * beside_m, y + way[:, 0] / long_m * beside_m
        return x, y, levels[track, (share >= 0.5).astype(np.intp)]

    def _join(self) -> tuple[Floats, Floats, NDArray[np.uint8]]:
        if self._joined is None:
            levels = [(self._rank[track.level], self._rank[track.to_level]) for track in self.tracks]
            self._joined = np.array(self._keys), np.array(self._points), np.array(levels, np.uint8)
        return self._joined


class _Standing:
    """The last frame that was given: where who does not move stays."""

    def __init__(self, movement: Movement, lines: _Lines) -> None:
        homes = np.array(movement._homes, np.intp)  # noqa: SLF001  (a part of it)
        zeros = np.zeros(movement.count)
        beside = movement._beside  # noqa: SLF001
        if movement.count:
            self._x, self._y, self._level = lines.at(homes, zeros, beside)
        else:
            self._x, self._y, self._level = zeros, zeros, np.zeros(0, np.uint8)
        self._state = np.full(movement.count, RESTING, np.uint8)

    def spread(self, count: int) -> Frames:
        """So many frames in which nobody moves."""
        x, y = (np.repeat(column[None, :], count, axis=0) for column in (self._x, self._y))
        level, state = (np.repeat(column[None, :], count, axis=0) for column in (self._level, self._state))
        return Frames(x, y, level, state)

    def keep(self, frames: Frames) -> None:
        """Remember the last of these."""
        self._x, self._y = frames.x[-1], frames.y[-1]
        self._level, self._state = frames.level[-1], frames.state[-1]


def _never_back(share: Floats, visit: Indices, reached: Floats) -> Floats:
    """The running maximum within each visit, from what it had reached before."""
    if not len(visit):
        return share
    rounded = np.rint(share * GRAIN) / GRAIN
    lifted: Floats = np.maximum(rounded, reached[visit]) + 2.0 * visit
    highest: Floats = np.maximum.accumulate(lifted)
    return highest - 2.0 * visit


def _marks(points: Sequence[tuple[float, float]]) -> list[float]:
    """How far along each point of a line is, as a share of it."""
    steps = [math.hypot(b[0] - a[0], b[1] - a[1]) for a, b in pairwise(points)]
    total_m = sum(steps)
    marks = [0.0]
    for step_m in steps:
        marks.append(marks[-1] + (step_m / total_m if total_m else 0.0))
    return [*marks[:-1], 1.0]


def _before(link: str) -> str:
    """The place where one waits for room on a first link."""
    return BEFORE + link


def _is_before(place: str) -> bool:
    return place.startswith(BEFORE)


def _share(part_m: float, whole_m: float) -> float:
    return part_m / max(whole_m, part_m)


def _crowded_m() -> float:
    """Way that one person more takes in a crowd before a doorstep as wide as the doorstep."""
    return 1.0 / (FLOW_DENSITY * DOORSTEP_WIDTH_M)
