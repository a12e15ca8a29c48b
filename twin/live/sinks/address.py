"""Where a backend is: a URL taken apart, its secrets apart from what is shown."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from twin.errors import InputError

PASSWORD_FILE = "password-file"  # noqa: S105  (the name of an option)


@dataclass(frozen=True, slots=True)
class Address:
    """A backend's URL. The password comes from the URL, the environment or a file, and is never shown."""

    scheme: str
    host: str = ""
    port: int = 0
    user: str = ""
    password: str = field(default="", repr=False)
    path: str = ""
    options: Mapping[str, str] = field(default_factory=dict)

    @property
    def shown(self) -> str:
        """The URL without what is secret."""
        if not self.host:
            return f"{self.scheme}:{self.path}"
        port = f":{self.port}" if self.port else ""
        return f"{self.scheme}://{self.host}{port}{self.path}"

    @property
    def name(self) -> str:
        """The path without its first slash: a database, a bucket, a topic."""
        return self.path.strip("/")


def address(url: str, name: str, known: Collection[str]) -> Address:
    """A URL taken apart; `name` is the sink's and `known` its options. Raises InputError."""
    parts = urlsplit(url)
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    for option in options:
        if option not in known and option != PASSWORD_FILE:
            raise InputError(
                f"{parts.scheme}: there is no option {option!r}; there are:"
                f" {', '.join(sorted([*known, PASSWORD_FILE]))}"
            )
    if "://" not in url:
        return Address(parts.scheme, path=url.partition(":")[2].partition("?")[0], options=options)
    try:
        port = parts.port or 0
    except ValueError:
        raise InputError(f"the port of sink {name!r} is no number from 1 to 65535") from None
    if not parts.hostname:
        raise InputError(f"sink {name!r}: {parts.scheme}://... needs a host")
    given = unquote(parts.password) if parts.password else _secret(name, options.pop(PASSWORD_FILE, ""))
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return Address(parts.scheme, host, port, unquote(parts.username or ""), given, parts.path, options)


def variable(name: str) -> str:
    """The environment variable that may have the password of a sink."""
    return f"WINDTUNNEL_SINK_{re.sub('[^A-Z0-9]', '_', name.upper())}_PASSWORD"


def _secret(name: str, file: str) -> str:
    if not file:
        return os.environ.get(variable(name), "")
    try:
        return Path(file).read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"sink {name!r}: the password file {file!r} cannot be read: {error}") from None
