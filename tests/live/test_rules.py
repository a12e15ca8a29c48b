"""Rules on the wall clock behind a real broker fire as the replay of what arrived, at the same times."""

from __future__ import annotations

import json
import queue
import sys
import time
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

sys.path.insert(0, str(Path(__file__).parents[1] / "rules"))

from every_clause import RULES, firing_of, replayed

from twin.message import Message
from twin.state.rules.component import Rules
from twin.state.rules.program import compile_rules
from twin.state.twins import Twins

pytestmark = pytest.mark.live

COMPILED = compile_rules(RULES.format(scale="00m"))
AFTERWARDS_S = 1.2
CONNECT_LIMIT_S = 10.0


class Behind:
    """Twins behind a broker: what arrives is told with the time at which it was taken."""

    def __init__(self, port):
        self.found, self.heard = [], []
        rules = Rules(COMPILED, on_firing=lambda firing, _actions, _t: self.found.append(firing_of(firing)))
        self.twins = Twins([rules])
        self.arrived = queue.Queue(maxsize=10_000)
        ready = queue.Queue()
        self.client = Client(CallbackAPIVersion.VERSION2, client_id="rules")
        self.client.on_connect = lambda client, *_: client.subscribe([(f, 1) for f in self.twins.filters])
        self.client.on_subscribe = lambda *_: ready.put(None)
        self.client.on_message = self._take
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        ready.get(timeout=CONNECT_LIMIT_S)

    def _take(self, _client, _data, message):
        if not message.retain:  # what other tests have left at the broker they share
            self.arrived.put(message)

    def work(self, until_s, count):
        """Until then, or a while after so many messages."""
        while (now_s := time.time()) < until_s:
            due_s = min(self.twins.next_due_s(), until_s)
            try:
                message = self.arrived.get(timeout=max(0.0, due_s - now_s))
            except queue.Empty:
                self.twins.elapse(time.time())
                continue
            now_s = time.time()
            self.heard.append((now_s, message.topic, message.payload))
            self.twins.elapse(now_s)
            self.twins.handle(Message(message.topic, message.payload), now_s)
            if len(self.heard) == count:
                until_s = now_s + AFTERWARDS_S
        self.twins.elapse(now_s)
        return now_s

    def close(self):
        self.client.disconnect()
        self.client.loop_stop()


def say(port, random, count):
    """A client that says what random devices say, at random times, on a thread of its own."""
    client = Client(CallbackAPIVersion.VERSION2)
    client.connect("127.0.0.1", port)
    client.loop_start()
    for _ in range(count):
        thing, rest = "ab"[random.integers(2)], ("telemetry", "event/alarm")[int(random.random() < 0.2)]
        fields = {
            "temp": int(random.choice([20, 50, 70, 90])),
            "ts": round((time.time() - random.random() * 0.4) * 1000.0),
        }
        client.publish(f"site/s/sensor/{thing}/{rest}", json.dumps(fields), qos=1).wait_for_publish(5.0)
        time.sleep(float(random.choice([0.0, 0.02, 0.1, 0.35])))
    client.disconnect()
    client.loop_stop()


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_live_run_fires_as_its_replay(mosquitto_port, seed):
    """Same messages, same times of arrival: same firings, to the last digit of their times."""
    random, count = np.random.Generator(np.random.Philox(seed)), 30
    behind = Behind(mosquitto_port)
    speaker = Thread(target=say, args=(mosquitto_port, random, count), daemon=True)
    speaker.start()
    try:
        end_s = behind.work(time.time() + 60.0, count)
    finally:
        behind.close()
        speaker.join(timeout=10.0)

    assert len(behind.heard) == count
    assert behind.found == replayed(COMPILED, behind.heard, end_s)
    assert len({name for _, name, *_ in behind.found}) >= 6
