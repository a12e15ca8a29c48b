"""Requests to the shadow service: read and checked, or refused with the service's code and text."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, Final, NamedTuple

import msgspec

from twin.state.records import Tree
from twin.state.shadow.document import SECTIONS
from twin.state.shadow.settings import ShadowSettings

VERBS: Final = frozenset({"update", "get", "delete"})
THING_NAME: Final = re.compile(r"[a-zA-Z0-9:_-]{1,128}")
SHADOW_NAME: Final = re.compile(r"[$a-zA-Z0-9:_-]{1,64}")
NAME_SHOWN: Final = 64
TOPICS_REMEMBERED: Final = 65_536
_DECODER: Final = msgspec.json.Decoder()


class RejectedError(Exception):
    """A request that the service refuses; the code is that of HTTP."""

    def __init__(self, code: int, message: str, token: str | None = None) -> None:
        super().__init__(message)
        self.code, self.message, self.token = code, message, token

    def document(self, timestamp: int) -> Tree:
        """The rejected document."""
        return signed({"code": self.code, "message": self.message}, timestamp, self.token)


class Request(NamedTuple):
    """A checked request: `state` None removes both sections, `version` None asks for no check.

    `event_s` is when the values arose by the sender's clock (seconds); `expires_s` for how long desired
    values hold (seconds); `condition` what must hold now.
    """

    state: Tree | None
    version: int | None = None
    token: str | None = None
    event_s: float | None = None
    expires_s: float | None = None
    condition: Tree | None = None


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


def key_of(thing: str, name: str) -> str:
    """The key of a shadow's record."""
    return f"{thing}/{name}" if name else thing


def topic_of(thing: str, name: str) -> str:
    """The topic above all topics of a shadow."""
    return f"$aws/things/{thing}/shadow/name/{name}" if name else f"$aws/things/{thing}/shadow"


@lru_cache(maxsize=TOPICS_REMEMBERED)
def read_topic(topic: str) -> Address | None:
    """What a request topic asks for; None for any other topic, answers and events among them."""
    levels = topic.split("/")
    verb, count = levels[-1], len(levels)
    if verb not in VERBS or count not in (5, 7) or levels[0] != "$aws" or levels[1] != "things":
        return None
    if levels[3] != "shadow" or (count == 7 and levels[4] != "name"):
        return None
    return Address(levels[2], levels[5] if count == 7 else "", verb)


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
            f"Invalid shadow name: '{name[:NAME_SHOWN]}'; "
            "expected 1 to 64 letters, digits, ':', '_', '-' or '$'",
            token,
        )


def read_update(payload: bytes, settings: ShadowSettings) -> Request:
    """Check an update request but for its values; raise RejectedError with the service's code and text."""
    body = _object(payload)
    token = _token(body, settings)
    if "state" not in body:
        raise RejectedError(400, "Missing required node: state", token)
    state, version = body["state"], body.get("version")
    if version is not None and (type(version) is not int or version < 0):
        raise RejectedError(400, "Invalid version", token)
    request = Request(state, version, token, _number(body.get("eventTime")))
    if not settings.has_extensions:
        return request
    expires_s, condition = body.get("expiresIn"), body.get("condition")
    if expires_s is not None and not (_number(expires_s) or 0.0) > 0.0:
        raise RejectedError(400, "Invalid expiresIn: expected seconds above 0", token)
    if condition is not None and not isinstance(condition, dict):
        raise RejectedError(400, "Invalid condition: expected an object of paths and values", token)
    return request._replace(expires_s=_number(expires_s), condition=condition)


def read_token(payload: bytes, settings: ShadowSettings) -> str | None:
    """The client token of a request whose payload may be empty; raise RejectedError for bad JSON."""
    return _token(_object(payload), settings) if payload else None


def token_or_none(payload: bytes, settings: ShadowSettings) -> str | None:
    """The client token of a request whose payload may be anything."""
    try:
        return read_token(payload, settings)
    except RejectedError:
        return None


def metadata_of(request: Request, timestamp: int, depth_limit: int) -> Any:
    """The metadata of the request as accepted shows it; raise RejectedError for a state that is none."""
    state, token, leaf = request.state, request.token, {"timestamp": timestamp}
    if state is None:
        return leaf
    if not isinstance(state, dict):
        raise RejectedError(400, "State node must be an object", token)
    metadata: Tree = {}
    for section, changes in state.items():
        if section not in SECTIONS:
            raise RejectedError(400, f"State contains an invalid node: '{section}'", token)
        if changes is None:
            metadata[section] = leaf
        elif not isinstance(changes, dict):
            raise RejectedError(400, f"{section.capitalize()} node must be an object", token)
        else:
            try:
                metadata[section] = _checked(changes, leaf, depth_limit)
            except ValueError as error:
                raise RejectedError(400, _problem(error, depth_limit), token) from None
    return metadata


def _problem(error: ValueError, depth_limit: int) -> str:
    if error.args[0] == "null":
        return "Invalid JSON: an array must not hold null"
    return f"JSON contains too many levels of nesting; maximum is {depth_limit}"


def _checked(value: Tree, leaf: Tree, levels: int) -> Tree:
    """A leaf for each leaf; ValueError for a null in an array or too many levels, the section counted."""
    if not levels:
        raise ValueError("levels")
    metadata: Tree = dict.fromkeys(value, leaf)
    for key, below in value.items():
        kind = type(below)
        if kind is dict:
            metadata[key] = _checked(below, leaf, levels - 1)
        elif kind is list:
            metadata[key] = _checked_elements(below, leaf, levels - 1)
    return metadata


def _checked_elements(value: list[Any], leaf: Tree, levels: int) -> list[Any]:
    if not levels:
        raise ValueError("levels")
    if None in value:
        raise ValueError("null")
    metadata: list[Any] = [leaf] * len(value)
    for index, below in enumerate(value):
        kind = type(below)
        if kind is dict:
            metadata[index] = _checked(below, leaf, levels - 1)
        elif kind is list:
            metadata[index] = _checked_elements(below, leaf, levels - 1)
    return metadata


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
