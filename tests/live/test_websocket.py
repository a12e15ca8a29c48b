"""MQTT over WebSocket: frames and bytes, whatever pieces they come in."""

import base64
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin.live.websocket import WebSocket, WebSocketError, masked

GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def answer(web, **changed):
    """What a server answers to the request."""
    lines = dict(line.split(": ", 1) for line in web.opening().decode().split("\r\n")[1:] if line)
    accept = base64.b64encode(
        hashlib.sha1((lines["Sec-WebSocket-Key"] + GUID).encode(), usedforsecurity=False).digest()
    ).decode()
    headers = {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Accept": accept,
        "Sec-WebSocket-Protocol": "mqtt",
    } | changed
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 101 Switching Protocols\r\n{head}\r\n".encode()


def server_frame(opcode, data, is_final=True):
    """An unmasked frame, as servers send it."""
    first = bytes([(0x80 if is_final else 0) | opcode])
    if len(data) < 126:
        return first + bytes([len(data)]) + data
    if len(data) < 65_536:
        return first + b"\x7e" + len(data).to_bytes(2, "big") + data
    return first + b"\x7f" + len(data).to_bytes(8, "big") + data


def unframed(data):
    """Opcode and payload of one client frame, as a server reads it; what follows it."""
    length, start = data[1] & 0x7F, 2
    if length >= 126:
        start += 2 if length == 126 else 8
        length = int.from_bytes(data[2:start], "big")
    key, payload = data[start : start + 4], data[start + 4 : start + 4 + length]
    assert data[0] & 0x80
    assert data[1] & 0x80, "a client masks"
    return data[0] & 0x0F, bytes(each ^ key[place % 4] for place, each in enumerate(payload))


@pytest.fixture
def web():
    """An open one."""
    web = WebSocket("broker:80", "/mqtt")
    assert web.feed(answer(web)) == b""
    assert web.is_open
    return web


def test_the_request_is_that_of_the_standard():
    """RFC 6455, section 4.1, and the subprotocol that MQTT asks for."""
    request = WebSocket("broker:8080", "/mqtt?x=1").opening().decode()

    assert request.startswith("GET /mqtt?x=1 HTTP/1.1\r\nHost: broker:8080\r\n")
    assert "\r\nSec-WebSocket-Protocol: mqtt\r\n" in request
    assert request.endswith("\r\n\r\n")


@given(st.lists(st.binary(max_size=300), max_size=8), st.lists(st.integers(1, 60), max_size=40))
def test_bytes_come_whole_in_whatever_pieces(parts, sizes):
    """Frames, their fragments and pings between them may be cut anywhere."""
    web = WebSocket("broker:80", "/")
    stream = answer(web)
    for place, part in enumerate(parts):
        half = len(part) // 2
        stream += server_frame(0x2, part[:half], is_final=False) + server_frame(0x9, b"%d" % place)
        stream += server_frame(0x0, part[half:])
    found, answers = b"", b""
    for size in [*sizes, len(stream)]:
        piece, stream = stream[:size], stream[size:]
        found += web.feed(piece)
        answers += web.answers()

    assert found == b"".join(parts)
    assert answers.count(b"\x8a") >= len(parts)


@pytest.mark.parametrize("size", [0, 125, 126, 65_535, 65_536, 300_000])
def test_what_is_sent_is_one_masked_frame(web, size):
    """Each of the three forms of a length, at both of its ends."""
    data = bytes(range(256)) * (size // 256 + 1)

    assert unframed(web.wrap(data[:size])) == (0x2, data[:size])
    assert web.feed(server_frame(0x2, data[:size])) == data[:size]


@given(st.binary(max_size=100), st.binary(min_size=4, max_size=4))
def test_masking_twice_is_no_masking(data, key):
    """It is an exclusive or."""
    assert masked(masked(data, key), key) == data
    assert len(masked(data, key)) == len(data)


def test_a_ping_is_answered_and_a_close_too(web):
    """With what the ping said, and with the reason of the close."""
    assert web.feed(server_frame(0x9, b"here?")) == b""
    assert unframed(web.answers()) == (0xA, b"here?")
    assert web.feed(server_frame(0x8, b"\x03\xe8bye") + b"more") == b""
    assert web.is_closed
    assert unframed(web.answers()) == (0x8, b"\x03\xe8")


@pytest.mark.parametrize(
    ("said", "because"),
    [
        (b"HTTP/1.1 404 Not Found\r\n\r\n", "no WebSocket at /mqtt: it answers 'HTTP/1.1 404 Not Found'"),
        (b"\x20\x02\x00\x00", "no HTTP"),
        (b"SSH-2.0-OpenSSH\r\n", "no HTTP"),
        (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", "not to our request"),
    ],
)
def test_what_is_no_websocket_is_said_to_be_none(said, because):
    """A sentence each."""
    with pytest.raises(WebSocketError, match=because):
        WebSocket("broker:80", "/mqtt").feed(said)


def test_a_websocket_for_something_else_is_refused():
    """One that speaks another protocol."""
    web = WebSocket("broker:80", "/mqtt")
    with pytest.raises(WebSocketError, match="speaks 'chat', not 'mqtt'"):
        web.feed(answer(web, **{"Sec-WebSocket-Protocol": "chat"}))


@pytest.mark.parametrize("frame", [b"\x81\x01a", b"\x82\x81keyka", b"\xc2\x01a", b"\x89\x7e\x00\x80"])
def test_frames_that_no_broker_may_send_end_the_connection(web, frame):
    """Text, masked, with reserved bits, a ping that is too long."""
    with pytest.raises(WebSocketError):
        web.feed(frame)
