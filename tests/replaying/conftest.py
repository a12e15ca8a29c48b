"""Replications that are recorded, for the tests of replays."""

from __future__ import annotations

import msgspec
import pytest

from scenarios.judging.outcome import Record, ending, outcome_of
from scenarios.replaying.recorder import Recorder
from scenarios.shipped import load
from scenarios.wiring.assembly import Blueprint
from scenarios.wiring.members import scenes_of
from scenarios.wiring.vocabulary import reporters


class Recorded:
    """A variant assembled with a recorder, run by the test or as a whole."""

    def __init__(self, variant, seed=1, *, is_recorded=True, is_traced=True, frame_s=None):
        self.variant = variant
        self.seed = seed
        scenes = scenes_of(variant.scenario, variant.folder)
        blueprint = Blueprint.of(variant.scenario, scenes, variant.folder)
        self.assembly = blueprint.assemble(seed, is_traced=is_traced)
        self.nodes_of = reporters(variant.scenario, blueprint.members)
        self.recorder = Recorder(self.assembly, variant, seed, frame_s=frame_s) if is_recorded else None

    def run(self):
        stop = ending(self.variant.scenario.run.stop_when, Record(self.assembly, self.nodes_of))
        self.assembly.run(stop)
        return self

    def outcome(self):
        found = outcome_of(
            self.assembly, self.seed, self.nodes_of, self.variant.requirements, has_series=True
        )
        return msgspec.structs.replace(found, wall_s=0.0)


@pytest.fixture(scope="session")
def car_park():
    return load("car_park_fire")


@pytest.fixture
def recorded():
    return Recorded


@pytest.fixture(scope="session")
def edge(car_park):
    """The flagship with its rule on the gateway, run and recorded."""
    return Recorded(car_park.variant("edge")).run()
