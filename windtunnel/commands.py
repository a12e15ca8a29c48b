"""What each command does. Every function takes the parsed arguments and returns an exit code."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twin.errors import InputError
from windtunnel.cli import FAILED, INCONCLUSIVE, INTERRUPTED, INVALID, MET

if TYPE_CHECKING:
    from scenarios.format.loading import ScenarioFile
    from scenarios.results import Study

FLAGSHIP = "car_park_fire"
REPORT = "report.html"
WIDEST_TABLE = 160


# running -------------------------------------------------------------------------------------------------


def run(options: argparse.Namespace) -> int:
    """Simulate variants, judge requirements, store the results and print the table."""
    return _study(options, options.scenario, options.variant)


def demo(options: argparse.Namespace) -> int:
    """The car-park fire, whose verdicts are known beforehand: 0 if every one is as expected."""
    kept: list[Study] = []
    code = _study(options, FLAGSHIP, None, kept)
    if code == INTERRUPTED or not kept:
        return code
    surprises = [
        f"unexpected: {variant.name}, {each.name}: {each.verdict}"
        for variant in kept[0].variants
        for each in variant.requirements
        if each.verdict == "INCONCLUSIVE" or variant.expectation(each) == "unexpected"
    ]
    print("\n".join(surprises) or "every verdict is as expected", file=sys.stderr)
    return FAILED if surprises else MET


def compare(options: argparse.Namespace) -> int:
    """Paired differences of two variants."""
    from scenarios.judging.comparing import differences, units_of, values_of
    from scenarios.judging.runner import Plan, simulate
    from scenarios.shipped import find, load
    from windtunnel.progress import Progress

    path = find(options.target)
    if path.suffix not in {".yaml", ".yml"} and not path.is_file():
        return _compare_stored(options)
    scenario = load(options.target)
    progress = Progress(is_quiet=options.quiet or options.json)
    plan = Plan(options.variants, options.replications, options.seed, options.workers)
    first, second = simulate(scenario, plan, progress).runs
    progress.close()
    units = units_of(first.variant.requirements)
    names = (first.variant.name, second.variant.name)
    _print_comparisons(differences(names, values_of(first), values_of(second), units), options)
    return MET


def _compare_stored(options: argparse.Namespace) -> int:
    from scenarios.archive import read_study
    from scenarios.judging.comparing import differences, stored_values, units_of
    from scenarios.store import Store

    folder, _ = Store(Path(options.runs)).find(options.target)
    known = {variant.name: variant for variant in read_study(folder).variants}
    for name in options.variants:
        if name not in known:
            raise InputError(
                f"run {options.target!r} has no variant {name!r}; it has: {', '.join(sorted(known))}"
            )
    a, b = options.variants
    values_a, values_b = stored_values(folder, a), stored_values(folder, b)
    _print_comparisons(differences((a, b), values_a, values_b, units_of(known[a].requirements)), options)
    return MET


def _print_comparisons(found: list[Any], options: argparse.Namespace) -> None:
    from scenarios.results import encode

    if options.json:
        sys.stdout.write(encode(found).decode())
        return
    for each in found:
        print(
            f"{each.metric}: {each.variant_a} - {each.variant_b} = {each.mean_difference:+.4g} {each.unit}"
            f" (95 %: {each.low:+.4g} to {each.high:+.4g}, {each.pairs} pairs)"
        )


def _study(
    options: argparse.Namespace, name: str, variants: list[str] | None, kept: list[Study] | None = None
) -> int:
    from scenarios.archive import PROGRESS, Archive
    from scenarios.judging.runner import Findings, Interrupted, Plan, simulate, uninterrupted
    from scenarios.shipped import load
    from windtunnel.progress import Progress

    scenario = load(name)
    profile = getattr(options, "profile", None) or ""
    if profile:
        from scenarios.fidelity.profile import all_with_profile, read_profile

        scenario = all_with_profile(scenario, read_profile(Path(profile)))
    plan = Plan(variants, options.replications, options.seed, options.workers)
    archive = Archive.open(Path(options.runs), scenario, plan, profile)
    progress = Progress(is_quiet=options.quiet or options.json, file=archive.folder / PROGRESS)
    try:
        found, is_whole = simulate(scenario, plan, progress), True
    except Interrupted as interrupt:
        found, is_whole = Findings(interrupt.runs), False
    except InputError:
        archive.discard()
        raise
    finally:
        progress.close()
    with uninterrupted(
        signal.SIGINT, signal.SIGTERM
    ):  # what was measured is kept, however impatient the user
        study = archive.close(found, "done" if is_whole else "interrupted")
    if study is None:
        print("interrupted before the first replication was done; nothing to keep", file=sys.stderr)
        return INTERRUPTED
    if not is_whole:
        print("interrupted: what follows was measured until then", file=sys.stderr)
    if kept is not None:
        kept.append(study)
    _show(study, archive.folder, options)
    return _exit_code(study) if is_whole else INTERRUPTED


def _show(study: Study, folder: Path, options: argparse.Namespace) -> None:
    from scenarios import report

    if options.json:
        sys.stdout.write(report.as_json(study).decode())
        return
    print(report.terminal_table(study, is_colour=is_colour_wanted(), width=terminal_width()))
    print(f"report: {folder / REPORT}  ({study.duration_s:.1f} s)")


def is_colour_wanted() -> bool:
    """Whether standard output is a terminal, and nobody asked for plain text (no-color.org)."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def terminal_width() -> int:
    """The columns of the terminal, or of a usual one."""
    import shutil

    return min(shutil.get_terminal_size((120, 40)).columns, WIDEST_TABLE)


