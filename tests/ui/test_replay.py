"""The page Replay: which replication, what it shows, and why a requirement was missed."""

import re
import shutil

import pytest
from made_replays import HOSTILE, keep, missed, replay, trajectory

from scenarios.archive import Archive
from scenarios.judging.chain_path import chain_path
from scenarios.judging.runner import Plan, simulate
from scenarios.replaying.explanation import clock
from scenarios.replaying.running import choose, replay_name, replay_stored
from scenarios.results import RequirementResult, VariantResult
from scenarios.shipped import load
from scenarios.store import Store
from ui import replay_view
from ui.routes import NAME

VARIANT = "cloud_us_cut"
PLAYER = (
    "[...document.querySelectorAll('*')]"
    ".map((each) => each.shadowRoot && each.shadowRoot.querySelector('.wtp-host'))"
    ".find(Boolean).wtPlayer.player"
)


@pytest.fixture(scope="module")
def cut(tmp_path_factory):
    """A stored run of the flagship with its cable cut, and the replay of its first replication."""
    root = tmp_path_factory.mktemp("runs")
    scenario, plan = load("car_park_fire"), Plan(variants=[VARIANT], replications=1, workers=1)
    archive = Archive.open(root, scenario, plan)
    archive.close(simulate(scenario, plan), "done")
    folder, manifest = Store(root).find(archive.folder.name)
    choice = choose(folder, manifest, variant=VARIANT, seed=1, requirement=None)
    replay_stored(folder, choice).keep(folder / "replays" / choice.name)
    return folder


@pytest.fixture
def run(cut, folders):
    """That run among the runs that the pages see; its name."""
    shutil.copytree(cut, folders.runs / cut.name)
    return cut.name


def document_of(cut):
    return replay_view.read_replay(cut / "replays" / f"{VARIANT}-1" / "replay.json")


def text_of(page):
    return " ".join(str(each.value) for each in (*page.markdown, *page.caption, *page.subheader)).replace(
        "\\", ""
    )


# the page ------------------------------------------------------------------------------------------------


def test_without_runs_the_page_says_what_to_do(app):
    """An empty folder leads to the scenarios."""
    assert "No run has results yet" in app("replay").info[0].value


def test_a_replication_is_shown_with_its_requirements(app, run):
    """Each with its verdict in words; the player is there."""
    page = app("replay", run=run, variant=VARIANT, seed="1")

    assert "gates open within 35 s" in text_of(page)
    assert "misses max(alarm -> gate_open) < 35 s" in text_of(page)
    assert len(page.get("bidi_component")) == 2


def test_the_first_missed_requirement_is_explained_unasked(app, run):
    """The chain is told in sentences and in a table whose last row is the sum."""
    page = app("replay", run=run)

    assert "Why “gates open within 35 s” was missed" in text_of(page)
    assert "The message waited" in text_of(page)
    assert "At work meanwhile: partition between car_park and cloud" in text_of(page)
    times = page.dataframe[-1].value
    assert times["Step"].iloc[-1] == "From cause to effect"
    assert times["Share"].iloc[:-1].sum() == pytest.approx(1.0)


def test_why_is_part_of_the_address(app, run):
    """Another requirement by its button, or by its name in the address."""
    page = app("replay", run=run, why="the manager gets an answer")
    assert "Why “the manager gets an answer” was missed" in text_of(page)

    page.button(key="why_1").click().run()
    assert page.query_params["why"] in ("alarm sounds within 10 s", ["alarm sounds within 10 s"])
    assert "was met" in text_of(page)


def test_the_moment_in_the_address_is_told(app, run, cut):
    """Counted quantities, changed states and events around it, as tables."""
    page = app("replay", run=run, t="200")

    counted, changed, around = (table.value for table in page.dataframe[:3])
    told = dict(zip(counted["What"], counted["Value"]))
    assert told == dict(replay_view.figures_at(document_of(cut), 200.0))
    assert "link uplink" in list(changed["Device or link"])
    assert len(around) == 10


def test_events_are_filtered_by_kind(app, run):
    """All of them in a table, and only what is asked for."""
    page = app("replay", run=run)

    page.multiselect(key="replay_kinds").select("fault").run()

    assert list(page.dataframe[2].value["What"]) == [
        "partition begins between car_park and cloud",
        "partition ends between car_park and cloud",
    ]


