"""Finding and loading scenario files: by path, or by name those that come with the product."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from scenarios.format import loading
from scenarios.format.issues import nearest
from scenarios.format.loading import ScenarioFile
from scenarios.wiring.vocabulary import Vocabulary
from twin.errors import InputError

LIBRARY: Final = Path(__file__).parent / "library"
SUFFIX: Final = ".scenario.yaml"


def names() -> list[str]:
    """The scenarios that come with the product."""
    return sorted(path.name.removesuffix(SUFFIX) for path in LIBRARY.glob(f"*{SUFFIX}"))


def find(name: str | Path) -> Path:
    """The file of this path, or the shipped scenario of this name, written with its suffix or without."""
    path = Path(name)
    shipped = LIBRARY / f"{str(name).removesuffix(SUFFIX)}{SUFFIX}"
    return shipped if not path.exists() and shipped.exists() else path


def load(name: str | Path) -> ScenarioFile:
    """Load and check a scenario file. Raises ScenarioError with everything that is wrong at once.

    Messages and results call it by its path as given, or by its bare name if it comes with the product.
    """
    path = find(name)
    near = nearest(str(name), names())
    if near and not path.exists():
        raise InputError(f"there is no file {str(name)!r}; did you mean the shipped scenario {near!r}?")
    called = path.name if path.parent == LIBRARY else str(name)
    return loading.load(path, catalogue=Vocabulary(), name=called)
