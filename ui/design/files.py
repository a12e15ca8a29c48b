"""Which scenario files there are, and how they are opened, saved, copied and brought in.

Those that come with the product can only be read. All others lie below one folder: an address that leads
out of it, also over a symbolic link, is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import msgspec

from scenarios import store, templates
from scenarios.format.issues import ScenarioError, Span, issue_at, nearest
from scenarios.format.source import LARGEST_FILE_BYTES
from scenarios.shipped import LIBRARY, SUFFIX, names
from twin.errors import InputError
from ui.design.document import Document, Positions

SIDE_FILE: Final = ".windtunnel-ui.json"
"""Where the positions of nodes in drawings are kept, so that the scenario itself stays free of them."""
MOST_FILES: Final = 500
MOST_SIDE_BYTES: Final = 2_000_000
MARK: Final = b"\xef\xbb\xbf"
NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,59}")
MOST_BYTES: Final = {
    ".yaml": LARGEST_FILE_BYTES,
    ".yml": LARGEST_FILE_BYTES,
    ".rules": 1_000_000,
    ".geojson": 20_000_000,
    ".csv": 20_000_000,
}
"""What may be brought in, by ending, and how large it may be."""


class ConflictError(InputError):
    """The file on the disk is not what was opened."""


def own(folder: Path) -> list[str]:
    """The scenarios in the user's folder, by their names without the ending."""
    found = sorted(path.name.removesuffix(SUFFIX) for path in folder.glob(f"*{SUFFIX}"))
    return [name for name in found if name][:MOST_FILES]


def shipped(folder: Path) -> list[str]:
    """The scenarios that come with the product, but for those whose name the user has taken."""
    taken = set(own(folder))
    return [name for name in names() if name not in taken]


def find(reference: str, folder: Path) -> tuple[Path, bool]:
    """The file an address means, and whether it comes with the product. Raises InputError."""
    path = below(folder, f"{reference.removesuffix(SUFFIX)}{SUFFIX}")
    if path.is_file():
        return path, False
    if reference in names():
        return LIBRARY / f"{reference}{SUFFIX}", True
    near = nearest(reference[:200], [*own(folder), *names()])
    advice = f"; did you mean {near!r}?" if near else ""
    raise InputError(f"there is no scenario {reference[:200]!r} in the folder of scenarios{advice}")


def below(folder: Path, name: str) -> Path:
    """A path below the folder. Raises InputError for one that leads out of it."""
    try:
        path = (folder / name).resolve()
        is_below = path.is_relative_to(folder.resolve()) and bool(name)
        path.exists()  # which refuses a name that is too long
    except (OSError, ValueError) as error:
        raise InputError(f"{name[:80]!r} is no usable file name") from error
    if not is_below:
        raise InputError(f"{name[:80]!r} is not below the folder of scenarios")
    return path


def open_document(reference: str, folder: Path) -> Document:
    """Open a scenario; its text may be wrong, but must be one. Raises InputError."""
    path, is_shipped = find(reference, folder)
    text, has_mark = _read(path)
    name = path.name if is_shipped else path.relative_to(folder.resolve()).as_posix()
    document = Document(reference, name, path, is_shipped, text, text, has_mark)
    if not is_shipped:
        document.positions = _positions(path)
    return document


def _read(path: Path) -> tuple[str, bool]:
    try:
        size = path.stat().st_size
        content = path.read_bytes() if size <= LARGEST_FILE_BYTES else b""
    except OSError as error:
        raise InputError(f"{path.name} cannot be read: {error.strerror}") from error
    if size > LARGEST_FILE_BYTES:
        raise InputError(
            f"{path.name} has {size / 1e6:.1f} MB; the limit is {LARGEST_FILE_BYTES // 1_000_000} MB"
        )
    try:
        return content.decode("utf-8-sig"), content.startswith(MARK)
    except UnicodeDecodeError as error:
        place = Span(content[: error.start].count(b"\n") + 1, 1)
        message = f"byte {error.start} (0x{content[error.start]:02x}) is not UTF-8"
        raise ScenarioError([issue_at(place, "E003", message)], name=path.name) from error


def save(document: Document, *, is_forced: bool = False) -> None:
    """Write the whole file. Raises ConflictError if it is not what was opened or saved last."""
    if document.is_shipped:
        raise InputError("a scenario that comes with the product cannot be changed; save a copy of it")
    if (
        not is_forced
        and document.path.exists()
        and _content(document.path) != encoded(document.saved, document)
    ):
        raise ConflictError(f"{document.name} was changed elsewhere since it was opened")
    if not is_forced and not document.path.exists() and document.saved:
        raise ConflictError(f"{document.name} was removed elsewhere since it was opened")
    try:
        store.write(document.path, encoded(document.text, document))
    except OSError as error:
        raise InputError(f"{document.name} cannot be written: {error.strerror}") from error
    document.saved = document.text
    keep_positions(document)


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path.name} cannot be read: {error.strerror}") from error


def encoded(text: str, document: Document) -> bytes:
    """The text as the file has it."""
    return (MARK if document.has_mark else b"") + text.encode("utf-8", "replace")


def reload(document: Document) -> None:
    """Take what is on the disk now; what was there before can be had back with undo."""
    text, document.has_mark = _read(document.path)
    document.change(text)
    document.saved = text


