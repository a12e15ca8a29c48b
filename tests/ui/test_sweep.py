"""Sweeping in the browser: what is worked out, asked, and shown."""

import csv
import io
import json
import time

import pytest

from scenarios.format.loading import with_values
from scenarios.shipped import load
from scenarios.store import Store
from scenarios.sweeping.keeping import SweepArchive
from scenarios.sweeping.ranges import swept
from scenarios.sweeping.running import course_of, run, task_of
from scenarios.wiring.vocabulary import Vocabulary
from twin.errors import InputError
from ui import sweep_charts, sweeping
from ui.jobs import Jobs
from ui.sweeping import Order, Range

SMALL = """\
scenario: 1
title: A slow <b>line</b>
sites: {home: {metro: singapore}, cloud: {metro: ashburn}}
nodes:
  broker: {kind: mqtt_broker, at: cloud}
  database: {kind: database, runs_on: broker}
  app: {kind: application, at: cloud, database: database, station: {service: 50 ms, law: exponential}}
  user: {kind: user, at: home, application: app, every: 5 s}
links: [{name: line, between: [user, app], path: wan}]
requirements:
  - {name: quick, expect: "p50(request => response) < 1 s"}
run: {duration: 1 min, replications: 3}
"""
LINE = "links.line.round_trip=300 ms..1500 ms/5"


@pytest.fixture
def small(folders):
    """A scenario in the user's folder."""
    path = folders.scenarios / "small.scenario.yaml"
    path.write_text(SMALL, encoding="utf-8")
    return path


@pytest.fixture
def stored(small, folders):
    """Run a sweep of it and keep it, as the command would."""

    def swept_and_kept(*inputs, state="done", **options):
        scenario = load(small)
        task = task_of(scenario, [swept(text) for text in inputs], **options)
        archive = SweepArchive.open(folders.runs, scenario, task)
        course = course_of(task, scenario)
        assert run(course, workers=1, keep=archive.keep)
        archive.close(course, state)
        return archive.manifest.run

    return swept_and_kept


def test_a_proposal_becomes_four_fields_and_back(small):
    """From, to, how many, and how they are spaced."""
    parameter = sweeping.parameters(sweeping.loaded(small), "base")["links.line.round_trip"]
    proposal = sweeping.proposed(parameter)

    assert proposal == Range("221 ms", "1800 ms", 6, is_log=True)
    assert sweeping.written(parameter.key, proposal) == f"{parameter.key}={parameter.proposal}"
    assert sweeping.ranged(parameter.key, proposal).labels[0] == "221 ms"


def test_what_is_asked_is_a_command_that_can_be_typed(small):
    """With the same inputs."""
    order = Order(small, "base", (LINE,), 5, "50 ms")

    assert order.line() == (
        f"windtunnel sweep small --variant base --set '{LINE}' --replications 5 --refine '50 ms'"
    )
    assert order.arguments(small.parent)[:2] == ["sweep", str(small)]


def test_the_curve_has_values_intervals_and_verdicts(stored, folders):
    """And the boundary of the requirement that is shown."""
    sweep = sweeping.document(folders.runs, stored(LINE))
    rows = sweeping.curve(sweep, "quick")

    assert [each["x"] for each in rows] == [300.0, 600.0, 900.0, 1200.0, 1500.0]
    assert all(each["low"] <= each["mean"] <= each["high"] for each in rows)
    assert rows[-1]["verdict"] == "FAIL"
    assert sweeping.turns(sweep, "quick")[0]["text"] in {"holds up to 600\xa0ms", "holds up to 900\xa0ms"}
    assert sweeping.metrics(sweep)[0] == "quick"


def test_the_map_has_a_line_between_what_holds_and_what_does_not(stored, folders):
    """Each border once, between neighbours that differ."""
    inputs = ("links.line.round_trip=300 ms..1500 ms/3", "nodes.app.station.service=10 ms, 700 ms")
    sweep = sweeping.document(folders.runs, stored(*inputs))
    rows = sweeping.cells(sweep, "quick")
    good = {(each["column"], each["row"]): each["good"] for each in rows}
    differing = sum(
        good[c, r] != good[there] for c, r in good for there in ((c + 1, r), (c, r + 1)) if there in good
    )

    assert len(rows) == 6
    assert len(sweeping.borders(rows)) == differing > 0
    chart = sweep_charts.heat(rows, sweeping.borders(rows), sweep.inputs, "quick", "s").to_dict()
    assert json.dumps(sweep.inputs[0].labels) in json.dumps(chart).replace("\\", "")


def test_a_sweep_as_a_table_of_numbers(stored, folders):
    """A line a point and metric, read back by a spreadsheet."""
    sweep = sweeping.document(folders.runs, stored(LINE))
    rows = list(csv.DictReader(io.StringIO(sweeping.as_csv(sweep))))
    quick = [each for each in rows if each["metric"] == "quick"]

    assert [each["links.line.round_trip"] for each in quick] == sweep.inputs[0].labels
    assert float(quick[0]["low"]) <= float(quick[0]["mean"]) <= float(quick[0]["high"])