def _exit_code(study: Study) -> int:
    verdicts = {each.verdict for variant in study.variants for each in variant.requirements}
    if "FAIL" in verdicts:
        return FAILED
    return INCONCLUSIVE if "INCONCLUSIVE" in verdicts else MET


# files ---------------------------------------------------------------------------------------------------


def validate(options: argparse.Namespace) -> int:
    """Check scenario files and say everything that is wrong with them."""
    from scenarios.format.loading import ScenarioError
    from scenarios.rehearsal import put_together
    from scenarios.shipped import load

    problems: list[ScenarioError] = []
    for name in options.scenarios:
        try:
            scenario = load(name)
            put_together(scenario, name)
        except ScenarioError as error:
            problems.append(error)
        else:
            if options.format == "text":
                print(f"{name}: valid, {_counted(scenario)}")
                _warn(name, scenario)
    rows = [row for problem in problems for row in _as_rows(problem)]
    if options.format == "json":
        print(json.dumps(rows, indent=2))
    elif options.format == "github":
        for row in rows:
            print(_github_line(row))
    else:
        for problem in problems:
            print(problem, file=sys.stderr)
    return INVALID if problems else MET


def _warn(name: str, scenario: ScenarioFile) -> None:
    """Say what is valid and dangerous; it changes no exit code."""
    from scenarios.format.hazards import stale_wishes

    for sentence in stale_wishes([(variant.name, variant.scenario) for variant in scenario.variants]):
        print(f"warning: {name}: {sentence}", file=sys.stderr)


def _github_line(row: dict[str, Any]) -> str:
    """A workflow command, with the characters that would end it or its properties escaped."""
    place = f"file={_escaped(row['file'], ':,')},line={row['line']},col={row['column']}"
    return f"::error {place}::{row['code']} {_escaped(row['message'])}"


def _escaped(text: str, more: str = "") -> str:
    for character in f"%\r\n{more}":
        text = text.replace(character, f"%{ord(character):02X}")
    return text


def _counted(scenario: ScenarioFile) -> str:
    from scenarios.report.wording import count

    requirements = scenario.variants[0].scenario.requirements
    return f"{count(len(scenario.variants), 'variant')}, {count(len(requirements), 'requirement')}"


def _as_rows(error: Any) -> list[dict[str, Any]]:
    return [
        {
            "file": error.name,
            "line": issue.line,
            "column": issue.column,
            "code": issue.code,
            "message": issue.message,
            "help": issue.help,
        }
        for issue in error.issues
    ]


def resolve(options: argparse.Namespace) -> int:
    """Print the final file of a variant and its hash."""
    from scenarios.shipped import load

    scenario = load(options.scenario)
    variant = scenario.variant(options.variant) if options.variant else scenario.variants[0]
    print(f"# variant {variant.name}, sha256 {variant.hash}")
    print(variant.resolved.text, end="")
    return MET


def schema(options: argparse.Namespace) -> int:
    """Print or write the JSON Schema of the scenario file."""
    from scenarios.format.schema import json_schema
    from scenarios.store import write

    text = json.dumps(json_schema(), indent=1) + "\n"
    if options.write:
        write(Path(options.write), text)
    else:
        print(text, end="")
    return MET


