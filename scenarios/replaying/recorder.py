"""Records one replication while it runs: where everybody is, and what happened when.

A recorder listens and schedules nothing, so that the replication is the same to the bit with it and without.
"""

from __future__ import annotations

import gzip
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, Literal

import numpy as np

from devices_models.world.tracks import Tracks
from scenarios.format.loading import Variant
from scenarios.judging.chains import LONGEST_CHAIN, hops
from scenarios.judging.outcome import Record
from scenarios.replaying import building_view
from scenarios.replaying.document import Counts, Explained, Happening, Replay
from scenarios.replaying.movement import Movement
from scenarios.replaying.notes import Notes, devices_of, most_telling, observed_events
from scenarios.replaying.reasons import explained
from scenarios.replaying.trajectory import BYTES_AN_AGENT, Header
from scenarios.results import Hop
from scenarios.wiring.assembly import Assembly
from scenarios.wiring.vocabulary import reporters
from twin.kernel.observation import Sample, Transfer

FRAME_S: Final = 0.5
COARSER: Final = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
MOST_BYTES: Final = 120_000_000
"""Frames of one trajectory before they are zipped; a longer or larger run has fewer frames."""
ZIP_LEVEL: Final = 6
MOST_CHAINS: Final = 300
"""Message chains of events in one document."""

State = Literal["whole", "running", "stopped"]


