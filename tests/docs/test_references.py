"""Links lead somewhere, and the generated pages are up to date."""

from __future__ import annotations

import re
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

ROOT = Path(__file__).resolve().parents[2]
LINK = re.compile(r"\]\(([^)\s]+)\)")
PLACE = re.compile(r"`((?:docs|twin|network|devices_models|scenarios|windtunnel|tests)/[\w./]*)`")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
IMAGES = ("floor-plan.svg", "time-budget.svg")


def _anchor(heading):
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def test_every_link_of_ours_leads_somewhere(document):
    """Files exist, and anchors are headings of the file."""
    for target in LINK.findall(document.read_text("utf-8")):
        if "://" in target:
            continue
        name, _, anchor = target.partition("#")
        path = (document.parent / name).resolve() if name else document
        assert path.exists(), target
        if anchor:
            assert anchor in map(_anchor, HEADING.findall(path.read_text("utf-8"))), target


def test_every_page_is_linked_from_the_readme_or_a_page_it_links(document):
    """No page can be reached only by those who know that it exists."""
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    assert any(document.name in page.read_text("utf-8") for page in pages if page != document) or (
        document.name in {"README.md", "CHANGELOG.md"}
    )


def test_every_place_in_the_repository_that_is_named_exists(document):
    """A file or folder between backticks that begins with one of our folders is there, or below tests."""
    places = PLACE.findall(document.read_text("utf-8"))
    missing = [each for each in places if not ((ROOT / each).exists() or (ROOT / "tests" / each).exists())]
    assert missing == []


@pytest.mark.parametrize(
    ("maker", "name"), [("make_reference", "scenario-file"), ("make_brokers", "brokers")]
)
def test_pages_that_are_made_are_up_to_date(monkeypatch, maker, name):
    """`python docs/make_....py` would change nothing."""
    specification = spec_from_file_location(maker, ROOT / "docs" / f"{maker}.py")
    module = module_from_spec(specification)
    monkeypatch.setitem(sys.modules, maker, module)
    specification.loader.exec_module(module)
    written = (ROOT / "docs" / f"{name}.md").read_text("utf-8")
    assert written == module.page(written)


@pytest.mark.parametrize("name", IMAGES)
def test_the_pictures_need_nothing_beside_them(name):
    """Well-formed SVG without script, link to elsewhere, or font file."""
    text = (ROOT / "docs" / "images" / name).read_text("utf-8")
    root = ET.fromstring(text)  # noqa: S314  (our own file)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    tags = {element.tag.rpartition("}")[2] for element in root.iter()}
    assert tags.isdisjoint({"script", "image", "foreignObject", "use"})
    assert not re.search(r"@import|@font-face|url\((?!#)|href=", text)
