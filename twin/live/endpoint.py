"""Where a real broker is: a URL taken apart."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from twin.errors import InputError
from twin.mqtt.codec import Credentials
from twin.mqtt.packets import Version

PORTS: Final = {"mqtt": 1883, "mqtts": 8883, "ws": 80, "wss": 443}
FORM: Final = "mqtt://[user@]host[:port], mqtts://..., ws://... or wss://..."


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A broker's address and how to speak to it.

    `ca`, `certificate` and `key` are PEM files. A password comes from a file or the environment rather than
    from the URL, and is never shown. `dollar` and `has_keep_alive_off` say what the broker does not take
    (`twin.live.dialect`).
    """

    scheme: str
    host: str
    port: int
    path: str = "/mqtt"
    user: str = ""
    password: bytes = field(default=b"", repr=False)
    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    version: Version = "3.1.1"
    port_v5: int = 0
    dollar: str = "$"
    has_keep_alive_off: bool = True

    def speaking(self, version: Version) -> Endpoint:
        """The endpoint for this version, which some brokers have at a port of its own (`port_v5`)."""
        port = self.port_v5 if version == "5" and self.port_v5 else self.port
        return replace(self, version=version, port=port)

    @property
    def authority(self) -> str:
        """Host and port as they stand in a URL."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def is_tls(self) -> bool:
        """Whether the connection is encrypted."""
        return self.scheme in {"mqtts", "wss"}

    @property
    def is_websocket(self) -> bool:
        """Whether MQTT goes over WebSocket."""
        return self.scheme in {"ws", "wss"}

    @property
    def credentials(self) -> Credentials | None:
        """User name and password, if there are any."""
        return Credentials(self.user, self.password) if self.user else None

    @property
    def url(self) -> str:
        """The URL without what is secret."""
        return f"{self.scheme}://{self.authority}{self.path if self.is_websocket else ''}"


def endpoint(url: str) -> Endpoint:
    """The endpoint of a URL. Raises InputError for one that is none."""
    parts = urlsplit(url)
    if parts.scheme not in PORTS or not parts.hostname:
        raise InputError(f"a broker is written {FORM}, not {_hidden(url)!r}")
    try:
        port = parts.port or PORTS[parts.scheme]
    except ValueError:
        raise InputError(f"the port of {_hidden(url)!r} is no number from 1 to 65535") from None
    return Endpoint(
        parts.scheme,
        parts.hostname,
        port,
        parts.path or "/mqtt",
        unquote(parts.username or ""),
        unquote(parts.password or "").encode(),
    )


def _hidden(url: str) -> str:
    """The URL without user and password."""
    head, at, tail = url.rpartition("@")
    return f"{head.partition('//')[0]}//...@{tail}" if at else url
