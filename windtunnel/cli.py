"""The command line: arguments, exit codes and errors. Heavy imports wait for the command that needs them.

Exit codes: 0 all met, 1 a requirement failed, 2 invalid input, 3 inconclusive, 4 something is missing on
this machine, 130 interrupted.
"""

from __future__ import annotations

import argparse
import difflib
import errno
import re
import shlex
import sys
from collections.abc import Iterable, Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Final, NoReturn

from twin.errors import InputError, MissingEnvironmentError, WindtunnelError
from windtunnel import __version__
from windtunnel.examples import EXAMPLES
from windtunnel.overview import HELP, asked, overview

MET, FAILED, INVALID, INCONCLUSIVE, MISSING, INTERRUPTED = 0, 1, 2, 3, 4, 130
LARGEST_SEED = 2**62  # far below the format's limit: every replication adds one

MODULES = (
    "windtunnel.broker_commands",
    "windtunnel.conformance_commands",
    "windtunnel.device_commands",
    "windtunnel.fidelity_commands",
    "windtunnel.ledger_commands",
    "windtunnel.live_commands",
    "windtunnel.load_commands",
    "windtunnel.proxy_commands",
    "windtunnel.replay_commands",
    "windtunnel.rules_commands",
    "windtunnel.serve_commands",
    "windtunnel.suite_commands",
    "windtunnel.sweep_commands",
    "windtunnel.twin_commands",
    "windtunnel.types_commands",
    "windtunnel.ui_commands",
    "windtunnel.watch_commands",
)
"""Where further commands stand: `add_parser` adds their parsers, and each has a function of its name."""

EPILOG = """\
first steps:
  windtunnel demo                          the car-park fire: twelve designs, one table, one report
  windtunnel new my_site                   a small scenario of your own to start from
  windtunnel validate my_site.scenario.yaml
  windtunnel run my_site.scenario.yaml     simulate every variant, judge every requirement
  windtunnel help run                      the options of a command, with examples

exit codes:
  0 met, 1 requirement failed, 2 invalid input, 3 inconclusive, 4 environment missing, 130 interrupted
"""


LACKING: Final = {
    errno.ENOSPC: "the disk is full: there is no room",
    errno.EDQUOT: "the disk quota is used up: there is no room",
    errno.EROFS: "the file system is read-only (another folder: --runs DIR): nothing can be kept",
    errno.EMFILE: "this process may open no more files (raise the limit: ulimit -n)",
    errno.ENFILE: "this system may open no more files",
}


def run_command_line(arguments: Sequence[str]) -> int:
    """Run one command; user errors become one message on standard error and an exit code."""
    if not arguments:
        parser().print_help(sys.stderr)
        return INVALID
    options = _parsed(asked(arguments))
    module = import_module(getattr(options, "module", "windtunnel.commands"))
    try:
        return int(getattr(module, options.command.replace("-", "_"))(options))
    except KeyboardInterrupt:
        print("\nwindtunnel: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()
        return MET
    except MissingEnvironmentError as error:
        print(f"windtunnel: {error}{_in_a_clone(str(error))}", file=sys.stderr)
        return MISSING
    except (InputError, WindtunnelError) as error:
        print(error, file=sys.stderr)
        return INVALID
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError, PermissionError) as error:
        print(f"windtunnel: cannot open {error.filename}: {error.strerror}", file=sys.stderr)
        return INVALID
    except OSError as error:
        if error.errno not in LACKING:
            raise
        where = f" for {error.filename}" if error.filename else ""
        print(f"windtunnel: {LACKING[error.errno]}{where}", file=sys.stderr)
        return MISSING


def _parsed(arguments: Sequence[str]) -> argparse.Namespace:
    """The options; words that nobody knows are told by the command they were meant for."""
    top = parser()
    options, unknown = top.parse_known_args(arguments)
    if unknown:
        command = next(each for each in _subparsers(top) if each.prog.endswith(f" {options.command}"))
        known = {name for each in (command, *_subparsers(command)) for name in _options(each)}
        first = unknown[0].partition("=")[0]
        command.error(f"unrecognized arguments: {' '.join(unknown)}{_did_you_mean(first, known)}")
    return options


