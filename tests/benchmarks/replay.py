"""What recording costs, and how large a replay is: the flagship, and 800 cars with 2,000 people.

python tests/benchmarks/replay.py
"""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

from scenarios.format.loading import Variant
from scenarios.judging.runner import replicate
from scenarios.replaying.running import replay
from scenarios.results import encode
from scenarios.shipped import find, load

CHANGES = (
    ("scene: carpark_3x120.geojson", "scene: {levels: 5, bays: 200}"),
    ("count: 360, discovery", "count: 2000, discovery"),
    ("cars: 150", "cars: 800"),
    ("duration: 30 min", "duration: 60 min"),
)


def crowded(folder: Path) -> Variant:
    """The flagship in a larger building, with more cars and more people."""
    text = find("car_park_fire").read_text(encoding="utf-8")
    for old, new in CHANGES:
        assert old in text, old
        text = text.replace(old, new)
    path = folder / "crowded.scenario.yaml"
    path.write_text(text, encoding="utf-8")
    return load(path).variant("edge")


def measure(variant: Variant) -> None:
    """Processor time of a plain replication and of a replay of it, and the size of what is kept."""
    replicate(variant, 1)  # scene and smoke are made once a process
    plain_s = min(processor_s(lambda: replicate(variant, 1)) for _ in range(3))
    replay_s = min(processor_s(lambda: replay(variant, 1)) for _ in range(3))
    found = replay(variant, 1)
    document = encode(found.document)
    frames = found.document.duration_s / found.document.frame_s
    print(f"{variant.name}: {found.document.agents}, {found.document.duration_s:.0f} s, {frames:.0f} frames")
    print(f"  plain replication   {plain_s:7.2f} s of processor time")
    print(f"  replay              {replay_s:7.2f} s, ratio {replay_s / plain_s:.2f}")
    print(f"  trajectory          {len(found.trajectory) / 1e6:7.2f} MB zipped")
    print(f"  document            {len(document) / 1e6:7.2f} MB, {len(found.document.events)} events")
    print(f"  same result         {found.outcome.metrics == replicate(variant, 1).metrics}")


def processor_s(action) -> float:
    """Processor seconds of a call."""
    began_s = time.process_time()
    action()
    return time.process_time() - began_s


def main() -> None:
    """Print the figures."""
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    measure(load("car_park_fire").variant("edge"))
    with tempfile.TemporaryDirectory() as folder:
        measure(crowded(Path(folder)))


if __name__ == "__main__":
    main()
