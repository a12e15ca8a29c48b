"""`windtunnel sweep`: one or two inputs of a variant over a range."""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from twin.errors import InputError
from windtunnel.cli import INTERRUPTED, MET, add_run_options

if TYPE_CHECKING:
    from scenarios.format.loading import ScenarioFile
    from scenarios.sweeping.keeping import SweepArchive
    from scenarios.sweeping.running import Course

EXAMPLES: Final = """\
examples:
  windtunnel sweep car_park_fire --keys                    the inputs it has, and a range for each
  windtunnel sweep car_park_fire --set "world.people.count=100..700/4"
  windtunnel sweep car_park_fire --variant edge --set "links.uplink.round_trip=200 ms..3 s/8 log" \\
                   --metric "the manager gets an answer" --refine "20 ms"
  windtunnel sweep car_park_fire --set "world.people.count=200, 400, 800" --set "world.fire.growth=slow, fast"
  windtunnel sweep --resume latest                         what Ctrl-C has left out

LOW..HIGH/N is N values, evenly spaced, or on a logarithmic scale with `log` behind it; two whole ends make
whole values. A list has commas. Keys are those that variants override. Every point has the same seeds, so
points differ by the input and not by chance. Exit code 0 when every point was measured, whatever was found.
"""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The parser of `sweep`."""
    sweep = commands.add_parser(
        "sweep",
        help="vary one or two inputs, find knees and where requirements stop holding",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    sweep.add_argument(
        "scenario", nargs="?", help="a *.scenario.yaml file, or the name of a shipped scenario"
    )
    sweep.add_argument("--variant", metavar="NAME", help="which variant (default: the first)")
    sweep.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUES",
        help="an input and its values (one or two)",
    )
    sweep.add_argument(
        "--metric", action="append", default=[], metavar="NAME",
        help="show this metric, or the value of this requirement, first (may be repeated)",
    )  # fmt: skip
    sweep.add_argument(
        "--refine", default="", metavar="PRECISION",
        help="add points until each requirement's boundary is known so closely, for example '10 ms'",
    )  # fmt: skip
    sweep.add_argument("--keys", action="store_true", help="list the inputs of the scenario, run nothing")
    sweep.add_argument("--resume", metavar="RUN", help="go on with a stored sweep")
    add_run_options(sweep)


def sweep(options: argparse.Namespace) -> int:
    """Measure every point, store and show what was found."""
    from scenarios.shipped import load

    if options.resume:
        return _resume(options)
    if options.scenario is None:
        raise InputError("sweep needs a scenario, or --resume RUN")
    scenario = load(options.scenario)
    if options.keys:
        return _keys(scenario, options)
    return _begin(scenario, options)


def _begin(scenario: ScenarioFile, options: argparse.Namespace) -> int:
    from scenarios.sweeping.keeping import SweepArchive
    from scenarios.sweeping.ranges import swept
    from scenarios.sweeping.running import course_of, task_of

    if not options.set:
        raise InputError(
            "sweep needs an input: --set KEY=VALUES, such as --set 'links.uplink.round_trip=200 ms..2 s/6';"
            " --keys lists those of the scenario"
        )
    task = task_of(
        scenario,
        [swept(text) for text in options.set],
        variant=options.variant,
        replications=options.replications,
        seed=options.seed,
        shown=options.metric,
        refine=options.refine,
    )
    course = course_of(task, scenario)
    archive = SweepArchive.open(Path(options.runs), scenario, task)
    try:
        return _measure(archive, course, options)
    except InputError:
        archive.discard()
        raise


def _resume(options: argparse.Namespace) -> int:
    from scenarios.shipped import load
    from scenarios.sweeping.keeping import SweepArchive
    from scenarios.sweeping.running import course_of

    if options.set or options.scenario or options.variant or options.replications or options.seed is not None:
        raise InputError("--resume goes on with what was asked before; give no scenario and no other input")
    archive, task = SweepArchive.reopen(Path(options.runs), options.resume)
    try:
        return _measure(archive, course_of(task, load(task.scenario)), options)
    except InputError:
        archive.manifest.state = "interrupted"
        archive.store.save(archive.manifest)
        raise


def _measure(archive: SweepArchive, course: Course, options: argparse.Namespace) -> int:
    from scenarios.archive import PROGRESS
    from scenarios.judging.runner import uninterrupted
    from scenarios.sweeping.keeping import read_rows
    from scenarios.sweeping.running import run
    from windtunnel.progress import Progress

    progress = Progress(is_quiet=options.quiet or options.json, file=archive.folder / PROGRESS)
    try:
        is_whole = run(
            course,
            workers=options.workers,
            known=list(read_rows(archive.folder)),
            keep=archive.keep,
            watcher=progress,
        )
    finally:
        progress.close()
    with uninterrupted(signal.SIGINT, signal.SIGTERM):
        found = archive.close(course, "done" if is_whole else "interrupted")
    if found is None:
        print("interrupted before the first replication was done; nothing to keep", file=sys.stderr)
        return INTERRUPTED
    _show(archive.folder, options)
    if not is_whole:
        print(f"go on with: windtunnel sweep --resume {archive.folder.name}", file=sys.stderr)
    return MET if is_whole else INTERRUPTED


def _show(folder: Path, options: argparse.Namespace) -> None:
    from scenarios.archive import REPORT

    print(stored(folder, is_json=options.json))
    if not options.json:
        print(f"\nreport: {folder / REPORT}")


def stored(folder: Path, *, is_json: bool) -> str | None:
    """What a run in the catalogue found if it was a sweep."""
    from scenarios.sweeping.keeping import read_sweep
    from scenarios.sweeping.results import SWEEP
    from scenarios.sweeping.wording import table
    from windtunnel.commands import terminal_width

    if not (folder / SWEEP).exists():
        return None
    if is_json:
        return (folder / SWEEP).read_text("utf-8").rstrip("\n")
    return table(read_sweep(folder), width=terminal_width())


def _keys(scenario: ScenarioFile, options: argparse.Namespace) -> int:
    import msgspec

    from scenarios.sweeping.parameters import parameters_of
    from scenarios.sweeping.wording import columns

    variant = scenario.variant(options.variant) if options.variant else scenario.variants[0]
    found = parameters_of(scenario, variant)
    if options.json:
        print(msgspec.json.encode(found).decode())
        return MET
    rows = [[each.key, each.now, f'--set "{each.key}={each.proposal}"'] for each in found]
    print("\n".join(columns([["input", "now", "for example"], *rows])))
    return MET
