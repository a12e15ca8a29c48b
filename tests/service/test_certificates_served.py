"""Certificates over HTTP and with `windtunnel device`, against the real command and a real mosquitto."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.live

ROOT = Path(__file__).parents[2]
GATE = "$aws/things/gate-1/shadow"


def reported(**values):
    return json.dumps({"state": {"reported": values}}).encode()


def certificates(service):
    found = service.http.get("/v1/certificates", params={"thing": "gate-1"}).json()["certificates"]
    return {each["fingerprint"]: each["state"] for each in found}


def shadow(service):
    return service.http.get("/things/gate-1/shadow").json()["state"]["reported"]


def test_a_deactivated_certificate_gives_no_rights_until_it_is_activated(service_of, eventually):
    """Its session ends, what its device says in between changes nothing, and the audit log has both steps."""
    service = service_of()
    with service.device("gate-1") as gate:
        gate.publish(f"{GATE}/update", reported(position="open"))
        ((fingerprint, _),) = certificates(service).items()
        path = f"/v1/certificates/{fingerprint}"
        eventually(lambda: shadow(service) == {"position": "open"})

        assert service.http.post(f"{path}/deactivate").json()["state"] == "INACTIVE"
        assert service.http.post(f"{path}/deactivate").status_code == 409
        gate.paho.publish(f"{GATE}/update", reported(position="closed"), 1)
        gate.left.get(timeout=10)  # its session ends, perhaps before that is acknowledged
        assert service.http.post(f"{path}/activate").json()["state"] == "ACTIVE"
        assert certificates(service) == {fingerprint: "ACTIVE"}
        assert shadow(service) == {"position": "open"}

    with service.device("gate-1") as gate:
        gate.publish(f"{GATE}/update", reported(position="ajar"))
        assert eventually(lambda: shadow(service) == {"position": "ajar"})
    audit = json.dumps(service.http.get("/v1/audit", params={"limit": 50}).json())
    assert f"certificate {fingerprint[:12]}" in audit
    assert "INACTIVE" in audit


def test_the_command_takes_rights_and_gives_them_back(service_of):
    """All that are active are deactivated; of several that are inactive one must be named."""
    service = service_of()
    with service.device("gate-1"):
        ((first, _),) = certificates(service).items()

    def device(*words):
        command = [sys.executable, "-m", "windtunnel", "device", *words, "--folder", str(service.folder)]
        return subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
        )  # fmt: skip

    assert device("deactivate", "gate-1").stdout == "1 certificate of gate-1 deactivated\n"
    assert certificates(service) == {first: "INACTIVE"}
    again = device("deactivate", "gate-1")
    assert again.returncode == 2
    assert "'gate-1' has no certificate that is ACTIVE" in again.stderr
    assert device("activate", "gate-1").returncode == 0
    assert certificates(service) == {first: "ACTIVE"}

    assert device("rotate", "gate-1").returncode == 0
    assert device("deactivate", "gate-1").stdout == "2 certificates of gate-1 deactivated\n"
    several = device("activate", "gate-1")
    assert several.returncode == 2
    assert "say which with --certificate: " in several.stderr
    assert first[:12] in several.stderr
    assert device("activate", "gate-1", "--certificate", first[:8]).returncode == 0
    assert certificates(service)[first] == "ACTIVE"
    assert sorted(certificates(service).values()) == ["ACTIVE", "INACTIVE"]


def test_a_rotated_device_has_a_further_certificate_which_works(service_of, client, eventually):
    """The command writes the files; the older certificate holds on for the overlap."""
    service = service_of()
    with service.device("gate-1"):
        before = certificates(service)
    command = [sys.executable, "-m", "windtunnel", "device", "rotate", "gate-1"]
    out = service.folder / "rotated"
    done = subprocess.run(
        [*command, "--folder", str(service.folder), "--out", str(out)],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    files = out / "gate-1.pem", out / "gate-1.key"

    assert done.returncode == 0, done.stderr
    after = certificates(service)
    assert before.items() < after.items()
    assert set(after.values()) == {"ACTIVE"}
    about = service.about
    with client("", port=about["mqtt_port"], files=files, ca=Path(about["ca"])) as gate:
        gate.publish(f"{GATE}/update", reported(position="open"))
        assert eventually(lambda: service.http.get("/things/gate-1/shadow").status_code == 200)
    assert service.http.post("/v1/things/nobody/certificates/rotate").status_code == 404


def test_only_an_admin_changes_certificates(service_of):
    """An operator is refused."""
    service = service_of()
    command = [sys.executable, "-m", "windtunnel", "token", "new", "--role", "operator"]
    made = subprocess.run(
        [*command, "--name", "o", "--folder", str(service.folder)],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    headers = {"Authorization": f"Bearer {made.stdout.strip()}"}
    for path in ("certificates/ab/activate", "certificates/ab/deactivate", "things/a/certificates/rotate"):
        assert service.http.post(f"/v1/{path}", headers=headers).status_code == 403


def test_the_journal_is_kept_as_long_as_asked(tmp_path, service_of):
    """The options are those of the store; nonsense is refused."""
    service = service_of("--keep-entries", "1000", "--keep-days", "30", "--on-damage", "stop")
    assert service.http.get("/health/ready").status_code == 200
    for option, value in (("--keep-entries", "0"), ("--keep-days", "-1"), ("--on-damage", "forget")):
        refused = subprocess.run(
            [sys.executable, "-m", "windtunnel", "serve", "--folder", str(tmp_path / "x"), option, value],
            cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert refused.returncode == 2
        assert option in refused.stderr


@pytest.mark.slow
def test_a_damaged_store_stops_the_service_if_asked(service_of):
    """It is left as it is, though there is a snapshot to restore it from; unasked it is restored."""
    service = service_of()
    service.stop()
    store = service.folder / "twins.sqlite"
    store.write_bytes(store.read_bytes()[:5_000])
    command = [sys.executable, "-m", "windtunnel", "serve", "--folder", str(service.folder)]
    ended = subprocess.run(
        [*command, "--port", "0", "--mqtt-port", "0", "--on-damage", "stop"],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip

    assert ended.returncode == 2
    assert "it was left as it is" in ended.stderr
    assert store.stat().st_size == 5_000
    assert service.start().http.get("/health/ready").status_code == 200
    assert store.with_name("twins.sqlite.damaged-1").stat().st_size == 5_000
