"""The page that greets: the gallery, a new scenario, an import."""

import re

import pytest

from scenarios.archive import new_manifest
from scenarios.shipped import LIBRARY, names
from scenarios.store import Store
from ui import shelf

HOSTILE = "<script>alert(1)</script> **bold** [x](javascript:alert(1)) $a$ :red[b]"
SCENARIO = """\
scenario: 1
title: {title!r}
description: {title!r}
sites:
  here: {{metro: singapore}}
nodes:
  broker: {{kind: mqtt_broker, at: here}}
"""


def text_of(page):
    return " ".join(str(each.value) for each in (*page.markdown, *page.caption))


def test_every_shipped_scenario_is_shown(app):
    """With a picture of each."""
    page = app("home")

    assert len(page.get("image")) == len(names())


def test_words_find_scenarios_by_all_that_is_said_of_them(app):
    """And say so when nothing is found."""
    assert "Who opens" not in text_of(app("home", words="firmware pumps"))
    assert "firmware" in text_of(app("home", words="firmware pumps"))
    assert "No scenario" in app("home", words="zebra").info[0].value


def test_a_file_with_an_error_says_what_is_wrong(app, folders):
    """As the command line says it."""
    (folders.scenarios / "bad.scenario.yaml").write_text("scenario: 1\nsitez: {}\n")

    page = app("home")

    assert "errors" in page.error[0].value
    assert "did you mean 'sites'" in page.code[0].value


def test_a_hostile_title_stays_text(app, folders):
    """Nothing of it is markup."""
    (folders.scenarios / "evil.scenario.yaml").write_text(SCENARIO.format(title=HOSTILE))

    shown = text_of(app("home"))

    assert "<script>" not in shown
    assert r"\<script\>" in shown


def test_a_new_scenario_is_written_and_valid(folders, app):
    """From the template, into the user's folder."""
    page = app("home")
    page.text_input[1].set_value("plant_one")
    next(each for each in page.button if each.label == "Make it").click().run()

    found = shelf.card(folders.scenarios / "plant_one.scenario.yaml")

    assert found.problem == ""


@pytest.mark.parametrize(
    "name",
    ["../x.scenario.yaml", "x.py", ".hidden.rules", "a/b.csv", "x.scenario.yaml\n", "", "a" * 90 + ".csv"],
)
def test_an_import_of_a_bad_name_writes_nothing(folders, name):
    """Only names that stay in the folder, of the kinds that a scenario has."""
    with pytest.raises(shelf.InputError):
        shelf.keep_uploaded(folders.scenarios, [("good.rules", b"x"), (name, b"x")])

    assert list(folders.scenarios.iterdir()) == []


def test_an_import_overwrites_nothing(folders):
    """What is there stays."""
    shelf.keep_uploaded(folders.scenarios, [("mine.rules", b"first")])

    with pytest.raises(shelf.InputError, match="there already"):
        shelf.keep_uploaded(folders.scenarios, [("mine.rules", b"second")])

    assert (folders.scenarios / "mine.rules").read_bytes() == b"first"


JUDGED = {"edge: gates open within 35 s": "PASS", "cloud_us_cut: gates open within 35 s": "FAIL"}


@pytest.mark.parametrize(
    ("file", "verdicts", "said"),
    [
        ("study.json", JUDGED, r"run on [\d-]+, all as expected"),
        ("study.json", dict.fromkeys(JUDGED, "PASS"), r"run on [\d-]+, 1 unexpected"),
        ("study.json", dict.fromkeys(JUDGED, "INCONCLUSIVE"), r"run on [\d-]+, none unexpected"),
        ("load.json", {"edge: p99(publish => delivery) < 1 s": "FAIL"}, r"under load on [\d-]+"),
        ("load.json", {}, r"under load on [\d-]+"),
        ("sweep.json", {"100: gates open within 35 s": "FAIL"}, r"swept on [\d-]+"),
        ("fidelity.json", {"fidelity": "PASS"}, r"simulated and live on [\d-]+"),
        ("live.json", {}, r"run live on [\d-]+"),
    ],
    ids=[
        "expected",
        "unexpected",
        "undecided",
        "load",
        "load that asked nothing",
        "sweep",
        "fidelity",
        "live",
    ],
)
def test_a_card_says_what_was_done_last(tmp_path, file, verdicts, said):
    """What the author expects is of judged runs alone."""
    store = Store(tmp_path)
    manifest = new_manifest("Fire", "car_park_fire", "abcd", 1, ["edge", "cloud_us_cut"])
    manifest.state, manifest.verdicts = "done", verdicts
    (store.begin(manifest) / file).touch()
    card = shelf.card(LIBRARY / "car_park_fire.scenario.yaml")

    last = shelf.last_run(store.list(), tmp_path, card)

    assert re.fullmatch(said, last.text)
    assert sum(last.counts.values()) == len(verdicts)


@pytest.mark.live
def test_home_opens_in_a_browser(site, tab):
    """And nothing it asks for leaves this machine."""
    address, _ = site

    tab.open(address)

    assert tab.page.title() == "Windtunnel"
    assert tab.page.locator("[data-testid=stImage]").count() == len(names())
