"""Sweep: one or two inputs over a range; where curves bend, and where requirements stop holding."""

from __future__ import annotations

import math
from pathlib import Path

import msgspec
import streamlit as st

from scenarios.report.wording import humanise
from scenarios.store import Manifest, Store
from scenarios.sweeping.page import FARTHEST_LIMIT, METHOD
from scenarios.sweeping.parameters import Parameter
from scenarios.sweeping.results import Sweep, SweptInput
from scenarios.sweeping.running import MOST_POINTS, MOST_REPLICATIONS, course_of, task_of
from scenarios.sweeping.wording import conclusions, size
from twin.errors import InputError
from ui import sweep_charts, sweeping
from ui.jobs import Job, jobs
from ui.markup import plain
from ui.navigation import link
from ui.palette import ink
from ui.redrawing import redrawn
from ui.settings import settings
from ui.sweeping import Order, Range

POLL_S = 1.0
NOBODY = "none"


def page() -> None:
    """Draw."""
    st.title("Sweep")
    run, number = st.query_params.get("run"), st.query_params.get("job", "")
    try:
        if run:
            _stored(run)
        elif number.isdigit() and (job := jobs().find(int(number))):
            _begun(job)
        else:
            _form()
    except InputError as error:
        st.error(plain(str(error)))
        _new()


def _new() -> None:
    if st.button("New sweep", icon=":material/add:"):
        st.query_params.clear()
        st.rerun()


# asking ----------------------------------------------------------------------------------------------------


def _form() -> None:
    """What to sweep, and the button that begins it."""
    st.caption(
        "Vary one or two inputs of a design. Every point runs with the same seeds, so points differ by the"
        " input and not by chance."
    )
    known = sweeping.scenarios(settings())
    asked = st.query_params.get("scenario", "")
    left, right = st.columns(2)
    name = left.selectbox(
        "Scenario", list(known), index=list(known).index(asked) if asked in known else 0, key="sweep_scenario"
    )
    scenario = sweeping.loaded(known[name])
    variant = right.selectbox(
        "Variant", [each.name for each in scenario.variants], key=f"sweep_variant_{name}"
    )
    parameters = sweeping.parameters(scenario, variant)
    first = _input("Input", parameters, f"{name}_1", is_needed=True)
    second = _input("Second input", parameters, f"{name}_2", is_needed=False)
    inputs = [each for each in (first, second) if each is not None]
    if inputs:
        _start(known[name], variant, inputs)
    _earlier()


def _input(
    title: str, parameters: dict[str, Parameter], key: str, *, is_needed: bool
) -> tuple[str, SweptInput] | None:
    """One input with its values, as it is written and as it is read; None if there is none."""
    choices = list(parameters) if is_needed else [NOBODY, *parameters]
    with st.container(border=True):
        head, mode = st.columns([4, 1], vertical_alignment="bottom")
        chosen = head.selectbox(
            title,
            choices,
            key=f"sweep_key_{key}",
            format_func=lambda each: sweeping.described(parameters[each]) if each in parameters else each,
            accept_new_options=True,
            help="Any key that a variant can override; type one that is not in the list.",
        )
        if chosen == NOBODY or not chosen:
            return None
        kind = mode.segmented_control(
            "Values", ["Range", "List"], default="Range" if chosen in parameters else "List", required=True,
            key=f"sweep_mode_{key}_{chosen}",
        )  # fmt: skip
        try:
            text, read = _values(kind, chosen, parameters.get(chosen), key)
        except InputError as error:
            st.error(plain(str(error).removeprefix(f"--set {chosen}: ")))
            return None
        st.caption(plain(f"{len(read.labels)} values: {', '.join(read.labels)}"))
        return text, read


def _values(kind: str, chosen: str, parameter: Parameter | None, key: str) -> tuple[str, SweptInput]:
    if kind == "List":
        now = parameter.now if parameter else ""
        values = st.text_input("Values, with commas between", now, key=f"sweep_list_{key}_{chosen}")
        if not values.strip():
            raise InputError("write the values, with commas between them")
        return f"{chosen}={values}", sweeping.listed(chosen, values)
    proposal = sweeping.proposed(parameter) if parameter else Range("", "", 6, is_log=False)
    low, high, count, law = st.columns(4)
    asked = Range(
        low.text_input("From", proposal.low, key=f"sweep_low_{key}_{chosen}"),
        high.text_input("To", proposal.high, key=f"sweep_high_{key}_{chosen}"),
        int(count.number_input("Values", 2, 60, proposal.number, key=f"sweep_count_{key}_{chosen}")),
        law.selectbox(
            "Spacing", ["even", "logarithmic"], index=int(proposal.is_log), key=f"sweep_law_{key}_{chosen}"
        )
        == "logarithmic",
    )
    return sweeping.written(chosen, asked), sweeping.ranged(chosen, asked)


