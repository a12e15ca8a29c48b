"""Requests to the shadow service: read and checked, or refused with the service's code and text."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, Final, NamedTuple

import msgspec

from twin.state.records import Tree
from twin.state.shadow.document import SECTIONS
from twin.state.shadow.settings import ShadowSettings

_SECTIONS: Final = frozenset(SECTIONS)
VERBS: Final = frozenset({"update", "get", "delete"})
THING_NAME: Final = re.compile(r"[a-zA-Z0-9:_-]{1,128}")
SHADOW_NAME: Final = re.compile(r"[$a-zA-Z0-9:_-]{1,64}")
NAME_SHOWN: Final = 64
NAMELESS: Final = "/"
"""In place of the empty name of a named shadow, which is not the classic one; no shadow can be called so."""


class RejectedError(Exception):
    """A request that the service refuses; the code is that of HTTP."""

    def __init__(self, code: int, message: str, token: str | None = None) -> None:
        super().__init__(message)
        self.code, self.message, self.token = code, message, token

    def document(self, timestamp: int) -> Tree:
        """The rejected document."""
        return signed({"code": self.code, "message": self.message}, timestamp, self.token)


class Request(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """A checked request: `state` None removes both sections, `version` None asks for no check.

    `event_s` is when the values arose by the sender's clock (seconds); `expires_s` for how long desired
    values hold (seconds); `condition` what must hold now.
    """

    state: dict[str, dict[str, Any] | None] | None
    version: Any = None
    token: str | None = msgspec.field(default=None, name="clientToken")
    event_s: float | None = msgspec.field(default=None, name="eventTime")
    expires_s: float | None = msgspec.field(default=None, name="expiresIn")
    condition: dict[str, Any] | None = None


_DECODER: Final = msgspec.json.Decoder()
_REQUEST: Final = msgspec.json.Decoder(Request)


class Address(NamedTuple):
    """A shadow of a thing, the classic one with an empty name, and what is asked of it."""

    thing: str
    name: str
    verb: str = ""


def signed(document: Tree, timestamp: int, token: str | None) -> Tree:
    """The document with its time and, if there is one, the token of the request."""
    document["timestamp"] = timestamp
    if token is not None:
        document["clientToken"] = token
    return document


@lru_cache(maxsize=16)
def mark_of(timestamp: int) -> msgspec.Raw:
    """What stands for a value in the metadata of what came now."""
    return msgspec.Raw(b'{"timestamp":%d}' % timestamp)


def key_of(thing: str, name: str) -> str:
    """The key of a shadow's record."""
    return f"{thing}/{name}" if name else thing


def topic_of(thing: str, name: str) -> str:
    """The topic above all topics of a shadow."""
    return f"$aws/things/{thing}/shadow/name/{name}" if name else f"$aws/things/{thing}/shadow"


def read_topic(topic: str) -> Address | None:
    """What a request topic asks for; None for any other topic, answers and events among them."""
    thing = topic[12:-14]
    if "/" not in thing and topic.startswith("$aws/things/") and topic.endswith("/shadow/update"):
        return Address(thing, "", "update")  # most of them
    levels = topic.split("/")
    verb, count = levels[-1], len(levels)
    if verb not in VERBS or count not in (5, 7) or levels[0] != "$aws" or levels[1] != "things":
        return None
    if levels[3] != "shadow" or (count == 7 and levels[4] != "name"):
        return None
    return Address(levels[2], (levels[5] or NAMELESS) if count == 7 else "", verb)


def check_names(thing: str, name: str, token: str | None = None) -> None:
    """Raise RejectedError unless a thing and a shadow may be called so; an empty name is the classic one."""
    if not THING_NAME.fullmatch(thing):
        raise RejectedError(
            400,
            f"Invalid thing name: '{thing[:NAME_SHOWN]}'; expected 1 to 128 letters, digits, ':', '_' or '-'",
            token,
        )
    if name and not SHADOW_NAME.fullmatch(name):
        raise RejectedError(
            400,
            f"Invalid shadow name: '{'' if name == NAMELESS else name[:NAME_SHOWN]}'; "
            "expected 1 to 64 letters, digits, ':', '_', '-' or '$'",
            token,
        )


