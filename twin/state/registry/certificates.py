"""Certificates of devices: their states, and which state may follow which."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

from twin.state.records import Record
from twin.state.registry.things import RegistryError

CERTIFICATE: Final = "certificate"

State: TypeAlias = Literal["CLAIM", "PENDING_ACTIVATION", "ACTIVE", "INACTIVE", "REVOKED", "EXPIRED"]

TRANSITIONS: Final[dict[str, frozenset[str]]] = {
    "CLAIM": frozenset({"REVOKED", "EXPIRED"}),
    "PENDING_ACTIVATION": frozenset({"ACTIVE", "REVOKED", "EXPIRED"}),
    "ACTIVE": frozenset({"INACTIVE", "REVOKED", "EXPIRED"}),
    "INACTIVE": frozenset({"ACTIVE", "REVOKED", "EXPIRED"}),
    "REVOKED": frozenset(),
    "EXPIRED": frozenset(),
}
"""What may follow each state; nothing comes back from REVOKED and EXPIRED."""


class Certificate(Record, frozen=True):
    """What is known of a certificate; neither it nor its key is kept, only its fingerprint.

    `common_name` is the name its owner connects with, `thing` whom it was registered for, `template` the
    one that registers its owner on the first connection. It falls due when it expires, or when a rotation
    retires it.
    """

    fingerprint: str
    serial: str
    common_name: str
    state: State
    thing: str = ""
    template: str = ""
    valid_from_s: float = 0.0
    valid_until_s: float = 0.0
    changed_s: float = 0.0
    retires_to: State = "EXPIRED"
    version: int = 1


def check_transition(certificate: Certificate, state: State) -> None:
    """Raise RegistryError if the state cannot follow the certificate's."""
    if state not in TRANSITIONS[certificate.state]:
        following = ", ".join(sorted(TRANSITIONS[certificate.state])) or "nothing"
        raise RegistryError(
            409,
            f"certificate {certificate.fingerprint[:12]} is {certificate.state}; only {following} can follow",
        )
