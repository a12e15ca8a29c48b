"""Changing a live run while it runs."""

import threading
import time

import pytest
import yaml

from scenarios.control import Desk, ask
from scenarios.live import run_live
from scenarios.live_control import LiveControl
from scenarios.shipped import load
from twin.errors import InputError
from twin.service.brokers import broker

pytestmark = [pytest.mark.live, pytest.mark.alone, pytest.mark.timeout(120)]

SITE = """
scenario: 1
sites: {here: {metro: singapore}, cloud: {metro: singapore}}
fleets:
  lamps:
    device: shadow_device
    count: 2
    at: here
    via: broker
    link: {medium: ethernet, path: wan, transport: tcp, keep_alive: 1 s}
    properties: {lamp: {values: ["off", "on"]}}
nodes:
  broker: {kind: mqtt_broker, at: cloud}
  twin: {kind: twin, runs_on: broker}
  manager: {kind: operator, runs_on: broker, wishes: [{at: 5 s, things: "lamps-*", set: {lamp: "on"}}]}
requirements:
  - {name: followed, expect: max(desired -> wish_followed) < 5 s}
run: {duration: 12 s}
"""


@pytest.fixture
def session(tmp_path):
    """Run the site live in a thread; orders go through a socket file."""
    path = tmp_path / "site.scenario.yaml"
    path.write_text(SITE)
    started, desks, result, said = threading.Event(), [], {}, []

    def play(links):
        with broker("mosquitto") as running:

            def on_start(run):
                control = LiveControl(
                    run.assembly,
                    run.pacer,
                    run.level,
                    run.fleets,
                    {"broker": running},
                    lambda *each: said.append(each),
                )
                result["control"] = control
                desks.append(Desk(tmp_path / "desk", run.pacer.call, control.actions))
                started.set()

            bound = {"broker": running.endpoint}
            result["run"] = run_live(load(path).variants[0], bound, links=links, on_start=on_start)

    def begin(links="in-driver"):
        thread = threading.Thread(target=play, args=(links,), daemon=True)
        thread.start()
        assert started.wait(20.0)
        return lambda do, what="": ask(tmp_path / "desk", do, what), lambda: (thread.join(60.0), result)[1]

    yield begin
    for desk in desks:
        desk.close()


@pytest.mark.parametrize("links", ["in-driver", "proxy"])
def test_a_cut_by_hand_delays_what_is_wished_meanwhile(session, links):
    """The line is dead from before the wish until after it; the wish is followed after the heal."""
    order, wait = session(links)
    time.sleep(3.0)
    order("begin", "{fault: partition, between: [here, cloud]}")
    assert order("status")["standing"] == ["partition"]
    time.sleep(3.0)
    order("end", "partition")
    found = wait()

    samples = found["run"].outcome.latencies["desired to wish_followed"]
    assert len(samples) == 2
    assert min(samples) > 0.5
    (entry,) = yaml.safe_load(found["control"].timeline_text)["timeline"]
    assert entry["fault"] == "partition"
    assert float(entry["for"].split()[0]) == pytest.approx(3.0, abs=0.7)


def test_a_broker_that_is_killed_comes_back_on_its_port(session):
    """The devices connect again by their own rules, and follow the wish."""
    order, wait = session()
    time.sleep(1.5)
    assert order("kill")["killed"] == "broker"
    time.sleep(0.5)
    assert order("restart", "broker")["restarted"] == "broker"
    found = wait()

    assert sum(found["run"].ended_connections.values()) >= 3
    assert found["run"].outcome.judgements["followed"].is_met
    assert [entry["fault"] for entry in found["control"].happened] == ["crash"]


def test_a_pause_takes_no_time_of_the_run(session):
    """The run's clock stands still, and the run is in real time all the same."""
    order, wait = session()
    begun = time.monotonic()
    time.sleep(1.0)
    before_s = order("pause")["at_s"]
    time.sleep(2.0)
    assert order("status")["is_paused"]
    assert order("resume")["at_s"] == pytest.approx(before_s, abs=0.1)
    found = wait()

    assert time.monotonic() - begun > 13.5
    assert found["run"].timeliness.is_real_time
    assert found["run"].outcome.duration_s == 12.0


def test_what_cannot_be_done_is_one_sentence(session):
    """And the run goes on."""
    order, wait = session()
    with pytest.raises(InputError, match="no fault 'partition' was begun here"):
        order("end", "partition")
    with pytest.raises(InputError, match="no node 'app' is a real broker; these are: broker"):
        order("kill", "app")
    with pytest.raises(InputError, match="did you mean 'partition'"):
        order("begin", "{fault: partiton}")
    order("stop")
    assert not wait()["run"].is_whole
