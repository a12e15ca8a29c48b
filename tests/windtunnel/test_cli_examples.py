"""`--help` teaches: every command shows an example, and what it shows is understood."""

import argparse
import re
import shlex

import pytest

from windtunnel.cli import parser
from windtunnel.examples import EXAMPLES

COMMANDS = next(
    action.choices for action in parser()._actions if isinstance(action, argparse._SubParsersAction)
)
LINE = re.compile(r"^ +(?:windtunnel) (.*?)(?:   ?\S.*)?$", re.MULTILINE)


@pytest.mark.parametrize("command", sorted(EXAMPLES))
def test_a_command_shows_examples_of_itself(command):
    """Below the options, one a line."""
    assert f"\n  windtunnel {command}" in COMMANDS[command].format_help()


@pytest.mark.parametrize("line", [line for text in EXAMPLES.values() for line in LINE.findall(text)])
def test_an_example_is_understood(line):
    """What stands behind two spaces is its comment."""
    options = parser().parse_args(shlex.split(line))

    assert options.command == line.split()[0]
