"""Tables, drawing, map and figures of a scenario, and the changes that are made in them."""

import time

import pytest

from scenarios import shipped
from ui.design import figures, geography, tables, topology, world_map
from ui.design.checking import check
from ui.design.workshop import Workshop

HOSTILE = [
    '<script>alert("x")</script>',
    "\"quoted' name\\",
    "\u202eoverride\u202c",
    "x" * 10_000,
    "- a: [b] # c",
    "**bold** [link](javascript:alert(1))",
]


@pytest.fixture
def workshop(tmp_path):
    """The shipped car park, opened; nothing of it can be written."""
    found = Workshop(tmp_path)
    found.open("car_park_fire")
    return found


def cell(workshop, section, row, **values):
    """Type into cells of one row, as the table sends it."""
    workshop.table(section)
    workshop.edit_cells(section, {row: values})


def order(workshop, do, **what):
    """Do something in the drawing."""
    workshop.receive("editor", {"orders": [{"n": workshop.acked.get("editor", 0) + 1, "do": do, **what}]})


def lines(workshop):
    """The lines that are in the text now and were not at the start."""
    before = workshop.document.saved.splitlines()
    return [line for line in workshop.document.text.splitlines() if line not in before]


def test_a_cell_changes_one_value_of_one_line(workshop):
    """And the table, the map and the figures follow."""
    cell(workshop, "links", 0, round_trip="400 ms")

    (line,) = lines(workshop)
    assert line.endswith("session: warm, round_trip: 400 ms}")
    assert workshop.table("links")[0].cells["round_trip"] == "400 ms"
    assert geography.routes(workshop.checked().seen(""))[0].round_trip == "400 ms"
    assert workshop.notice == ""


def test_an_emptied_cell_takes_its_key_out(workshop):
    """The default holds again."""
    cell(workshop, "links", 0, access=None, tls="")

    (line,) = lines(workshop)
    assert "access" not in line
    assert "tls" not in line


def test_a_problem_stands_in_the_row_it_is_about_and_in_the_drawing(workshop):
    """With the words of the command line."""
    cell(workshop, "links", 0, round_trip="1 ms")

    assert "faster than light" in workshop.table("links")[0].problem
    assert "faster than light" in workshop.checked().message
    assert "-->" in workshop.checked().message
    drawn = topology.drawing(workshop.checked())
    assert "faster than light" in next(tie for tie in drawn.ties if tie.kind == "link").problem


def test_a_link_of_a_fleet_is_a_word_or_a_map(workshop):
    """Hops make a map of a word."""
    cell(workshop, "fleets", 1, hops="3")
    cell(workshop, "fleets", 0, link="zigbee")

    assert "link: {medium: lorawan-sf7, hops: 3}" in workshop.document.text
    assert "link: {medium: zigbee, hops: 2}" in workshop.document.text


@pytest.mark.slow
def test_several_steps_are_undone_one_by_one_and_redone(workshop):
    """Over all views."""
    start = workshop.document.text
    cell(workshop, "links", 0, loss="2 %")
    order(workshop, "add", section="nodes", kind="gateway", site="car_park")
    workshop.receive("text", {"orders": [{"n": 1, "do": "type", "text": workshop.document.text + "# end\n"}]})
    last = workshop.document.text

    for _ in range(3):
        workshop.undo()
    assert workshop.document.text == start
    workshop.undo()
    for _ in range(4):
        workshop.redo()

    assert workshop.document.text == last


def test_a_node_is_added_connected_renamed_and_deleted(workshop):
    """Its links go with it; what the drawing selects is the new one."""
    order(workshop, "add", section="nodes", kind="mqtt_broker", site="cloud")
    assert workshop.chosen["id"] == "mqtt_broker"
    order(workshop, "connect", id="gateway", to="mqtt_broker")
    assert "  - {between: [gateway, mqtt_broker], path: wan}" in lines(workshop)
    assert workshop.checked().is_valid, workshop.checked().message

    order(workshop, "rename", section="nodes", id="mqtt_broker", name="second")
    assert "  - {between: [gateway, second], path: wan}" in lines(workshop)
    order(workshop, "delete", section="nodes", id="second")
    assert workshop.document.text == workshop.document.saved


@pytest.mark.slow
def test_everything_in_the_palette_can_be_added(workshop):
    """It stands in the text and in the drawing."""
    for part in topology.palette():
        order(workshop, "add", section=part["section"], kind=part["kind"], site="car_park")
        assert workshop.notice == ""
    drawn = topology.drawing(workshop.checked())

    assert {part["kind"] for part in topology.palette()} <= {item.kind for item in drawn.items} | {"site"}
    assert len(workshop.document.past) == len(topology.palette())


