"""From a claim to a thing with a certificate, by the topics of AWS; states, rotation, expiry."""

import msgspec
import pytest

from twin.message import Message
from twin.state.records import Records, Transaction
from twin.state.registry.access import may
from twin.state.registry.certificates import TRANSITIONS, Certificate, check_transition
from twin.state.registry.issuing import SimulatedIssuer
from twin.state.registry.provisioning import CREATE, CREATE_FROM_CSR, Provisioning, Template
from twin.state.registry.registry import Registry
from twin.state.registry.things import RegistryError, Thing
from twin.state.twins import Twins

TEMPLATE = Template(
    name="gates",
    thing="gate-{SerialNumber}",
    type="boom_gate",
    site="{Site}",
    tags=("fire",),
    attributes={"serial": "{SerialNumber}"},
    serials=("7", "8"),
)
PROVISION = "$aws/provisioning-templates/gates/provision/json"
PROVISIONING = Provisioning(gives_keys=True, valid_s=10_000_000.0)


@pytest.fixture
def twins():
    made = Twins([PROVISIONING, Registry()])
    transaction = Transaction(made.records, 0.0)
    PROVISIONING.put_template(TEMPLATE, transaction)
    PROVISIONING.admit(SimulatedIssuer().issue(None, "claim", 0.0, 1e9), "CLAIM", transaction)
    return made


def _ask(twins, topic, document, now_s=100.0):
    """The answer, and whether it was accepted."""
    payload = document if isinstance(document, bytes) else msgspec.json.encode(document)
    (message,) = twins.handle(Message(topic, payload), now_s).messages
    assert message.topic.rpartition("/")[0] == topic
    return msgspec.json.decode(message.payload), message.topic.endswith("/accepted")


def _provisioned(twins, serial="7", now_s=100.0):
    created, is_accepted = _ask(twins, CREATE_FROM_CSR, {"certificateSigningRequest": f"csr {serial}"}, now_s)
    assert is_accepted
    token, parameters = created["certificateOwnershipToken"], {"SerialNumber": serial, "Site": "car_park"}
    asked = {"certificateOwnershipToken": token, "parameters": parameters}
    return created, *_ask(twins, PROVISION, asked, now_s)


def test_a_claim_becomes_a_thing_with_a_certificate_of_its_own(twins):
    """The certificate waits until it is provisioned; then its owner reaches its own topics."""
    records = twins.records
    assert may(records, "claim", "publish", CREATE)
    created, is_accepted = _ask(twins, CREATE, {})
    assert is_accepted
    assert created["privateKey"].startswith("-----BEGIN SIMULATED KEY")
    waiting = records.get("certificate", created["certificateId"])
    assert waiting.state == "PENDING_ACTIVATION"
    assert not may(records, waiting.common_name, "connect")

    asked = {
        "certificateOwnershipToken": created["certificateOwnershipToken"],
        "parameters": {"SerialNumber": "7", "Site": "car_park"},
    }
    assert _ask(twins, PROVISION, asked) == ({"thingName": "gate-7", "deviceConfiguration": {}}, True)
    thing = records.get("thing", "gate-7")
    assert (thing.type, thing.site, thing.tags, thing.attributes) == (
        "boom_gate",
        "car_park",
        ("fire",),
        {"serial": "7"},
    )
    assert records.get("certificate", created["certificateId"]).state == "ACTIVE"
    assert may(records, waiting.common_name, "publish", "site/car_park/boom_gate/gate-7/telemetry")
    assert not may(records, waiting.common_name, "publish", "site/car_park/boom_gate/gate-8/telemetry")


