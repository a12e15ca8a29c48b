"""Progress of long work: a bar on a terminal, plain lines elsewhere, always on standard error."""

from __future__ import annotations

import sys
import time
from typing import TextIO

BAR_CELLS = 28
REDRAW_S = 0.1


class Progress:
    """Shows how many of the planned replications are done; `advance` is called after each."""

    def __init__(self, *, is_quiet: bool = False, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._is_quiet = is_quiet
        self._is_terminal = self._stream.isatty()
        self._started = time.monotonic()
        self._drawn = 0.0
        self._seen: set[str] = set()

    def advance(self, label: str, done: int, planned: int) -> None:
        """`done` of at most `planned` replications are finished; `label` names the variant at work."""
        if self._is_quiet:
            return
        if self._is_terminal:
            self._draw(label, done, planned)
        elif label not in self._seen:
            self._seen.add(label)
            print(f"{label} ...", file=self._stream, flush=True)

    def _draw(self, label: str, done: int, planned: int) -> None:
        now = time.monotonic()
        if now - self._drawn < REDRAW_S and done < planned:
            return
        self._drawn = now
        filled = BAR_CELLS * done // max(planned, 1)
        bar = "#" * filled + "." * (BAR_CELLS - filled)
        text = f"\r[{bar}] {done:>4} runs  {now - self._started:5.1f} s  {label:<32.32}"
        print(text, end="", file=self._stream, flush=True)

    def close(self) -> None:
        """End the bar's line."""
        if self._is_terminal and self._drawn:
            print("\r" + " " * 90 + "\r", end="", file=self._stream, flush=True)
