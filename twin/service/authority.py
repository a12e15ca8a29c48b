"""A certificate authority in a folder: issues and revokes the certificates of brokers, services and devices.

    ca.pem        its certificate, to be given to everybody
    ca.key        its private key, readable by its owner only
    revoked.json  serial number and time of what was revoked; the revocation list is made from it

All keys are EC P-256. A private key leaves this module in an `Issued` and in the file it is written to.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
import json
import os
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from twin.errors import InputError
from twin.state.registry.issuing import YEAR_S, Issued

CERTIFICATE_FILE: Final = "ca.pem"
KEY_FILE: Final = "ca.key"
REVOKED_FILE: Final = "revoked.json"
CA_VALID_S: Final = 10.0 * YEAR_S
CLOCK_SLACK_S: Final = 300.0
"""Certificates begin so much earlier, for devices whose clock is late."""
CRL_VALID_S: Final = 7.0 * 86_400.0
LONGEST_NAME: Final = 64  # RFC 5280, ub-common-name
OWNER_ONLY: Final = 0o600
EVERYBODY: Final = 0o644

_CURVE: Final = ec.SECP256R1


@dataclass(slots=True)
class Authority:
    """A certificate authority. `clock` gives seconds since 1970."""

    folder: Path
    certificate: x509.Certificate
    clock: Callable[[], float] = time.time
    _key: ec.EllipticCurvePrivateKey = field(kw_only=True, repr=False)

    @classmethod
    def ensure(cls, folder: Path, clock: Callable[[], float] = time.time) -> Authority:
        """The authority of the folder, made if there is none. Raises InputError for files that do not fit."""
        folder.mkdir(parents=True, exist_ok=True)
        key_file, certificate_file = folder / KEY_FILE, folder / CERTIFICATE_FILE
        if not key_file.exists():
            if certificate_file.exists():
                raise InputError(
                    f"{certificate_file} has no {KEY_FILE} beside it; add it or use another folder"
                )
            _create(key_file, _key_pem(ec.generate_private_key(_CURVE())))
        key = _read_key(key_file)
        if not certificate_file.exists():  # the key alone is what an interrupted first start leaves
            _write(certificate_file, _pem(_root(key, clock())), EVERYBODY)
        certificate = _read_certificate(certificate_file)
        _check(certificate, key, certificate_file, clock())
        return cls(folder, certificate, clock, _key=key)

    @property
    def certificate_pem(self) -> str:
        """What others verify certificates with."""
        return _pem(self.certificate)

    def issue(self, csr: str | None, common_name: str, now_s: float, valid_s: float) -> Issued:
        """A client certificate for `common_name`; the subject that a signing request asks for is ignored."""
        key = ec.generate_private_key(_CURVE()) if csr is None else _requested_key(csr)
        return self._issue(common_name, key, now_s, valid_s)

    def client_certificate(self, common_name: str, valid_s: float = YEAR_S) -> Issued:
        """A certificate and key by which a client is known as `common_name`."""
        return self.issue(None, common_name, self.clock(), valid_s)

    def server_certificate(self, names: Sequence[str], valid_s: float = YEAR_S) -> Issued:
        """A certificate and key for a server that is reached under these host names and addresses."""
        if not names:
            raise InputError("a server certificate needs at least one host name or address")
        key = ec.generate_private_key(_CURVE())
        return self._issue(names[0][:LONGEST_NAME], key, self.clock(), valid_s, names)

    def revoke(self, serial: str) -> None:
        """Put a certificate on the revocation list. Raises InputError for what is no serial number."""
        try:
            number = int(serial, 16)
        except ValueError:
            raise InputError(f"{serial!r} is no serial number; write it in hexadecimal") from None
        revoked = self.revoked()
        revoked.setdefault(f"{number:x}", self.clock())
        _write(self.folder / REVOKED_FILE, json.dumps(revoked, indent=1), EVERYBODY)

    def revoked(self) -> dict[str, float]:
        """When each revoked certificate was revoked, by serial number."""
        try:
            text = (self.folder / REVOKED_FILE).read_text(encoding="utf-8")
        except FileNotFoundError:
            return {}
        try:
            return {str(serial): float(at_s) for serial, at_s in json.loads(text).items()}
        except (ValueError, TypeError, AttributeError) as error:
            raise InputError(
                f"{self.folder / REVOKED_FILE} cannot be read; restore it from a copy"
            ) from error

    def crl(self) -> str:
        """The revocation list in PEM; it is to be made anew within a week."""
        now_s = self.clock()
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self.certificate.subject)
            .last_update(_date(now_s - CLOCK_SLACK_S))
            .next_update(_date(now_s + CRL_VALID_S))
            .add_extension(_authority_of(self._key.public_key()), critical=False)
            .add_extension(x509.CRLNumber(int(now_s * 1000.0)), critical=False)
        )
        for serial, at_s in self.revoked().items():
            entry = x509.RevokedCertificateBuilder().serial_number(int(serial, 16))
            builder = builder.add_revoked_certificate(entry.revocation_date(_date(at_s)).build())
        signed = builder.sign(self._key, hashes.SHA256())
        return signed.public_bytes(serialization.Encoding.PEM).decode()

    def _issue(
        self,
        common_name: str,
        key: ec.EllipticCurvePrivateKey | ec.EllipticCurvePublicKey,
        now_s: float,
        valid_s: float,
        names: Sequence[str] = (),
    ) -> Issued:
        """A certificate for a key: a server's if it has names, else a client's."""
        if not 0 < len(common_name) <= LONGEST_NAME:
            raise InputError(
                f"a certificate's name has 1 to {LONGEST_NAME} characters, not {len(common_name)}"
            )
        owner = key.public_key() if isinstance(key, ec.EllipticCurvePrivateKey) else key
        purpose = ExtendedKeyUsageOID.SERVER_AUTH if names else ExtendedKeyUsageOID.CLIENT_AUTH
        from_s = now_s - CLOCK_SLACK_S
        until_s = min(now_s + valid_s, self.certificate.not_valid_after_utc.timestamp())
        builder = (
            _builder(common_name, self.certificate.subject, from_s, until_s)
            .public_key(owner)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(owner), critical=False)
            .add_extension(_authority_of(self._key.public_key()), critical=False)
        )
        if names:
            builder = builder.add_extension(
                x509.SubjectAlternativeName([_name(each) for each in names]), critical=False
            )
        signed = builder.sign(self._key, hashes.SHA256())
        fingerprint = signed.fingerprint(hashes.SHA256()).hex()
        key_pem = _key_pem(key) if isinstance(key, ec.EllipticCurvePrivateKey) else ""
        serial = f"{signed.serial_number:x}"
        return Issued(_pem(signed), fingerprint, serial, common_name, from_s, until_s, key_pem)


def write(issued: Issued, certificate_file: Path, key_file: Path) -> None:
    """Write a certificate and its key as PEM files; the key's is readable by its owner only."""
    _write(key_file, issued.key_pem, OWNER_ONLY)
    _write(certificate_file, issued.certificate_pem, EVERYBODY)


