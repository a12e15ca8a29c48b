"""Live: real brokers, a run on one beside its simulation, and how far the two are apart."""

from __future__ import annotations

import tempfile
from pathlib import Path

import altair as alt
import pandas as pd
import streamlit as st

from scenarios.archive import read_study
from scenarios.control import ask
from scenarios.fidelity.keeping import read_fidelity
from scenarios.fidelity.page import line
from scenarios.fidelity.page import page as fidelity_page
from scenarios.fidelity.running import Fidelity
from scenarios.format.loading import ScenarioFile
from scenarios.shipped import load
from scenarios.store import Manifest, Store
from twin.errors import InputError
from ui import live_view, shelf
from ui.choosing import chosen_run
from ui.jobs import Job, jobs
from ui.markup import plain
from ui.navigation import link
from ui.redrawing import redrawn
from ui.results_view import kind_of
from ui.settings import settings
from ui.verdicts import badge

LABELS = ("broker check", "live run", "fidelity")
EMBEDDED, MOSQUITTO, GIVEN = "embedded", "mosquitto", "one that runs"
DRILL = "alarm_drill"
LONGEST_S = 3_600.0
DOCTOR_S = 30.0


def page() -> None:
    """The machine, the broker, a run, and what was found."""
    st.title("Live")
    st.caption(
        "The same devices as real MQTT clients on a real broker, and how far the simulation was from them."
    )
    _machine()
    access = _broker()
    if access is None:
        return
    _run(access)
    _going_on()
    _results()


@st.cache_data(ttl=300, show_spinner="Looking at this machine")
def _doctor() -> list[dict[str, str]]:
    job = jobs().start(["doctor", "--json"], "doctor", is_queued=False)
    job.wait(DOCTOR_S)
    return live_view.parsed(job.answer) or []


def _machine() -> None:
    with st.expander("What this machine has", icon=":material/computer:"):
        found = [
            {"has": "✓ yes" if each["is_good"] else "✗ no", "what": each["name"], "detail": each["detail"]}
            for each in _doctor()
        ]
        st.dataframe(pd.DataFrame(found), hide_index=True, width="stretch")


def _broker() -> live_view.Access | None:
    """Which broker, and a test of it."""
    st.subheader("Broker", anchor=False)
    which, where, test = st.columns([4, 4, 1.5], vertical_alignment="bottom")
    kind = which.segmented_control(
        "Broker", [EMBEDDED, MOSQUITTO, GIVEN], default=EMBEDDED, key="broker", bind="query-params"
    )
    address = where.text_input(
        "Address", key="address", placeholder="mqtts://me@broker.example", disabled=kind != GIVEN
    )
    with st.expander("Certificates and password", icon=":material/key:", expanded=False):
        st.caption("Files on the machine that runs Windtunnel. A password is read from its file only.")
        names = {"ca": "Authority (CA)", "certificate": "Our certificate", "key": "Its key"}
        files = {name: st.text_input(label, key=f"file {name}") for name, label in names.items()}
        files["password_file"] = st.text_input("Password file", key="file password")
    broker = str(address or "") if kind == GIVEN else str(kind or EMBEDDED)
    if not broker:
        st.info("Give the address of the broker.", icon=":material/lan:")
        return None
    access = live_view.Access(broker, **{name: value or "" for name, value in files.items()})
    if test.button("Test it", icon=":material/network_check:", width="stretch"):
        _start(live_view.check_command(access), LABELS[0])
    _check_result()
    return access


def _check_result() -> None:
    """The last check of a broker, while it is fresh in mind."""
    job = next((each for each in jobs().all() if each.label == LABELS[0] and each.is_over), None)
    if job is None:
        return
    checked = live_view.parsed(job.answer)
    if checked is None:
        st.error("The broker could not be tested.", icon=":material/error:")
        st.code(job.output[-2_000:] or job.state, language=None, wrap_lines=True)
        return
    rows = live_view.findings(checked)
    failed = sum(row["verdict"].startswith("✗") for row in rows)
    with st.expander(
        plain(f"{checked.get('broker', '')}: {len(rows) - failed} of {len(rows)} checks without a fault"),
        icon=":material/fact_check:",
    ):
        st.dataframe(pd.DataFrame(rows), hide_index=True, width="stretch")


