"""Start runs, see them form, interfere, and cancel them from another browser."""

import json
import os
import re
import signal
import statistics
import subprocess
import sys
import threading
import time

import pytest
from playwright.sync_api import expect

from scenarios.archive import Archive
from scenarios.judging.runner import Plan, simulate
from scenarios.shipped import LIBRARY, load
from scenarios.store import Manifest, Store
from scenarios.watching.running import Watching, WatchPlan
from ui import watching
from ui.jobs import Jobs
from ui.markup import plain
from ui.run_view import (
    Order,
    about,
    cancel,
    clock,
    ended,
    figures,
    give,
    going,
    judge_command,
    judged,
    last_events,
    not_as_usual,
    parts,
    progress,
    replay_of,
    share_done,
    standings,
    tallies,
    watch_command,
)
from windtunnel.cli import parser

FLAGSHIP = LIBRARY / "car_park_fire.scenario.yaml"
HOSTILE = "<img src=x onerror=alert(1)> **[x](javascript:1)**"


def manifest_of(store, title="A run", **changes):
    """A run that says it goes on, in this process."""
    values = {
        "run": "",
        "title": title,
        "state": "running",
        "scenario": "a",
        "scenario_hash": "abcd",
        "version": "1",
        "python": "3",
        "packages": {},
        "host": "here",
        "process": os.getpid(),
        "started": "",
        "seed": 1,
        "variants": ["near", "far"],
    }
    manifest = Manifest(**{**values, **changes})
    return store.begin(manifest), manifest


@pytest.fixture
def watched(folders):
    """The flagship, watched at twenty times its speed in a thread of this process."""
    scenario = load("car_park_fire")
    session = Watching(folders.runs, scenario, WatchPlan(scenario.variant("edge"), 1, 20.0), lambda *_: None)
    thread = threading.Thread(target=session.run, daemon=True)
    thread.start()
    until(lambda: about(session.folder) and progress(session.folder))
    yield session
    session.stop()
    thread.join(30.0)


def until(is_so, timeout_s=60.0):
    for _ in range(int(timeout_s / 0.05)):
        if is_so():
            return
        time.sleep(0.05)
    raise AssertionError("it never was so")


# what the page shows, without a page -----------------------------------------------------------------


def test_the_commands_are_ones_that_the_command_line_takes(tmp_path):
    """With every choice of the forms, and with none."""
    for command in (
        judge_command(FLAGSHIP, tmp_path, ["edge", "cloud_us"], 4, 7),
        judge_command(FLAGSHIP, tmp_path, [], None, None),
    ):
        assert parser().parse_args(command).scenario == str(FLAGSHIP)
    options = parser().parse_args(
        watch_command(FLAGSHIP, tmp_path, "edge", speed=20.0, seed=None, has_fire=False)
    )
    assert (options.variant, options.speed, options.no_fire) == ("edge", "20", True)


def test_runs_that_go_on_say_how_far_they_are(tmp_path):
    """A judged one in replications, one that has said nothing yet, and none that is over."""
    store = Store(tmp_path)
    judged, first = manifest_of(store)
    (judged / "progress.json").write_text('{"done": 3, "planned": 12, "label": "near", "variants": {}}')
    _, silent = manifest_of(store, "Silent")
    _, over = manifest_of(store, "Over", state="done")

    rows = going(tmp_path, [first, silent, over])

    assert [(row.title, row.share, row.text) for row in rows] == [
        ("A run", 0.25, "3 of 12 replications"),
        ("Silent", 0.0, "0%"),
    ]


@pytest.mark.parametrize("content", ["", "[]", "{", "null", '{"kpis": null, "requirements": 3}'])
def test_a_file_that_is_no_progress_shows_nothing(tmp_path, content):
    """A run may be killed while it writes."""
    (tmp_path / "progress.json").write_text(content)
    state = progress(tmp_path)

    assert share_done(state) == 0.0
    assert standings(state) == []
    assert figures(state) == []
    assert tallies(state) == {}
    assert not_as_usual(state) == []
    assert last_events(tmp_path) == []


