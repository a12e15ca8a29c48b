"""What keeps `windtunnel serve` from starting is one clear sentence with its exit code."""

import json
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.live
ROOT = Path(__file__).parents[2]
INVALID, MISSING = 2, 4
EVERYWHERE = "0.0.0.0"  # noqa: S104  (that it is refused is the point)


@pytest.fixture
def failing(tmp_path):
    """A function that runs the command to its end and returns its exit code and what it said."""

    def run(*options):
        command = [
            sys.executable,
            "-m",
            "windtunnel",
            "serve",
            "--folder",
            str(tmp_path / "s"),
            "--port",
            "0",
        ]
        if "--broker" not in options:
            command += ["--mqtt-port", "0"]
        ended = subprocess.run(
            [*command, *map(str, options)], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
        )
        return ended.returncode, ended.stderr

    return run


@pytest.fixture
def taken():
    """A port on which somebody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def greeter():
    """A port whose server says something that is no MQTT."""
    server = socket.create_server(("127.0.0.1", 0))

    def serve():
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")
            threading.Timer(0.2, connection.close).start()

    threading.Thread(target=serve, daemon=True).start()
    yield server.getsockname()[1]
    server.close()


def is_one_sentence(said):
    return len(said.strip().splitlines()) == 1 and "Traceback" not in said


def test_a_port_that_is_taken(failing, taken):
    """It names the port and the option."""
    code, said = failing("--port", taken)

    assert (code, is_one_sentence(said)) == (MISSING, True)
    assert f"port {taken} of 127.0.0.1 is taken" in said
    assert "--port" in said


def test_a_port_for_mqtt_that_is_taken(failing, taken):
    """Told apart from the other."""
    code, said = failing("--mqtt-port", taken)

    assert (code, is_one_sentence(said)) == (MISSING, True)
    assert f"port {taken} is taken" in said
    assert "--mqtt-port" in said


def test_a_broker_that_is_not_there(failing):
    """It names the address."""
    code, said = failing("--broker", "mqtt://127.0.0.1:1")

    assert (code, is_one_sentence(said)) == (MISSING, True)
    assert "mqtt://127.0.0.1:1: connection refused" in said


def test_a_server_that_speaks_no_mqtt(failing, greeter):
    """Something answers there, but not a broker."""
    code, said = failing("--broker", f"mqtt://127.0.0.1:{greeter}")

    assert (code, is_one_sentence(said)) == (MISSING, True)
    assert "what listens there speaks SSH, not MQTT" in said


def test_a_server_that_never_answers(failing, taken):
    """It takes the connection and is silent; that is noticed in seconds."""
    began = time.monotonic()
    code, said = failing("--broker", f"mqtt://127.0.0.1:{taken}")

    assert (code, is_one_sentence(said)) == (MISSING, True)
    assert "does not answer" in said
    assert time.monotonic() - began < 20.0


def test_a_broker_without_tls_that_is_asked_for_tls(failing, open_broker):
    """And what to write is named."""
    url = f"mqtt://127.0.0.1:{open_broker.plain_port}"
    code, said = failing("--broker", url.replace("mqtt:", "mqtts:"))

    assert (code, is_one_sentence(said)) == (MISSING, True)
    assert f"what listens there speaks MQTT; write {url} " in said


def test_a_broker_whose_certificate_is_not_trusted(failing, site_of):
    """Until its CA is named."""
    site = site_of()
    code, said = failing("--broker", f"mqtts://127.0.0.1:{site.broker.port}")

    assert (code, is_one_sentence(said)) == (MISSING, True)
    assert "not trusted" in said
    assert "--broker-ca" in said


def test_our_own_certificate_that_has_expired(failing, site_of):
    """The broker ends the connection."""
    site = site_of()
    _, files = site.certificate("twin", valid_s=1.0 - 300.0)
    ca = site.authority.folder / "ca.pem"
    code, said = failing(
        *("--broker", f"mqtts://127.0.0.1:{site.broker.port}", "--broker-ca", ca),
        *("--broker-cert", files[0], "--broker-key", files[1]),
    )

    assert (code, is_one_sentence(said)) == (MISSING, True)
    assert "refuses our certificate" in said


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--broker", "http://x"), "mqtt://host:1883"),
        (("--broker", "mqtt://twin:secret@x"), "--broker-password-file"),
        (("--broker", "mqtt://x:99999"), "port"),
        (("--host", EVERYWHERE), "--tls"),
        (("--tls-cert", "x.pem"), "belong together"),
        (("--store", "mysql://x/y"), "postgresql://"),
        (("--store", "/nowhere/at/all.sqlite"), "no folder"),
        (("--client-id", "x"), "--broker"),
        (("--rules", "/nowhere.rules"), "nowhere.rules"),
        (("--types", "/nowhere"), "no device types"),
    ],
)
def test_what_cannot_be_meant(failing, options, words):
    """Bad input ends with exit code 2, and a secret in it is not repeated."""
    code, said = failing(*options)

    assert (code, is_one_sentence(said)) == (INVALID, True)
    assert words in said
    assert "secret" not in said


def test_a_store_that_another_service_writes(failing, service_of):
    """Two would overwrite each other."""
    service = service_of()
    code, said = failing("--store", service.folder / "twins.sqlite")

    assert (code, is_one_sentence(said)) == (INVALID, True)
    assert "in use" in said


def test_a_file_that_is_no_store(failing, tmp_path):
    """It is left as it is."""
    (tmp_path / "letter.txt").write_text("dear all")
    code, said = failing("--store", tmp_path / "letter.txt")

    assert (code, is_one_sentence(said)) == (INVALID, True)
    assert (tmp_path / "letter.txt").read_text() == "dear all"


def test_a_certificate_for_the_api_that_has_expired(failing, tmp_path):
    """Clients would refuse it, and nobody would know why."""
    from twin.service.authority import Authority, write

    issued = Authority.ensure(tmp_path / "ca").server_certificate(["localhost"], valid_s=1.0 - 300.0)
    write(issued, tmp_path / "api.pem", tmp_path / "api.key")
    code, said = failing("--tls-cert", tmp_path / "api.pem", "--tls-key", tmp_path / "api.key")

    assert (code, is_one_sentence(said)) == (INVALID, True)
    assert "expired on" in said


def test_with_tls_other_machines_may_be_served(service_of):
    """A certificate of the local CA, which is all that a client has to trust."""
    service = service_of("--tls", "--host", EVERYWHERE, "--allowed-host", "gateway.example")

    assert service.about["url"].startswith("https://")
    assert service.http.get(f"https://127.0.0.1:{service.about['url'].rpartition(':')[2]}/health").is_success


def test_a_device_command_without_a_service(tmp_path):
    """It says how to start one."""
    command = [sys.executable, "-m", "windtunnel", "device", "add", "gate-1", "--folder", str(tmp_path)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)

    assert ended.returncode == MISSING
    assert "windtunnel serve" in ended.stderr


def test_tokens_are_made_listed_and_revoked(tmp_path):
    """The token goes to standard output alone, so that it can be kept in a variable."""
    command = [sys.executable, "-m", "windtunnel", "token"]
    folder = ["--folder", str(tmp_path)]

    def run(*words):
        return subprocess.run(
            [*command, *words, *folder], cwd=ROOT, capture_output=True, text=True, timeout=30, check=False
        )

    made = run("new", "--role", "viewer", "--name", "wall")
    twice = run("new", "--role", "viewer", "--name", "wall")
    listed = run("list")
    revoked = run("revoke", "wall")

    assert made.stdout.startswith("wt_")
    assert len(made.stdout.split()) == 1
    assert twice.returncode == INVALID
    assert listed.stdout.split() == ["wall", "viewer"]
    assert made.stdout.strip() not in listed.stdout
    assert revoked.returncode == 0
    assert json.loads((tmp_path / "tokens.json").read_text()) == []
