"""The certificate authority, held against OpenSSL's verification and a TLS handshake."""

import contextlib
import socket
import ssl
import threading
from concurrent.futures import ThreadPoolExecutor

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from twin.errors import InputError
from twin.message import Message
from twin.service.authority import Authority, write
from twin.state.records import Transaction
from twin.state.registry.access import thing_of
from twin.state.registry.issuing import SimulatedIssuer
from twin.state.registry.provisioning import Provisioning, Template
from twin.state.twins import Twins


@pytest.fixture
def authority(tmp_path):
    return Authority.ensure(tmp_path / "ca")


def _files(issued, folder, name):
    certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
    write(issued, certificate, key)
    return certificate, key


def _server(authority, folder, *, checks_revocation=False):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*_files(authority.server_certificate(["localhost", "127.0.0.1"]), folder, "s"))
    context.load_verify_locations(cadata=authority.certificate_pem)
    context.verify_mode = ssl.CERT_REQUIRED
    if checks_revocation:
        (folder / "crl.pem").write_text(authority.crl())
        context.load_verify_locations(folder / "crl.pem")
        context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
    return context


def _client(authority, folder, issued):
    context = ssl.create_default_context(cadata=authority.certificate_pem)
    context.load_cert_chain(*_files(issued, folder, "c"))
    return context


def _handshake(server, client, name):
    """The subject the server saw; raises what the client or the server raised."""
    ours, theirs = socket.socketpair()
    seen = []

    def serve():
        with contextlib.suppress(OSError), server.wrap_socket(ours, server_side=True) as wrapped:
            seen.append(dict(each[0] for each in wrapped.getpeercert()["subject"]))
            wrapped.send(b"!")
        ours.close()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        with client.wrap_socket(theirs, server_hostname=name) as wrapped:
            wrapped.settimeout(10)
            if wrapped.recv(1) != b"!":
                raise ssl.SSLError("refused")
    finally:
        thread.join(10)
    return seen[0]["commonName"]


def test_a_client_is_known_by_its_common_name_in_a_tls_handshake(authority, tmp_path):
    """Both sides verify the other with nothing but the authority's certificate."""
    client = _client(authority, tmp_path, authority.client_certificate("gate-1"))
    assert _handshake(_server(authority, tmp_path), client, "localhost") == "gate-1"
    assert _handshake(_server(authority, tmp_path), client, "127.0.0.1") == "gate-1"


def test_a_server_under_another_name_is_refused(authority, tmp_path):
    """The names of a server certificate are those asked for, and no others."""
    client = _client(authority, tmp_path, authority.client_certificate("gate-1"))
    with pytest.raises(ssl.SSLError, match="Hostname mismatch"):
        _handshake(_server(authority, tmp_path), client, "elsewhere.test")


def test_a_client_certificate_serves_no_server(authority, tmp_path):
    """A device cannot pretend to be the broker."""
    issued = authority.client_certificate("localhost")
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(*_files(issued, tmp_path, "fake"))
    with pytest.raises(ssl.SSLError, match=r"unsuitable certificate purpose|unsupported certificate"):
        _handshake(server, ssl.create_default_context(cadata=authority.certificate_pem), "localhost")


def test_a_revoked_certificate_is_refused(authority, tmp_path):
    """OpenSSL reads our revocation list; the other certificate still works."""
    good, bad = authority.client_certificate("gate-1"), authority.client_certificate("gate-1")
    authority.revoke(bad.serial)
    server = _server(authority, tmp_path, checks_revocation=True)
    assert _handshake(server, _client(authority, tmp_path, good), "localhost") == "gate-1"
    with pytest.raises((ssl.SSLError, ConnectionError)):
        _handshake(server, _client(authority, tmp_path, bad), "localhost")


def test_a_certificate_of_another_authority_is_refused(authority, tmp_path):
    """The same name signed by somebody else proves nothing."""
    other = Authority.ensure(tmp_path / "other")
    client = _client(authority, tmp_path, other.client_certificate("gate-1"))
    with pytest.raises((ssl.SSLError, ConnectionError)):
        _handshake(_server(authority, tmp_path), client, "localhost")


def test_private_keys_are_readable_by_their_owner_only(authority, tmp_path):
    """The authority's key, and the keys it writes for others."""
    certificate, key = _files(authority.client_certificate("gate-1"), tmp_path, "c")
    assert (tmp_path / "ca" / "ca.key").stat().st_mode & 0o777 == 0o600
    assert key.stat().st_mode & 0o777 == 0o600
    assert "PRIVATE" not in certificate.read_text()


@pytest.mark.usefixtures("authority")
def test_a_key_that_others_may_read_is_refused(tmp_path):
    """The error says what to type."""
    (tmp_path / "ca" / "ca.key").chmod(0o644)
    with pytest.raises(InputError, match="chmod 600"):
        Authority.ensure(tmp_path / "ca")


def test_no_text_of_an_issued_certificate_shows_its_key(authority):
    """What a log prints has no key in it."""
    issued = authority.client_certificate("gate-1")
    assert "PRIVATE" in issued.key_pem
    assert "PRIVATE" not in f"{issued} {issued!r} {authority!r}"


def test_an_authority_is_found_again(authority, tmp_path):
    """The second start signs with the same key, and knows what the first revoked."""
    authority.revoke("ab12")
    again = Authority.ensure(tmp_path / "ca")
    assert again.certificate == authority.certificate
    assert list(again.revoked()) == ["ab12"]


