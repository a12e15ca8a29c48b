"""`windtunnel serve` end to end: the real command, a real mosquitto, devices with certificates, HTTP."""

import json
import os
import signal
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.live

GATE = "$aws/things/gate-1/shadow"


def told(payload):
    return json.loads(payload)


def reported(**values):
    return json.dumps({"state": {"reported": values}}).encode()


def test_what_a_device_reports_over_mqtt_is_read_over_http(service_of):
    """With the metadata and the version of the accepted answer."""
    service = service_of()
    with service.device("gate-1") as gate:
        gate.subscribe(f"{GATE}/update/accepted")
        gate.publish(f"{GATE}/update", reported(position="open"))
        accepted = told(gate.message()[1])
    read = service.http.get("/things/gate-1/shadow").json()

    assert accepted["version"] == read["version"] == 1
    assert read["state"] == {"reported": {"position": "open"}}


def test_what_is_desired_over_http_is_told_to_the_device(service_of):
    """HTTP updates publish the events; HTTP errors are not echoed."""
    service = service_of()
    with service.device("gate-1") as gate:
        gate.subscribe(f"{GATE}/update/delta", f"{GATE}/update/rejected", f"{GATE}/update/documents")
        refused = service.http.post("/things/gate-1/shadow", content=b"{}")
        service.http.post("/things/gate-1/shadow", json={"state": {"desired": {"position": "open"}}})
        heard = [gate.message() for _ in range(2)]

    assert refused.status_code == 400
    assert refused.json()["message"] == "Missing required node: state"
    assert [topic.rpartition("/")[2] for topic, _ in heard] == ["delta", "documents"]
    assert told(heard[0][1])["state"] == {"position": "open"}


def test_what_goes_beyond_the_shadow_of_aws_is_on_if_it_is_asked_for(service_of, eventually):
    """Conditions and expiries over HTTP; and a wish that was followed is none any more."""
    service = service_of("--shadow-extensions", "--clear-on-report")

    def update(state, **more):
        return service.http.post("/things/lamp-1/shadow", json={"state": state, **more})

    first = update({"desired": {"on": True}}, expiresIn=0.2).json()
    refused = update({"desired": {"on": False}}, condition={"desired.on": False})
    over = eventually(lambda: "desired" not in service.http.get("/things/lamp-1/shadow").json()["state"])
    update({"desired": {"on": True}})
    update({"reported": {"on": True}})

    assert first["versions"] == {"desired": 1, "reported": 0}
    assert (refused.status_code, refused.json()["advice"]) == (412, "read it again, and decide anew")
    assert over
    assert service.http.get("/things/lamp-1/shadow").json()["state"] == {"reported": {"on": True}}


@pytest.mark.slow
def test_nothing_accepted_is_lost_when_the_service_is_killed(service_of):
    """Killed amid updates, started again: the version is at least that of the last accepted answer."""
    service = service_of()
    accepted = []
    for round_number in range(3):
        with service.device("gate-1") as gate:
            gate.subscribe(f"{GATE}/update/accepted")
            for number in range(50):
                gate.paho.publish(f"{GATE}/update", reported(count=100 * round_number + number), 1)
                if number % 10 == 9:
                    accepted += [told(gate.message()[1]) for _ in range(10)]
            for number in range(50, 60):  # these may or may not be accepted
                gate.paho.publish(f"{GATE}/update", reported(count=100 * round_number + number), 1)
            service.kill()
            while not gate.messages.empty():
                accepted.append(told(gate.message()[1]))
        service.start()
        read = service.http.get("/things/gate-1/shadow").json()

        assert read["version"] >= max(each["version"] for each in accepted)
        assert read["state"]["reported"]["count"] >= max(
            each["state"]["reported"]["count"] for each in accepted
        )