class Recorder:
    """Attached to an assembly that has not run; with a traced one it finds message chains too.

    `header` and `frames` give the trajectory while the run goes on, `trajectory` the whole of it at the end,
    `new_events` what has happened since it was last asked, and `document` everything else at any time.
    """

    def __init__(
        self, assembly: Assembly, variant: Variant, seed: int, *, frame_s: float | None = None
    ) -> None:
        self._assembly = assembly
        self._variant = variant
        self._seed = seed
        self.record = Record(assembly, reporters(assembly.scenario, assembly.members))
        self._notes = Notes(assembly)
        self._movement: Movement | None = None
        self._level_of: dict[str, str] = {}
        self._read: dict[str, int] = {}
        self._noted = 0
        self._told: set[str] = set()
        self._frame = 0
        building = assembly.building
        if building is not None:
            places = {each.node: building.place_of(each.node) for each in assembly.members}
            self._level_of = {node: place.level for node, place in places.items() if place is not None}
            self._movement = Movement(building.evacuation, Tracks(building.scene), building.scene.levels)
        self.frame_s = frame_s or self._usual_frame_s()

    # while the run goes on -------------------------------------------------------------------------------

    @property
    def has_scene(self) -> bool:
        """Whether there is a building, and so a trajectory."""
        return self._movement is not None

    def header(self, frames: int = 0) -> bytes:
        """The beginning of a trajectory; `frames` is 0 while it still grows. Empty without a scene."""
        return self._header(frames).encode() if self.has_scene else b""

    def frames(self, up_to_s: float) -> bytes:
        """The frames from the last ones asked for up to this time, which has passed; empty without a scene.

        The frame at exactly this time comes with the next ones: not all of it may have happened.
        """
        first, self._frame = self._frame, max(self._frame, math.ceil(up_to_s / self.frame_s - 1e-9))
        return b"".join(self._encoded(first, self._frame))

    def note(self, kind: str, text: str, node: str = "") -> None:
        """Add an event of now that the run itself does not tell of, such as an order from outside."""
        self._notes.add(kind, text, node)

    def new_events(self) -> list[Happening]:
        """The events since this was last asked, in order of time."""
        noted, self._noted = self._notes.events[self._noted :], len(self._notes.events)
        fresh = [event for _, event in observed_events(self._samples(self._read), self._level_of)]
        for measure in self._assembly.kernel.observations.measures():
            self._read[measure] = len(self._assembly.kernel.observations.samples(measure))
        return sorted([*noted, *fresh, *self._news()], key=lambda event: event.at_s)

    def since(self) -> dict[str, float]:
        """Since when what is not as usual is so: links and nodes, with times of the run (s)."""
        return self._notes.since()

    def requirements(self) -> list[Explained]:
        """Every requirement as it would be judged now."""
        chains = self._chains()
        return [
            explained(each, self.record, chains, self.record.nodes_in) for each in self._variant.requirements
        ]

    # at the end ------------------------------------------------------------------------------------------

    def trajectory(self) -> bytes:
        """The whole trajectory, zipped; it ends where nobody moves any more. Empty without a scene."""
        if self._movement is None:
            return b""
        end_s = min(self._assembly.kernel.now, self._movement.over_s)
        count = math.floor(end_s / self.frame_s) + 2
        self._movement.rewind()
        return gzip.compress(
            b"".join((self._header(count).encode(), *self._encoded(0, count))), ZIP_LEVEL, mtime=0
        )

    def document(self, state: State = "whole") -> Replay:
        """Everything but the trajectory."""
        assembly, variant, building = self._assembly, self._variant, self._assembly.building
        events, omitted = self._events()
        return Replay(
            title=assembly.scenario.title,
            variant=variant.name,
            seed=self._seed,
            duration_s=assembly.kernel.now,
            has_scene=self.has_scene,
            scene=None if building is None else building_view.plan(building.scene, self.bounds),
            devices=devices_of(assembly.members, assembly, self._notes.states()),
            links=self._notes.links(),
            smoke=[] if building is None else building_view.smoke(building, assembly.kernel.now),
            queues={} if self._movement is None else building_view.queues(self._movement),
            occupancy={} if building is None else self._occupancy(),
            events=events,
            requirements=self.requirements(),
            agents=self._agents,
            frame_s=self.frame_s if self.has_scene else 0.0,
            chains=self._chains_of(events),
            fire=None if building is None else building_view.fire(building),
            omitted_events=omitted,
            state=state,
        )

    # parts -----------------------------------------------------------------------------------------------

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """The box around everything that is drawn (m)."""
        building = self._assembly.building
        if building is None or self._movement is None:
            return (0.0, 0.0, 1.0, 1.0)
        return building_view.bounds(building.scene)

    @property
    def _agents(self) -> dict[str, int]:
        if self._movement is None:
            return {}
        cars = self._movement.car_count
        return {"cars": cars, "people": self._movement.count - cars}

    def _usual_frame_s(self) -> float:
        """Half a second, or more where the run is so long or large that its frames would be too many."""
        count = 0 if self._movement is None else self._movement.count
        for frame_s in COARSER:
            if self._assembly.scenario.run.duration_s / frame_s * count * BYTES_AN_AGENT <= MOST_BYTES:
                return frame_s
        return COARSER[-1]

    def _header(self, frames: int) -> Header:
        building, movement = self._assembly.building, self._movement
        assert building is not None  # noqa: S101  # asked only where there is a scene
        assert movement is not None  # noqa: S101
        levels = list(building.scene.levels)
        return Header(self.frame_s, self._agents, levels, self.bounds, frames, movement.labels)

    def _encoded(self, first: int, last: int) -> Iterator[bytes]:
        if self._movement is not None and first < last:
            header = self._header(0)
            times_s = np.arange(first, last, dtype=np.float64) * self.frame_s
            for frames in self._movement.frames(times_s):
                yield frames.encode(header)

    def _samples(self, since: dict[str, int]) -> dict[str, Sequence[Sample]]:
        observations = self._assembly.kernel.observations
        return {
            measure: observations.samples(measure)[since.get(measure, 0) :]
            for measure in observations.measures()
        }

    def _events(self) -> tuple[list[Happening], int]:
        noted = [(True, event) for event in (*self._notes.events, *self._of_fire())]
        return most_telling([*noted, *observed_events(self._samples({}), self._level_of)])

    def _news(self) -> Iterator[Happening]:
        """What the fire has done since this was last asked."""
        for event in self._of_fire():
            if event.kind not in self._told:
                self._told.add(event.kind)
                yield event

    def _of_fire(self) -> Iterable[Happening]:
        building, kernel = self._assembly.building, self._assembly.kernel
        if building is None:
            return ()

        def inside(measure: str) -> float:
            return next((sample.value for sample in kernel.observations.samples(measure)), 0.0)

        return building_view.events(building, kernel.now, inside)

    def _occupancy(self) -> dict[str, Counts]:
        building, movement = self._assembly.building, self._movement
        assert building is not None  # noqa: S101  # asked only where there is a scene
        assert movement is not None  # noqa: S101
        return building_view.occupancy(building) | building_view.people_on_levels(building, movement)

    def _chains(self) -> dict[int, list[Transfer]]:
        """All transfers by their chain, in the order they were sent."""
        transfers = self._assembly.kernel.transfers
        found: dict[int, list[Transfer]] = {}
        for leg in sorted(transfers.all() if transfers else (), key=lambda leg: (leg.sent_s, leg.identity)):
            found.setdefault(leg.trace, []).append(leg)
        return found

    def _chains_of(self, events: Sequence[Happening]) -> dict[str, list[Hop]]:
        chains = self._chains()
        found: dict[str, list[Hop]] = {}
        for event in events:
            if len(found) == MOST_CHAINS:
                break
            if event.trace in chains and str(event.trace) not in found:
                found[str(event.trace)] = hops(chains[event.trace], event.at_s)[:LONGEST_CHAIN]
        return found
