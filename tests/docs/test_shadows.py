"""Every clause of the shadow stands in the document, with cases and tests that exist and hold it."""

import json
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CLAUSES = [f"SH-{number:02}" for number in range(1, 29)]


def rows():
    text = (ROOT / "docs" / "shadows.md").read_text("utf-8")
    table = text.split("<!-- clauses -->")[1].split("<!-- end of clauses -->")[0]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.strip().splitlines()[2:]]


def test_every_clause_has_its_row():
    """In order, each once, with something that holds it."""
    found = rows()
    assert [row[0] for row in found] == [*CLAUSES, "names", "loops"]
    assert all(len(row) == 3 and row[1].endswith(".") and row[2] for row in found)


def test_what_holds_a_clause_exists():
    """A case is in one of our files, a test in the tests; and no case holds nothing."""
    files = ("shadow_cases.json", "shadow_cases_more.json")
    cases = {
        case["id"]
        for file in files
        for case in json.loads((ROOT / "tests" / "data" / file).read_text("utf-8"))
    }
    tests = {
        name
        for path in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"^def (test_\w+)", path.read_text("utf-8"), re.MULTILINE)
    }
    named = [word.strip("`") for row in rows() for word in row[2].split()]
    assert [word for word in named if word not in cases | tests] == []
    assert cases - set(named) == set()
