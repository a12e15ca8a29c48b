"""The HTTP API for many things at once, SIM cards, watches, and devices that come by themselves."""

import json

import pytest

from twin.service.authority import write
from twin.state.registry.issuing import Issued

pytestmark = pytest.mark.live


@pytest.fixture(scope="module")
def service(shared_service):
    """One for all."""
    return shared_service


@pytest.fixture
def admin(service):
    """A client with the first token."""
    return service.http


def test_a_group_is_commanded_at_once_and_has_one_status(admin):
    """It is open until all have answered or are late; the same key gives the same commands."""
    for name in ("fan-1", "fan-2"):
        admin.post("/v1/things", json={"name": name, "tags": ["fans"]}).raise_for_status()
    asked = {"target": "tag:fans", "name": "start", "timeout_s": 30, "key": "fans-on"}
    given = admin.post("/v1/commands", json=asked)
    again = admin.post("/v1/commands", json=asked)
    read = admin.get(f"/v1/command-groups/{given.json()['id']}").json()

    assert given.status_code == 202
    assert given.json() == again.json()
    assert (read["status"], sorted(read["answers"])) == (202, ["fan-1", "fan-2"])
    assert admin.get("/v1/command-groups/none").status_code == 404


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({"target": "tag:nobody-has-it", "name": "start"}, 400),
        ({"target": "group:none", "name": "start"}, 400),
        ({"target": "fan-1", "name": "a b"}, 400),
        ({"name": "start"}, 400),
    ],
)
def test_a_command_to_nobody_is_refused(admin, asked, code):
    """With what was wrong."""
    answer = admin.post("/v1/commands", json=asked)
    assert (answer.status_code, bool(answer.json()["message"])) == (code, True)


def test_a_silent_thing_raises_an_alarm_that_ends_with_its_watch(admin, eventually):
    """After the time that was asked for."""
    put = admin.put("/v1/watches/boiler-1", json={"within_s": 0.2, "severity": "major"})
    assert put.status_code == 200, put.text

    def standing():
        return admin.get("/v1/alarms", params={"thing": "boiler-1", "active": True}).json()["alarms"]

    (alarm,) = eventually(standing)
    watched = [each["thing"] for each in admin.get("/v1/watches").json()["watches"]]
    admin.delete("/v1/watches/boiler-1").raise_for_status()

    assert (alarm["type"], alarm["severity"]) == ("inactivity", "major")
    assert watched == ["boiler-1"]
    assert standing() == []
    assert admin.delete("/v1/watches/boiler-1").status_code == 404


def test_a_thing_without_a_card_that_works_cannot_connect(admin, service):
    """Its session ends, and what its card may become is told."""
    files = service.certificate("meter-1", "")
    iccid = "8965012345678901234"
    admin.post("/v1/sims", json={"iccid": iccid, "operator": "one"}).raise_for_status()
    admin.patch(f"/v1/sims/{iccid}", json={"thing": "meter-1", "state": "active"}).raise_for_status()
    with service.client(files) as device:
        device.subscribe("$aws/things/meter-1/shadow/update/accepted")
        admin.patch(f"/v1/sims/{iccid}", json={"state": "suspended"}).raise_for_status()
        device.left.get(timeout=10)
    back = admin.patch(f"/v1/sims/{iccid}", json={"state": "ordered"})

    assert back.status_code == 409
    assert "only active, retired can follow" in back.json()["message"]
    assert [each["state"] for each in admin.get("/v1/sims?thing=meter-1").json()["sims"]] == ["suspended"]
    assert admin.patch(f"/v1/sims/{iccid}", json={}).status_code == 400


