"""Alarms, commands and jobs through `windtunnel serve`: HTTP on one side, a device over MQTT on the other."""

import json

import pytest

pytestmark = pytest.mark.live

JOBS = "$aws/things/gate-1/jobs"


def told(payload):
    return json.loads(payload)


def heard(device, suffix):
    """The next message whose topic ends like this; others are passed over."""
    while True:
        topic, payload = device.message()
        if topic.endswith(suffix):
            return told(payload)


def test_a_job_goes_on_after_the_service_was_killed(service_of, eventually):
    """Told before, started before, ended after: nothing is told twice, and the rest is still told."""
    service = service_of()
    for name in ("gate-1", "gate-2", "gate-3"):
        service.certificate(name)
    plan = {
        "job_id": "v2",
        "targets": ["gate-1", "gate-2", "gate-3"],
        "document": {"version": "2.0"},
        "rollout": {"per_minute": 60},
    }
    with service.device("gate-1") as gate:
        gate.subscribe(f"{JOBS}/notify-next", f"{JOBS}/start-next/accepted", f"{JOBS}/+/update/accepted")
        made = service.http.post("/v1/jobs", json=plan)
        assert heard(gate, "notify-next")["execution"]["jobId"] == "v2"
        gate.publish(f"{JOBS}/start-next", b"{}")
        started = heard(gate, "start-next/accepted")["execution"]
        service.kill()
    service.start()
    with service.device("gate-1") as gate:
        gate.subscribe(f"{JOBS}/notify-next", f"{JOBS}/v2/update/accepted")
        done = {"status": "SUCCEEDED", "expectedVersion": started["versionNumber"]}
        gate.publish(f"{JOBS}/v2/update", json.dumps(done).encode())
        heard(gate, "update/accepted")
        job = eventually(lambda: _if_told(service.http.get("/v1/jobs/v2").json(), 3))

    assert (made.status_code, started["jobDocument"]) == (201, {"version": "2.0"})
    assert job["counts"] == {"SUCCEEDED": 1, "QUEUED": 2}
    assert [each["thing"] for each in job["executions"]] == ["gate-1", "gate-2", "gate-3"]
    assert {each["version"] for each in job["executions"] if each["status"] == "QUEUED"} == {1}


def _if_told(job, count):
    return job if job["notified_count"] == count else None


def test_a_job_is_canceled_and_forgotten_over_http(service_of):
    """With the codes of HTTP for what cannot be."""
    service = service_of("--store", "memory")
    plan = {"job_id": "v2", "targets": ["gate-1", "gate-2"], "document": {}}
    again = [service.http.post("/v1/jobs", json=plan).status_code for _ in range(2)]
    other = service.http.post("/v1/jobs", json={**plan, "document": {"x": 1}})
    alone = service.http.post("/v1/jobs/v2/executions/gate-2/cancel").json()
    too_early = service.http.delete("/v1/jobs/v2")
    canceled = service.http.post("/v1/jobs/v2/cancel").json()
    gone = service.http.delete("/v1/jobs/v2")

    assert (again, other.status_code, too_early.status_code) == ([201, 201], 409, 409)
    assert (alone["status"], canceled["status"], gone.status_code) == ("CANCELED", "CANCELED", 204)
    assert service.http.get("/v1/jobs/v2").status_code == 404
    assert service.http.post("/v1/jobs", json={**plan, "rollout": {"per_minute": 0}}).status_code == 400


def test_a_command_reaches_the_device_and_comes_back(service_of, eventually):
    """The key gives the same command; the answer of the device ends it."""
    service = service_of("--store", "memory")
    with service.device("gate-1") as gate:
        gate.subscribe("site/+/+/gate-1/cmd/+", "things/gate-1/cmd/+")
        asked = {"name": "open", "args": {"wide": True}, "key": "k"}
        first = service.http.post("/v1/things/gate-1/commands", json=asked).json()
        second = service.http.post("/v1/things/gate-1/commands", json=asked).json()
        topic, payload = gate.message()
        answer = {"id": told(payload)["id"], "stage": "done", "result": 90}
        gate.publish(f"{topic}/ack", json.dumps(answer).encode())
        done = eventually(lambda: _if_over(service.http.get(f"/v1/commands/{first['id']}").json()))

    assert first["id"] == second["id"] == told(payload)["id"]
    assert (done["stage"], done["status"], done["result"]) == ("done", 200, 90)
    assert gate.messages.empty()


def _if_over(command):
    return command if command["status"] != 202 else None


def test_an_alarm_outlives_the_service_and_is_acknowledged_over_http(service_of, eventually):
    """A rule elsewhere raises it; the thing that it is about hears it, retained, after the crash."""
    service = service_of()
    files = service.certificate("gate-1")
    policy = {"subjects": ["thing:gate-1"], "verbs": ["publish"], "topics": ["site/park/rule/alarm"]}
    service.http.put("/v1/policies/rules", json=policy).raise_for_status()
    raised = b'{"severity": "major", "text": "does not move", "thing": "gate-1", "type": "stuck", "ts": 1}'
    with service.client(files) as gate:
        gate.publish("site/park/rule/alarm", raised)
        gate.publish("site/park/rule/alarm", raised)
    eventually(lambda: service.http.get("/v1/alarms").json()["alarms"])
    service.kill()
    service.start()
    (alarm,) = service.http.get("/v1/alarms", params={"severity": "major"}).json()["alarms"]
    said = service.http.post("/v1/alarms/gate-1/stuck/acknowledge", json={"note": "on my way"}).json()
    with service.client(files) as gate:
        gate.subscribe("alarms/gate-1/#")
        retained = told(gate.message()[1])
    cleared = service.http.post("/v1/alarms/gate-1/stuck/clear").json()

    assert (alarm["state"], alarm["count"]) == ("active, unacknowledged", 1)
    assert (said["state"], said["acknowledged_by"]) == ("active, acknowledged", "admin")
    assert (retained["id"], retained["note"]) == (alarm["id"], "on my way")
    assert cleared["state"] == "cleared, acknowledged"
    assert service.http.post("/v1/alarms/gate-1/stuck/clear").status_code == 404
