"""`windtunnel fidelity` and `calibrate`: the same scenario and seed, simulated and live."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from windtunnel.cli import FAILED, INCONCLUSIVE, INTERRUPTED, MET
from windtunnel.durations import lasting_s
from windtunnel.live_commands import add_broker_options, bound_brokers, stop_on_ctrl_c

if TYPE_CHECKING:
    from scenarios.fidelity.comparison import Tolerance
    from scenarios.fidelity.recording import Recording
    from scenarios.format.loading import Variant
    from scenarios.live import LiveRun

EXIT: Final = {"PASS": MET, "FAIL": FAILED, "INCONCLUSIVE": INCONCLUSIVE}
EXAMPLES: Final = """\
examples:
  windtunnel fidelity alarm_drill
  windtunnel fidelity car_park_fire --variant cloud_us --for "3 min" --broker mosquitto
  windtunnel fidelity my_site.scenario.yaml --tolerance median=1% --tolerance p99=3% --out fidelity.html
  windtunnel fidelity my_site.scenario.yaml --broker mqtt://127.0.0.1 --convention topics:ours/{thing}/{what}

The scenario is simulated, then run live with the same seed (see `windtunnel live --help` for brokers), and
compared: every latency that a requirement asks about, every hop, losses and requirements. Exit code 0 within
the tolerance, 1 beyond it, 3 undecided; a live run that fell behind real time is not compared (4).
"""


CALIBRATING: Final = """\
examples:
  windtunnel calibrate alarm_drill --broker mosquitto --out profile.yaml
  windtunnel run alarm_drill --profile profile.yaml

