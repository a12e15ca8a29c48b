"""The history of a live run: who handed over which message, who acknowledged it, who received it.

A message is known by `device:session:number`. It carries this in its payload if that is a JSON object (as
first member, taken out again before the receiver sees it), so that also duplicates can be told apart. What
has no such payload, or is not to be marked, is known by topic and payload, in the order it was published.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import IO, Final

import msgspec
from msgspec.structs import replace

from twin.message import Message
from twin.mqtt.journal import Moment

MARK: Final = b'{"_wt":"'
MOST_EVENTS: Final = 2_000_000
MOST_CONTENTS: Final = 20_000
MOST_OF_A_CONTENT: Final = 10_000
MOST_SUBSCRIPTIONS: Final = 100_000
FLUSH_EVERY: Final = 256
FORMAT: Final = 1


class Happening(msgspec.Struct, frozen=True, omit_defaults=True, rename={"at_s": "t", "what": "e"}):
    """One line of a history, at `at_s` seconds of the run.

    invoke, ok, fail: `by` hands over, gets acknowledged, gives up the message `id`; receive: `by` gets it.
    subscribed, unsubscribe: `topic` is the filter. started, connected, anew, disconnected: the session of
    `by`, which the broker had kept, or knew nothing of. fault: from `at_s` to `to_s`. end: the run is over;
    cut: no more was written.
    """

    at_s: float
    what: str
    by: str = ""
    id: str = ""
    topic: str = ""
    qos: int = 0
    is_retained: bool = False
    is_repeated: bool = False
    to_s: float = 0.0
    why: str = ""


def marked(payload: bytes, identity: str) -> bytes:
    """The payload with its mark; any other than a JSON object comes back as it was."""
    if payload[:1] != b"{":
        return payload
    rest = payload[1:]
    comma = b"" if rest.lstrip()[:1] == b"}" else b","
    return MARK + identity.encode() + b'"' + comma + rest


def unmarked(payload: bytes) -> tuple[bytes, str]:
    """The payload without its mark, and the identity in it ("" if there is none)."""
    if not payload.startswith(MARK):
        return payload, ""
    identity, quote, rest = payload[len(MARK) :].partition(b'"')
    if not quote:
        return payload, ""
    return b"{" + rest.removeprefix(b","), identity.decode("utf-8", "replace")


class History:
    """Writes happenings as JSON lines while a run lasts: a `twin.mqtt.journal.Journal`.

    `clock` gives the seconds of the run. Past `MOST_EVENTS`, or when the disk is full, no more is written,
    and the last line says so.
    """

    def __init__(
        self, path: Path, clock: Callable[[], float] = lambda: 0.0, *, is_marking: bool = True
    ) -> None:
        self.clock = clock
        self.problem = ""
        self._is_marking = is_marking
        self._file: IO[bytes] = path.open("wb")
        self._events_left = MOST_EVENTS
        self._omitted = 0
        self._numbers: dict[str, int] = {}
        self._sessions: dict[str, int] = {}
        self._since: dict[str, float] = {}
        self._contents: OrderedDict[tuple[str, bytes], list[tuple[str, float]]] = OrderedDict()
        self._taken: OrderedDict[tuple[str, str, bytes], int] = OrderedDict()
        self._asked: OrderedDict[tuple[str, int], Message] = OrderedDict()

    # the journal -----------------------------------------------------------------------------------------

    def published(self, client: str, message: Message) -> Message:
        """Give the publication an identity, and mark it if that can be done."""
        number = self._numbers[client] = self._numbers.get(client, 0) + 1
        identity = f"{client}:{self._sessions.get(client, 0)}:{number}"
        payload = marked(message.payload, identity) if self._is_marking else message.payload
        if payload is message.payload:
            self._remember(message.topic, payload, identity)
        self._write("invoke", client, identity, message.topic, message.qos, is_retained=message.retain)
        return message if payload is message.payload else replace(message, payload=payload)

    def received(self, client: str, message: Message) -> Message:
        """Note whose publication came, and take its mark out."""
        payload, identity = unmarked(message.payload)
        if not identity:
            identity = self._by_content(client, message)
        self._write(
            "receive",
            client,
            identity,
            message.topic,
            message.qos,
            is_retained=message.retain,
            is_repeated=message.dup,
        )
        return message if payload is message.payload else replace(message, payload=payload)

    def note(self, client: str, moment: Moment, message: Message | None = None, why: str = "") -> None:
        """Write what else happened."""
        match moment:
            case "acknowledged" | "given up" if message is not None:
                identity = unmarked(message.payload)[1] or self._by_content("", message)
                what = "ok" if moment == "acknowledged" else "fail"
                self._write(what, client, identity, why=why)
            case "subscribe" if message is not None:
                self._asked[client, message.packet_id] = message
                while len(self._asked) > MOST_SUBSCRIPTIONS:
                    self._asked.popitem(last=False)
            case "subscribed" if message is not None:
                asked = self._asked.pop((client, message.packet_id), None)
                if asked is not None:
                    self._since.setdefault(client, self.clock())
                    self._write("subscribed", client, topic=asked.topic, qos=asked.qos)
            case "unsubscribe" if message is not None:
                self._write("unsubscribe", client, topic=message.topic)
            case "connected" | "connected anew" | "started" | "disconnected":
                if moment in ("connected", "connected anew"):
                    self._sessions[client] = self._sessions.get(client, 0) + 1
                self._write("anew" if moment == "connected anew" else moment, client)

    # from outside ----------------------------------------------------------------------------------------

    def fault(self, name: str, from_s: float, to_s: float, place: str = "") -> None:
        """A fault was at work."""
        self._put(Happening(from_s, "fault", place, to_s=to_s, why=name))

    def close(self) -> None:
        """Write the last line."""
        if self._omitted and not self.problem:
            self._put(Happening(self.clock(), "cut", why=f"{self._omitted} more events"), is_last=True)
        self._put(Happening(self.clock(), "end"), is_last=True)
        try:
            self._file.close()
        except OSError as error:
            self.problem = self.problem or f"the history could not be written: {error.strerror}"

    def _write(
        self,
        what: str,
        client: str,
        identity: str = "",
        topic: str = "",
        qos: int = 0,
        *,
        is_retained: bool = False,
        is_repeated: bool = False,
        why: str = "",
    ) -> None:
        at_s = round(self.clock(), 6)
        self._put(Happening(at_s, what, client, identity, topic, qos, is_retained, is_repeated, why=why))

    def _put(self, happening: Happening, *, is_last: bool = False) -> None:
        if self.problem or (self._events_left <= 0 and not is_last):
            self._omitted += 1
            return
        self._events_left -= 1
        try:
            self._file.write(msgspec.json.encode(happening) + b"\n")
            if self._events_left % FLUSH_EVERY == 0:
                self._file.flush()
        except OSError as error:
            self.problem = f"the history could not be written to its end: {error.strerror}"

    # by content ------------------------------------------------------------------------------------------

    def _remember(self, topic: str, payload: bytes, identity: str) -> None:
        identities = self._contents.setdefault((topic, payload), [])
        if len(identities) < MOST_OF_A_CONTENT:
            identities.append((identity, self.clock()))
        while len(self._contents) > MOST_CONTENTS:
            self._contents.popitem(last=False)

    def _by_content(self, client: str, message: Message) -> str:
        """The first publication of this content since the client subscribed that it has not had yet; else the
        last one again.
        """
        identities = self._contents.get((message.topic, message.payload))
        if not identities:
            return ""
        key = (client, message.topic, message.payload)
        since_s = self._since.get(client, 0.0)
        taken = self._taken.pop(key, 0)
        while taken < len(identities) - 1 and identities[taken][1] < since_s:
            taken += 1
        self._taken[key] = min(taken + 1, len(identities))
        while len(self._taken) > MOST_CONTENTS:
            self._taken.popitem(last=False)
        return identities[min(taken, len(identities) - 1)][0]