def test_a_name_is_changed_wherever_it_is_used(workshop):
    """In fleets, links, variants and the inputs of sensitivity."""
    order(workshop, "rename", section="nodes", id="gateway", name="hub")
    text = workshop.document.text

    assert workshop.notice == ""
    assert "via: hub" in text
    assert "nodes.hub.local_panel: [false, true]" in text
    assert "nodes.rules.runs_on: hub" in text
    assert "between: [hub, broker]" in text
    assert workshop.checked().is_valid, workshop.checked().message
    workshop.undo()
    assert workshop.document.text == workshop.document.saved


def test_sites_links_and_fleets_are_renamed_too(workshop):
    """The scenario stays as valid as it was."""
    order(workshop, "rename", section="sites", id="cloud", name="virginia")
    order(workshop, "rename", section="fleets", id="gates", name="booms")
    cell(workshop, "links", 0, name="cable")

    assert workshop.notice == ""
    assert "links.cable.session: cold" in workshop.document.text
    assert "between: [car_park, virginia]" in workshop.document.text
    assert workshop.checked().is_valid, workshop.checked().message


@pytest.mark.parametrize("name", ["", " ", "broker", "smoke", "a b", *HOSTILE])
def test_a_name_that_cannot_be_is_refused_with_a_sentence(workshop, name):
    """And the text stays as it was."""
    order(workshop, "rename", section="nodes", id="gateway", name=name)

    assert workshop.notice
    assert workshop.document.text == workshop.document.saved


def test_an_edit_goes_into_the_base_or_into_the_variant(workshop):
    """The variant's own override is changed where it has one."""
    workshop.look_at("edge", is_into_variant=True)
    cell(workshop, "nodes", 2, service="9 ms")
    cell(workshop, "links", 0, loss="1 %")
    assert lines(workshop) == ["    nodes.rules.station.service: 9 ms", "    links.uplink.loss: 1 %"]
    cell(workshop, "links", 0, loss=None)
    cell(workshop, "nodes", 2, service=None)
    assert lines(workshop) == []
    assert "nodes.rules.station.service: 5 ms" not in workshop.document.text

    workshop.look_at("edge", is_into_variant=False)
    cell(workshop, "links", 0, qos="0")
    assert [line for line in lines(workshop) if "qos: 0" in line]


def test_a_variant_shows_what_it_overrides(workshop):
    """In the table, and in the drawing, where a node may be elsewhere."""
    workshop.look_at("edge", is_into_variant=False)
    row = workshop.table("nodes")[2]
    drawn = topology.drawing(workshop.checked(), "edge")
    rules = next(item for item in drawn.items if item.id == "rules")

    assert row.overrides == "runs_on, station.service"
    assert (rules.site, rules.host, rules.is_overridden) == ("car_park", "gateway", True)
    assert not any(item.is_overridden for item in topology.drawing(workshop.checked()).items)


def test_rows_are_removed_together_with_what_hangs_on_them(workshop):
    """Two nodes, and the link of one."""
    workshop.table("nodes")
    workshop.remove_rows("nodes", [0, 1])

    assert "links: []" in workshop.document.text
    assert len(workshop.table("nodes")) == 5
    workshop.undo()
    assert workshop.document.text == workshop.document.saved


@pytest.mark.parametrize("name", shipped.names())
def test_every_shipped_scenario_is_drawn_with_nothing_on_top_of_anything(name, tmp_path):
    """Boxes of sites do not meet, nor do the nodes."""
    workshop = Workshop(tmp_path)
    workshop.open(name)
    drawn = topology.drawing(workshop.checked())

    places = [(item.x, item.y, topology.WIDTH, topology.HEIGHT) for item in drawn.items]
    boxes = [(box.x, box.y, box.width, box.height) for box in drawn.boxes]
    for group in (places, boxes):
        assert not any(meet(a, b) for i, a in enumerate(group) for b in group[:i])
    assert drawn.boxes
    assert drawn.ties


def meet(a, b):
    return a[0] < b[0] + b[2] and b[0] < a[0] + a[2] and a[1] < b[1] + b[3] and b[1] < a[1] + a[3]


