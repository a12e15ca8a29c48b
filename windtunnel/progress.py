"""Progress of long work: a bar on a terminal, plain lines elsewhere, always on standard error; and a file."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from scenarios.judging.runner import VariantRun

BAR_CELLS = 28
REDRAW_S = 0.1
USUAL_COLUMNS = 80  # of a terminal that does not say how many it has
REWRITE_S = 0.25


class Progress:
    """Shows how many of the planned replications are done; `advance` is called after each."""

    def __init__(
        self,
        *,
        is_quiet: bool = False,
        stream: TextIO | None = None,
        file: Path | None = None,
        unit: str = "runs",
    ) -> None:
        self._unit = unit
        self._file = None if file is None else ProgressFile(file)
        self._stream = stream or sys.stderr
        self._is_quiet = is_quiet
        self._is_terminal = self._stream.isatty()
        self._started = time.monotonic()
        self._drawn = 0.0
        self._seen: set[str] = set()

    def advance(self, label: str, done: int, planned: int) -> None:
        """`done` of at most `planned` replications are finished; `label` names the variant at work."""
        if self._file:
            self._file.advance(label, done, planned)
        if self._is_quiet:
            return
        if self._is_terminal:
            self._draw(label, done, planned)
        elif label not in self._seen:
            self._seen.add(label)
            print(f"{label} ...", file=self._stream, flush=True)

    def judged(self, run: VariantRun) -> None:
        """Keep for who looks from outside what is decided so far."""
        if self._file:
            self._file.judged(run)

    def _draw(self, label: str, done: int, planned: int) -> None:
        now = time.monotonic()
        if now - self._drawn < REDRAW_S and done < planned:
            return
        self._drawn = now
        filled = BAR_CELLS * done // max(planned, 1)
        bar = "#" * filled + "." * (BAR_CELLS - filled)
        text = f"[{bar}] {done:>4} {self._unit}  {now - self._started:5.1f} s  {label}"
        self._overwrite(text)

    def close(self) -> None:
        """End the bar's line."""
        if self._is_terminal and self._drawn:
            self._overwrite("")
            print("\r", end="", file=self._stream, flush=True)

    def _overwrite(self, text: str) -> None:
        """Put a text in place of the line; one that is longer than the line would begin another."""
        width = (os.get_terminal_size(self._stream.fileno()).columns or USUAL_COLUMNS) - 1
        print(f"\r{text:<{width}.{width}}", end="", file=self._stream, flush=True)


class ProgressFile:
    """How far a run is, as JSON for who looks at it from outside; at most a few times a second."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._written = 0.0
        self._state: dict[str, Any] = {"done": 0, "planned": 0, "label": "", "variants": {}}

    def advance(self, label: str, done: int, planned: int) -> None:
        """As `Progress.advance`."""
        self._state.update(label=label, done=done, planned=planned)
        self._write(is_last=done == planned)

    def judged(self, run: VariantRun) -> None:
        """The requirements of a variant after one more replication."""
        self._state["variants"][run.variant.name] = {
            "done": len(run.outcomes),
            "requirements": {
                name: {
                    "met": test.met_count,
                    "runs": test.run_count,
                    "verdict": test.verdict and test.verdict.value,
                }
                for name, test in run.tests.items()
            },
        }

    def _write(self, *, is_last: bool) -> None:
        from scenarios.store import write

        now = time.monotonic()
        if is_last or now - self._written >= REWRITE_S:
            self._written = now
            write(self._path, json.dumps(self._state))
