"""`windtunnel fidelity`: the same scenario and seed, simulated and live, and how far the two are apart."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from windtunnel.cli import FAILED, INCONCLUSIVE, INTERRUPTED, MET
from windtunnel.live_commands import add_broker_options, bound_brokers, stop_on_ctrl_c

if TYPE_CHECKING:
    from scenarios.fidelity.comparison import Tolerance

EXIT: Final = {"PASS": MET, "FAIL": FAILED, "INCONCLUSIVE": INCONCLUSIVE}
EXAMPLES: Final = """\
examples:
  windtunnel fidelity alarm_drill
  windtunnel fidelity car_park_fire --variant cloud_us --for "3 min" --broker mosquitto
  windtunnel fidelity my_site.scenario.yaml --tolerance median=1% --tolerance p99=3% --out fidelity.html

The scenario is simulated, then run live with the same seed (see `windtunnel live --help` for brokers), and
compared: every latency that a requirement asks about, every hop, losses and requirements. Exit code 0 within
the tolerance, 1 beyond it, 3 undecided; a live run that fell behind real time is not compared (4).
"""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The parser of `fidelity`."""
    fidelity = commands.add_parser(
        "fidelity",
        help="run a scenario simulated and live, and say how far the two are apart",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    fidelity.add_argument("scenario", help="a *.scenario.yaml file, or the name of a shipped scenario")
    add_broker_options(fidelity)
    fidelity.add_argument(
        "--tolerance",
        action="append",
        default=[],
        metavar="WHAT=SHARE",
        help="median, p99 (also for p90) or loss; default: median=2%%, p99=5%%, loss=1%% (may be repeated)",
    )
    fidelity.add_argument("--out", metavar="FILE", help="write the report as one HTML page")
    fidelity.add_argument("--json", action="store_true", help="print the results as JSON")


def fidelity(options: argparse.Namespace) -> int:
    """Simulate, run live, compare, and say it in one line."""
    from scenarios.fidelity.page import line, page
    from scenarios.fidelity.running import circumstances, compared, record_live, record_virtual, shortened
    from scenarios.results import encode
    from scenarios.shipped import load
    from scenarios.store import write
    from twin.units import parse

    tolerance = _tolerance(options.tolerance)
    scenario = load(options.scenario)
    variant = scenario.variant(options.variant) if options.variant else scenario.variants[0]
    variant = shortened(variant, parse("time", options.duration) if options.duration else None)
    seed = variant.scenario.run.seed if options.seed is None else options.seed
    with bound_brokers(variant, options) as running:
        bindings = {node: each.endpoint for node, each in running.items()}
        virtual = record_virtual(variant, seed)
        _say(f"simulated; now live for up to {variant.scenario.run.duration_s:g} s ...")
        live, run = record_live(
            variant,
            bindings,
            seed,
            links=options.links,
            on_start=lambda live_run: stop_on_ctrl_c(live_run.pacer.stop),
        )
        brokers = ", ".join(f"{each.name} at {each.endpoint.url}" for each in running.values())
        comparison = None if not run.is_whole else compared(virtual, live, run, tolerance)
    if comparison is None:
        _say("interrupted: nothing was compared")
        return INTERRUPTED
    found = circumstances(variant, options.scenario, brokers, run, tolerance, comparison)
    if options.out:
        write(Path(options.out), page(found).encode())
    if options.json:
        sys.stdout.buffer.write(encode(found))
        sys.stdout.flush()
    else:
        print(line(found))
        if options.out:
            print(f"report: {options.out}")
    return EXIT[comparison.verdict]


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
