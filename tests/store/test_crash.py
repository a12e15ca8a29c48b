"""SIGKILL at a hundred random moments: what was accepted is there, whole, and goes on."""

import os
import select
import signal
import time
from collections import defaultdict

import msgspec
import pytest
from counting import Counter
from crashing import THINGS, Service, run_until_killed

from twin.kernel.randomness import Streams
from twin.state.journal import Wanted, load, state_at, walk

KILLS = 100
LONGEST_LIFE_S = 0.3
LONGEST_START_S = 30.0


def live_and_die(path, seed, life_s, *, is_from_ready):
    """Run the service in a process, kill it so long after its start or first word, return what it said."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(reading)
            run_until_killed(path, seed, writing)
        finally:
            os._exit(1)
    os.close(writing)
    said = bytearray()
    ends_s = time.monotonic() + (LONGEST_START_S if is_from_ready else life_s)
    while (left_s := ends_s - time.monotonic()) > 0.0:
        if select.select([reading], [], [], left_s)[0]:
            part = os.read(reading, 1 << 16)
            if not part:
                break  # it died by itself
            if is_from_ready and not said:
                ends_s = time.monotonic() + life_s
            said += part
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    while part := os.read(reading, 1 << 16):
        said += part
    os.close(reading)
    return said.decode().splitlines()


def finish(path, lines):
    """The last start: what waits is published, time goes on, and every thing ends its job."""
    now_s = [time.time() + 10.0]
    service = Service(path, lines.append, lambda: now_s[0])
    for _ in range(60):
        now_s[0] += 60.0
        for thing in THINGS:
            service.work_on_job(thing)
        service.writer.submit(lambda _: None).result(30.0)
    service.writer.stop()
    return service


@pytest.fixture(scope="module")
def crashed(tmp_path_factory):
    """What a hundred killed services said, and the store that they left."""
    path = tmp_path_factory.mktemp("crash") / "twins.db"
    draws, lines = Streams(2026).stream("crash", "moments"), []
    for number in range(KILLS):
        life_s = draws.uniform(0.002, LONGEST_LIFE_S)
        lines += live_and_die(path, number + 1, life_s, is_from_ready=number % 2 == 0)
    finish(path, lines)
    said = defaultdict(list)
    for line in lines:
        what, _, rest = line.partition(" ")
        said[what].append(rest)
    service = Service(path, lines.append)
    yield said, service
    service.writer.stop()


pytestmark = [
    pytest.mark.slow,
    pytest.mark.live,
    pytest.mark.timeout(300),
    pytest.mark.xdist_group("crash"),
    pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and SIGKILL"),
]


def test_no_accepted_update_is_lost(crashed):
    """Neither one of a shadow nor one of another component."""
    said, service = crashed
    reported, counts, pairs = defaultdict(set), defaultdict(set), set()
    for entry in walk(service.store, Wanted()):
        if entry.what == "put" and entry.kind == "shadow":
            reported[entry.key].add(msgspec.json.decode(entry.record)["state"]["reported"]["n"])
        elif entry.what == "put" and entry.kind == "counter":
            count = msgspec.json.decode(entry.record, type=Counter).count
            counts[entry.key].add(count)
            pairs |= {count} if entry.key == "left" else set()

    updates = [line.split() for line in said["update"]]
    assert len(updates) > 5 * KILLS
    assert [each for each in updates if int(each[1]) not in reported[each[0]]] == []
    assert [each for each in said["pair"] if int(each) not in pairs] == []
    counted = [line.split() for line in said["count"]]
    assert [each for each in counted if int(each[1]) not in counts[each[0]]] == []


def test_no_transaction_is_torn(crashed):
    """All entries of each are there, in order, and records that change together agree."""
    _, service = crashed
    expected, last, left = 1, 0, {}
    for entry in walk(service.store, Wanted()):
        assert entry.sequence == expected
        assert entry.last == last or expected == last + 1
        expected, last = expected + 1, entry.last
        if entry.key in ("left", "right"):
            left[entry.key] = entry.record
            if entry.key == "right":
                assert left["left"].replace(b"left", b"right") == entry.record
    assert last == expected - 1 == service.store.bounds().last


def test_versions_have_no_gap_and_every_accepted_one_was_published(crashed):
    """At least once, also when the service was killed between the commit and the publication."""
    said, service = crashed
    versions = defaultdict(list)
    for entry in walk(service.store, Wanted(kind="shadow")):
        versions[entry.key].append(msgspec.json.decode(entry.record)["version"])
    published = {tuple(line.split()) for line in said["published"]}

    assert set(versions) == set(THINGS)
    for thing, found in versions.items():
        assert found == list(range(1, len(found) + 1))
        assert [each for each in found if (thing, str(each)) not in published] == []


def test_no_alarm_is_forgotten(crashed):
    """Every one that was raised stands."""
    said, service = crashed
    raised = {tuple(line.split()) for line in said["alarm"]}
    standing = service.twins.records.of("alarm")

    assert len(raised) > KILLS / 2
    assert [each for each in raised if not standing["/".join(each)].is_active] == []


def test_windows_and_jobs_go_on(crashed):
    """A deadline comes after the restart, a rule fires for what it knew, an interrupted campaign ends."""
    said, service = crashed
    counters = service.twins.records.of("counter")
    job = service.twins.records.get("job", "fleet")

    assert all(each.is_resting for each in counters.values() if each.thing not in ("left", "right"))
    assert len(said["hot"]) > KILLS / 2
    alarms = service.twins.records.of("alarm")
    assert [thing for thing in set(said["hot"]) if not alarms[f"{thing}/heat"].is_active] == []
    assert [thing for thing in set(said["hot"]) if "said" not in alarms[f"{thing}/busy"].text] == []
    assert job.status == "COMPLETED"
    assert job.counts["SUCCEEDED"] == len(THINGS)


def test_the_journal_and_the_records_agree(crashed):
    """Replayed from its beginning it leads to what is loaded."""
    said, service = crashed
    store, kinds = service.store, service.twins.kinds

    assert list(state_at(store, kinds, store.bounds().last)) == list(load(store, kinds))
    assert said["finding"] == []
    assert said["trouble"] == []
    assert len(said["ready"]) > KILLS / 4
