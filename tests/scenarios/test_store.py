"""The folder of runs: the folders are the truth, the catalogue only an index of them."""

import os
import shutil
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest

from scenarios.store import CATALOGUE, MANIFEST, Manifest, Store, write
from twin.errors import InputError


def manifest(title="Gate loop", **fields):
    return Manifest(
        **{
            "run": "",
            "title": title,
            "state": "done",
            "scenario": "a.scenario.yaml",
            "scenario_hash": "1f3a" * 16,
            "version": "0.1.0",
            "python": "3.11",
            "packages": {},
            "host": "here",
            "process": os.getpid(),
            "started": "",
            "seed": 1,
            "variants": ["base"],
            **fields,
        }
    )


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "runs")


def gone():
    """The number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def states(store):
    return [(each.title, each.state) for each in store.list()]


def test_a_run_is_named_after_time_title_and_hash(store):
    """A name to read, to sort and to find the file by."""
    folder = store.begin(manifest("Größe & Co., level 2"))

    stamp, rest = folder.name[:15], folder.name[15:]
    assert (len(stamp.replace("-", "")), rest) == (14, "-gr-e-co-level-2-1f3a")


def test_runs_of_one_second_have_names_of_their_own(store):
    """Nothing is overwritten."""
    names = [store.begin(manifest()).name for _ in range(3)]

    assert len({*names}) == 3
    assert {each.run for each in store.list()} == {*names}


def test_a_run_whose_process_is_gone_has_crashed(store):
    """One at work is running; what ended well stays as it was."""
    store.begin(manifest("at work", state="running"))
    store.begin(manifest("killed", state="running", process=gone()))
    store.begin(manifest("over", process=gone()))

    assert sorted(states(store)) == [("at work", "running"), ("killed", "crashed"), ("over", "done")]


def test_a_killed_writer_leaves_a_crashed_run_and_a_readable_store(store):
    """A real process, ended without warning between begin and end."""
    program = (
        "import os, signal, sys; from pathlib import Path; sys.path.insert(0, sys.argv[1]);"
        "import test_store as t; t.Store(Path(sys.argv[2])).begin(t.manifest(state='running'));"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    here = str(Path(__file__).parent)
    subprocess.run([sys.executable, "-c", program, here, str(store.root)], check=False)

    assert states(store) == [("Gate loop", "crashed")]


@pytest.mark.parametrize("damage", ["deleted", "overwritten", "cut short", "of another program"])
def test_a_damaged_catalogue_is_built_again_from_the_folders(store, damage):
    """The same list as before, in the same order."""
    for title in ("a", "b", "c"):
        store.begin(manifest(title))
    before, path = store.list(), store.root / CATALOGUE
    if damage == "deleted":
        path.unlink()
    elif damage == "overwritten":
        path.write_bytes(b"no database" * 1000)
    elif damage == "cut short":
        path.write_bytes(path.read_bytes()[:300])
    else:
        path.unlink()
        with sqlite3.connect(path) as rows:
            rows.execute("CREATE TABLE runs (name TEXT)")
        rows.close()

    assert store.list() == before
    assert store.find("latest")[1] == before[0]


def test_folders_that_were_removed_or_copied_by_hand_are_seen(store):
    """The list follows the folders."""
    kept, lost = store.begin(manifest("kept")), store.begin(manifest("lost"))
    shutil.copytree(kept, store.root / "copied")
    shutil.rmtree(lost)

    assert sorted(each.run for each in store.list()) == sorted([kept.name, "copied"])


def test_a_folder_whose_manifest_is_broken_hides_no_other(store):
    """Half a manifest, of whatever origin, costs that one run only."""
    good = store.begin(manifest())
    (store.root / "odd").mkdir()
    (store.root / "odd" / MANIFEST).write_text('{"run": "odd"')

    assert [each.run for each in store.list()] == [good.name]


def test_a_manifest_changed_by_another_process_is_seen(store):
    """A run that ended elsewhere is done here too."""
    mine = manifest(state="running")
    store.begin(mine)
    other = Store(store.root)
    other.list()
    mine.state = "done"
    store.save(mine)

    assert states(other) == [("Gate loop", "done")]


def test_a_manifest_changed_by_hand_wins_over_the_catalogue(store):
    """The folders are the truth."""
    folder = store.begin(manifest("before"))
    store.list()
    path = folder / MANIFEST
    path.write_text(path.read_text("utf-8").replace('"before"', '"afterwards"'), "utf-8")

    assert states(store) == [("afterwards", "done")]


@pytest.mark.parametrize("content", [b"{}", b"[", None, 7, "text"])
def test_a_row_of_another_shape_is_read_from_its_folder(store, content):
    """Whatever another version wrote into the catalogue."""
    store.begin(manifest())
    with sqlite3.connect(store.root / CATALOGUE) as rows:
        rows.execute("UPDATE runs SET manifest = ?", (content,))
    rows.close()

    assert states(store) == [("Gate loop", "done")]


def test_an_empty_name_is_no_beginning(store):
    """Not even of the only run."""
    folder = store.begin(manifest())

    with pytest.raises(InputError, match="name of a run is empty"):
        store.remove("")
    assert folder.exists()


def test_a_file_where_the_folder_should_be_is_one_sentence(tmp_path):
    """Listing, finding and beginning alike."""
    (tmp_path / "runs").touch()

    with pytest.raises(InputError, match="runs is a file; the results need a folder"):
        Store(tmp_path / "runs").list()


def test_many_writers_at_once_lose_nothing(store):
    """Eight threads with connections of their own."""
    with ThreadPoolExecutor(8) as threads:
        folders = list(threads.map(lambda n: Store(store.root).begin(manifest(f"run {n % 2}")), range(24)))

    assert {each.run for each in store.list()} == {folder.name for folder in folders}
    assert len({*folders}) == 24


def test_a_run_is_found_by_name_beginning_or_as_the_latest(store):
    """An ambiguous beginning is an error, and an unknown one names what is there."""
    first, second = store.begin(manifest("a", scenario_hash="aaaa")), store.begin(manifest("b"))

    assert store.find(first.name)[0] == first
    assert store.find(second.name[:-2])[0] == second
    assert store.find("latest")[1] == store.list()[0]
    with pytest.raises(InputError, match="fits 2 runs"):
        store.find("2")
    with pytest.raises(InputError, match=f"no run 'x' below .*newest: .*{second.name}"):
        store.find("x")


@pytest.mark.parametrize("name", ["", "../runs", ".", "/"])
def test_no_name_leads_out_of_the_folder(store, name):
    """`runs rm` deletes runs and nothing else."""
    store.begin(manifest("a"))
    store.begin(manifest("b"))

    with pytest.raises(InputError):
        store.remove(name)
    assert len(store.list()) == 2


def test_a_file_appears_whole_or_not_at_all(tmp_path):
    """Written beside its place, then renamed; nothing is left beside it."""
    path = tmp_path / "study.json"
    write(path, "first")
    write(path, b"second")

    assert ([each.name for each in tmp_path.iterdir()], path.read_text()) == (["study.json"], "second")


def test_a_manifest_is_json_that_another_program_can_read(store):
    """Indented, with every field by its name."""
    folder = store.begin(manifest())

    read = msgspec.json.decode((folder / MANIFEST).read_bytes())
    assert (read["run"], read["state"], read["seed"]) == (folder.name, "done", 1)
