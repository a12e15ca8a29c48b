"""`windtunnel shadow-conformance` holds a file of cases against our shadows, or a service behind a broker."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from twin.errors import InputError
from windtunnel.cli import FAILED, MET

if TYPE_CHECKING:
    from scenarios.conformance.cases import Case
    from scenarios.conformance.verdict import Result
    from twin.service.target import Target

EPILOG: Final = """\
A file is a JSON array of cases: operations that are given, the one that is judged, the documents it leads to,
and what a later get returns. docs/shadows.md shows the form.

examples:
  windtunnel shadow-conformance cases.json                    our engine, and the simulated broker and twin
  windtunnel shadow-conformance cases.json --broker mqtt://127.0.0.1:1883
                                                              whatever answers behind that broker
  windtunnel shadow-conformance cases.json --broker mqtts://broker:8883 --ca ca.pem --cert c.pem --key c.key

exit codes: 0 every case passes, 1 some do not, 2 the file or an argument is bad,
            4 the broker cannot be reached or nobody answers
"""
TITLE_WIDTH: Final = 56


def add_parser(commands: Any) -> None:
    """Describe the command to the parser."""
    parser = commands.add_parser(
        "shadow-conformance",
        help="hold a file of shadow cases against our twins or any service behind a broker",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("cases", help="a JSON file of cases")
    parser.add_argument("--broker", metavar="URL", help="mqtt://host:port or mqtts://host:port")
    parser.add_argument("--username", metavar="NAME", help="who we are to the broker")
    parser.add_argument(
        "--password-file",
        "--broker-password-file",
        metavar="FILE",
        help="where the password stands; not readable by others",
    )
    parser.add_argument(
        "--ca", "--broker-ca", metavar="FILE", default="", help="who certifies the broker, PEM"
    )
    parser.add_argument("--cert", "--broker-cert", metavar="FILE", default="", help="our certificate, PEM")
    parser.add_argument("--key", "--broker-key", metavar="FILE", default="", help="our key, PEM")
    parser.add_argument(
        "--prefix", metavar="TEXT", help="things are called so with a number behind (default: conformance-)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of the table")


def shadow_conformance(options: argparse.Namespace) -> int:
    """Run every case against the targets and print what differs."""
    from scenarios.conformance.cases import read_cases

    target = _target(options)
    cases = read_cases(Path(options.cases))
    results = list(_results(cases, target, options))
    print(_as_json(results) if options.json else _as_text(results))
    return MET if all(each.verdict == "ok" for each in results) else FAILED


def _target(options: argparse.Namespace) -> Target | None:
    if options.broker is None:
        for name in ("username", "password_file", "ca", "cert", "key", "prefix"):
            if getattr(options, name):
                raise InputError(
                    f"--{name.replace('_', '-')} needs --broker URL: what is it to be used with?"
                )
        return None
    from twin.service.target import read_target

    url = options.broker
    if options.username:
        scheme, slashes, rest = url.partition("://")
        url = f"{scheme}{slashes}{_quoted(options.username)}@{rest}"
    return read_target(
        url,
        password_file=options.password_file,
        ca_file=options.ca,
        certificate_file=options.cert,
        key_file=options.key,
    )


def _quoted(text: str) -> str:
    from urllib.parse import quote

    return quote(text, safe="")


def _results(cases: Sequence[Case], target: Target | None, options: argparse.Namespace) -> Iterable[Result]:
    if target is None:
        from scenarios.conformance.virtual import run_engine, run_simulated

        return [*run_engine(cases), *run_simulated(cases)]
    from scenarios.conformance.live import DEFAULT_PREFIX, run_live

    if not options.json:
        print(f"{len(cases)} cases with {target} ...", file=sys.stderr)
    return run_live(cases, target, options.prefix or DEFAULT_PREFIX)


def _as_text(results: Sequence[Result]) -> str:
    """One line a case and target, what differs below it, and the count."""
    width = max(len(each.case.id) for each in results)
    target_width = max(len(each.target) for each in results)
    lines = []
    for each in results:
        title = each.case.title[:TITLE_WIDTH]
        lines.append(f"{each.case.id:<{width}}  {each.target:<{target_width}}  {each.verdict:<12}  {title}")
        lines += [f"{'':<{width}}    {difference}" for difference in each.differences]
    lines += ["", *(f"{name}: {_count(part)}" for name, part in _by_target(results).items())]
    return "\n".join(line.rstrip() for line in lines)


def _count(results: Sequence[Result]) -> str:
    passed = sum(each.verdict == "ok" for each in results)
    texts = sum(each.verdict == "text differs" for each in results)
    silent = sum(each.verdict == "no answer" for each in results)
    said = f"{passed} of {len(results)} cases pass"
    said += f", {texts} differ in a text only" if texts else ""
    return said + (f", {silent} got no answer" if silent else "")


def _by_target(results: Sequence[Result]) -> dict[str, list[Result]]:
    parts: dict[str, list[Result]] = {}
    for each in results:
        parts.setdefault(each.target, []).append(each)
    return parts


def _as_json(results: Sequence[Result]) -> str:
    document = {
        "targets": {
            name: {"cases": len(part), "passed": sum(each.verdict == "ok" for each in part)}
            for name, part in _by_target(results).items()
        },
        "results": [
            {
                "id": each.case.id,
                "title": each.case.title,
                "target": each.target,
                "verdict": each.verdict,
                "differences": [difference._asdict() for difference in each.differences],
            }
            for each in results
        ],
    }
    return json.dumps(document, indent=2)
