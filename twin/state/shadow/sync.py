"""Sync of an edge twin's shadows with those of a cloud twin, over whatever carries its messages.

    local change --.                                  .--> update of the cloud, with its version
                    >-- three-way merge with base ---<
    cloud's event --'                                  '--> update of the local shadow

Base is the state on which both sides agreed last. The state of the cloud is known from its `documents`, each
of which is whole; after a refusal with 409, a silence or a reconnection it is fetched with a get. There is
one request at a time for each shadow, and what changes meanwhile is merged into the next one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Literal, TypeAlias

import msgspec
from msgspec.structs import replace

from twin.message import Message
from twin.state.records import Record, Transaction, Tree
from twin.state.shadow.document import SHADOW, Shadow
from twin.state.shadow.merging import agreed, merged, patch
from twin.state.shadow.requests import RejectedError, key_of, topic_of
from twin.state.shadow.shadows import Shadows
from twin.state.shadow.trees import MISSING, is_same, leaves, moment_s, stamps_at, youngest

SYNC: Final = "sync"
UPLINK: Final = "gateway/uplink"
"""Where a host tells that its own connection came back, if it knows."""
ANSWER_LIMIT_S: Final = 10.0
LONGEST_PAUSE_S: Final = 60.0
THINGS_BY_NAME: Final = 100
"""So many things at most are subscribed to one by one; more are filtered here."""

Strategy: TypeAlias = Literal["real_time", "periodic"]
Direction: TypeAlias = Literal["both", "to_cloud", "to_edge"]
Conflicts: TypeAlias = Literal["three_way", "last_writer"]


class SyncState(Record, frozen=True, kw_only=True, gc=False):
    """What the edge knows of one shadow: `base` both sides agreed on last (None: on nothing), and the state
    of the cloud at `cloud_version` (None: there is no shadow), if that `is_known`.

    `asked` is the request that waits for an answer, with `number` in its token; `pending` is the state that
    was sent to the cloud and has not been answered. `due_s` is when to ask again, or to begin.
    """

    base: Tree | None = None
    cloud: Tree | None = None
    cloud_version: int = 0
    is_known: bool = False
    asked: str = ""
    number: int = 0
    pending: Tree | None = None
    attempts: int = 0

    @property
    def token(self) -> str:
        """The client token of the request that waits."""
        return f"sync-{self.number}"


@dataclass(frozen=True, slots=True)
class ShadowSync:
    """A component beside `Shadows`: keeps shadows of the edge and of the cloud the same.

    `things` are those whose shadows may begin in the cloud; others are synced once they are known here. A
    real_time sync sends each change at once, a periodic one merges the changes of `period_s`. Whoever hosts
    it calls `begin` at the start and `follow` after every transaction. Observes `sync_conflict` for each
    refusal with 409, `sync_retry` for each answer that did not come, and `sync_refused` with the code of
    anything else.

    Two settings are there to show what they lose: with `conflicts` of the "last_writer" a shadow that
    changed here replaces that of the cloud as a whole, and one that does not resume `in_full` fetches
    nothing when the connection is back.
    """

    measures: ClassVar[tuple[str, ...]] = ("sync_conflict", "sync_retry", "sync_refused")

    shadows: Shadows
    things: Sequence[str] = ()
    strategy: Strategy = "real_time"
    period_s: float = 60.0
    direction: Direction = "both"
    conflicts: Conflicts = "three_way"
    in_full: bool = True

    @property
    def filters(self) -> Sequence[str]:
        """The answers and documents of the cloud, which the edge twin itself never hears of its own."""
        names = self.things if 0 < len(self.things) <= THINGS_BY_NAME else ("+",)
        below = ("update/documents", "+/accepted", "+/rejected")
        filters = [f"{topic_of(each, name)}/{rest}" for each in names for name in ("", "+") for rest in below]
        return [*filters, UPLINK]

    @property
    def kinds(self) -> Mapping[str, type[Record]]:
        """One state for each synced shadow, by the key of the shadow."""
        return {SYNC: SyncState}

    def begin(self, transaction: Transaction) -> None:
        """Fetch the state of the cloud for everything that is synced: at the start, and after an outage."""
        keys = [*self.things, *transaction.records.of(SHADOW), *transaction.records.of(SYNC)]
        for key in dict.fromkeys(keys):
            state = self._state(key, transaction)
            self._step(key, replace(state, is_known=False, asked="", attempts=0), transaction)

    def follow(self, transaction: Transaction) -> None:
        """Sync the shadows that a transaction changed."""
        changed = dict.fromkeys(each.key for each in transaction.changes if each.kind == SHADOW)
        for key in changed:
            self._changed(key, self._state(key, transaction), transaction)

    def handle(self, message: Message, transaction: Transaction) -> None:
        """Take an answer or an event of the cloud."""
        if message.topic == UPLINK:
            if self.in_full:
                self.begin(transaction)
            return
        levels = message.topic.split("/")
        is_named = len(levels) == 8
        key = key_of(levels[2], levels[5] if is_named else "")
        if not self._is_synced(levels[2], key, transaction):
            return
        document = _read(message.payload)
        if document is not None:
            self._hear(key, "/".join(levels[-2:]), document, transaction)

    def expire(self, kind: str, key: str, transaction: Transaction) -> None:
        """An answer did not come, or the time of a periodic sync has."""
        state: SyncState = transaction.records.get(kind, key)
        if state.asked:
            transaction.observe("sync_retry")
            state = replace(state, is_known=False, asked="", attempts=state.attempts + 1)
        self._step(key, state, transaction)

    # what the cloud says -----------------------------------------------------------------------------

    def _hear(self, key: str, topic: str, document: Tree, transaction: Transaction) -> None:
        state = self._state(key, transaction)
        is_own = bool(state.asked) and document.get("clientToken") == state.token
        match topic:
            case "update/documents":
                self._changed(key, _seen(state, document.get("current")), transaction)
            case "get/accepted" if is_own:
                fetched = replace(state, cloud=_state_in(document), cloud_version=_version(document))
                self._step(key, replace(fetched, is_known=True, asked="", due_s=math.inf), transaction)
            case "update/accepted" if is_own:
                self._accepted(key, state, _version(document), transaction)
            case "delete/accepted":
                gone = replace(state, cloud=None, is_known=True)
                done = _answered(replace(gone, base=None)) if is_own else gone
                self._changed(key, done, transaction)
            case "get/rejected" | "update/rejected" | "delete/rejected" if is_own:
                self._rejected(key, state, document.get("code"), transaction)

    def _accepted(self, key: str, state: SyncState, version: int, transaction: Transaction) -> None:
        """Both sides have had the pending state; a later document of the cloud may be known already."""
        known = state
        if version > state.cloud_version:
            known = replace(state, cloud=state.pending, cloud_version=version)
        self._changed(key, _answered(replace(known, base=state.pending)), transaction)

    def _rejected(self, key: str, state: SyncState, code: Any, transaction: Transaction) -> None:
        if state.asked in ("get", "delete") and code == 404:
            gone = _answered(replace(state, cloud=None, is_known=True))
            self._step(key, gone if state.asked == "get" else replace(gone, base=None), transaction)
        elif code in (409, 429):
            transaction.observe("sync_conflict" if code == 409 else "sync_refused", code)
            pause_s = 0.0 if code == 409 and not state.attempts else _pause_s(state.attempts)
            later = replace(state, is_known=False, asked="", pending=None, attempts=state.attempts + 1)
            if pause_s:
                transaction.put(SYNC, key, replace(later, due_s=transaction.now_s + pause_s))
            else:
                self._step(key, later, transaction)
        else:
            transaction.observe("sync_refused", code if isinstance(code, int) else 0.0)
            transaction.put(SYNC, key, _answered(state))

    # one step ----------------------------------------------------------------------------------------

    def _changed(self, key: str, state: SyncState, transaction: Transaction) -> None:
        """One of the sides has changed: sync now, or when the period is over."""
        if self.strategy == "real_time":
            self._step(key, state, transaction)
            return
        is_idle = not state.asked and state.due_s == math.inf
        if is_idle and not self._is_agreed(key, state, transaction):
            state = replace(state, due_s=transaction.now_s + self.period_s)
        _keep(key, state, transaction)

    def _is_agreed(self, key: str, state: SyncState, transaction: Transaction) -> bool:
        local = _local(key, transaction)
        return state.is_known and _is_same(local, state.cloud) and _is_same(local, state.base)

    def _step(self, key: str, state: SyncState, transaction: Transaction) -> None:
        """Do what brings both sides together, as far as that is known; one request at a time."""
        if state.asked:
            _keep(key, state, transaction)
            return
        if not state.is_known:
            self._ask(key, state, "get", {}, transaction)
            return
        cloud = state.cloud
        wanted = self._wanted(_local(key, transaction), state)
        state = replace(state, base=agreed(state.base, state.pending, cloud), pending=None)
        if self.direction != "to_cloud" and not self._bring_down(key, wanted, transaction):
            _keep(key, replace(state, due_s=math.inf), transaction)
        elif self.direction == "to_edge" or _is_same(wanted, cloud):
            has_both = cloud is not None and _local(key, transaction) is not None
            base = cloud if has_both else None
            _keep(key, replace(state, base=base, attempts=0, due_s=math.inf), transaction)
        elif wanted is None and not cloud:
            self._ask(key, state, "delete", {}, transaction)
        elif wanted is None:  # a delete knows no version, so the state goes first: it may have changed
            request: Tree = {"state": None, "version": state.cloud_version}
            self._ask(key, replace(state, pending={}), "update", request, transaction)
        else:
            request = {"state": patch(cloud or {}, wanted), **_moment(key, cloud or {}, transaction)}
            if cloud is not None:
                request["version"] = state.cloud_version
            self._ask(key, replace(state, pending=wanted), "update", request, transaction)

    def _wanted(self, local: Tree | None, state: SyncState) -> Tree | None:
        """The state that both sides ought to have; None: no shadow. Only what was common can be deleted."""
        cloud, base = state.cloud, agreed(state.base, state.pending, state.cloud)
        if self.direction != "both":
            owner, other = (local, cloud) if self.direction == "to_cloud" else (cloud, local)
            return other if owner is None and base is None else owner
        if local is not None and cloud is not None and self.conflicts == "last_writer":
            return cloud if _is_same(local, base) else local
        if local is not None and cloud is not None:
            return merged(local, cloud, state.base or {}, state.pending)
        there = cloud if local is None else local
        return None if base is not None and (not there or _is_same(there, base)) else there

    def _bring_down(self, key: str, wanted: Tree | None, transaction: Transaction) -> bool:
        """Give the local shadow the wanted state; False if it refuses."""
        local = _local(key, transaction)
        if _is_same(local, wanted):
            return True
        thing, _, name = key.partition("/")
        try:
            if wanted is None:
                self.shadows.delete(thing, name, b"", transaction)
            else:
                payload = msgspec.json.encode({"state": patch(local or {}, wanted)})
                self.shadows.update(thing, name, payload, transaction)
        except RejectedError as error:
            transaction.observe("sync_refused", error.code)
            return False
        return True

    def _ask(self, key: str, state: SyncState, verb: str, request: Tree, transaction: Transaction) -> None:
        """Send a request to the cloud, and look again if no answer comes."""
        number = state.number + 1
        due_s = transaction.now_s + _pause_s(state.attempts)
        asked = replace(state, asked=verb, number=number, due_s=due_s)
        transaction.put(SYNC, key, asked)
        thing, _, name = key.partition("/")
        transaction.publish(f"{topic_of(thing, name)}/{verb}", {**request, "clientToken": asked.token})

    def _state(self, key: str, transaction: Transaction) -> SyncState:
        return transaction.records.get(SYNC, key) or SyncState()

    def _is_synced(self, thing: str, key: str, transaction: Transaction) -> bool:
        records = transaction.records
        return (
            thing in self.things or records.get(SYNC, key) is not None or records.get(SHADOW, key) is not None
        )


def _is_same(one: Tree | None, other: Tree | None) -> bool:
    if one is None or other is None:
        return one is other
    return is_same(one, other)


def _keep(key: str, state: SyncState, transaction: Transaction) -> None:
    """Keep the state if it is news; nothing is to be known of what is on neither side."""
    is_over = not state.asked and state.cloud is None and state.base is None and state.due_s == math.inf
    known = transaction.records.get(SYNC, key)
    if is_over and _local(key, transaction) is None:
        if known is not None:
            transaction.remove(SYNC, key)
    elif known != state:
        transaction.put(SYNC, key, state)


def _pause_s(attempts: int) -> float:
    """How long to wait for an answer, longer each time."""
    return min(ANSWER_LIMIT_S * 2.0 ** min(attempts, 8), LONGEST_PAUSE_S)


def _local(key: str, transaction: Transaction) -> Tree | None:
    shadow: Shadow | None = transaction.records.get(SHADOW, key)
    return None if shadow is None else shadow.state.tree()


def _moment(key: str, cloud: Tree, transaction: Transaction) -> Tree:
    """When the oldest reported value arose that goes to the cloud, so that none seems younger there."""
    shadow: Shadow | None = transaction.records.get(SHADOW, key)
    if shadow is None:
        return {}
    reported, stamps = shadow.state.reported, shadow.metadata.reported
    changes = patch(cloud.get("reported", {}), reported)
    found = [youngest(stamps_at(stamps, path)) for path, value in leaves(changes) if value is not None]
    moments = [moment_s(stamp) for stamp in found if stamp is not None and stamp is not MISSING]
    return {"eventTime": min(moments)} if moments else {}


def _answered(state: SyncState) -> SyncState:
    return replace(state, asked="", pending=None, attempts=0, due_s=math.inf)


def _seen(state: SyncState, document: Any) -> SyncState:
    """The state with a whole document of the cloud, unless a later one is known."""
    if not isinstance(document, dict) or _version(document) < state.cloud_version:
        return state
    return replace(state, cloud=_state_in(document), cloud_version=_version(document))


def _state_in(document: Tree) -> Tree:
    state = document.get("state") or {}
    return {key: state[key] for key in ("desired", "reported") if key in state}


def _version(document: Tree) -> int:
    version = document.get("version")
    return version if type(version) is int else 0


def _read(payload: bytes) -> Tree | None:
    try:
        document = msgspec.json.decode(payload)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None
