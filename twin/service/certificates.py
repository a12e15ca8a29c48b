"""Certificates of things: issued by the local authority, known to the registry, revoked at the broker."""

from __future__ import annotations

from msgspec.structs import replace

from twin.service.authority import Authority
from twin.state.records import Transaction
from twin.state.registry.audit import administered
from twin.state.registry.certificates import CERTIFICATE, Certificate, check_transition
from twin.state.registry.issuing import Issued
from twin.state.registry.things import THING, RegistryError, unknown


def register_certificate(issued: Issued, thing: str, transaction: Transaction, by: str) -> Certificate:
    """Know a certificate that was just issued for a thing. Raises RegistryError 404 without the thing."""
    if transaction.records.get(THING, thing) is None:
        raise RegistryError(404, unknown("thing", thing, transaction.records.of(THING)))
    certificate = Certificate(
        fingerprint=issued.fingerprint,
        serial=issued.serial,
        common_name=issued.common_name,
        state="ACTIVE",
        thing=thing,
        valid_from_s=issued.valid_from_s,
        valid_until_s=issued.valid_until_s,
        changed_s=transaction.now_s,
    )
    transaction.put(CERTIFICATE, certificate.fingerprint, certificate)
    administered(transaction, by, "issue", f"certificate {certificate.fingerprint}", thing)
    return certificate


def revoke_certificate(
    fingerprint: str, authority: Authority, transaction: Transaction, by: str
) -> Certificate:
    """Let a certificate hold no longer. Raises RegistryError 404 or 409."""
    known: Certificate | None = transaction.records.get(CERTIFICATE, fingerprint)
    if known is None:
        raise RegistryError(404, unknown("certificate", fingerprint, transaction.records.of(CERTIFICATE)))
    check_transition(known, "REVOKED")
    authority.revoke(known.serial)  # first: a list that names too many is safe, one that names too few is not
    revoked = replace(known, state="REVOKED", changed_s=transaction.now_s, version=known.version + 1)
    transaction.put(CERTIFICATE, fingerprint, revoked)
    administered(transaction, by, "revoke", f"certificate {fingerprint}", known.thing)
    return revoked
