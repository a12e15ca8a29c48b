"""Keeps what pytest found of scenario files as a run: `--scenario-runs DIR`."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path
from typing import Any, Final

import pytest

from scenarios.archive import PROGRESS, new_manifest
from scenarios.results import encode
from scenarios.store import Manifest, Store, write
from scenarios.suites import JUNIT, SUITE, Case, Outcome, Suite

TITLE: Final = "Suite"
LONGEST_TEXT: Final = 20_000


class SuiteKeeper:
    """Gathers a case from each report, and writes the run's folder."""

    def __init__(self, config: pytest.Config, root: Path) -> None:
        self._arguments = [str(each) for each in config.invocation_params.args]
        self._began_s = time.monotonic()
        self._cases: list[Case] = []
        self._planned = 0
        self._store = Store(root)
        self._manifest = _manifest(self._arguments)
        self._folder = self._store.begin(self._manifest)
        if not config.option.xmlpath:
            config.option.xmlpath = str(self._folder / JUNIT)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Know how many there are."""
        self._planned = len(session.items)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """A file that is wrong is a case too: the first thing to mend."""
        if report.failed:
            text = str(report.longrepr)[:LONGEST_TEXT]
            self._cases.append(Case(report.nodeid, 1, "", "the file is valid", "error", text=text))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take the report of a requirement."""
        found = dict(report.user_properties)
        if report.when != "call" and not (report.when == "setup" and report.skipped):
            return
        file, _, name = report.nodeid.partition("::")
        variant, _, requirement = name.partition("::")
        outcome: Outcome = "failed" if report.failed else "skipped" if report.skipped else "passed"
        self._cases.append(
            Case(
                file=file,
                line=(report.location[1] or 0) + 1,
                variant=variant,
                requirement=requirement,
                outcome=outcome,
                verdict=str(found.get("verdict", "")),
                value_text=str(found.get("value", "")),
                limit_text=str(found.get("limit", "")),
                replications=int(str(found.get("replications", 0))),
                seeds=str(found.get("seeds", "")),
                duration_s=report.duration,
                text=str(report.longrepr)[:LONGEST_TEXT] if report.failed else "",
            )
        )
        done = {"done": len(self._cases), "planned": self._planned, "label": variant, "variants": {}}
        write(self._folder / PROGRESS, encode(done))

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: Any) -> None:
        """Write the suite; a call that selected nothing leaves nothing."""
        del session
        if not self._cases:
            self._store.remove(self._manifest.run)
            return
        self._manifest.wall_s = time.monotonic() - self._began_s
        self._manifest.state = "interrupted" if int(exitstatus) == pytest.ExitCode.INTERRUPTED else "done"
        self._manifest.verdicts = {_title(case): case.outcome for case in self._cases}
        self._manifest.variants = sorted({case.variant for case in self._cases if case.variant})
        suite = Suite(self._arguments, self._cases, self._manifest.wall_s)
        write(self._folder / SUITE, encode(suite))
        self._store.save(self._manifest)
        (self._folder / PROGRESS).unlink(missing_ok=True)

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Say where it is kept."""
        if self._folder.exists():
            terminalreporter.write_line(f"suite: {self._folder / SUITE}")


def _title(case: Case) -> str:
    return "::".join(part for part in (case.file, case.variant, case.requirement) if part)


def _manifest(arguments: list[str]) -> Manifest:
    called = " ".join(arguments)
    return new_manifest(TITLE, called, hashlib.sha256(called.encode()).hexdigest(), 0, [])
