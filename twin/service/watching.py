"""Who was refused what, by our broker as its log tells it and by the API, written into the audit log."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from twin.service.broker_log import Arrived, Denied, Event, Left, NotVerified, Subscribed
from twin.service.mosquitto import OWNER
from twin.state.records import Records, Transaction
from twin.state.registry.access import grants_of
from twin.state.registry.audit import LONGEST_TEXT, Entry, audit

MOST_EVENTS: Final = 100_000
AT_ONCE: Final = 2_000
MOST_BY_CALLERS: Final = 10_000
"""So many refusals of callers may wait: those of devices are not to be lost for them."""
SERVICE_TOPICS: Final = "$aws/"


class Forbidden(NamedTuple):
    """A caller of the API asked for what its role does not allow."""

    who: str
    verb: str
    what: str


@dataclass(slots=True)
class Watch:
    """Remembers events until they are written; `lost` counts those that came faster than that.

    `arrived` is told of each client that has connected, with the transaction.
    """

    arrived: Callable[[str, Transaction], None] = lambda _client, _transaction: None
    lost: int = field(init=False, default=0)
    connected: set[str] = field(init=False, default_factory=set)
    _events: deque[tuple[float, Event | Forbidden]] = field(init=False, default_factory=deque)

    def hear(self, event: Event | Forbidden) -> None:
        """Take an event; called on the threads of the log and of the API."""
        if isinstance(event, Arrived):
            self.connected.add(event.client)
        elif isinstance(event, Left):
            self.connected.discard(event.client)
            return
        limit = MOST_BY_CALLERS if isinstance(event, Forbidden) else MOST_EVENTS
        if len(self._events) >= limit:
            self.lost += 1
        else:
            self._events.append((time.time(), event))

    @property
    def has_news(self) -> bool:
        """Whether there is something to write."""
        return bool(self._events)

    def write(self, transaction: Transaction) -> int:
        """Write refusals into the journal and return how many; register the clients that were awaited."""
        count = 0
        for _ in range(min(len(self._events), AT_ONCE)):
            at_s, event = self._events.popleft()
            if isinstance(event, Arrived):
                self.arrived(event.client, transaction)
            for entry in _refusals(at_s, event, transaction.records):
                audit(transaction, entry)
                count += 1
        return count


def _refusals(at_s: float, event: Event | Forbidden, records: Records) -> Iterator[Entry]:
    match event:
        case Denied(client, topic):
            yield _refused(at_s, client, "publish", topic, "no policy allows it")
        case Subscribed(client, topic_filter):
            if client != OWNER and not grants_of(records, client).may("subscribe", topic_filter):
                yield _refused(at_s, client, "subscribe", topic_filter, "nothing is delivered")
        case Arrived(client, _, _, will) if will:
            if not grants_of(records, client).may("publish", will):
                yield _refused(at_s, client, "will", will, "no policy allows it")
            elif will.startswith(SERVICE_TOPICS):
                yield _refused(at_s, client, "will", will, "a will on a topic of the service is no request")
        case Forbidden(who, verb, what):
            yield _refused(at_s, who, verb, what, "the role does not allow it")
        case NotVerified(reason):
            yield _refused(at_s, "unknown", "connect", "", reason)


def _refused(at_s: float, who: str, verb: str, what: str, reason: str) -> Entry:
    return Entry(at_s, who, verb, what[:LONGEST_TEXT], "refused", reason)