def _subparsers(command: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    for action in command._actions:  # noqa: SLF001  (argparse has no public way to ask)
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            yield from action.choices.values()


def _options(command: argparse.ArgumentParser) -> list[str]:
    return [name for action in command._actions for name in action.option_strings]  # noqa: SLF001


def _did_you_mean(word: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(word, sorted(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def _in_a_clone(message: str) -> str:
    """Who works in a clone sets up everything with one line; its name is on no index."""
    script = Path(__file__).resolve().parent.parent / "dev.py"
    if "pip install" not in message or not script.is_file():
        return ""
    return (
        f"\nor, as this is a clone, everything into its .venv: python3 {shlex.quote(str(script))} run -c pass"
    )


class Parser(argparse.ArgumentParser):
    """One that says which word is nearest to a wrong one."""

    known_words: tuple[str, ...] = ()
    """Words that are understood beside the choices."""
    choices_stand_in = ""
    """Where the choices stand, if they are too many for one message."""

    def error(self, message: str) -> NoReturn:
        """As argparse does it, with the nearest choice."""
        found = re.search(r"invalid choice: '(.*)' \(choose from (.*)\)$", message)
        known = re.findall(r"[\w-]+", found[2]) if found else []
        known += self.known_words
        advice = _did_you_mean(found[1], known) if found else ""
        if found and self.choices_stand_in:
            advice = advice or f"; {self.choices_stand_in}"
        if advice:
            message = message[: message.index(" (choose from")]
        super().error(message + advice)


class Top(Parser):
    """The parser of all commands, which groups them in its help."""

    known_words = (HELP,)
    choices_stand_in = "`windtunnel --help` lists the commands"
    commands: Commands[argparse.ArgumentParser]

    def format_help(self) -> str:
        """By what a person wants to do."""
        return overview(self, self.commands)


def parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    top = Top(
        prog="windtunnel",
        description="A wind tunnel for IoT systems: describe a system once, simulate, judge, report.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"windtunnel {__version__}")

    form: type[argparse.ArgumentParser] = Parser
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=form)
    top.commands = commands
    _add_running(commands)
    _add_writing(commands)
    _add_results(commands)
    _add_machine(commands)
    for name in MODULES:
        known = set(commands.choices)
        import_module(name).add_parser(commands)
        for command in set(commands.choices) - known:
            commands.choices[command].set_defaults(module=name)
    for name, text in EXAMPLES.items():
        commands.choices[name].epilog = text
        commands.choices[name].formatter_class = argparse.RawDescriptionHelpFormatter
    return top


Commands = argparse._SubParsersAction  # noqa: SLF001  (argparse has no public name for it)


def _add_running(commands: Commands[argparse.ArgumentParser]) -> None:
    run = commands.add_parser("run", help="simulate a scenario's variants and judge its requirements")
    run.add_argument("scenario", help="a *.scenario.yaml file, or the name of a shipped scenario")
    run.add_argument("--variant", action="append", metavar="NAME", help="only this variant (may be repeated)")
    run.add_argument("--profile", metavar="FILE", help="use what `calibrate` has measured live")
    add_run_options(run)
    compare = commands.add_parser("compare", help="paired differences between two variants")
    compare.add_argument("target", help="a scenario to run, or a stored run (its name, or 'latest')")
    compare.add_argument("variants", nargs=2, metavar="VARIANT", help="the two variants to compare")
    add_run_options(compare)
    demo = commands.add_parser("demo", help="run the car-park fire and print its table")
    add_run_options(demo)


def add_run_options(command: argparse.ArgumentParser) -> None:
    """The options of every command that runs replications."""
    command.add_argument("--replications", type=read_positive, metavar="N", help="exactly N runs a variant")
    command.add_argument("--seed", type=read_seed, metavar="N", help="first seed instead of the file's")
    command.add_argument("--workers", type=read_positive, metavar="N", help="processes (default: one a core)")
    command.add_argument("--runs", default="runs", metavar="DIR", help="where results go (default: runs)")
    command.add_argument("--json", action="store_true", help="print the results as JSON")
    command.add_argument("--quiet", action="store_true", help="no progress on standard error")


def _add_writing(commands: Commands[argparse.ArgumentParser]) -> None:
    validate = commands.add_parser(
        "validate", help="check scenario files; all errors at once, with their places"
    )
    validate.add_argument("scenarios", nargs="+", metavar="FILE")
    validate.add_argument("--format", choices=("text", "json", "github"), default="text")
    resolve = commands.add_parser("resolve", help="print the final file of a variant, and its hash")
    resolve.add_argument("scenario", metavar="FILE")
    resolve.add_argument("--variant", metavar="NAME", help="default: the first variant")
    schema = commands.add_parser("schema", help="print the JSON Schema for editors")
    schema.add_argument("--write", metavar="FILE", help="write it to a file instead")
    explain = commands.add_parser("explain", help="explain an error code, a device, a node kind or a fault")
    explain.add_argument("subject", nargs="?", help="for example E012, smoke_detector, gateway or partition")
    new = commands.add_parser("new", help="make a scenario, and with --scene a building, to start from")
    new.add_argument("name", help="name of the new files, for example my_site")
    new.add_argument("--scene", choices=("carpark",), help="also generate a building")
    new.add_argument("--levels", type=read_positive, default=3, help="levels of the building (default 3)")
    new.add_argument("--bays", type=read_positive, default=120, help="parking bays a level (default 120)")


def _add_results(commands: Commands[argparse.ArgumentParser]) -> None:
    runs = commands.add_parser("runs", help="list, show or delete stored runs")
    runs.add_argument("action", choices=("list", "show", "rm"))
    runs.add_argument("run", nargs="?", help="name of the run, a beginning of it, or 'latest'")
    runs.add_argument("--runs", default="runs", metavar="DIR", help="where results are (default: runs)")
    runs.add_argument("--json", action="store_true", help="print as JSON")
    report = commands.add_parser("report", help="write the report of a stored run")
    report.add_argument("run", nargs="?", default="latest", help="name of the run (default: latest)")
    report.add_argument("--format", choices=("html", "junit", "markdown", "json"), default="html")
    report.add_argument(
        "--out", metavar="FILE", help="default: beside the run's other files; '-' is standard output"
    )
    report.add_argument("--runs", default="runs", metavar="DIR", help="where results are (default: runs)")


def _add_machine(commands: Commands[argparse.ArgumentParser]) -> None:
    doctor = commands.add_parser("doctor", help="what this machine has, and what is missing for what")
    doctor.add_argument("--json", action="store_true", help="print as JSON")
    _add_link(commands)


def _add_link(commands: Commands[argparse.ArgumentParser]) -> None:
    link = commands.add_parser("link", help="show what a link does, or measure a real one")
    actions = link.add_subparsers(dest="link_action", required=True)
    show = actions.add_parser("show", help="delays, loss, bytes and energy of a link, each with its source")
    show.add_argument("name", help="for example thread, lorawan-sf9, or wan:singapore-ashburn")
    show.add_argument("--payload", default="100 B", metavar="SIZE", help="of each message (default: 100 B)")
    show.add_argument("--hops", type=read_positive, default=1, help="radio hops (default 1)")
    show.add_argument("--tls", choices=("none", "1.2", "1.3"), help="of a wide area connection")
    show.add_argument("--access", metavar="NAME", help="first mile of a wide area link, for example gpon")
    show.add_argument("--round-trip", metavar="TIME", help="of a wide area link instead of the known one")
    show.add_argument("--loss", metavar="SHARE", help="instead of the link's own, for example '2 %%'")
    show.add_argument("--rate", metavar="RATE", help="of a bottleneck before the link")
    show.add_argument("--json", action="store_true", help="print as JSON")
    show.add_argument("--svg", metavar="FILE", help="also draw it")
    record = actions.add_parser(
        "record", help="record TCP connect times to a host as a trace (CSV of seconds and round trip)"
    )
    record.add_argument("host", help="host to connect to; it sees one TCP connection a sample")
    record.add_argument("--port", type=read_positive, default=443)
    record.add_argument("--samples", type=read_positive, default=100, help="at most 10000 (default 100)")
    record.add_argument("--interval", type=float, default=1.0, metavar="SECONDS")
    record.add_argument("--out", default="trace.csv", metavar="FILE")
    _add_topology(commands)


def _add_topology(commands: Commands[argparse.ArgumentParser]) -> None:
    topology = commands.add_parser("topology", help="show, import and export topologies")
    actions = topology.add_subparsers(dest="topology_action", required=True)
    sources = "a file (.json, .graphml, .gexf, a scenario), topohub:NAME, or a shape such as star_site:50"
    for name, text in (
        ("show", "what a topology consists of"),
        ("import", "read another tool's topology, write node-link JSON"),
        ("export", "write a topology as .json, .graphml, .gexf, .mmd (Mermaid) or .dot (Graphviz)"),
    ):
        action = actions.add_parser(name, help=text)
        action.add_argument("source", help=sources)
        if name != "show":
            action.add_argument("--out", required=True, metavar="FILE", help="its ending says the format")


def read_seed(text: str) -> int:
    """A seed from text; raise ArgumentTypeError for anything else."""
    if not (text.isascii() and text.isdigit()) or int(text) > LARGEST_SEED:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 0, not {text!r}")
    return int(text)


def read_positive(text: str) -> int:
    """A number of at least 1 from text; raise ArgumentTypeError for anything else."""
    value = int(text) if text.isascii() and text.isdigit() else 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1, not {text!r}")
    return value