def read_update(payload: bytes, settings: ShadowSettings) -> Request:
    """Check an update request but for its values; raise RejectedError with the service's code and text."""
    try:
        request = _REQUEST.decode(payload)
    except (ValueError, RecursionError):
        return _read_strange(payload, settings)
    token, state = request.token, request.state
    if (
        request.version is request.condition is None
        and request.expires_s is None
        and (token is None or 4 * len(token) <= settings.token_limit_bytes)  # a letter has up to 4 bytes
        and (state is None or _SECTIONS.issuperset(state))
    ):
        return request
    return _read_strange(payload, settings)


def _read_strange(payload: bytes, settings: ShadowSettings) -> Request:
    """Check an update request that has something unusual, member by member."""
    body = _object(payload)
    token = _token(body, settings)
    if "state" not in body:
        raise RejectedError(400, "Missing required node: state", token)
    version = body.get("version")
    if version is not None and (type(version) is not int or version < 0):
        raise RejectedError(400, "Invalid version", token)
    expires_s, condition = None, None
    if settings.has_extensions:
        expires_s, condition = _number(body.get("expiresIn")), body.get("condition")
        if body.get("expiresIn") is not None and not (expires_s or 0.0) > 0.0:
            raise RejectedError(400, "Invalid expiresIn: expected seconds above 0", token)
        if condition is not None and not isinstance(condition, dict):
            raise RejectedError(400, "Invalid condition: expected an object of paths and values", token)
    state = _checked_state(body["state"], token)
    return Request(state, version, token, _number(body.get("eventTime")), expires_s, condition)


def _checked_state(state: Any, token: str | None) -> Tree | None:
    if state is None:
        return None
    if not isinstance(state, dict):
        raise RejectedError(400, "State node must be an object", token)
    for section, changes in state.items():
        if section not in SECTIONS:
            raise RejectedError(400, f"State contains an invalid node: '{section}'", token)
        if changes is not None and not isinstance(changes, dict):
            raise RejectedError(400, f"{section.capitalize()} node must be an object", token)
    return state


def read_token(payload: bytes, settings: ShadowSettings) -> str | None:
    """The client token of a request whose payload may be empty; raise RejectedError for bad JSON."""
    return _token(_object(payload), settings) if payload else None


def token_or_none(payload: bytes, settings: ShadowSettings) -> str | None:
    """The client token of a request whose payload may be anything."""
    try:
        return read_token(payload, settings)
    except RejectedError:
        return None


def problem_of(error: ValueError, depth_limit: int) -> str:
    """What is wrong with the values of a request, as the service says it."""
    if error.args[0] == "null":
        return "Invalid JSON: an array must not hold null"
    return f"JSON contains too many levels of nesting; maximum is {depth_limit}"


def _object(payload: bytes) -> Tree:
    try:
        body = _DECODER.decode(payload)
    except (ValueError, RecursionError):
        _check_encoding(payload)
        raise RejectedError(400, "Invalid JSON") from None
    if type(body) is not dict:
        raise RejectedError(400, "Invalid JSON")
    return body


def _check_encoding(payload: bytes) -> None:
    try:
        payload.decode()
    except UnicodeDecodeError:
        raise RejectedError(415, "Unsupported documented encoding; supported encoding is UTF-8") from None


def _token(body: Tree, settings: ShadowSettings) -> str | None:
    token = body.get("clientToken")
    if token is None:
        return None
    if type(token) is not str or len(token.encode()) > settings.token_limit_bytes:
        raise RejectedError(400, "Invalid clientToken")
    return token


def _number(value: Any) -> float | None:
    """A JSON number as float; anything else, and one too great for it, is none."""
    if type(value) is not int and type(value) is not float:
        return None
    try:
        return float(value)
    except OverflowError:
        return None
