"""Shadow updates a second on one core, and the fork of all twins: `python tests/benchmarks/shadow.py`.

10,000 things have a document of about 500 bytes (state without metadata). An update goes in as payload
bytes on its topic, and accepted and delta come out encoded; documents only where said. Beside it stands
the same with the old document copied as a whole each time. Rounds are interleaved, and the median counts.
Cyclic garbage is looked for as seldom as in the writer of the service: one look through all shadows takes as
long as thousands of updates, and it depends on chance which round it falls into.
Bar: 50,000 updates a second, and a fork in less than 1 ms.
"""

from __future__ import annotations

import copy
import gc
import json
import pickle
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from twin.message import Message
from twin.service.writer import COLLECT_AFTER
from twin.state.shadow import SHADOW, Shadow, Shadows, ShadowSettings
from twin.state.twins import Twins

THINGS = 10_000
ROUNDS = 5
UPDATES = 20_000
REPORTED = {
    "gate": "closed",
    "position": {"angle": 0.0, "moving": False, "cycles": 18_231},
    "power": {"volts": 23.9, "amps": 0.12, "on_battery": False},
    "network": {"rssi": -71, "cell": "310-410-1a2b3c", "ip": "10.20.31.7"},
    "sensors": {"loop": [0, 0, 1, 0], "beam": "clear", "temperature": 21.5},
    "firmware": {"version": "4.2.1", "build": "2026-09-14", "slot": "b"},
}
DESIRED = {"gate": "open", "position": {"angle": 90.0}, "light": {"on": True, "level": 80}}


def part(number: int) -> bytes:
    """What a gate says every so often: five of its values."""
    state = {
        "reported": {
            "position": {"angle": float(number % 90), "moving": number % 2 == 0},
            "power": {"volts": 23.9, "amps": number % 7 / 10},
            "sensors": {"temperature": 20 + number % 10},
        }
    }
    return json.dumps({"state": state, "clientToken": f"t{number}"}).encode()


def whole(number: int) -> bytes:
    """All values of a gate."""
    reported = REPORTED | {"position": {"angle": float(number % 90), "moving": True, "cycles": number}}
    return json.dumps({"state": {"reported": reported}, "clientToken": f"t{number}"}).encode()


def prepared(*, has_documents: bool = False) -> Twins:
    """Ten thousand gates that were told something and said everything."""
    twins = Twins([Shadows(ShadowSettings(has_documents=has_documents))])
    body = json.dumps({"state": {"desired": DESIRED, "reported": REPORTED}}).encode()
    for number in range(THINGS):
        twins.handle(Message(f"$aws/things/gate-{number}/shadow/update", body), 1.0)
    return twins


def requests(payload: Callable[[int], bytes]) -> list[Message]:
    """As many updates as are measured, to one gate after the other."""
    return [
        Message(f"$aws/things/gate-{number % THINGS}/shadow/update", payload(number))
        for number in range(UPDATES)
    ]


def rate(twins: Twins, messages: list[Message]) -> float:
    """Updates a second of processor time."""
    began_s = time.process_time()
    for number, message in enumerate(messages):
        twins.handle(message, 2.0 + number)
    return len(messages) / (time.process_time() - began_s)


def copying(twins: Twins, messages: list[Message]) -> float:
    """The same with deep copies of the whole document."""
    records = twins.records
    began_s = time.process_time()
    for number, message in enumerate(messages):
        key = message.topic.split("/", 3)[2]
        old = records.get(SHADOW, key)
        records.put(
            SHADOW,
            key,
            Shadow(
                version=old.version,
                state=copy.deepcopy(old.state),
                metadata=copy.deepcopy(old.metadata),
            ),
        )
        twins.handle(message, 2.0 + number)
    return len(messages) / (time.process_time() - began_s)


def measured(work: Callable[[], object]) -> float:
    """Milliseconds of processor time."""
    began_s = time.process_time()
    kept = work()
    took_s = time.process_time() - began_s
    del kept
    return took_s * 1e3


def main() -> None:
    """Print the figures."""
    gc.set_threshold(COLLECT_AFTER, *gc.get_threshold()[1:])
    twins = prepared()
    size = len(json.dumps({"desired": DESIRED, "reported": REPORTED}))
    parts, wholes = requests(part), requests(whole)
    print(f"{THINGS} things, document {size} B, update {len(parts[0].payload)} or {len(wholes[0].payload)} B")
    names = ("five values", "all values", "five values, documents", "five values, deep copies")
    rates: dict[str, list[float]] = {name: [] for name in names}
    documented = prepared(has_documents=True)
    for _ in range(ROUNDS):
        rates["five values"].append(rate(twins, parts))
        rates["all values"].append(rate(twins, wholes))
        rates["five values, documents"].append(rate(documented, parts))
        rates["five values, deep copies"].append(copying(twins, parts[:2_000]))
    for name, found in rates.items():
        print(f"updates/s, {name:<26} {statistics.median(found):>9,.0f} (best {max(found):,.0f})")
    ratio = statistics.median(rates["five values"]) / statistics.median(rates["five values, deep copies"])
    print(f"ratio to deep copies {ratio:.1f}")
    kept = dict(twins.records.of(SHADOW))
    forks = [measured(twins.fork) for _ in range(20)]
    deep = [measured(lambda: copy.deepcopy(kept)) for _ in range(2)]
    raw = {key: (each.version, each.state, each.metadata) for key, each in kept.items()}
    pickled = [measured(lambda: pickle.loads(pickle.dumps(raw))) for _ in range(2)]  # noqa: S301
    print(f"fork of {THINGS} twins: {statistics.median(forks):.3f} ms (least {min(forks):.3f} ms)")
    print(f"  deepcopy {statistics.median(deep):.0f} ms, pickle {statistics.median(pickled):.0f} ms")


if __name__ == "__main__":
    main()
