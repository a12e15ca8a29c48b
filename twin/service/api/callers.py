"""Who is calling, by the bearer token, and what they may do."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from fastapi import Request

from twin.service.api.answers import ApiError
from twin.service.tokens import Keyring, Token

INFLIGHT_LIMIT: Final = 10
Caller: TypeAlias = Callable[[Request], Coroutine[Any, Any, Token]]


@dataclass(slots=True)
class Callers:
    """Knows callers by their tokens, and counts their shadow requests that are not answered yet.

    `tell` hears of whoever may not do what it asks for: its name, the method and the path.
    """

    keyring: Keyring
    tell: Callable[[str, str, str], None]
    inflight_limit: int = INFLIGHT_LIMIT

    inflight: Counter[str] = field(init=False, default_factory=Counter)

    def who(self, request: Request) -> Token:
        """Whose token the request carries; raises ApiError 401 for none, 429 after too many wrong ones."""
        address = request.client.host if request.client is not None else ""
        if self.keyring.must_wait(address):
            raise ApiError(429, "too many wrong tokens came from your address; wait a minute")
        scheme, _, secret = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not secret:
            raise ApiError(401, "this needs a token")
        token = self.keyring.find(secret.strip())
        if token is None:
            self.keyring.failed(address)
            raise ApiError(401, "this token is not known, or was revoked")
        return token

    def at_least(self, role: str) -> Caller:
        """A dependency: the caller, who may do what this role may."""

        async def caller(request: Request) -> Token:
            token = self.who(request)
            if not token.may(role):
                raise self._forbidden(
                    request, token, f"this needs the role {role}; the token {token.name!r} has {token.role}"
                )
            return token

        return caller

    def _forbidden(self, request: Request, token: Token, message: str) -> ApiError:
        """The refusal, which is told."""
        self.tell(token.name, request.method, request.url.path)
        return ApiError(403, message)

    def of_thing(self, role: str) -> Callable[[Request, str], Coroutine[Any, Any, Token]]:
        """A dependency for what concerns one thing: a device with a token of its own may do it too."""
        may = self.at_least(role)

        async def caller(request: Request, thing: str) -> Token:
            token = self.who(request)
            if token.role == "device" and token.thing != thing:
                raise self._forbidden(
                    request, token, f"the token {token.name!r} is good for {token.thing!r} only"
                )
            return token if token.role == "device" else await may(request)

        return caller

    def of_shadow(self, role: str) -> Callable[[Request, str], AsyncIterator[Token]]:
        """A dependency for shadow requests, of which a caller may have few in flight."""
        known = self.of_thing(role)

        async def caller(request: Request, thing: str) -> AsyncIterator[Token]:
            token = await known(request, thing)
            if self.inflight[token.name] >= self.inflight_limit:
                raise ApiError(429, f"{self.inflight_limit} requests of this token are in flight")
            self.inflight[token.name] += 1
            try:
                yield token
            finally:
                self.inflight[token.name] -= 1

        return caller