def explain(options: argparse.Namespace) -> int:
    """Explain an error code, a device, a node kind or a fault; list them without an argument."""
    from scenarios.explanations import explanation, overview

    print(explanation(options.subject) if options.subject else overview())
    return MET


def new(options: argparse.Namespace) -> int:
    """Write a scenario to start from, with a generated building if asked."""
    from scenarios.templates import files

    written = files(options.name, scene=options.scene, levels=options.levels, bays=options.bays)
    taken = [name for name in written if Path(name).exists()]
    if taken:
        raise InputError(f"{taken[0]} exists already; choose another name or move it away")
    for name, text in written.items():
        Path(name).write_text(text, encoding="utf-8")
        print(f"wrote {name}")
    print(f"next: windtunnel run {next(iter(written))}")
    return MET


# results -------------------------------------------------------------------------------------------------


def runs(options: argparse.Namespace) -> int:
    """List, show or delete stored runs."""
    import msgspec

    from scenarios import report
    from scenarios.store import Store

    store = Store(Path(options.runs))
    if options.action == "list":
        found = store.list()
        if options.json:
            print(msgspec.json.encode(found).decode())
        for manifest in [] if options.json else found:
            print(f"{manifest.run:58.58}  {manifest.state:11}  {_tally(manifest.verdicts)}")
        if not found and not options.json:
            print(f"no runs below {options.runs}")
        return MET
    if options.run is None:
        raise InputError(f"runs {options.action} needs the name of a run, a beginning of it, or 'latest'")
    if options.action == "rm":
        print(f"removed {store.remove(options.run)}")
        return MET
    from windtunnel import suite_commands, sweep_commands
    from windtunnel.load_commands import stored

    folder = store.find(options.run)[0]
    for other in (stored, sweep_commands.stored, suite_commands.stored):
        if (shown := other(folder, is_json=options.json)) is not None:
            print(shown)
            return MET
    study = _stored(options.runs, options.run)
    if options.json:
        sys.stdout.write(report.as_json(study).decode())
    else:
        print(report.terminal_table(study, is_colour=is_colour_wanted(), width=terminal_width()))
    return MET


def _tally(verdicts: dict[str, str]) -> str:
    known = ("PASS", "FAIL", "INCONCLUSIVE", "passed", "failed", "error", "skipped")
    counts = {verdict: list(verdicts.values()).count(verdict) for verdict in known}
    return ", ".join(f"{count} {verdict}" for verdict, count in counts.items() if count)


def _stored(root: str, name: str) -> Study:
    from scenarios.archive import read_study
    from scenarios.store import Store

    return read_study(Store(Path(root)).find(name)[0])


def report(options: argparse.Namespace) -> int:
    """Write a stored run's report in one of its forms."""
    from scenarios import report as reports
    from scenarios.store import Store, write

    folder, _ = Store(Path(options.runs)).find(options.run)
    study = _stored(options.runs, options.run)
    forms = {
        "html": (reports.html, REPORT),
        "junit": (reports.junit, "junit.xml"),
        "markdown": (reports.markdown, "summary.md"),
        "json": (lambda each: reports.as_json(each).decode(), "study.json"),
    }
    make, name = forms[options.format]
    text = make(study)
    if options.out == "-":
        sys.stdout.write(text)
        return MET
    path = Path(options.out) if options.out else folder / name
    write(path, text)
    print(path)
    return MET


# the machine ---------------------------------------------------------------------------------------------


def doctor(options: argparse.Namespace) -> int:
    """What this machine has, and what is missing for what."""
    from windtunnel.doctor import findings

    found = findings()
    if options.json:
        print(json.dumps([finding._asdict() for finding in found], indent=2))
    for finding in [] if options.json else found:
        print(f"{'ok     ' if finding.is_good else 'MISSING'}  {finding.name}: {finding.detail}")
    from windtunnel.cli import MISSING

    return MET if all(finding.is_good or finding.is_optional for finding in found) else MISSING


def link(options: argparse.Namespace) -> int:
    """Show what a link does, or record a measured trace of a real one."""
    from windtunnel import link_commands

    return link_commands.link(options)


def topology(options: argparse.Namespace) -> int:
    """Show a topology, or bring one from or to another tool's format."""
    from windtunnel import link_commands

    return link_commands.topology(options)
