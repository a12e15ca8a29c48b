"""A run on a real broker beside its simulation."""

import pytest

from scenarios.fidelity.comparison import Comparison, Distribution, QuantileDifference, Tolerance
from scenarios.fidelity.keeping import keep, read_fidelity
from scenarios.fidelity.running import Fidelity
from ui import live_view

HOSTILE = "<img src=x onerror=alert(1)>"


def fidelity(title="Drill"):
    """A comparison with one latency."""
    quantile = QuantileDifference(0.5, 0.100, 0.103, 0.003, 0.001, 0.005, 0.002, "FAIL")
    latency = Distribution("alarm", 30, 30, True, [quantile], 0.1, 0.5, 0.003, [(0.1, 1.0)], [(0.103, 1.0)])
    comparison = Comparison("FAIL", [latency], [], [], [], {}, [], [], [])
    return Fidelity(
        title,
        "alarm_drill",
        "base",
        1,
        10.0,
        "b",
        "in-driver",
        "2026",
        "here",
        "1",
        Tolerance(),
        0,
        0,
        0,
        comparison,
    )


def test_the_page_opens_without_a_run(app):
    """And says so."""
    page = app("live")

    assert page.info[-1].value == "No live run yet."
    assert not page.error


def test_a_password_never_stands_on_a_command_line(tmp_path):
    """Only the name of its file does."""
    access = live_view.Access("mqtts://me@broker.example", ca="ca.pem", password_file="secret")  # noqa: S106
    asked = live_view.Asked("alarm_drill", "base", "proxy", 30.0, 7, ("database=sqlite:records.sqlite",))

    command = live_view.live_command(asked, access, tmp_path, tmp_path / "desk")

    assert command[command.index("--password-file") + 1] == "secret"
    assert command[command.index("--for") + 1] == "30 s"
    assert command[command.index("--bind") + 1] == "database=sqlite:records.sqlite"


def test_a_kept_comparison_is_shown_as_it_was(app, folders):
    """With the verdict and each quantile."""
    folder = keep(folders.runs, fidelity())

    page = app("live", run=folder.name)

    assert read_fidelity(folder) == fidelity()
    row = page.dataframe[1].value.iloc[0]
    assert (row["difference"], row["verdict"]) == ("+3.00%", "✗ FAIL")


def test_a_hostile_title_stays_text(app, folders):
    """Nothing of it is markup."""
    folder = keep(folders.runs, fidelity(HOSTILE))

    page = app("live", run=folder.name)

    assert all("<img" not in each.value for each in page.markdown)


@pytest.mark.live
@pytest.mark.slow
@pytest.mark.waits
@pytest.mark.timeout(240)
def test_a_broker_is_tested_and_a_run_compared(site, tab):
    """On the broker that we bring along, for a few seconds."""
    address, _ = site
    tab.open(f"{address}/live")
    tab.page.get_by_role("button", name="Test it").click()
    tab.page.get_by_text("checks without a fault").wait_for(timeout=60_000)
    tab.page.get_by_label("Seconds").fill("6")
    tab.page.get_by_label("Seconds").press("Tab")
    tab.settle()

    tab.page.get_by_role("button", name="Compare").click()

    tab.page.get_by_text("fidelity ·").wait_for(timeout=30_000)
    tab.page.get_by_text("Simulated beside live").wait_for(timeout=60_000)
    assert "run=" in tab.page.url
