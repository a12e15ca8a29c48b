"""`windtunnel test`: scenario files as a test suite, with its results kept beside the other runs."""

from __future__ import annotations

import argparse
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from twin.errors import MissingEnvironmentError
from windtunnel.cli import FAILED, INTERRUPTED, INVALID, MET, read_positive, read_seed

EXAMPLES: Final = """\
examples:
  windtunnel test                         every *.scenario.yaml of this folder and below
  windtunnel test designs -k "edge"       those whose file, variant or requirement has "edge" in its name
  windtunnel test designs -m fire         those with the tag fire

A case is one requirement in one variant. It passes if its verdict is the one that the file expects. It is
pytest that runs them; for all of its options call it directly: pytest designs --scenario-runs runs
Exit codes: 0 all passed, 1 some failed, 2 invalid input, also in one of the files, 5 nothing was selected.
"""
PYTEST_INTERRUPTED, PYTEST_MISUSED, PYTEST_NOTHING = 2, 4, 5


def add_parser(commands: Any) -> None:
    """The parser of `test`."""
    test = commands.add_parser(
        "test",
        help="run scenario files as a test suite and keep its results",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    test.add_argument(
        "paths", nargs="*", default=["."], metavar="PATH", help="files and folders (default: .)"
    )
    test.add_argument("-k", metavar="WORDS", help="only cases whose names have these words")
    test.add_argument("-m", metavar="TAGS", help="only cases with these tags")
    test.add_argument("--replications", type=read_positive, metavar="N", help="exactly N runs a variant")
    test.add_argument("--seed", type=read_seed, metavar="N", help="first seed instead of the files'")
    test.add_argument(
        "--workers", type=read_positive, default=1, metavar="N", help="processes a scenario (default 1)"
    )
    test.add_argument("--runs", default="runs", metavar="DIR", help="where results go (default: runs)")


def test(options: argparse.Namespace) -> int:
    """Hand over to pytest with our plugin, which keeps the suite."""
    if find_spec("pytest") is None:
        raise MissingEnvironmentError("a suite needs pytest: pip install pytest")
    import pytest

    unread = _Unread()
    code = int(pytest.main([*_arguments(options), *options.paths], plugins=[unread]))
    if unread.is_any and code != PYTEST_INTERRUPTED:
        return INVALID
    if code == PYTEST_NOTHING:
        print("windtunnel: nothing was selected", file=sys.stderr)
    return {PYTEST_INTERRUPTED: INTERRUPTED, PYTEST_MISUSED: INVALID, 3: FAILED}.get(code, code or MET)


class _Unread:
    """A pytest plugin that knows whether a file could not be read; for pytest that is a failure."""

    is_any = False

    def pytest_collectreport(self, report: Any) -> None:
        """A file, or a folder, was looked into."""
        self.is_any = self.is_any or bool(report.failed)


def stored(folder: Path, *, is_json: bool) -> str | None:
    """What `runs show` prints of a suite; None if the run was none."""
    from scenarios.results import encode
    from scenarios.suites import as_text, read_suite

    suite = read_suite(folder)
    if suite is None:
        return None
    return encode(suite).decode() if is_json else as_text(suite)


def _arguments(options: argparse.Namespace) -> list[str]:
    given = {
        "-k": options.k,
        "-m": options.m,
        "--scenario-replications": options.replications,
        "--scenario-seed": options.seed,
        "--scenario-workers": options.workers,
        "--scenario-runs": options.runs,
    }
    chosen = [part for name, value in given.items() if value is not None for part in (name, str(value))]
    return [
        "-q",
        "--continue-on-collection-errors",
        "--ignore-glob=*.py",
        "-W",
        "ignore::pytest.PytestAssertRewriteWarning",
        *chosen,
    ]
