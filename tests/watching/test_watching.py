"""One replication in wall time, at many times its speed, with orders while it runs."""

import json
import threading
import time

import msgspec
import pytest
import yaml

from scenarios.by_hand import shortened, with_timeline, without_fire
from scenarios.control import ask
from scenarios.judging.runner import replicate
from scenarios.replaying.running import choose, replay_stored
from scenarios.replaying.trajectory import decode
from scenarios.results import encode
from scenarios.shipped import load
from scenarios.store import Store
from scenarios.watching.control import read_speed
from scenarios.watching.desk import desk_of
from scenarios.watching.figures import MOST_POINTS, Course, Figure
from scenarios.watching.running import Watching, WatchPlan
from twin.errors import InputError

pytestmark = [pytest.mark.waits, pytest.mark.timeout(120)]

SITE = """
scenario: 1
title: Two sites
sites: {site: {metro: singapore}, cloud: {metro: ashburn}}
fleets:
  meters: {device: periodic, count: 20, at: site, via: gateway, link: nb-iot, every: 5 s}
nodes:
  gateway: {kind: gateway, at: site}
  broker: {kind: mqtt_broker, at: cloud}
  database: {kind: database, runs_on: broker}
  app: {kind: application, at: cloud, database: database, station: {service: 50 ms, law: exponential}}
  manager: {kind: user, at: site, application: app, every: 2 s}
links:
  - {name: uplink, between: [gateway, broker], path: wan, access: gpon, tls: "1.3", qos: 1}
timeline:
  - {at: 100 s, for: 20 s, fault: crash, node: database}
requirements:
  - {name: answered, expect: p95(request => response) < 2 s}
run: {duration: 240 s}
"""


class Session:
    """A watched run in a thread of its own, and its desk."""

    def __init__(self, scenario, root, plan):
        self.watching = Watching(root, scenario, plan, lambda *_: None)
        self.folder = self.watching.folder
        self.found = None
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()
        self.until((self.folder / "watch.json").exists)

    def _run(self):
        self.found = self.watching.run()

    def until(self, is_so, timeout_s=60.0):
        for _ in range(int(timeout_s / 0.02)):
            if is_so():
                return
            time.sleep(0.02)
        raise AssertionError(f"it never was so; {self.progress if self.folder.exists() else 'no folder'}")

    def order(self, do, what=""):
        return ask(desk_of(self.folder), do, what)

    @property
    def progress(self):
        return json.loads((self.folder / "progress.json").read_text())

    def end(self):
        self.thread.join(90.0)
        assert self.found is not None
        return self.found


@pytest.fixture
def begin(tmp_path):
    sessions = []

    def make(variant="", text=SITE, *, has_fire=True, duration_s=None, **options):
        if text:
            path = tmp_path / "two.scenario.yaml"
            path.write_text(text)
            scenario = load(path)
        else:
            scenario = load("car_park_fire")
        chosen = scenario.variant(variant) if variant else scenario.variants[0]
        chosen = chosen if has_fire else without_fire(chosen)
        plan = WatchPlan(chosen if duration_s is None else shortened(chosen, duration_s), **options)
        sessions.append(Session(scenario, tmp_path / "runs", plan))
        return sessions[-1]

    yield make
    for session in sessions:
        session.watching.stop()
        session.thread.join(30.0)


def as_found(outcome):
    """What follows from scenario, variant and seed."""
    return msgspec.structs.replace(outcome, wall_s=0.0, series={}, chains={})


def test_without_orders_it_is_the_replication_to_the_bit(begin):
    """The pace, the files and the recorder change nothing."""
    session = begin(speed=600.0, seed=3)
    found = session.end()

    assert found.found.is_whole
    assert as_found(found.found.outcome) == as_found(replicate(session.watching.plan.variant, 3))


