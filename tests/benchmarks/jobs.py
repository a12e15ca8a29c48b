"""What a job costs the twins, on one core and in memory: `python tests/benchmarks/jobs.py [things]`.

Prints executions a second for telling all things, for starting and ending each as its device does, and for
canceling what is queued; and the longest single transaction, which is how long anybody else may wait.
"""

import sys
import time

import msgspec

from twin.message import Message
from twin.state.jobs import Jobs
from twin.state.records import Transaction
from twin.state.twins import Twins

THINGS = 100_000
SUCCEEDED = msgspec.json.encode({"status": "SUCCEEDED"})


def fresh(things, job_id, **plan):
    """Twins in which a job has just been created, with the time of the longest transaction so far."""
    twins = Twins([Jobs(lambda _records, _target: things)])
    transaction = Transaction(twins.records, 0.0)
    document = {"operation": "install", "version": "2.0", "url": "https://firmware.example/2.0.bin"}
    plan = {"job_id": job_id, "targets": ["group:all"], "document": document, **plan}
    twins.components[0].create(plan, transaction)
    return twins


def elapse_all(twins):
    """Let everything fall due that does; the number of transactions and the longest (seconds)."""
    longest_s, steps = 0.0, 0
    while (due_s := twins.next_due_s()) < 1e9:
        begun = time.perf_counter()
        twins.elapse(due_s)
        longest_s = max(longest_s, time.perf_counter() - begun)
        steps += 1
    return steps, longest_s


def say(what, count, spent_s, note=""):
    print(f"{what:<34} {count / spent_s:>10,.0f} executions/s  {note}")


def main():
    count = int(sys.argv[1]) if len(sys.argv) > 1 else THINGS
    things = [f"pump-{number:06d}" for number in range(count)]

    begun = time.perf_counter()
    twins = fresh(things, "j")
    steps, longest_s = elapse_all(twins)
    say(
        "tell all things (2 messages each)",
        count,
        time.perf_counter() - begun,
        f"{steps} steps, longest {longest_s * 1e3:.0f} ms",
    )
    assert twins.records.get("job", "j").counts == {"QUEUED": count}

    begun = time.perf_counter()
    for thing in things:
        twins.handle(Message(f"$aws/things/{thing}/jobs/start-next"), 100.0)
        twins.handle(Message(f"$aws/things/{thing}/jobs/j/update", SUCCEEDED), 100.0)
    say("start and end each (2 requests)", count, time.perf_counter() - begun)
    assert twins.records.get("job", "j").status == "COMPLETED"

    twins = fresh(things, "j")
    elapse_all(twins)
    begun = time.perf_counter()
    twins.components[0].cancel("j", Transaction(twins.records, 200.0))
    steps, longest_s = elapse_all(twins)
    say(
        "cancel all that is queued",
        count,
        time.perf_counter() - begun,
        f"{steps} steps, longest {longest_s * 1e3:.0f} ms",
    )
    assert twins.records.get("job", "j").counts == {"CANCELED": count}


if __name__ == "__main__":
    main()
