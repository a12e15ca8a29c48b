"""Locust's own MqttUser beside a fleet as a Locust user: processor time a message, and a broker that freezes.

    python tests/benchmarks/locust_mqtt.py cost       processor time for each message at QoS 1, interleaved
    python tests/benchmarks/locust_mqtt.py freeze     what each reports of a broker frozen for 2 s of 14
    python tests/benchmarks/locust_mqtt.py devices    10,000 devices in one Locust process

Every measurement is a process of its own against a mosquitto of ours. Processor time is that of the process
from the moment all are connected, so wall-clock noise of the machine matters little.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CLIENTS, PAYLOAD_BYTES = 300, 100
PACED_S, FLOOD_S = 0.3, {"MqttUser": 0.03, "FleetUser": 0.006, "FleetUser with delivery": 0.006}
"""Periods: 1,000 messages/s, and more than each can do."""
FREEZE_CLIENTS, FREEZE_AT_S, FREEZE_S, FREEZE_RUN_S = 20, 6.0, 2.0, 14.0
SCENARIO = """\
scenario: 1
title: Benchmark
sites:
  town: {{metro: singapore}}
fleets:
  meters:
    device: periodic
    count: {count}
    at: town
    via: gateway
    link: ethernet
    every: {period_ms} ms
    payload: {size} B
    qos: 1
nodes:
  gateway: {{kind: gateway, at: town}}
  broker: {{kind: mqtt_broker, at: town}}
"""


# processes that measure ----------------------------------------------------------------------------------


def mqtt_user(port, count, period_s, duration_s, *, is_closed):
    """Locust's MqttUser; with `is_closed` each user waits for the PUBACK before its next message."""
    import gevent
    from locust import constant_throughput, events, task
    from locust.contrib.mqtt import MqttUser
    from locust.env import Environment

    to_port = port

    class Meter(MqttUser):
        host, port, use_loop_selectors = "127.0.0.1", to_port, True
        wait_time = constant_throughput(1.0 / period_s)

        def on_start(self):
            while not self.client.is_connected():
                gevent.sleep(0.05)

        @task
        def publish(self):
            sent = self.client.publish("town/meters", b"x" * PAYLOAD_BYTES, 1)
            while is_closed and not sent.is_published():
                gevent.sleep(0.002)

    environment = Environment(user_classes=[Meter], events=events)
    runner = environment.create_local_runner()
    runner.start(count, spawn_rate=count)
    gevent.sleep(5.0)
    entry = next(each for key, each in environment.stats.entries.items() if key[0].startswith("publish"))
    was, cpu_s = entry.num_requests, time.process_time()
    entry.reset()
    print("ready", flush=True)
    gevent.sleep(duration_s)
    cpu_s, count = time.process_time() - cpu_s, entry.num_requests
    told = {"messages": count, "cpu_us": cpu_s / count * 1e6, "before": was}
    for share in (0.5, 0.9, 0.99):
        told[f"p{share * 100:g}_ms"] = entry.get_response_time_percentile(share)
    print(json.dumps(told), flush=True)
    os._exit(0)


def fleet_user(port, count, period_s, duration_s, *, has_delivery):
    """A fleet as one Locust user."""
    import gevent
    from locust import events
    from locust.env import Environment

    from loadtests.fleet_load import Stage
    from loadtests.fleet_user import FleetUser
    from loadtests.plan import plan_of
    from loadtests.reporting import report
    from loadtests.roster import roster_of

    class Meters(FleetUser):
        """The fleet."""

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "benchmark.scenario.yaml"
        text = SCENARIO.format(count=count, period_ms=round(period_s * 1000), size=PAYLOAD_BYTES)
        path.write_text(text, "utf-8")
        options = argparse.Namespace(
            scenario=str(path), variant="", devices=0, sharing=1, ramp="", links="none",
            ca="", cert="", key="",
            publish_for=f"{duration_s} s", no_delivery=not has_delivery, client_prefix="load-", load_seed=1,
        )  # fmt: skip
        plan = plan_of(options, f"mqtt://127.0.0.1:{port}")
        roster = roster_of(plan.variant)
    environment = Environment(user_classes=[Meters], events=events)
    reporter = report(environment, lambda: (plan, roster))
    runner = environment.create_local_runner()
    began_s, cpu_s = time.monotonic(), time.process_time()
    runner.start(1, spawn_rate=1)
    while not reporter.loads or reporter.loads[0].stage is Stage.CONNECTING:
        gevent.sleep(0.02)
    connect_s, connect_cpu_s = time.monotonic() - began_s, time.process_time() - cpu_s
    cpu_s = time.process_time()
    print("ready", flush=True)
    while reporter.loads[0].stage is not Stage.DONE:
        gevent.sleep(0.1)
    cpu_s = time.process_time() - cpu_s
    figures = reporter.whole().figures
    told = {
        "messages": figures.account.acknowledged, "cpu_us": cpu_s / figures.account.acknowledged * 1e6,
        "connected": figures.most_up, "connect_s": connect_s, "connect_cpu_us": connect_cpu_s / count * 1e6,
        "lost": figures.account.lost, "delivered": figures.account.delivered,
        "late_p99_ms": figures.lateness.quantile(0.99) * 1e3,
    }  # fmt: skip
    for share in (0.5, 0.9, 0.99):
        told[f"p{share * 100:g}_ms"] = round(figures.acknowledgement.quantile(share) * 1e3, 2)
    print(json.dumps(told), flush=True)
    os._exit(0)


