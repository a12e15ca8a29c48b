"""HTTP/1.1 requests: round trips on an open connection, and on a new one."""

from __future__ import annotations

from network.dns import lookup_s
from network.transport import Tcp


def request_s(round_trip_s: float, server_s: float, *, new: Tcp | None = None) -> float:
    """Seconds of a request: 1 RTT + server time; on a `new` connection TCP 1 and TLS 1 or 2 round trips
    more, and one for a name that is not cached.
    """
    open_s = round_trip_s + server_s
    if new is None:
        return open_s
    return open_s + round_trip_s * len(new.handshake_bytes) / 2


def cold_start_s(round_trip_s: float, new: Tcp, *, is_name_cached: bool = True) -> tuple[float, float]:
    """Seconds until the first PUBLISH is at the broker and until its PUBACK is back, after n round trips of
    handshake and one of CONNECT: (n + 1.5) RTT and (n + 2) RTT. The handshake of a `Tcp` whose name is
    unknown holds the lookup already.
    """
    dns_s = lookup_s(round_trip_s, is_cached=is_name_cached or new.is_name_unknown)
    before_s = new.handshake_round_trips * round_trip_s + dns_s
    return before_s + 1.5 * round_trip_s, before_s + 2 * round_trip_s
