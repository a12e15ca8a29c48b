"""A device reaches its own topics only: attempts at random, at a real broker, all in the audit log."""

import json
import queue
import random

import pytest
from paho.mqtt import client as paho

from twin.service.enforcement import ATTEMPTS

pytestmark = pytest.mark.live

VERBS = ("get", "update", "delete", "name/door/update", "name/door/get")
FIELD = ("telemetry", "event/smoke", "report", "session", "cmd/open", "cmd/open/ack")
JOBS = ("get", "start-next", "job-1/update", "notify")
THINGS = ("gate-2", "gate-20", "gate-", "gate-1x", "GATE-1", "fan-1")
FILTERS = (
    "#",
    "+/#",
    "$aws/#",
    "$aws/things/+/shadow/#",
    "$aws/things/#",
    "site/#",
    "site/+/+/gate-2/#",
    "alarms/#",
)


def outside(draw):
    """A topic that belongs to somebody else, or to nobody."""
    thing = draw.choice(THINGS)
    return draw.choice(
        [
            f"$aws/things/{thing}/shadow/{draw.choice(VERBS)}",
            f"$aws/things/{thing}/jobs/{draw.choice(JOBS)}",
            f"$aws/things/gate-1/shadow/update/{draw.choice(('accepted', 'rejected', 'delta', 'documents'))}",
            f"site/home/boom_gate/{thing}/{draw.choice(FIELD)}",
            f"site/away/boom_gate/gate-1/{draw.choice(FIELD)}",
            f"things/{thing}/cmd/open/ack",
            f"alarms/gate-1/{draw.choice(('fire', 'smoke'))}",
            f"$SYS/broker/{draw.randrange(9)}",
            f"{draw.randrange(1000)}/{thing}",
        ]
    )


def others(draw):
    """A topic of another thing; its own it may listen to."""
    while "gate-1/" in (topic := outside(draw)):
        pass
    return topic


def test_a_thousand_attempts_outside_are_all_refused_and_audited(service_of, eventually):
    """750 publishes, each refused with its reason code, and 250 subscriptions that bring nothing."""
    draw = random.Random(4)
    service = service_of()
    spoken = [outside(draw) for _ in range(750)]
    wished = [draw.choice((*FILTERS, others(draw))) for _ in range(250)]
    with (
        service.device("gate-1", version=paho.MQTTv5) as gate,
        service.device("gate-2") as other,
        service.device("fan-1") as fan,
    ):
        codes = [gate.publish(topic).value for topic in spoken]
        for topic_filter in wished:
            gate.subscribe(topic_filter)
        for client, name in ((other, "gate-2"), (fan, "fan-1")):
            client.subscribe(f"$aws/things/{name}/shadow/update/accepted")
            client.publish(f"$aws/things/{name}/shadow/update", b'{"state": {"reported": {"a": 1}}}')
            client.message()
        with pytest.raises(queue.Empty):
            gate.message(timeout=0.5)

    def audited():
        found = service.http.get("/v1/audit", params={"decision": "refused", "limit": 1000}).json()["entries"]
        return found if len(found) >= 1000 else None

    entries = eventually(audited)
    assert set(codes) == {135}
    assert sorted(each["what"] for each in entries if each["verb"] == "publish") == sorted(spoken)
    assert sorted(each["what"] for each in entries if each["verb"] == "subscribe") == sorted(wished)
    assert {each["who"] for each in entries} == {"gate-1"}
    known = service.http.get("/v1/things/gate-2").json()["shadow"]
    assert known["version"] == 1


def test_a_registered_device_has_all_its_own_topics(service_of):
    """So the refusals above are no silence of everything."""
    service = service_of()
    with service.device("gate-1", version=paho.MQTTv5) as gate:
        own = [f"$aws/things/gate-1/shadow/{verb}" for verb in VERBS]
        codes = [gate.publish(topic, b"{}") for topic in own]
        gate.subscribe("$aws/things/gate-1/shadow/get/+")
        gate.publish("$aws/things/gate-1/shadow/get")
        heard = gate.message()

    assert not any(code.is_failure for code in codes)
    assert heard[0] == "$aws/things/gate-1/shadow/get/rejected"


def test_a_policy_that_is_put_in_holds_at_once(service_of):
    """Denied for gate-1 alone, while it is connected."""
    service = service_of()
    with (
        service.device("gate-1", version=paho.MQTTv5) as gate,
        service.device("gate-2", version=paho.MQTTv5) as other,
    ):
        before = gate.publish("$aws/things/gate-1/shadow/get")
        policy = {
            "subjects": ["thing:gate-1"],
            "verbs": ["publish"],
            "topics": ["$aws/things/${thing}/shadow/get"],
            "effect": "deny",
        }
        service.http.put("/v1/policies/no-reading", json=policy).raise_for_status()
        after, others = (
            gate.publish("$aws/things/gate-1/shadow/get"),
            other.publish("$aws/things/gate-2/shadow/get"),
        )

    assert not before.is_failure
    assert after.value == 135
    assert not others.is_failure


