"""A building with a scripted control system, for the tests that need one."""

from __future__ import annotations

import pytest
import simpy

from devices_models.world.building import Building
from devices_models.world.scene import example_scene
from twin.kernel.randomness import Streams

EXAMPLE = example_scene()


class Trial:
    """A building of the example scene, every device placed at the feature of its own name."""

    def __init__(self, settings, seed=1, scene=EXAMPLE):
        self.env = simpy.Environment()
        self.observed = []
        self.log = []
        observe = lambda node, measure, value: self.observed.append((self.env.now, node, measure, value))  # noqa: E731
        self.world = Building(self.env, scene, settings, Streams(seed), observe)
        for feature in scene.features:
            self.world.place(feature.id, feature.id)

    def at(self, at_s, act, *arguments):
        """Call `act` with the arguments at this time."""
        self.env.timeout(at_s - self.env.now).callbacks.append(lambda _: act(*arguments))

    def note(self, word):
        """A notify that logs the word with its time."""
        return lambda: self.log.append((self.env.now, word))

    def run(self, until=1800.0):
        self.world.start()
        self.env.run(until=until)
        self.world.finish()
        return self

    def value(self, measure):
        """The one value that was observed under this measure."""
        (found,) = [value for _, _, name, value in self.observed if name == measure]
        return found


@pytest.fixture
def trial():
    return Trial