def test_the_size_of_a_fleet_that_a_scene_places_is_known(workshop):
    """As many detectors as the building has."""
    drawn = topology.drawing(workshop.checked())

    assert next(item for item in drawn.items if item.id == "smoke").count == "180"


def test_every_figure_says_its_kind_and_source(workshop):
    """Published, derived, estimated, written or a default."""
    found = figures.figures(workshop.checked().seen(""))

    assert {each.kind for each in found} <= {
        "written",
        "published",
        "derived",
        "estimated",
        "default",
        "judged",
    }
    assert all(each.source and each.value for each in found)
    trip = next(each for each in found if each.what == "round trip")
    assert (trip.value, trip.kind) == ("221 ms (219 ms to 224 ms)", "published")
    assert ("nodes", "gateway", "heartbeat", "10 s", "default", "default of gateway") in found


def test_the_map_has_sites_routes_and_words(workshop):
    """And what is drawn of it comes with it: nothing has to be fetched."""
    data = workshop.checked().seen("")
    spots, routes = geography.spots(data), geography.routes(data)
    chart = world_map.world_map(spots, routes)

    assert [spot.name for spot in spots] == ["car_park", "cloud"]
    assert routes[0].round_trip == "221 ms"
    assert "url" not in str(chart)
    assert "uplink: car_park to cloud, round trip 221 ms (published)" in world_map.in_words(spots, routes)


def test_half_way_lies_between_the_ends():
    """On the equator, and over the date line."""
    assert geography.middle((0.0, 0.0), (90.0, 0.0)) == pytest.approx((45.0, 0.0))
    assert geography.middle((170.0, 0.0), (-170.0, 0.0))[0] == pytest.approx(-180.0)


@pytest.mark.parametrize(
    "text", ["", "a: [", "[]", "3", "x: {}\n---\n", "\t", "scenario: 1\nlinks: 3\nnodes: []\n", "\0"]
)
def test_views_bear_any_text(tmp_path, text):
    """There is a message, and no traceback."""
    checked = check(text, "x.scenario.yaml", tmp_path)

    assert checked.message
    drawn = topology.drawing(checked)
    assert drawn.items == []
    for section in tables.COLUMNS:
        assert tables.rows(checked, section) == []
    assert figures.figures(checked.seen("")) == []
    assert geography.spots(checked.seen("")) == []


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_shown_as_text(workshop, name):
    """In the data for the browser they are what they are; nothing of ours builds markup of them."""
    cell(workshop, "requirements", 0, name=name)

    assert workshop.table("requirements")[0].cells["name"] == name.strip()
    assert workshop.checked().source is not None


@pytest.mark.parametrize(
    "path", sorted((shipped.LIBRARY.parent.parent / "tests/scenarios/broken").glob("*.yaml"))
)
def test_the_message_is_that_of_the_command_line(path):
    """For every broken file: the same issues, in the same words, also without a file on the disk."""
    from scenarios.format.issues import ScenarioError
    from scenarios.format.loading import load
    from scenarios.rehearsal import put_together
    from scenarios.wiring.vocabulary import Vocabulary

    with pytest.raises(ScenarioError) as raised:
        put_together(load(path, catalogue=Vocabulary()), path.name)

    assert check(path.read_text("utf-8"), path.name, path.parent).message == str(raised.value)


@pytest.mark.slow
def test_five_hundred_nodes_can_be_worked_with(tmp_path):
    """Drawn and changed in processor time that nobody minds, on a slow machine too."""
    nodes = "".join(f"  gw{i}: {{kind: gateway, at: s{i % 10}}}\n" for i in range(500))
    sites = "".join(f"  s{i}: {{metro: singapore}}\n" for i in range(10))
    links = "".join(f"  - {{between: [gw{i}, broker], path: wan}}\n" for i in range(500))
    text = (
        f"scenario: 1\nsites:\n{sites}  cloud: {{metro: ashburn}}\n"
        f"nodes:\n  broker: {{kind: mqtt_broker, at: cloud}}\n{nodes}links:\n{links}"
    )
    (tmp_path / "large.scenario.yaml").write_text(text)
    workshop = Workshop(tmp_path)
    workshop.open("large")
    checked = workshop.checked()

    start = time.process_time()
    drawn = topology.drawing(checked)
    drawing_s = time.process_time() - start
    start = time.process_time()
    cell(workshop, "links", 3, loss="1 %")
    edit_s = time.process_time() - start

    assert len(drawn.items) == 501
    assert len(drawn.ties) == 500
    assert drawing_s < 2.0
    assert edit_s < 6.0
