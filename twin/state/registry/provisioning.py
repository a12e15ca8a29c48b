"""How a device gets its identity: a claim, then a certificate of its own, then a thing.

    claim --create--> PENDING_ACTIVATION + ownership token (1 h) --provision--> thing, ACTIVE
    ACTIVE --rotate--> a second one ACTIVE; the first is INACTIVE after an overlap

Whatever is sent to `.../accepted` of the shared topics, every holder of a claim can hear, and the store
keeps it until it is published. So the service issues certificates for signing requests, and makes keys only
where `gives_keys` says that nobody else listens, as in a simulation.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

import msgspec
from msgspec.structs import replace

from twin.errors import InputError
from twin.message import Message
from twin.state.records import Record, Transaction, Tree
from twin.state.registry.access import awaited
from twin.state.registry.audit import LONGEST_TEXT, Entry, administered, audit
from twin.state.registry.certificates import CERTIFICATE, TRANSITIONS, Certificate, State, check_transition
from twin.state.registry.issuing import YEAR_S, Issued, Issuer, SimulatedIssuer
from twin.state.registry.registry import Registry
from twin.state.registry.things import THING, RegistryError, Thing, check_word, unknown

TEMPLATE: Final = "template"
OWNERSHIP: Final = "ownership"
COUNTER: Final = "certificate_counter"
TOKEN_LIFE_S: Final = 3_600.0
OVERLAP_S: Final = 86_400.0
MOST_PENDING: Final = 10_000
LARGEST_REQUEST_BYTES: Final = 16_384
SERIAL_NUMBER: Final = "SerialNumber"
COMMON_NAME: Final = "CommonName"

CREATE: Final = "$aws/certificates/create/json"
CREATE_FROM_CSR: Final = "$aws/certificates/create-from-csr/json"
PROVISION: Final = "$aws/provisioning-templates/+/provision/json"
ROTATE: Final = "things/+/certificates/rotate"
_PARAMETER: Final = re.compile(r"\{(\w+)\}")
_ISSUED: Final = ("fingerprint", "serial", "common_name", "valid_from_s", "valid_until_s")
_ERRORS: Final = {400: "InvalidRequest", 403: "Forbidden", 404: "ResourceNotFound", 409: "Conflict"}


class Template(Record, frozen=True):
    """What a device becomes: texts in which `{Name}` stands for a parameter that the device sends.

    `serials` are the serial numbers that may be provisioned (none given: all), the pre-provisioning check.
    With `registers_on_connect` a device whose certificate our authority signed is registered when it first
    connects. With `replaces` a thing that exists gets the new certificate; whoever has a claim can then
    take its place.
    """

    name: str
    thing: str = "{SerialNumber}"
    type: str = ""
    site: str = ""
    level: str = ""
    tags: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    attributes: dict[str, str] = msgspec.field(default_factory=dict)
    serials: tuple[str, ...] = ()
    is_enabled: bool = True
    registers_on_connect: bool = False
    replaces: bool = False
    version: int = 1


class Ownership(Record, frozen=True):
    """Who can say the token with this hash owns the certificate, until it falls due."""

    fingerprint: str


class Counter(Record, frozen=True):
    """How many certificates were issued: the next gets a name nobody had."""

    count: int


@dataclass(frozen=True, slots=True)
class Provisioning:
    """Issues certificates and registers their owners. Tokens are made with `secret`: keep it random."""

    issuer: Issuer = field(default_factory=SimulatedIssuer)
    registry: Registry = field(default_factory=Registry)
    gives_keys: bool = False
    secret: bytes = field(default=b"simulated", repr=False)
    valid_s: float = YEAR_S
    overlap_s: float = OVERLAP_S

    filters: ClassVar[tuple[str, ...]] = (CREATE, CREATE_FROM_CSR, PROVISION, ROTATE)
    kinds: ClassVar[Mapping[str, type[Record]]] = {
        CERTIFICATE: Certificate,
        TEMPLATE: Template,
        OWNERSHIP: Ownership,
        COUNTER: Counter,
    }

    def handle(self, message: Message, transaction: Transaction) -> None:
        """Answer a request on its topic: accepted, or rejected with the reason."""
        try:
            document = self._answer(message.topic, _asked(message.payload), transaction)
        except RegistryError as error:
            refusal = {"statusCode": error.code, "errorCode": _ERRORS.get(error.code, "Refused")}
            transaction.publish(f"{message.topic}/rejected", {**refusal, "errorMessage": str(error)})
            what, reason = message.topic[:LONGEST_TEXT], str(error)[:LONGEST_TEXT]
            audit(transaction, Entry(transaction.now_s, "device", "provision", what, "refused", reason))
        else:
            transaction.publish(f"{message.topic}/accepted", document)

    def _answer(self, topic: str, asked: Tree, transaction: Transaction) -> Tree:
        levels = topic.split("/")
        if topic == CREATE:
            return self._create(None, transaction)
        if topic == CREATE_FROM_CSR:
            return self._create(_text(asked, "certificateSigningRequest"), transaction)
        if levels[0] == "things":
            return self._rotate(levels[1], asked, transaction)
        return self._provision(levels[2], asked, transaction)

    def expire(self, kind: str, key: str, transaction: Transaction) -> None:
        """A token nobody used takes its certificate along; a certificate expires or is retired."""
        record = transaction.records.get(kind, key)
        if kind == OWNERSHIP:
            transaction.remove(OWNERSHIP, key)
            owned: Certificate | None = transaction.records.get(CERTIFICATE, record.fingerprint)
            if owned is not None and owned.state == "PENDING_ACTIVATION":
                transaction.remove(CERTIFICATE, owned.fingerprint)
                what = f"certificate {owned.fingerprint[:12]}"
                administered(transaction, "service", "forget", what, "not provisioned")
            return
        is_over = transaction.now_s >= record.valid_until_s
        self._move(record, "EXPIRED" if is_over else record.retires_to, transaction, "service")

    # what is asked by message ----------------------------------------------------------------------------

    def _create(self, csr: str | None, transaction: Transaction) -> Tree:
        if csr is None and not self.gives_keys:
            raise RegistryError(403, "keys are not sent, as others could hear them; use create-from-csr")
        if len(transaction.records.of(OWNERSHIP)) >= MOST_PENDING:
            raise RegistryError(409, f"{MOST_PENDING} certificates wait to be provisioned; try again later")
        issued = self._issued(csr, transaction)
        self.admit(issued, "PENDING_ACTIVATION", transaction)
        said = f"{issued.fingerprint}\x00{transaction.now_s!r}".encode()
        token = hashlib.blake2b(said, digest_size=32, key=self.secret).hexdigest()
        owned = Ownership(fingerprint=issued.fingerprint, due_s=transaction.now_s + TOKEN_LIFE_S)
        transaction.put(OWNERSHIP, _hashed(token), owned)
        answer = {
            "certificateId": issued.fingerprint,
            "certificatePem": issued.certificate_pem,
            "certificateOwnershipToken": token,
        }
        return answer if csr is not None else {**answer, "privateKey": issued.key_pem}

    def _provision(self, name: str, asked: Tree, transaction: Transaction) -> Tree:
        template: Template | None = transaction.records.get(TEMPLATE, name)
        if template is None or not template.is_enabled:
            raise RegistryError(404, f"there is no provisioning template {name!r}, or it is switched off")
        key = _hashed(_text(asked, "certificateOwnershipToken"))
        owned: Ownership | None = transaction.records.get(OWNERSHIP, key)
        if owned is None:
            raise RegistryError(403, "the ownership token is unknown, used or older than an hour")
        certificate: Certificate | None = transaction.records.get(CERTIFICATE, owned.fingerprint)
        if certificate is None or certificate.state != "PENDING_ACTIVATION":
            raise RegistryError(403, "the certificate of this token waits for nothing")
        thing = self._made(template, _parameters(asked), transaction)
        transaction.remove(OWNERSHIP, key)
        if template.replaces:
            self._retire(thing.name, transaction)
        self._bind(certificate, thing.name, template.name, transaction)
        return {"thingName": thing.name, "deviceConfiguration": {}}

    def _rotate(self, name: str, asked: Tree, transaction: Transaction) -> Tree:
        issued = self.rotate(name, _text(asked, "certificateSigningRequest"), transaction, by=name)
        return {"certificateId": issued.fingerprint, "certificatePem": issued.certificate_pem}

    # what the service asks -------------------------------------------------------------------------------

    def put_template(self, template: Template, transaction: Transaction, *, by: str = "service") -> Template:
        """Make a template or change it. Raises RegistryError 400 for one that no device could use."""
        check_word(template.name, "template")
        self._check_template(template)
        known: Template | None = transaction.records.get(TEMPLATE, template.name)
        kept = template if known is None else replace(template, version=known.version + 1)
        transaction.put(TEMPLATE, template.name, kept)
        administered(transaction, by, "put", f"template {template.name}")
        return kept

    def admit(
        self,
        issued: Issued,
        state: State,
        transaction: Transaction,
        *,
        thing: str = "",
        template: str = "",
        by: str = "service",
    ) -> Certificate:
        """Let a certificate in that was issued: ACTIVE for a thing, a CLAIM, or waiting for its template."""
        certificate = Certificate(
            fingerprint=issued.fingerprint,
            serial=issued.serial,
            common_name=issued.common_name,
            state=state,
            thing=thing,
            template=template,
            valid_from_s=issued.valid_from_s,
            valid_until_s=issued.valid_until_s,
            changed_s=transaction.now_s,
            due_s=issued.valid_until_s,
        )
        transaction.put(CERTIFICATE, certificate.fingerprint, certificate)
        administered(transaction, by, "admit", f"certificate {certificate.fingerprint[:12]}", state)
        return certificate

    def expect(
        self, issued: Issued, template_name: str, transaction: Transaction, *, by: str = "service"
    ) -> Certificate:
        """Let a certificate in whose owner is registered by a template when it first connects.

        Raises RegistryError: 403 if the template does not register on connect, 409 if the name is taken: the
        owner would be taken for somebody else.
        """
        self._registering(template_name, transaction)
        records, name = transaction.records, issued.common_name
        is_taken = any(each.common_name == name for each in records.of(CERTIFICATE).values())
        if is_taken or records.get(THING, name) is not None:
            raise RegistryError(409, f"{name!r} is a thing already, or has a certificate")
        return self.admit(issued, "PENDING_ACTIVATION", transaction, template=template_name, by=by)

    def arrived(self, client: str, transaction: Transaction) -> None:
        """A client has connected: it is registered if that is awaited; a refusal stands in the audit log."""
        certificate = awaited(transaction.records, client)
        if certificate is None:
            return
        fields = {name: getattr(certificate, name) for name in _ISSUED}
        try:
            self.first_connect(Issued("", **fields), certificate.template, transaction)
        except RegistryError as error:
            reason = str(error)[:LONGEST_TEXT]
            audit(transaction, Entry(transaction.now_s, client, "provision", client, "refused", reason))

    def _registering(self, name: str, transaction: Transaction) -> Template:
        """The template, which registers on connect."""
        template: Template | None = transaction.records.get(TEMPLATE, name)
        if template is None or not template.is_enabled or not template.registers_on_connect:
            raise RegistryError(403, f"template {name!r} does not register devices when they connect")
        return template

    def first_connect(self, issued: Issued, template_name: str, transaction: Transaction) -> Thing:
        """A device that our authority signed for connects for the first time: it is registered and active.

        The template's parameters are its certificate's CommonName and its SerialNumber. Raises RegistryError:
        403 if the template does not register on connect, or what registering raises.
        """
        template = self._registering(template_name, transaction)
        known: Certificate | None = transaction.records.get(CERTIFICATE, issued.fingerprint)
        if known is not None and known.state != "PENDING_ACTIVATION":
            raise RegistryError(409, f"certificate {issued.fingerprint[:12]} is {known.state} already")
        parameters = {COMMON_NAME: issued.common_name, SERIAL_NUMBER: issued.serial}
        thing = self._made(template, parameters, transaction)
        certificate = known or self.admit(issued, "PENDING_ACTIVATION", transaction)
        self._bind(certificate, thing.name, template.name, transaction)
        return thing

    def rotate(self, thing: str, csr: str | None, transaction: Transaction, *, by: str = "service") -> Issued:
        """A further certificate for a thing; its others hold on for the overlap. Raises RegistryError 404."""
        if transaction.records.get(THING, thing) is None:
            raise RegistryError(404, unknown("thing", thing, transaction.records.of(THING)))
        issued = self._issued(csr, transaction)
        certificate = self.admit(issued, "PENDING_ACTIVATION", transaction, by=by)
        self._retire(thing, transaction)
        self._bind(certificate, thing, "", transaction, by=by)
        return issued

    def set_state(
        self, fingerprint: str, state: State, transaction: Transaction, *, by: str = "service"
    ) -> Certificate:
        """Activate, deactivate or revoke a certificate. Raises RegistryError: 404, or 409 if it cannot be."""
        certificate: Certificate | None = transaction.records.get(CERTIFICATE, fingerprint)
        if certificate is None:
            raise RegistryError(404, f"there is no certificate {fingerprint[:12]!r}")
        check_transition(certificate, state)
        return self._move(certificate, state, transaction, by)

    def forget_thing(self, thing: str, transaction: Transaction, *, by: str = "service") -> None:
        """A thing is gone: its certificates are revoked, or they would be good for the next of its name."""
        for each in list(transaction.records.of(CERTIFICATE).values()):
            if each.thing == thing and "REVOKED" in TRANSITIONS[each.state]:
                self._move(each, "REVOKED", transaction, by)

    # steps -----------------------------------------------------------------------------------------------

    def _issued(self, csr: str | None, transaction: Transaction) -> Issued:
        """A certificate under a name that no thing can have and no other certificate has."""
        counter: Counter | None = transaction.records.get(COUNTER, "")
        count = 1 if counter is None else counter.count + 1
        try:
            issued = self.issuer.issue(csr, f"certificate.{count:08d}", transaction.now_s, self.valid_s)
        except InputError as error:
            raise RegistryError(400, str(error)) from error
        transaction.put(COUNTER, "", Counter(count=count))
        return issued

    def _check_template(self, template: Template) -> None:
        """Make a thing of it whose parameters are as plain as can be."""
        texts = (template.thing, template.type, template.site, template.level, *template.tags)
        texts = (*texts, *template.groups, *template.attributes.values())
        stray = next((each for each in texts if set("{}") & set(_PARAMETER.sub("", each))), None)
        if stray is not None:
            what = f"template {template.name!r}: {stray!r}: a parameter is written {{Name}}"
            raise RegistryError(400, what)
        names = {name: "x" for each in texts for name in _PARAMETER.findall(each)}
        missing = next((each for each in names if each not in (COMMON_NAME, SERIAL_NUMBER)), None)
        if template.registers_on_connect and missing is not None:
            what = f"template {template.name!r}: who is registered on connection sends no {missing!r}"
            raise RegistryError(400, f"{what}; there are {COMMON_NAME} and {SERIAL_NUMBER}")
        thing = _filled(template, names)
        self.registry.check(replace(thing, type="") if _PARAMETER.search(template.type) else thing)

    def _made(self, template: Template, parameters: Mapping[str, str], transaction: Transaction) -> Thing:
        """The thing of a template: registered, or there already if the template replaces certificates."""
        serial = parameters.get(SERIAL_NUMBER, "")
        if template.serials and serial not in template.serials:
            raise RegistryError(403, f"serial number {serial[:64]!r} may not be provisioned")

        thing = _filled(template, parameters)
        known: Thing | None = transaction.records.get(THING, thing.name)
        if known is not None and template.replaces:
            return known
        return self.registry.register(thing, transaction, by=f"template {template.name}")

    def _bind(
        self,
        certificate: Certificate,
        thing: str,
        template: str,
        transaction: Transaction,
        by: str = "service",
    ) -> None:
        """The certificate is the thing's and active."""
        self._move(replace(certificate, thing=thing, template=template), "ACTIVE", transaction, by)

    def _retire(self, thing: str, transaction: Transaction) -> None:
        """The active certificates of a thing end after the overlap."""
        ends_s = transaction.now_s + self.overlap_s
        for other in list(transaction.records.of(CERTIFICATE).values()):
            if other.thing == thing and other.state == "ACTIVE":
                retired = replace(other, retires_to="INACTIVE", due_s=min(other.due_s, ends_s))
                transaction.put(CERTIFICATE, other.fingerprint, retired)

    def _move(self, certificate: Certificate, state: State, transaction: Transaction, by: str) -> Certificate:
        ends = state in ("REVOKED", "EXPIRED")
        moved = replace(
            certificate,
            state=state,
            changed_s=transaction.now_s,
            version=certificate.version + 1,
            retires_to="EXPIRED",
            due_s=float("inf") if ends else certificate.valid_until_s,
        )
        transaction.put(CERTIFICATE, certificate.fingerprint, moved)
        what = f"certificate {certificate.fingerprint[:12]}"
        administered(transaction, by, "set state", what, f"{certificate.state} -> {state}")
        return moved


