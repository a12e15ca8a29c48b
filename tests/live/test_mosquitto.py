"""Our broker and client machines against a real mosquitto: same script, same deliveries.

A script is played twice by the same `ClientSession`s: on our `Broker` in virtual time, and on mosquitto
over sockets, where the codec carries the packets. After each step a barrier makes sure that all has
arrived: every client publishes a marker to itself and waits for it, until a round brought nothing new.

The standard leaves open, so these differences are levelled before comparing:

- overlapping subscriptions of one client deliver once or once each [MQTT-3.3.5-1]: copies of one
  publication count as one, at their greatest QoS;
- what a lost answer leads to where subscriptions overlap, and copies with different QoS or retain flags
  meet: such scripts are not written;
- the order of messages with different QoS or from different publishers [MQTT-4.6.0-5, -6]: order is
  compared for each receiver, publisher and QoS, and topic if subscriptions may overlap;
- the order of retained messages that greet a subscription (section 3.3.1.3): compared as a set;
- the member of a shared subscription that gets a message (MQTT 5, section 4.8.2): all members together;
- whether QoS 0 is kept for a client that is away [MQTT-3.1.2-5]: both brokers give it up.

Where mosquitto 2.0.11 itself leaves the standard our broker keeps to it, and scripts go around:

- it keeps the will of a connection that is taken over to itself, against [MQTT-3.1.2-8] and MQTT 5, 3.1.4-3;
- it sends retained messages to new shared subscriptions, against MQTT 5, section 4.8.2;
- it ignores new options of a subscription that is there already, against [MQTT-3.8.4-3];
- it does not look at overlapping filters' greatest QoS unless `allow_duplicate_messages` is on.

`WINDTUNNEL_LIVE_SCRIPTS` sets the number of scripts (default 200; `.ci/run` plays 2,000).
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import pytest
from live_scripts import Author, Timekeeper
from live_stage import difference

SCRIPTS = int(os.environ.get("WINDTUNNEL_LIVE_SCRIPTS", "200"))
TIMED_SHARE = 10
PARTS = 8
TIMED_PARTS = max(1, SCRIPTS // 500)
ACTORS = 50

pytestmark = [pytest.mark.live, pytest.mark.timeout(300)]


@pytest.mark.parametrize("part", range(PARTS))
def test_untimed_scripts_are_served_alike(mosquitto_port, part):
    """Connect, subscribe, publish, kill, take over, come back: the same deliveries from both brokers."""
    count = SCRIPTS * (TIMED_SHARE - 1) // TIMED_SHARE
    found = (difference(Author(seed), mosquitto_port) for seed in range(part, count, PARTS))
    assert not (report := next((each for each in found if each), "")), report


@pytest.mark.parametrize("part", range(TIMED_PARTS))
def test_timed_scripts_are_served_alike(mosquitto_port, part):
    """Keep-alive, session expiry, message expiry, will delay: the same end from both brokers."""
    authors = [
        Timekeeper(seed) for seed in range(part, max(SCRIPTS // TIMED_SHARE, TIMED_PARTS), TIMED_PARTS)
    ]
    with ThreadPoolExecutor(ACTORS) as pool:
        found = list(pool.map(lambda author: difference(author, mosquitto_port), authors))
    assert not (report := next((each for each in found if each), "")), report
