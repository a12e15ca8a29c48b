import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from counting import Counter
from filled import KINDS, TWINS, dict_of, fill

from twin.errors import InputError
from twin.service import backup
from twin.service.opening import open_store
from twin.service.sql_store import Keeping
from twin.service.sqlite_store import SqliteHistory
from twin.state.journal import Retention, StoreError, Wanted, load, state_at
from twin.state.records import Records, Transaction

# errors --------------------------------------------------------------------------------------------------


def test_a_full_store_accepts_nothing_and_goes_on_when_there_is_room(path):
    """One sentence; the records that are there stay, and no half of a batch."""
    store, _ = open_store(path)
    records = fill(store, Records(), commits=5)
    before = dict_of(records)
    (pages,) = store.connection.execute("PRAGMA page_count").fetchone()
    store.connection.execute(f"PRAGMA max_page_count = {pages}").fetchall()
    transaction = Transaction(records, 10.0)
    for number in range(500):
        transaction.put("counter", f"big-{number}", Counter(thing="x" * 200))

    with pytest.raises(StoreError, match="is full, so nothing was accepted; free some space"):
        store.commit([transaction])
    transaction.undo()
    assert dict_of(load(store, KINDS)) == before == dict_of(records)
    store.connection.execute("PRAGMA max_page_count = 1000000").fetchall()
    fill(store, records, start=5, commits=5)
    assert dict_of(load(store, KINDS)) == dict_of(records)
    store.close()


def test_two_services_do_not_write_one_store(path):
    """The second learns that it is in use; afterwards it may have it."""
    store, _ = open_store(path)

    with pytest.raises(InputError, match=r"twins.db is in use: another process writes it"):
        open_store(path)
    store.close()
    open_store(path).store.close()


