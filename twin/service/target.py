"""Which broker to speak to, and as whom: `mqtt://user@host:port`, `mqtts://...`, or a socket file."""

from __future__ import annotations

import os
import ssl
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from twin.errors import InputError, MissingEnvironmentError

PORTS: Final = {"mqtt": 1883, "mqtts": 8883}
PASSWORD_VARIABLE: Final = "WINDTUNNEL_BROKER_PASSWORD"  # noqa: S105  (the name of a variable)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A broker. With `path` it is reached through a socket file; files are PEM."""

    host: str = ""
    port: int = 0
    path: str = ""
    user: str = ""
    password: str = ""
    is_tls: bool = False
    ca_file: str = ""
    certificate_file: str = ""
    key_file: str = ""

    def __repr__(self) -> str:
        """Without the password, so that no log gets it."""
        return f"Target({self})"

    def __str__(self) -> str:
        if self.path:
            return self.path
        user = f"{self.user}@" if self.user else ""
        return f"mqtt{'s' if self.is_tls else ''}://{user}{self.host}:{self.port}"

    def anonymous(self) -> Target:
        """The same broker, without telling who we are."""
        return replace(self, user="", password="", certificate_file="", key_file="")

    def context(self) -> ssl.SSLContext | None:
        """What TLS needs; None without it. Raises InputError for files that do not fit."""
        if not self.is_tls:
            return None
        try:
            context = ssl.create_default_context(cafile=self.ca_file or None)
            if self.certificate_file:
                context.load_cert_chain(self.certificate_file, self.key_file or None)
        except (OSError, ssl.SSLError) as error:
            files = ", ".join(filter(None, (self.ca_file, self.certificate_file, self.key_file)))
            raise InputError(f"cannot use {files}: {error.strerror or error}") from None
        return context


def read_target(
    url: str,
    *,
    password_file: str | None = None,
    ca_file: str = "",
    certificate_file: str = "",
    key_file: str = "",
) -> Target:
    """The target that a URL names; the password comes from a file or the environment, never from the URL."""
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError:
        raise InputError(f"the port in {_hidden(url)!r} is no number from 1 to 65535") from None
    if parts.scheme not in PORTS or not parts.hostname:
        raise InputError(f"a broker is named as mqtt://host:1883 or mqtts://host:8883, not {_hidden(url)!r}")
    if parts.password is not None:
        raise InputError(
            "a password in the URL is seen by everybody on this machine;"
            f" write it to a file for --broker-password-file, or into {PASSWORD_VARIABLE}"
        )
    is_tls = parts.scheme == "mqtts"
    if not is_tls and (ca_file or certificate_file):
        raise InputError("certificates need TLS: write mqtts:// instead of mqtt://")
    target = Target(
        host=parts.hostname,
        port=port or PORTS[parts.scheme],
        user=unquote(parts.username or ""),
        password=_password(password_file),
        is_tls=is_tls,
        ca_file=ca_file,
        certificate_file=certificate_file,
        key_file=key_file,
    )
    target.context()
    return target


def _hidden(url: str) -> str:
    """The URL without what may be a password."""
    before, at, after = url.rpartition("@")
    return f"{before.partition('://')[0]}://...@{after}" if at else before + after


def _password(file: str | None) -> str:
    if file is None:
        return os.environ.get(PASSWORD_VARIABLE, "")
    path = Path(file)
    if os.name == "posix" and path.stat().st_mode & 0o077:
        raise InputError(f"others may read {file}; take that away: chmod 600 {file}")
    return path.read_text(encoding="utf-8").strip()


class UnreachableError(MissingEnvironmentError):
    """A broker that cannot be spoken to; the message says why."""
