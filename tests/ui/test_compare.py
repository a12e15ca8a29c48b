"""Comparing designs: what is worked out, and what is shown."""

import csv
import io
import json
import shutil
import subprocess
import sys

import pytest

from scenarios.results import Comparison
from scenarios.store import Store
from twin.errors import InputError
from ui import comparing, comparing_charts
from ui.comparing import Design


@pytest.fixture(scope="module")
def fire(tmp_path_factory):
    """A folder with one run of the car-park fire: three designs, three replications."""
    folder = tmp_path_factory.mktemp("fire")
    wanted = ["--variant", "cloud_us", "--variant", "edge", "--variant", "cloud_us_cut"]
    command = [sys.executable, "-m", "windtunnel", "run", "car_park_fire", *wanted, "--replications", "3"]
    done = subprocess.run(
        [*command, "--quiet", "--runs", str(folder)], capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 1, done.stderr
    return folder


@pytest.fixture
def run(fire, folders):
    """Its name, in the folder that the pages look in."""
    shutil.copytree(fire, folders.runs)
    return Store(folders.runs).list()[0].run


@pytest.fixture
def chosen(run, folders):
    """Edge against the cloud."""
    return comparing.subjects(folders.runs, [Design(run, "cloud_us"), Design(run, "edge")])


def test_the_edge_opens_the_gate_a_round_trip_earlier(chosen):
    """A quarter of a second, with an interval that leaves zero out; the people notice nothing."""
    found = comparing.compared(chosen)
    (gate,) = found["alarm_to_gate_open"]

    assert (gate.variant_a, gate.variant_b, gate.pairs) == ("edge", "cloud_us", 3)
    assert gate.mean_difference == pytest.approx(-0.25, abs=0.05)
    assert comparing.is_clear(gate)
    assert "alarm_to_gate_open" in comparing.worth_showing(found)
    assert "people_margin" not in found


def test_a_requirement_whose_value_is_a_usual_metric_is_not_shown_twice(chosen):
    """The claim about gates that open within 35 s is about the time from the alarm to the gate."""
    assert "gates open within 35 s" not in comparing.compared(chosen)


def test_differences_in_words_name_a_unit_once():
    """The sign always, the unit where it differs."""
    each = Comparison("edge", "cloud", "wait", -0.25, -0.3, -0.2, 3, "s")
    wide = Comparison("edge", "cloud", "wait", 1.5, 0.5, 2.5, 3, "s")

    assert (
        comparing.in_words(each) == "\N{MINUS SIGN}250\xa0ms (\N{MINUS SIGN}300 to \N{MINUS SIGN}200\xa0ms)"
    )
    assert comparing.in_words(wide) == "+1.5\xa0s (+500\xa0ms to +2.5\xa0s)"


def test_every_requirement_has_a_row_and_every_design_a_column(chosen):
    """What was not asked of a design says so."""
    rows = {each["Requirement"]: each for each in comparing.verdicts(chosen)}

    assert rows["gate command within 5 s"]["cloud_us"] == "not asked"
    assert rows["gates open within 35 s"]["edge"].startswith("? 3/3")
    assert rows["gates open within 35 s"]["Claim"] == "max(alarm -> gate_open) < 35 s"


def test_the_ledger_says_where_messages_are(chosen):
    """Sent is delivered, lost and under way."""
    rows = {each[""]: int(each["edge"].replace("\u202f", "")) for each in comparing.ledger(chosen)}

    assert rows["sent"] == rows["delivered"] + rows["lost"] + rows["under way at the end"]
    assert rows["lost"] == sum(count for name, count in rows.items() if name.startswith("lost at "))


def test_a_distribution_is_told_in_words(chosen):
    """For who does not see the curve."""
    told = comparing.latency_told("alarm to gate_open", chosen)

    assert told.startswith("Distribution of alarm to gate_open: cloud_us half below 2.1")


def test_runs_without_shared_seeds_cannot_be_paired(run, folders):
    """The page says what to do."""
    one, two = comparing.subjects(folders.runs, [Design(run, "cloud_us"), Design(run, "edge")])
    other = two._replace(values={seed + 100: values for seed, values in two.values.items()})

    assert "share fewer than two seeds" in comparing.pairing([one, other])
    assert comparing.pairing([one, two]) == ""
    assert comparing.compared([one, other]) == {}


def test_the_address_may_name_designs_with_commas_in_their_names():
    """A matrix makes such names; a bare name stands for that variant of every run."""
    designs = [Design("r1", "a"), Design("r1", "b k=1,2"), Design("r2", "a")]

    assert comparing.asked("a", designs) == [designs[0], designs[2]]
    assert comparing.asked("r2/a,b k=1,2", designs) == [designs[2], designs[1]]
    assert comparing.asked("nobody,a,a", designs) == [designs[0], designs[2]]


def test_differences_as_a_table_are_read_back_by_a_spreadsheet(chosen):
    """And a name that looks like a formula is none."""
    found = comparing.compared(chosen)
    rows = list(csv.DictReader(io.StringIO(comparing.as_csv(found))))
    hostile = {'=HYPERLINK("x")': [next(iter(found.values()))[0]]}

    assert {each["metric"] for each in rows} == set(found)
    assert float(rows[0]["low"]) <= float(rows[0]["difference"]) <= float(rows[0]["high"])
    assert next(csv.reader([comparing.as_csv(hostile).splitlines()[1]]))[0] == '\'=HYPERLINK("x")'


def test_designs_have_the_same_colour_in_every_chart(chosen):
    """By their order in the address."""
    labels = [each.label for each in chosen]
    found = comparing.compared(chosen)
    forest = json.dumps(comparing_charts.forest(found["alarm_to_gate_open"], labels, "#000").to_dict())
    lines = comparing_charts.distribution(comparing.latencies(chosen)["alarm to gate_open"], labels).to_dict()

    assert lines["encoding"]["color"]["scale"]["range"][1] in forest
    assert lines["encoding"]["x"]["scale"]["type"] == "log"


def test_an_unknown_design_is_refused(run, folders):
    """In one sentence."""
    with pytest.raises(InputError, match="has no variant 'nobody'"):
        comparing.subjects(folders.runs, [Design(run, "nobody")])


def test_the_page_says_what_to_do_without_runs(app):
    """And does not fail."""
    assert "no finished run" in app("compare").info[0].value


def test_the_page_shows_what_its_address_says(app, run):
    """Two designs, all sections, and no exception."""
    page = app("compare", runs=run, variants="cloud_us,edge")

    assert [each.value for each in page.subheader] == [
        "Verdicts",
        "Differences",
        "Where the time goes",
        "How long messages take",
        "Where every message is",
    ]
    assert page.multiselect(key="compare_designs").value == ["cloud_us", "edge"]
    assert page.query_params["variants"] == "cloud_us,edge"


def test_the_page_compares_what_is_chosen_in_it(app, run):
    """A third design; the address follows."""
    page = app("compare", runs=run)
    page.multiselect(key="compare_designs").set_value(["cloud_us", "edge", "cloud_us_cut"]).run()

    assert not page.exception
    assert page.query_params["variants"] == "cloud_us,edge,cloud_us_cut"
    page.multiselect(key="compare_designs").set_value(["edge"]).run()
    assert "Choose two to four designs" in page.info[0].value


@pytest.mark.live
def test_edge_and_cloud_are_compared_in_a_browser(site, tab, fire):
    """From an address: charts with their alternatives, and a link that keeps what was chosen."""
    address, folder = site
    shutil.copytree(fire, folder / "runs", dirs_exist_ok=True)
    name = Store(folder / "runs").list()[0].run

    tab.open(f"{address}/compare?runs={name}&variants=cloud_us,edge")
    tab.page.locator("canvas, svg.marks").first.wait_for(timeout=20_000)

    assert tab.page.get_by_text("Rule on the gateway").count() >= 1
    assert "variants=cloud_us" in tab.page.url
    described = tab.page.locator("[aria-label*='difference from cloud_us']")
    described.first.wait_for(timeout=20_000)
    assert "edge" in described.first.get_attribute("aria-label")
