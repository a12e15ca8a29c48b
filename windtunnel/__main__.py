"""`windtunnel` and `python -m windtunnel`."""

from __future__ import annotations

import signal
import sys
from importlib.util import find_spec
from pathlib import Path

SIBLINGS = ("devices_models", "network", "scenarios", "twin", "ui")


def main() -> int:
    """Check the installation, then hand over to the command line."""
    sentence = shadowed(Path(__file__).parent.parent)
    if sentence:
        print(f"windtunnel: {sentence}", file=sys.stderr)
        return 4
    from windtunnel.cli import run_command_line

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # who is asked to end keeps what was measured
    return run_command_line(sys.argv[1:])


def shadowed(home: Path) -> str:
    """One sentence if a package of the same name as one of ours would be imported instead, else ''."""
    for name in SIBLINGS:
        spec = find_spec(name)
        if spec is None or spec.origin is None:
            return f"its package {name!r} is missing; repair it: pip install --force-reinstall windtunnel-iot"
        found = Path(spec.origin).parent
        if found.parent.resolve() != home.resolve():
            return (
                f"the package {name!r} in {found} hides Windtunnel's own of that name in {home};"
                " rename it or run from another folder"
            )
    return ""


if __name__ == "__main__":
    sys.exit(main())
