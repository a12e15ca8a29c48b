"""The queue of a link against queueing theory: M/D/1 and M/M/1."""

import csv
import math
from pathlib import Path

import pytest

from network.stages.rate import Rate
from twin.kernel.randomness import Stream

TABLE = Path(__file__).parents[1] / "data" / "queueing_reference.csv"
ROWS = {
    (row["model"], row["metric"]): float(row["value"])
    for row in csv.DictReader(TABLE.read_text(encoding="utf-8").splitlines())
    if row["id"] in {"Q01", "Q02"}
}
ARRIVALS_PER_S = 0.8
UNIT_BYTES = 1000  # a mean message takes one second at 8,000 bit/s
COUNT = 200_000
BATCHES = 40


def sojourns_s(sizes_bytes):
    """Time in the link of each message, arrivals Poisson."""
    stage, stream, now, times_s = (
        Rate(8.0 * UNIT_BYTES, queue_bytes=math.inf),
        Stream(31, "l", "arrivals"),
        0.0,
        [],
    )
    for size_bytes in sizes_bytes:
        now += stream.exponential(1 / ARRIVALS_PER_S)
        times_s.append(stage.release(now, size_bytes) - now)
    return times_s


def mean_and_error(values):
    """Mean, and its standard error from batch means."""
    length = len(values) // BATCHES
    means = [math.fsum(values[i * length : (i + 1) * length]) / length for i in range(BATCHES)]
    mean = math.fsum(means) / BATCHES
    return mean, math.sqrt(math.fsum((m - mean) ** 2 for m in means) / (BATCHES - 1) / BATCHES)


def test_messages_of_one_size_wait_as_in_m_d_1():
    """Q02: mean sojourn 3, mean waiting time 2."""
    mean_s, error_s = mean_and_error(sojourns_s([UNIT_BYTES] * COUNT))
    assert error_s < 0.1
    assert mean_s == pytest.approx(ROWS["M/D/1", "W"], abs=3 * error_s)
    assert mean_s - 1 == pytest.approx(ROWS["M/D/1", "Wq"], abs=3 * error_s)


def test_messages_of_exponential_size_wait_as_in_m_m_1():
    """Q01: mean sojourn 5, and Little's law gives 4 messages in the link."""
    sizes = Stream(32, "l", "sizes")
    mean_s, error_s = mean_and_error(sojourns_s([sizes.exponential(UNIT_BYTES) for _ in range(COUNT)]))
    assert error_s < 0.25
    assert mean_s == pytest.approx(ROWS["M/M/1", "W"], abs=3 * error_s)
    assert mean_s * ARRIVALS_PER_S == pytest.approx(ROWS["M/M/1", "L"], abs=3 * error_s)


def test_one_sojourn_of_m_m_1_in_a_hundred_exceeds_its_99th_percentile():
    """Q01: 23.03."""
    sizes = Stream(33, "l", "sizes")
    times_s = sojourns_s([sizes.exponential(UNIT_BYTES) for _ in range(COUNT)])
    share, error = mean_and_error([float(time_s > ROWS["M/M/1", "p99 sojourn"]) for time_s in times_s])
    assert error < 0.003
    assert share == pytest.approx(0.01, abs=3 * error)
