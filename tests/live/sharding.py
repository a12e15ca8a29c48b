"""What worker processes of tests do; they import it by name."""

import os
import signal

from twin.errors import InputError
from twin.mqtt.fleet.tally import Tally


def part(shard):
    tally = Tally(offered=len(shard.share(shard.plan["total"])))
    tally.lateness.add(1.0 + shard.number)
    return tally


def mishap(shard):
    """Each worker meets another end."""
    tally = Tally(offered=10)
    shard.tell(tally)
    if shard.number == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    if shard.number == 1:
        raise InputError("the plan is no good")
    if shard.number == 2:
        raise ZeroDivisionError("oh")
    return tally


def wait(shard):
    """Work until told to stop."""
    import time

    tally = Tally(offered=1)
    while not shard.is_stopped:
        shard.tell(tally)
        time.sleep(0.01)
    tally.offered = 2
    return tally


def main():
    """A program that is interrupted from the keyboard."""
    from twin.live.shards import run_shards

    outcome = run_shards(wait, {}, 2, lambda tally: print("so far", tally.offered, flush=True))
    print("found", outcome.tally.offered, outcome.problems, outcome.is_interrupted, flush=True)


if __name__ == "__main__":
    main()