def _start(path: Path, variant: str, inputs: list[tuple[str, SweptInput]]) -> None:
    """How often and how closely, what that amounts to, and the button."""
    reads = [read for _, read in inputs]
    points = math.prod(len(each.labels) for each in reads)
    left, right, button = st.columns([1, 1, 1], vertical_alignment="bottom")
    runs = int(
        left.number_input(
            "Replications of each point", 1, MOST_REPLICATIONS, sweeping.USUAL_REPLICATIONS, key="sweep_runs"
        )
    )
    refine = ""
    if len(inputs) == 1 and reads[0].is_numeric:
        refine = right.text_input(
            "Find boundaries to within (optional)", key="sweep_refine",
            placeholder=f"such as 10 {reads[0].unit}".strip(),
            help="Adds points until it is known so closely where each requirement stops holding.",
        )  # fmt: skip
    order = Order(path, variant, tuple(text for text, _ in inputs), runs, refine.strip())
    st.caption(
        f"{points} points with {runs} replications each: {points * runs} in all. The same as a command:"
    )
    st.code(order.line(), language="sh", wrap_lines=True)
    if points > MOST_POINTS:
        st.error(f"A sweep has at most {MOST_POINTS} points; take fewer values.")
    elif button.button("Run the sweep", type="primary", icon=":material/play_arrow:", width="stretch"):
        _begin(order, reads)


def _begin(order: Order, inputs: list[SweptInput]) -> None:
    """Check every point as the command would, then start it."""
    scenario = sweeping.loaded(order.scenario)
    task = task_of(
        scenario, inputs, variant=order.variant, replications=order.replications, refine=order.refine
    )
    course_of(task, scenario)
    try:
        job = jobs().start(order.arguments(settings().runs), f"sweep {order.scenario.name}")
    except RuntimeError as error:
        raise InputError(str(error)) from error
    st.query_params.from_dict({"job": str(job.number)})
    st.rerun()


def _earlier() -> None:
    """Sweeps that are stored."""
    found = sweeping.sweeps(settings().runs)[:8]
    if not found:
        return
    st.subheader("Earlier sweeps")
    for manifest in found:
        link("sweep", plain(f"{manifest.title}, {_when(manifest)}, {manifest.state}"), run=manifest.run)


# waiting ---------------------------------------------------------------------------------------------------


@redrawn(POLL_S)
def _begun(job: Job) -> None:
    """A job until its folder is there, or it has failed."""
    process = job.process.pid if job.process else None
    found = next((each for each in sweeping.sweeps(settings().runs) if each.process == process), None)
    if found is not None:
        st.query_params.from_dict({"run": found.run})
        st.rerun()
    if job.state == "waiting":
        st.info("The sweep waits until the work before it is done.")
        if st.button("Cancel", icon=":material/stop:"):
            job.cancel()
    elif job.is_over:
        st.error("The sweep could not begin." if job.state == "failed" else "The sweep was cancelled.")
        if job.output:
            st.code(job.output, language=None, wrap_lines=True)
        _new()
    else:
        st.progress(0.0, "Starting")


@redrawn(POLL_S)
def _going_on(root: Path, manifest: Manifest) -> None:
    """A sweep under way, whoever began it."""
    try:
        _, now = Store(root).find(manifest.run)
    except InputError:
        st.info("It ended before the first replication was done, so nothing is kept of it.")
        _new()
        return
    if now.state != "running":
        st.rerun()
    done, planned, label = sweeping.progress(root / manifest.run)
    share = min(1.0, done / planned) if planned else 0.0
    st.progress(share, f"{done} of {planned} replications, at {plain(label)}" if planned else "Starting")
    job = jobs().of_process(manifest.process)
    if job is None:
        st.caption("It was begun elsewhere, and can be ended there with Ctrl-C.")
    elif st.button(
        "Cancel", icon=":material/stop:", help="What was measured is kept, and can be gone on with."
    ):
        job.cancel()


# showing ---------------------------------------------------------------------------------------------------


def _stored(run: str) -> None:
    """A sweep of the catalogue: going on, interrupted or done."""
    root = settings().runs
    folder, manifest = Store(root).find(run)
    st.caption(plain(f"{manifest.title}, begun {_when(manifest)}"))
    if manifest.state == "running":
        _going_on(root, manifest)
        return
    if manifest.state != "done":
        st.warning("It was interrupted. What is here was measured; the rest can be gone on with.")
        if st.button("Go on", icon=":material/play_arrow:", type="primary"):
            job = jobs().start(["sweep", "--resume", manifest.run, "--runs", str(root), "--quiet"], "sweep")
            st.query_params.from_dict({"job": str(job.number)})
            st.rerun()
    sweep = sweeping.document(root, folder.name)
    _draw(sweep, manifest)
    _below(sweep, manifest)


