"""The client's end of MQTT over WebSocket (RFC 6455, MQTT section 6), sans-IO: bytes to bytes.

MQTT --wrap--> frames ~~~> broker ~~~> frames --feed--> MQTT
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from typing import Final

from twin.mqtt.codec import CodecError

ACCEPT_SUFFIX: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, section 1.3
HEADER_LIMIT_BYTES: Final = 16_384
CONTROL_LIMIT_BYTES: Final = 125
CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
FINAL, MASKED = 0x80, 0x80


class WebSocketError(CodecError):
    """What came is not WebSocket, or not for MQTT: close the connection."""


class WebSocket:
    """One connection. Send `opening` first; what `answers` holds is to be sent too."""

    def __init__(self, authority: str, path: str) -> None:
        self._authority, self._path = authority, path
        self._key = base64.b64encode(secrets.token_bytes(16))
        self._rest = bytearray()
        self._opcode = BINARY
        self._remaining_bytes = 0
        self.is_open = False
        self.is_closed = False
        self._answers = bytearray()

    def opening(self) -> bytes:
        """The HTTP request that asks for the WebSocket."""
        lines = (
            f"GET {self._path} HTTP/1.1",
            f"Host: {self._authority}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Key: {self._key.decode()}",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Protocol: mqtt",
        )
        return "\r\n".join([*lines, "", ""]).encode()

    def wrap(self, data: bytes) -> bytes:
        """MQTT bytes as one frame."""
        return _frame(BINARY, data)

    def answers(self) -> bytes:
        """What is to be sent because of what came: pongs, and the answer to a close."""
        found = bytes(self._answers)
        self._answers.clear()
        return found

    def feed(self, data: bytes) -> bytes:
        """The MQTT bytes in what came; raise WebSocketError for what is no WebSocket."""
        self._rest += data
        if not self.is_open and not self._opened():
            return b""
        found = bytearray()
        while self._rest and not self.is_closed:
            if self._remaining_bytes:
                part = self._rest[: self._remaining_bytes]
                del self._rest[: len(part)]
                self._remaining_bytes -= len(part)
                found += part
            elif not self._frame_begins():
                break
        return bytes(found)

    def _opened(self) -> bool:
        """Whether the broker's answer to `opening` is here, and takes us."""
        end = self._rest.find(b"\r\n\r\n")
        if end < 0:
            if len(self._rest) > HEADER_LIMIT_BYTES or not b"HTTP/1.1 ".startswith(self._rest[:9]):
                raise WebSocketError(f"its answer begins with {bytes(self._rest[:16])!r}, which is no HTTP")
            return False
        first, *lines = self._rest[:end].decode("latin-1").split("\r\n")
        del self._rest[: end + 4]
        self._check(first, {name.strip().lower(): value.strip() for name, _, value in map(_parted, lines)})
        self.is_open = True
        return True

    def _check(self, first: str, headers: dict[str, str]) -> None:
        words = first.split(None, 2)
        if words[:2] != ["HTTP/1.1", "101"]:
            raise WebSocketError(f"no WebSocket at {self._path}: it answers {first[:60]!r}")
        expected = base64.b64encode(
            hashlib.sha1(self._key + ACCEPT_SUFFIX, usedforsecurity=False).digest()
        ).decode()
        if headers.get("sec-websocket-accept") != expected:
            raise WebSocketError("its answer is not to our request for a WebSocket")
        if headers.get("sec-websocket-protocol", "mqtt") != "mqtt":
            raise WebSocketError(f"its WebSocket speaks {headers['sec-websocket-protocol']!r}, not 'mqtt'")

    def _frame_begins(self) -> bool:
        """Take the next frame's header, or all of a control frame; False while it is incomplete."""
        if len(self._rest) < 2:
            return False
        first, second = self._rest[0], self._rest[1]
        opcode, length, start = first & 0x0F, second & 0x7F, 2
        if second & MASKED or first & 0x70:
            raise WebSocketError("a frame that no server may send")
        if length > CONTROL_LIMIT_BYTES:
            start += 2 if length == 126 else 8
            if len(self._rest) < start:
                return False
            length = int.from_bytes(self._rest[2:start], "big")
        if opcode in {CONTINUATION, BINARY}:
            self._remaining_bytes = length
            del self._rest[:start]
            return True
        return self._control(opcode, start, length)

    def _control(self, opcode: int, start: int, length: int) -> bool:
        if opcode not in {CLOSE, PING, PONG} or length > CONTROL_LIMIT_BYTES:
            raise WebSocketError(f"a frame of type {opcode}; MQTT goes in binary frames")
        if len(self._rest) < start + length:
            return False
        payload = bytes(self._rest[start : start + length])
        del self._rest[: start + length]
        if opcode == PING:
            self._answers += _frame(PONG, payload)
        elif opcode == CLOSE:
            self._answers += _frame(CLOSE, payload[:2])
            self.is_closed = True
        return True


def _parted(line: str) -> tuple[str, str, str]:
    return line.partition(":")


def _frame(opcode: int, data: bytes) -> bytes:
    """One whole frame, masked as a client's must be."""
    length = len(data)
    if length <= CONTROL_LIMIT_BYTES:
        head = bytes([FINAL | opcode, MASKED | length])
    elif length < 65_536:
        head = bytes([FINAL | opcode, MASKED | 126]) + length.to_bytes(2, "big")
    else:
        head = bytes([FINAL | opcode, MASKED | 127]) + length.to_bytes(8, "big")
    key = secrets.token_bytes(4)
    return head + key + masked(data, key)


def masked(data: bytes, key: bytes) -> bytes:
    """The data with the key laid over it again and again (section 5.3)."""
    length = len(data)
    pattern = (key * (length // 4 + 1))[:length]
    return (int.from_bytes(data, "big") ^ int.from_bytes(pattern, "big")).to_bytes(length, "big")
