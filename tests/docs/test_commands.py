"""Every command in the documents is one that exists; those marked `sh run` do what the text says."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from windtunnel.cli import parser

ROOT = Path(__file__).resolve().parents[2]
OURS = ("windtunnel", "pytest", "python", "python3", ".", "git", "ruff", "mypy")
EXIT = re.compile(r"#\s*exit (\d+)$")


def _lines(blocks, *, is_run):
    return [
        line.strip()
        for block in blocks("sh")
        if ("run" in block.info.split()) is is_run
        for line in block.text.splitlines()
        if line.strip() and not line.startswith("#")
    ]


def test_every_command_has_arguments_that_exist(blocks):
    """The command line's own parser takes each `windtunnel` line, and `dev.py` knows its commands."""
    for line in [*_lines(blocks, is_run=False), *_lines(blocks, is_run=True)]:
        words = shlex.split(line, comments=True)
        assert words[0] in OURS, line
        if words[0] == "windtunnel":
            parser().parse_args(words[1:])
        if words[:2] == ["python3", "dev.py"]:
            assert f'command == "{words[2]}"' in (ROOT / "dev.py").read_text("utf-8")


@pytest.fixture
def shell(keeper, tmp_path):
    """Runs the words of a line in an empty folder."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}

    def call(words):
        if words[0] == "windtunnel" and words[1] != "load":
            return keeper.run(words[1:], tmp_path, environment)
        command = [sys.executable, "-m", *words]
        return subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )

    return call


@pytest.mark.timeout(300)
def test_the_commands_do_what_the_text_says(blocks, shell):
    """One after the other in an empty folder, each ends with the exit code written behind it, or 0."""
    for line in _lines(blocks, is_run=True):
        expected = int(found[1]) if (found := EXIT.search(line)) else 0
        done = shell(shlex.split(line, comments=True))
        assert done.returncode == expected, f"{line}\n{done.stdout}\n{done.stderr}"