# the rounds ----------------------------------------------------------------------------------------------


def measured(kind, port, count, period_s, duration_s, freeze=None):
    """What a process of this kind found; `freeze` is called when it is ready."""
    command = [sys.executable, __file__, "one", kind, str(port), str(count), str(period_s), str(duration_s)]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT
    )
    try:
        for line in process.stdout:
            if line.strip() == "ready" and freeze is not None:
                freeze()
            if line.startswith("{"):
                return json.loads(line)
    finally:
        process.kill()
        process.wait()
    raise SystemExit(f"{kind} ended without results")


def cost(rounds):
    """Processor time for each message, interleaved: at a moderate pace, and as fast as each can."""
    from twin.service.brokers import broker

    found = {(pace, kind): [] for pace in ("paced", "flood") for kind in FLOOD_S}
    with broker("mosquitto") as running:
        for _ in range(rounds):
            for (pace, kind), rows in found.items():
                period_s = PACED_S if pace == "paced" else FLOOD_S[kind]
                rows.append(measured(kind, running.endpoint.port, CLIENTS, period_s, 5.0))
    print(f"{CLIENTS} clients, QoS 1, {PAYLOAD_BYTES} bytes, medians of {rounds} rounds")
    for (pace, kind), rows in found.items():
        middle, other = (
            statistics.median(each["cpu_us"] for each in found[pace, which]) for which in (kind, "MqttUser")
        )
        count = statistics.median(each["messages"] for each in rows)
        print(
            f"  {pace}  {kind:<24} {middle:7.1f} us a message, {other / middle:5.1f} x less;"
            f" {count:,.0f} messages"
        )


def freeze():
    """What each reports of the same freeze."""
    from twin.service.brokers import broker

    def stop(pid):
        time.sleep(FREEZE_AT_S)
        os.kill(pid, signal.SIGSTOP)
        time.sleep(FREEZE_S)
        os.kill(pid, signal.SIGCONT)

    print(f"{FREEZE_CLIENTS} clients, 10 messages/s each; broker frozen {FREEZE_S:g} s of {FREEZE_RUN_S:g} s")
    with broker("mosquitto") as running:
        for kind in ("MqttUser closed", "FleetUser"):
            row = measured(
                kind, running.endpoint.port, FREEZE_CLIENTS, 0.1, FREEZE_RUN_S, lambda: stop(running.pid)
            )
            quantiles = "  ".join(f"p{share} {row[f'p{share}_ms']:8.1f} ms" for share in (50, 90, 99))
            print(f"  {kind:<16} {row['messages']:6,} messages  {quantiles}")


def devices(count):
    """Many devices in one Locust process, each with a message every ten seconds."""
    from twin.service.brokers import broker

    with broker("mosquitto") as running:
        row = measured("FleetUser with delivery", running.endpoint.port, count, 10.0, 20.0)
    print(
        f"{row['connected']:,} of {count:,} devices connected and subscribed in {row['connect_s']:.1f} s"
        f" ({row['connect_cpu_us']:.0f} us each); {row['messages']:,} messages at {row['cpu_us']:.1f} us,"
        f" p50 {row['p50_ms']} ms, p99 {row['p99_ms']} ms, generator late p99 {row['late_p99_ms']:.2f} ms,"
        f" lost {row['lost']}"
    )


def main():
    """Run one of the three, or one process of a measurement."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("cost", "freeze", "devices", "one"))
    parser.add_argument("rest", nargs="*")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--count", type=int, default=10_000)
    options = parser.parse_args()
    if options.what == "one":
        import locust  # noqa: F401  (patches before all else)

        kind, port, count, period_s, duration_s = options.rest
        numbers = int(port), int(count), float(period_s), float(duration_s)
        if kind.startswith("MqttUser"):
            mqtt_user(*numbers, is_closed="closed" in kind)
        fleet_user(*numbers, has_delivery="delivery" in kind)
    elif options.what == "cost":
        cost(options.rounds)
    elif options.what == "freeze":
        freeze()
    else:
        devices(options.count)


if __name__ == "__main__":
    main()
