"""The documents of the repository, cut into their fenced blocks."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[2]
FENCE = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


class Block(NamedTuple):
    """One fenced block: where it starts, what follows the fence, what is in it."""

    line: int
    info: str
    text: str


def documents() -> list[Path]:
    """README, CONTRIBUTING, CHANGELOG and everything in docs."""
    return [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]


@pytest.fixture
def blocks(document: Path) -> Callable[[str], list[Block]]:
    """The document's blocks in a language, in order."""
    return lambda language: _blocks(document, language)


def _blocks(document: Path, language: str) -> list[Block]:
    text = document.read_text("utf-8")
    found = [
        Block(text.count("\n", 0, each.start()) + 1, each[1].strip(), each[2])
        for each in FENCE.finditer(text)
    ]
    return [each for each in found if each.info.split()[:1] == [language]]


SLOW_COMMANDS = ("architect.md", "load.md", "qa.md", "sweep.md")


def pytest_generate_tests(metafunc):
    """A test that asks for `document` runs once for each; long runs and sweeps are left to CI."""
    if "document" in metafunc.fixturenames:
        is_long = metafunc.function.__name__ == "test_the_commands_do_what_the_text_says"
        slow = SLOW_COMMANDS if is_long else ()
        given = [
            pytest.param(each, marks=[pytest.mark.slow] if each.name in slow else []) for each in documents()
        ]
        metafunc.parametrize("document", given, ids=lambda path: path.name)
