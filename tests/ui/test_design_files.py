"""Opening, saving, copying and bringing in scenario files."""

import pytest

from scenarios.shipped import LIBRARY
from twin.errors import InputError
from ui.design import files
from ui.design.files import ConflictError
from ui.design.workshop import Workshop

TEXT = "scenario: 1\nsites:\n  a: {metro: singapore}  # here\n"


@pytest.fixture
def folder(tmp_path):
    """A folder with one scenario of the user's own."""
    (tmp_path / "own.scenario.yaml").write_text(TEXT)
    return tmp_path


def listed(folder):
    """The names of everything in the folder."""
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def workshop(folder):
    """The user's own scenario, opened."""
    found = Workshop(folder)
    found.open("own")
    return found


@pytest.mark.parametrize(
    "name",
    ["../own.scenario.yaml", "/etc/passwd", "a/../../b.yaml", "", "\0.yaml", "x" * 5000, "way/out.yaml"],
)
def test_an_address_that_leads_out_of_the_folder_is_refused(folder, name, tmp_path_factory):
    """Over dots, from the root, or over a symbolic link."""
    outside = tmp_path_factory.mktemp("outside")
    (outside / "out.yaml").write_text(TEXT)
    (folder / "way").symlink_to(outside)

    with pytest.raises(InputError):
        files.open_document(name, folder)


def test_own_scenarios_come_before_shipped_ones_of_the_same_name(folder):
    """By their names without the ending; others are not written under a shipped name."""
    (folder / "sync_loss.scenario.yaml").write_text(TEXT)

    assert files.own(folder) == ["own", "sync_loss"]
    assert "sync_loss" not in files.shipped(folder)
    assert files.open_document("sync_loss", folder).text == TEXT
    assert files.copy_name(files.open_document("car_park_fire", folder), folder) == "car_park_fire_2"
    with pytest.raises(InputError):
        files.copy(files.open_document("own", folder), "car_park_fire", folder)


def test_saving_writes_the_whole_file_and_nothing_beside_it(workshop, folder):
    """The text as it is, and no leftovers."""
    workshop.document.type(TEXT.replace("singapore", "tokyo"))

    assert workshop.save()
    assert (folder / "own.scenario.yaml").read_text() == TEXT.replace("singapore", "tokyo")
    assert not workshop.document.is_changed
    assert listed(folder) == ["own.scenario.yaml"]


@pytest.mark.parametrize("other", ["scenario: 1\n", None])
def test_a_file_that_changed_meanwhile_is_not_replaced_unasked(workshop, folder, other):
    """Neither is one that went; both can be had: what is there, and what is here."""
    path = folder / "own.scenario.yaml"
    path.write_text(other) if other else path.unlink()
    workshop.document.type(TEXT + "title: mine\n")

    with pytest.raises(ConflictError):
        files.save(workshop.document)
    assert not workshop.save()
    assert workshop.is_conflict
    assert (path.read_text() if path.exists() else None) == other

    assert workshop.save(is_forced=True)
    assert path.read_text() == TEXT + "title: mine\n"


def test_what_is_on_the_disk_can_be_loaded_and_undone(workshop, folder):
    """What was not saved is one step back."""
    (folder / "own.scenario.yaml").write_text("scenario: 1\n")
    workshop.document.type(TEXT + "title: mine\n")

    workshop.reload()

    assert workshop.document.text == "scenario: 1\n"
    assert not workshop.document.is_changed
    workshop.undo()
    assert workshop.document.text.endswith("title: mine\n")
    assert workshop.document.is_changed


def test_a_shipped_scenario_cannot_be_saved_but_copied_with_its_files(folder):
    """The scene that it names comes along; the library stays as it is."""
    workshop = Workshop(folder)
    workshop.open("car_park_fire")
    before = (LIBRARY / "car_park_fire.scenario.yaml").read_bytes()
    workshop.document.change(workshop.document.text + "# mine\n")

    assert not workshop.save()
    assert "save a copy" in workshop.notice
    reference = workshop.copy("mine")
    workshop.open(reference)

    assert workshop.checked().is_valid
    assert not workshop.document.is_changed
    assert (folder / "carpark_3x120.geojson").exists()
    assert (folder / "mine.scenario.yaml").read_text().endswith("# mine\n")
    assert (LIBRARY / "car_park_fire.scenario.yaml").read_bytes() == before
    assert workshop.copy("mine") == ""
    assert workshop.copy("../mine") == ""