def test_without_its_broker_the_service_is_read_only_and_recovers_by_itself(service_of, eventually):
    """Reads go on with stale values and their age, changes are refused with 503, and /health tells."""
    service = service_of()
    with service.device("gate-1") as gate:
        gate.publish(f"{GATE}/update", reported(position="open"))
        eventually(lambda: service.http.get("/things/gate-1/shadow").status_code == 200)
    fresh = service.http.get("/v1/things/gate-1").json()

    os.kill(service.about["broker_pid"], signal.SIGKILL)
    eventually(lambda: service.http.get("/health").status_code == 503)
    health, twin = service.http.get("/health").json(), service.http.get("/v1/things/gate-1").json()
    shadow = service.http.get("/things/gate-1/shadow")
    refused = service.http.post("/things/gate-1/shadow", json={"state": {"desired": {"position": "open"}}})

    assert (shadow.status_code, shadow.headers["twin-state"]) == (200, "read_only")
    assert "quality" not in shadow.json()
    assert fresh["state"] == "live"
    assert fresh["shadow"]["quality"]["/position"]["quality"] == "good"
    assert (health["state"], twin["state"]) == ("read_only", "read_only")
    assert twin["shadow"]["quality"]["/position"]["quality"] == "stale"
    assert twin["shadow"]["quality"]["/position"]["age_s"] >= 0
    assert (refused.status_code, refused.json()["state"]) == (503, "read_only")

    eventually(lambda: service.http.get("/health").status_code == 200, timeout=20)
    again = service.http.post("/things/gate-1/shadow", json={"state": {"desired": {"position": "open"}}})
    assert again.status_code == 200


def test_it_ends_in_order_within_five_seconds_and_takes_its_broker_along(service_of, eventually):
    """Ctrl-C is no error."""
    service = service_of()
    broker = service.about["broker_pid"]
    with service.device("gate-1"):
        began = time.monotonic()
        code = service.stop()
        took_s = time.monotonic() - began

    assert code == 0
    assert took_s < 5.0
    eventually(lambda: not Path(f"/proc/{broker}").exists())
    assert not (service.folder / "service.json").exists()


def test_a_second_signal_ends_it_at_once(service_of, eventually):
    """Its broker ends with it."""
    service = service_of()
    broker = service.about["broker_pid"]
    service.process.send_signal(signal.SIGINT)
    service.process.send_signal(signal.SIGINT)

    assert service.process.wait(2.0) in (0, 130)
    eventually(lambda: not Path(f"/proc/{broker}").exists())


def test_a_revoked_device_is_disconnected_and_stays_out(service_of, eventually):
    """Others stay connected."""
    service = service_of()
    with service.device("gate-1") as gate, service.device("gate-2") as other:
        certificate = service.http.get("/v1/certificates", params={"thing": "gate-1"}).json()["certificates"][
            0
        ]
        service.http.post(f"/v1/certificates/{certificate['fingerprint']}/revoke").raise_for_status()
        gate.left.get(timeout=5.0)
        with pytest.raises(OSError), service.device("gate-1"):
            pass

        other.publish("$aws/things/gate-2/shadow/update", reported(position="open"))
        assert eventually(lambda: service.http.get("/things/gate-2/shadow").status_code == 200)


def test_a_last_will_on_a_shadow_topic_is_no_request(service_of, eventually):
    """As the AWS service has it; it stands in the audit log."""
    service = service_of()
    with service.device("gate-1", will=f"{GATE}/update") as gate:
        gate.publish(f"{GATE}/update", reported(position="open"))
        gate.cut()
    entries = eventually(lambda: service.http.get("/v1/audit", params={"verb": "will"}).json()["entries"])
    metrics = eventually(lambda: "windtunnel_bridge_wills_ignored 1" in service.http.get("/metrics").text)

    assert metrics
    assert (entries[0]["who"], entries[0]["what"]) == ("gate-1", f"{GATE}/update")
    assert service.http.get("/things/gate-1/shadow").json()["version"] == 1