@pytest.mark.parametrize(
    ("topic", "document", "code", "words"),
    [
        (CREATE_FROM_CSR, {}, 400, "lacks 'certificateSigningRequest'"),
        (CREATE_FROM_CSR, b"\xff", 400, "not JSON"),
        (CREATE_FROM_CSR, b"[" * 9_000, 400, "not JSON"),
        (CREATE_FROM_CSR, b"[]", 400, "no JSON object"),
        (CREATE_FROM_CSR, b" " * 20_000, 400, "at most 16384 bytes"),
        (PROVISION, {}, 400, "lacks 'certificateOwnershipToken'"),
        (PROVISION, {"certificateOwnershipToken": "guessed"}, 403, "unknown, used or older"),
        (PROVISION.replace("gates", "doors"), {}, 404, "no provisioning template 'doors'"),
    ],
)
def test_a_bad_request_is_rejected_with_its_reason(twins, topic, document, code, words):
    """In the shape of AWS, and nothing is changed but the audit log."""
    before = list(twins.records)
    answer, is_accepted = _ask(twins, topic, document)
    assert not is_accepted
    assert answer["statusCode"] == code
    assert words in answer["errorMessage"]
    assert list(twins.records) == before


@pytest.mark.parametrize(
    ("parameters", "code", "words"),
    [
        ({"SerialNumber": "9", "Site": "x"}, 403, "'9' may not be provisioned"),
        ({"SerialNumber": "7"}, 400, "needs the parameter 'Site'"),
        ({"SerialNumber": "7", "Site": "a/b"}, 400, "site 'a/b'"),
        ({"SerialNumber": 7}, 400, "object of texts"),
        ([], 400, "object of texts"),
    ],
)
def test_a_device_that_fails_the_check_keeps_its_token(twins, parameters, code, words):
    """It may try again with other parameters while the token holds."""
    created, _ = _ask(twins, CREATE, {})
    asked = {"certificateOwnershipToken": created["certificateOwnershipToken"], "parameters": parameters}
    answer, is_accepted = _ask(twins, PROVISION, asked)
    assert not is_accepted
    assert answer["statusCode"] == code
    assert words in answer["errorMessage"]
    asked["parameters"] = {"SerialNumber": "7", "Site": "car_park"}
    assert _ask(twins, PROVISION, asked)[1]


def test_a_token_is_good_once_and_for_an_hour(twins):
    """A certificate that nobody provisioned is forgotten with it."""
    created, _, _ = _provisioned(twins)
    asked = {"certificateOwnershipToken": created["certificateOwnershipToken"], "parameters": {}}
    assert _ask(twins, PROVISION, asked)[0]["statusCode"] == 403

    late, _ = _ask(twins, CREATE, {}, now_s=200.0)
    twins.elapse(200.0 + 3_600.0)
    assert twins.records.get("certificate", late["certificateId"]) is None
    asked["certificateOwnershipToken"] = late["certificateOwnershipToken"]
    assert _ask(twins, PROVISION, asked, now_s=3_801.0)[0]["statusCode"] == 403
    assert twins.records.get("certificate", created["certificateId"]).state == "ACTIVE"


def test_nobody_takes_the_place_of_a_thing_that_exists(twins):
    """A second device with the same serial number is a conflict, unless the template replaces."""
    first, _, _ = _provisioned(twins)
    _, answer, is_accepted = _provisioned(twins)
    assert not is_accepted
    assert answer["statusCode"] == 409

    PROVISIONING.put_template(
        msgspec.structs.replace(TEMPLATE, replaces=True), Transaction(twins.records, 200.0)
    )
    second, _, is_accepted = _provisioned(twins, now_s=200.0)
    assert is_accepted
    twins.elapse(200.0 + 86_400.0)
    states = [twins.records.get("certificate", each["certificateId"]).state for each in (first, second)]
    assert states == ["INACTIVE", "ACTIVE"]


def test_a_device_rotates_its_certificate_with_an_overlap(twins):
    """Both hold for a day, then the new one only; others cannot ask for it."""
    first, _, _ = _provisioned(twins)
    old = twins.records.get("certificate", first["certificateId"])
    topic = "things/gate-7/certificates/rotate"
    assert may(twins.records, old.common_name, "publish", topic)
    assert may(twins.records, old.common_name, "subscribe", f"{topic}/accepted")
    assert not may(twins.records, old.common_name, "publish", "things/gate-8/certificates/rotate")

    answer, is_accepted = _ask(twins, topic, {"certificateSigningRequest": "new"}, now_s=500.0)
    assert is_accepted
    new = twins.records.get("certificate", answer["certificateId"])
    for name in (old.common_name, new.common_name):
        assert may(twins.records, name, "connect")
    twins.elapse(500.0 + 86_400.0)
    assert not may(twins.records, old.common_name, "connect")
    assert may(twins.records, new.common_name, "connect")


