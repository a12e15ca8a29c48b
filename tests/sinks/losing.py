"""A backend under load that is frozen and killed: what was acknowledged, kept, lost and kept twice."""

import threading
import time
from collections import Counter
from dataclasses import dataclass

from twin.live.sinks.opening import worker
from twin.live.sinks.port import Record


@dataclass
class Account:
    """How it ended; counts of records. `stall_s` is the longest time without an acknowledgement."""

    offered: int
    refused: int
    acknowledged: int
    lost: int
    twice: int
    unknown: int
    retries: int
    stall_s: float

    def __str__(self):
        return (
            f"{self.offered} offered, {self.refused} refused, {self.acknowledged} acknowledged, "
            f"{self.lost} lost, {self.twice} twice, {self.retries} retries, stall {self.stall_s:.1f} s"
        )


def record(number, things=20):
    thing = f"s-{number % things}"
    return Record(
        f"k{number:08}", f"site/s/sensor/{thing}/smoke", thing, number / 1000, b'{"v": %d}' % number
    )


def account(server, *, rate=1000, frozen_s=0.0, dead_s=0.0, load_s=3.0, url=None, settle=lambda: None):
    """Offers records at a steady rate; after a second the backend is frozen, after another one killed."""
    times, acked, refused, number = [], [], 0, 0
    busy = worker("backend", url or server.url)
    busy.start()

    def told(key):
        def tell(is_kept):
            times.append(time.monotonic())
            if is_kept:
                acked.append(key)

        return tell

    def disturb():
        time.sleep(1.0)
        if frozen_s:
            server.freeze()
            time.sleep(frozen_s)
            server.thaw()
            time.sleep(1.0)
        if dead_s:
            server.kill()
            time.sleep(dead_s)
            server.start()

    trouble = threading.Thread(target=disturb)
    trouble.start()
    began = time.monotonic()
    while trouble.is_alive() or time.monotonic() < began + load_s:
        each = record(number)
        refused += not busy.offer(each, told(each.key))
        number += 1
        time.sleep(max(0.0, began + number / rate - time.monotonic()))
    trouble.join()
    busy.stop(20)
    settle()
    found = Counter(server.keys())
    gaps = [after - before for before, after in zip([began, *times], times)]
    return Account(
        offered=number,
        refused=refused,
        acknowledged=len(acked),
        lost=len(set(acked) - set(found)),
        twice=sum(count > 1 for count in found.values()),
        unknown=len(set(found) - set(acked)),
        retries=busy.counts.retries,
        stall_s=max(gaps, default=0.0),
    )
