"""Stations against queueing theory: rows of queueing_reference.csv within three standard errors.

Runs are batched (Lindley recursion over the station's own arithmetic); a batch mean is one sample.
"""

import csv
import math
import statistics
from pathlib import Path

import pytest

from twin.kernel.randomness import Streams
from twin.kernel.station import FifoStation

ROWS = {
    (row["id"], row["parameters"], row["metric"]): float(row["value"])
    for row in csv.DictReader(
        (Path(__file__).parents[1] / "data" / "queueing_reference.csv").read_text().splitlines()
    )
}
BATCHES, CUSTOMERS, WARM_UP = 30, 6_000, 1_000


def mean_wait(rate_per_s, service, servers, seed):
    """Mean time in queue and fraction that waits, of one batch after a warm-up."""
    arrivals = Streams(seed).stream("customers", "arrivals")
    drawn = []

    def recorded():
        drawn.append(service())
        return drawn[-1]

    station = FifoStation(recorded, servers, queue_limit=10**9)
    now, waits = 0.0, []
    for number in range(CUSTOMERS):
        now += arrivals.exponential(1.0 / rate_per_s)
        departure = station.admit(now)
        if number >= WARM_UP:
            waits.append(departure - now - drawn[-1])
    return statistics.fmean(waits), sum(wait > 1e-12 for wait in waits) / len(waits)


def batches(rate_per_s, law, servers=1):
    results = []
    for seed in range(BATCHES):
        stream = Streams(seed).stream("server", "service")
        results.append(mean_wait(rate_per_s, law(stream), servers, seed))
    return results


def assert_close(values, expected):
    error = statistics.stdev(values) / math.sqrt(len(values))
    assert abs(statistics.fmean(values) - expected) < 3 * error


def exponential(mean_s):
    return lambda stream: lambda: stream.exponential(mean_s)


def lognormal(cv):
    sigma = math.sqrt(math.log(1 + cv * cv))
    return lambda stream: lambda: stream.lognormal(-sigma * sigma / 2, sigma)


CASES = [
    ("Q01", "lambda=0.8 mu=1", "Wq", 0.8, exponential(1.0), 1),
    ("Q02", "lambda=0.8 service=1", "Wq", 0.8, lambda _stream: lambda: 1.0, 1),
    ("Q03", "lambda=8 mu=1 c=10", "Wq", 8.0, exponential(1.0), 10),
    ("Q03", "lambda=1.8 mu=1 c=2", "Wq", 1.8, exponential(1.0), 2),
    ("Q06", "lambda=0.7 E[S]=1 cv=0.5", "Wq", 0.7, lognormal(0.5), 1),
    ("Q06", "lambda=0.7 E[S]=1 cv=2.0", "Wq", 0.7, lognormal(2.0), 1),
]


@pytest.mark.parametrize(("row", "parameters", "metric", "rate", "law", "servers"), CASES)
def test_mean_wait_agrees_with_the_formula(row, parameters, metric, rate, law, servers):
    """M/M/1, M/D/1, M/M/c and M/G/1 (Pollaczek-Khinchine)."""
    assert_close([wait for wait, _ in batches(rate, law, servers)], ROWS[row, parameters, metric])


@pytest.mark.parametrize(
    ("parameters", "rate", "servers"), [("lambda=8 mu=1 c=10", 8.0, 10), ("lambda=1.8 mu=1 c=2", 1.8, 2)]
)
def test_share_of_waiting_customers_is_erlang_c(parameters, rate, servers):
    """P(wait) of M/M/c."""
    values = [share for _, share in batches(rate, exponential(1.0), servers)]

    assert_close(values, ROWS["Q03", parameters, "P(wait)=Erlang C"])


def test_blocking_without_a_queue_is_erlang_b():
    """M/M/c/c: a station with no place to wait."""
    blocked = []
    for seed in range(BATCHES):
        service, arrivals = Streams(seed).stream("s", "service"), Streams(seed).stream("s", "arrivals")
        station = FifoStation(service.exponential, servers=10, queue_limit=0)
        now, lost = 0.0, 0
        for _ in range(CUSTOMERS):
            now += arrivals.exponential(1 / 8.0)
            lost += station.admit(now) is None
        blocked.append(lost / CUSTOMERS)

    assert_close(blocked, ROWS["Q04", "a=8 c=10", "blocking"])


def test_p99_sojourn_of_mm1_is_the_exponential_quantile():
    """Sojourn of M/M/1 is exponential with rate mu - lambda."""
    quantiles = []
    for seed in range(BATCHES):
        service, arrivals = Streams(seed).stream("s", "service"), Streams(seed).stream("s", "arrivals")
        station = FifoStation(service.exponential, queue_limit=10**9)
        now, sojourns = 0.0, []
        for number in range(20_000):
            now += arrivals.exponential(1 / 0.8)
            departure = station.admit(now)
            if number >= WARM_UP:
                sojourns.append(departure - now)
        quantiles.append(sorted(sojourns)[int(len(sojourns) * 0.99)])

    assert_close(quantiles, ROWS["Q01", "lambda=0.8 mu=1", "p99 sojourn"])


def test_three_stations_in_tandem_add_up():
    """Burke: the departures of M/M/1 are Poisson again."""
    sojourns = []
    for seed in range(BATCHES):
        streams = Streams(seed)
        arrivals = streams.stream("t", "arrivals")
        laws = [exponential(1 / mu)(streams.stream(f"t{mu}", "service")) for mu in (2.0, 3.0, 2.5)]
        stations = [FifoStation(law, queue_limit=10**9) for law in laws]
        now, total = 0.0, 0.0
        for number in range(CUSTOMERS):
            now += arrivals.exponential(1.0)
            at_s = now
            for station in stations:
                at_s = station.admit(at_s)
            if number >= WARM_UP:
                total += at_s - now
        sojourns.append(total / (CUSTOMERS - WARM_UP))

    assert_close(sojourns, ROWS["Q08", "lambda=1 mu=2,3,2.5", "W"])


def test_an_alarm_storm_clears_in_n_over_mu():
    """1,000 jobs at once on one server of 500/s: mean sojourn (N + 1)/(2 mu), cleared after N/mu."""
    sojourns, cleared = [], []
    for seed in range(BATCHES):
        service = Streams(seed).stream("storm", "service")
        station = FifoStation(lambda service=service: service.exponential(1 / 500))
        departures = [station.admit(0.0) for _ in range(1_000)]
        sojourns.append(statistics.fmean(departures))
        cleared.append(departures[-1])

    assert_close(sojourns, ROWS["Q15", "N=1000 mu=500/s", "mean sojourn s"])
    assert_close(cleared, ROWS["Q15", "N=1000 mu=500/s", "mean time to clear s"])
