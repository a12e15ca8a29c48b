"""`windtunnel replay`: one replication of a stored run again, recorded second by second."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from windtunnel.cli import LARGEST_SEED, MET

if TYPE_CHECKING:
    from scenarios.replaying.document import Replay
    from scenarios.replaying.running import Choice, Replayed

PROGRESS: Final = "progress.json"
EXAMPLES: Final = """\
examples:
  windtunnel replay                              the newest run: where it first failed a requirement
  windtunnel replay latest --variant edge --seed 7
  windtunnel replay 20261123 --requirement "gates open within 35 s"

It runs that one replication again, which gives the same result, and writes into the folder of the run:
  replays/VARIANT-SEED/replay.json         devices, links, smoke, queues, events, and why each requirement
                                           was met or missed
  replays/VARIANT-SEED/trajectory.bin.gz   where every car and person was, twice a second
"""


def add_parser(commands: Any) -> None:
    """The parser of `replay`."""
    replay = commands.add_parser(
        "replay",
        help="record one replication of a stored run: who was where, what happened, and why",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    replay.add_argument("run", nargs="?", default="latest", help="name of the run (default: latest)")
    replay.add_argument("--variant", metavar="NAME", help="default: the first that failed a requirement")
    replay.add_argument("--seed", type=_seed, metavar="N", help="default: that of its worst replication")
    replay.add_argument("--requirement", metavar="NAME", help="show where this requirement went wrong")
    replay.add_argument("--runs", default="runs", metavar="DIR", help="where results are (default: runs)")
    replay.add_argument("--json", action="store_true", help="print as JSON")
    replay.add_argument("--quiet", action="store_true", help="no progress on standard error")


def replay(options: argparse.Namespace) -> int:
    """Record the replication, keep it with the run, and say what it shows."""
    from scenarios.replaying.running import REPLAYS, choose, kept_replay
    from scenarios.store import Store

    folder, manifest = Store(Path(options.runs)).find(options.run)
    choice = choose(
        folder, manifest, variant=options.variant, seed=options.seed, requirement=options.requirement
    )
    place = folder / REPLAYS / choice.name
    kept = kept_replay(folder, choice)
    if kept is not None:
        _show(options, kept, place, is_same=True)
        return MET
    found = _recorded(options, folder, choice, place)
    _show(options, found.document, place, is_same=found.is_same)
    if found.is_same is False:
        print(f"windtunnel: {_other(manifest.version)}", file=sys.stderr)
    return MET


def _recorded(options: argparse.Namespace, folder: Path, choice: Choice, place: Path) -> Replayed:
    """Run the replication and keep its replay; of one that was interrupted nothing is left."""
    from scenarios.replaying.running import replay_stored
    from windtunnel.progress import Progress

    place.mkdir(parents=True, exist_ok=True)
    progress = Progress(is_quiet=options.quiet or options.json, file=place / PROGRESS, unit="s simulated")
    try:
        found = replay_stored(folder, choice, progress)
        found.keep(place)
    finally:
        progress.close()
        (place / PROGRESS).unlink(missing_ok=True)
        if not any(place.iterdir()):
            place.rmdir()
    return found


def _show(options: argparse.Namespace, document: Replay, place: Path, *, is_same: bool | None) -> None:
    print(json.dumps(_summary(document, place, is_same)) if options.json else _text(document, place))


def _summary(document: Replay, place: Path, is_same: bool | None) -> dict[str, Any]:
    trajectory = place / "trajectory.bin.gz"
    return {
        "folder": str(place),
        "variant": document.variant,
        "seed": document.seed,
        "duration_s": document.duration_s,
        "has_scene": document.has_scene,
        "agents": document.agents,
        "is_same": is_same,
        "requirements": [
            {"name": each.name, "is_met": each.is_met, "text": each.text, "at_s": each.at_s}
            for each in document.requirements
        ],
        "events": len(document.events),
        "trajectory_bytes": trajectory.stat().st_size if trajectory.is_file() else 0,
    }


def _text(document: Replay, place: Path) -> str:
    met = sum(each.is_met for each in document.requirements)
    moving = " and ".join(f"{count} {who}" for who, count in document.agents.items() if count)
    head = (
        f"{document.variant}, seed {document.seed}: {document.duration_s:.0f} s,"
        f" {len(document.events)} events{f', {moving}' if moving else ''};"
        f" {met} of {len(document.requirements)} requirements met"
    )
    lines = [head]
    for each in document.requirements:
        at = "" if each.at_s is None else f"  (at {each.at_s:.1f} s)"
        lines.append(f"  {'met   ' if each.is_met else 'missed'}  {each.name}: {each.text}{at}")
    return "\n".join([*lines, str(place)])


def _other(version: str) -> str:
    return (
        f"this replay differs from what the run has measured (with version {version}):"
        " the product or a file beside the scenario has changed since"
    )


def _seed(text: str) -> int:
    value = int(text) if text.isascii() and text.isdigit() else -1
    if not 0 <= value <= LARGEST_SEED:
        raise argparse.ArgumentTypeError(f"expected a whole number from 0 to {LARGEST_SEED}, not {text!r}")
    return value
