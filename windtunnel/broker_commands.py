"""`windtunnel broker check`: what a broker does and does not of the MQTT standard."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from twin.errors import InputError, MissingEnvironmentError
from windtunnel.broker_options import add_access_options, with_options
from windtunnel.cli import FAILED, MET

if TYPE_CHECKING:
    from twin.live.conformance.bench import Subject
    from twin.live.conformance.verdicts import Conformance, Finding
    from twin.mqtt.packets import Version
    from twin.service.brokers import RunningBroker

EXAMPLES: Final = """\
examples:
  windtunnel broker check mosquitto                 start the mosquitto of this machine and check it
  windtunnel broker check embedded --version 5      the embedded broker, MQTT 5 only
  windtunnel broker check mqtt://broker.example     one that runs; clients and topics are made for the
                                                    occasion below windtunnel-check/, and cleared afterwards
  windtunnel broker check mqtts://me@broker.example --ca ca.pem --password-file secret

exit codes: 0 no check failed, 1 some did, 2 an argument is bad, 4 there is no such broker
A password is read from --password-file or from the environment variable WINDTUNNEL_PASSWORD.
"""
MARKS: Final = {"passed": "✓", "failed": "✗", "not supported": "-", "not tried": " "}


def add_parser(commands: Any) -> None:
    """The parser of `broker`."""
    broker = commands.add_parser("broker", help="check what a broker does of the MQTT standard")
    actions = broker.add_subparsers(dest="broker_action", required=True)
    check = actions.add_parser(
        "check",
        help="try some fifty things a version that the standard says",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    check.add_argument("broker", help="a URL, mosquitto, embedded, or any (of the two)")
    check.add_argument("--version", choices=("3.1.1", "5", "both"), default="both", help="default: both")
    check.add_argument("--quick", action="store_true", help="only what takes no time worth waiting for")
    check.add_argument("--only", action="append", metavar="CHECK", help="only this one (may be repeated)")
    add_access_options(check)
    check.add_argument("--json", action="store_true", help="print the findings as JSON")


def broker(options: argparse.Namespace) -> int:
    """Check one broker and print a line a check."""
    from scenarios.format.issues import suggestion
    from twin.live.conformance.bench import CHECKS
    from twin.live.conformance.checking import run_checks
    from twin.live.conformance.verdicts import BOTH
    from twin.service.subjects import subject

    for name in options.only or ():
        if name not in (names := [check.name for check in CHECKS]):
            raise InputError(
                f"--only: there is no check {name!r}; {suggestion(name, names) or 'none is near'}"
            )
    versions: tuple[Version, ...] = BOTH if options.version == "both" else (options.version,)
    with subject(options.broker, lambda endpoint: with_options(endpoint, options)) as found:
        if not options.json:
            print(f"checking {found.name} at {found.doors['plain'].url} ...", file=sys.stderr, flush=True)
        checked = run_checks(found, versions, is_quick=options.quick, only=options.only)
    print(_as_json(checked) if options.json else "\n".join(_lines(checked, versions)))
    return FAILED if checked.of("failed") else MET


def briefly(running: Mapping[str, RunningBroker]) -> dict[str, Conformance]:
    """What the brokers of a run's nodes do of what nearly every run needs."""
    from twin.service.subjects import given

    found = {}
    for node, each in running.items():
        subject = given(each.endpoint)
        named = subject if each.child is None else subject._replace(name=each.name)
        found[node] = _brief(named)
    return found


def _brief(subject: Subject) -> Conformance:
    """In MQTT 3.1.1, or in 5 where a broker speaks nothing else."""
    from twin.live.conformance.checking import BRIEF, run_checks

    try:
        return run_checks(subject, ("3.1.1",), only=BRIEF)
    except MissingEnvironmentError as error:
        try:
            return run_checks(subject, ("5",), only=BRIEF)
        except MissingEnvironmentError:
            raise error from None


def _lines(checked: Conformance, versions: tuple[Version, ...]) -> Iterator[str]:
    yield f"{checked.broker} at {checked.url}"
    width = max(len(each.check) for each in checked.findings)
    for version in versions:
        found = [each for each in checked.findings if each.version == version]
        yield f"\nMQTT {version}"
        if all(each.verdict == "not supported" for each in found):
            yield f"  {MARKS['not supported']} {found[0].detail}"
            continue
        yield from (line for each in found for line in _line(each, width))
    yield ""
    yield from (_count(checked, version) for version in versions)
    yield f"in {checked.took_s:.1f} s"


def _line(finding: Finding, width: int) -> Iterator[str]:
    """A line a check, and below it what happened if it did not pass."""
    said = f"  [{finding.detail}]" if finding.verdict == "passed" and finding.detail else ""
    mark = MARKS[finding.verdict]
    yield f"  {mark} {finding.check:<{width}}  {finding.clause:<10}  {finding.says}{said}"
    if finding.verdict != "passed":
        yield f"      {finding.verdict}: {finding.detail}"


def _count(checked: Conformance, version: Version) -> str:
    others = [
        f"{len(found)} {verdict}"
        for verdict in ("not supported", "not tried")
        if (found := checked.of(verdict, version))
    ]
    passed, failed = len(checked.of("passed", version)), len(checked.of("failed", version))
    return f"MQTT {version}: {passed} passed, {failed} failed" + "".join(f", {each}" for each in others)


def _as_json(checked: Conformance) -> str:
    import msgspec

    return json.dumps({**msgspec.to_builtins(checked), "row": checked.row()}, indent=2)
