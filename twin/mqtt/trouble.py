"""What went wrong with a connection to a broker, in words."""

from __future__ import annotations

import errno
import os
import ssl
from typing import Final

from twin.mqtt.codec import CodecError

WORDS: Final = {
    errno.ECONNREFUSED: "connection refused",
    errno.ECONNRESET: "connection reset",
    errno.EPIPE: "connection reset",
    errno.EMFILE: "this process may not open more files; raise the limit (ulimit -n) or use more processes",
    errno.EADDRNOTAVAIL: "no free local port to connect from; use more source addresses",
}


def why(error: Exception) -> str:
    """The reason, without the address."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the broker's certificate does not hold: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"TLS: {error.reason or error}"
    if isinstance(error, CodecError):
        return f"what listens there speaks no MQTT ({error})"
    return WORDS.get(getattr(error, "errno", None) or 0, "") or getattr(error, "strerror", "") or str(error)


def why_code(code: int) -> str:
    """The reason for an error number of the system."""
    return why(OSError(code, os.strerror(code)))