def test_a_certificate_expires_when_its_time_is_over(twins):
    """Its owner is let in no more, and nothing brings it back."""
    created, _, _ = _provisioned(twins)
    twins.elapse(100.0 + PROVISIONING.valid_s)
    expired = twins.records.get("certificate", created["certificateId"])
    assert expired.state == "EXPIRED"
    assert not may(twins.records, expired.common_name, "connect")
    with pytest.raises(RegistryError, match="only nothing can follow"):
        PROVISIONING.set_state(expired.fingerprint, "ACTIVE", Transaction(twins.records, 0.0))


def test_a_revoked_certificate_is_refused_and_stays_so(twins):
    """While one that was only switched off comes back."""
    created, _, _ = _provisioned(twins)
    certificate = twins.records.get("certificate", created["certificateId"])
    transaction = Transaction(twins.records, 300.0)
    for state, is_admitted in (("INACTIVE", False), ("ACTIVE", True), ("REVOKED", False)):
        PROVISIONING.set_state(certificate.fingerprint, state, transaction, by="ada")
        assert may(twins.records, certificate.common_name, "connect") is is_admitted
    twins.elapse(1e9)
    assert twins.records.get("certificate", certificate.fingerprint).state == "REVOKED"
    audited = [change.entry for change in transaction.changes if change.what == "note"]
    assert [(entry["who"], entry["reason"]) for entry in audited] == [
        ("ada", "ACTIVE -> INACTIVE"),
        ("ada", "INACTIVE -> ACTIVE"),
        ("ada", "ACTIVE -> REVOKED"),
    ]


@pytest.mark.parametrize("before", sorted(TRANSITIONS))
def test_a_state_is_followed_by_what_the_table_says(before):
    """And by nothing else."""
    certificate = Certificate(fingerprint="f", serial="1", common_name="c", state=before)
    for after in TRANSITIONS:
        if after in TRANSITIONS[before]:
            check_transition(certificate, after)
        else:
            with pytest.raises(RegistryError):
                check_transition(certificate, after)


def test_a_device_of_our_authority_is_registered_when_it_first_connects(twins):
    """By a template that says so: its certificate becomes active with it."""
    transaction = Transaction(twins.records, 100.0)
    issued = SimulatedIssuer().issue(None, "sign-4", 50.0, 1e6)
    with pytest.raises(RegistryError, match="does not register"):
        PROVISIONING.first_connect(issued, "gates", transaction)
    template = Template(
        name="signs", thing="{CommonName}", type="sign", site="depot", registers_on_connect=True
    )
    PROVISIONING.put_template(template, transaction)
    assert PROVISIONING.first_connect(issued, "signs", transaction).name == "sign-4"
    assert may(twins.records, "sign-4", "publish", "site/depot/sign/sign-4/telemetry")
    with pytest.raises(RegistryError, match="ACTIVE already"):
        PROVISIONING.first_connect(issued, "signs", transaction)


def test_an_awaited_device_is_registered_once_and_nobody_takes_its_place(twins):
    """A name that a thing or a certificate has is refused, and who is not awaited changes nothing."""
    transaction = Transaction(twins.records, 100.0)
    template = Template(name="signs", thing="{CommonName}", type="sign", registers_on_connect=True)
    PROVISIONING.put_template(template, transaction)
    issued = SimulatedIssuer().issue(None, "sign-5", 50.0, 1e6)
    PROVISIONING.expect(issued, "signs", transaction)
    with pytest.raises(RegistryError, match="has a certificate"):
        PROVISIONING.expect(SimulatedIssuer().issue(None, "sign-5", 60.0, 1e6), "signs", transaction)
    assert not may(twins.records, "sign-5", "connect")
    PROVISIONING.arrived("sign-6", transaction)
    PROVISIONING.arrived("sign-5", transaction)
    count = len(transaction.changes)
    PROVISIONING.arrived("sign-5", transaction)

    assert may(twins.records, "sign-5", "connect")
    assert not may(twins.records, "sign-6", "connect")
    assert len(transaction.changes) == count


