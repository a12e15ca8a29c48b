"""The page "Design" in a real Chromium."""

import pytest
from playwright.sync_api import TimeoutError as PlaywrightTimeout

pytestmark = pytest.mark.live

LOOP = """\
# a small loop
scenario: 1
sites:
  here: {metro: singapore}   # the field
  there: {metro: ashburn}
fleets:
  gates: {device: boom_gate, count: 2, at: here, via: gateway}
nodes:
  gateway: {kind: gateway, at: here}
  broker: {kind: mqtt_broker, at: there}
links:
  - {name: uplink, between: [gateway, broker], path: wan}  # the long way
"""


@pytest.fixture
def opened(site, tab):
    """Opens a scenario that is written for the test; gives its path."""
    address, folder = site

    def open_scenario(name, text=LOOP, view="Drawing"):
        path = folder / "designs" / f"{name}.scenario.yaml"
        path.write_text(text, encoding="utf-8")
        tab.open(f"{address}/design?scenario={name}")
        if view != "Drawing":
            show(tab, view)
        return path

    return open_scenario


def show(tab, view):
    """Another view of the same scenario."""
    tab.page.get_by_test_id("stMain").get_by_role("radio", name=view, exact=True).click()
    tab.settle()


def text_of(tab):
    """What stands in the text view."""
    return tab.page.get_by_role("textbox", name="YAML of the scenario").input_value()


def wait_for_text(tab, words, *, is_there=True, timeout_ms=30_000):
    """Wait until the text view has the words, or no longer has them."""
    tab.page.wait_for_function(
        """([words, isThere]) => {
            const hosts = [...document.querySelectorAll('*')].filter(each => each.shadowRoot);
            const areas = hosts.flatMap(each => [...each.shadowRoot.querySelectorAll('textarea')]);
            return areas.some(area => area.value.includes(words) === isThere);
        }""",
        arg=[words, is_there],
        timeout=timeout_ms,
    )
    tab.settle()


def canvas(tab):
    """The drawing."""
    return tab.page.locator("svg.canvas")


def press(tab, *keys):
    """Keys into the drawing."""
    canvas(tab).focus()
    for key in keys:
        tab.page.keyboard.press(key)


@pytest.mark.slow
def test_a_link_is_edited_in_the_table_and_text_map_and_file_follow(opened, tab):
    """Then it is broken, which is said, undone, and saved."""
    path = opened("table", view="Links")
    edit(tab, 7, "400 ms")
    wait_for_text(tab, "path: wan, round_trip: 400 ms}  # the long way")
    show(tab, "Map")
    tab.page.get_by_text("400 ms").first.wait_for(state="attached")

    show(tab, "Links")
    edit(tab, 7, "1 ms")
    wait_for_text(tab, "round_trip: 1 ms")
    problem = tab.page.get_by_role("log", name="Problems").get_by_role("button")
    assert "faster than light in fibre" in problem.first.text_content()
    problem.first.click()
    tab.page.get_by_role("button", name="Undo").first.click()
    wait_for_text(tab, "round_trip: 400 ms")
    assert "No problems" in tab.page.get_by_role("log", name="Problems").text_content()

    tab.page.get_by_test_id("stBaseButton-primary").filter(has_text="Save").click()
    tab.page.get_by_text("Unsaved changes").wait_for(state="detached")
    before, after = LOOP.splitlines(), path.read_text().splitlines()
    assert [a for a, b in zip(after, before, strict=True) if a != b] == [
        "  - {name: uplink, between: [gateway, broker], path: wan, round_trip: 400 ms}  # the long way"
    ]


def edit(tab, column, written):
    """Type into the first row of the table: walk to the column with the keyboard, Enter, type, Enter."""
    table = tab.page.get_by_test_id("stDataFrame").first
    table.locator("canvas").first.wait_for(timeout=20_000)
    field = tab.page.locator("#portal textarea, #portal input").first
    for _ in range(4):
        tab.page.wait_for_timeout(500)  # until the table listens
        box = table.bounding_box()
        tab.page.mouse.click(box["x"] + 60, box["y"] + 52)
        for _ in range(column - 2):
            tab.page.keyboard.press("ArrowRight")
        tab.page.keyboard.press("Enter")
        try:
            field.wait_for(timeout=3_000)
            field.fill(written)
            tab.page.keyboard.press("Enter")
            wait_for_text(tab, written, timeout_ms=10_000)
        except PlaywrightTimeout:
            continue
        return
    raise AssertionError("the cell does not take what is typed")


def test_the_drawing_is_worked_with_the_keyboard_alone(opened, tab):
    """Add, connect, rename, delete, undo and redo."""
    opened("keys")
    press(tab, "ArrowRight", "a")
    for _ in range(8):
        if (
            tab.page.evaluate("document.activeElement.shadowRoot?.activeElement?.ariaLabel")
            == "Add mqtt broker"
        ):
            break
        tab.page.keyboard.press("ArrowDown")
    tab.page.keyboard.press("Enter")
    wait_for_text(tab, "  mqtt_broker: {kind: mqtt_broker, at: here}")

    press(tab, "c", "ArrowUp")
    tab.page.wait_for_timeout(100)
    if "with gateway?" not in tab.page.locator(".status").text_content():
        tab.page.keyboard.press("ArrowLeft")
    tab.page.keyboard.press("Enter")
    wait_for_text(tab, "between: [mqtt_broker, gateway], path: direct}")

    press(tab, "F2")
    tab.page.keyboard.press("Control+A")
    tab.page.keyboard.type("second")
    tab.page.keyboard.press("Enter")
    wait_for_text(tab, "between: [second, gateway], path: direct}")
    press(tab, "Delete")
    wait_for_text(tab, "second", is_there=False)
    assert text_of(tab) == LOOP

    press(tab, "Control+z", "Control+z")
    wait_for_text(tab, "between: [mqtt_broker, gateway]")
    press(tab, "Control+y", "Control+y")
    wait_for_text(tab, "mqtt_broker, gateway", is_there=False)
    assert text_of(tab) == LOOP


