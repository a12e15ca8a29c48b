"""The page "Design" without a browser."""

import pytest

from scenarios import shipped

VIEWS = ["Drawing", "Map", "Sites", "Fleets", "Nodes", "Links", "Requirements", "Figures"]
LOOP = "scenario: 1\nsites:\n  a: {metro: singapore}\nnodes:\n  gw: {kind: gateway, at: a}\n"


@pytest.mark.parametrize("name", shipped.names())
def test_every_shipped_scenario_opens(app, name):
    """By its address; it can be copied and not saved."""
    page = app("design", scenario=name)

    assert page.selectbox(key="design_scenario").value == name
    assert [each.label for each in page.button if each.label in {"Undo", "Redo", "Save"}][:2] == [
        "Undo",
        "Redo",
    ]
    assert page.query_params["scenario"] in (name, [name])


@pytest.mark.parametrize("view", VIEWS)
def test_every_view_of_the_flagship_is_drawn(app, view):
    """In the base, and in a variant."""
    page = app("design", scenario="car_park_fire", view=view)
    page.session_state["view"] = view
    page.run()
    assert not page.exception
    page.selectbox(key="design_variant_car_park_fire").set_value("edge").run()

    assert not page.exception
    assert page.query_params["variant"] in ("edge", ["edge"])


@pytest.mark.parametrize("view", VIEWS)
def test_every_view_bears_an_empty_scenario(app, folders, view):
    """And says what to do next."""
    (folders.scenarios / "empty.scenario.yaml").write_text("scenario: 1\n")
    page = app("design", scenario="empty")
    page.session_state["view"] = view
    page.run()

    assert not page.exception
    assert view in {"Drawing", "Figures"} or page.info or page.caption


@pytest.mark.parametrize("name", ["../x", "nowhere", "nowhere.scenario.yaml", "<b>x</b>"])
def test_an_address_of_nothing_is_one_sentence(app, name):
    """And another scenario can be chosen."""
    page = app("design", scenario=name)

    assert len(page.code) == 1
    assert page.selectbox(key="design_scenario").options


def test_ones_own_scenario_is_made_edited_and_saved(app, folders):
    """From a template; the button says that there is something to save."""
    page = app("design")
    page.text_input(key="new_name").set_value("mine")
    page.button(key="new").click().run()
    assert page.query_params["scenario"] in ("mine", ["mine"])

    workshop = page.session_state["design_workshop"]
    workshop.document.type(workshop.document.text + "# more\n")
    page.run()
    saving = next(each for each in page.button if each.label == "Save" and not each.key)
    assert not saving.disabled
    saving.click().run()

    assert (folders.scenarios / "mine.scenario.yaml").read_text().endswith("# more\n")
    assert next(each for each in page.button if each.label == "Save" and not each.key).disabled


def test_a_file_that_changed_meanwhile_is_asked_about(app, folders):
    """Nothing is written until somebody says which one it is to be."""
    path = folders.scenarios / "mine.scenario.yaml"
    path.write_text(LOOP)
    page = app("design", scenario="mine")
    path.write_text(LOOP + "# theirs\n")
    page.session_state["design_workshop"].document.type(LOOP + "# mine\n")
    page.run()
    next(each for each in page.button if each.label == "Save" and not each.key).click().run()

    assert "changed or removed elsewhere" in page.warning[0].value
    assert path.read_text().endswith("# theirs\n")
    next(each for each in page.button if each.label == "Load what is there now").click().run()
    assert not page.warning
    assert page.session_state["design_workshop"].document.text.endswith("# theirs\n")


def test_unsaved_changes_stay_while_another_scenario_is_looked_at(app, folders):
    """They are there when one comes back."""
    (folders.scenarios / "mine.scenario.yaml").write_text(LOOP)
    page = app("design", scenario="mine")
    page.session_state["design_workshop"].document.type(LOOP + "# mine\n")
    page.selectbox(key="design_scenario").set_value("car_park_fire").run()
    page.selectbox(key="design_scenario").set_value("mine").run()

    assert page.session_state["design_workshop"].document.text == LOOP + "# mine\n"


def test_problems_are_said_as_the_command_line_says_them(app, folders):
    """With place and caret."""
    (folders.scenarios / "wrong.scenario.yaml").write_text(LOOP.replace("gateway", "gatewy"))
    page = app("design", scenario="wrong")

    assert "error[" in page.code[0].value
    assert "did you mean 'gateway'?" in page.code[0].value
