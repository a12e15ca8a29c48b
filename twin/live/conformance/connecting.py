"""Checks of connecting: who gets in, who does not, and when a connection ends."""

from __future__ import annotations

import struct
import time

from twin.live.conformance.bench import Bench, check, need
from twin.live.conformance.verdicts import Failed
from twin.message import Message

UNKNOWN_LEVEL = 99
WRONG_VERSION = (0x01, 0x84)
WRONG_ID = (0x02, 0x85)
TAKEN_OVER = 0x8E
KEEP_ALIVE_S = 2
LONGEST_SILENCE_S = 8.0


@check("connect", "3.2.2", is_quick=True)
def connect(bench: Bench) -> None:
    """A client with a clean session gets in, and the broker says that it holds no session of it."""
    connack = bench.client().connect()
    need(not connack.is_session_present, "CONNACK says that a session is present")


@check("connect-version", "3.1.2.2", is_quick=True)
def connect_version(bench: Bench) -> str:
    """A CONNECT of a version that does not exist is refused."""
    client = bench.client()
    client.open()
    body = b"\0\4MQTT" + bytes([UNKNOWN_LEVEL, 2]) + b"\0\x3c"
    body += (b"\0" if bench.version == "5" else b"") + b"\0\1a"
    client.send_bytes(bytes([0x10, len(body)]) + body)
    closed = client.closes(2.0)
    said = bytes(client.received[:4])
    need(said[:1] != b"\x20" or said[3] in WRONG_VERSION, f"it answers {said!r}")
    need(closed or said, "it neither answers nor closes within 2 s")
    return "with CONNACK" if said else "closes without CONNACK"


@check("connect-twice", "3.1", is_quick=True)
def connect_twice(bench: Bench) -> None:
    """A second CONNECT on a connection ends it."""
    client = bench.connected()
    body = b"\0\4MQTT" + bytes([5 if bench.version == "5" else 4, 2]) + b"\0\x3c"
    body += (b"\0" if bench.version == "5" else b"") + b"\0\1a"
    client.send_bytes(bytes([0x10, len(body)]) + body)
    need(client.closes(3.0), "the connection stays open")


@check("connect-first", "3.1", is_quick=True)
def connect_first(bench: Bench) -> None:
    """Whoever begins with another packet than CONNECT is not served."""
    client = bench.client()
    client.open()
    client.send(Message("", kind="pingreq"))
    client.closes(1.0)
    need(not client.received, f"PINGREQ before CONNECT is answered with {bytes(client.received[:8])!r}")


@check("connect-no-id", "3.1.3.1", is_quick=True)
def connect_no_id(bench: Bench) -> None:
    """An empty client id is taken with a clean session."""
    client = bench.client()
    client.client_id = ""
    client.connect()
    client.ping()


@check("connect-no-id-kept", "3.1.3.1", versions=("3.1.1",), is_quick=True)
def connect_no_id_kept(bench: Bench) -> None:
    """An empty client id is refused where a session is to be kept."""
    client = bench.client()
    client.client_id = ""
    connack = client.ask(is_clean=False)
    need(connack is None or connack.return_code in WRONG_ID, "it is accepted")


@check("ping", "3.12", is_quick=True)
def ping(bench: Bench) -> None:
    """PINGREQ is answered."""
    bench.connected().ping()


@check("keep-alive-off", "3.1.2.10", is_quick=True)
def keep_alive_off(bench: Bench) -> None:
    """Keep-alive 0 turns it off: the client may be silent as long as it likes."""
    client = bench.client()
    client.connect(keep_alive_s=0)
    need(not client.closes(1.5), "the broker closes the connection")
    client.ping()


@check("keep-alive", "3.1.2.10")
def keep_alive(bench: Bench) -> str:
    """A client that is silent for one and a half times its keep-alive is disconnected."""
    client = bench.client()
    client.connect(keep_alive_s=KEEP_ALIVE_S)
    begin_s = time.monotonic()
    is_closed = client.closes(LONGEST_SILENCE_S)
    after_s = time.monotonic() - begin_s
    need(is_closed, f"it is still connected after {after_s:.1f} s of a keep-alive of {KEEP_ALIVE_S} s")
    need(after_s > KEEP_ALIVE_S, f"it is closed after {after_s:.1f} s of a keep-alive of {KEEP_ALIVE_S} s")
    return f"after {after_s:.1f} s of {KEEP_ALIVE_S} s"


@check("takeover", "3.1.4", is_quick=True)
def takeover(bench: Bench) -> None:
    """Who connects with a client id that is connected takes its place."""
    first, second = bench.connected(), bench.client()
    second.connect()
    need(first.closes(3.0), "the first connection stays open")
    second.ping()


@check("takeover-says", "4.13", versions=("5",), is_quick=True)
def takeover_says(bench: Bench) -> None:
    """Whose place is taken is told so: DISCONNECT with reason 0x8E."""
    first, second = bench.connected(), bench.client()
    second.connect()
    first.closes(3.0)
    need(
        first.goodbye_code == TAKEN_OVER,
        f"the reason is {first.goodbye_code:#04x}"
        if first.goodbye_code
        else "the connection ends without DISCONNECT",
    )


@check("qos-3", "3.3.1.2", is_quick=True)
def qos_3(bench: Bench) -> None:
    """A PUBLISH with QoS 3 ends the connection."""
    client = bench.connected()
    topic = bench.topic().encode()
    body = struct.pack(">H", len(topic)) + topic + b"\0\1" + (b"\0" if bench.version == "5" else b"")
    client.send_bytes(bytes([0x36, len(body)]) + body)
    need(client.closes(3.0), "the connection stays open")


@check("publish-wildcard", "3.3.2.1", is_quick=True)
def publish_wildcard(bench: Bench) -> str:
    """A PUBLISH to a topic name with a wildcard reaches nobody."""
    watcher, client = bench.watcher(bench.topic("#")), bench.connected("b")
    client.send_publish(bench.topic("+"), b"x")
    try:
        watcher.listen(0.8)
    except Failed:  # a topic name with a wildcard is no packet that we decode
        raise Failed("it is delivered") from None
    need(not watcher.inbox, "it is delivered")
    return "closes" if client.closes(0.2) else "ignores it"


@check("many-clients", "3.1.4")
def many_clients(bench: Bench) -> None:
    """A message to a topic with 200 subscribers reaches each of them."""
    topic = bench.topic()
    watchers = [bench.watcher(topic, f"w{number}") for number in range(200)]
    bench.connected("p").publish(topic, b"to all")
    missing = 0
    for watcher in watchers:
        try:
            watcher.messages(1)
        except Failed:
            missing += 1
    need(not missing, f"{200 - missing} of 200 got it")
