"""What is refused before any route sees it: foreign hosts and origins, large bodies, slow requests."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import msgspec

from twin.service.api.answers import ADVICE

Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

BODY_LIMIT_BYTES: Final = 1 << 20
BODY_S: Final = 10.0
ANSWER_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Guard:
    """An ASGI application around another. `hosts` are the names under which it may be asked.

    A web page of another origin that a browser loads must not get through with what the browser knows, nor a
    name that was made to point here: hence the hosts and the origins.
    """

    app: App
    hosts: frozenset[str]
    body_limit_bytes: int = BODY_LIMIT_BYTES
    body_s: float = BODY_S
    answer_s: float = ANSWER_S

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer why not."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = {name.lower(): value.decode("latin-1") for name, value in scope["headers"]}
        refusal = self._refusal(headers)
        if refusal is not None:
            await _answer(send, *refusal)
            return
        try:
            body = await asyncio.wait_for(self._body(receive), self.body_s)
        except TimeoutError:
            await _answer(send, 408, f"the request did not come within {self.body_s:g} s")
            return
        if body is None:
            await _answer(send, 413, f"the body has more than {self.body_limit_bytes} bytes")
            return
        await self._pass(scope, body, receive, send)

    async def _pass(self, scope: Scope, body: bytes, receive: Receive, send: Send) -> None:
        is_begun, is_given = False, False

        async def give() -> MutableMapping[str, Any]:
            nonlocal is_given
            if is_given:
                return await receive()
            is_given = True
            return {"type": "http.request", "body": body, "more_body": False}

        async def tell(message: MutableMapping[str, Any]) -> None:
            nonlocal is_begun
            is_begun = True
            await send(message)

        headers = [each for each in scope["headers"] if each[0].lower() != b"content-type"]
        as_json = {
            **scope,
            "headers": [*headers, (b"content-type", b"application/json")],
        }  # curl -d says a form
        try:
            await asyncio.wait_for(self.app(as_json, give, tell), self.answer_s)
        except TimeoutError:
            if not is_begun:
                await _answer(send, 504, f"no answer within {self.answer_s:g} s")

    def _refusal(self, headers: dict[bytes, str]) -> tuple[int, str] | None:
        host = headers.get(b"host", "")
        if _name(host) not in self.hosts:
            return 421, f"this service is not called {host[:100]!r}"
        origin = headers.get(b"origin")
        if origin is not None and origin.partition("://")[2] != host:
            return 403, f"pages of {origin[:100]!r} may not use this service"
        length = headers.get(b"content-length", "0")
        if not length.isdecimal():
            return 400, "Content-Length is no number"
        if int(length) > self.body_limit_bytes:
            return 413, f"the body has more than {self.body_limit_bytes} bytes"
        return None

    async def _body(self, receive: Receive) -> bytes | None:
        """The whole body, None if it is too long."""
        parts: list[bytes] = []
        size = 0
        while True:
            message = await receive()
            if message["type"] != "http.request":
                return b"".join(parts)
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if size > self.body_limit_bytes:
                return None
            if not message.get("more_body", False):
                return b"".join(parts)


def _name(host: str) -> str:
    """The name without its port; an IPv6 address stands in brackets."""
    if host.startswith("["):
        return host.partition("]")[0][1:].lower()
    return host.partition(":")[0].lower()


async def _answer(send: Send, code: int, message: str) -> None:
    body = msgspec.json.encode({"code": code, "message": message, "advice": ADVICE.get(code, "")})
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send(
        {"type": "http.response.start", "status": code, "headers": [*headers, (b"connection", b"close")]}
    )
    await send({"type": "http.response.body", "body": body})
