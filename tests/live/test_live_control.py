"""Changing a live run while it runs."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import pytest
import yaml

from scenarios.by_hand import with_timeline
from scenarios.control import Desk, ask
from scenarios.format.loading import parse
from scenarios.judging.runner import replicate
from scenarios.live import run_live
from scenarios.live_control import LiveControl
from scenarios.shipped import load
from scenarios.wiring.vocabulary import Vocabulary
from twin.errors import InputError
from twin.service.brokers import broker

pytestmark = [pytest.mark.live, pytest.mark.waits, pytest.mark.timeout(120)]

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

    def begin(links="in-driver", site=SITE):
        path.write_text(site)
        thread = threading.Thread(target=play, args=(links,), daemon=True)
        thread.start()
        assert started.wait(20.0)
        return lambda do, what="": ask(tmp_path / "desk", do, what), lambda: (thread.join(60.0), result)[1]

    begin.running = lambda: result["control"].brokers["broker"]
    yield begin
    for desk in desks:
        desk.close()


@pytest.mark.parametrize(
    ("links", "fault", "aim"),
    [
        ("in-driver", "partition", "between: [here, cloud]"),
        ("proxy", "partition", "between: [here, cloud]"),
        ("proxy", "region_outage", "site: cloud"),
    ],
)
@pytest.mark.slow
def test_a_cut_by_hand_delays_what_is_wished_meanwhile(session, links, fault, aim):
    """The line is dead from before the wish until after it; the wish is followed after the heal."""
    order, wait = session(links)
    time.sleep(3.0)
    order("begin", f"{{fault: {fault}, {aim}}}")
    assert order("status")["standing"] == [fault]
    time.sleep(3.0)
    order("end", fault)
    found = wait()

    samples = found["run"].outcome.latencies["desired to wish_followed"]
    assert len(samples) == 2
    assert min(samples) > 0.5
    (entry,) = yaml.safe_load(found["control"].timeline_text)["timeline"]
    assert entry["fault"] == fault
    assert float(entry["for"].split()[0]) == pytest.approx(3.0, abs=0.7)


METERS = """
scenario: 1
sites: {here: {metro: singapore}, cloud: {metro: singapore}}
fleets:
  meters: {device: periodic, count: 20, at: here, via: gateway, link: ethernet, every: 500 ms}
nodes:
  gateway: {kind: gateway, at: here}
  broker: {kind: mqtt_broker, at: cloud}
links:
  - {between: [gateway, broker], path: wan, access: gpon, qos: 1}
run: {duration: 4 s}
"""


def test_by_hand_simulated_links_fail_as_well_as_those_on_the_wire(session):
    """As a fault of the timeline does: behind the gateway nothing is on the wire of the proxy."""
    order, wait = session("proxy", METERS)
    time.sleep(1.0)
    order("begin", "{fault: burst, link: meters, loss: 100 %}")
    found = wait()

    assert sum(found["run"].outcome.tally.lost.values()) > 50


@contextmanager
def on_packets(tmp_path, site=SITE):
    """The site live with packets on the links, as a program of its own; gives the orders, and the end."""
    path, desk = tmp_path / "site.scenario.yaml", tmp_path / "desk"
    path.write_text(site)
    command = [sys.executable, "-m", "windtunnel", "live", str(path), "--broker", "mosquitto", "--json"]
    options = ["--links", "tun", "--control", str(desk), "--runs", str(tmp_path / "runs")]
    started = subprocess.Popen(
        [*command, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    with started as child:
        limit_s = time.monotonic() + 20.0
        while not desk.exists() and child.poll() is None and time.monotonic() < limit_s:
            time.sleep(0.05)
        try:
            yield lambda do, what="": ask(desk, do, what), lambda: child.communicate(timeout=60.0)
        finally:
            child.terminate()


def timeline_in(folder):
    """What the run wrote down."""
    (path,) = folder.glob("runs/*/timeline.yaml")
    return yaml.safe_load(path.read_text("utf-8"))["timeline"]


@pytest.mark.slow
def test_a_cut_by_hand_stops_real_packets_and_can_be_played_again(tmp_path):
    """The kernel's own TCP waits for the heal; the written timeline does the same in virtual time."""
    with on_packets(tmp_path) as (order, wait):
        time.sleep(2.0)
        order("cut", "here,cloud")
        assert order("status")["standing"] == ["cut here,cloud"]
        time.sleep(4.5)
        order("heal")
        out, said = wait()

    found = json.loads(out)
    assert found["links"] == "tun"
    (entry,) = timeline_in(tmp_path)
    assert entry["fault"] == "partition"
    assert float(entry["for"].split()[0]) == pytest.approx(4.5, abs=0.7)
    assert "here,cloud is cut" in said
    healed_s = sum(float(entry[key].split()[0]) for key in ("at", "for"))
    assert healed_s - 5.0 < found["metrics"]["desired_to_wish_followed"] < 6.0

    again = with_timeline(load(tmp_path / "site.scenario.yaml").variants[0], [entry])
    outcome = replicate(again, again.scenario.run.seed)
    assert outcome.metrics["desired_to_wish_followed"] > healed_s - 5.0


