#!/usr/bin/env python3
"""Write docs/validation.md from tests/validation_rows.py; with `--run`, run the tests it names first."""

from __future__ import annotations

import ast
import sys
from itertools import groupby
from pathlib import Path
from runpy import run_path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
TESTS = ROOT / "tests"
PAGE = ROOT / "docs" / "validation.md"
HEAD = """# What the models are held against

Every row names a model, the source it is held against, the test that does it and the greatest error the
test allows. `python docs/make_validation.py` writes this page; `python docs/make_validation.py --run` runs
the tests first.
"""


def rows() -> list[Any]:
    """The rows of the registry, in its order."""
    found: list[Any] = run_path(str(TESTS / "validation_rows.py"))["ROWS"]
    return found


def missing_test(test: str) -> str:
    """What a row's test lacks: an empty text if file and function exist."""
    name, _, function = test.partition("::")
    path = TESTS / name
    if not path.is_file():
        return f"there is no file tests/{name}"
    names = {
        node.name
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef)
    }
    if function and function not in names:
        return f"there is no {function} in tests/{name}"
    return ""


def page() -> str:
    """The text of the page."""
    parts = [HEAD]
    for area, of_area in groupby(rows(), key=lambda row: row.area):
        lines = [
            f"| {row.model} | {row.source} | `{row.test.replace('::', '` `')}` | {row.error} |"
            for row in of_area
        ]
        head = f"\n## {area}\n\n| model | held against | test | error |\n|---|---|---|---|\n"
        parts.append(head + "\n".join(lines) + "\n")
    return "".join(parts)


def main(arguments: list[str]) -> int:
    """Check the rows, run their tests if asked to, write the page."""
    faults = [fault for fault in (missing_test(row.test) for row in rows()) if fault]
    if faults:
        print("\n".join(faults))
        return 1
    if "--run" in arguments:
        import pytest

        code = pytest.main(["-q", *dict.fromkeys(str(TESTS / row.test) for row in rows())])
        if code:
            return int(code)
    PAGE.write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