def test_the_newest_events_come_first_and_broken_lines_are_left_out(tmp_path):
    """Of a long file only the end is read."""
    lines = [json.dumps({"at_s": number, "text": f"event {number}"}) for number in range(2_000)]
    (tmp_path / "events.jsonl").write_text("\n".join([*lines, '{"at_s": 2000, "te']))

    events = last_events(tmp_path, 3)

    assert [event["text"] for event in events] == ["event 1999", "event 1998", "event 1997"]


def test_the_two_directions_of_a_link_that_are_alike_are_one():
    """And nodes that are down are named."""
    state = {
        "links": {"a": "cut", "a/back": "cut", "b": "degraded", "b/back": "cut"},
        "nodes": {"app": "down"},
    }

    assert [(name, word) for name, word, _ in not_as_usual(state)] == [
        ("a", "cut"),
        ("b", "degraded"),
        ("b/back", "cut"),
        ("app", "down"),
    ]


def test_every_part_is_listed_with_what_is_not_as_usual_first():
    """Links of devices only when something is the matter with them; the way back is not another link."""
    names = {"links": ["uplink"], "nodes": ["gateway", "app"], "devices": ["meter-1"]}
    state = {
        "links": {"uplink": "cut", "uplink/back": "cut", "meter-1-gateway": "degraded"},
        "nodes": {"app": "down"},
    }

    assert [(row["what"], row["state"]) for row in parts(names, state)] == [
        ("uplink", "cut"),
        ("meter-1-gateway", "degraded"),
        ("app", "down"),
        ("gateway", "up"),
        ("meter-1", "up"),
    ]


def test_tallies_count_replications():
    """With the verdict once there is one."""
    state = {
        "variants": {
            "near": {"done": 4, "requirements": {"fast": {"met": 4, "runs": 4, "verdict": "PASS"}}},
            "far": {"done": 1, "requirements": {"fast": {"met": 0, "runs": 1, "verdict": None}}},
        }
    }

    found = tallies(state)

    assert found["near"][0].verdict == "PASS"
    assert (found["far"][0].verdict, found["far"][0].text) == ("", "met in 0 of 1")


def test_only_a_process_of_ours_is_ended(tmp_path):
    """A number that another program has now is left alone."""
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as other:
        folder, manifest = manifest_of(Store(tmp_path), process=other.pid)

        assert "not known here" in cancel(folder, manifest, Jobs())
        assert other.poll() is None
        other.kill()


def test_a_run_from_a_terminal_can_be_cancelled(tmp_path):
    """It ends as after Ctrl-C, and keeps what it has."""
    command = [sys.executable, "-m", "windtunnel", "run", "car_park_fire", "--runs", "runs", "--workers", "1"]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.DEVNULL) as process:
        store = Store(tmp_path / "runs")
        until(lambda: store.list() and progress(store.root / store.list()[0].run).get("done"))
        folder, manifest = store.find("latest")

        assert cancel(folder, manifest, Jobs()) == ""
        assert process.wait(30) in {130, -signal.SIGTERM}
    assert store.find("latest")[1].state == "interrupted"


def test_orders_and_their_refusals(watched):
    """Empty when done, one sentence when not."""
    assert give(watched.folder, Order("cut", "uplink")) == ""
    assert "did you mean 'uplink'" in give(watched.folder, Order("cut", "uplnk"))
    until(lambda: progress(watched.folder)["standing"] == ["cut uplink"])
    assert ("uplink", "cut", "red") in not_as_usual(progress(watched.folder))


def test_minutes_and_seconds():
    """As on a stop-watch."""
    assert [clock(each) for each in (0.0, 59.99, 60.0, 3725.0)] == ["00:00", "00:59", "01:00", "62:05"]


# the page without a browser --------------------------------------------------------------------------