def _filled(template: Template, parameters: Mapping[str, str]) -> Thing:
    """The thing of a template with these parameters; RegistryError 400 if one is missing."""

    def fill(text: str) -> str:
        missing = [name for name in _PARAMETER.findall(text) if name not in parameters]
        if missing:
            raise RegistryError(400, f"template {template.name!r} needs the parameter {missing[0]!r}")
        return _PARAMETER.sub(lambda found: parameters[found[1]], text)

    return Thing(
        name=fill(template.thing),
        type=fill(template.type),
        site=fill(template.site),
        level=fill(template.level),
        tags=tuple(map(fill, template.tags)),
        groups=tuple(map(fill, template.groups)),
        attributes={key: fill(value) for key, value in template.attributes.items()},
    )


def _asked(payload: bytes) -> Tree:
    if len(payload) > LARGEST_REQUEST_BYTES:
        raise RegistryError(400, f"a request has at most {LARGEST_REQUEST_BYTES} bytes, not {len(payload)}")
    try:
        asked = msgspec.json.decode(payload or b"{}")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RegistryError(400, "the request is not JSON") from error
    if not isinstance(asked, dict):
        raise RegistryError(400, "the request is no JSON object")
    return asked


def _text(asked: Tree, name: str) -> str:
    value = asked.get(name)
    if not isinstance(value, str) or not value:
        raise RegistryError(400, f"the request lacks {name!r}, a text")
    return value


def _parameters(asked: Tree) -> Mapping[str, str]:
    given: Any = asked.get("parameters", {})
    if not isinstance(given, dict) or not all(isinstance(value, str) for value in given.values()):
        raise RegistryError(400, "'parameters' is an object of texts")
    return given


def _hashed(token: str) -> str:
    """What is kept of a token, so that nobody who reads the store can use it."""
    return hashlib.blake2b(token.encode("utf-8", "replace"), digest_size=16).hexdigest()
