import json
import sqlite3

import msgspec
import pytest

from twin.message import Message
from twin.service import backup
from twin.service.opening import open_store
from twin.service.postgres_store import PostgresStore
from twin.service.writer import Writer
from twin.state.records import Transaction
from twin.state.registry.things import Thing
from twin.state.standard import standard_twins
from twin.state.telemetry import Telemetry
from windtunnel.cli import run_command_line

BEGAN_S = 1_790_000_000.0


def keep(store):
    """Two things with shadows, one with telemetry and an event."""
    twins = standard_twins()

    def handle(topic, said, now_s):
        store.commit([twins.handle(Message(topic, msgspec.json.encode(said)), now_s)])

    transaction = Transaction(twins.records, BEGAN_S)
    transaction.put("thing", "gate-1", Thing(name="gate-1", type="boom_gate", site="yard"))
    store.commit([transaction])
    handle("$aws/things/gate-1/shadow/update", {"state": {"reported": {"gate": "closed"}}}, BEGAN_S + 1.0)
    handle("$aws/things/gate-2/shadow/update", {"state": {"reported": {"gate": "closed"}}}, BEGAN_S + 2.0)
    handle("$aws/things/gate-1/shadow/update", {"state": {"reported": {"gate": "open"}}}, BEGAN_S + 3.0)
    transaction = Transaction(twins.records, BEGAN_S + 4.0)
    values = {
        "gate": ["open", BEGAN_S + 3.5, BEGAN_S + 4.0],
        "event/forced": [{"by": "car"}, 5.0, BEGAN_S + 4.0],
    }
    record = msgspec.convert({"values": values}, Telemetry)
    transaction.put("telemetry", "gate-1", record)
    transaction.note("audit", "gate-1", {"who": "me"})
    store.commit([transaction])
    return twins


@pytest.fixture
def path(tmp_path):
    """A store of two gates."""
    store, _ = open_store(tmp_path / "twins.db")
    keep(store)
    store.close()
    return tmp_path / "twins.db"


@pytest.fixture
def run(capsys):
    """Runs `windtunnel twin ...`; gives the exit code and what was printed."""

    def call(*arguments):
        code = run_command_line(["twin", *map(str, arguments)])
        shown = capsys.readouterr()
        return code, shown.out + shown.err

    return call


def test_a_store_is_shown_as_a_whole(run, path):
    """How many records there are, and how far the journal reaches."""
    code, shown = run("show", path, "--json")

    assert code == 0
    assert json.loads(shown)["shadow"] == 2
    assert json.loads(shown)["entries"].startswith("1 to ")


def test_a_thing_is_shown_with_all_that_is_known_of_it(run, path):
    """Now or at an earlier moment."""
    now = json.loads(run("show", path, "gate-1", "--json")[1])
    then = json.loads(run("show", path, "gate-1", "--at", f"{BEGAN_S + 2}s", "--json")[1])

    assert now["shadow gate-1"]["state"]["reported"] == {"gate": "open"}
    assert then["shadow gate-1"]["state"]["reported"] == {"gate": "closed"}
    assert {"thing gate-1", "telemetry gate-1"} <= now.keys()
    assert run("show", path, "nobody") == (2, "nothing is known of 'nobody'\n")


def test_the_history_of_a_thing_is_shown(run, path):
    """Oldest first, from one moment to another."""
    whole = json.loads(run("history", path, "gate-1", "--json")[1])
    part = json.loads(
        run("history", path, "gate-1", "--from", f"{BEGAN_S + 2}s", "--to", f"{BEGAN_S + 3}s", "--json")[1]
    )

    assert [each["kind"] for each in whole if each["kind"] in ("thing", "shadow", "audit")] == [
        "thing", "shadow", "shadow", "audit",
    ]  # fmt: skip
    assert {each["at_s"] for each in part} == {BEGAN_S + 3.0}
    assert "2026-09-21" in run("history", path, "gate-1")[1]


def test_telemetry_can_be_exported_for_rules(run, path, tmp_path):
    """As the device said it: readings in one line, an event in its own."""
    run("journal", path, "--export", tmp_path / "out.jsonl")
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]

    assert lines == [
        {
            "at_s": BEGAN_S + 4.0,
            "topic": "site/yard/boom_gate/gate-1/telemetry",
            "payload": {"ts": 1790000003500, "gate": "open"},
        },
        {
            "at_s": BEGAN_S + 4.0,
            "topic": "site/yard/boom_gate/gate-1/event/forced",
            "payload": {"ts": 5000, "by": "car"},
        },
    ]