@pytest.mark.slow
def test_links_are_degraded_and_as_good_as_before_on_real_packets(tmp_path):
    """Packets are late while it lasts; each of two orders given at once is taken."""
    with on_packets(tmp_path) as (order, wait):
        time.sleep(2.0)
        order("degrade", "here,cloud delay 700ms")
        order("begin", "{fault: surge, between: [here, cloud], delay: 300 ms}")
        time.sleep(4.0)
        order("end", "surge")
        assert order("heal")["healed"] == ["degrade here,cloud"]
        out, _ = wait()

    assert 1.0 < json.loads(out)["metrics"]["desired_to_wish_followed"] < 3.0
    assert [each["fault"] for each in timeline_in(tmp_path)] == ["netem", "surge"]


@pytest.mark.slow
def test_a_name_that_does_not_resolve_keeps_devices_away_on_real_packets(tmp_path):
    """Whose connection broke gets none until the name is there again; then the wish reaches it."""
    with on_packets(tmp_path) as (order, wait):
        time.sleep(2.0)
        order("begin", "{fault: dns_error, node: broker}")
        order("kill", "broker")
        order("restart", "broker")
        time.sleep(5.0)
        ended_s = order("end", "dns_error")["at_s"]
        out, _ = wait()

    found = json.loads(out)
    assert found["ended_connections"]["connection refused"] >= 2
    assert ended_s - 5.0 < found["metrics"]["desired_to_wish_followed"]


@pytest.mark.slow
def test_a_name_that_does_not_resolve_keeps_devices_away_from_a_proxy(session):
    """As in the simulation: whose connection broke gets none until the name is there again."""
    order, wait = session("proxy")
    time.sleep(2.0)
    order("begin", "{fault: dns_error, node: broker}")
    order("begin", "{fault: conn_reset, link: lamps}")
    time.sleep(5.0)
    ended_s = order("end", "dns_error")["at_s"]
    found = wait()

    assert found["run"].ended_connections["connection reset"] > 2
    assert found["run"].outcome.metrics["desired_to_wish_followed"] > ended_s - 5.0


