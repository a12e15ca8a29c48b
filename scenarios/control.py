"""Orders to something that runs, from another process of the same user: a socket file, one line an order.

    {"do": "begin", "what": "{fault: partition}"}  ->  {"ok": {...}}  or  {"error": "one sentence"}

The socket file belongs to the user alone; there is no other authentication.
"""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from twin.errors import InputError, WindtunnelError

ORDER_BYTES: Final = 65_536
TIMEOUT_S: Final = 5.0
PRIVATE: Final = 0o600
WAITING_LIMIT: Final = 8

Actions = Mapping[str, Callable[[str], Any]]
"""What can be ordered: a function of the order's `what` that returns what is answered as JSON."""


class Desk:
    """Takes orders at a socket file and lets `call` perform them in the thread that runs.

    Raises InputError for a file that cannot be.
    """

    def __init__(self, path: Path, call: Callable[[Callable[[], None]], None], actions: Actions) -> None:
        self._path = path
        self._call = call
        self._actions = actions
        self._listener = socket.socket(socket.AF_UNIX)
        mask = os.umask(0o777 & ~PRIVATE)
        try:
            self._listener.bind(str(path))
        except OSError as error:
            self._listener.close()
            taken = "it exists already" if path.exists() else str(error.strerror or error)
            raise InputError(f"cannot make the control socket {path}: {taken}") from None
        finally:
            os.umask(mask)
        self._listener.listen(WAITING_LIMIT)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Take no more orders, and remove the file."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(TIMEOUT_S)
        self._path.unlink(missing_ok=True)

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                with client, suppress(OSError, ValueError):
                    client.settimeout(TIMEOUT_S)
                    client.sendall(json.dumps(self._answer(_line(client))).encode() + b"\n")

    def _answer(self, line: bytes) -> dict[str, Any]:
        order = json.loads(line)
        action = self._actions.get(str(order.get("do"))) if isinstance(order, dict) else None
        if action is None:
            return {"error": f"unknown order; known: {', '.join(self._actions)}"}
        answered, done = {}, threading.Event()

        def perform() -> None:
            try:
                answered["ok"] = action(str(order.get("what", "")))
            except WindtunnelError as error:
                answered["error"] = str(error)
            except Exception as error:  # noqa: BLE001  (whoever ordered it hears of it; the run goes on)
                answered["error"] = f"{order['do']} failed: {error!r}"
            done.set()

        self._call(perform)
        return answered if done.wait(TIMEOUT_S) else {"error": "no answer: what runs is busy or stopping"}


def ask(path: Path, action: str, what: str = "") -> Any:
    """Give an order and return its answer. Raises InputError if nobody takes it or it cannot be done."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(2 * TIMEOUT_S)
        try:
            sock.connect(str(path))
            sock.sendall(json.dumps({"do": action, "what": what}).encode() + b"\n")
            answer = json.loads(_line(sock))
        except (OSError, ValueError) as error:
            raise InputError(f"nobody takes orders at {path}: {error}") from None
    if "error" in answer:
        raise InputError(answer["error"])
    return answer["ok"]


def _line(sock: socket.socket) -> bytes:
    """One line of at most `ORDER_BYTES`."""
    line = b""
    while not line.endswith(b"\n") and len(line) < ORDER_BYTES:
        more = sock.recv(4096)
        if not more:
            break
        line += more
    return line
