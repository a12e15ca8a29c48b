"""Frames are honest: they count whom the model counts, where the model has them, and nobody goes back."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
import simpy
from hypothesis import given, settings
from hypothesis import strategies as st

from devices_models.world.evacuation import Evacuation
from devices_models.world.scene import carpark, example_scene
from devices_models.world.settings import CarSettings, PeopleSettings, WorldSettings
from devices_models.world.tracks import Tracks
from scenarios.replaying.movement import Movement
from scenarios.replaying.trajectory import ABSENT, MOVING, QUEUEING, RESTING
from twin.kernel.randomness import Streams

SCENES = {(levels, bays): carpark(levels, bays) for levels, bays in ((1, 40), (2, 80), (3, 120))}


class Trial:
    """An evacuation whose movement is recorded; gates open at a time of their own."""

    def __init__(self, scene, people, cars, *, mode="ticket", opens_s=math.inf, starts_s=3.25, seed=1):
        self.env = simpy.Environment()
        self.scene = scene
        crowd = PeopleSettings(count=people, premovement_mean_s=20.0, premovement_deviation_s=10.0)
        traffic = CarSettings(count=cars, gate_mode=mode, premovement_mean_s=30.0)
        world = WorldSettings(people=crowd, cars=traffic)
        self.evacuation = Evacuation(self.env, scene, world, Streams(seed))
        self.movement = Movement(self.evacuation, Tracks(scene), scene.levels)
        self.at(starts_s, self.evacuation.start)
        self.at(opens_s, self.open_gates)

        self.shown = f"Trial({scene.name}, {people}, {cars}, {mode}, {opens_s}, {starts_s}, {seed})"

    def __repr__(self):
        return self.shown

    def at(self, at_s, act):
        if at_s < math.inf:
            self.env.timeout(at_s).callbacks.append(lambda _: act())

    def open_gates(self):
        for gate in self.evacuation.cars.gates.values():
            gate.set_mode("free")

    def frames(self, times_s):
        """Run to each time and just past it; yields the frame at it."""
        for at_s in times_s:
            self.env.run(until=math.nextafter(at_s, math.inf))
            (frame,) = self.movement.frames(np.array([at_s]))
            yield at_s, frame

    def links(self):
        return {**self.evacuation.cars.links, **self.evacuation.people.links}


trials = st.builds(
    Trial,
    st.sampled_from(sorted(SCENES)).map(SCENES.__getitem__),
    people=st.integers(0, 160),
    cars=st.integers(0, 39),
    mode=st.sampled_from(["closed", "ticket", "free"]),
    opens_s=st.one_of(st.just(math.inf), st.floats(0.0, 300.0)),
    starts_s=st.floats(0.0, 20.0),
    seed=st.integers(0, 1000),
)


@settings(max_examples=30, deadline=None)
@given(trials, st.floats(0.5, 9.0))
def test_frames_count_whom_the_model_counts(trial, step_s):
    """At any time: cars and people inside, and the queue of every link and before every door."""
    cars, people = trial.evacuation.cars, trial.evacuation.people
    for _, frame in trial.frames(np.arange(40) * step_s):
        state = frame.state[0]
        is_car = np.arange(len(state)) < trial.movement.car_count
        assert (state[is_car] != ABSENT).sum() == cars.inside_count
        assert (state[~is_car] != ABSENT).sum() == people.inside_count
        stood = {queue.name: len(queue.arrived_s) - len(queue.left_s) for queue in trial.movement.queues()}
        for name, link in trial.links().items():
            assert stood.get(name, 0) == link.queue_count, name
        doors = {person.traveller.path[0].name: person.traveller.path[0] for person in people.departures}
        for name, door in doors.items():
            assert stood.get(f"before {name}", 0) == door.waiting_count, name
        before = sum(count for name, count in stood.items() if name.startswith("before "))
        assert (state == QUEUEING).sum() == before + sum(link.queue_count for link in trial.links().values())


@settings(max_examples=15, deadline=None)
@given(trials)
def test_nobody_steps_back_or_leaps(trial):
    """In half a second people go 3 m at most, cars 8 m; who is out stays out, who set out does not rest."""
    before = None
    moved_m = np.zeros(trial.movement.count)
    for _, frame in trial.frames(np.arange(600) * 0.5):
        if before is not None:
            moved_m = np.maximum(moved_m, np.hypot(frame.x[0] - before.x[0], frame.y[0] - before.y[0]))
            assert not ((before.state[0] == ABSENT) & (frame.state[0] != ABSENT)).any()
            assert not ((before.state[0] > RESTING) & (frame.state[0] == RESTING)).any()
        before = frame
    assert moved_m[: trial.movement.car_count].max(initial=0.0) < 8.0
    assert moved_m[trial.movement.car_count :].max(initial=0.0) < 3.0


@settings(max_examples=10, deadline=None)
@given(trials)
def test_frames_in_one_go_are_the_frames_one_by_one(trial):
    """Whether a run is watched or replayed, everybody is in the same place."""
    times_s = np.arange(200) * 1.0
    single = [frame for _, frame in trial.frames(times_s)]
    trial.movement.rewind()
    (whole,) = trial.movement.frames(times_s)

    for name in ("x", "y", "level", "state"):
        assert (np.vstack([getattr(each, name) for each in single]) == getattr(whole, name)).all(), name


def test_before_the_alarm_everybody_is_at_a_bay():
    """Cars stand in different bays, on the right level; nobody has set out."""
    trial = Trial(example_scene(), 30, 50, starts_s=100.0)
    ((_, frame),) = trial.frames([50.0])

    bays = {each.bay: trial.scene.feature(each.bay) for each in trial.movement.departures[:50]}
    assert (frame.state == RESTING).all()
    assert len(bays) == 50
    for agent, departure in enumerate(trial.movement.departures):
        bay = trial.scene.feature(departure.bay)
        assert trial.scene.levels[frame.level[0, agent]] == bay.level
        assert math.dist((frame.x[0, agent], frame.y[0, agent]), bay.place) < 0.36


def test_a_closed_gate_holds_a_row_of_cars_a_length_apart():
    """With every gate closed, the first car stands at the boom and others on its lane a length behind."""
    trial = Trial(example_scene(), 0, 60, mode="closed")
    ((_, frame),) = trial.frames([900.0])
    on = [each.traveller.path[each.traveller.hop].name for each in trial.movement.departures]
    assert (frame.state == QUEUEING).all()

    for gate in trial.scene.of_kind("gate"):
        (first,) = [car for car, link in enumerate(on) if link == f"{gate.id}.lane"]
        assert math.dist(gate.place, (frame.x[0, first], frame.y[0, first])) < 0.01
    lane = max(set(on), key=on.count)
    row = sorted((frame.x[0, car], frame.y[0, car]) for car, link in enumerate(on) if link == lane)
    assert len(row) > 3
    assert min(math.dist(one, other) for one, other in pairwise(row)) > 6.0


def test_people_on_a_stair_arrive_a_level_lower():
    """From the third level, a walker is on L3, then L2, then L1, and out."""
    trial = Trial(example_scene(), 40, 0)
    seen = [frame for _, frame in trial.frames(np.arange(800) * 0.5)]
    levels = np.vstack([frame.level for frame in seen])
    state = np.vstack([frame.state for frame in seen])

    for agent in range(40):
        way = levels[state[:, agent] != ABSENT, agent]
        assert (np.diff(way.astype(int)) <= 0).all()
        assert way[-1] == 0
        assert state[-1, agent] == ABSENT


@pytest.mark.parametrize("state", [MOVING, QUEUEING])
def test_a_car_that_burns_is_counted_no_more(state):
    """A fire that is lit in a bay takes its car out of those that leave, in the frames too."""
    trial = Trial(example_scene(), 0, 20, starts_s=30.0)
    bay = trial.movement.departures[3].bay
    trial.at(10.0, lambda: trial.evacuation.burn(bay))
    for at_s, frame in trial.frames([5.0, 15.0, 60.0, 200.0]):
        assert (frame.state[0] != ABSENT).sum() == trial.evacuation.cars.inside_count
        assert (frame.state[0, 3] == ABSENT) == (at_s > 10.0)
        assert frame.state[0, 3] != state