def test_a_moment_can_be_gone_to(app, run, cut):
    """The button of a requirement hands its moment to the player."""
    page = app("replay", run=run)

    page.button(key="go_0").click().run()

    assert page.session_state["replay_asked"].at_s == document_of(cut).requirements[0].at_s


def test_nonsense_in_the_address_is_no_error(app, run):
    """Unknown names and times fall back to what there is."""
    page = app("replay", run="no such run", variant="x", seed="-1", t="soon", why="?")

    assert "Why" in text_of(page)
    assert run


def test_hostile_names_stay_text(app, run, folders):
    """A requirement's name is no markup, wherever it stands."""
    place = folders.runs / run / "replays" / f"{VARIANT}-1"
    shutil.rmtree(place)
    keep(place, replay(HOSTILE))

    page = app("replay", run=run)

    shown = " ".join(str(each.value) for each in (*page.markdown, *page.subheader))
    assert HOSTILE not in shown
    assert HOSTILE in re.sub(r"\\(.)", r"\1", shown)


# what it computes ----------------------------------------------------------------------------------------


def test_the_worst_replications_come_first():
    """Each with what it misses; then all others."""
    rows = [
        RequirementResult("a", "", "FAIL", 0, 0, 1, 9, 3, 0.9, worst_seed=7),
        RequirementResult("b", "", "FAIL", 0, 0, 1, 9, 3, 0.9, worst_seed=7),
        RequirementResult("c", "", "INCONCLUSIVE", 0, 0, 1, 9, 8, 0.9, worst_seed=2),
        RequirementResult("d", "", "PASS", 1, 0, 1, 9, 9, 0.9, worst_seed=1),
    ]
    variant = VariantResult(
        "v", "", "", None, 9, [1, 2, 7], rows, {}, [], None, {}, None, {}, 0.0, {}
    )  # fmt: skip

    assert [each.label for each in replay_view.seed_choices(variant)] == [
        "7 (misses 2 requirements)",
        "2 (misses c)",
        "1",
    ]


def test_states_that_are_as_they_began_are_not_told():
    """At the beginning nothing is; later what has changed, since when."""
    document = replay()

    assert replay_view.states_at(document, 0.0) == []
    told = replay_view.states_at(document, 65.0)
    assert told[0] == ("link gate", "cut", "\u2013", "0:50.0")
    assert ("D3", "alarm", "L1", "1:03.0") in told


def test_the_replay_of_any_variant_can_be_fetched():
    """Whatever an author calls a variant, the name of its replay's folder passes in an address."""
    for variant in ("edge", "rtt=50 ms", "../up", "_", "ä" * 60):
        assert NAME.fullmatch(replay_name(variant, 2**32))


def test_a_moment_is_told_in_one_sentence():
    """Who is inside, what is cut, and what happened last."""
    told = replay_view.moment_line(replay("uplink", cars=20, people=60), 66.0)

    assert told == "At 1:06.0: 60 people inside, 20 cars inside, uplink cut, last: uplink (D6)."


def test_the_diagram_shows_the_way_or_the_whole_chain():
    """Lost messages are marked in words, the longest step is marked."""
    requirement = missed("gate")
    way = replay_view.diagram(requirement, is_whole=False)
    whole = replay_view.diagram(requirement, is_whole=True)

    assert way["nodes"] == ["D0", "gateway", "broker", "gate"]
    assert [step["took"] for step in way["steps"] if step["kind"] == "lost"] == ["lost: gate"]
    assert [step["took"] for step in way["steps"] if step["isLongest"]] == ["25\u00a0s"]
    assert len(whole["steps"]) == len(requirement.chain)


def test_the_breakdown_adds_up():
    """Its sum is the time from the cause to the effect."""
    rows = replay_view.breakdown(chain_path(missed().chain))

    assert rows[-1]["Took"] == "27\u00a0s"
    assert sum(row["Share"] for row in rows[:-1] if row["Share"]) == pytest.approx(1.0)


