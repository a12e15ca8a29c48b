"""TLS handshakes: round trips, flights and bytes, as OpenSSL 3 sends them (recorded; see the table)."""

from __future__ import annotations

from functools import cache
from typing import Literal

import msgspec

from network.tables import table

Version = Literal["1.2", "1.3"]
Key = Literal["ec", "rsa"]


class Handshake(msgspec.Struct, frozen=True):
    """One recorded handshake.

    `flights_bytes` alternate client and server. The first `2 * round_trips` come before application data;
    the rest leaves with the first data of its side.
    """

    flights_bytes: tuple[int, ...]
    round_trips: int
    record_bytes: int

    @property
    def before_bytes(self) -> tuple[int, ...]:
        """Flights that application data waits for."""
        return self.flights_bytes[: 2 * self.round_trips]

    @property
    def client_rest_bytes(self) -> int:
        """What the client sends with its first data: its Finished, and its certificate if it has one."""
        return sum(self.flights_bytes[2 * self.round_trips :: 2])

    @property
    def server_rest_bytes(self) -> int:
        """What the server sends with its first data: session tickets."""
        return sum(self.flights_bytes[2 * self.round_trips + 1 :: 2])


@cache
def handshake(
    version: Version, key: Key = "ec", *, is_mutual: bool = True, is_resumed: bool = False
) -> Handshake:
    """The handshake of this kind; `key` is that of all certificates: ECDSA P-256 or RSA-2048."""
    wanted = (
        f"TLS{version}",
        key,
        "mutual" if is_mutual else "server-only",
        "resumed" if is_resumed else "full",
    )
    row = next(
        row
        for row in table("tls_handshake_measured")
        if (row["tls"], row["key"], row["auth"], row["mode"]) == wanted
    )
    return Handshake(
        tuple(int(flight[1:]) for flight in row["flights"].split()),
        int(row["rtts_before_client_app_data"]),
        int(row["record_overhead_bytes_on_100B"]),
    )
