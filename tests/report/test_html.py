"""The report page: well-formed, self-contained, safe, readable without the charts."""

# ruff: noqa: S314 - the documents parsed here are our own

from __future__ import annotations

import re
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import msgspec
import pytest

from scenarios import report
from scenarios.results import Study

FETCHING = {"src", "href", "xlink:href", "action", "formaction", "data", "poster", "srcset", "background"}
NOT_CLOSED = {"meta", "link", "img", "br", "hr", "input", "wbr", "rect", "circle", "path", "use", "line"}


class Page(HTMLParser):
    """Every element with its attributes, and the elements that were closed in the wrong order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.misnested: list[str] = []
        self._open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in NOT_CLOSED:
            self._open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if tag not in NOT_CLOSED and (not self._open or self._open.pop() != tag):
            self.misnested.append(tag)

    def named(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def text(study):
    return report.html(study)


@pytest.fixture(scope="module")
def hostile_text(hostile):
    return report.html(hostile)


def test_page_is_well_formed_html_and_xml(text):
    """A strict XML parser reads the page, and an HTML parser finds every element closed in order."""
    assert ET.fromstring(text).tag == "html"
    assert Page(text).misnested == []


def test_hostile_page_is_well_formed_too(hostile_text):
    """No text of an author can break the page open."""
    assert ET.fromstring(hostile_text).tag == "html"


def test_page_fetches_nothing(text, hostile_text):
    """No attribute refers to anything outside the page, no style has an address, nothing is imported."""
    for page in (text, hostile_text):
        outside = [
            value
            for _, attributes in Page(page).elements
            for name, value in attributes.items()
            if name in FETCHING and not value.startswith("#")
        ]
        style = re.search(r"<style>(.*?)</style>", page, re.DOTALL)[1]
        assert outside == []
        assert "url(" not in style
        assert "@import" not in style


def test_page_forbids_fetching_by_policy(text):
    """The browser is told to load nothing, should anything ever slip in."""
    policies = [meta["content"] for meta in Page(text).named("meta") if "http-equiv" in meta]
    assert policies == ["default-src 'none'; style-src 'unsafe-inline'"]


def test_page_has_no_script_and_no_handler(text, hostile_text):
    """Neither our text nor a hostile one becomes a script, an image, a style or an event handler."""
    for page in (Page(text), Page(hostile_text)):
        tags = {tag for tag, _ in page.elements}
        names = {name for _, attributes in page.elements for name in attributes}
        assert tags.isdisjoint(
            {"script", "img", "image", "iframe", "object", "embed", "foreignobject", "form"}
        )
        assert [name for name in names if name.startswith("on")] == []
        assert "style" not in names


def test_hostile_names_are_shown_as_text(hostile_text):
    """The reader sees what the author wrote, less the characters nobody may print."""
    shown = "".join(ET.fromstring(hostile_text).itertext())
    assert "<script>alert(1)</script>" in shown
    assert "\x1b" not in hostile_text
    assert "\u202e" not in hostile_text


def test_page_is_small(text):
    """Twelve variants stay under 400 kB."""
    assert len(text.encode()) < 400_000


def test_page_is_small_even_with_long_chains(study):
    """Chains, seeds and the scenario's text are bounded in the page, however long they are."""
    variants = [
        msgspec.structs.replace(
            v,
            seeds=list(range(10_000)),
            requirements=[msgspec.structs.replace(r, chain=r.chain * 500) for r in v.requirements],
        )
        for v in study.variants
    ]
    big = msgspec.structs.replace(study, variants=variants, scenario_text="x: 1\n" * 1_000_000)
    assert len(report.html(big).encode()) < 600_000


def test_same_study_gives_same_bytes(sample):
    """Two studies built alike give the same page."""
    assert report.html(sample.study()) == report.html(sample.study())


def test_every_chart_has_a_text_alternative(text):
    """Each chart is an image whose title and description exist and say something."""
    root = ET.fromstring(text)
    by_id = {element.get("id"): element for element in root.iter() if element.get("id")}
    charts = [svg for svg in root.iter("svg") if svg.get("class") in {"chart", "panel"}]
    assert len(charts) == 1 + 4 * 12 + 2 + 1 + 7
    for chart in charts:
        assert chart.get("role") == "img"
        assert [by_id[key].tag for key in chart.get("aria-labelledby").split()] == ["title", "desc"]
        assert all(by_id[key].text.strip() for key in chart.get("aria-labelledby").split())


def test_every_figure_has_its_data_as_a_table(text):
    """Whoever cannot see a chart reads its numbers."""
    figures = [figure for figure in ET.fromstring(text).iter("figure") if figure.get("class") != "plan"]
    assert figures
    assert all(figure.find("details/div/table/tbody/tr") is not None for figure in figures)


def test_no_identifier_is_used_twice(text):
    """References inside the page are unambiguous."""
    ids = [element.get("id") for element in ET.fromstring(text).iter() if element.get("id")]
    assert len(ids) == len(set(ids))


def test_links_lead_to_sections_of_the_page(text):
    """Every link of the navigation has its section."""
    root = ET.fromstring(text)
    sections = [section.get("id") for section in root.iter("section")]
    assert [link.get("href") for link in root.iter("a")] == [f"#{section}" for section in sections]


def test_verdicts_are_words_and_symbols_not_colour_alone(study, text):
    """Each cell of the matrix carries word and symbol, as many as there are judgements."""
    matrix = next(t for t in ET.fromstring(text).iter("table") if t.get("class") == "matrix")
    shown = ["".join(cell.find("span").itertext()) for cell in matrix.iter("td")]
    words = {"PASS": "\u2713 PASS", "FAIL": "\u2717 FAIL", "INCONCLUSIVE": "? INCONCLUSIVE"}
    assert shown == [words[r.verdict] for v in study.variants for r in v.requirements]


def test_headline_counts_the_variants_that_meet_everything(text):
    """The sample has eight clean variants."""
    assert "8 of 12 variants meet every requirement." in text


def test_limits_are_stated(text):
    """The reader learns what the tool does not replace."""
    assert "does not replace a fire engineer or the listed fire alarm system" in text


def test_unbalanced_ledger_is_shown(study):
    """Messages that nobody can account for are named in the ledger."""
    variant = study.variants[0]
    ledger = msgspec.structs.replace(variant.ledger, delivered=variant.ledger.delivered - 5)
    broken = msgspec.structs.replace(study, variants=[msgspec.structs.replace(variant, ledger=ledger)])
    assert "5 off" in report.html(broken)


def test_empty_study_gives_a_page():
    """A study in which nothing was measured still gives a readable page."""
    empty = Study("t", "", "f.yaml", "", "0", "", 1, "", 0.0, variants=[])
    root = ET.fromstring(report.html(empty))
    assert [s.get("id") for s in root.iter("section")] == ["answer", "ledger", "repeat", "limits"]