# files ---------------------------------------------------------------------------------------------------


def _create(path: Path, text: str) -> None:
    """Write a secret that nobody has written yet; what another process wrote meanwhile stays."""
    draft = _draft(path, text, OWNER_ONLY)
    try:
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()


def _write(path: Path, text: str, mode: int) -> None:
    _draft(path, text, mode).replace(path)


def _draft(path: Path, text: str, mode: int) -> Path:
    """The text in a new file beside `path`, which has its mode from the beginning."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    return draft


def _read_key(path: Path) -> ec.EllipticCurvePrivateKey:
    if os.name == "posix" and path.stat().st_mode & 0o077:
        raise InputError(f"others may read {path}; take that away: chmod 600 {path}")
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except (ValueError, TypeError) as error:
        raise InputError(f"{path} is no private key in PEM without a password") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise InputError(f"{path} is no elliptic-curve key; this authority signs with EC keys only")
    return key


def _read_certificate(path: Path) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except ValueError as error:
        raise InputError(f"{path} is no certificate in PEM") from error


def _check(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey, path: Path, now_s: float) -> None:
    """Refuse what would sign certificates that nobody accepts."""
    if certificate.public_key() != key.public_key():
        raise InputError(f"{path} is not the certificate of the key in {KEY_FILE}")
    try:
        is_authority = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        is_authority = False
    if not is_authority:
        raise InputError(f"{path} may not sign certificates: it is no CA certificate")
    if certificate.not_valid_after_utc.timestamp() <= now_s:
        raise InputError(
            f"{path} expired on {certificate.not_valid_after_utc:%Y-%m-%d}; make a new authority"
        )


# certificates --------------------------------------------------------------------------------------------


def _root(key: ec.EllipticCurvePrivateKey, now_s: float) -> x509.Certificate:
    public = key.public_key()
    identity = x509.SubjectKeyIdentifier.from_public_key(public)
    name = f"Windtunnel CA {identity.digest.hex()[:8]}"
    return (
        _builder(name, _subject(name), now_s - CLOCK_SLACK_S, now_s + CA_VALID_S)
        .public_key(public)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(identity, critical=False)
        .sign(key, hashes.SHA256())
    )


def _builder(common_name: str, issuer: x509.Name, from_s: float, until_s: float) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(_subject(common_name))
        .issuer_name(issuer)
        .serial_number(x509.random_serial_number())
        .not_valid_before(_date(from_s))
        .not_valid_after(_date(until_s))
    )


def _subject(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _authority_of(public: ec.EllipticCurvePublicKey) -> x509.AuthorityKeyIdentifier:
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(public)


def _name(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        pass
    try:
        return x509.DNSName(text)
    except ValueError as error:
        raise InputError(f"{text!r} is neither a host name nor an address") from error


def _requested_key(csr: str) -> ec.EllipticCurvePublicKey:
    """The key of a signing request, whose owner proved to have it by signing the request."""
    try:
        request = x509.load_pem_x509_csr(csr.encode())
        is_signed = request.is_signature_valid
        public = request.public_key()
    except (ValueError, TypeError, InvalidSignature) as error:
        raise InputError("the certificate signing request cannot be read; it must be PEM") from error
    if not is_signed:
        raise InputError("the certificate signing request is not signed by its own key")
    if not isinstance(public, ec.EllipticCurvePublicKey) or not isinstance(public.curve, _CURVE):
        raise InputError("the certificate signing request holds another key than EC P-256")
    return public


def _date(at_s: float) -> dt.datetime:
    return dt.datetime.fromtimestamp(at_s, tz=dt.UTC)


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _key_pem(key: ec.EllipticCurvePrivateKey) -> str:
    form = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()
