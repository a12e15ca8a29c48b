"""Stored runs, suites and their reports."""

import os

import pytest

from scenarios.archive import Archive, new_manifest
from scenarios.judging.runner import Plan, simulate
from scenarios.report.pictures import pictures
from scenarios.shipped import load
from scenarios.store import Store
from scenarios.suites import Case, Suite, as_text
from ui.results_view import png, rows
from ui.run_view import of_process, share_done

PNG = b"\x89PNG\r\n\x1a\n"


def store_run(root, name="gate_hazard", replications=1):
    """Run a shipped scenario and keep it, as the command line does."""
    scenario = load(name)
    plan = Plan(replications=replications, workers=1)
    archive = Archive.open(root, scenario, plan)
    study = archive.close(simulate(scenario, plan), "done")
    return archive.folder, study


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """The folder of runs with one run in it, and its study."""
    root = tmp_path_factory.mktemp("stored")
    folder, study = store_run(root)
    return root, folder, study


@pytest.fixture
def with_run(stored, monkeypatch):
    """The pages look where the run is."""
    monkeypatch.setenv("WINDTUNNEL_UI_RUNS", str(stored[0]))
    return stored


def test_without_runs_the_page_says_what_to_do(app):
    """Not an empty table."""
    assert "Nothing has been run yet" in app("runs").info[0].value


def test_the_list_shows_a_run(app, with_run):
    """By its title, with its verdicts counted."""
    page = app("runs")

    table = page.dataframe[0].value
    assert list(table["title"]) == [with_run[2].scenario_title]


def test_words_and_states_select_runs(with_run):
    """All words must be there."""
    root, folder, _ = with_run
    manifests = Store(root).list()

    assert [row.run for row in rows(root, manifests, "stale gate")] == [folder.name]
    assert rows(root, manifests, "stale zebra") == []
    assert rows(root, manifests, states=["crashed"]) == []


def test_a_run_opens_by_its_address(app, with_run):
    """With verdicts, pictures and downloads."""
    _, folder, study = with_run

    page = app("runs", run=folder.name)

    assert page.dataframe[0].value.shape[0] == len(study.variants)
    assert len(page.get("download_button")) >= 6


def test_an_unknown_run_says_so(app, with_run):  # noqa: ARG001
    """As the command line does."""
    assert "no run 'nope'" in app("runs", run="nope").error[0].value


def test_a_deleted_run_is_gone(app, tmp_path, monkeypatch):
    """After it was asked twice."""
    folder, _ = store_run(tmp_path)
    monkeypatch.setenv("WINDTUNNEL_UI_RUNS", str(tmp_path))
    page = app("runs", run=folder.name)

    next(each for each in page.button if each.key == "delete").click().run()

    assert not folder.exists()


def test_pictures_are_drawings_that_need_nothing_else(stored):
    """No variable of a style sheet is left in them, and each becomes pixels."""
    for picture in pictures(stored[2]):
        assert "var(" not in picture.svg
        assert "class=" in picture.svg
        assert png(picture.svg).startswith(PNG)


def test_a_suite_is_shown_with_its_failures(app, tmp_path, monkeypatch):
    """From the folder that pytest left."""
    from scenarios.results import encode
    from scenarios.store import Manifest

    store = Store(tmp_path)
    case = Case(
        "a.scenario.yaml", 3, "cut", "answers", "failed", verdict="FAIL", text="a.scenario.yaml:3: no"
    )
    suite = Suite(["a"], [case, Case("a.scenario.yaml", 3, "near", "answers", "passed")])
    manifest = Manifest(
        "", "Suite", "done", "a", "abcd", "1", "3", {}, "here", 1, "", 0, [], verdicts={"a": "failed"}
    )
    (store.begin(manifest) / "suite.json").write_bytes(encode(suite))
    monkeypatch.setenv("WINDTUNNEL_UI_RUNS", str(tmp_path))

    page = app("suites")

    assert list(page.dataframe[0].value["outcome"]) == ["✗ failed", "✓ passed"]
    assert page.code[0].value == "a.scenario.yaml:3: no"
    assert "1 failed, 1 passed" in as_text(suite)


@pytest.mark.live
def test_a_report_is_downloaded_and_opens_offline(stored, site, chromium, tab, tmp_path):
    """The file needs no server and asks for nothing."""
    import shutil

    address, folder = site
    shutil.copytree(stored[1], folder / "runs" / stored[1].name)
    tab.open(f"{address}/runs?run={stored[1].name}")

    with tab.page.expect_download() as download:
        tab.page.get_by_role("button", name="Report (HTML)").click()
    download.value.save_as(tmp_path / "report.html")

    offline = chromium.new_context(offline=True).new_page()
    asked = []
    offline.on("request", lambda request: asked.append(request.url))
    offline.goto((tmp_path / "report.html").as_uri())
    assert stored[2].scenario_title in offline.inner_text("h1")
    assert len(asked) == 1
    offline.context.close()


def test_a_suite_that_runs_says_how_far_it_is(tmp_path):
    """As its own folder has it, found by its process."""
    store = Store(tmp_path)
    folder = store.begin(new_manifest("Suite", "designs", "abcd", 0, []))
    (folder / "progress.json").write_text('{"done": 3, "planned": 12}')

    state = of_process(store.root, store.list(), os.getpid())

    assert share_done(state) == 0.25
    assert of_process(store.root, store.list(), os.getpid() + 1) == {}
