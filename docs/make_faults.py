#!/usr/bin/env python3
"""Write the table of docs/faults.md from the vocabulary of faults."""

from pathlib import Path

from scenarios.format.fault_vocabulary import FAULT_FORMS

PAGE = Path(__file__).parent / "faults.md"
MARK = "<!-- the rest is made by docs/make_faults.py -->\n"


def section(name: str) -> str:
    """One fault: its name, what happens, its figures, one line of YAML."""
    form = FAULT_FORMS[name]
    figures = ", ".join(f"`{key}`" for key in form.figures) or "none"
    return f"### `{name}`\n\n{form.meaning}\n\nFigures: {figures}.\n\n    - {form.example}\n"


if __name__ == "__main__":
    head = PAGE.read_text(encoding="utf-8").split(MARK)[0]
    PAGE.write_text(head + MARK + "\n" + "\n".join(map(section, FAULT_FORMS)), encoding="utf-8")