def test_an_interrupted_first_start_is_finished_by_the_next(authority, tmp_path):
    """A key without its certificate gets one."""
    (tmp_path / "ca" / "ca.pem").unlink()
    again = Authority.ensure(tmp_path / "ca")
    assert again.certificate.public_key() == authority.certificate.public_key()


def test_many_first_starts_at_once_agree_on_one_key(tmp_path):
    """Nobody signs with a key that was overwritten."""
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: Authority.ensure(tmp_path / "ca"), range(8)))
    keys = {each.certificate.public_key().public_numbers() for each in made}
    assert len(keys) == 1
    assert sorted(path.name for path in (tmp_path / "ca").iterdir()) == ["ca.key", "ca.pem"]


@pytest.mark.parametrize("name", ["", "x" * 65])
def test_a_name_of_a_wrong_length_is_refused(authority, name):
    """X.509 allows 1 to 64 characters."""
    with pytest.raises(InputError, match="1 to 64"):
        authority.client_certificate(name)


@pytest.mark.usefixtures("authority")
def test_the_files_of_two_authorities_do_not_mix(tmp_path):
    """A certificate that is not the key's is refused."""
    Authority.ensure(tmp_path / "other")
    (tmp_path / "other" / "ca.pem").replace(tmp_path / "ca" / "ca.pem")
    with pytest.raises(InputError, match="not the certificate of the key"):
        Authority.ensure(tmp_path / "ca")


def test_an_expired_authority_is_refused(tmp_path):
    """Everything it signs would be refused by everybody."""
    Authority.ensure(tmp_path / "ca", clock=lambda: 0.0)
    with pytest.raises(InputError, match="expired on 1979"):
        Authority.ensure(tmp_path / "ca")


def test_a_certificate_does_not_outlive_its_authority(tmp_path):
    """It would be refused once the authority's has expired."""
    authority = Authority.ensure(tmp_path / "ca")
    issued = authority.client_certificate("gate-1", valid_s=100 * 365 * 86_400.0)
    assert issued.valid_until_s == authority.certificate.not_valid_after_utc.timestamp()


def _csr(key, name="anybody"):
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    signed = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    return signed.public_bytes(serialization.Encoding.PEM).decode()


def test_a_signing_request_gets_a_certificate_under_our_name_for_it(authority):
    """Whoever asks does not choose the name it will be known by, and keeps its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    issued = authority.issue(_csr(key, "admin"), "gate-1", authority.clock(), 3600.0)
    certificate = x509.load_pem_x509_certificate(issued.certificate_pem.encode())
    assert certificate.public_key() == key.public_key()
    assert certificate.subject.rfc4514_string() == "CN=gate-1"
    assert issued.key_pem == ""


@pytest.mark.parametrize(
    "text", ["", "nonsense", "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----"]
)
def test_an_unreadable_signing_request_is_refused(authority, text):
    """One sentence, no traceback."""
    with pytest.raises(InputError, match="cannot be read"):
        authority.issue(text, "gate-1", 0.0, 1.0)


def test_a_signing_request_with_another_kind_of_key_is_refused(authority):
    """All keys are EC P-256."""
    with pytest.raises(InputError, match="another key"):
        authority.issue(_csr(rsa.generate_private_key(65537, 2048)), "gate-1", 0.0, 1.0)


def test_the_simulated_issuer_repeats_itself():
    """The same request gives the same certificate; another time, name or request another."""
    issue = SimulatedIssuer().issue
    first = issue(None, "gate-1", 5.0, 60.0)
    assert issue(None, "gate-1", 5.0, 60.0) == first
    others = [
        issue(None, "gate-2", 5.0, 60.0),
        issue(None, "gate-1", 6.0, 60.0),
        issue("x", "gate-1", 5.0, 60.0),
    ]
    assert len({each.fingerprint for each in [first, *others]}) == 4
    assert "KEY" not in repr(first)


def test_the_authority_is_the_issuer_of_the_provisioning(authority):
    """A device with a real signing request gets a real certificate, and the thing it is for."""
    made = Twins([Provisioning(authority, gives_keys=False, secret=b"x" * 32)])
    records, now_s = made.records, authority.clock()
    Provisioning().put_template(Template(name="gates", type="boom_gate"), Transaction(records, now_s))
    key = ec.generate_private_key(ec.SECP256R1())

    def ask(topic, document):
        (message,) = made.handle(Message(topic, msgspec.json.encode(document)), now_s).messages
        assert message.topic == f"{topic}/accepted"
        return msgspec.json.decode(message.payload)

    created = ask("$aws/certificates/create-from-csr/json", {"certificateSigningRequest": _csr(key)})
    certificate = x509.load_pem_x509_certificate(created["certificatePem"].encode())
    assert certificate.public_key() == key.public_key()
    assert certificate.fingerprint(hashes.SHA256()).hex() == created["certificateId"]
    token, parameters = created["certificateOwnershipToken"], {"SerialNumber": "gate-7"}
    asked = {"certificateOwnershipToken": token, "parameters": parameters}
    assert ask("$aws/provisioning-templates/gates/provision/json", asked)["thingName"] == "gate-7"
    name = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value
    assert thing_of(records, name).name == "gate-7"
    assert f"{certificate.serial_number:x}" == records.get("certificate", created["certificateId"]).serial