@pytest.mark.slow
def test_connections_on_real_packets_are_not_ours_to_end(tmp_path):
    """By hand or in the timeline it is one sentence."""
    refusal = "'conn_reset' ends connections, and with --links tun they are the operating system's own"
    with on_packets(tmp_path) as (order, _wait):
        with pytest.raises(InputError, match=refusal):
            order("begin", "{fault: conn_reset, link: lamps}")
        with pytest.raises(InputError, match="selects no node"):
            order("begin", "{fault: down, link: lamp}")
        order("stop")

    written = tmp_path / "with.scenario.yaml"
    written.write_text(SITE + "timeline: [{at: 1 s, fault: conn_reset, link: lamps}]\n")
    command = [sys.executable, "-m", "windtunnel", "live", str(written), "--broker", "mosquitto"]
    done = subprocess.run(
        [*command, "--links", "tun", "--runs", str(tmp_path / "none")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert refusal in done.stderr


@pytest.mark.slow
def test_a_broker_beyond_real_packets_is_killed_and_comes_back_there(tmp_path):
    """It stands in its namespace again, so that the devices find it."""
    with on_packets(tmp_path) as (order, wait):
        time.sleep(1.5)
        order("kill", "broker")
        time.sleep(0.5)
        assert order("restart", "broker")["restarted"] == "broker"
        out, _ = wait()

    assert json.loads(out)["requirements"]["followed"]["is_met"]


@pytest.mark.slow
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


@pytest.mark.slow
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


CUT_LATER = SITE + "timeline: [{at: 4 s, for: 3 s, fault: partition, between: [here, cloud]}]\n"
"""It is cut while the wish is told, which comes two seconds late; if it were cut sooner, it would not."""


@pytest.mark.slow
@pytest.mark.parametrize("links", ["in-driver", "proxy"])
def test_a_pause_stops_the_timeline_too(session, links):
    """Also where it acts on the wire, whose clock goes on."""
    order, wait = session(links, CUT_LATER)
    time.sleep(1.5)
    order("pause")
    time.sleep(5.0)
    order("resume")
    found = wait()

    assert 1.8 < found["run"].outcome.metrics["desired_to_wish_followed"] < 5.0


@pytest.mark.slow
def test_a_pause_stops_the_timeline_of_real_packets_too(tmp_path):
    """And what the cut has lost is counted for it."""
    with on_packets(tmp_path, CUT_LATER) as (order, wait):
        time.sleep(1.5)
        order("pause")
        time.sleep(5.0)
        order("resume")
        out, _ = wait()

    found = json.loads(out)
    assert 1.8 < found["metrics"]["desired_to_wish_followed"] < 5.0
    lost = found["lost_on_links"]
    assert {(each["window"], each["cause"]) for each in lost} == {("partition", "partition")}
    assert {each["link"] for each in lost} == {"lamps > broker", "broker > lamps"}
    (kept,) = tmp_path.glob("runs/*/live.json")
    assert json.loads(kept.read_text("utf-8"))["lost_on_links"] == lost


def test_what_cannot_be_done_is_one_sentence(session):
    """And the run goes on."""
    order, wait = session()
    order("kill")
    with pytest.raises(InputError, match="mosquitto of 'broker' is killed already; start it: restart broker"):
        order("kill", "broker")
    order("restart")
    os.kill(session.running().pid, signal.SIGKILL)
    order("restart")  # it had ended without an order
    with pytest.raises(InputError, match="no fault 'partition' was begun here"):
        order("end", "partition")
    with pytest.raises(InputError, match="no node 'app' is a real broker; these are: broker"):
        order("kill", "app")
    with pytest.raises(InputError, match="did you mean 'partition'"):
        order("begin", "{fault: partiton}")
    with pytest.raises(InputError, match="fault 'fire' does nothing without a figure; it takes: bay"):
        order("begin", "fire")
    with pytest.raises(
        InputError, match=r"fault 'partition' needs exactly one target of between, .*has none"
    ):
        order("begin", "partition")
    order("pause")
    order("cut", "lamps")
    order("heal")  # at once, as time stands still
    order("stop")
    found = wait()
    assert not found["run"].is_whole
    assert [entry["fault"] for entry in found["control"].happened] == ["crash", "crash", "partition"]
    again = parse(SITE + found["control"].timeline_text, catalogue=Vocabulary()).variants[0]
    assert len(again.scenario.timeline) == 3
