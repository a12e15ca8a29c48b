"""Beginning a command anew in a user and network namespace of its own, where it may move packets."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from twin.errors import MissingEnvironmentError

if TYPE_CHECKING:
    from scenarios.wiring.packet_level import PacketGround

MARK: Final = "WINDTUNNEL_NAMESPACE"
TUN: Final = "tun"


@contextmanager
def packet_ground(links: str) -> Iterator[PacketGround | None]:
    """The ground for packets if the links want it; the command is begun anew in a namespace first.

    Raises MissingEnvironmentError where the machine forbids it.
    """
    if links != TUN:
        yield None
        return
    _enter()
    from scenarios.wiring.packet_level import PacketGround

    ground = PacketGround()
    try:
        yield ground
    finally:
        ground.close()


def _enter() -> None:
    """Become the same command in namespaces of its own: no root is needed, and nothing else changes."""
    if os.environ.get(MARK):
        return
    unshare = shutil.which("unshare", path=f"{os.environ.get('PATH', '')}:/usr/bin:/bin")
    if not sys.platform.startswith("linux") or unshare is None:
        raise MissingEnvironmentError("packets on the wire need Linux with `unshare`; use --links proxy")
    os.environ[MARK] = "1"
    sys.stdout.flush()
    sys.stderr.flush()
    apart = [unshare, "--user", "--map-root-user", "--net"]
    os.execv(unshare, [*apart, sys.executable, "-m", "windtunnel", *sys.argv[1:]])  # noqa: S606  (ourselves)