def copy_name(document: Document, folder: Path) -> str:
    """A name for a copy that no file has."""
    stem = document.path.name.removesuffix(SUFFIX).removesuffix(".yaml")
    stem = re.sub(r"[^A-Za-z0-9_-]+", "-", stem).strip("-")[:48] or "scenario"
    taken = {*own(folder), *names()}
    candidates = (f"{stem}{'' if number == 1 else f'_{number}'}" for number in range(1, MOST_FILES + 99))
    return next(each for each in candidates if each not in taken)


def copy(document: Document, name: str, folder: Path) -> Document:
    """Save the text under a new name, with the files that it names. Raises InputError."""
    path = _new(folder, name)
    for other in _named_files(document):
        target = path.parent / other.name
        if not target.exists():
            store.write(target, other.read_bytes())
    store.write(path, encoded(document.text, document))
    reference = path.name.removesuffix(SUFFIX)
    made = replace(document, reference=reference, name=path.name, path=path, is_shipped=False)
    made.saved = made.text
    keep_positions(made)
    return made


def _new(folder: Path, name: str) -> Path:
    stem = name.strip().removesuffix(SUFFIX)
    if not NAME.fullmatch(stem):
        raise InputError(f"a name is letters, digits, '-' and '_', at most 60; not {stem[:80]!r}")
    path = below(folder, f"{stem}{SUFFIX}")
    if path.exists() or stem in names():
        raise InputError(f"there is a scenario {stem!r} already; choose another name")
    return path


def _named_files(document: Document) -> Iterable[Path]:
    """Files beside the scenario whose names stand in its text."""
    for path in sorted(document.folder.iterdir())[:MOST_FILES]:
        is_kept = path.suffix in {".rules", ".geojson", ".csv"} and path.is_file()
        if is_kept and path.name in document.text and path.stat().st_size <= MOST_BYTES[path.suffix]:
            yield path


def from_template(name: str, folder: Path, *, has_building: bool, levels: int = 2, bays: int = 60) -> str:
    """Make a scenario to start from; returns its address. Raises InputError."""
    made = templates.files(name.strip(), scene="carpark" if has_building else None, levels=levels, bays=bays)
    paths = {file: below(folder, file) for file in made}
    taken = [file for file, path in paths.items() if path.exists()]
    if name.strip() in names():
        raise InputError(f"{name.strip()!r} comes with the product already; choose another name")
    if taken:
        raise InputError(f"there is a file {taken[0]!r} already; choose another name")
    for file, text in made.items():
        store.write(paths[file], text)
    return next(file for file in made if file.endswith(SUFFIX)).removesuffix(SUFFIX)


def bring_in(uploads: Iterable[tuple[str, bytes]], folder: Path) -> list[str]:
    """Put uploaded files into the folder under names that are safe; none replaces another.

    Returns the names. Raises InputError before anything is written if one of them cannot be taken.
    """
    accepted: dict[str, bytes] = {}
    for given, content in uploads:
        name = safe_name(given)
        most = MOST_BYTES[Path(name).suffix]
        if len(content) > most:
            raise InputError(f"{name} has {len(content) / 1e6:.1f} MB; the limit is {most / 1e6:g} MB")
        if below(folder, name).exists() or name in accepted:
            raise InputError(f"there is a file {name!r} already; give it another name first")
        accepted[name] = content
    for name, content in accepted.items():
        store.write(below(folder, name), content)
    return list(accepted)


def safe_name(given: str) -> str:
    """The name under which an upload is kept: the last part, plain characters, a known ending."""
    last = re.split(r"[/\\]", given)[-1]
    ending = next((each for each in MOST_BYTES if last.lower().endswith(each)), None)
    if ending is None:
        raise InputError(f"{last[:80]!r} cannot be brought in; known endings: {', '.join(MOST_BYTES)}")
    stem = last[: -len(ending)]
    is_scenario = ending in {".yaml", ".yml"}
    stem = stem.removesuffix(".scenario") if is_scenario else stem
    stem = re.sub(r"[^A-Za-z0-9_-]+", "-", stem).strip("-_")[:60]
    if not stem:
        raise InputError(f"{last[:80]!r} has no name that could be kept")
    return f"{stem}{SUFFIX if is_scenario else ending}"


# positions --------------------------------------------------------------------------------------------


def keep_positions(document: Document) -> None:
    """Write the positions beside the user's own scenario; a drawing is not worth an error."""
    if document.is_shipped:
        return
    path = document.folder / SIDE_FILE
    known = _side(path)
    if document.positions:
        known[document.path.name] = {name: list(place) for name, place in document.positions.items()}
    elif known.pop(document.path.name, None) is None:
        return
    try:
        store.write(path, msgspec.json.format(msgspec.json.encode(known)))
    except OSError:
        return


def _positions(path: Path) -> Positions:
    found = _side(path.parent / SIDE_FILE).get(path.name)
    places: Mapping[str, Any] = found if isinstance(found, dict) else {}
    try:
        return msgspec.convert(places, dict[str, tuple[float, float]])
    except msgspec.ValidationError:
        return {}


def _side(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > MOST_SIDE_BYTES:
            return {}
        found = msgspec.json.decode(path.read_bytes())
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return {}
    return found if isinstance(found, dict) else {}
