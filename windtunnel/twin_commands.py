"""What `windtunnel twin` does, and its arguments: everything that can be done with a store but serving it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from twin.errors import InputError, WindtunnelError

if TYPE_CHECKING:
    from scenarios.what_if import WhatIf
    from twin.service.stored import Reader
    from twin.state.branch import Difference

DONE: Final = 0
FAILED: Final = 1
STORE: Final = "a SQLite file that `windtunnel serve` keeps, or postgresql://..."
MOMENT: Final = "now, a sequence (1200), seconds (12.5s) or a time with its zone (2026-03-01T12:00:00Z)"
SHOWN: Final = 60
EPILOG: Final = """\
examples:
  windtunnel twin show twins.sqlite                    how many records there are, of what
  windtunnel twin show twins.sqlite gate-1             everything that is known of one thing
  windtunnel twin history twins.sqlite gate-1          how it came to that
  windtunnel twin branch twins.sqlite --scenario site.scenario.yaml --at 2026-03-01T12:00:00Z
                                                       play on from there, and see what is otherwise

Reading changes nothing and does not keep a running service waiting.
exit codes: 0 done, 1 the store is not as it should be, 2 invalid input
"""


# arguments -----------------------------------------------------------------------------------------------


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the command line."""
    twin = commands.add_parser(
        "twin",
        help="look into a store of twins: show, history, journal, check, snapshot, diff, branch",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = twin.add_subparsers(dest="twin_action", required=True, metavar="ACTION")
    show = _action(actions, "show", "what is in a store, or everything about one thing")
    show.add_argument("thing", nargs="?", metavar="THING")
    show.add_argument("--at", default="now", metavar="MOMENT", help=MOMENT)
    history = _action(actions, "history", "the changes of one thing, oldest first")
    history.add_argument("thing", metavar="THING")
    history.add_argument("--from", dest="begin", metavar="MOMENT", help="only what came after it")
    history.add_argument("--to", dest="end", metavar="MOMENT", help="only up to it")
    history.add_argument("--limit", type=_positive, default=1000, metavar="N", help="at most (default 1000)")
    journal = _action(actions, "journal", "how far the journal reaches; export it", has_json=False)
    journal.add_argument("--export", metavar="FILE", help="telemetry as lines of JSON, as `rules test` reads")
    journal.add_argument("--all", action="store_true", help="export every entry, not telemetry alone")
    journal.add_argument("--from", dest="begin", metavar="MOMENT", help="only what came after it")
    journal.add_argument("--to", dest="end", metavar="MOMENT", help="only up to it")
    _action(actions, "check", "replay the journal and compare it with the records; look at every checksum")
    _action(actions, "snapshot", "write a snapshot beside a store that no service has open", has_json=False)
    differing = _action(actions, "diff", "what differs between two moments")
    differing.add_argument("--from", dest="begin", required=True, metavar="MOMENT", help=MOMENT)
    differing.add_argument("--to", dest="end", default="now", metavar="MOMENT", help="default: now")
    _add_branch(actions)


def _add_branch(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    branch = _action(actions, "branch", "play a scenario on from a store, and compare its end with live")
    branch.add_argument(
        "--scenario", required=True, metavar="FILE", help="a *.scenario.yaml with a twin node"
    )
    branch.add_argument("--variant", metavar="NAME", help="default: the first one")
    branch.add_argument("--at", default="now", metavar="MOMENT", help=MOMENT)
    branch.add_argument("--seed", type=int, metavar="N", help="instead of the file's")
    branch.add_argument("--twin", metavar="NODE", help="which twin node, if the scenario has several")


def _action(
    actions: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    text: str,
    *,
    has_json: bool = True,
) -> argparse.ArgumentParser:
    made = actions.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
    made.add_argument("store", metavar="STORE", help=STORE)
    if has_json:
        made.add_argument("--json", action="store_true", help="print as JSON")
    return made


def _positive(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or not int(text):
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1, not {text!r}")
    return int(text)


# commands ------------------------------------------------------------------------------------------------


def twin(options: argparse.Namespace) -> int:
    """Do what was asked with a store."""
    return int(_ACTIONS[options.twin_action](options))


@contextmanager
def _reading(options: argparse.Namespace) -> Iterator[Reader]:
    from twin.service.stored import reader

    found = reader(options.store)
    try:
        yield found
    finally:
        found.close()


def _kinds() -> Any:
    from twin.state.standard import standard_twins

    return standard_twins().kinds


def _show(options: argparse.Namespace) -> int:
    from twin.service.stored import about_thing, overview

    with _reading(options) as history:
        found = about_thing(history, options.thing, options.at) if options.thing else overview(history)
    if options.thing and not found:
        raise InputError(f"nothing is known of {options.thing!r}")
    if options.json:
        _print_json(found)
    else:
        for name, value in found.items():
            print(f"{name:24} {value if isinstance(value, str | int) else _compact(value)}")
    return DONE


def _history(options: argparse.Namespace) -> int:
    from twin.service.stored import shown, span
    from twin.state.journal import Wanted

    with _reading(options) as history:
        after, until = span(history, options.begin, options.end)
        entries = history.entries(
            Wanted(after=after, until=until, thing=options.thing, limit=options.limit, is_newest_first=True)
        )
    entries.reverse()
    if options.json:
        _print_json([shown(entry) for entry in entries])
        return DONE
    for entry in entries:
        text = entry.record.decode() if entry.record else ""
        print(f"{entry.sequence:9} {_time(entry.at_s)} {entry.what:6} {entry.kind:12} {entry.key} {text}")
    if not entries:
        print(f"no entry is about {options.thing!r} there", file=sys.stderr)
    return DONE


def _journal(options: argparse.Namespace) -> int:
    from twin.service.stored import exported, span

    with _reading(options) as history:
        bounds = history.bounds()
        if not options.export:
            print(f"entries {bounds.first} to {bounds.last}, the last at {_time(bounds.last_s)}")
            for mark in history.snapshots():
                print(f"snapshot at {mark.sequence}, {_time(mark.at_s)}")
            return DONE
        after, until = span(history, options.begin, options.end)
        count = 0
        with Path(options.export).open("wb") as file:
            for line in exported(history, after, until, is_all=options.all):
                file.write(line + b"\n")
                count += 1
    print(f"wrote {options.export}: {count} lines", file=sys.stderr)
    return DONE


def _check(options: argparse.Namespace) -> int:
    from twin.service.stored import checked_through
    from twin.state.journal import BrokenStoreError

    try:
        with _reading(options) as history:
            report = checked_through(history)
    except BrokenStoreError as error:
        print(error, file=sys.stderr)
        return FAILED
    if options.json:
        _print_json(report)
    else:
        print(f"entries {report.first} to {report.last}: {report.entries} read, replayed from {report.base}")
        print(f"records: {report.records}; messages that wait: {report.waiting}")
        for problem in report.problems:
            print(f"PROBLEM: {problem}")
        print("not as it should be" if report.problems else "the journal leads to the records: all is well")
    return FAILED if report.problems else DONE


def _snapshot(options: argparse.Namespace) -> int:
    from twin.service.stored import opened

    store, findings = opened(options.store)
    try:
        for finding in findings:
            print(f"windtunnel: {finding}", file=sys.stderr)
        mark = store.snapshot()
    finally:
        store.close()
    print(f"snapshot at {mark.sequence}")
    return DONE


def _diff(options: argparse.Namespace) -> int:
    from twin.state.branch import branch_at, diff

    with _reading(options) as history:
        before = branch_at(history, _kinds(), options.begin, options.begin)
        after = branch_at(history, _kinds(), options.end, options.end)
    found, is_cut = diff(after.records, before.records)
    if options.json:
        _print_json({"differences": found, "is_cut": is_cut})
    else:
        _print_differences(found, before.name, after.name, is_cut=is_cut)
    return DONE


def _branch(options: argparse.Namespace) -> int:
    from scenarios.what_if import what_if
    from twin.state.branch import branch_at

    with _reading(options) as history:
        branch = branch_at(history, _kinds(), options.at, options.at)
        live = branch if options.at == "now" else branch_at(history, _kinds())
    found = what_if(
        options.scenario,
        branch,
        live=live.records,
        variant=options.variant,
        seed=options.seed,
        twin=options.twin,
    )
    if options.json:
        _print_json(found)
    else:
        _print_what_if(found)
    return DONE


_ACTIONS: Final = {
    "show": _show,
    "history": _history,
    "journal": _journal,
    "check": _check,
    "snapshot": _snapshot,
    "diff": _diff,
    "branch": _branch,
}


# printing ------------------------------------------------------------------------------------------------


def _print_what_if(found: WhatIf) -> None:
    print(
        f"{found.scenario}, variant {found.variant}, seed {found.seed}: {found.duration_s:g} s"
        f" from entry {found.sequence} ({_time(found.at_s)})"
    )
    print(f"devices that began as they had reported: {_listed(found.adopted)}")
    if found.strangers:
        print(f"things that the scenario does not have: {_listed(found.strangers)}")
    for name, judged in found.judgements.items():
        print(f"{'met   ' if judged.is_met else 'MISSED'} {name}")
    _print_differences(found.differences, "live", "branch", is_cut=found.is_cut)


def _print_differences(found: list[Difference], before: str, after: str, *, is_cut: bool) -> None:
    if not found:
        print("nothing differs")
    for each in found:
        place = f"{each.thing:16} {each.kind:10} {each.path or each.key}"
        if each.what == "differs":
            print(f"{place}: {_compact(each.live)} in {before}, {_compact(each.branch)} in {after}")
        else:
            side, value = (after, each.branch) if each.what == "only_branch" else (before, each.live)
            print(f"{place}: only in {side}: {_compact(value)}")
    if is_cut:
        print(f"... and more; the first {len(found)} are shown")


def _listed(names: list[str]) -> str:
    shown = ", ".join(names[:10]) or "none"
    return f"{shown} and {len(names) - 10} more" if len(names) > 10 else shown


def _compact(value: Any) -> str:
    import msgspec

    text = msgspec.json.encode(value).decode()
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 3]}..."


def _print_json(value: Any) -> None:
    import msgspec

    sys.stdout.write(msgspec.json.format(msgspec.json.encode(value), indent=1).decode() + "\n")


def _time(at_s: float) -> str:
    """A time as people read it; one soon after 0 is of a simulation."""
    import datetime as dt

    if at_s < 1e8:
        return f"{at_s:.3f} s"
    try:
        return f"{dt.datetime.fromtimestamp(at_s, dt.UTC):%Y-%m-%d %H:%M:%S}Z"
    except (OverflowError, ValueError):
        raise WindtunnelError(f"{at_s:g} s is no time") from None
