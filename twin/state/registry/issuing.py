"""What the registry asks of a certificate authority: the port, and an issuer without cryptography."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Protocol

import msgspec

YEAR_S = 365.0 * 86_400.0


class Issued(msgspec.Struct, frozen=True):
    """A certificate just issued. `key_pem` is empty if the asker made the key; it is kept nowhere.

    `fingerprint` is the SHA-256 of the certificate, `serial` its number in hexadecimal; times are absolute.
    """

    certificate_pem: str
    fingerprint: str
    serial: str
    common_name: str
    valid_from_s: float
    valid_until_s: float
    key_pem: str = ""

    def __repr__(self) -> str:
        """Without the key, so that no log gets it."""
        return f"Issued({self.common_name!r}, serial={self.serial!r}, fingerprint={self.fingerprint!r})"


class Issuer(Protocol):
    """Issues certificates to devices."""

    def issue(self, csr: str | None, common_name: str, now_s: float, valid_s: float) -> Issued:
        """A certificate for `common_name`, for the key of the signing request, or for a new one.

        Raises InputError for a signing request that cannot be read or whose signature is wrong.
        """
        ...


@dataclass(frozen=True, slots=True)
class SimulatedIssuer:
    """Issues certificates without cryptography: the same request gives the same certificate."""

    name: str = "Simulated CA"

    prefix: str = field(init=False, default="-----BEGIN SIMULATED CERTIFICATE-----")

    def issue(self, csr: str | None, common_name: str, now_s: float, valid_s: float) -> Issued:
        """A text in place of a certificate."""
        told = f"{self.name}\x00{common_name}\x00{now_s!r}\x00{csr or ''}".encode()
        serial = hashlib.blake2b(told, digest_size=16, person=b"serial").hexdigest()
        body = f"{self.prefix}\nCN={common_name}\nserial={serial}\n-----END SIMULATED CERTIFICATE-----\n"
        fingerprint = hashlib.sha256(body.encode()).hexdigest()
        key_pem = "" if csr else f"-----BEGIN SIMULATED KEY-----\n{serial}\n-----END SIMULATED KEY-----\n"
        return Issued(body, fingerprint, serial, common_name, now_s, now_s + valid_s, key_pem)
