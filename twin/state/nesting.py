"""How deep a value is nested: what strangers send is read, written and walked again later."""

from __future__ import annotations

from typing import Any, Final

DEEPEST: Final = 64
"""Levels of what is kept as it came: far from where a walk over it, within others, does not come back."""


def is_deep(value: Any, levels: int = DEEPEST) -> bool:
    """Whether a JSON value has more objects and arrays within each other; found without recursion."""
    level = [value] if isinstance(value, dict | list) else []
    for _ in range(levels):
        if not level:
            return False
        level = [inner for each in level for inner in _inside(each)]
    return bool(level)


def _inside(value: Any) -> list[Any]:
    inner = value.values() if isinstance(value, dict) else value
    return [each for each in inner if isinstance(each, dict | list)]
