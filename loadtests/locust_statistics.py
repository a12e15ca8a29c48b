"""Our histograms, poured into Locust's statistics once a second: nothing is paid for a single message."""

from __future__ import annotations

import time
from typing import Any, Final

from locust.env import Environment
from locust.stats import StatsEntry, bucket_response_time

from loadtests.fleet_load import FleetLoad
from twin.mqtt.fleet.histogram import Histogram, middle_s

MOST_FAILURES: Final = 1_000
"""Of one cause, fired as failures one by one."""


class LostMessageError(Exception):
    """A message that was acknowledged and never came."""


class ConnectionEndedError(Exception):
    """A connection that ended, or was refused."""


class Poured:
    """What of each histogram Locust knows already."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._seen: dict[tuple[int, str, str], dict[int, int]] = {}
        self._troubles: dict[tuple[int, str, str], int] = {}

    def pour(self, load: FleetLoad) -> None:
        """Tell Locust what it does not know yet."""
        self._histogram(load, "CONNECT", "CONNACK", load.engine.tally.connect)
        for row in load.rows:
            self._histogram(load, "PUBACK", row.name, row.acknowledgement)
            self._histogram(load, "DELIVER", row.name, row.delivery)
        troubles = load.figures().trouble
        for kind in ("ended", "refused", "dropped"):
            for reason, count in troubles[kind].items():
                self._failures(load, kind, reason, count)

    def losses(self, load: FleetLoad) -> None:
        """Fire the lost messages as failures, when they are known to be lost."""
        for _ in range(min(load.figures().account.lost, MOST_FAILURES)):
            self._fail("DELIVER", "lost", LostMessageError("acknowledged and never delivered"))

    def _failures(self, load: FleetLoad, kind: str, reason: str, count: int) -> None:
        key = load.number, kind, reason
        new = count - self._troubles.get(key, 0)
        self._troubles[key] = count
        for _ in range(min(new, MOST_FAILURES)):
            self._fail("CONNECT" if kind != "dropped" else "PUBACK", kind, ConnectionEndedError(reason))

    def _fail(self, method: str, name: str, error: Exception) -> None:
        events: Any = self._environment.events
        events.request.fire(
            request_type=method, name=name, response_time=0, response_length=0, exception=error, context={}
        )

    def _histogram(self, load: FleetLoad, method: str, name: str, histogram: Histogram) -> None:
        seen = self._seen.setdefault((load.number, method, name), {})
        entry = _difference(self._environment.stats, method, name, histogram, seen)
        if entry.num_requests:
            self._environment.stats.get(name, method).extend(entry)
            self._environment.stats.total.extend(entry)


def _difference(stats: Any, method: str, name: str, histogram: Histogram, seen: dict[int, int]) -> StatsEntry:
    """The durations that were counted since the last time (ms), as Locust keeps them."""
    entry = StatsEntry(stats, name, method)
    now = time.time()
    for place, count in histogram.counts.items():
        new = count - seen.get(place, 0)
        if new > 0:
            seen[place] = count
            took_ms: Any = middle_s(place) * 1000.0
            entry.num_requests += new
            entry.total_response_time += took_ms * new
            entry.response_times[bucket_response_time(took_ms)] += new
            entry.max_response_time = max(entry.max_response_time, took_ms)
            least = entry.min_response_time
            entry.min_response_time = took_ms if least is None else min(least, took_ms)
    entry.last_request_timestamp = now
    entry.num_reqs_per_sec[int(now)] = entry.num_requests
    return entry
