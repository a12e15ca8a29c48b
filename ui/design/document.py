"""The scenario that is worked on: its text, what it was before each change, and where nodes are drawn."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

Positions: TypeAlias = dict[str, tuple[float, float]]

MOST_STEPS: Final = 200
MOST_REMEMBERED_CHARACTERS: Final = 30_000_000


class Moment(NamedTuple):
    """What undo brings back."""

    text: str
    positions: Mapping[str, tuple[float, float]]


@dataclass
class Document:
    """One scenario that is open, with the history of its text over all views.

    `reference` is what addresses call it, `name` what messages do. `saved` is the text on the disk as far
    as is known, '' for one that was never saved. `revision` grows with every change that did not come from
    the text view, so that this knows when to show another text.
    """

    reference: str
    name: str
    path: Path
    is_shipped: bool
    text: str
    saved: str
    has_mark: bool = False
    """The file begins with a byte order mark."""
    positions: Positions = field(default_factory=dict)
    revision: int = 0
    past: list[Moment] = field(default_factory=list)
    future: list[Moment] = field(default_factory=list)

    @property
    def is_changed(self) -> bool:
        """Whether there is something to save."""
        return self.text != self.saved

    @property
    def folder(self) -> Path:
        """Where the files are that the scenario names."""
        return self.path.parent

    def change(self, text: str, *, is_typed: bool = False) -> None:
        """Take a new text; `is_typed`: the text view has it already."""
        if text == self.text:
            return
        self._remember()
        self.text = text
        self.revision += not is_typed

    def type(self, shown: str) -> None:
        """Take what somebody typed; browsers know no line break but one."""
        if shown == as_shown(self.text):
            return
        self.change(shown.replace("\n", "\r\n") if "\r\n" in self.text else shown, is_typed=True)

    def apply(self, *changes: Callable[[str], str]) -> None:
        """Make changes of the text as one step; none if one of them is refused (EditError)."""
        text = self.text
        for change in changes:
            text = change(text)
        self.change(text)

    def move(self, positions: Mapping[str, tuple[float, float]]) -> None:
        """Remember where nodes are drawn."""
        self._remember()
        self.positions = {**self.positions, **positions}

    def move_back(self) -> None:
        """Let the layout decide again where everything is drawn."""
        self._remember()
        self.positions = {}

    def undo(self) -> bool:
        """Go one step back; whether there was one."""
        return self._travel(self.past, self.future)

    def redo(self) -> bool:
        """Go one step forward again; whether there was one."""
        return self._travel(self.future, self.past)

    def _travel(self, source: list[Moment], other: list[Moment]) -> bool:
        if not source:
            return False
        other.append(Moment(self.text, self.positions))
        self.text, positions = source.pop()
        self.positions = dict(positions)
        self.revision += 1
        return True

    def _remember(self) -> None:
        self.past.append(Moment(self.text, self.positions))
        self.future.clear()
        most = max(1, min(MOST_STEPS, MOST_REMEMBERED_CHARACTERS // (len(self.text) + 1)))
        del self.past[: len(self.past) - most]


def as_shown(text: str) -> str:
    """The text as a browser's text field gives it back."""
    return text.replace("\r\n", "\n").replace("\r", "\n")
