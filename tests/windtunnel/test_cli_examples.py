"""`--help` teaches: every command shows an example, and what it shows is understood."""

import argparse
import re
import shlex

import pytest

from windtunnel.cli import parser
from windtunnel.overview import GROUPS

COMMANDS = next(
    action.choices for action in parser()._actions if isinstance(action, argparse._SubParsersAction)
)
LINE = re.compile(r"^ +(?:windtunnel) (.*?)(?:   ?\S.*)?$", re.MULTILINE)
EPILOGS = [(each.epilog or "").replace("\\\n", "").partition("\n\n")[0] for each in COMMANDS.values()]
LINES = {line.strip() for text in EPILOGS for line in LINE.findall(text)}


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_a_command_shows_examples_of_itself(command):
    """Below the options, one a line."""
    assert f"\n  windtunnel {command}" in COMMANDS[command].format_help()


@pytest.mark.parametrize("line", sorted(LINES))
def test_an_example_is_understood(line):
    """What stands behind two spaces is its comment."""
    options = parser().parse_args(shlex.split(line))

    assert options.command == line.split()[0]


def test_the_help_of_the_whole_has_every_command_in_one_group():
    """Each with its line, below the heading of its group."""
    grouped = [name for names in GROUPS.values() for name in names]
    shown = parser().format_help()

    assert sorted(grouped) == sorted(COMMANDS)
    assert re.findall(r"^  ([a-z][a-z-]*)  +\S", shown, re.MULTILINE) == grouped
    assert [title for title in GROUPS if f"\n{title}:\n" not in shown] == []
