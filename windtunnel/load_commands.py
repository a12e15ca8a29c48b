"""`windtunnel load`: a scenario's fleets as Locust users on a real broker."""

from __future__ import annotations

import argparse
import dataclasses
import importlib.util
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from twin.errors import InputError, MissingEnvironmentError
from windtunnel.cli import FAILED, INTERRUPTED, MET, MISSING

if TYPE_CHECKING:
    from loadtests.figures import Figures
    from loadtests.judging import Verdicts
    from loadtests.plan import LoadPlan
    from loadtests.starting import Finished
    from scenarios.archive import Archive

LOAD, SHOWN = "load.json", "load.txt"
LOG: Final = "locust.log"
ANY_ADDRESS: Final = "0.0.0.0"  # noqa: S104  (where Locust's page listens)
INSTALL: Final = "python -m pip install 'windtunnel-iot[load]'"
EXAMPLES: Final = """\
examples:
  windtunnel load alarm_drill --broker mosquitto --for "30 s"
  windtunnel load my_site.scenario.yaml --broker mqtt://broker.example --devices 10000 --ramp "30 s" --for "5 min"
  windtunnel load alarm_drill --broker mosquitto --for "30 s" --expect "p99(publish => delivery) < 200 ms"
  windtunnel load alarm_drill --broker mosquitto --web

--expect may speak of publish => acknowledgement, publish => delivery, connect and lateness (times), and of the
counts attempted, acknowledged, delivered, lost, duplicated, unacknowledged, dropped and ended. Times are from
the moment a message was due. Ctrl-C ends the load and keeps what was measured.
"""  # noqa: E501  (command lines stay whole)


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The parser of `load`."""
    load = commands.add_parser(
        "load",
        help="put the fleets of a scenario on a real broker as load, with Locust",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    load.add_argument("scenario", help="a *.scenario.yaml file, or the name of a shipped scenario")
    load.add_argument("--variant", metavar="NAME", help="default: the first variant")
    load.add_argument(
        "--broker", default="any", metavar="BROKER", help="a URL, mosquitto, embedded, or any (the default)"
    )
    load.add_argument("--devices", type=int, default=0, metavar="N", help="default: those of the scenario")
    load.add_argument("--ramp", default="", metavar="TIME", help="spread the connects over this time")
    load.add_argument("--for", dest="duration", metavar="TIME", help="publish so long (default: 1 min)")
    load.add_argument("--processes", type=int, default=1, metavar="N", help="that share the devices")
    load.add_argument("--links", choices=("none", "in-driver"), default="none", help="what delays on the way")
    load.add_argument(
        "--convention", default="", metavar="topics:TEMPLATE", help="publish under the topics of your system"
    )
    load.add_argument("--no-delivery", action="store_true", help="do not listen to what is published")
    load.add_argument(
        "--expect", action="append", default=[], metavar="TEXT", help="a requirement (may be repeated)"
    )
    load.add_argument("--web", action="store_true", help="with Locust's web page, until Ctrl-C")
    load.add_argument("--web-port", type=int, default=8089, metavar="N", help="of that page (default: 8089)")
    load.add_argument("--seed", type=int, default=1, metavar="N", help="of phases and arrivals")
    load.add_argument("--ca", default="", metavar="FILE", help="authority of the broker's certificate")
    load.add_argument("--cert", default="", metavar="FILE", help="our certificate")
    load.add_argument("--key", default="", metavar="FILE", help="its key")
    load.add_argument("--password-file", metavar="FILE", help="file with the password and nothing else")
    load.add_argument("--runs", default="runs", metavar="DIR", help="where results go (default: runs)")
    load.add_argument("--json", action="store_true", help="print the results as JSON")


def load(options: argparse.Namespace) -> int:
    """Run Locust, keep what was measured, and say for each requirement whether it was met."""
    if importlib.util.find_spec("locust") is None:
        raise MissingEnvironmentError(f"load needs Locust: {INSTALL}")
    from loadtests.judging import asked_of, verdicts_of
    from loadtests.plan import SPEAKERS
    from loadtests.starting import check_descriptors, run_locust
    from scenarios.archive import Archive
    from scenarios.judging.runner import Plan
    from scenarios.shipped import load as load_scenario
    from twin.live.probe import probe_each, trouble
    from twin.service.brokers import OURS, broker
    from twin.service.listening import listening

    if options.processes < 1:
        raise InputError(f"--processes is at least 1, not {options.processes}")
    scenario = load_scenario(options.scenario)
    variant = scenario.variant(options.variant) if options.variant else scenario.variants[0]
    asked = asked_of(variant, options.expect)
    _read_password(options)
    if options.web:
        listening(ANY_ADDRESS, options.web_port, "--web-port").close()
    with broker(options.broker) as running:
        url = running.endpoint.url if options.broker in OURS else options.broker
        plan = _plan(options, url)
        probe_each(plan.broker, SPEAKERS)
        device_count = check_descriptors(plan)
        print(f"{device_count:,} devices on {running.name} at {plan.broker.url}", file=sys.stderr, flush=True)
        archive = Archive.open(Path(options.runs), scenario, Plan([plan.variant.name], 1, options.seed, 1))
        try:
            finished = run_locust(_environment(options, url), archive.folder / LOG, _arguments(options))
        except BaseException:
            archive.discard()
            raise
        gone = "" if finished.is_interrupted else trouble(plan.broker, SPEAKERS)
    if options.web:  # the page stays until somebody ends it, which is no interruption
        finished = dataclasses.replace(finished, is_interrupted=False)
    verdicts = verdicts_of(plan.variant, asked, finished.figures)
    document, shown = _document(plan, finished, verdicts), _shown(plan, finished, verdicts)
    unkept = _keep(archive, finished, verdicts, document, shown)
    kept = "" if unkept else f"\nkept in {archive.folder}"
    print(json.dumps(document) if options.json else f"{shown}{kept}")
    gone = gone and f"at the end of the load there is {gone}"
    problems = [each for each in (finished.problem, gone, unkept) if each]
    for each in problems:
        print(f"windtunnel: {each}", file=sys.stderr)
    if problems:
        return MISSING
    if finished.is_interrupted:
        return INTERRUPTED
    return MET if all(each.is_met for each in verdicts.judged.values()) else FAILED


def _read_password(options: argparse.Namespace) -> None:
    """A password goes to Locust in the environment, where no list of processes shows it."""
    from loadtests.plan import PASSWORD

    if options.password_file is not None:
        os.environ[PASSWORD] = Path(options.password_file).read_text("utf-8").rstrip("\r\n")


def _plan(options: argparse.Namespace, url: str) -> LoadPlan:
    """What Locust will read from the same options."""
    from loadtests.plan import plan_of

    told = argparse.Namespace(
        **{key: value for key, value in vars(options).items() if key in {"scenario", "variant", "devices"}},
        sharing=options.processes,
        ramp=options.ramp,
        publish_for=_duration(options),
        links=options.links,
        convention=options.convention,
        no_delivery=options.no_delivery,
        client_prefix="load-",
        load_seed=options.seed,
        ca=options.ca,
        cert=options.cert,
        key=options.key,
    )
    return plan_of(told, url)


def _duration(options: argparse.Namespace) -> str:
    return options.duration or ("" if options.web else "1 min")


def _environment(options: argparse.Namespace, url: str) -> dict[str, str]:
    """The options as Locust's own environment variables and ours."""
    given = {
        "LOCUST_HOST": url,
        "WINDTUNNEL_SCENARIO": options.scenario,
        "WINDTUNNEL_VARIANT": options.variant or "",
        "WINDTUNNEL_DEVICES": str(options.devices),
        "WINDTUNNEL_SHARING": str(options.processes),
        "WINDTUNNEL_RAMP": options.ramp,
        "WINDTUNNEL_FOR": _duration(options),
        "WINDTUNNEL_LINKS": options.links,
        "WINDTUNNEL_CONVENTION": options.convention,
        "WINDTUNNEL_SEED": str(options.seed),
        "WINDTUNNEL_CA": options.ca,
        "WINDTUNNEL_CERT": options.cert,
        "WINDTUNNEL_KEY": options.key,
        "WINDTUNNEL_NO_DELIVERY": "true" if options.no_delivery else "false",
    }
    return {name: value for name, value in given.items() if value}


