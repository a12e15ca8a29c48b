"""What `windtunnel --help` shows: the commands by what a person wants to do."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import Final

GROUPS: Final[Mapping[str, Sequence[str]]] = {
    "design and simulate": ("demo", "new", "validate", "run", "test", "sweep", "compare", "watch"),
    "look at results": ("ui", "report", "runs", "replay"),
    "live, under load and on the wire": (
        "live",
        "load",
        "proxy",
        "control",
        "fidelity",
        "calibrate",
        "ledger",
        "broker",
    ),
    "twins and their service": (
        "serve",
        "device",
        "token",
        "twin",
        "types",
        "rules",
        "shadow-conformance",
    ),
    "look up and check": ("doctor", "explain", "link", "topology", "resolve", "schema"),
}
"""Every command stands in one group, in the order in which a person meets them."""

HELP: Final = "help"
"""The word that many type before a command instead of `--help` behind it."""


def overview(
    top: argparse.ArgumentParser, commands: argparse._SubParsersAction[argparse.ArgumentParser]
) -> str:
    """The help of the whole: as argparse formats it, but with a heading over each group of commands."""
    lines = {each.dest: each for each in commands._choices_actions}  # noqa: SLF001  (no public way to ask)
    sections = {title: [lines[name] for name in names] for title, names in GROUPS.items()}
    sections["options"] = [each for each in top._actions if each.option_strings]  # noqa: SLF001
    formatter = top._get_formatter()  # noqa: SLF001
    formatter.add_usage(top.usage, top._actions, top._mutually_exclusive_groups)  # noqa: SLF001
    formatter.add_text(top.description)
    for title, actions in sections.items():
        formatter.start_section(title)
        formatter.add_arguments(actions)
        formatter.end_section()
    formatter.add_text(top.epilog)
    return formatter.format_help()


def asked(arguments: Sequence[str]) -> Sequence[str]:
    """`help X` as `X --help`, and `help` alone as `--help`."""
    return [*arguments[1:], "--help"] if arguments[:1] == [HELP] else arguments
