import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from counting import Counter, Counters

from twin.errors import InputError
from twin.service import backup
from twin.service.opening import DamagedStoreError, open_store
from twin.service.sql_store import Keeping
from twin.service.sqlite_store import SqliteHistory
from twin.state.journal import BrokenStoreError, Retention, StoreError, Wanted, load, state_at
from twin.state.records import Records, Transaction
from twin.state.twins import Twins

KINDS = Counters().kinds
TWINS = 40
PAGE_BYTES = 16_384


def fill(store, records, *, start=0, commits=60):
    """So many commits, each with a message; returns the records."""
    for number in range(start, start + commits):
        transaction = Transaction(records, float(number))
        for key in (f"thing-{number % TWINS}", f"thing-{number * 7 % TWINS}"):
            transaction.put("counter", key, Counter(thing=key, count=number))
        transaction.publish("x", {"n": number})
        store.commit([transaction])
    return records


def outbox(store):
    return [(each.number, each.messages) for each in store.outbox()]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "twins.db"


@pytest.fixture
def used(path):
    """A store that was closed well, with a snapshot in the middle; and what it holds."""
    store, _ = open_store(path)
    records = fill(store, Records(), commits=30)
    store.settle([1, 2, 3])
    store.snapshot()
    fill(store, records, start=30, commits=30)
    store.settle([40])
    waiting = [each for each in outbox(store) if each[0] not in (1, 2, 3, 40)]
    store.close()
    return path, dict_of(records), waiting


def dict_of(records):
    return {(kind, key): record for kind, key, record in records}


def copied(path, folder):
    folder.mkdir()
    for each in path.parent.glob(f"{path.name}*"):
        shutil.copy(each, folder)
    return folder / path.name


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


# damage --------------------------------------------------------------------------------------------------


def restored(path, expected, waiting):
    """Open the damaged store: nothing is lost, and if it was restored that was said."""
    store, findings = open_store(path)
    try:
        assert dict_of(load(store, KINDS)) == expected
        assert outbox(store) == waiting
        fill(store, load(store, KINDS), start=100, commits=2)
    finally:
        store.close()
    return findings


def test_flipped_bytes_lose_nothing(used, tmp_path):
    """Wherever they are: either nothing that counts was hit, or the store is restored, and says so."""
    path, records, waiting = used
    size = path.stat().st_size
    found = 0
    for number, place in enumerate(range(5, size, size // 60)):
        copy = copied(path, tmp_path / f"flip{number}")
        content = bytearray(copy.read_bytes())
        content[place : place + 24] = bytes(byte ^ 0xA5 for byte in content[place : place + 24])
        copy.write_bytes(content)
        findings = restored(copy, records, waiting)
        if findings:
            found += 1
            assert "was damaged" in findings[0]
            assert "set aside as twins.db.damaged-1 and restored to entry 120" in findings[0]
            assert copy.with_name("twins.db.damaged-1").read_bytes() == bytes(content)

    assert found > 5


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9])
def test_a_cut_store_is_restored(used, share):
    """From the snapshot and its tail."""
    path, records, waiting = used
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])

    assert "restored to entry 120 from the snapshot at 60 and its tail" in restored(path, records, waiting)[0]


def test_a_store_that_is_gone_is_restored(used):
    """Its snapshots say that there was one."""
    path, records, waiting = used
    path.unlink()

    assert "it is gone" in restored(path, records, waiting)[0]


def test_a_missing_write_ahead_log_is_noticed(used, tmp_path):
    """The file alone would be a healthy store of the past."""
    path, records, waiting = used
    store, _ = open_store(path)
    store.connection.execute("PRAGMA wal_autocheckpoint = 0").fetchall()
    grown = Records()
    for (kind, key), record in records.items():
        grown.put(kind, key, record)
    fill(store, grown, start=60, commits=10)
    waiting = outbox(store)
    copy = copied(path, tmp_path / "crashed")
    store.close()
    copy.with_name("twins.db-wal").unlink()
    copy.with_name("twins.db-shm").unlink()

    findings = restored(copy, dict_of(grown), waiting)
    assert "it ends at entry 120, but entry 140 was accepted" in findings[0]


