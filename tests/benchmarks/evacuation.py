"""Times one evacuation of 2,000 people and 800 cars from 7 levels; bar: 1 s on one core.

Run it with `python tests/benchmarks/evacuation.py` from the root of the repository.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import simpy

from devices_models.world.building import Building
from devices_models.world.evacuation import Evacuation
from devices_models.world.scene import carpark, example_scene
from devices_models.world.settings import FireSettings, WorldSettings
from twin.kernel.randomness import Streams

ROUNDS = 7
BAR_S = 1.0


def evacuate(seed: int) -> tuple[float, float, float]:
    """CPU seconds of one run, scene included, and when people and cars are out."""
    began_s = time.process_time()
    env = simpy.Environment()
    made = Evacuation(env, carpark(7, 120), WorldSettings(people=2000, cars=800), Streams(seed))
    made.start()
    for gate in made.cars.gates.values():
        gate.set_mode("free")
    env.run()
    return time.process_time() - began_s, made.people.out_s, made.cars.out_s


def burn(seed: int) -> float:
    """CPU seconds of a world of 1,800 s with 60 detectors watched and nobody in it."""
    scene = example_scene()
    began_s = time.process_time()
    env = simpy.Environment()
    settings = WorldSettings(fire=FireSettings(bay="L2-B016"))
    world = Building(env, scene, settings, Streams(seed), lambda _node, _measure, _value: None)
    for detector in scene.of_kind("detector"):
        world.place(detector.id, detector.id)
        world.watch(detector.id, "smoke_sensor_rise", 13.0, lambda: None)
    world.start()
    env.run(until=1800.0)
    world.finish()
    return time.process_time() - began_s


def main() -> int:
    """Print the best and the median; fail past the bar."""
    runs = sorted(evacuate(seed) for seed in range(ROUNDS))
    fires_s = sorted(burn(seed) for seed in range(ROUNDS))
    _, people_s, cars_s = runs[ROUNDS // 2]
    print(
        f"2,000 people and 800 cars, 7 levels: best {runs[0][0]:.3f} s, median {runs[ROUNDS // 2][0]:.3f} s"
    )
    print(f"  people out after {people_s:.0f} s, cars after {cars_s:.0f} s of simulated time")
    print(f"1,800 s of fire, 60 detectors: best {fires_s[0]:.3f} s, median {fires_s[ROUNDS // 2]:.3f} s")
    return int(runs[ROUNDS // 2][0] > BAR_S)


if __name__ == "__main__":
    sys.exit(main())
