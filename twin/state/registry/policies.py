"""Who may publish, subscribe to and receive what: policies as data, and the ones that stand by default."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, Literal, TypeAlias

from twin.errors import InputError
from twin.mqtt.topics import check_filter
from twin.state.records import Record, Records
from twin.state.registry.things import RegistryError, unknown

POLICY: Final = "policy"
CLIENT: Final = "client"

Verb: TypeAlias = Literal["connect", "publish", "subscribe", "receive"]
VERBS: Final = ("publish", "subscribe", "receive")
ROLES: Final = ("service", "operator", "reader", "claim")
SUBJECTS: Final = ("thing", "type", "group", "state", "role", "client")
PLACEHOLDERS: Final = ("thing", "type", "site", "group", "member")
_PLACEHOLDER: Final = re.compile(r"\$\{([^}]*)\}")


class Policy(Record, frozen=True):
    """Who `subjects` names may, or with the effect "deny" must not, do `verbs` to topics like `topics`.

    A subject is `thing:gate-*`, `type:boom_gate`, `group:east`, `state:ACTIVE` (of the certificate),
    `role:operator` or `client:NAME`; one that holds is enough. In a topic `${thing}`, `${type}`, `${site}`
    and `${group}` stand for what the thing is, and `${member}` for `type/thing` of whatever it speaks for.
    """

    name: str
    subjects: tuple[str, ...]
    verbs: tuple[str, ...]
    topics: tuple[str, ...]
    effect: Literal["allow", "deny"] = "allow"
    version: int = 1


class Client(Record, frozen=True):
    """A client of the broker that is no thing: a service, an operator, a reader, or a device with a claim."""

    name: str
    role: str
    created_s: float = 0.0


SHADOW: Final = ("get", "update", "delete", "name/+/get", "name/+/update", "name/+/delete")
JOBS: Final = ("get", "start-next", "+/get", "+/update")
FIELD: Final = ("telemetry", "event/+", "report", "cmd/+/ack", "session", "last")
PROVISIONING: Final = (
    "$aws/certificates/create/json",
    "$aws/certificates/create-from-csr/json",
    "$aws/provisioning-templates/+/provision/json",
)
_HEAR: Final = ("subscribe", "receive")
ANSWERS: Final = tuple(f"{topic}/{answer}" for topic in PROVISIONING for answer in ("accepted", "rejected"))


def _own(thing: str, field: str) -> tuple[str, ...]:
    """What a thing may publish, below its own names only and nothing that the service says."""
    return (
        *(f"$aws/things/{thing}/shadow/{each}" for each in SHADOW),
        *(f"$aws/things/{thing}/jobs/{each}" for each in JOBS),
        *(f"{field}/{each}" for each in FIELD),
        f"things/{thing}/cmd/+/ack",
        f"things/{thing}/session",
        f"things/{thing}/certificates/rotate",
    )


_MEMBER: Final = "site/${site}/${member}"
DEFAULT_POLICIES: Final = (
    Policy(name="own-publish", subjects=("thing:*",), verbs=("publish",),
           topics=_own("${thing}", "site/${site}/${type}/${thing}")),
    Policy(name="own-receive", subjects=("thing:*",), verbs=_HEAR,
           topics=("$aws/things/${thing}/#", "site/${site}/${type}/${thing}/#", "things/${thing}/#",
                   "alarms/${thing}/#")),
    Policy(name="gateway-publish", subjects=("type:gateway",), verbs=("publish",),
           topics=(*_own("${member.thing}", _MEMBER), "site/${site}/+/${thing}/telemetry",
                   "site/${site}/rule/#")),
    Policy(name="gateway-subscribe", subjects=("type:gateway",), verbs=("subscribe",),
           topics=("site/${site}/+/+/cmd/#", "$aws/things/+/shadow/update/delta")),
    Policy(name="gateway-receive", subjects=("type:gateway",), verbs=("receive",),
           topics=("$aws/things/${member.thing}/#", f"{_MEMBER}/#", "things/${member.thing}/#")),
    Policy(name="heartbeat", subjects=("type:gateway",), verbs=_HEAR,
           topics=("rule/heartbeat", "site/${site}/rule/heartbeat")),
    Policy(name="service", subjects=("role:service",), verbs=VERBS, topics=("#", "$aws/#", "$SYS/#")),
    Policy(name="operator", subjects=("role:operator",), verbs=VERBS, topics=("#", "$aws/things/#")),
    Policy(name="reader", subjects=("role:reader",), verbs=_HEAR, topics=("#", "$aws/things/#")),
    Policy(name="claim", subjects=("role:claim",), verbs=("publish",), topics=PROVISIONING),
    Policy(name="claim-answers", subjects=("role:claim",), verbs=_HEAR, topics=ANSWERS),
)  # fmt: skip
"""A policy record of the same name takes the place of one of these."""


def policies_of(records: Records) -> Iterator[Policy]:
    """The policies that stand."""
    own: dict[str, Policy] = records.of(POLICY)
    yield from (policy for policy in DEFAULT_POLICIES if policy.name not in own)
    yield from own.values()


def check_policy(policy: Policy) -> None:
    """Raise RegistryError for a subject, verb, placeholder or topic that is not known."""
    for subject in policy.subjects:
        kind, colon, _ = subject.partition(":")
        if kind not in SUBJECTS or not colon:
            raise RegistryError(400, f"policy {policy.name!r}: {unknown('subject', kind, SUBJECTS)}")
    for verb in policy.verbs:
        if verb not in VERBS:
            raise RegistryError(400, f"policy {policy.name!r}: {unknown('verb', verb, VERBS)}")
    for topic in policy.topics:
        for name in _PLACEHOLDER.findall(topic):
            if name not in (*PLACEHOLDERS, "member.thing"):
                raise RegistryError(
                    400, f"policy {policy.name!r}: {unknown('placeholder', name, PLACEHOLDERS)}"
                )
        try:
            check_filter(_PLACEHOLDER.sub("x", topic))
        except InputError as error:
            raise RegistryError(400, f"policy {policy.name!r}: {error}") from error


def filled(topic: str, values: dict[str, str]) -> str | None:
    """The topic with its placeholders filled in; None if one has no value, or one that is no word."""
    names = _PLACEHOLDER.findall(topic)
    if any(not values.get(name) for name in names):
        return None
    return _PLACEHOLDER.sub(lambda found: values[found[1]], topic)
