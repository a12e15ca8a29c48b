"""The views of the page "Design": drawing, map, tables, figures and text, each of the same workshop."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import pandas as pd
import streamlit as st

from scenarios.format.source import Keys
from ui.design import figures, geography, tables, topology, views, world_map
from ui.design.checking import Checked
from ui.design.choices import choices
from ui.design.document import as_shown
from ui.design.tables import COLUMNS, Column, Row, Section
from ui.design.workshop import Workshop
from ui.markup import plain

PICK: Final = "pick"
ONE: Final[dict[str, str]] = {
    "sites": "site",
    "fleets": "fleet",
    "nodes": "node",
    "links": "link",
    "requirements": "requirement",
}
KINDS: Final = {
    "written": "as this scenario says",
    "published": "measured or published by others",
    "derived": "calculated from published figures",
    "estimated": "estimated by distance",
    "default": "a default, which nobody has checked for you",
    "judged": "our own judgement of the model",
}


# drawing ----------------------------------------------------------------------------------------------


def draw_editor(workshop: Workshop) -> None:
    """The drawing, and what holds for the part that is selected."""
    checked = workshop.checked()
    document = workshop.document
    if not checked.data:
        st.info(
            "The text cannot be read yet, so there is nothing to draw. The problems stand below the text."
        )
        return
    key = "design_editor"
    drawn = topology.drawing(checked, workshop.target.shown, document.positions)
    data = {
        "scenario": document.reference,
        "drawing": drawn.as_data(),
        "palette": topology.palette(),
        "can_undo": bool(document.past),
        "can_redo": bool(document.future),
        "acked": workshop.acked.get("editor", 0),
        "notice": workshop.notice,
        "chosen": workshop.chosen,
    }

    def on_orders() -> None:
        workshop.receive("editor", _state(key, "orders"))

    def on_selected() -> None:
        found = _state(key, "selected")
        chosen = found if isinstance(found, Mapping) else {}
        workshop.selected = (str(chosen.get("section", "")), str(chosen.get("id", "")))

    views.editor(key, data, on_orders, on_selected)
    _draw_selected(workshop)


def _state(key: str, name: str) -> Any:
    found = st.session_state.get(key)
    return found.get(name) if isinstance(found, Mapping) else getattr(found, name, None)


def _draw_selected(workshop: Workshop) -> None:
    section, name = workshop.selected
    if section == "links" and name.isdigit():
        rows = tables.rows(workshop.checked(), "links", workshop.target.shown)
        row = next((each for each in rows if each.path[1] == int(name)), None)
        name = _title(row) if row else ""
    found = [each for each in _figures(workshop) if (each.section, each.name) == (section, name)]
    if found:
        st.caption(f"What holds for {ONE.get(section, 'part')} {plain(name[:60])}, and where it comes from")
        _figure_table(found, is_of_one=True)


def _title(row: Row) -> str:
    return row.cells["name"] or f"{row.cells['from']}-{row.cells['to']}"


# map --------------------------------------------------------------------------------------------------


def draw_map(workshop: Workshop) -> None:
    """Sites on the map of the world, and a table of the round trips."""
    data = workshop.checked().seen(workshop.target.shown)
    spots, routes = geography.spots(data), geography.routes(data)
    if not spots:
        st.info("No site has a place yet. Give one a metro in the table of sites.")
        return
    is_dark = st.context.theme.type == "dark"
    chart = world_map.world_map(spots, routes, is_dark=is_dark)
    st.vega_lite_chart(chart, theme=None, alt=world_map.in_words(spots, routes))
    rows = [
        {
            "Link": each.link,
            "From": each.ends[0],
            "To": each.ends[1],
            "Round trip": each.round_trip,
            "Range": each.range,
            "Kind": each.kind,
            "Great circle": f"{each.length_km:,.0f} km",
            "Light in fibre": each.floor,
            "Source": each.source,
        }
        for each in routes
    ]
    if rows:
        st.dataframe(rows, hide_index=True)
    else:
        st.caption("No link crosses a wide area yet: give one the path 'wan' in the table of links.")


# figures ----------------------------------------------------------------------------------------------


def draw_figures(workshop: Workshop) -> None:
    """Every figure with its kind and source."""
    found = _figures(workshop)
    kinds = [kind for kind in KINDS if any(each.kind == kind for each in found)]
    chosen = st.pills("Kind", kinds, selection_mode="multi", key="design_kinds", help=_kinds_in_words())
    shown = [each for each in found if not chosen or each.kind in chosen]
    if shown:
        _figure_table(shown, is_of_one=False)
    else:
        st.info("There are no figures yet. Add a fleet, a node or a link.")


def _kinds_in_words() -> str:
    return "; ".join(f"{kind}: {words}" for kind, words in KINDS.items())


def _figures(workshop: Workshop) -> list[figures.Figure]:
    return figures.figures(workshop.checked().seen(workshop.target.shown))


def _figure_table(found: list[figures.Figure], *, is_of_one: bool) -> None:
    rows = pd.DataFrame(
        {
            "Part": [ONE.get(each.section, each.section) for each in found],
            "Name": [each.name for each in found],
            "Figure": [each.what for each in found],
            "Value": [each.value for each in found],
            "Kind": [each.kind for each in found],
            "Source": [each.source for each in found],
        }
    )
    columns = ["Figure", "Value", "Kind", "Source"] if is_of_one else None
    height = min(260 if is_of_one else 430, 38 + 35 * len(found))
    st.dataframe(rows, hide_index=True, column_order=columns, height=height, alt="Figures with their sources")


# tables -----------------------------------------------------------------------------------------------


def draw_table(workshop: Workshop, section: Section) -> None:
    """A table of one kind of part, in which every cell can be changed."""
    rows = workshop.table(section)
    key = f"design_{section}_{workshop.epoch}"
    if rows:
        st.data_editor(
            _frame(section, rows, workshop.target.shown),
            key=key,
            hide_index=True,
            placeholder="",
            column_order=_order(section, rows, workshop.target.shown),
            num_rows="fixed",
            column_config=_column_config(workshop, section, rows),
            on_change=_take_cells,
            args=(workshop, section, key),
            height=min(620, 40 + 35 * len(rows)) if len(rows) > 1 else "auto",
            alt=f"Table of {section}",
        )
    else:
        st.info(f"There is no {ONE[section]} yet. Add one here, or in the drawing.")
    with st.container(horizontal=True):
        _draw_adding(workshop, section)
        picked = _picked(key)
        if picked and st.button(f"Remove {len(picked)}", icon=":material/delete:", key=f"remove_{section}"):
            workshop.remove_rows(section, picked)
            st.rerun()
    found = [each for each in _figures(workshop) if each.section == section]
    if found:
        st.caption(f"What holds for {ONE[section]}s, and where it comes from")
        _figure_table(found, is_of_one=False)


def _order(section: Section, rows: list[Row], variant: str) -> list[str]:
    """Problems come first where there are any."""
    head = [PICK, "name", *([tables.PROBLEM] if any(row.problem for row in rows) else [])]
    middle = [column.key for column in COLUMNS[section] if column.key != "name"]
    return [*head, *middle, tables.FURTHER, *([tables.MARK] if variant else [])]


def _frame(section: Section, rows: list[Row], variant: str) -> pd.DataFrame:
    columns: dict[str, list[Any]] = {PICK: [False] * len(rows)}
    for column in COLUMNS[section]:
        columns[column.key] = [row.cells[column.key] or None for row in rows]
    columns[tables.FURTHER] = [row.further for row in rows]
    if variant:
        columns[tables.MARK] = [row.overrides for row in rows]
    columns[tables.PROBLEM] = [row.problem for row in rows]
    text = {key: pd.array(values, dtype="string") for key, values in columns.items() if key != PICK}
    return pd.DataFrame({PICK: columns[PICK], **text})


def _column_config(workshop: Workshop, section: Section, rows: list[Row]) -> dict[str, Any]:
    config: dict[str, Any] = {
        PICK: st.column_config.CheckboxColumn("", help="Pick rows to remove", width=36, pinned=True)
    }
    for column in COLUMNS[section]:
        config[column.key] = _column(workshop, column, rows)
    config[tables.FURTHER] = st.column_config.TextColumn(
        "Further keys", disabled=True, help="Change these in the YAML", width="medium"
    )
    config[tables.MARK] = st.column_config.TextColumn(
        "Variant changes", disabled=True, help="What the variant says otherwise than the base"
    )
    config[tables.PROBLEM] = st.column_config.TextColumn("Problem", disabled=True, width="large")
    return config


def _column(workshop: Workshop, column: Column, rows: list[Row]) -> Any:
    if column.choices:
        present = [row.cells[column.key] for row in rows]
        options = choices(workshop.checked(), workshop.target.shown, column.choices, present)
        return st.column_config.SelectboxColumn(
            column.heading, help=column.hint or None, options=options, width=column.width
        )
    is_pinned = column.key == "name"
    return st.column_config.TextColumn(
        column.heading, help=column.hint or None, width=column.width, pinned=is_pinned
    )


def _take_cells(workshop: Workshop, section: Section, key: str) -> None:
    edited = st.session_state[key].get("edited_rows", {})
    cells = {
        int(index): {name: value for name, value in changes.items() if name != PICK}
        for index, changes in edited.items()
    }
    workshop.edit_cells(section, cells)


def _picked(key: str) -> list[int]:
    state = st.session_state.get(key)
    edited = state.get("edited_rows", {}) if state else {}
    return [int(index) for index, changes in edited.items() if changes.get(PICK)]


def _draw_adding(workshop: Workshop, section: Section) -> None:
    """A small form for a new part; the rest of it is filled in afterwards in the table."""
    with st.popover(f"Add a {ONE[section]}", icon=":material/add:"):
        done = {"links": _new_link, "requirements": _new_requirement}.get(section, _new_part)(
            workshop, section
        )
    if done:
        st.rerun()


def _new_part(workshop: Workshop, section: Section) -> bool:
    if section == "sites":
        return _added(workshop, section, "site", "")
    name = "kinds" if section == "nodes" else "devices"
    checked = workshop.checked()
    kind = st.selectbox(
        "Kind" if section == "nodes" else "Device", choices(checked, "", name), key=f"new_{section}"
    )
    sites = choices(checked, "", "sites")
    site = st.selectbox("Site", sites, key=f"new_{section}_site") if sites else ""
    return _added(workshop, section, kind, site or "")


def _added(workshop: Workshop, section: Section, kind: str, site: str) -> bool:
    if not st.button("Add", key=f"add_{section}", type="primary"):
        return False
    workshop.add(section, kind, site)
    return True


def _new_link(workshop: Workshop, _section: Section) -> bool:
    names = choices(workshop.checked(), workshop.target.shown, "standing")
    if len(names) < 2:
        st.caption("A link joins two nodes; there are not two yet.")
        return False
    a = st.selectbox("From", names, key="new_link_from")
    b = st.selectbox("To", names, index=1, key="new_link_to")
    if not st.button("Add", key="add_links", type="primary"):
        return False
    workshop.connect(a, b)
    return True


def _new_requirement(workshop: Workshop, _section: Section) -> bool:
    name = st.text_input("Name", placeholder="gates open within 35 s", key="new_requirement")
    expect = st.text_input("Expect", placeholder="max(alarm -> gate_open) < 35 s", key="new_expect")
    if not st.button("Add", key="add_requirements", type="primary"):
        return False
    if not (name.strip() and expect.strip()):
        st.caption("Both are needed.")
        return False
    return workshop.append(("requirements",), {"name": name.strip(), "expect": expect.strip()})


# text -------------------------------------------------------------------------------------------------


def draw_text(workshop: Workshop) -> None:
    """The text with its problems, as the command line tells them."""
    document, checked = workshop.document, workshop.checked()
    key = "design_text"
    data = {
        "scenario": document.reference,
        "revision": document.revision,
        "text": as_shown(document.text),
        "acked": workshop.acked.get("text", 0),
        "issues": views.as_rows(checked.issues),
        "overrides": _override_spans(checked, workshop.target.shown),
        "fine": _fine(checked),
        "line": _line(workshop, checked),
    }

    def on_orders() -> None:
        workshop.receive("text", _state(key, "orders"))

    views.text(key, data, on_orders)
    if checked.issues:
        with st.expander("As the command line says it", expanded=False):
            st.code(checked.message, language=None, wrap_lines=True)


def _fine(checked: Checked) -> str:
    count = len(checked.scenario.variants) if checked.scenario else 0
    variants = "1 variant" if count == 1 else f"{count} variants"
    requirements = len(checked.data.get("requirements") or ())
    return f"No problems: {variants}, {requirements} requirement{'' if requirements == 1 else 's'}"


def _override_spans(checked: Checked, variant: str) -> list[dict[str, int]]:
    """The keys by which the shown variant differs."""
    written = (checked.data.get("variants") or {}).get(variant) if variant else None
    if not isinstance(written, Mapping) or checked.source is None:
        return []
    spans = [checked.source.key_at(("variants", variant, key)) for key in written]
    return [span._asdict() for span in spans]


def _line(workshop: Workshop, checked: Checked) -> int:
    """The line of what is selected in the drawing; 0 if nothing is."""
    section, name = workshop.selected
    if not section or checked.source is None:
        return 0
    path: Keys = (section, int(name)) if section == "links" and name.isdigit() else (section, name)
    is_there = path in checked.source.values  # noqa: PD011  (no pandas)
    return checked.source.key_at(path).line if is_there else 0


def _table_view(section: Section) -> Callable[[Workshop], None]:
    return lambda workshop: draw_table(workshop, section)


VIEWS: Final[dict[str, Callable[[Workshop], None]]] = {
    "Drawing": draw_editor,
    "Map": draw_map,
    "Sites": _table_view("sites"),
    "Fleets": _table_view("fleets"),
    "Nodes": _table_view("nodes"),
    "Links": _table_view("links"),
    "Requirements": _table_view("requirements"),
    "Figures": draw_figures,
}
