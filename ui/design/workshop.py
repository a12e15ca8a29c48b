"""What one browser session has open: its documents, what it looks at, and what it was told last."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from scenarios.format.source import Keys
from twin.errors import InputError
from ui.design import edits, files, orders
from ui.design.checking import Checked, check
from ui.design.document import Document
from ui.design.files import ConflictError
from ui.design.overriding import Target
from ui.design.tables import COLUMNS, Row, Section, changed, removal, rows

MOST_OPEN: Final = 8


@dataclass
class Workshop:
    """The documents of a session; unsaved ones stay until the session ends."""

    folder: Path
    documents: dict[str, Document] = field(default_factory=dict)
    current: str = ""
    target: Target = field(default_factory=Target)
    notice: str = ""
    is_conflict: bool = False
    chosen: dict[str, Any] = field(default_factory=lambda: {"n": 0, "section": "", "id": ""})
    selected: tuple[str, str] = ("", "")
    acked: dict[str, int] = field(default_factory=dict)
    epoch: int = 0
    """Grows when tables must forget what was typed into them."""
    shown: dict[Section, list[Row]] = field(default_factory=dict)
    _checked: Checked | None = None
    _checked_for: tuple[str, str, str, int] = ("", "", "", 0)

    def open(self, reference: str) -> Document:
        """The document at an address, with its unsaved changes. Raises InputError."""
        if reference not in self.documents:
            self.documents[reference] = files.open_document(reference, self.folder)
            self._forget_some(reference)
        if reference != self.current:
            self.current, self.is_conflict = reference, False
            self.selected, self.target = ("", ""), Target()
            self.epoch += 1
        return self.documents[reference]

    def _forget_some(self, kept: str) -> None:
        unchanged = [name for name, each in self.documents.items() if not each.is_changed and name != kept]
        for name in unchanged[: max(0, len(self.documents) - MOST_OPEN)]:
            del self.documents[name]

    @property
    def document(self) -> Document:
        """What is worked on."""
        return self.documents[self.current]

    def checked(self) -> Checked:
        """The current text with its problems, looked for once."""
        document = self.document
        key = (document.text, document.reference, self.target.shown, _stamp(document.folder))
        if self._checked is None or self._checked_for != key:
            self._checked = check(document.text, document.name, document.folder, self.target.shown)
            self._checked_for = key
        return self._checked

    def look_at(self, variant: str, *, is_into_variant: bool) -> None:
        """Show a variant ('' for the base), and decide where edits go."""
        target = Target(variant, is_into_variant and bool(variant))
        if target != self.target:
            self.target = target
            self.epoch += 1

    # what is done in the views ------------------------------------------------------------------------

    def receive(self, view: str, written: Any) -> None:
        """Carry out the orders of a view that were not carried out yet."""
        for number, order in _numbered(written):
            if number <= self.acked.get(view, 0):
                continue
            self.acked[view] = number
            if order.do == "type":
                self._typed(order.text or "")
            else:
                self._do(order)

    def _typed(self, text: str) -> None:
        self.notice = ""
        self.document.type(text)
        self.epoch += 1

    def _do(self, order: orders.Order) -> None:
        self.notice = ""
        before = self.document.positions
        try:
            chosen = orders.carry_out(self.document, self.checked(), order, self.target)
        except InputError as error:
            self.notice = str(error)
            return
        if order.do in {"add", "rename"}:
            self.choose(order.section, chosen)
        if self.document.positions != before:
            files.keep_positions(self.document)
        if order.do not in {"move", "tidy"}:
            self.epoch += 1

    def choose(self, section: str, name: str) -> None:
        """Let the drawing select a part."""
        self.chosen = {"n": self.chosen["n"] + 1, "section": section, "id": name}
        self.selected = (section, name)

    def attempt(self, *changes: Callable[[str], str]) -> bool:
        """Make changes as one step; a refusal becomes the notice."""
        self.notice = ""
        self.epoch += 1
        try:
            self.document.apply(*changes)
        except InputError as error:
            self.notice = str(error)
        return not self.notice

    def add(self, section: str, kind: str, site: str) -> None:
        """Add a site, node or fleet, as the palette does."""
        self._do(orders.Order("add", section=section, kind=kind, site=site))

    def connect(self, a: str, b: str) -> None:
        """Link two nodes, or a fleet with the node that it goes through."""
        self._do(orders.Order("connect", id=a, to=b))

    def append(self, path: Keys, value: Mapping[str, Any]) -> bool:
        """Add an item to a list of the scenario."""
        return self.attempt(lambda text: edits.append(text, path, dict(value)))

    def undo(self) -> None:
        """Go one step back."""
        self._do(orders.Order("undo"))

    def redo(self) -> None:
        """Go one step forward again."""
        self._do(orders.Order("redo"))

    # tables -------------------------------------------------------------------------------------------

    def table(self, section: Section) -> list[Row]:
        """The rows of a table as they are now."""
        self.shown[section] = rows(self.checked(), section, self.target.shown)
        return self.shown[section]

    def edit_cells(self, section: Section, edited: Mapping[int, Mapping[str, Any]]) -> None:
        """Take what somebody typed into cells; what stands there already is left alone."""
        self.notice = ""
        columns = {column.key: column for column in COLUMNS[section]}
        for index, cells in edited.items():
            for key, value in cells.items():
                row = self.shown.get(section, [])[index : index + 1]
                if key not in columns or not row or row[0].cells[key] == (value or "").strip():
                    continue
                try:
                    change = changed(self.checked(), section, row[0], columns[key], value, self.target)
                    self.document.apply(change)
                except InputError as error:
                    self.notice = str(error)
                    self.epoch += 1
                    return
                self.table(section)

    def remove_rows(self, section: Section, indices: list[int]) -> None:
        """Take rows out of the text; a node takes its links with it."""
        found = [self.shown[section][index] for index in indices if index < len(self.shown[section])]
        try:
            change = self._removal(section, found)
        except InputError as error:
            self.notice = str(error)
            self.epoch += 1
            return
        self.attempt(change)

    def _removal(self, section: Section, found: list[Row]) -> Callable[[str], str]:
        if section != "nodes":
            return removal(self.checked(), section, found)
        return orders.deletions(self.checked(), section, [str(row.path[1]) for row in found])

    # files --------------------------------------------------------------------------------------------

    def save(self, *, is_forced: bool = False) -> bool:
        """Write the file; whether it could be. A file that changed meanwhile is not replaced unasked."""
        self.notice, self.is_conflict = "", False
        try:
            files.save(self.document, is_forced=is_forced)
        except ConflictError:
            self.is_conflict = True
        except InputError as error:
            self.notice = str(error)
        return not (self.notice or self.is_conflict)

    def reload(self) -> None:
        """Take what is on the disk."""
        self.is_conflict, self.notice = False, ""
        self.epoch += 1
        try:
            files.reload(self.document)
        except InputError as error:
            self.notice = str(error)

    def copy(self, name: str) -> str:
        """Save under a new name; returns the address of the copy, '' if that cannot be."""
        self.notice = ""
        try:
            made = files.copy(self.document, name, self.folder)
        except (InputError, OSError) as error:
            self.notice = str(error)
            return ""
        original = self.documents.pop(self.current)
        self.documents[made.reference] = made
        if original.reference != made.reference:
            self.current = ""
        return made.reference


def _stamp(folder: Path) -> int:
    """Another stamp, another file in the folder: what a scenario names may be there now, or may be gone."""
    try:
        return folder.stat().st_mtime_ns
    except OSError:
        return 0


def _numbered(written: Any) -> list[tuple[int, orders.Order]]:
    """Orders with the numbers the browser gave them."""
    listed = written.get("orders") if isinstance(written, Mapping) else None
    found = []
    for each in listed if isinstance(listed, list) else ():
        number = each.get("n") if isinstance(each, Mapping) else None
        read = (
            orders.read_orders([{key: value for key, value in each.items() if key != "n"}]) if number else []
        )
        if isinstance(number, int) and read:
            found.append((number, read[0]))
    return found
