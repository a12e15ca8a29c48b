"""What to say about a name nobody knows."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from twin.errors import InputError


def unknown(concept: str, name: str, known: Iterable[str]) -> InputError:
    """The error for an unknown name, with the nearest known one or, if none is near, some of them."""
    names = sorted(known)
    near = get_close_matches(name.lower(), names, n=1, cutoff=0.6)
    hint = (
        f"did you mean {near[0]!r}?"
        if near
        else f"known are {', '.join(names[:12])}" + " ..." * (len(names) > 12)
    )
    return InputError(f"there is no {concept} called {name!r}; {hint}")
