"""Counts of what the service did, in the text format of Prometheus (exposition format 0.0.4)."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

MOST_NAMES: Final = 1_000


class Sample(NamedTuple):
    """One value, with what tells it from others of its name."""

    name: str
    value: float
    labels: Mapping[str, str] = {}


@dataclass(slots=True)
class Metrics:
    """Sums and counts by name and label; every thread may add."""

    _lock: threading.Lock = field(init=False, default_factory=threading.Lock)
    _counts: dict[tuple[str, tuple[tuple[str, str], ...]], float] = field(init=False, default_factory=dict)

    def add(self, name: str, value: float = 1.0, **labels: str) -> None:
        """Add to a counter; beyond a bound of names new ones are left out."""
        key = (name, tuple(sorted(labels.items())))
        with self._lock:
            if key in self._counts or len(self._counts) < MOST_NAMES:
                self._counts[key] = self._counts.get(key, 0.0) + value

    def observe(self, observations: Iterable[tuple[str, float]]) -> None:
        """Add measured values: how many there were of each, and their sum."""
        for measure, value in observations:
            self.add("windtunnel_measure_count", measure=measure)
            self.add("windtunnel_measure_sum", value, measure=measure)

    def text(self, gauges: Iterable[Sample]) -> str:
        """Everything as text; gauges are what stands now."""
        with self._lock:
            counted = [Sample(name, value, dict(labels)) for (name, labels), value in self._counts.items()]
        lines: list[str] = []
        for kind, samples in (("counter", counted), ("gauge", list(gauges))):
            for name in dict.fromkeys(sample.name for sample in samples):
                lines.append(f"# TYPE {name} {kind}")
                lines += [_line(sample) for sample in samples if sample.name == name]
        return "\n".join(lines) + "\n"


def _line(sample: Sample) -> str:
    value = f"{sample.value:.17g}"
    labels = ",".join(f'{name}="{_escaped(text)}"' for name, text in sample.labels.items())
    return f"{sample.name}{{{labels}}} {value}" if labels else f"{sample.name} {value}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
