"""Replays made up for tests: a car park of any size whose cars and people move, and hostile names."""

from __future__ import annotations

import gzip
import json
import math

import numpy as np

from scenarios.replaying.document import (
    Device,
    Explained,
    Happening,
    LinkStates,
    Plan,
    Replay,
    Shape,
    SmokeSeries,
)
from scenarios.replaying.trajectory import MOVING, QUEUEING, RESTING, Frames, Header
from scenarios.results import Hop

LEVELS = ("L1", "L2", "L3")
BOUNDS = (-10.0, -10.0, 110.0, 50.0)
HOSTILE = '<img src=x onerror="window.__hurt=1">![x](http://elsewhere.example/x.png)</script>'


def trajectory(cars=800, people=2_000, frames=600, frame_s=0.5, seed=1):
    """Everybody drives or walks to and fro on a level, some at rest, some queueing; zipped."""
    draw = np.random.default_rng(seed)
    count = cars + people
    phase, pace = draw.uniform(0, 2 * math.pi, count), draw.uniform(0.005, 0.02, count)
    lane = np.where(np.arange(count) < cars, draw.choice([8.0, 24.0], count), draw.uniform(1, 39, count))
    time = np.arange(frames)[:, None]
    x = 50 + 48 * np.sin(phase + pace * time)
    y = np.broadcast_to(lane, x.shape)
    level = np.broadcast_to(draw.integers(0, len(LEVELS), count).astype(np.uint8), x.shape)
    state = draw.choice([RESTING, MOVING, QUEUEING], (1, count), p=[0.1, 0.7, 0.2]).astype(np.uint8)
    state = np.broadcast_to(state, x.shape)
    header = Header(frame_s, {"cars": cars, "people": people}, list(LEVELS), BOUNDS, frames)
    return gzip.compress(header.encode() + Frames(x, y, level, state).encode(header), 1)


def replay(name="gate", duration_s=300.0, *, cars=800, people=2_000, events=200):
    """A document with one of everything; every name that an author can give is `name`."""
    features = [
        Shape(level, "level", level, [(0.0, 0.0), (100.0, 0.0), (100.0, 40.0), (0.0, 40.0), (0.0, 0.0)])
        for level in LEVELS
    ]
    for level in LEVELS:
        features += [
            Shape(f"{level}-A{row}", "aisle", level, [(2.0, y), (98.0, y)])
            for row, y in enumerate((8.0, 24.0))
        ]
        features += [
            Shape(f"{level}-B{row}-{bay}", "bay", level, [(4.0 + 2.4 * bay, y)], [2.4, 4.8])
            for row, y in enumerate((2.5, 13.5, 18.5, 29.5))
            for bay in range(38)
        ]
        features.append(Shape(f"{level}-door", "door", level, [(0.0, 16.0)]))
    features.append(Shape("G1", "gate", "L1", [(0.0, 8.0)]))
    devices = [
        Device(name, "gates", "boom_gate", [(0.0, "closed"), (90.0, "opening"), (92.0, "open")], "site")
        if number < 0
        else Device(
            f"D{number}", "smoke", "smoke_detector", [(0.0, "quiet"), (60.0 + number, "alarm")], "site",
            f"D{number}", LEVELS[number % 3], 3.0 + number % 30 * 3.2, 4.0 + number % 4 * 9.0,
        )
        for number in range(-1, 120)
    ]  # fmt: skip
    devices[0] = Device(name, "gates", "boom_gate", devices[0].states, "site", "G1", "L1", 0.0, 8.0)
    return Replay(
        title=name,
        variant="only",
        seed=1,
        duration_s=duration_s,
        has_scene=True,
        scene=Plan(name, list(LEVELS), BOUNDS, features),
        devices=devices,
        links=[LinkStates(name, "gateway", "broker", [(0.0, "up"), (50.0, "cut"), (80.0, "up")])],
        smoke=[SmokeSeries("L2", [0.0, 100.0], [None, 6.0], [3.0, 2.2], [28.0, 60.0], [0.0, 40.0])],
        queues={"L1-door": [(0.0, 0.0), (70.0, 12.0), (200.0, 0.0)]},
        occupancy={"people": [(0.0, float(people)), (300.0, 0.0)], "cars": [(0.0, float(cars))]},
        events=[
            Happening(50.0, "fault", f"partition begins between {name} and cloud"),
            *(Happening(60.0 + number, "alarm", name, f"D{number}", "L2", 7) for number in range(events)),
        ],
        requirements=[missed(name), Explained("met", "1 < 2", is_met=True, text="1 meets 1 < 2", at_s=70.0)],
        agents={"cars": cars, "people": people},
        frame_s=0.5,
        fire=("L2-B1-7", 5.0),
    )  # fmt: skip


def missed(name="gate opens"):
    """A missed requirement whose message was lost once and waited for the next attempt."""
    chain = [
        Hop(60.0, "D0", "D0", "alarm"),
        Hop(60.0, "D0", "gateway", "detector/D0/event/alarm", "10 ms", 0.01),
        Hop(60.01, "gateway", "broker", "site/detector/D0/event/alarm", f"lost at gateway: {name}"),
        Hop(85.0, "gateway", "broker", "site/detector/D0/event/alarm", "100 ms", 0.1),
        Hop(85.1, "broker", name, "site/gate/cmd/open", "20 ms", 0.02),
        Hop(87.0, name, name, "gate_open"),
    ]
    return Explained(
        name, "max(a -> b) < 9 s", is_met=False, text="27 s misses it", at_s=87.0, chain=chain, why=name
    )


def as_json(document):
    """The document as it is stored."""
    from scenarios.results import encode

    return encode(document)


def keep(folder, document, frames=b""):
    """Write a replay into the folder of a run."""
    folder.mkdir(parents=True)
    (folder / "replay.json").write_bytes(as_json(document))
    if frames:
        (folder / "trajectory.bin.gz").write_bytes(frames)
    return json.loads((folder / "replay.json").read_text())