def _arguments(options: argparse.Namespace) -> list[str]:
    count = str(options.processes)
    mode = ["--autostart", "--web-port", str(options.web_port)] if options.web else ["--headless"]
    processes = ["--processes", count, "--expect-workers", count] if options.processes > 1 else []
    return [*mode, *processes, "--users", count, "--spawn-rate", count]


# what is kept and shown ----------------------------------------------------------------------------------


def _document(plan: LoadPlan, finished: Finished, verdicts: Verdicts) -> dict[str, Any]:
    return {
        "variant": plan.variant.name,
        "broker": plan.broker.url,
        "links": plan.links,
        "is_whole": not finished.is_interrupted,
        "cpu_s": finished.cpu_s,
        **finished.figures.summary(),
        "requirements": {name: each._asdict() for name, each in verdicts.judged.items()},
        "not_judged": verdicts.not_judged,
    }


def _keep(
    archive: Archive, finished: Finished, verdicts: Verdicts, document: dict[str, Any], shown: str
) -> str:
    """Keep it; what kept us from it, or ""."""
    from scenarios.store import write

    manifest = archive.manifest
    variant = document["variant"]
    manifest.verdicts = {
        f"{variant}: {name}": "PASS" if each.is_met else "FAIL" for name, each in verdicts.judged.items()
    }
    manifest.state = "interrupted" if finished.is_interrupted else "done"
    manifest.wall_s = finished.wall_s
    try:
        write(archive.folder / LOAD, json.dumps(document, indent=1))
        write(archive.folder / SHOWN, shown + "\n")
        archive.store.save(manifest)
    except OSError as error:
        return f"not all results could be kept: {error.filename}: {error.strerror}"
    return ""


def stored(folder: Path, *, is_json: bool) -> str | None:
    """What a run in the catalogue showed if it was a load."""
    path = folder / (LOAD if is_json else SHOWN)
    return path.read_text("utf-8").rstrip("\n") if path.exists() else None


def _shown(plan: LoadPlan, finished: Finished, verdicts: Verdicts) -> str:
    from loadtests.showing import table

    marks = {True: "✓ met    ", False: "✗ not met"}
    figures: Figures = finished.figures
    lines = [f"{plan.variant.scenario.title}: {plan.variant.name}, load for {figures.published_s:.1f} s", ""]
    lines += [*table(figures, finished.cpu_s), ""]
    lines += [f"  {marks[each.is_met]}  {name}: {each.text}" for name, each in verdicts.judged.items()]
    lines += [f"  not judged  {name}: {reason}" for name, reason in verdicts.not_judged.items()]
    return "\n".join(lines)