def test_an_awaited_device_that_the_template_refuses_is_audited(twins):
    """Its serial number is not on the list."""
    transaction = Transaction(twins.records, 100.0)
    template = Template(name="signs", serials=("1",), registers_on_connect=True)
    PROVISIONING.put_template(template, transaction)
    PROVISIONING.expect(SimulatedIssuer().issue(None, "sign-7", 50.0, 1e6), "signs", transaction)
    PROVISIONING.arrived("sign-7", transaction)

    assert transaction.changes[-1].entry["decision"] == "refused"
    assert "may not be provisioned" in transaction.changes[-1].entry["reason"]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"thing": ""}, "thing name ''"),
        ({"thing": "gate {SerialNumber}"}, "thing name 'gate x'"),
        ({"thing": "gate-{SerialNumber"}, "written {Name}"),
        ({"type": "boom_gaet"}, "boom_gate"),
        ({"tags": ["a b"]}, "tag 'a b'"),
        ({"site": "{Site}", "registers_on_connect": True}, "sends no 'Site'"),
    ],
)
def test_a_template_that_no_device_could_use_is_refused(fields, reason):
    """Whoever writes it hears so, and not each device in the field."""
    provisioning = Provisioning(registry=Registry(frozenset({"boom_gate"})))
    template = msgspec.convert({"name": "gates", "type": "boom_gate", **fields}, Template)
    with pytest.raises(RegistryError) as caught:
        provisioning.put_template(template, Transaction(Records(), 0.0))
    assert caught.value.code == 400
    assert reason in str(caught.value)


def test_a_thing_that_is_gone_takes_its_certificates_along(twins):
    """The next thing of its name is another device; nobody else's certificate is touched."""
    transaction = Transaction(twins.records, 100.0)
    for name, thing in (("one", "gate-1"), ("two", "gate-1"), ("three", "gate-2")):
        PROVISIONING.admit(SimulatedIssuer().issue(None, name, 0.0, 1e6), "ACTIVE", transaction, thing=thing)
    PROVISIONING.forget_thing("gate-1", transaction, by="ada")
    PROVISIONING.forget_thing("gate-1", transaction, by="ada")
    states = {each.common_name: each.state for each in twins.records.of("certificate").values()}
    assert states == {"claim": "CLAIM", "one": "REVOKED", "two": "REVOKED", "three": "ACTIVE"}


def test_keys_are_not_sent_where_others_could_hear_them(twins):
    """The service as it runs by default answers signing requests only."""
    live = Twins([Provisioning()], twins.records)
    answer, is_accepted = _ask(live, CREATE, {})
    assert not is_accepted
    assert "use create-from-csr" in answer["errorMessage"]


def test_neither_key_nor_certificate_nor_token_is_kept(twins):
    """Records and notes hold fingerprints, and a hash of the token."""
    transaction = twins.handle(Message(CREATE, b"{}"), 100.0)
    answer = msgspec.json.decode(transaction.messages[0].payload)
    kept = repr(list(twins.records)) + repr(transaction.changes)
    assert answer["certificateId"] in kept
    for secret in ("privateKey", "certificatePem", "certificateOwnershipToken"):
        assert answer[secret] not in kept


def test_a_thousand_certificates_have_a_thousand_names(twins):
    """At one instant, and none that a thing could have."""
    for _ in range(1000):
        twins.handle(Message(CREATE_FROM_CSR, b'{"certificateSigningRequest": "same"}'), 100.0)
    names = {each.common_name for each in twins.records.of("certificate").values()}
    assert len(names) == 1001
    with pytest.raises(RegistryError):
        Registry().register(Thing(name="certificate.00000001"), Transaction(twins.records, 0.0))