def test_the_form_offers_scenarios_and_both_ways(app):
    """Judging by default; watching has a speed and, for the flagship, its fire."""
    page = app("run")

    assert page.selectbox(key="scenario").value == "car_park_fire"
    assert [button.label for button in page.button] == ["Start"]
    page.button_group(key="mode").set_value("Watch").run()
    assert page.select_slider(key="speed").value == 10
    assert page.toggle(key="no_fire").label == "Nothing burns until I start a fire"


def test_a_scenario_in_the_address_is_chosen(app):
    """So that other pages can link here."""
    assert app("run", scenario="gate_hazard").selectbox(key="scenario").value == "gate_hazard"


def test_a_broken_file_says_what_is_wrong(app, folders):
    """As the command line does."""
    (folders.scenarios / "mine.scenario.yaml").write_text("scenario: 1\nnodes: {a: {kind: gatway}}\n")

    page = app("run", scenario="mine")

    assert page.error[0].value == "This file has errors."
    assert "did you mean 'gateway'" in page.code[0].value
    assert not page.button


def test_an_unknown_run_or_job_says_so(app):
    """With a way back to the form."""
    assert "no run 'nope'" in app("run", run="nope").error[0].value
    assert "not known any more" in app("run", job="99").info[0].value


def test_a_judged_run_shows_its_verdicts_as_they_form(app, folders):
    """Whatever its author wrote stays text."""
    folder, manifest = manifest_of(Store(folders.runs), HOSTILE)
    requirement = {"met": 1, "runs": 2, "verdict": None}
    state = {
        "done": 2,
        "planned": 8,
        "label": "near",
        "variants": {"near": {"requirements": {HOSTILE: requirement}}},
    }
    (folder / "progress.json").write_text(json.dumps(state))

    page = app("run", run=manifest.run)

    assert any("met in 1 of 2" in each.value for each in page.markdown)
    assert any("onerror" in each.value for each in page.markdown)
    assert not any(re.search(r"(?<!\\)(<img|\]\()", each.value) for each in page.markdown)
    assert [button.label for button in page.button] == ["Cancel"]


def test_a_watched_run_shows_figures_requirements_and_orders(app, watched):
    """And an order from the page is done."""
    page = app("run", run=watched.folder.name)

    assert {"People inside", "Cars inside", "Messages sent"} <= {each.label for each in page.metric}
    assert any("gates open within 35 s" in each.value for each in page.markdown)
    next(each for each in page.button if each.key == "cut").click().run()
    until(lambda: progress(watched.folder)["standing"] == ["cut uplink"])
    page.run()
    assert any(each.key == "end cut uplink" for each in page.button)


@pytest.mark.parametrize("part", ["_pause", "_figures", "_standings"])
def test_drawing_what_is_polled_takes_little_time(app, watched, monkeypatch, part):
    """Of the processor, by the thread that draws; a rerun has 50 ms, and most of them are Streamlit's."""
    took_s, draw = [], getattr(watching, part)

    def timed(*arguments, **options):
        began_s = time.thread_time()
        draw(*arguments, **options)
        took_s.append(time.thread_time() - began_s)

    monkeypatch.setattr(watching, part, timed)
    page = app("run", run=watched.folder.name)
    for _ in range(7):
        page.run()

    assert statistics.median(took_s) < 0.015


def test_a_run_without_a_building_lists_its_parts(app, folders):
    """Instead of a floor plan; one that was killed says so."""
    scenario = load("firmware_campaign")
    session = Watching(folders.runs, scenario, WatchPlan(scenario.variants[0], 1, 20.0), lambda *_: None)
    thread = threading.Thread(target=session.run, daemon=True)
    thread.start()
    until(lambda: about(session.folder) and progress(session.folder))
    page = app("run", run=session.folder.name)
    session.stop()
    thread.join(30.0)

    shown = list(page.dataframe)[-1].value
    assert set(shown["kind"]) >= {"node", "device"}
    assert {"Messages sent", "Messages lost", "Messages delivered"} <= {each.label for each in page.metric}
    assert ended({"state": "running"}) == "it was killed"


