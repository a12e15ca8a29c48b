"""The page that says what the models are held against."""

from pathlib import Path
from runpy import run_path

ROOT = Path(__file__).parents[2]
MAKE = run_path(str(ROOT / "docs" / "make_validation.py"))


def test_every_row_names_a_test_that_exists():
    """A renamed test leaves no row behind."""
    assert [fault for row in MAKE["rows"]() if (fault := MAKE["missing_test"](row.test))] == []


def test_the_page_is_up_to_date():
    """`python docs/make_validation.py` would change nothing."""
    assert (ROOT / "docs" / "validation.md").read_text(encoding="utf-8") == MAKE["page"]()


def test_no_model_is_listed_twice():
    """One row for a model and its source."""
    keys = [(row.model, row.source) for row in MAKE["rows"]()]

    assert len(set(keys)) == len(keys)