def test_a_damaged_write_ahead_log_is_noticed(used, tmp_path):
    """SQLite passes over its end silently; the tail does not."""
    path, _, _ = used
    store, _ = open_store(path)
    grown = fill(store, load(store, KINDS), start=60, commits=10)
    waiting = outbox(store)
    copy = copied(path, tmp_path / "crashed")
    store.close()
    log = copy.with_name("twins.db-wal")
    content = bytearray(log.read_bytes())
    content[len(content) // 2] ^= 0xFF
    log.write_bytes(content)

    assert "was accepted" in restored(copy, dict_of(grown), waiting)[0]


def test_a_damaged_snapshot_is_passed_over(used):
    """The one before it and both tails lead to the same."""
    path, records, waiting = used
    newest = backup.snapshot_path(path, 60)
    newest.write_bytes(newest.read_bytes()[:-7])
    path.write_bytes(b"")

    assert "from the snapshot at 0 and its tail" in restored(path, records, waiting)[0]


def test_a_damaged_tail_is_told_and_what_it_has_is_used(used):
    """What cannot be restored is named, never passed over."""
    path, _, _ = used
    tail = backup.tail_path(path, 60)
    tail.write_bytes(tail.read_bytes()[:-200])
    path.write_bytes(b"")
    store, findings = open_store(path)

    assert "restored to entry 118" in findings[0]
    assert "the tail is damaged too" in findings[0]
    store.close()


def test_a_damaged_tail_of_a_healthy_store_is_replaced(used):
    """It is a finding, and a new snapshot is taken at once."""
    path, records, waiting = used
    tail = backup.tail_path(path, 60)
    content = bytearray(tail.read_bytes())
    content[len(content) // 2] ^= 0xFF
    tail.write_bytes(content)

    assert "a new snapshot takes its place" in restored(path, records, waiting)[0]
    assert backup.numbered(path, "snapshot")[-1] == 120


@pytest.mark.parametrize("bytes_cut", [1, 7, 200, 10_000_000])
def test_a_tail_that_was_torn_by_a_crash_is_nothing_to_tell_of(used, bytes_cut):
    """The store has what it lacks; a new snapshot takes its place all the same."""
    path, records, waiting = used
    tail = backup.tail_path(path, 60)
    tail.write_bytes(tail.read_bytes()[:-bytes_cut])

    assert restored(path, records, waiting) == []
    assert backup.numbered(path, "snapshot")[-1] == 120


def test_a_missing_write_ahead_log_is_noticed_by_a_torn_tail_too(used, tmp_path):
    """What of the tail is whole still shows how far it went."""
    path, _, _ = used
    store, _ = open_store(path)
    fill(store, load(store, KINDS), start=60, commits=10)
    copy = copied(path, tmp_path / "crashed")
    store.close()
    copy.with_name("twins.db-wal").unlink()
    tail = backup.tail_path(copy, 60)
    tail.write_bytes(tail.read_bytes()[:-1])
    store, findings = open_store(copy)
    store.close()

    assert "but entry 138 was accepted" in findings[0]


def test_a_damaged_store_is_left_alone_if_asked(used):
    """With "stop" a person decides."""
    path, _, _ = used
    path.write_bytes(b"\0" * 5000)
    with pytest.raises(DamagedStoreError, match="it was left as it is"):
        open_store(path, on_damage="stop")

    assert path.read_bytes() == b"\0" * 5000


def test_a_damaged_store_without_a_snapshot_is_left_alone(used):
    """It is never replaced by an empty one."""
    path, _, _ = used
    content = path.read_bytes()[:9000]
    path.write_bytes(content)
    for each in backup.numbered(path, "snapshot"):
        backup.snapshot_path(path, each).write_bytes(b"nonsense")
    with pytest.raises(DamagedStoreError, match="no whole snapshot"):
        open_store(path)

    assert path.read_bytes() == content


def test_a_second_damaged_store_gets_a_name_of_its_own(used):
    """None is overwritten."""
    path, records, waiting = used
    path.write_bytes(b"one")
    restored(path, records, waiting)
    path.write_bytes(b"two")
    open_store(path).store.close()

    assert path.with_name("twins.db.damaged-1").read_bytes() == b"one"
    assert path.with_name("twins.db.damaged-2").read_bytes() == b"two"


def test_damage_while_it_runs_stops_the_store(path):
    """Nothing is accepted any more; at the next start it is restored."""
    store, _ = open_store(path)
    records = fill(store, Records(), commits=60)
    store.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    store.connection.execute("PRAGMA cache_size = 0").fetchall()
    with path.open("r+b") as file:
        for page in range(1, path.stat().st_size // PAGE_BYTES):
            file.seek(page * PAGE_BYTES)
            file.write(b"\xff" * 100)
    transaction = Transaction(records, 99.0)
    for number in range(TWINS):
        transaction.put("counter", f"thing-{number}", Counter(thing=f"thing-{number}"))
    with pytest.raises(BrokenStoreError, match="is damaged"):
        store.commit([transaction])
    with pytest.raises(BrokenStoreError):
        store.commit([])
    store.close()


def test_what_was_restored_can_be_used_by_twins(used):
    """The sequence goes on where it was."""
    path, _, _ = used
    path.unlink()
    store, _ = open_store(path)
    twins = Twins([Counters()], load(store, KINDS))
    transaction = Transaction(twins.records, 200.0)
    transaction.put("counter", "new", Counter(thing="new"))
    store.commit([transaction])

    assert store.bounds() == (61, 121, 200.0)
    assert next(iter(state_at(store, KINDS, 60)), None) is not None
    store.close()
