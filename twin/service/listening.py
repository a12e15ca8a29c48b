"""A socket that listens, opened before anything else: a taken port is found before the work begins."""

from __future__ import annotations

import errno
import socket
from typing import Final

from twin.errors import MissingEnvironmentError

BACKLOG: Final = 128


def listening(host: str, port: int, option: str = "--port") -> socket.socket:
    """A listening socket; raises MissingEnvironmentError if the port is taken or the address is not ours.

    `option` is what another port is chosen with.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    opened = socket.socket(family)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        opened.bind((host, port))
    except OSError as error:
        opened.close()
        if error.errno == errno.EADDRINUSE:
            raise MissingEnvironmentError(
                f"port {port} of {host} is taken; end who has it, or choose another with {option}"
            ) from None
        raise MissingEnvironmentError(f"cannot listen on {host} port {port}: {error.strerror}") from None
    opened.listen(BACKLOG)
    return opened
