"""The HTTP server: uvicorn on a thread of its own, on a socket that was opened before anything else."""

from __future__ import annotations

import ipaddress
import socket
import ssl
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import uvicorn
from cryptography import x509

from twin.errors import InputError, MissingEnvironmentError
from twin.service.api.guard import App

START_S: Final = 10.0
STOP_S: Final = 2.0
IDLE_S: Final = 5
MOST_CONNECTIONS: Final = 200
LARGEST_HEADERS_BYTES: Final = 16_384


@dataclass(frozen=True, slots=True)
class Tls:
    """Files in PEM: a certificate with what links it to its authority, and its key."""

    certificate_file: str
    key_file: str


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server there."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def check_certificate(tls: Tls, now_s: float) -> None:
    """Raise InputError for files that do not fit, and for a certificate that has expired."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(tls.certificate_file, tls.key_file)
        certificate = x509.load_pem_x509_certificate(Path(tls.certificate_file).read_bytes())
    except (OSError, ssl.SSLError, ValueError) as error:
        why = getattr(error, "strerror", None) or getattr(error, "reason", None) or error
        raise InputError(f"cannot serve with {tls.certificate_file} and {tls.key_file}: {why}") from None
    if certificate.not_valid_after_utc.timestamp() <= now_s:
        raise InputError(
            f"the certificate {tls.certificate_file} expired on {certificate.not_valid_after_utc:%Y-%m-%d};"
            " clients would refuse it: renew it"
        )


@dataclass(slots=True)
class WebServer:
    """Serves an app on a socket until it is stopped."""

    app: App
    socket: socket.socket
    tls: Tls | None = None

    _server: uvicorn.Server = field(init=False)
    _thread: threading.Thread = field(init=False)

    def start(self) -> None:
        """Return when requests are answered."""
        configuration = uvicorn.Config(
            self.app,
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            lifespan="off",
            timeout_keep_alive=IDLE_S,
            timeout_graceful_shutdown=1,
            limit_concurrency=MOST_CONNECTIONS,
            h11_max_incomplete_event_size=LARGEST_HEADERS_BYTES,
            http="h11",
            ws="none",
            ssl_certfile=self.tls.certificate_file if self.tls else None,
            ssl_keyfile=self.tls.key_file if self.tls else None,
        )
        self._server = uvicorn.Server(configuration)
        serve = self._server.run
        self._thread = threading.Thread(target=serve, args=([self.socket],), name="http", daemon=True)
        self._thread.start()
        waiting = threading.Event()
        for _ in range(int(START_S / 0.02)):
            if self._server.started or not self._thread.is_alive():
                break
            waiting.wait(0.02)
        if not self._server.started:
            raise MissingEnvironmentError("the HTTP server did not start")

    def stop(self) -> None:
        """Answer what is being asked, take no more."""
        self._server.should_exit = True
        self._thread.join(STOP_S)
        self.socket.close()
