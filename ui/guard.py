"""Who may talk to the server: hosts, origins, and a password where one is asked for.

Streamlit checks the origin of its own stream only. This stands before every route: a page elsewhere in the
user's browser, or a name that someone points at the loopback address, gets nothing.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Awaitable, Callable, MutableMapping
from html import escape
from http.cookies import CookieError, SimpleCookie
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

LOGIN: Final = "/wt/login"
COOKIE: Final = "windtunnel"
SESSION_S: Final = 12 * 3600.0
MOST_FORM_BYTES: Final = 4_096
ATTEMPT_S: Final = 0.5
"""Between two attempts to log in: a password is not found by trying."""

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

PAGE: Final = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Windtunnel</title>
<meta name="viewport" content="width=device-width"><style>
:root{{color-scheme:light dark}}body{{font:16px system-ui;display:grid;place-items:center;min-height:90vh}}
form{{display:grid;gap:.8rem;width:18rem}}input,button{{font:inherit;padding:.5rem;border-radius:.4rem}}
</style><form method="post" action="{action}"><h1>Windtunnel</h1><label for="p">Password</label>
<input id="p" name="password" type="password" autocomplete="current-password" autofocus required>
<button>Open</button><p role="alert">{notice}</p></form></html>"""


class Guard:
    """Middleware in front of everything the server answers.

    `hosts` are the names the server may be called by (without port), `password` is asked for once a browser
    if it is not empty.
    """

    def __init__(
        self, app: Application, hosts: tuple[str, ...], password: str = "", *, is_secure: bool = False
    ) -> None:
        self._app, self._hosts, self._is_secure = app, {host.lower() for host in hosts}, is_secure
        self._password = password.encode()
        self._key = secrets.token_bytes(32)
        self._next_attempt_s = 0.0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let it pass, or answer for the application."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        headers = {
            name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]
        }
        if not self._is_called_right(headers.get("host", "")):
            await _refuse(scope, send, 421, "this server is not called by that name")
        elif not self._is_own_page(scope, headers):
            await _refuse(scope, send, 403, "another site's page may not ask for this")
        elif not self._password or self._is_known(headers.get("cookie", "")):
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await _refuse(scope, send, 403, "log in first")
        else:
            await self._login(scope, receive, send)

    def _is_called_right(self, host: str) -> bool:
        return _name(f"//{host}") in self._hosts

    def _is_own_page(self, scope: Scope, headers: dict[str, str]) -> bool:
        """A request that names no origin is no page's, or a plain navigation."""
        origin = headers.get("origin")
        if origin is None:
            is_foreign = (
                headers.get("sec-fetch-site") == "cross-site" and headers.get("sec-fetch-mode") != "navigate"
            )
            return not is_foreign and scope["type"] == "http"
        return urlsplit(origin).netloc.lower() == headers.get("host", "").lower()

    def _is_known(self, cookies: str) -> bool:
        try:
            morsel = SimpleCookie(cookies).get(COOKIE)
        except CookieError:
            return False
        until, _, seal = (morsel.value if morsel else "").partition(".")
        if not (until.isascii() and until.isdigit()) or int(until) < time.time():
            return False
        return hmac.compare_digest(seal, self._seal(until))

    def _seal(self, until: str) -> str:
        return hmac.new(self._key, until.encode(), hashlib.sha256).hexdigest()

    async def _login(self, scope: Scope, receive: Receive, send: Send) -> None:
        notice = ""
        if scope["path"].endswith(LOGIN) and scope["method"] == "POST":
            now = time.monotonic()
            if now < self._next_attempt_s:
                notice = "Wait a moment, then try again."
            elif hmac.compare_digest(await _password(receive), self._password):
                await _answer(send, 303, b"", [("location", "/"), ("set-cookie", self._cookie())])
                return
            else:
                notice = "That is not the password."
            self._next_attempt_s = now + ATTEMPT_S
        page = PAGE.format(action=escape(LOGIN), notice=escape(notice)).encode()
        headers = [
            ("content-type", "text/html; charset=utf-8"),
            ("cache-control", "no-store"),
            ("content-security-policy", "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'"),
        ]
        await _answer(send, 401, page, headers)

    def _cookie(self) -> str:
        until = str(int(time.time() + SESSION_S))
        secure = "; Secure" if self._is_secure else ""
        return f"{COOKIE}={until}.{self._seal(until)}; Path=/; HttpOnly; SameSite=Strict{secure}"


def _name(address: str) -> str:
    try:
        return (urlsplit(address).hostname or "").lower()
    except ValueError:
        return ""


async def _password(receive: Receive) -> bytes:
    """The password of a posted form; empty if there is none, or the form is far too long."""
    body = b""
    while len(body) <= MOST_FORM_BYTES:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body", False):
            form: dict[str, list[str]] = parse_qs(body.decode("utf-8", "replace"))
            return form.get("password", [""])[0].encode()
    return b""


async def _refuse(scope: Scope, send: Send, status: int, sentence: str) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 4403, "reason": sentence})
        return
    await _answer(send, status, sentence.encode(), [("content-type", "text/plain; charset=utf-8")])


async def _answer(send: Send, status: int, body: bytes, headers: list[tuple[str, str]]) -> None:
    encoded = [(name.encode(), value.encode()) for name, value in headers]
    await send({"type": "http.response.start", "status": status, "headers": encoded})
    await send({"type": "http.response.body", "body": body})