def test_a_point_becomes_a_scenario_of_its_own(stored, folders, small):
    """With the value in it, and nothing else changed; it is not written over."""
    sweep = sweeping.document(folders.runs, stored(LINE))
    point = sweep.points[2]
    path = sweeping.keep_point(sweep, small, point, folders.scenarios)
    expected = with_values(
        load(small), load(small).variants[0], {"links.line.round_trip": "900 ms"}, Vocabulary()
    )

    assert load(path).variants[0].hash == expected.hash
    with pytest.raises(InputError, match="is there already"):
        sweeping.keep_point(sweep, small, point, folders.scenarios)
    small.write_text(SMALL.replace("5 s", "6 s"), encoding="utf-8")
    with pytest.raises(InputError, match="has changed since"):
        sweeping.keep_point(sweep, small, sweep.points[0], folders.scenarios)


def test_a_kept_point_brings_the_files_that_it_names(folders):
    """The building stands beside the scenario."""
    scenario = load("car_park_fire")
    course = course_of(task_of(scenario, [swept("world.people.count=10, 20")], replications=1), scenario)
    archive = SweepArchive.open(folders.runs, scenario, course.task)
    assert run(course, workers=1)
    sweep = archive.close(course, "done")
    path = sweeping.keep_point(sweep, scenario.path, sweep.points[0], folders.scenarios)

    assert (folders.scenarios / "carpark_3x120.geojson").is_file()
    assert load(path).variants[0].scenario.world["people"]["count"] == 10


@pytest.mark.usefixtures("small")
def test_the_page_proposes_values_for_an_input(app):
    """And shows the command."""
    page = app("sweep", scenario="small")

    assert not page.error
    assert page.selectbox(key="sweep_scenario").value == "small"
    assert page.code[0].value.startswith("windtunnel sweep small --variant base --set")


@pytest.mark.usefixtures("small")
def test_values_that_make_no_sense_are_said_beside_the_field(app):
    """In the words of the command line."""
    page = app("sweep", scenario="small")
    key = page.selectbox(key="sweep_key_small_1").value
    page.text_input(key=f"sweep_low_small_1_{key}").set_value("soon").run()

    assert not page.exception
    assert "is no number and no quantity" in page.error[0].value
    assert not [each for each in page.button if each.label == "Run the sweep"]


def test_the_page_shows_a_stored_sweep(app, stored):
    """What was found in sentences, and a table of every point; a scenario's words are no markup."""
    page = app("sweep", run=stored(LINE))
    found = page.markdown[0].value

    assert not page.error
    assert "quick: holds up to" in found.replace("\\", "")
    assert "\\<b\\>" in page.caption[0].value
    assert len(page.dataframe[0].value) == 5


def test_an_interrupted_sweep_can_be_gone_on_with(app, stored):
    """What was measured is shown."""
    page = app("sweep", run=stored(LINE, state="interrupted"))

    assert "interrupted" in page.warning[0].value
    assert next(each.label for each in page.button) == "Go on"


def test_a_run_that_is_no_sweep_is_said(app):
    """In one sentence, with a way on."""
    page = app("sweep", run="nothing")

    assert "no run" in page.error[0].value.replace("\\", "")


@pytest.mark.usefixtures("small")
def test_the_page_starts_the_command_and_finds_its_folder(app, folders, monkeypatch):
    """One point, one replication, in a process of its own."""
    made = Jobs(parallel=1)
    monkeypatch.setattr("ui.pages.sweep.jobs", lambda: made)
    page = app("sweep", scenario="small")
    page.selectbox(key="sweep_key_small_1").set_value("links.line.round_trip").run()
    page.number_input(key="sweep_runs").set_value(1).run()
    [button] = [each for each in page.button if each.label == "Run the sweep"]
    button.click().run()
    job = made.all()[0]

    assert job.wait(60), job.output
    assert (job.state, job.code) == ("done", 0), job.output
    page.run()
    assert page.query_params["run"] == Store(folders.runs).list()[0].run
    made.close()


@pytest.mark.live
@pytest.mark.slow
def test_a_sweep_is_run_and_shown_in_a_browser(site, tab):
    """From the form to the curve, with its alternative in words."""
    address, folder = site
    (folder / "designs" / "small.scenario.yaml").write_text(SMALL, encoding="utf-8")

    tab.open(f"{address}/sweep?scenario=small")
    tab.page.get_by_label("Replications of each point").fill("2")
    tab.page.get_by_label("Replications of each point").press("Enter")
    tab.settle()
    tab.page.get_by_role("button", name="Run the sweep").click()
    tab.page.wait_for_url("**run=*", timeout=60_000)
    tab.page.get_by_role("heading", name="What was found").wait_for(timeout=60_000)
    tab.settle()
    described = tab.page.locator("[aria-label*=' over ']").first
    described.wait_for(timeout=20_000)

    assert "quick" in described.get_attribute("aria-label") or "s" in described.get_attribute("aria-label")
    for _ in range(50):
        if Store(folder / "runs").list()[0].state == "done":
            break
        time.sleep(0.1)
    assert Store(folder / "runs").list()[0].state == "done"


def test_a_sweep_that_goes_on_elsewhere_says_how_far_it_is(app, small, folders):
    """And that it can be ended there; nobody's process is ended from here."""
    scenario = load(small)
    archive = SweepArchive.open(folders.runs, scenario, task_of(scenario, [swept(LINE)]))
    (archive.folder / "progress.json").write_text('{"done": 3, "planned": 15, "label": "300 ms"}')
    page = app("sweep", run=archive.manifest.run)

    assert "begun elsewhere" in page.caption[-1].value
    assert not [each for each in page.button if each.label == "Cancel"]
    assert sweeping.progress(archive.folder) == (3, 15, "300 ms")