The profile says what a real broker took for each message, with the lateness of this machine, as two
quantiles. A simulated broker that has no station of its own then takes as long. Printed are two lines: how
far simulated and live are apart without the profile, and with it.
"""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The parsers of `fidelity` and `calibrate`."""
    fidelity = commands.add_parser(
        "fidelity",
        help="run a scenario simulated and live, and say how far the two are apart",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_options(fidelity)
    fidelity.add_argument("--profile", metavar="FILE", help="simulate with what `calibrate` has measured")
    fidelity.add_argument("--out", metavar="FILE", help="write the report as one HTML page")
    fidelity.add_argument("--runs", metavar="DIR", help="keep the report among the runs of this folder")
    fidelity.add_argument("--json", action="store_true", help="print the results as JSON")
    calibrate = commands.add_parser(
        "calibrate",
        help="measure live what broker and machine take, for the simulation to use",
        epilog=CALIBRATING,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_options(calibrate)
    calibrate.add_argument("--out", required=True, metavar="FILE", help="where the profile goes (YAML)")


def _add_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("scenario", help="a *.scenario.yaml file, or the name of a shipped scenario")
    add_broker_options(command)
    command.add_argument(
        "--tolerance",
        action="append",
        default=[],
        metavar="WHAT=SHARE",
        help="median, p99 (also for p90) or loss; default: median=2%%, p99=5%%, loss=1%% (may be repeated)",
    )


def fidelity(options: argparse.Namespace) -> int:
    """Simulate, run live, compare, and say it in one line."""
    from scenarios.fidelity.keeping import keep
    from scenarios.fidelity.page import line, page, undecided
    from scenarios.fidelity.running import circumstances, compared
    from scenarios.results import encode
    from scenarios.store import write

    tolerance = _tolerance(options.tolerance)
    both = _run_both(options)
    if both is None:
        return INTERRUPTED
    comparison = compared(both.virtual, both.live, both.run, tolerance)
    found = circumstances(both.variant, options.scenario, both.brokers, both.run, tolerance, comparison)
    if options.json:
        sys.stdout.buffer.write(encode(found))
        sys.stdout.flush()
    else:
        print(line(found), flush=True)
        if left := undecided(found):
            print(left, flush=True)
    if options.out:
        write(Path(options.out), page(found).encode())
        if not options.json:
            print(f"report: {options.out}")
    if options.runs:
        keep(Path(options.runs), found)
    return EXIT[comparison.verdict]


def calibrate(options: argparse.Namespace) -> int:
    """Measure, write the profile, and say how far simulated and live are apart without it and with it."""
    from scenarios.fidelity.page import line
    from scenarios.fidelity.profile import profile_of, text_of, with_profile
    from scenarios.fidelity.running import circumstances, compared, record_virtual
    from scenarios.store import write

    tolerance = _tolerance(options.tolerance)
    both = _run_both(options)
    if both is None:
        return INTERRUPTED
    before = compared(both.virtual, both.live, both.run, tolerance)
    found = circumstances(both.variant, options.scenario, both.brokers, both.run, tolerance, before)
    brokers = dict(each.split("=", 1) for each in both.names)
    title = f"{options.scenario}, {both.variant.name}, seed {both.seed}"
    profile = profile_of(both.run.times, brokers, title, found.created, found.host)
    write(Path(options.out), text_of(profile))
    again = record_virtual(with_profile(both.variant, profile), both.seed)
    after = compared(again, both.live, both.run, tolerance)
    print(f"before: {line(found)}")
    print(f"after:  {line(circumstances(both.variant, options.scenario, '', both.run, tolerance, after))}")
    print(f"profile: {options.out}")
    return EXIT[after.verdict]


class _Both(NamedTuple):
    """The same variant and seed, simulated and live."""

    variant: Variant
    seed: int
    virtual: Recording
    live: Recording
    run: LiveRun
    names: list[str]

    @property
    def brokers(self) -> str:
        """Which broker was in the place of which node."""
        return ", ".join(each.replace("=", ": ") for each in self.names)


def _run_both(options: argparse.Namespace) -> _Both | None:
    """Simulate, then run live; None if the live run was interrupted."""
    from scenarios.fidelity.profile import read_profile, with_profile
    from scenarios.fidelity.running import lasting, record_live, record_virtual
    from scenarios.shipped import load
    from windtunnel.convention_options import convention_of
    from windtunnel.namespaces import packet_ground

    scenario = load(options.scenario)
    variant = scenario.variant(options.variant) if options.variant else scenario.variants[0]
    variant = lasting(variant, lasting_s(options.duration))
    path = getattr(options, "profile", None)
    simulated = variant if path is None else with_profile(variant, read_profile(Path(path)))
    seed = variant.scenario.run.seed if options.seed is None else options.seed
    spoken = convention_of(options.convention) if options.convention else None
    with packet_ground(options.links) as ground, bound_brokers(variant, options, ground) as running:
        virtual = record_virtual(simulated, seed)
        _say(f"simulated; now live for up to {variant.scenario.run.duration_s:g} s ...")
        live, run = record_live(
            variant,
            {node: each.endpoint for node, each in running.items()},
            seed,
            links=options.links,
            convention=spoken,
            ground=ground,
            on_start=lambda live_run: stop_on_ctrl_c(live_run.pacer.stop),
        )
        names = [f"{node}={each.name} at {each.endpoint.url}" for node, each in running.items()]
    if not run.is_whole:
        _say("interrupted: nothing was compared")
        return None
    return _Both(variant, seed, virtual, live, run, names)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _tolerance(asked: list[str]) -> Tolerance:
    """Read `median=2%`, `p99=5%` and `loss=1%`."""
    from scenarios.fidelity.comparison import Tolerance
    from scenarios.format.issues import suggestion
    from twin.errors import InputError
    from twin.units import parse

    names = {"median": "median", "p99": "tail", "loss": "loss"}
    given = {}
    for text in asked:
        name, equals, share = text.partition("=")
        if not equals or name not in names:
            raise InputError(
                f"--tolerance: expected median=SHARE, p99=SHARE or loss=SHARE, not {text!r}"
                f" {suggestion(name, names)}".rstrip()
            )
        given[names[name]] = parse("ratio", share)
    return Tolerance(**given)