def test_byte_order_mark_and_line_breaks_of_a_file_are_kept(folder):
    """A browser gives back neither."""
    path = folder / "windows.scenario.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + TEXT.replace("\n", "\r\n").encode())
    document = files.open_document(path.name, folder)

    document.type(TEXT.replace("here", "there"))
    files.save(document)

    assert path.read_bytes() == b"\xef\xbb\xbf" + TEXT.replace("here", "there").replace("\n", "\r\n").encode()


def test_templates_make_scenarios_without_problems(folder):
    """Both of them; a name that is taken is refused."""
    workshop = Workshop(folder)
    for name, has_building in (("loop", False), ("park", True)):
        workshop.open(files.from_template(name, folder, has_building=has_building))
        assert workshop.checked().is_valid, workshop.checked().message
        with pytest.raises(InputError):
            files.from_template(name, folder, has_building=has_building)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("a.yaml", "a.scenario.yaml"),
        ("b.scenario.yaml", "b.scenario.yaml"),
        ("../../etc/c d.yml", "c-d.scenario.yaml"),
        ("C:\\x\\rules.rules", "rules.rules"),
        ("<script>alert(1)</script>.geojson", "script.geojson"),
        ("\u202egpj.exe.yaml", "gpj-exe.scenario.yaml"),
        ("x" * 300 + ".yaml", "x" * 60 + ".scenario.yaml"),
    ],
)
def test_uploads_are_kept_under_plain_names(folder, given, kept):
    """The last part of the name, with letters, digits, '-' and '_'."""
    if given == "<script>alert(1)</script>.geojson":
        assert files.safe_name(given) == kept
        return
    assert files.bring_in([(given, b"scenario: 1\n")], folder) == [kept]
    assert (folder / kept).exists()


@pytest.mark.parametrize(
    "uploads",
    [
        [("a.exe", b"")],
        [("ok.yaml", b"x"), ("a.html", b"")],
        [("big.yaml", b"x" * 5_000_001)],
        [("own.yaml", b"x")],
        [("same.yaml", b"x"), ("same.scenario.yaml", b"x")],
        [("....yaml", b"x")],
    ],
)
def test_of_uploads_that_cannot_all_be_taken_none_is(folder, uploads):
    """Unknown endings, too large, in each other's place."""
    before = listed(folder)

    with pytest.raises(InputError):
        files.bring_in(uploads, folder)

    assert listed(folder) == before


def test_positions_are_kept_beside_the_scenario_and_not_in_it(workshop, folder):
    """In a side file that may be broken or thrown away."""
    receive(workshop, {"do": "move", "places": {"gw": [10, 20]}})

    assert files.open_document("own", folder).positions == {"gw": (10.0, 20.0)}
    assert (folder / "own.scenario.yaml").read_text() == TEXT
    (folder / files.SIDE_FILE).write_text('{"own.scenario.yaml": {"gw": "far"}}')
    assert files.open_document("own", folder).positions == {}
    (folder / files.SIDE_FILE).write_text("[")
    assert files.open_document("own", folder).positions == {}


def receive(workshop, *orders):
    """Orders as the browser sends them."""
    first = workshop.acked.get("editor", 0) + 1
    workshop.receive("editor", {"orders": [{"n": first + i, **order} for i, order in enumerate(orders)]})


def test_an_order_is_carried_out_once_however_often_it_is_sent(workshop):
    """A browser repeats what it has no answer to."""
    sent = {"orders": [{"n": 1, "do": "add", "section": "sites", "kind": "site"}]}
    workshop.receive("editor", sent)
    workshop.receive("editor", {"orders": [*sent["orders"], {"n": 2, "do": "undo"}]})
    workshop.receive("editor", sent)

    assert workshop.document.text == TEXT


@pytest.mark.parametrize(
    "sent", [None, [], {"orders": 3}, {"orders": [3, {"n": "x"}, {"n": 1, "do": 5}]}, {"n": 1}]
)
def test_what_is_no_order_is_left_alone(workshop, sent):
    """Whatever a browser sends."""
    workshop.receive("editor", sent)

    assert workshop.document.text == TEXT