def test_a_device_with_a_claim_gets_a_certificate_for_its_own_key_and_becomes_a_thing(service_of, tmp_path):
    """Claim, signing request, template; then it connects with its own certificate and has its topics."""
    service = service_of()
    template = {"thing": "{SerialNumber}", "type": "boom_gate", "site": "home"}
    service.http.put("/v1/templates/gates", json=template).raise_for_status()
    claim = service.http.post("/v1/certificates", json={"claim": "factory"}).json()
    claim_files = written(tmp_path, "claim", claim["certificate_pem"], claim["key_pem"])
    csr, key_pem = signing_request()
    create, provision = (
        "$aws/certificates/create-from-csr/json",
        "$aws/provisioning-templates/gates/provision/json",
    )

    with service.client(claim_files) as device:
        device.subscribe(f"{create}/accepted", f"{provision}/accepted")
        device.publish(create, json.dumps({"certificateSigningRequest": csr}).encode())
        made = json.loads(device.message()[1])
        asked = {
            "certificateOwnershipToken": made["certificateOwnershipToken"],
            "parameters": {"SerialNumber": "gate-77"},
        }
        device.publish(provision, json.dumps(asked).encode())
        provisioned = json.loads(device.message()[1])
    with service.client(written(tmp_path, "own", made["certificatePem"], key_pem)) as device:
        device.subscribe("$aws/things/gate-77/shadow/update/accepted")
        device.publish("$aws/things/gate-77/shadow/update", b'{"state": {"reported": {"position": "open"}}}')
        accepted = json.loads(device.message()[1])

    assert provisioned["thingName"] == "gate-77"
    assert accepted["version"] == 1


def written(folder, name, certificate, key):
    files = folder / f"{name}.pem", folder / f"{name}.key"
    files[0].write_text(certificate)
    files[1].write_text(key)
    return files


def signing_request():
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "whatever")])
    request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    pem = serialization.Encoding.PEM
    form = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return request.public_bytes(pem).decode(), key.private_bytes(pem, *form).decode()


# brokers that are not ours -------------------------------------------------------------------------------


def test_a_broker_that_keeps_nobody_apart_is_told_plainly_and_nothing_is_claimed(service_of, open_broker):
    """In the banner's words, in /health, and with exit code 4 where authorisation is required."""
    service = service_of("--broker", f"mqtt://127.0.0.1:{open_broker.plain_port}")
    said = service.http.get("/health").json()["authorisation"]
    service.stop()
    service.options = (*service.options, "--require-authorisation")
    service.start()

    count = len(ATTEMPTS)
    sentence = (
        f"this broker does not keep devices to their own topics: {count} of {count} probes went through"
    )
    assert said == {"claim": "not enforced", "explanation": sentence}
    assert service.process.returncode == 4
    assert service.said == [f"windtunnel: {sentence}\n"]


def test_with_a_devices_credentials_it_is_tried_whether_a_broker_keeps_it_to_its_topics(service_of, site_of):
    """Our own broker, but spoken to as if it were another's."""
    site = site_of(OWN)
    _, twin = site.certificate("twin")
    _, device = site.certificate("gate-1")
    ca = site.authority.folder / "ca.pem"
    options = [
        "--broker",
        f"mqtts://127.0.0.1:{site.broker.port}",
        "--broker-ca",
        ca,
        "--require-authorisation",
    ]
    options += ["--broker-cert", twin[0], "--broker-key", twin[1], "--client-id", "twin"]
    service = service_of(*map(str, [*options, "--probe-cert", device[0], "--probe-key", device[1]]))

    said = service.http.get("/health").json()["authorisation"]

    assert said["claim"] == "enforced"
    assert said["explanation"].startswith(f"none of {len(ATTEMPTS)} probes")


OWN = "user twin\ntopic readwrite #\ntopic readwrite $aws/#\npattern readwrite $aws/things/%u/#\n"


@pytest.mark.slow
def test_requests_that_come_while_the_service_is_away_are_answered_when_it_is_back(
    service_of, open_broker, client
):
    """The broker keeps the session, and with it the requests."""
    service = service_of("--broker", f"mqtt://127.0.0.1:{open_broker.plain_port}")
    service.kill()
    with client("gate-1", port=open_broker.plain_port) as gate:
        gate.subscribe("$aws/things/gate-1/shadow/update/accepted")
        for number in range(20):
            gate.publish("$aws/things/gate-1/shadow/update", b'{"state": {"reported": {"n": %d}}}' % number)
        service.start()
        versions = [json.loads(gate.message()[1])["version"] for _ in range(20)]

    assert versions == list(range(1, 21))


def test_an_access_list_is_made_anew_for_those_only_whom_a_change_concerns():
    """And comes to the same as one that is made from nothing."""
    from twin.service.access_list import AccessList
    from twin.state.records import Records, Transaction
    from twin.state.registry.policies import Policy
    from twin.state.registry.registry import Registry
    from twin.state.registry.things import Thing

    registry, records, followed = Registry(), Records(), AccessList()
    steps = [
        lambda t: registry.register(Thing(name="hub", type="gateway", site="home"), t),
        lambda t: registry.register(Thing(name="gate-1", type="boom_gate", site="home", via="hub"), t),
        lambda t: registry.change("gate-1", {"site": "away"}, t),
        lambda t: registry.put_policy(
            Policy(name="no", subjects=("thing:gate-*",), verbs=("publish",), topics=("a/b",), effect="deny"),
            t,
        ),
        lambda t: registry.change("gate-1", {"state": "disabled"}, t),
        lambda t: registry.remove("hub", t),
    ]
    for step in steps:
        transaction = Transaction(records, 0.0)
        step(transaction)
        assert followed.follow(transaction.changes, records)
        fresh = AccessList()
        fresh.renew(records)
        assert followed.blocks == fresh.blocks

    assert followed.shut_out == {"gate-1", "hub"}