@pytest.mark.skipif(os.name == "nt" or os.geteuid() != 0, reason="needs another user")
def test_a_store_that_may_not_be_written_is_refused(path):
    """With what to do about it."""
    store, _ = open_store(path)
    store.close()
    for each in path.parent.iterdir():
        each.chmod(0o444)
    path.parent.chmod(0o555)
    code = (
        "import os, sys; from pathlib import Path; from twin.service.opening import open_store; "
        "os.setgid(65534); os.setuid(65534)\n"
        "try: open_store(Path(sys.argv[1]))\n"
        "except Exception as error: print(type(error).__name__, error)"
    )
    for folder in path.parents[:4]:  # the folders that pytest made, one more of them with several workers
        folder.chmod(folder.stat().st_mode | 0o11)
    root = Path(__file__).parents[2]
    shown = subprocess.run(
        [sys.executable, "-c", code, str(path)],
        cwd=root, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip

    assert "InputError" in shown.stdout, shown.stderr
    assert "twins.db cannot be written" in shown.stdout


def test_another_file_is_not_taken_for_a_store(path):
    """It is refused and left as it is."""
    path.write_text("this is a letter and no store" * 100)
    with pytest.raises(InputError, match="is no store of windtunnel"):
        open_store(path)
    assert path.read_text().startswith("this is a letter")

    path.unlink()
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE t (x)")
    other.close()
    with pytest.raises(InputError, match="a SQLite file, but no store of windtunnel"):
        open_store(path)


def test_a_store_of_a_newer_version_is_refused(path):
    """Rather than written in a way that it would not understand."""
    store, _ = open_store(path)
    store.close()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    for each in path.parent.glob("*.snapshot-*"):
        each.unlink()

    with pytest.raises(InputError, match="has schema version 99; this windtunnel reads version 2: upgrade"):
        open_store(path)


def test_a_store_of_an_older_version_is_refused(used):
    """It is not damaged, so it is not set aside, and its snapshots are not read as if they were new."""
    path, _, _ = used
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 1")
    connection.close()
    for sequence in backup.numbered(path, "snapshot"):
        head, rows = backup.read_snapshot(backup.snapshot_path(path, sequence))
        backup.write_snapshot(path, msgspec.structs.replace(head, schema=1), rows)
    before = {each.name: each.read_bytes() for each in path.parent.iterdir()}

    with pytest.raises(InputError, match="has schema version 1; this windtunnel reads version 2: it cannot"):
        open_store(path)
    assert {each.name: each.read_bytes() for each in path.parent.iterdir()} == before


def test_a_missing_folder_is_named(tmp_path):
    """It is not made unasked."""
    with pytest.raises(InputError, match="there is no folder"):
        open_store(tmp_path / "nowhere" / "twins.db")


# readers -------------------------------------------------------------------------------------------------


def test_readers_see_what_was_committed_while_the_writer_goes_on(path):
    """Neither waits for the other."""
    store, _ = open_store(path)
    records = fill(store, Records(), commits=5)
    history = SqliteHistory(path)
    walked = history.scan("SELECT last FROM journal")
    next(walked)
    fill(store, records, start=5, commits=5)
    list(walked)

    assert dict_of(load(history, KINDS)) == dict_of(records)
    history.close()
    store.close()


def test_reading_a_store_at_rest_changes_nothing(used):
    """No file appears, none changes."""
    path, records, _ = used
    before = {each.name: (each.stat().st_mtime_ns, each.stat().st_size) for each in path.parent.iterdir()}
    history = SqliteHistory(path)
    assert dict_of(load(history, KINDS)) == records
    history.close()

    assert before == {
        each.name: (each.stat().st_mtime_ns, each.stat().st_size) for each in path.parent.iterdir()
    }


def test_an_entry_with_a_flipped_bit_is_noticed(used):
    """A history that is not true is not shown."""
    path, _, _ = used
    connection = sqlite3.connect(path)
    connection.execute(
        "UPDATE journal SET entries = CAST(replace(entries, '{', '[') AS BLOB) WHERE first = 9"
    )
    connection.commit()
    connection.close()
    history = SqliteHistory(path)

    with pytest.raises(StoreError, match="entries 9 to 10 of the journal are damaged"):
        history.entries(Wanted())
    history.close()


# snapshots and retention ---------------------------------------------------------------------------------


def test_snapshots_come_by_themselves_and_old_ones_go(path):
    """With their tails; the journal is kept as long as retention says."""
    store, _ = open_store(path, Keeping(Retention(entries=50), snapshot_entries=40, snapshot_records=0))
    records = Records()
    for start in range(0, 400, 10):
        fill(store, records, start=start, commits=10)
        store.tend()
    snapshots, tails = backup.numbered(path, "snapshot"), backup.numbered(path, "tail")

    assert len(snapshots) == backup.KEPT_SNAPSHOTS
    assert tails == snapshots[-2:]
    assert 750 - 80 <= store.bounds().first <= 751
    assert dict_of(state_at(store, KINDS, store.bounds().last)) == dict_of(records)
    subjects = store.query("SELECT count(*) FROM subject")
    assert subjects == [(TWINS,)]
    store.close()


def test_a_subject_that_nothing_names_any_more_is_forgotten(path):
    """Commands come and go, each with a key of its own: the store must not remember them for ever."""
    store, _ = open_store(path, Keeping(Retention(entries=10), snapshot_entries=40, snapshot_records=0))
    records = Records()
    for number in range(200):
        transaction = Transaction(records, float(number))
        transaction.put("counter", f"c{number}", Counter(thing="a"))
        transaction.remove("counter", f"c{number - 1}")
        store.commit([transaction])
        store.tend()

    assert store.query("SELECT count(*) FROM subject")[0][0] < 60
    assert len(store.numbered.known) < 60
    assert dict_of(load(store, KINDS)) == dict_of(records)
    store.close()


def test_a_tail_that_cannot_be_written_does_not_stop_the_store(path):
    """It is told; the next snapshot makes good."""
    store, _ = open_store(path)
    store._tail.close()
    store._tail._file = Full()
    records = fill(store, Records(), commits=3)
    assert "tail of" in store.trouble
    store.tend()

    assert store.trouble == ""
    assert backup.numbered(path, "snapshot") == [0, 6]
    fill(store, records, start=3, commits=3)
    store.close()
    store, findings = open_store(path)
    store.close()
    assert findings == []


class Full:
    """A file on a full disk."""

    name = "tail"

    def fileno(self):
        raise OSError(28, "No space left on device")

    def close(self):
        pass
