"""Looking a name up before the first connection: one round trip unless the answer is cached (RFC 1035)."""

from __future__ import annotations

QUERY_BYTES = (73, 89)  # IPv4 20, UDP 8, header 12, question 33 (a name of 27 characters), answer 16
RETRY_S = 5.0  # resolv.conf(5): timeout
MOST_ATTEMPTS = 2  # resolv.conf(5): attempts


def lookup_s(round_trip_s: float, *, is_cached: bool) -> float:
    """Seconds a lookup takes when nothing is lost."""
    return 0.0 if is_cached else round_trip_s
