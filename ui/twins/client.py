"""Talks to a running `windtunnel serve` over its HTTP API; every failure is one sentence."""

from __future__ import annotations

import json
import ssl
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlencode, urlsplit

from twin.errors import InputError

TIMEOUT_S: Final = 5.0
MOST_ANSWER_BYTES: Final = 8_000_000


class ServiceError(InputError):
    """The service refused, or is not there; `status` is that of HTTP, 0 without an answer."""

    def __init__(self, sentence: str, status: int = 0) -> None:
        super().__init__(sentence)
        self.status = status


class ServiceClient:
    """One service, with the token of who asks. The token leaves this process in a header only."""

    def __init__(self, address: str, token: str, authority: Path | None = None) -> None:
        found = urlsplit(address)
        if found.scheme not in {"http", "https"} or not found.hostname or found.username:
            raise ServiceError(
                f"{address!r} is no address of a service; expected http://HOST:PORT or https://..."
            )
        if found.scheme == "http" and found.hostname not in {"127.0.0.1", "localhost", "::1"}:
            raise ServiceError("a token must not travel in clear to another machine; use https://")
        self._where, self._token = found, token
        self._authority = authority

    def get(self, path: str, **query: Any) -> Any:
        """What the service knows."""
        given = {name: value for name, value in query.items() if value not in (None, "")}
        return self.ask("GET", f"{path}?{urlencode(given, doseq=True)}" if given else path)

    def health(self) -> Any:
        """How the service stands, also when it is not well, which it says as an error."""
        status, content = self._exchange("GET", "/health", None)
        return _read(HTTPStatus.OK if status == HTTPStatus.SERVICE_UNAVAILABLE else status, content)

    def ask(self, method: str, path: str, document: Any = None) -> Any:
        """One request and its answer as JSON. Raises ServiceError."""
        return _read(*self._exchange(method, path, document))

    def _exchange(self, method: str, path: str, document: Any) -> tuple[int, bytes]:
        connection = self._connection()
        try:
            body = None if document is None else json.dumps(document).encode()
            headers = {"authorization": f"Bearer {self._token}", "content-type": "application/json"}
            connection.request(method, path, body=body, headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.read(MOST_ANSWER_BYTES + 1)
        except ssl.SSLCertVerificationError as error:
            raise ServiceError(
                f"the certificate of {self._where.netloc} is not trusted: {error.verify_message};"
                " give the authority's file (--service-ca)"
            ) from None
        except (OSError, HTTPException) as error:
            raise ServiceError(f"nobody answers at {self._where.geturl()}: {error}") from None
        finally:
            connection.close()

    def _connection(self) -> HTTPConnection:
        host, port = str(self._where.hostname), self._where.port
        if self._where.scheme == "http":
            return HTTPConnection(host, port or 80, timeout=TIMEOUT_S)
        try:
            context = ssl.create_default_context(cafile=self._authority)
        except (OSError, ssl.SSLError) as error:
            raise ServiceError(f"{self._authority} cannot be read as certificates: {error}") from None
        return HTTPSConnection(host, port or 443, timeout=TIMEOUT_S, context=context)


def _read(status: int, content: bytes) -> Any:
    if len(content) > MOST_ANSWER_BYTES:
        raise ServiceError("the answer is too long; ask for less", status)
    try:
        found = json.loads(content) if content else None
    except ValueError:
        raise ServiceError("what answers there is no twin service", status) from None
    if status >= 400:
        said = found if isinstance(found, dict) else {}
        parts = [str(said[name]) for name in ("message", "advice") if said.get(name)]
        raise ServiceError("; ".join(parts) or f"the service answered {status}", status)
    return found


def path_of(*parts: str) -> str:
    """A path of names, none of which can leave its place."""
    return "/" + "/".join(quote(part, safe="") for part in parts)