def _when(manifest: Manifest) -> str:
    return manifest.started.replace("T", " ").replace("Z", " UTC")


def _draw(sweep: Sweep, manifest: Manifest) -> None:
    left, right = st.columns([3, 1], vertical_alignment="bottom")
    names = sweeping.metrics(sweep)
    if not names:
        st.info("Not one point is complete yet.")
        return
    asked = st.query_params.get("metric", "")
    name = left.selectbox(
        "Show", names, index=names.index(asked) if asked in names else 0, format_func=humanise,
        key=f"sweep_metric_{manifest.run}", help="The value of a requirement, or a metric.",
    )  # fmt: skip
    st.query_params["metric"] = name
    right.caption(plain(f"{sweep.variant}, {size(sweep)}"))
    with st.container(border=True):
        _chart(sweep, name)
    st.subheader("What was found")
    st.markdown("\n".join(f"- {plain(sentence)}" for sentence in _sentences(sweep, name)))
    with st.expander("How knees and boundaries are found"):
        st.markdown(plain(METHOD))


def _sentences(sweep: Sweep, name: str) -> list[str]:
    """The conclusions, with the knee of what is shown."""
    shown = msgspec.structs.replace(sweep, shown=list(dict.fromkeys([name, *sweep.shown])))
    return conclusions(shown) or ["No requirement turns, and nothing bends."]


def _chart(sweep: Sweep, name: str) -> None:
    unit = next(point.metrics[name].unit for point in sweep.points if name in point.metrics)
    if len(sweep.inputs) == 2:
        rows = sweeping.cells(sweep, name)
        chart = sweep_charts.heat(rows, sweeping.borders(rows), sweep.inputs, humanise(name), unit)
    else:
        rows = sweeping.curve(sweep, name)
        asked = sweeping.requirement(sweep, name)
        highest = max((abs(each["mean"]) for each in rows), default=0.0)
        is_near = asked is not None and abs(asked.limit) <= FARTHEST_LIMIT * highest
        chart = sweep_charts.curve(
            rows,
            sweep.inputs[0],
            humanise(name),
            unit,
            knees=sweeping.knees(sweep, name),
            turns=sweeping.turns(sweep, name),
            limit=asked.limit if asked is not None and is_near else None,
            ink=ink(),
        )
    st.altair_chart(chart, alt=sweeping.told(sweep, name))


def _below(sweep: Sweep, manifest: Manifest) -> None:
    """Every point as a table, what can be taken away, and one point to go on with."""
    name = st.query_params.get("metric", "")
    st.subheader("Every point")
    st.dataframe(
        sweeping.table(sweep, name), hide_index=True, height="content" if len(sweep.points) <= 12 else 440,
        alt="Inputs, the metric shown, and verdicts with the runs that met them, by point",
    )  # fmt: skip
    if sweep.requirements:
        st.caption("✓ PASS, ✗ FAIL, ? INCONCLUSIVE; then the runs that met it.")
    with st.container(horizontal=True):
        st.download_button(
            "Download as CSV", lambda: sweeping.as_csv(sweep), file_name=f"{manifest.run}.csv",
            mime="text/csv", icon=":material/download:", on_click="ignore",
        )  # fmt: skip
        st.link_button("Report", f"/wt/runs/{manifest.run}/report.html", icon=":material/description:")
        _new()
    if sweep.points:
        _one_point(sweep, manifest)


def _one_point(sweep: Sweep, manifest: Manifest) -> None:
    """One point as a scenario of its own, to be run, watched and changed."""
    st.subheader("Go on with a point")
    left, right = st.columns([3, 1], vertical_alignment="bottom")
    texts = {sweeping.point_words(sweep, point): point for point in sweep.points}
    chosen = left.selectbox("Point", list(texts), key=f"sweep_point_{manifest.run}")
    if right.button("Keep it as a scenario", icon=":material/save:", width="stretch"):
        path = sweeping.keep_point(sweep, Path(manifest.scenario), texts[chosen], settings().scenarios)
        kept = path.name.removesuffix(".scenario.yaml")
        st.success(plain(f"{path.name} is in your folder."))
        with st.container(horizontal=True):
            link("run", "Run this point", scenario=kept)
            link("design", "Open the design", scenario=kept)
