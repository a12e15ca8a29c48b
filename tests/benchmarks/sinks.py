"""What each backend takes, and what it loses when it is frozen and when it is killed.

python tests/benchmarks/sinks.py [NAME ...]    prints the rows of the table in docs/backends.md
"""

import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parents[1] / "store"))
sys.path.insert(0, str(Path(__file__).parents[1] / "sinks"))

import losing
import servers

from twin.live.sinks.opening import worker

FROZEN_S, DEAD_S, RECORDS = 6.5, 1.0, 20_000
LABELS = {
    "Postgres": "PostgreSQL",
    "Redis": "Redis, log every second",
    "RedisNone": "Redis, no log",
    "Influx": "InfluxDB 1.6",
    "S3": "object store (MiniStack)",
    "Kafka": "Kafka 4.1, one broker",
}


@contextmanager
def running(name):
    with servers.Redis(log="none") if name == "RedisNone" else getattr(servers, name)() as server:
        server.empty()
        yield server


def rate(url):
    """Records a second, from the first offered to the last acknowledged."""
    busy = worker("backend", url)
    busy.start()
    began = time.perf_counter()
    for number in range(RECORDS):
        each = losing.record(number)
        while not busy.offer(each):
            time.sleep(0.001)
    busy.stop(60)
    return busy.counts.kept / (time.perf_counter() - began)


def rates(server):
    """Three times from empty."""
    for _ in range(3):
        server.empty()
        yield rate(server.url)


def main(names):
    print("| backend | records/s | what happened | acknowledged | refused | lost | twice | longest stall |")
    print("|---|---|---|---|---|---|---|---|")
    for name in names:
        with running(name) as server:
            speed = median(rates(server))
        for event, options in (("frozen", {"frozen_s": FROZEN_S}), ("killed", {"dead_s": DEAD_S})):
            with running(name) as server:
                found = losing.account(server, **options)
            print(
                f"| {LABELS[name]} | {speed:,.0f} | {event} | {found.acknowledged:,} of {found.offered:,} |"
                f" {found.refused:,} | {found.lost:,} | {found.twice:,} | {found.stall_s:.1f} s |",
                flush=True,
            )
    with tempfile.TemporaryDirectory() as folder:
        for form in ("sqlite:{}/{}.sqlite", "file:{}/{}.jsonl"):
            speed = median(rate(form.format(folder, number)) for number in range(3))
            print(f"{form.partition(':')[0]}: {speed:,.0f} records/s", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:] or list(LABELS))