def test_a_run_that_is_over_leads_to_its_results(app, folders):
    """Not to an empty page."""
    _, manifest = manifest_of(Store(folders.runs), state="interrupted")

    page = app("run", run=manifest.run)

    assert "ended early" in page.info[0].value
    assert not page.button


def test_a_watched_run_that_is_over_shows_the_whole_of_it(app, watched):
    """With the verdicts as they were at its end."""
    assert give(watched.folder, Order("stop")) == ""
    store = Store(watched.folder.parent)
    until(lambda: store.find("latest")[1].state == "interrupted" and progress(watched.folder).get("is_over"))

    page = app("run", run=watched.folder.name)

    assert any("ended early" in each.value for each in page.caption)
    assert replay_of(*store.find("latest")) == "edge-1"
    assert not page.button


def test_the_verdicts_of_a_run_that_is_over_are_those_of_its_study(app, folders):
    """Its progress is gone by then."""
    scenario = load("gate_hazard")
    plan = Plan(replications=1, workers=1)
    archive = Archive.open(folders.runs, scenario, plan)
    study = archive.close(simulate(scenario, plan), "done")

    page = app("run", run=archive.folder.name)

    assert page.success[0].value == "It is done."
    shown = " ".join(each.value for each in page.markdown)
    assert all(plain(variant.name) in shown or plain(variant.title) in shown for variant in study.variants)
    assert set(judged(study)) == {variant.name for variant in study.variants}


# in a browser ----------------------------------------------------------------------------------------


@pytest.mark.live
@pytest.mark.timeout(240)
@pytest.mark.slow
def test_the_flagship_is_judged(site, tab):
    """From the form to the results, and a reload on the way changes nothing."""
    address, folder = site
    tab.open(f"{address}/run?scenario=car_park_fire")
    tab.page.get_by_label("Replications of each variant").fill("1")
    tab.page.keyboard.press("Tab")
    tab.settle()
    tab.page.get_by_role("button", name="Start").click()
    tab.page.wait_for_url("**/run?run=*", timeout=60_000)
    tab.page.reload()

    tab.page.get_by_text("It is done.").wait_for(timeout=150_000)

    assert Store(folder / "runs").find("latest")[1].state == "done"
    tab.page.get_by_role("link", name="Results and report").wait_for(timeout=30_000)
    assert tab.page.get_by_text("INCONCLUSIVE").count() > 12


@pytest.mark.live
@pytest.mark.timeout(240)
@pytest.mark.slow
@pytest.mark.alone
def test_the_flagship_is_watched_interfered_with_and_cancelled_from_a_second_browser(site, tab, another_tab):
    """The floor plan moves, a cut is done, and both see the end."""
    address, folder = site
    tab.open(f"{address}/run?scenario=car_park_fire&mode=Watch")
    tab.page.get_by_role("button", name="Start").click()
    tab.page.wait_for_url("**/run?run=*", timeout=60_000)
    tab.page.locator("canvas").first.wait_for(timeout=60_000)
    tab.page.get_by_role("button", name="Links").click()
    tab.page.get_by_role("button", name="Cut", exact=True).click()
    tab.page.get_by_text("cut uplink").first.wait_for(timeout=30_000)

    another_tab.page.goto(tab.page.url)
    another_tab.page.get_by_text("cut uplink").first.wait_for(timeout=60_000)
    shown = another_tab.page.get_by_text(re.compile(r"\d\d:\d\d of 30:00"))
    expect(shown).not_to_have_text(shown.inner_text(), timeout=30_000)
    another_tab.page.get_by_role("button", name="Cancel").click()

    for each in (another_tab, tab):
        each.page.get_by_role("link", name="Results and report").wait_for(timeout=60_000)
    _, manifest = Store(folder / "runs").find("latest")
    assert manifest.state == "interrupted"
    assert (folder / "runs" / manifest.run / "timeline.yaml").exists()
