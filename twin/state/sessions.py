"""Which things are connected, as their births and wills tell.

A thing says on `site/{site}/{kind}/{thing}/session` (or `things/{thing}/session`), retained, that it is
online, and its will that it is not; both carry the number of the session. Messages come late and twice: a
death of an older session is ignored, and so is a birth that comes after the death of the same session. A
thing that does not number its sessions (0) is believed as it comes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

import msgspec

from twin.message import Message
from twin.state.records import Record, Records, Transaction

KIND: Final = "session"
FILTERS: Final = ("site/+/+/+/session", "things/+/session")


class Session(Record, frozen=True):
    """The last session of a thing: its number, and since when it is online or not (seconds)."""

    thing: str
    number: int
    is_online: bool
    since_s: float


class _Announcement(msgspec.Struct, frozen=True):
    online: bool
    session: int = 0


@dataclass(frozen=True, slots=True)
class Sessions:
    """Keeps the last session of each thing; components that ask for it stand behind this one."""

    filters: ClassVar[Sequence[str]] = FILTERS
    kinds: ClassVar[Mapping[str, type[Record]]] = {KIND: Session}

    def handle(self, message: Message, transaction: Transaction) -> None:
        """Take a birth or a death; what is older than the session that stands changes nothing."""
        try:
            said = msgspec.json.decode(message.payload, type=_Announcement)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            transaction.observe("session_unreadable")
            return
        thing = message.topic.split("/")[-2]
        known: Session | None = transaction.records.get(KIND, thing)
        if known is not None and said.session < known.number:
            transaction.observe("session_late")
            return
        if known is not None and known.number == said.session:
            is_dead = said.session and not known.is_online
            if is_dead or known.is_online == said.online:
                return
        session = Session(thing=thing, number=said.session, is_online=said.online, since_s=transaction.now_s)
        transaction.put(KIND, thing, session)

    def expire(self, kind: str, key: str, transaction: Transaction) -> None:
        """No session falls due."""


def is_alive(records: Records, thing: str) -> bool:
    """Whether the thing has said that it is online, and nothing to the contrary since."""
    session: Session | None = records.get(KIND, thing)
    return session is not None and session.is_online
