"""`windtunnel watch`: one replication in wall time, to look at and to interfere with."""

from __future__ import annotations

import argparse
import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from windtunnel.cli import FAILED, INTERRUPTED, MET, read_seed
from windtunnel.durations import lasting_s

if TYPE_CHECKING:
    from scenarios.watching.running import Watched

EXAMPLES: Final = """\
examples:
  windtunnel watch car_park_fire --variant edge --speed 20
  windtunnel control latest cut uplink          cut a link; heal uplink mends it
  windtunnel control latest degrade "uplink delay 2s loss 10%"
  windtunnel control latest kill gateway        restart gateway starts it again
  windtunnel control latest speed 5             also pause, resume, status, stop
  windtunnel watch car_park_fire --no-fire      then: windtunnel control latest fire L2-B016

What is done by hand is kept in timeline.yaml in the run's folder: in the scenario's timeline it does the same
again, to the bit.
"""


MARKS: Final = {
    "met": "✓ met       ",
    "missed": "✗ missed    ",
    "open": "  open      ",
    "met so far": "  met so far",
}


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The parser of `watch`."""
    watch = commands.add_parser(
        "watch",
        help="run one replication in wall time, and change it while it runs",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    watch.add_argument("scenario", help="a *.scenario.yaml file, or the name of a shipped scenario")
    watch.add_argument("--variant", metavar="NAME", help="default: the first variant")
    watch.add_argument("--seed", type=read_seed, metavar="N", help="instead of the file's")
    watch.add_argument(
        "--speed", default="1", metavar="X", help="seconds of the run in one of the wall (default 1)"
    )
    watch.add_argument("--for", dest="duration", metavar="TIME", help="end earlier than the scenario says")
    watch.add_argument("--paused", action="store_true", help="wait at the start for `resume`")
    watch.add_argument("--no-fire", action="store_true", help="nothing burns until `fire BAY` is ordered")
    watch.add_argument("--runs", default="runs", metavar="DIR", help="where results go (default: runs)")
    watch.add_argument("--json", action="store_true", help="print the results as JSON")


def watch(options: argparse.Namespace) -> int:
    """Run to the end or to Ctrl-C, and say for each requirement whether it was met."""
    from scenarios.by_hand import shortened, without_fire
    from scenarios.shipped import load
    from scenarios.watching.control import read_speed
    from scenarios.watching.running import Watching, WatchPlan
    from windtunnel.proxy_commands import tell

    scenario = load(options.scenario)
    variant = scenario.variant(options.variant) if options.variant else scenario.variants[0]
    if options.no_fire:
        variant = without_fire(variant)
    if (duration_s := lasting_s(options.duration)) is not None:
        variant = shortened(variant, duration_s)
    plan = WatchPlan(variant, options.seed, read_speed(options.speed), options.paused)
    watching = Watching(Path(options.runs), scenario, plan, tell)
    stop_on_signals(watching.stop)
    tell(0.0, f"orders: windtunnel control {watching.folder} ...")
    found = watching.run()
    print(json.dumps(_as_json(found)) if options.json else _shown(found))
    if not found.found.is_whole:
        return INTERRUPTED
    return MET if all(each.is_met for each in found.found.outcome.judgements.values()) else FAILED


def stop_on_signals(stop: Callable[[], None]) -> None:
    """The first Ctrl-C or SIGTERM ends the run between two events and keeps it; the second the program."""

    def on_signal(number: int, _frame: object) -> None:
        signal.signal(number, signal.default_int_handler)
        stop()

    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, on_signal)


def _as_json(watched: Watched) -> dict[str, Any]:
    outcome = watched.found.outcome
    return {
        "folder": str(watched.folder),
        "is_whole": watched.found.is_whole,
        "timeline": watched.happened,
        "requirements": {name: each._asdict() for name, each in watched.formed.items()},
        "metrics": outcome.metrics,
    }


def _shown(watched: Watched) -> str:
    late = watched.found.timeliness
    lines = [f"watched for {watched.found.outcome.duration_s:.1f} s of the run"]
    lines += [f"  {MARKS[each.state]}  {name}: {each.text}" for name, each in watched.formed.items()]
    if late.slip_count:
        lines.append(f"slower than asked: the clock slipped {late.slip_count} times, {late.slipped_s:.2f} s")
    if watched.happened:
        lines.append(f"{len(watched.happened)} faults by hand: {watched.folder / 'timeline.yaml'}")
    return "\n".join([*lines, f"kept in {watched.folder}"])
