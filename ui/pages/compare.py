"""Compare: two to four designs side by side, under the same random numbers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from scenarios.report.wording import humanise
from twin.errors import InputError
from ui import comparing, comparing_charts
from ui.comparing import Design, Subject
from ui.markup import plain
from ui.navigation import link
from ui.palette import BADGES, SIGNS, WASHES, ink
from ui.settings import settings


def page() -> None:
    """Draw."""
    st.title("Compare")
    root = settings().runs
    known = [each.run for each in comparing.finished(root)]
    if not known:
        st.info("There is no finished run to compare yet. Run a scenario with two variants first.")
        link("home", "Choose a scenario")
        return
    try:
        chosen = _chosen(root, known)
        if len(chosen) < 2:
            st.info("Choose two to four designs. The first is what the others are compared with.")
            return
        _draw(comparing.subjects(root, chosen))
    except InputError as error:
        st.error(str(error))


def _chosen(root: Path, known: list[str]) -> list[Design]:
    """The designs that are asked for, in the address of the page and in its two fields."""
    wanted = [run for run in st.query_params.get("runs", "").split(",") if run in known]
    if "compare_runs" not in st.session_state:
        st.session_state.compare_runs = wanted[: comparing.MOST] or known[:1]
    st.session_state.compare_runs = [run for run in st.session_state.compare_runs if run in known]
    left, right = st.columns(2)
    runs = left.multiselect("Runs", known, max_selections=comparing.MOST, key="compare_runs")
    designs = comparing.designs_of(root, runs) if runs else []
    by_text = {each.written(is_alone=len(runs) < 2): each for each in designs}
    _remember_designs(designs, by_text)
    picked = right.multiselect(
        "Designs",
        list(by_text),
        max_selections=comparing.MOST,
        format_func=lambda text: comparing.label_of(by_text[text], runs) if text in by_text else text,
        key="compare_designs",
        help="The first one is the baseline.",
    )
    st.query_params.update({"runs": ",".join(runs), "variants": ",".join(picked)})
    return [by_text[text] for text in picked]


def _remember_designs(designs: Sequence[Design], by_text: dict[str, Design]) -> None:
    """What is chosen, as far as it still exists; else what the address says; else the usual."""
    kept = [text for text in st.session_state.get("compare_designs", ()) if text in by_text]
    if not kept and designs:
        said = comparing.asked(st.query_params.get("variants", ""), designs)
        texts = {each: text for text, each in by_text.items()}
        kept = [texts[each] for each in (said if len(said) > 1 else comparing.usual(designs))]
    st.session_state.compare_designs = kept


def _draw(chosen: Sequence[Subject]) -> None:
    labels = [each.label for each in chosen]
    with st.container(horizontal=True):
        for place, (subject, colour) in enumerate(zip(chosen, BADGES)):
            role = " (baseline)" if place == 0 else ""
            st.badge(plain(f"{subject.variant.title or subject.label}{role}"), color=colour)
    if note := comparing.pairing(chosen):
        st.warning(note)
    _verdicts(chosen)
    _differences(chosen, labels)
    _budget(chosen, labels)
    _latencies(chosen, labels)
    _ledger(chosen)
    _tornado(chosen)


def _verdicts(chosen: Sequence[Subject]) -> None:
    st.subheader("Verdicts")
    rows = comparing.verdicts(chosen)
    if not rows:
        st.caption("The scenario asks for nothing: it has no requirements.")
        return
    table: Any = pd.DataFrame(rows).style.map(_wash)
    st.dataframe(
        table,
        hide_index=True,
        column_config={"Requirement": st.column_config.Column(pinned=True)},
        alt="Requirements by design, with verdict, runs that met it, and value",
    )
    st.caption("✓ PASS, ✗ FAIL, ? INCONCLUSIVE; then the runs that met it, and the median of its value.")


def _wash(cell: str) -> str:
    verdict = next((each for each, sign in SIGNS.items() if str(cell).startswith(sign)), None)
    return f"background-color: {WASHES[verdict]}" if verdict else ""


def _differences(chosen: Sequence[Subject], labels: Sequence[str]) -> None:
    found = comparing.compared(chosen)
    if not found:
        return
    st.subheader("Differences")
    st.caption(
        f"Each design less {plain(labels[0])}, replication by replication with the same random numbers;"
        " means with 95 % intervals. Hollow: zero lies within."
    )
    shown = st.multiselect(
        "Metrics",
        list(found),
        default=comparing.worth_showing(found),
        format_func=humanise,
        key=f"compare_metrics_{'|'.join(labels)}",
        label_visibility="collapsed",
        placeholder="Choose metrics",
    )
    columns = st.columns(2)
    for place, name in enumerate(shown):
        with columns[place % 2].container(border=True):
            st.markdown(f"**{plain(humanise(name))}**")
            st.altair_chart(
                comparing_charts.forest(found[name], labels, ink()), alt=comparing.told(name, found[name])
            )
    with st.expander("All differences as a table"):
        st.caption("Of metrics that do not differ, one in twenty looks clear by chance.")
        _difference_table(found)


def _difference_table(found: dict[str, Any]) -> None:
    rows = [
        {
            "Metric": humanise(name),
            "Design": each.variant_a,
            "Difference (95 % interval)": comparing.in_words(each),
            "Clear": "yes" if comparing.is_clear(each) else "no",
            "Pairs": each.pairs,
        }
        for name, comparisons in found.items()
        for each in comparisons
    ]
    st.dataframe(rows, hide_index=True, alt="Every difference with its interval")
    st.download_button(
        "Download as CSV",
        lambda: comparing.as_csv(found),
        file_name="differences.csv",
        mime="text/csv",
        icon=":material/download:",
        on_click="ignore",
    )


def _budget(chosen: Sequence[Subject], labels: Sequence[str]) -> None:
    parts, limits = comparing.budgets(chosen)
    if not parts:
        return
    st.subheader("Where the time goes")
    st.caption(
        "From ignition until everybody is out (RSET). The mark is how long the place stays safe (ASET)."
    )
    told = "; ".join(
        f"{each['design']}: out after {each['rset_s']:.0f} s, safe until {each['aset_s']:.0f} s"
        for each in limits
    )
    st.altair_chart(comparing_charts.budget(parts, limits, labels, ink()), alt=f"Time budgets. {told}")
    with st.expander("Time budget as a table"):
        table = pd.DataFrame(parts).pivot_table(
            index="design", columns="part", values="duration_s", sort=False
        )
        st.dataframe(table.round(2), alt="Seconds of each part of the time budget by design")


def _latencies(chosen: Sequence[Subject], labels: Sequence[str]) -> None:
    found = {name: rows for name, rows in comparing.latencies(chosen).items() if rows}
    if not found:
        return
    st.subheader("How long messages take")
    name = st.segmented_control(
        "Latency", list(found), default=next(iter(found)), required=True, label_visibility="collapsed",
        format_func=plain, key=f"compare_latency_{'|'.join(found)}",
    )  # fmt: skip
    told = comparing.latency_told(name, chosen)
    st.altair_chart(comparing_charts.distribution(found[name], labels), alt=told)
    st.caption(plain(told))


def _ledger(chosen: Sequence[Subject]) -> None:
    st.subheader("Where every message is")
    st.caption("Over all replications; personal data is what crossed a border in clear.")
    st.dataframe(
        comparing.ledger(chosen),
        height="content",
        hide_index=True,
        alt="Messages sent, delivered and lost by place, and border bytes",
    )


def _tornado(chosen: Sequence[Subject]) -> None:
    rows = comparing.swings(chosen)
    if not rows:
        return
    st.subheader("What moves the margin")
    st.caption("The mean margin of the people at the low and at the high value of each input, widest first.")
    st.altair_chart(comparing_charts.tornado(rows, ink()), alt=comparing.swing_told(rows))