def test_progress_of_a_replay_that_is_made(tmp_path):
    """As far as it says; nothing said is nothing done."""
    assert replay_view.share_done(tmp_path) == 0.0
    (tmp_path / "progress.json").write_text('{"done": 3, "planned": 4}')
    assert replay_view.share_done(tmp_path) == 0.75
    (tmp_path / "progress.json").write_text('{"done": 3, "planned": 0}')
    assert replay_view.share_done(tmp_path) == 0.0


# in a browser --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shown(site, cut):
    """The address of the page for that run, on a running server."""
    address, folder = site
    shutil.copytree(cut, folder / "runs" / cut.name)
    shutil.copytree(cut, folder / "runs" / "another", ignore=shutil.ignore_patterns("replays"))
    return f"{address}/replay?run={cut.name}&variant={VARIANT}&seed=1"


def test_one_scrubs_back_and_asks_why(tab, shown, cut):
    """The way of the architect: to the moment, back, along the slider, and to the chain."""
    missed_one = document_of(cut).requirements[0]
    way = replay_view.diagram(missed_one, is_whole=False)["steps"]
    tab.open(shown)
    page = tab.page
    page.wait_for_selector(".wtp")
    page.get_by_role("button", name=f"Go to {clock(missed_one.at_s)}").click()
    page.wait_for_function(f"Math.abs({PLAYER}.t - {missed_one.at_s}) < 0.1")
    page.focus(".wtp-slider")
    page.keyboard.press("ArrowLeft")
    page.wait_for_function(f"{PLAYER}.t < {missed_one.at_s - 0.05}")
    page.wait_for_function(f"Number(new URL(location.href).searchParams.get('t')) < {missed_one.at_s - 0.05}")
    tab.settle()
    steps = page.locator(".sequence .step")
    assert steps.count() == len(way)
    assert "lost: connection closed" in page.inner_text(".sequence")
    steps.nth(3).press("Enter")
    page.wait_for_function(f"Math.abs({PLAYER}.t - {way[3]['at_s']}) < 0.1")


def test_a_seek_keeps_the_player(tab, shown):
    """The page tells of the moment; the player goes on as it is, with its zoom and whom it follows."""
    tab.open(shown)
    page = tab.page
    page.wait_for_selector(".wtp")
    page.evaluate(f"{PLAYER}.zoom(3), {PLAYER}.lookUp('GA'), window.kept = {PLAYER}, {PLAYER}.seek(100)")
    page.get_by_text("At 1:40.0: ").wait_for()
    assert page.evaluate(f"window.kept === {PLAYER} && {PLAYER}.stage.zoom > 2")


def test_the_address_opens_the_moment(tab, shown):
    """A link that somebody shares shows what they saw."""
    tab.open(f"{shown}&t=123.5&why=two%20minutes%20to%20spare")
    tab.page.wait_for_selector(".wtp")
    assert tab.page.evaluate(f"{PLAYER}.t") == pytest.approx(123.5)
    assert tab.page.get_by_role("heading", name="two minutes to spare").count() == 1


@pytest.mark.slow
def test_a_replay_that_is_not_there_is_made(tab, shown):
    """The page runs the replication again and shows it when it is done."""
    tab.open(re.sub("run=[^&]+", "run=another", shown))
    tab.page.wait_for_selector(".wtp", timeout=90_000)
    assert tab.page.inner_text(".wtp-clock").startswith("0:00.0 / 1")


def test_hostile_names_do_nothing_in_a_browser(tab, site, cut, shown):
    """They are shown as they are: in the player, the diagram, the list and the sentences."""
    folder = site[1] / "runs" / "hostile"
    shutil.copytree(cut, folder, ignore=shutil.ignore_patterns("replays"))
    keep(folder / "replays" / f"{VARIANT}-1", replay(HOSTILE, cars=5, people=9), trajectory(5, 9))
    tab.open(re.sub("run=[^&]+", "run=hostile", shown))
    page = tab.page
    page.wait_for_selector(".wtp")
    page.locator(".sequence .step").first.wait_for()

    assert page.evaluate("window.__hurt === undefined")
    assert page.locator("[data-testid=stMain] img").count() == 0
    assert HOSTILE in page.locator(".sequence").inner_text()
    assert page.get_by_role("heading", name=HOSTILE).count() == 1
