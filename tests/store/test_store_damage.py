import pytest
from counting import Counter, Counters
from filled import KINDS, TWINS, copied, dict_of, fill, outbox

from twin.service import backup
from twin.service.opening import DamagedStoreError, open_store
from twin.state.journal import BrokenStoreError, load, state_at
from twin.state.records import Records, Transaction
from twin.state.twins import Twins

PAGE_BYTES = 16_384


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
    for number, place in enumerate(range(5, size, size // 120)):
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
