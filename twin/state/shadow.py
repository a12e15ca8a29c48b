"""Device shadows with the rules of the AWS IoT shadow service.

Documents are never mutated: an update copies the path it changes and shares the rest, so a copy of all
shadows at an instant costs a dict copy. Metadata is a tree of its own, aligned with the state by path.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, TypeAlias

import msgspec

SECTIONS: Final = ("desired", "reported")
STATE_LIMIT_BYTES: Final = 8_192
TOKEN_LIMIT_BYTES: Final = 64
DEPTH_LIMIT: Final = 6
SHADOW_LIMIT: Final = 100_000

Tree: TypeAlias = dict[str, Any]


class Answer(NamedTuple):
    """One document to publish below the shadow's topic, for instance under "update/accepted"."""

    suffix: str
    document: Tree


class RejectedError(Exception):
    """A request that the service refuses; the code is that of HTTP."""

    def __init__(self, code: int, message: str, token: str | None = None) -> None:
        super().__init__(message)
        self.code, self.message, self.token = code, message, token


class Request(NamedTuple):
    """A checked request: `state` None removes both sections, `version` None asks for no check."""

    state: Tree | None
    version: int | None
    token: str | None


@dataclass(frozen=True, slots=True)
class Shadow:
    """One shadow at one version: `state` and `metadata` hold the sections that are not empty."""

    state: Tree = field(default_factory=dict)
    metadata: Tree = field(default_factory=dict)
    version: int = 0

    def updated(self, patch: Tree | None, timestamp: int) -> Shadow:
        """Merge a patch: objects merge, null removes, everything else replaces; one version up."""
        version = self.version + 1
        if patch is None:
            return Shadow(version=version)
        state, metadata = dict(self.state), dict(self.metadata)
        for section, changes in patch.items():
            merged, stamps = _merge(state.pop(section, {}), metadata.pop(section, {}), changes, timestamp)
            if merged:
                state[section], metadata[section] = merged, stamps
        return Shadow(state, metadata, version)

    def delta(self) -> tuple[Tree, Tree]:
        """What is desired and not reported, and the metadata of those values."""
        desired, reported = self.state.get("desired", {}), self.state.get("reported", {})
        return _delta(desired, reported, self.metadata.get("desired", {}))

    def document(self) -> Tree:
        """State, metadata and version, as in a documents message."""
        return {"state": self.state, "metadata": self.metadata, "version": self.version}

    def state_bytes(self) -> int:
        """Bytes of desired and reported as JSON; metadata does not count."""
        return sum(len(msgspec.json.encode(section)) for section in self.state.values())


@dataclass(slots=True)
class ShadowStore:
    """All shadows, by thing and name (the classic shadow's name is empty); times are in seconds."""

    shadows: dict[tuple[str, str], Shadow] = field(default_factory=dict)
    deleted: dict[tuple[str, str], int] = field(default_factory=dict)

    def update(self, thing: str, payload: bytes, now_s: float, name: str = "") -> list[Answer]:
        """Merge the request; answer accepted, the delta if there is one, and documents; or rejected."""
        try:
            request = read_update(payload)
            before, after = self._updated((thing, name), request, int(now_s))
        except RejectedError as error:
            return [_rejected("update", error, now_s)]
        self.shadows[thing, name] = after
        self.deleted.pop((thing, name), None)
        return _update_answers(request, before, after, int(now_s))

    def get(self, thing: str, payload: bytes, now_s: float, name: str = "") -> list[Answer]:
        """Answer the whole document with its delta, or rejected."""
        try:
            token = read_token(payload)
            shadow = self._existing(thing, name, token)
        except RejectedError as error:
            return [_rejected("get", error, now_s)]
        document = shadow.document()
        delta, _ = shadow.delta()
        if delta:
            document["state"] = {**shadow.state, "delta": delta}
        return [Answer("get/accepted", _signed(document, int(now_s), token))]

    def delete(self, thing: str, payload: bytes, now_s: float, name: str = "") -> list[Answer]:
        """Delete the shadow and answer its version; the numbering goes on, the deletion takes one."""
        token = _token_or_none(payload)
        try:
            shadow = self._existing(thing, name, token)
        except RejectedError as error:
            return [_rejected("delete", error, now_s)]
        del self.shadows[thing, name]
        if len(self.deleted) < SHADOW_LIMIT:
            self.deleted[thing, name] = shadow.version + 1
        return [Answer("delete/accepted", _signed({"version": shadow.version}, int(now_s), token))]

    def _existing(self, thing: str, name: str, token: str | None) -> Shadow:
        shadow = self.shadows.get((thing, name))
        if shadow is None:
            raise RejectedError(404, f"No shadow exists with name: '{name or thing}'", token)
        return shadow

    def _updated(
        self, key: tuple[str, str], request: Request, timestamp: int
    ) -> tuple[Shadow | None, Shadow]:
        before = self.shadows.get(key)
        if before is None and len(self.shadows) >= SHADOW_LIMIT:
            raise RejectedError(429, "Too many shadows", request.token)
        base = before or Shadow(version=self.deleted.get(key, 0))
        if request.version is not None and request.version != base.version:
            raise RejectedError(409, "Version conflict", request.token)
        after = base.updated(request.state, timestamp)
        if after.state_bytes() > STATE_LIMIT_BYTES:
            raise RejectedError(413, "The payload exceeds the maximum size allowed", request.token)
        return before, after


