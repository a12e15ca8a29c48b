"""Bearer tokens of the HTTP API: made once, shown once, kept as hashes in a file.

A token has 32 random bytes, so nobody can try them all and a plain SHA-256 is enough to keep it by; slow
hashes are for passwords that people choose.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, TypeAlias, get_args

import msgspec

from twin.errors import InputError

Role: TypeAlias = Literal["device", "viewer", "operator", "admin"]
ROLES: Final[tuple[Role, ...]] = get_args(Role)
PEOPLE: Final = ("viewer", "operator", "admin")
"""The roles of people, each of which may do what those before it may."""
PREFIX: Final = "wt_"
TOKEN_BYTES: Final = 32
NAME: Final = re.compile(r"[A-Za-z0-9:_.-]{1,64}")
FAILURES: Final = 10
"""So many wrong tokens of one address in `FAILURE_SPAN_S`, and it has to wait."""
FAILURE_SPAN_S: Final = 60.0
MOST_ADDRESSES: Final = 10_000
OWNER_ONLY: Final = 0o600


class Token(msgspec.Struct, frozen=True):
    """Who has a token and what it is good for; `thing` is whose token it is if its role is device."""

    name: str
    role: Role
    digest: str
    thing: str = ""
    made_s: float = 0.0

    def may(self, role: str) -> bool:
        """Whether it is good for what this role may do."""
        if self.role not in PEOPLE or role not in PEOPLE:
            return self.role == role
        return PEOPLE.index(self.role) >= PEOPLE.index(role)


def read_tokens(path: Path) -> list[Token]:
    """The tokens in a file, none if there is no file. Raises InputError for one that cannot be read."""
    try:
        mode, text = path.stat().st_mode, path.read_bytes()
    except FileNotFoundError:
        return []
    if os.name == "posix" and mode & 0o077:
        raise InputError(f"others may read {path}; take that away: chmod 600 {path}")
    try:
        return msgspec.json.decode(text, type=list[Token])
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise InputError(f"{path} is no file of tokens ({error}); make one: windtunnel token new") from None


def new_token(path: Path, name: str, role: str, now_s: float, *, thing: str = "") -> str:
    """Add a token to the file and return it: it is shown this once and kept nowhere."""
    if role not in ROLES:
        raise InputError(f"there is no role {role!r}; choose one of {', '.join(ROLES)}")
    if not NAME.fullmatch(name):
        raise InputError(f"{name!r} is no name for a token: 1 to 64 letters, digits and :_.- are allowed")
    if (role == "device") is not bool(thing):
        raise InputError("a device's token needs --thing NAME, and only a device's")
    tokens = read_tokens(path)
    if any(token.name == name for token in tokens):
        raise InputError(f"there is a token named {name!r} already; choose another name, or revoke that one")
    secret = PREFIX + secrets.token_urlsafe(TOKEN_BYTES)
    _write(path, [*tokens, Token(name, _role(role), _digest(secret), thing, now_s)])
    return secret


def revoke_token(path: Path, name: str) -> None:
    """Remove a token from the file. Raises InputError if there is none of this name."""
    tokens = read_tokens(path)
    left = [token for token in tokens if token.name != name]
    if len(left) == len(tokens):
        known = ", ".join(token.name for token in tokens) or "none"
        raise InputError(f"there is no token named {name!r}; there are: {known}")
    _write(path, left)


@dataclass(slots=True)
class Keyring:
    """The tokens that hold now: a file that is looked at again when it changes."""

    path: Path
    clock: Callable[[], float]

    _tokens: dict[bytes, Token] = field(init=False, default_factory=dict)
    _stamp: tuple[int, int] = field(init=False, default=(0, 0))
    _failures: dict[str, list[float]] = field(init=False, default_factory=dict)
    _lock: threading.Lock = field(init=False, default_factory=threading.Lock)

    def find(self, secret: str) -> Token | None:
        """Whose token this is; the time it takes does not tell how much of it is right."""
        self._refresh()
        digest = _digest(secret).encode()
        found: Token | None = None
        for kept, token in self._tokens.items():
            if hmac.compare_digest(kept, digest):
                found = token
        return found

    def must_wait(self, address: str) -> bool:
        """Whether the address has sent too many wrong tokens lately."""
        with self._lock:
            since_s = self.clock() - FAILURE_SPAN_S
            recent = [at_s for at_s in self._failures.get(address, ()) if at_s > since_s]
            return len(recent) >= FAILURES

    def failed(self, address: str) -> None:
        """Count a wrong token."""
        with self._lock:
            if len(self._failures) >= MOST_ADDRESSES:
                self._failures.clear()
            now_s = self.clock()
            kept = [at_s for at_s in self._failures.get(address, ()) if at_s > now_s - FAILURE_SPAN_S]
            self._failures[address] = [*kept, now_s][-FAILURES:]

    def _refresh(self) -> None:
        try:
            about = self.path.stat()
            stamp = (about.st_mtime_ns, about.st_ino)
        except FileNotFoundError:
            stamp = (0, 0)
        with self._lock:
            if stamp != self._stamp:
                self._tokens = {token.digest.encode(): token for token in read_tokens(self.path)}
                self._stamp = stamp


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _role(text: str) -> Role:
    return next(role for role in ROLES if role == text)


def _write(path: Path, tokens: list[Token]) -> None:
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    path.parent.mkdir(parents=True, exist_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNER_ONLY), "wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(tokens)))
    draft.replace(path)