# a run ---------------------------------------------------------------------------------------------------


def _run(access: live_view.Access) -> None:
    st.subheader("Run", anchor=False)
    files = dict(shelf.files(settings().scenarios))
    what, which, links = st.columns(3)
    first = list(files).index(DRILL)
    name = what.selectbox("Scenario", list(files), index=first, key="scenario", bind="query-params")
    try:
        scenario = _scenario(str(files[name]), shelf.stamp(files[name]))
    except InputError as error:
        st.error("This file has errors.")
        st.code(str(error), language=None, wrap_lines=True)
        return
    variant = which.selectbox("Variant", [each.name for each in scenario.variants], key=f"variant of {name}")
    level = links.selectbox("Links", list(live_view.LEVELS), key="links", help="What delays on the way")
    links.caption(live_view.LEVELS[level])
    backends = st.text_input(
        "Backends",
        key="backends",
        placeholder="database=postgresql://me@127.0.0.1/records",
        help="Databases of the scenario that are to be real: NODE=URL, several with spaces between",
    )
    lasts, seed, go, compare = st.columns([2, 2, 1.5, 1.5], vertical_alignment="bottom")
    whole_s = scenario.variant(variant).scenario.run.duration_s
    duration_s = lasts.number_input("Seconds", 1.0, LONGEST_S, min(60.0, whole_s), step=10.0)
    number = seed.number_input("Seed", 0, 2**31, scenario.variant(variant).scenario.run.seed)
    asked = live_view.Asked(
        str(files[name]), variant, level, float(duration_s), int(number), tuple((backends or "").split())
    )
    if go.button("Run live", icon=":material/play_arrow:", type="primary", width="stretch"):
        desk = Path(tempfile.mkdtemp(prefix="windtunnel-ui-")) / "desk"
        _start(live_view.live_command(asked, access, settings().runs, desk), LABELS[1])
    if compare.button(
        "Compare",
        icon=":material/compare_arrows:",
        width="stretch",
        help="Simulate, run live, and say how far apart",
    ):
        _start(live_view.fidelity_command(asked, access, settings().runs), LABELS[2])


@st.cache_resource(max_entries=50, show_spinner=False)
def _scenario(path: str, stamp: tuple[int, int]) -> ScenarioFile:
    del stamp
    return load(path)


def _start(command: list[str], label: str) -> None:
    try:
        jobs().start(command, label, is_queued=False)
    except RuntimeError as error:
        st.error(str(error))


@redrawn(1.0)
def _going_on() -> None:
    """What runs now, with orders to it; the page is drawn anew when one has ended."""
    ours = [job for job in jobs().all() if job.label in LABELS]
    active = [job for job in ours if not job.is_over]
    for job in active:
        with st.container(border=True):
            _active(job)
    before = st.session_state.get("live active", 0)
    st.session_state["live active"] = len(active)
    if len(active) < before:
        st.rerun()
    last = next((job for job in ours if job.is_over), None)
    if last is not None and last.state == "failed" and last.label != LABELS[0]:
        st.error(f"The last {last.label} could not be done.", icon=":material/error:")
        st.code(last.output[-2_000:], language=None, wrap_lines=True)


def _active(job: Job) -> None:
    text, button = st.columns([8, 1.4], vertical_alignment="center")
    text.markdown(f"**{job.label}** · {job.state} · {plain(' '.join(job.arguments[1:2]))}")
    if button.button("Stop", key=f"stop {job.number}", width="stretch", icon=":material/stop:"):
        job.cancel()
    if "--control" in job.arguments:
        _orders(job, Path(job.arguments[job.arguments.index("--control") + 1]))


