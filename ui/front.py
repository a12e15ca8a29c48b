"""Streamlit's page as we send it: it knows where its server is, and may reach nothing else."""

from __future__ import annotations

from typing import Final

from ui.guard import Application, Message, Receive, Scope, Send

OWN: Final = "/wt/"
ADDRESS: Final = b"<script>window.__streamlit={BACKEND_BASE_URL:location.origin+'/'}</script>"
"""Without it a page below the root first asks for its server below itself, which is an error each time."""
POLICY: Final = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; worker-src 'self' blob:;"
    " style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:;"
    " connect-src 'self' data: blob:; frame-src 'self' blob: data:; object-src 'none'; base-uri 'self';"
    " form-action 'self'; frame-ancestors 'self'"
)
HEADERS: Final = [
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
]


class Front:
    """Middleware that writes into the page of Streamlit, and leaves everything else as it is."""

    def __init__(self, app: Application) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, with the page changed on its way."""
        if scope["type"] != "http" or scope["path"].startswith(OWN):
            await self._app(scope, receive, send)
            return
        if any(name == b"accept" and b"text/html" in value for name, value in scope["headers"]):
            scope["headers"] = [each for each in scope["headers"] if each[0] not in UNWANTED]
        await self._app(scope, receive, _Rewriting(send))


UNWANTED: Final = {b"if-none-match", b"if-modified-since", b"accept-encoding"}
"""The page is ours to change: the browser's copy of the original says nothing, and it comes as text."""


class _Rewriting:
    """Sends on; of a page the head is held back until all of it is there."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._head: Message | None = None
        self._body = b""

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start" and _is_page(message):
            self._head = message
        elif message["type"] == "http.response.body" and self._head is not None:
            self._body += message.get("body", b"")
            if not message.get("more_body", False):
                await self._finish(self._head)
        else:
            await self._send(message)

    async def _finish(self, head: Message) -> None:
        body = self._body.replace(b"<head>", b"<head>" + ADDRESS, 1)
        kept = [each for each in head["headers"] if each[0] not in {b"content-length", b"etag"}]
        head["headers"] = [*kept, *HEADERS, (b"content-length", str(len(body)).encode())]
        await self._send(head)
        await self._send({"type": "http.response.body", "body": body})


def _is_page(message: Message) -> bool:
    kinds = [value for name, value in message["headers"] if name == b"content-type"]
    return message["status"] == 200 and any(kind.startswith(b"text/html") for kind in kinds)