def test_what_was_ordered_is_repeated_by_its_timeline_to_the_bit(begin):
    """Cuts, losses drawn at random, kills and restarts, at times that somebody chose."""
    session = begin(speed=40.0, seed=5)
    session.until(lambda: session.progress["at_s"] > 20)
    session.order("degrade", "uplink delay 300ms 60ms loss 20%")
    session.order("kill", "gateway")
    time.sleep(0.3)
    session.order("restart", "gateway")
    session.order("cut", "uplink")
    time.sleep(0.3)
    session.order("heal")
    session.until(
        lambda: session.progress["at_s"] > 100
    )  # while the scenario's own crash holds the database down
    session.order("kill", "database")
    time.sleep(0.7)
    session.order("restart", "database")
    session.order("begin", "{fault: surge, link: uplink, delay: 100 ms, deviation: 30 ms, for: 20 s}")
    session.order("speed", "600")
    found = session.end()

    written = yaml.safe_load((session.folder / "timeline.yaml").read_text())["timeline"]
    assert [entry["fault"] for entry in written] == ["netem", "crash", "partition", "crash", "surge"]
    variant = session.watching.plan.variant
    again = replicate(with_timeline(variant, written), 5)
    assert as_found(again) == as_found(found.found.outcome)
    assert as_found(again) != as_found(replicate(variant, 5))
    assert again.tally.lost != {}


def test_who_joins_late_is_told_since_when_it_is_so(begin):
    """A cut and a killed node with the time at which they began, as long as they stand."""
    session = begin(speed=40.0)
    session.until(lambda: session.progress["at_s"] > 10)
    assert session.progress["since"] == {}
    cut_s = session.order("cut", "uplink")["at_s"]
    killed_s = session.order("kill", "gateway")["at_s"]
    session.until(lambda: session.progress["at_s"] > killed_s + 20)
    assert session.progress["since"] == {"uplink": cut_s, "uplink/back": cut_s, "gateway": killed_s}
    session.order("restart", "gateway")
    session.order("heal")
    session.until(lambda: session.progress["since"] == {})
    session.order("speed", "600")
    session.end()


def test_a_fire_by_order_is_repeated_by_its_timeline_to_the_bit(begin):
    """The building burns from the moment that somebody chose."""
    session = begin("edge", "", has_fire=False, speed=60.0)
    session.until(lambda: session.progress["at_s"] > 30)
    assert session.progress["fire"] is None
    session.order("fire", "L2-B030")
    session.order("cut", "uplink")
    session.order("speed", "600")
    found = session.end()

    assert session.progress["fire"]["bay"] == "L2-B030"
    assert found.found.outcome.budget["detect"] > 10
    again = replicate(with_timeline(session.watching.plan.variant, found.happened), 1)
    assert as_found(again) == as_found(found.found.outcome)


def test_its_folder_is_enough_to_replay_it(begin):
    """Without the fire that the file has, shorter than it, and with what was done by hand."""
    session = begin("edge", "", has_fire=False, duration_s=300.0, speed=60.0)
    session.until(lambda: session.progress["at_s"] > 20)
    session.order("fire", "L2-B030")
    session.order("kill", "gateway")
    session.order("speed", "600")
    session.end()

    folder, manifest = Store(session.folder.parent).find("latest")
    choice = choose(folder, manifest, variant=None, seed=None, requirement=None)
    found = replay_stored(folder, choice)

    assert found.is_same
    assert found.document.fire[0] == "L2-B030"
    kept = json.loads((folder / "replays" / choice.name / "replay.json").read_text())
    assert list(kept["requirements"]) == json.loads(encode(found.document.requirements))
    assert (folder / "replays" / choice.name / "trajectory.bin.gz").read_bytes() == found.trajectory


def test_it_tells_how_it_goes_while_it_goes_on(begin):
    """Time, figures, links, nodes, requirements and events, in files that are always whole."""
    session = begin(speed=20.0)
    session.until(lambda: session.progress["at_s"] > 10)
    session.order("cut", "uplink")
    session.order("kill", "app")
    session.until(lambda: session.progress["nodes"])
    early = session.progress
    session.order("stop")
    found = session.end()

    assert early["links"] == {"uplink": "cut", "uplink/back": "cut"}
    assert early["nodes"] == {"app": "down"}
    assert early["standing"] == ["cut uplink", "kill app"]
    assert {"messages sent", "messages delivered", "messages lost"} <= {
        each["name"] for each in early["kpis"]
    }
    assert early["requirements"][0]["state"] in {"open", "met so far"}
    assert len(early["course"]["at_s"]) == len(early["course"]["values"]["messages sent"])
    events = [json.loads(line) for line in (session.folder / "events.jsonl").read_text().splitlines()]
    assert [event["text"] for event in events if event["kind"] == "order"] == [
        "uplink is cut",
        "app is killed",
    ]
    assert not found.found.is_whole
    assert session.progress["is_over"]
    assert session.progress["state"] == "interrupted"
    assert Store(session.folder.parent).find("latest")[1].state == "interrupted"


