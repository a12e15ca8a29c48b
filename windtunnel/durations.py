"""How long a command goes on: what `--for` says."""

from __future__ import annotations

from twin.errors import InputError


def lasting_s(text: str | None) -> float | None:
    """The time (s), None if nothing was said. Raises InputError for one that is no time, or over at once."""
    if not text:
        return None
    from twin.units import parse

    try:
        duration_s = parse("time", text)
    except ValueError as error:
        raise InputError(f"--for: {error}") from None
    if duration_s <= 0.0:
        raise InputError(f"--for: expected a time longer than none, such as '30 s', not {text!r}")
    return duration_s