def _update_answers(request: Request, before: Shadow | None, after: Shadow, timestamp: int) -> list[Answer]:
    """Accepted echoes the request only; the delta is the whole outstanding one; documents have no delta."""
    token = request.token
    accepted = {
        "state": request.state,
        "metadata": _stamped(request.state, timestamp),
        "version": after.version,
    }
    answers = [Answer("update/accepted", _signed(accepted, timestamp, token))]
    delta, stamps = after.delta()
    if delta:
        outstanding = {"state": delta, "metadata": stamps, "version": after.version}
        answers.append(Answer("update/delta", _signed(outstanding, timestamp, token)))
    documents = {} if before is None else {"previous": before.document()}
    documents["current"] = after.document()
    return [*answers, Answer("update/documents", _signed(documents, timestamp, token))]


def _rejected(verb: str, error: RejectedError, now_s: float) -> Answer:
    document = {"code": error.code, "message": error.message}
    return Answer(f"{verb}/rejected", _signed(document, int(now_s), error.token))


def _signed(document: Tree, timestamp: int, token: str | None) -> Tree:
    document["timestamp"] = timestamp
    if token is not None:
        document["clientToken"] = token
    return document


# reading requests ------------------------------------------------------------------------------------


def read_update(payload: bytes) -> Request:
    """Check an update request; raise RejectedError with the code and text of the service."""
    body = _json_object(payload)
    token = _token(body)
    if "state" not in body:
        raise RejectedError(400, "Missing required node: state", token)
    state, version = body["state"], body.get("version")
    if version is not None and (type(version) is not int or version < 0):
        raise RejectedError(400, "Invalid version", token)
    _check_state(state, token)
    return Request(state, version, token)


def read_token(payload: bytes) -> str | None:
    """The client token of a request whose payload may be empty; raise RejectedError for bad JSON."""
    return _token(_json_object(payload)) if payload else None


def _token_or_none(payload: bytes) -> str | None:
    try:
        return read_token(payload)
    except RejectedError:
        return None


def _json_object(payload: bytes) -> Tree:
    try:
        payload.decode()
    except UnicodeDecodeError:
        raise RejectedError(415, "Unsupported documented encoding; supported encoding is UTF-8") from None
    try:
        body = msgspec.json.decode(payload)
    except (msgspec.DecodeError, RecursionError):
        raise RejectedError(400, "Invalid JSON") from None
    if not isinstance(body, dict):
        raise RejectedError(400, "Invalid JSON")
    return body


def _token(body: Tree) -> str | None:
    token = body.get("clientToken")
    if token is None:
        return None
    if not isinstance(token, str) or len(token.encode()) > TOKEN_LIMIT_BYTES:
        raise RejectedError(400, "Invalid clientToken")
    return token


def _check_state(state: Any, token: str | None) -> None:
    if state is None:
        return
    if not isinstance(state, dict):
        raise RejectedError(400, "State node must be an object", token)
    for section, changes in state.items():
        if section not in SECTIONS:
            raise RejectedError(400, f"State contains an invalid node: '{section}'", token)
        if changes is not None and not isinstance(changes, dict):
            raise RejectedError(400, f"{section.capitalize()} node must be an object", token)
        _check_value(changes, 0, token)


def _check_value(value: Any, depth: int, token: str | None) -> None:
    """No null inside an array, and at most six levels counting the section itself (limit as documented)."""
    if not isinstance(value, dict | list):
        return
    if depth == DEPTH_LIMIT:
        raise RejectedError(400, "JSON contains too many levels of nesting; maximum is 6", token)
    if isinstance(value, list) and None in value:
        raise RejectedError(400, "Invalid JSON: an array must not hold null", token)
    for below in value.values() if isinstance(value, dict) else value:
        _check_value(below, depth + 1, token)


# trees -----------------------------------------------------------------------------------------------


def _merge(old: Tree, old_stamps: Tree, patch: Tree | None, timestamp: int) -> tuple[Tree, Tree]:
    """New state and metadata; nulls inside a new object are not stored, nor one that holds nothing else."""
    if patch is None:
        return {}, {}
    state, stamps = dict(old), dict(old_stamps)
    for key, value in patch.items():
        if value is None:
            state.pop(key, None)
            stamps.pop(key, None)
        elif isinstance(value, dict):
            is_object = isinstance(state.get(key), dict)
            known, known_stamps = (state[key], stamps[key]) if is_object else ({}, {})
            below, below_stamps = _merge(known, known_stamps, value, timestamp)
            if is_object or not value or below:
                state[key], stamps[key] = below, below_stamps
        else:
            state[key], stamps[key] = value, _stamped(value, timestamp)
    return state, stamps


def _stamped(value: Any, timestamp: int) -> Any:
    """The metadata of a value: one timestamp a leaf, and one an element of an array."""
    if isinstance(value, dict):
        return {key: _stamped(below, timestamp) for key, below in value.items()}
    if isinstance(value, list):
        return [_stamped(element, timestamp) for element in value]
    return {"timestamp": timestamp}


def _delta(desired: Tree, reported: Tree, stamps: Tree) -> tuple[Tree, Tree]:
    """Members of desired that reported lacks (whole) or has otherwise (objects: the differing leaves)."""
    delta: Tree = {}
    delta_stamps: Tree = {}
    for key, value in desired.items():
        there = reported.get(key)
        if isinstance(value, dict) and isinstance(there, dict):
            below, below_stamps = _delta(value, there, stamps[key])
            if below:
                delta[key], delta_stamps[key] = below, below_stamps
        elif key not in reported or not _is_same(value, there):
            delta[key], delta_stamps[key] = value, stamps[key]
    return delta, delta_stamps


def _is_same(one: Any, other: Any) -> bool:
    """Equal as JSON values: 1 equals 1.0, and true is no number."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_is_same, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_is_same(one[key], other[key]) for key in one)
    return bool(one == other)