def _orders(job: Job, desk: Path) -> None:
    """Pause, faults by their words, and what they did."""
    if not desk.exists():
        st.caption("It is starting.")
        return
    pause, resume, order, begin, end = st.columns([1, 1, 4, 1, 1], vertical_alignment="bottom")
    fault = order.text_input(
        "A fault",
        value="{fault: partition, between: [a, b]}",
        key=f"fault {job.number}",
        help="An entry of a timeline, without `at`",
        label_visibility="collapsed",
    )
    wanted = {
        "pause": pause.button("Pause", key=f"pause {job.number}", width="stretch"),
        "resume": resume.button("Resume", key=f"resume {job.number}", width="stretch"),
        "begin": begin.button("Begin", key=f"begin {job.number}", width="stretch"),
        "end": end.button("End", key=f"end {job.number}", width="stretch"),
    }
    for action, is_wanted in wanted.items():
        if is_wanted:
            try:
                ask(desk, action, str(fault) if action in {"begin", "end"} else "")
            except InputError as error:
                st.warning(str(error))


# results -------------------------------------------------------------------------------------------------


def _results() -> None:
    st.subheader("Results", anchor=False)
    store = Store(settings().runs)
    found = [each for each in store.list() if each.state != "running" and _is_live(store.root / each.run)]
    if not found:
        st.info("No live run yet.", icon=":material/sensors:")
        return
    chosen = chosen_run("Run", found, _title)
    try:
        comparison = read_fidelity(store.root / chosen)
        if comparison is not None:
            _comparison(chosen, comparison)
        else:
            _live(store.root / chosen)
    except InputError as error:
        st.error(str(error))


def _is_live(folder: Path) -> bool:
    return (folder / live_view.LIVE).exists() or kind_of(folder) == "fidelity"


def _title(manifest: Manifest) -> str:
    began = manifest.started.replace("T", " ").rstrip("Z")
    return f"{began} · {manifest.title} · {', '.join(manifest.variants)}"


def _live(folder: Path) -> None:
    live = live_view.read_live(folder)
    if live is None:
        return
    study = read_study(folder)
    st.caption(live_view.in_time(live))
    for requirement in study.variants[0].requirements:
        badge(
            "PASS" if requirement.met else "FAIL",
            f"{plain(requirement.name)}: {plain(requirement.value_text)}",
        )
    rows = live_view.accounted(live)
    if rows:
        st.markdown("**Where every message is**")
        st.dataframe(pd.DataFrame(rows), hide_index=True, width="stretch")
    link("runs", "All of this run", run=folder.name)


def _comparison(run: str, found: Fidelity) -> None:
    badge(found.comparison.verdict)
    st.markdown(plain(line(found)))
    st.caption(plain(f"{found.broker} · links {found.level} · seed {found.seed} · {found.duration_s:g} s"))
    latencies = found.comparison.latencies
    if latencies:
        st.dataframe(pd.DataFrame(live_view.quantile_rows(latencies)), hide_index=True, width="stretch")
        st.dataframe(pd.DataFrame(live_view.distance_rows(latencies)), hide_index=True, width="stretch")
        for tab, latency in zip(st.tabs([plain(each.name) for each in latencies]), latencies):
            tab.altair_chart(_chart(live_view.curves(latency)), width="stretch", alt=live_view.told(latency))
    else:
        st.info("Too few messages for a distribution; the figures are below.", icon=":material/info:")
    st.markdown("**Simulated beside live**")
    st.dataframe(pd.DataFrame(live_view.pair_rows(found)), hide_index=True, width="stretch")
    st.download_button(
        "Report (HTML)",
        lambda: fidelity_page(found).encode(),
        file_name=f"{run}.html",
        mime="text/html",
        on_click="ignore",
        icon=":material/download:",
    )


def _chart(points: list[dict[str, object]]) -> alt.Chart:
    chart: alt.Chart = (
        alt.Chart(pd.DataFrame(points), height=280)
        .mark_line(interpolate="step-after", strokeWidth=2)
        .encode(
            x=alt.X("latency (s):Q", scale=alt.Scale(zero=False)),
            y=alt.Y("share:Q", title="share of messages"),
            color=alt.Color("run:N", scale=alt.Scale(range=["#0b6b8a", "#d55e00"]), title=None),
            strokeDash=alt.StrokeDash("run:N", title=None),
        )
        .properties(description="Distribution of the latency, simulated and live")
    )
    return chart
