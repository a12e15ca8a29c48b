"""How a command is told the convention of a system: by a name, or by a file with templates."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from twin.errors import InputError

if TYPE_CHECKING:
    from twin.live.conventions import Convention

FORMS: Final = ("aws-shadow", "sparkplug-b:GROUP", "topics:TEMPLATE", "FILE.yaml")
KEYS: Final = ("topics", "orders", "payload")


def convention_of(asked: str) -> Convention:
    """The convention that is asked for. Raises InputError, with the nearest that there is."""
    from twin.live.conventions import aws_shadow
    from twin.live.sparkplug_node import sparkplug
    from twin.live.templates import templates

    name, _, rest = asked.partition(":")
    if asked == "aws-shadow":
        return aws_shadow()
    if name == "sparkplug-b":
        return sparkplug(rest)
    if name == "topics":
        return templates(rest)
    if asked.endswith((".yaml", ".yml", ".json")):
        return templates(**_read(Path(asked)))
    near = difflib.get_close_matches(name, [form.partition(":")[0] for form in FORMS], 1)
    hint = f"; did you mean {near[0]}?" if near else ";"
    raise InputError(f"--convention: {asked!r} is none{hint} There are: {', '.join(FORMS)}")


def _read(path: Path) -> dict[str, Any]:
    import yaml

    try:
        found = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"--convention: {path} cannot be read: {error}") from None
    except yaml.YAMLError as error:
        raise InputError(f"--convention: {path} is no YAML: {' '.join(str(error).split())}") from None
    if not isinstance(found, dict) or "topics" not in found:
        raise InputError(f"--convention: {path} says no topics, as in topics: plant/{{thing}}/{{what}}")
    for key in found:
        if key not in KEYS:
            raise InputError(f"--convention: {path}: there is no {key!r}; there are: {', '.join(KEYS)}")
    for key in ("topics", "orders"):
        if not isinstance(found.get(key, ""), str):
            raise InputError(f"--convention: {path}: {key} is a text")
    return found
