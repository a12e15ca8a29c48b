"""MQTT clients in loops that are not theirs: the pacer of a live run, and asyncio."""

import asyncio
import sys
import time

import pytest

from twin.errors import InputError
from twin.live.drive import profile_of
from twin.live.endpoint import endpoint
from twin.live.hosting import in_asyncio, in_pacer
from twin.live.pacer import SocketPacer
from twin.live.paho_client import PahoClients
from twin.mqtt.fleet.device import Listener, Profile
from twin.mqtt.fleet.engine import FleetEngine
from twin.mqtt.fleet.feed import Feed
from twin.mqtt.fleet.schedule import periodic, until
from twin.mqtt.fleet.stamp import stamped

clients = sys.modules["live_clients"]
pytestmark = pytest.mark.live


def connected(make, port, heard):
    """An engine with a listener that is to subscribe, and a speaker, both still to connect."""
    engine = make(Listener(received=lambda _, delivery: heard.append(delivery.payload)))
    profile = Profile(host="127.0.0.1", port=port, reconnect_min_s=0.1, keep_alive_s=1.0)
    name = f"hosting-{time.monotonic_ns()}"
    pair = [engine.add(f"{name}-{role}", profile) for role in ("listener", "speaker")]
    engine.subscribe(pair[0], name, 1)
    return engine, *pair, name


@pytest.mark.parametrize("make", clients.ENGINES.values(), ids=clients.ENGINES)
def test_the_pacer_carries_clients_between_the_events_of_the_kernel(make, mosquitto_port):
    """Messages arrive while the pacer waits; keep-alive goes on; the pacer is not late for it."""
    pacer, heard = SocketPacer(), []
    engine, listener, speaker, topic = connected(make, mosquitto_port, heard)
    end = in_pacer(engine, pacer)
    for device in (listener, speaker):
        engine.connect(device)

    pacer.wait_until(pacer.now + 0.5)
    engine.publish(speaker, topic, b"hello", 1)
    pacer.wait_until(pacer.now + 3.0)

    assert heard == [b"hello"]
    assert listener.is_up
    assert speaker.is_up
    end()
    engine.close()
    pacer.close()


def test_a_feed_in_the_pacer_is_on_time(mosquitto_port):
    """Its due times wake the pacer, not only sockets."""
    pacer, heard = SocketPacer(), []
    engine, listener, speaker, topic = connected(FleetEngine, mosquitto_port, heard)
    end = in_pacer(engine, pacer)
    for device in (listener, speaker):
        engine.connect(device)
    pacer.wait_until(pacer.now + 0.5)

    engine.feed(Feed([speaker], until(periodic(1, 0.02), 0.999), lambda _: topic, stamped(), engine.now))
    pacer.wait_until(pacer.now + 1.3)

    assert len(heard) == 50
    assert engine.tally.lateness.quantile(0.5) < 0.02
    end()
    engine.close()
    pacer.close()


@pytest.mark.parametrize("make", clients.ENGINES.values(), ids=clients.ENGINES)
def test_asyncio_carries_clients(make, mosquitto_port):
    """Beside other tasks."""
    heard, ticks = [], []

    async def tick():
        while True:
            ticks.append(1)
            await asyncio.sleep(0.01)

    async def main():
        engine, listener, speaker, topic = connected(make, mosquitto_port, heard)
        end = in_asyncio(engine, asyncio.get_running_loop())
        other = asyncio.create_task(tick())
        for device in (listener, speaker):
            engine.connect(device)
        for _ in range(200):
            if listener.granted and speaker.is_up:
                break
            await asyncio.sleep(0.02)
        engine.publish(speaker, topic, b"hello", 1)
        await asyncio.sleep(2.5)
        assert listener.is_up
        other.cancel()
        end()
        engine.close()

    asyncio.run(main())

    assert heard == [b"hello"]
    assert len(ticks) > 100


def test_clients_on_another_selector_have_no_file_of_their_own():
    """They are watched one by one."""
    pacer = SocketPacer()
    paho = PahoClients(watcher=pacer)

    with pytest.raises(InputError, match="another selector"):
        paho.fileno()
    paho.close()
    pacer.close()


def test_a_fleet_does_not_speak_websocket():
    """It says what it speaks."""
    with pytest.raises(InputError, match="mqtt:// or mqtts://, not ws://"):
        profile_of(endpoint("ws://127.0.0.1:80"))
