"""`windtunnel ledger`: account for every message of a live run, from its history."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from windtunnel.cli import FAILED, MET

if TYPE_CHECKING:
    from scenarios.format.loading import Variant
    from scenarios.ledger import Account, Row
    from twin.live.history import History

EXAMPLES: Final = """\
examples:
  windtunnel live alarm_drill --for "30 s"          writes history.jsonl into the run's folder
  windtunnel ledger check latest
  windtunnel ledger check history.jsonl --late "2 s" --json

Exit code 0 if every acknowledged message came or has an explanation, and nothing came more often than its QoS
promises; else 1.
"""
HISTORY: Final = "history.jsonl"
COLUMNS: Final = ("expected", "delivered", "lost", "duplicated", "reordered", "recovered", "late")


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The parser of `ledger`."""
    ledger = commands.add_parser(
        "ledger",
        help="account for every message of a live run",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = ledger.add_subparsers(dest="ledger_action", required=True)
    check = actions.add_parser("check", help="hold a recorded history against what MQTT promises")
    check.add_argument("history", metavar="RUN", help="name of a live run, 'latest', or a history file")
    check.add_argument("--runs", default="runs", metavar="DIR", help="where results are (default: runs)")
    check.add_argument(
        "--late", default="5 s", metavar="TIME", help="what took longer is late (default: 5 s)"
    )
    check.add_argument("--json", action="store_true", help="print as JSON")


def ledger(options: argparse.Namespace) -> int:
    """Check a history and say what became of its messages."""
    import msgspec

    from scenarios.ledger import check, read
    from twin.units import parse

    account = check(read(_file_of(options)), parse("time", options.late))
    print(json.dumps(msgspec.to_builtins(account)) if options.json else _shown(account))
    return FAILED if account.violation_count else MET


def _file_of(options: argparse.Namespace) -> Path:
    """The history that is meant: a file, or that of a run."""
    from scenarios.store import Store
    from twin.errors import InputError

    path = Path(options.history)
    if path.is_file():
        return path
    folder, _ = Store(Path(options.runs)).find(options.history)
    if not (folder / HISTORY).is_file():
        raise InputError(f"run {folder.name!r} has no history; `windtunnel live` writes one")
    return folder / HISTORY


def _shown(account: Account) -> str:
    from scenarios.ledger import summary

    rows = {**account.by_qos, **account.by_window}
    width = max(map(len, rows), default=0)
    lines = [summary(account), ""]
    lines.append(" " * width + "".join(f"{name:>12}" for name in COLUMNS))
    lines += [_row(name, row, width) for name, row in rows.items()]
    causes = [f"{count:>8,} missing: {cause}" for cause, count in sorted(account.total.missing.items())]
    return "\n".join([*lines, *([""] if causes else []), *causes, *account.violations])


def _row(name: str, row: Row, width: int) -> str:
    return f"{name:<{width}}" + "".join(f"{getattr(row, column):>12,}" for column in COLUMNS)


def begin_history(path: Path, wanted: str) -> History | None:
    """A history as `--ledger` asks for it."""
    from twin.live.history import History

    return None if wanted == "off" else History(path, is_marking=wanted == "marks")


def end_history(history: History, variant: Variant, happened: Sequence[Mapping[str, Any]] = ()) -> None:
    """Add the faults of the file and those by hand (`at` and `for` in words), and end the history."""
    from scenarios.wiring.timeline import occurrences
    from twin.units import parse

    for entry in variant.scenario.timeline:
        for at_s in occurrences(entry, variant.scenario.run.duration_s):
            history.fault(entry.fault, at_s, at_s + (entry.for_s or 0.0))
    for each in happened:
        at_s = parse("time", each["at"])
        history.fault(each["fault"], at_s, at_s + parse("time", each.get("for", "0 s")))
    history.close()


def account_of(path: Path) -> Account:
    """The account of the history in a file."""
    from scenarios.ledger import check, read

    return check(read(path))