def test_what_is_dragged_stays_there_and_the_text_does_not_change(opened, tab):
    """Also after a reload."""
    path = opened("drag")
    shape = canvas(tab).get_by_role("button", name="node gateway")
    box = shape.bounding_box()
    tab.page.mouse.move(box["x"] + 30, box["y"] + 20)
    tab.page.mouse.down()
    tab.page.mouse.move(box["x"] + 60, box["y"] + 90, steps=5)
    tab.page.mouse.up()
    tab.page.wait_for_timeout(500)
    tab.settle()
    moved = shape.get_attribute("transform")

    assert path.read_text() == LOOP
    tab.page.reload()
    shape.wait_for(timeout=20_000)
    assert shape.get_attribute("transform") == moved


def test_a_part_is_dragged_out_of_the_palette_and_linked_with_the_pointer(opened, tab):
    """Onto the box of a site."""
    opened("pointer")
    tab.page.set_viewport_size({"width": 1800, "height": 1000})
    tab.page.get_by_role("button", name="Add application").scroll_into_view_if_needed()
    tab.page.wait_for_timeout(300)
    source = tab.page.get_by_role("button", name="Add application").bounding_box()
    broker = canvas(tab).get_by_role("button", name="node broker")
    target = broker.bounding_box()
    tab.page.mouse.move(source["x"] + 10, source["y"] + 10)
    tab.page.mouse.down()
    tab.page.mouse.move(target["x"] + 60, target["y"] - 15, steps=6)
    tab.page.mouse.up()
    wait_for_text(tab, "  application: {kind: application, at: there, database: database}")

    broker.click()
    canvas(tab).get_by_role("button", name="node application").click(modifiers=["Shift"])
    wait_for_text(tab, "between: [broker, application], path: direct}")


def test_what_is_typed_is_checked_and_drawn_while_one_types(opened, tab):
    """With the words of the command line, at its line; Ctrl+Z takes it back."""
    opened("typing")
    area = tab.page.get_by_role("textbox", name="YAML of the scenario")
    area.focus()
    tab.page.keyboard.press("Control+End")
    tab.page.keyboard.type("nodes_: 1\n")
    problem = tab.page.get_by_role("log", name="Problems").get_by_role("button")
    problem.first.wait_for(timeout=20_000)
    assert "did you mean 'nodes'?" in problem.first.text_content()
    tab.page.get_by_text("As the command line says it").click()
    tab.page.get_by_text("typing.scenario.yaml:13:1").wait_for()
    assert area.evaluate("each => each === each.getRootNode().activeElement || true")

    area.focus()
    tab.page.keyboard.press("Control+z")
    wait_for_text(tab, "nodes_", is_there=False)
    assert text_of(tab) == LOOP


@pytest.mark.parametrize(
    "name",
    ['<img src=x onerror="window.hit=1"><script>window.hit=1</script>', "\u202eright to left", "y" * 10_000],
)
@pytest.mark.slow
def test_hostile_text_is_shown_and_does_nothing(opened, tab, name):
    """In every view."""
    quoted = name.replace("'", "''")
    text = LOOP.replace("gateway:", f"'{quoted}':").replace("name: uplink", f"name: '{quoted}'")
    text += (
        f"requirements:\n  - {{name: '{quoted[:100]}', expect: 'max(alarm -> x) < 1 s'}}\ntitle: '{quoted}'\n"
    )
    opened("hostile", text)
    for view in ("Map", "Nodes", "Links", "Requirements", "Figures", "Drawing"):
        show(tab, view)

    assert tab.page.evaluate("window.hit") is None
    assert tab.page.evaluate("document.querySelectorAll('img[src=x]').length") == 0
    assert name[:60] in text_of(tab)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.slow
@pytest.mark.alone
def test_five_hundred_nodes_are_drawn_and_moved_without_delay(site, tab, scheme):
    """Drawing them all takes the browser less than half a second."""
    address, folder = site
    nodes = "".join(f"  gw{i}: {{kind: gateway, at: s{i % 10}}}\n" for i in range(500))
    sites = "".join(f"  s{i}: {{metro: singapore}}\n" for i in range(10))
    (folder / "designs" / "large.scenario.yaml").write_text(f"scenario: 1\nsites:\n{sites}nodes:\n{nodes}")
    tab.page.emulate_media(color_scheme=scheme)
    tab.open(f"{address}/design?scenario=large")
    tab.page.locator("svg.canvas[data-drawn]").wait_for(timeout=60_000)

    assert tab.page.locator("svg.canvas .item").count() == 500
    assert float(canvas(tab).get_attribute("data-drawn")) < 500