def test_it_leaves_a_replay_with_its_trajectory(begin):
    """As a replay of a stored run is."""
    session = begin("edge", "", speed=600.0, duration_s=120.0)
    session.until((session.folder / "trajectory.part").exists)
    session.until(lambda: session.progress["at_s"] > 90)
    header, frames = decode((session.folder / "trajectory.part").read_bytes())
    session.end()

    kept = session.folder / "replays" / "edge-1"
    whole, all_frames = decode((kept / "trajectory.bin.gz").read_bytes())
    assert header.agents == whole.agents == {"cars": 150, "people": 360}
    assert len(frames.x) > 2 * 80
    assert (all_frames.x[: len(frames.x)] == frames.x).all()
    document = json.loads((kept / "replay.json").read_text())
    assert (document["state"], document["has_scene"]) == ("whole", True)
    assert json.loads((session.folder / "scene.json").read_text())["state"] == "running"


def test_time_stands_still_goes_on_and_goes_faster(begin):
    """While it stands, orders are done all the same."""
    session = begin(speed=10.0, is_paused=True)
    session.until(lambda: session.progress["is_paused"])
    at_s = session.order("status")["at_s"]
    time.sleep(0.3)
    session.order("cut", "uplink")
    assert session.order("status")["at_s"] == pytest.approx(at_s, abs=0.5)
    assert session.order("status")["standing"] == ["cut uplink"]
    session.order("resume")
    time.sleep(0.5)
    slow_s = session.order("status")["at_s"] - at_s
    session.order("speed", "100x")
    time.sleep(0.5)
    fast_s = session.order("status")["at_s"] - at_s - slow_s

    assert 3 < slow_s < 12
    assert fast_s > 4 * slow_s


@pytest.mark.parametrize(
    ("do", "what", "sentence"),
    [
        ("cut", "uplnk", "did you mean 'uplink'"),
        ("heal", "uplink", "nothing is cut or degraded by hand at 'uplink'"),
        ("kill", "gatway", "did you mean 'gateway'"),
        ("fire", "L2-B001", "there is no building"),
        ("speed", "fast", "expected a number from 0.1 to 1000"),
        ("degrade", "uplink latency 3 s", "netem"),
        ("end", "partition", "no fault 'partition' was begun here"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(begin, do, what, sentence):
    """And the run goes on."""
    session = begin(speed=1.0)
    with pytest.raises(InputError, match=sentence):
        session.order(do, what)
    assert session.order("status")["standing"] == []


@pytest.mark.parametrize(("text", "speed"), [("20", 20.0), ("2.5x", 2.5), (" 100x ", 100.0)])
def test_a_speed_is_a_number(text, speed):
    """With or without the sign of times."""
    assert read_speed(text) == speed


def test_a_folder_of_another_run_takes_no_orders(tmp_path):
    """One sentence says so."""
    with pytest.raises(InputError, match="no watched run that takes orders"):
        desk_of(tmp_path)


def test_a_course_stays_short_and_begins_with_what_was():
    """However long the run; a figure that comes later has had its first value before."""
    course = Course()
    for number in range(10_000):
        late = [Figure("late", 3.0)] if number > 50 else []
        course.add(number * 1.0, [Figure("count", float(number)), *late])

    assert len(course.at_s) <= MOST_POINTS
    assert course.at_s[0] == 0.0
    assert course.values["count"] == course.at_s
    assert set(course.values["late"]) == {3.0}
    assert len(course.values["late"]) == len(course.at_s)