def test_a_device_is_registered_when_it_first_connects(admin, service, eventually):
    """By the template of its certificate; then it reaches its own topics."""
    template = {"thing": "{CommonName}", "type": "boom_gate", "site": "home", "registers_on_connect": True}
    admin.put("/v1/templates/on-connect", json=template).raise_for_status()
    asked = {"name": "gate-jit", "template": "on-connect"}
    issued = admin.post("/v1/certificates", json=asked)
    assert issued.status_code == 201, issued.text
    files = service.folder / "jit.pem", service.folder / "jit.key"
    fields = {name: value for name, value in issued.json().items() if name != "ca_pem"}
    write(Issued(**fields), *files)
    assert admin.get("/v1/things/gate-jit").status_code == 404

    with service.client(files):
        eventually(lambda: admin.get("/v1/things/gate-jit").status_code == 200)

    with service.client(files) as device:
        device.subscribe("$aws/things/gate-jit/shadow/update/accepted")
        device.publish("$aws/things/gate-jit/shadow/update", b'{"state": {"reported": {"gate": "open"}}}')
        _, payload = device.message()
    (certificate,) = admin.get("/v1/certificates?thing=gate-jit").json()["certificates"]

    assert json.loads(payload)["version"] == 1
    assert certificate["state"] == "ACTIVE"
    assert admin.post("/v1/certificates", json=asked).status_code == 409
    unknown = admin.post("/v1/certificates", json={"name": "other", "template": "none"})
    assert unknown.status_code == 403


def test_a_client_that_is_no_thing_reads_all_and_changes_nothing(admin, service):
    """A reader with a certificate; forgotten, it does not get in again."""
    assert admin.post("/v1/certificates", json={"client": "wall"}).status_code == 404
    admin.put("/v1/clients/wall", json={"role": "reader"}).raise_for_status()
    issued = admin.post("/v1/certificates", json={"client": "wall"}).json()
    files = service.folder / "wall.pem", service.folder / "wall.key"
    write(Issued(**{name: value for name, value in issued.items() if name != "ca_pem"}), *files)
    with service.client(files) as wall:
        wall.subscribe("$aws/things/+/shadow/update/accepted")
        state = {"state": {"reported": {"on": True}}}
        admin.post("/things/lamp-7/shadow", json=state).raise_for_status()
        topic, _ = wall.message()
        admin.delete("/v1/clients/wall").raise_for_status()
        wall.left.get(timeout=10)

    assert topic == "$aws/things/lamp-7/shadow/update/accepted"
    assert admin.delete("/v1/clients/wall").status_code == 404


def test_what_a_token_may_not_do_stands_in_the_audit_log(admin, service, eventually):
    """Of a device that asks for another's shadow, and of a viewer that would command."""
    with service.token("device", name="nosy", thing="lamp-7") as device:
        assert device.get("/things/lamp-8/shadow").status_code == 403
    with service.token("viewer", name="eager") as viewer:
        assert viewer.post("/v1/things/lamp-7/commands", json={"name": "on"}).status_code == 403

    def refused(who):
        return admin.get("/v1/audit", params={"who": who, "decision": "refused"}).json()["entries"]

    (first,) = eventually(lambda: refused("nosy"))
    (second,) = eventually(lambda: refused("eager"))
    assert (first["verb"], first["what"]) == ("GET", "/things/lamp-8/shadow")
    assert (second["verb"], second["what"]) == ("POST", "/v1/things/lamp-7/commands")


def test_policies_and_groups_are_forgotten(admin):
    """And nothing but what was made."""
    policy = {"subjects": ["thing:x"], "verbs": ["publish"], "topics": ["a/b"]}
    admin.put("/v1/policies/mine", json=policy).raise_for_status()
    admin.put("/v1/groups/east", json={"query": "site:east"}).raise_for_status()

    assert admin.delete("/v1/policies/mine").json() == {"removed": "mine"}
    assert admin.delete("/v1/groups/east").json() == {"removed": "east"}
    assert admin.delete("/v1/policies/heartbeat").status_code == 404


def test_the_graph_tells_who_suffers(admin):
    """Along the relationships, with the way there."""
    for name in ("ups-1", "rack-1", "server-1"):
        admin.post("/v1/things", json={"name": name}).raise_for_status()
    admin.put("/v1/graph/ups-1/powers/rack-1").raise_for_status()
    admin.put("/v1/graph/rack-1/contains/server-1").raise_for_status()

    found = admin.get("/v1/graph/ups-1/affected").json()["affected"]

    assert [each["thing"] for each in found] == ["rack-1", "server-1"]
    assert found[1]["steps"] == [["powers", "rack-1"], ["contains", "server-1"]]
    assert admin.get("/v1/graph/nobody/affected").status_code == 404
