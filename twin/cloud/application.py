"""An application and its users: a request travels to the application, on to the database, and back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import ClassVar, Final

import msgspec

from twin.cloud.database import ANSWER_TOPIC, QUERY_TOPIC, Query, QueryAnswer
from twin.kernel.behaviour import (
    Context,
    Drop,
    Effect,
    Event,
    NodeId,
    Observe,
    Received,
    Send,
    Started,
    Wake,
    Woken,
)
from twin.message import Message
from twin.units import Ratio, Seconds

REQUEST_TOPIC: Final = "application/request"
RESPONSE_TOPIC: Final = "application/response"
PENDING_LIMIT: Final = 10_000
CLOCK_GRAIN_S: Final = 1e-6
FIRST_ERROR: Final = 400


class Request(msgspec.Struct, frozen=True):
    """What a user asks: the latest value of a topic."""

    number: int
    topic: str


class Response(msgspec.Struct, frozen=True):
    """The answer to the request of the same number; an error has a status of 400 or more."""

    number: int
    topic: str
    value: bytes
    status: int = 200


class Errand(msgspec.Struct, frozen=True):
    """For whom the application asks the database; it travels with the query, so nothing is held."""

    user: NodeId
    number: int


@dataclass(slots=True)
class User:
    """Asks the application every `every_s`, give or take `jitter`, for the latest value of `topic`.

    Observes `request` when it asks, then `response` with the seconds it took in the same causal chain, or
    `request_failed` if the answer is an error or none came within `timeout_s`. The first request comes at
    a random moment of the first interval.
    """

    measures: ClassVar[tuple[str, ...]] = ("request", "response", "request_failed")

    application: NodeId
    topic: str = ""
    every_s: Seconds = 10.0
    jitter_ratio: Ratio = 0.0
    timeout_s: Seconds = 5.0

    asked_s: dict[int, float] = field(init=False, default_factory=dict)
    number: int = field(init=False, default=0)

    def react(self, event: Event, context: Context) -> Iterable[Effect]:
        """Ask when it is time, and judge what comes back."""
        match event:
            case Woken("request"):
                return self._ask(context)
            case Woken("timeout"):
                return self._give_up(context)
            case Received(message, source, _) if source == self.application:
                return self._answered(message, context)
            case Started():
                return (Wake(context.random.uniform(0.0, self.every_s), "request"),)
        return ()

    def _ask(self, context: Context) -> Iterator[Effect]:
        share = self.jitter_ratio * context.random.uniform(-1.0, 1.0)
        yield Wake(self.every_s * (1.0 + share), "request")
        yield Observe("request")
        if len(self.asked_s) >= PENDING_LIMIT:
            yield Observe("request_failed")
            return
        if not self.asked_s:
            yield Wake(self.timeout_s, "timeout")
        self.number += 1
        self.asked_s[self.number] = context.now
        request = msgspec.json.encode(Request(self.number, self.topic))
        yield Send(self.application, Message(REQUEST_TOPIC, request))

    def _answered(self, message: Message, context: Context) -> Iterator[Effect]:
        """An answer that comes too late is no answer."""
        response = msgspec.json.decode(message.payload, type=Response)
        asked_s = self.asked_s.pop(response.number, None)
        if asked_s is not None:
            is_error = response.status >= FIRST_ERROR
            yield Observe("request_failed") if is_error else Observe("response", context.now - asked_s)

    def _give_up(self, context: Context) -> Iterator[Effect]:
        """Requests time out in the order in which they were made, so one timer serves them all."""
        while self.asked_s:
            number, asked_s = next(iter(self.asked_s.items()))
            rest_s = asked_s + self.timeout_s - context.now
            if rest_s > CLOCK_GRAIN_S:
                yield Wake(rest_s, "timeout")
                return
            del self.asked_s[number]
            yield Observe("request_failed")


@dataclass(slots=True)
class Application:
    """Answers the requests of users with what its database holds; its station gives the service time.

    The latest of `errors`, as (share of requests, status), says which it answers with an error instead.
    """

    measures: ClassVar[tuple[str, ...]] = ()

    database: NodeId

    errors: list[tuple[float, int]] = field(init=False, default_factory=list)

    def react(self, event: Event, context: Context) -> Iterable[Effect]:
        """Pass a request on as a query, and an answer back as a response."""
        match event:
            case Received(message, source, _) if message.topic == REQUEST_TOPIC:
                is_error = bool(self.errors) and context.random.uniform() < self.errors[-1][0]
                return self._fail(message, source) if is_error else self._query(message, source)
            case Received(message, source, _) if source == self.database and message.topic == ANSWER_TOPIC:
                return self._respond(message)
        return ()

    def _query(self, message: Message, user: NodeId) -> list[Effect]:
        try:
            request = msgspec.json.decode(message.payload, type=Request)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return [Drop(message, "not understood")]
        errand = msgspec.json.encode(Errand(user, request.number)).decode()
        query = msgspec.json.encode(Query(request.topic, errand))
        return [Send(self.database, Message(QUERY_TOPIC, query))]

    def _fail(self, message: Message, user: NodeId) -> list[Effect]:
        try:
            request = msgspec.json.decode(message.payload, type=Request)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return [Drop(message, "not understood")]
        failure = Response(request.number, request.topic, b"", self.errors[-1][1])
        return [Send(user, Message(RESPONSE_TOPIC, msgspec.json.encode(failure)))]

    def _respond(self, message: Message) -> list[Effect]:
        answer = msgspec.json.decode(message.payload, type=QueryAnswer)
        errand = msgspec.json.decode(answer.reference, type=Errand)
        response = msgspec.json.encode(Response(errand.number, answer.topic, answer.value))
        return [Send(errand.user, Message(RESPONSE_TOPIC, response))]