def test_every_entry_can_be_exported(run, path, tmp_path):
    """With its sequence."""
    run("journal", path, "--export", tmp_path / "out.jsonl", "--all")
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]

    assert [line["sequence"] for line in lines] == list(range(1, len(lines) + 1))
    assert "journal/shadow/gate-2" in [line["topic"] for line in lines]
    code, shown = run("journal", path)
    assert code == 0
    assert f"entries 1 to {len(lines)}" in shown


def test_a_healthy_store_passes_the_check(run, path):
    """The journal leads to the records."""
    code, shown = run("check", path)

    assert code == 0
    assert "all is well" in shown


@pytest.mark.parametrize(
    ("spoil", "what"),
    [
        (
            "UPDATE journal SET entries = CAST(replace(entries, 'open', 'shut') AS BLOB) WHERE first > 3",
            "are damaged",
        ),
        ("UPDATE record SET record = CAST(replace(record, 'open', 'shut') AS BLOB)", "checksum"),
        ("DELETE FROM journal WHERE last = 2", "are missing"),
        ("DELETE FROM record WHERE subject = 2", "is another than the journal leads to"),
    ],
)
def test_a_spoilt_store_fails_the_check(run, path, spoil, what):
    """Every kind of damage is named, and the exit code says so."""
    connection = sqlite3.connect(path)
    connection.execute(spoil)
    connection.commit()
    connection.close()
    code, shown = run("check", path)

    assert code == 1
    assert what in shown


def test_a_damaged_snapshot_fails_the_check(run, path):
    """It would be needed one day."""
    snapshot = backup.snapshot_path(path, backup.numbered(path, "snapshot")[0])
    snapshot.write_bytes(snapshot.read_bytes()[:-3])

    assert "snapshot at 0 is damaged" in run("check", path)[1]


def test_a_file_that_sqlite_cannot_read_fails_the_check(run, path):
    """As --help says: the store is not as it should be, which is no mistake of whoever asks."""
    middle = path.stat().st_size // 2
    with path.open("r+b") as file:
        file.seek(middle)
        file.write(b"\xff" * middle)

    assert run("check", path)[0] == 1


def test_a_snapshot_can_be_taken(run, path):
    """Of a store that nobody has open."""
    code, shown = run("snapshot", path)

    assert code == 0
    assert int(shown.split()[-1]) == backup.numbered(path, "snapshot")[-1] > 0
    assert run("check", path)[0] == 0


def test_two_moments_can_be_compared(run, path):
    """Value by value."""
    shown = run("diff", path, "--from", f"{BEGAN_S + 2}s", "--to", f"{BEGAN_S + 3}s")[1]

    assert "reported.gate" in shown
    assert '"closed" in' in shown
    assert '"open" in now' in run("diff", path, "--from", f"{BEGAN_S + 2}s")[1]
    assert run("diff", path, "--from", "now")[1] == "nothing differs\n"


def test_a_store_in_use_can_be_read_but_not_snapshot(run, path):
    """Reading keeps nobody waiting; writing is the service's."""
    store, _ = open_store(path)
    twins = keep(store)
    writer = Writer(twins, store, lambda *_: None, lambda: BEGAN_S + 9.0, since_s=BEGAN_S + 9.0)
    writer.start()
    try:
        assert run("show", path)[0] == 0
        assert run("check", path)[0] == 0
        assert run("history", path, "gate-1")[0] == 0
        code, shown = run("snapshot", path)
        assert code == 2
        assert "is in use" in shown
        writer.offer(Message("$aws/things/gate-1/shadow/update", b'{"state":{"reported":{"gate":"x"}}}'))
    finally:
        writer.stop()
    assert writer.counts.kept == 1


def test_what_is_no_store_is_refused(run, tmp_path):
    """In one sentence."""
    assert run("show", tmp_path / "nothing.db")[0] == 2
    (tmp_path / "letter").write_text("dear all")
    code, shown = run("show", tmp_path / "letter")
    assert code == 2
    assert "is no store of windtunnel" in shown


@pytest.mark.live
def test_a_store_in_postgres_is_looked_into_like_a_file(run, postgres_url):
    """The same commands, with its URL."""
    store = PostgresStore(postgres_url)
    keep(store)
    store.close()

    assert json.loads(run("show", postgres_url, "--json")[1])["shadow"] == 2
    assert run("check", postgres_url)[0] == 0
    assert run("snapshot", postgres_url)[0] == 0
    assert "reported.gate" in run("diff", postgres_url, "--from", f"{BEGAN_S + 2}s")[1]
