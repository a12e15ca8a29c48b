"""The kinds of nodes that are no devices: their options, their behaviour, and what the wiring gives them."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Final, Literal, get_type_hints

from devices_models.gateway.gateway import Gateway
from devices_models.microcontroller import Microcontroller
from devices_models.own_session import OwnSession
from devices_models.shadow_device import ShadowDevice
from scenarios.format import schema
from scenarios.format.issues import listed
from scenarios.wiring.members import Member
from scenarios.wiring.mirrors import TRUTH_MEASURES
from scenarios.wiring.operations import OPERATION_MEASURES, Operations, operated
from scenarios.wiring.registration import Authorisation
from twin.cloud.application import Application, User
from twin.cloud.broker import Broker
from twin.cloud.database import Database
from twin.cloud.operator import Operator
from twin.cloud.rule_engine import RuleEngine
from twin.cloud.twin_service import TwinService
from twin.errors import InputError
from twin.kernel.behaviour import Behaviour
from twin.kernel.randomness import Stream
from twin.kernel.station import FifoStation, QueueStation, Station, one_class, urgent_first
from twin.mqtt.client import ClientSession
from twin.mqtt.packets import Version
from twin.state.registry.access import Guard
from twin.state.registry.things import Thing
from twin.state.rules.fire import FireRules
from twin.state.rules.language import LanguageRules
from twin.state.rules.port import RuleSet
from twin.state.rules.program import compiled

FIRE: Final = "fire"
RULE_TEXT: Final = "rule_text"
"""Under this name assembly hands over what a rule file says."""
SESSION_OPTIONS: Final = (
    "keep_alive_s",
    "connect_timeout_s",
    "reconnect_min_s",
    "reconnect_max_s",
    "idle_close_s",
    "version",
    "topic_alias_count",
)

TWIN_MEASURES: Final = (*TRUTH_MEASURES.values(), *OPERATION_MEASURES)

START_WITHIN_S: Final = 1.0
"""Devices connect at random moments of the first second, not all in the same instant."""


@dataclass(slots=True)
class Surroundings:
    """What a node is wired to: itself, what hangs on it, and the link to its broker if it has one.

    `things` are the devices and gateways of the whole scenario, for the twin that looks after them.
    """

    member: Member
    devices: dict[str, str]
    upstream: str
    uplink: schema.Link | None
    is_in_cloud: bool
    guard: Guard | None = None
    things: tuple[Thing, ...] = ()


@dataclass(slots=True)
class TwinStore:
    """What a twin knows after a crash: nothing, or all that it had answered (`durable`)."""

    store: Literal["memory", "durable"] = "memory"


@dataclass(slots=True)
class RuleChoice:
    """Which rules an engine runs: the built-in `fire`, or those of a file beside the scenario."""

    rules: str = FIRE


@dataclass(slots=True)
class ClientVersion:
    """The MQTT of what runs on a broker, once that is real, and of devices with a session of their own."""

    version: Version = "3.1.1"


def wired_fields(form: type[Any]) -> frozenset[str]:
    """The fields of a behaviour that wiring sets, not the author of a scenario."""
    return frozenset(each.name for each in dataclasses.fields(form) if each.metadata.get("wired"))


def composed(name: str, *parts: tuple[type[Any], Iterable[str]]) -> type[Any]:
    """One data class with the named fields of several, in which an author writes them side by side."""
    fields: list[tuple[str, Any, Any]] = []
    for form, wanted in parts:
        hints = get_type_hints(form, include_extras=True)
        chosen = [each for each in dataclasses.fields(form) if each.init and each.name in set(wanted)]
        fields += [(each.name, hints[each.name], _copied(each)) for each in chosen]
    return dataclasses.make_dataclass(name, fields, kw_only=True)


def authored(form: type[Any]) -> list[str]:
    """The names of the fields that an author may write."""
    return [each.name for each in dataclasses.fields(form) if each.init and not each.metadata.get("wired")]


def _copied(field: dataclasses.Field[Any]) -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return dataclasses.field(default_factory=field.default_factory)
    if field.default is not dataclasses.MISSING:
        return dataclasses.field(default=field.default)
    return dataclasses.field()


def _split(options: Mapping[str, Any], *forms: type[Any]) -> list[dict[str, Any]]:
    """The options of each data class."""
    names = [set(authored(form)) for form in forms]
    return [{key: value for key, value in options.items() if key in wanted} for wanted in names]


def _gateway(around: Surroundings, options: Mapping[str, Any]) -> Behaviour:
    own, session = _split(options, Gateway, ClientSession)
    behaviour = Gateway(
        upstream=around.upstream, site=around.member.site, devices=dict(around.devices), **own
    )
    if around.upstream:
        kept = {key: session[key] for key in SESSION_OPTIONS if key in session}
        mode = around.uplink.session if around.uplink else "warm"
        is_warm = mode == "warm"
        behaviour.session = ClientSession(
            around.upstream, around.member.node, session=mode, starts_connected=is_warm, **kept
        )
    if around.uplink is not None and around.uplink.qos is not None:
        behaviour.qos = min(1, around.uplink.qos)
    return behaviour


def with_own_session(device: Behaviour, member: Member, form: schema.Access, version: Version) -> OwnSession:
    """The device with an MQTT session of its own, as its link says."""
    if isinstance(device, ShadowDevice):
        device.is_direct = True
    session = ClientSession(
        member.via,
        member.node,
        keep_alive_s=form.keep_alive_s,
        clean_session=bool(getattr(device, "is_session_clean", False)),
        session=form.session,
        start_within_s=START_WITHIN_S,
        version=version,
    )
    return OwnSession(device, session, member.kind, member.site)


def _rule_engine(around: Surroundings, options: Mapping[str, Any]) -> Behaviour:
    engine, fire = _split(options, RuleEngine, FireRules)
    site = around.member.site if around.is_in_cloud else ""
    return RuleEngine(host=around.member.host, rules=_rules(around, site, options, fire), site=site, **engine)


def _rules(around: Surroundings, site: str, options: Mapping[str, Any], fire: Mapping[str, Any]) -> RuleSet:
    """The built-in rules with their options, or those of a file, whose text assembly has read."""
    if options.get("rules", FIRE) == FIRE:
        return FireRules(devices=dict(around.devices), **fire)
    place = "cloud" if around.is_in_cloud else "edge"
    return LanguageRules(compiled(options[RULE_TEXT]), place, dict(around.devices), site)


def _broker(around: Surroundings, options: Mapping[str, Any]) -> Behaviour:
    own, choice = _split(options, Broker, Authorisation)
    return Broker(authorise=around.guard if choice.get("authorise") else None, **own)


def _twin(around: Surroundings, options: Mapping[str, Any]) -> Behaviour:
    own, _, asked = _split(options, TwinService, TwinStore, Operations)
    if own.get("sync", "off") != "off":
        if around.is_in_cloud:
            node, host = around.member.node, around.member.host
            message = f"node {node!r} runs on {host!r}, where the shadows of the cloud are"
            raise InputError(f"{message}; expected a gateway to run on for 'sync', or no 'sync'")
        own["things"] = tuple(around.devices)
    service = TwinService(host=around.member.host, **own)
    operations = Operations(**asked)
    if operations.is_wanted:
        service.twins = operated(service, around.things, operations)
    return service


def _operator(around: Surroundings, options: Mapping[str, Any]) -> Behaviour:
    for wish in options.get("wishes", ()):
        if not any(fnmatchcase(thing, wish.things) for thing in around.devices):
            known = listed(around.devices)
            message = (
                f"operator {around.member.node!r} wishes something of {wish.things!r}, which is no device"
            )
            raise InputError(f"{message}; devices: {known}")
    return Operator(host=around.member.host, things=tuple(around.devices), **options)


def _hosted(form: type[Any]) -> Callable[[Surroundings, Mapping[str, Any]], Behaviour]:
    return lambda around, options: form(host=around.member.host, **options)


def _plain(form: type[Any]) -> Callable[[Surroundings, Mapping[str, Any]], Behaviour]:
    return lambda _around, options: form(**options)


@dataclass(frozen=True, slots=True)
class NodeKind:
    """A kind of node: its options as a data class, how it is made, what it observes, what it does."""

    options: type[Any]
    make: Callable[[Surroundings, Mapping[str, Any]], Behaviour]
    measures: tuple[str, ...]
    summary: str


def _kind(
    form: type[Any],
    make: Callable[[Surroundings, Mapping[str, Any]], Behaviour],
    *further: tuple[type[Any], Iterable[str]],
) -> NodeKind:
    options = composed(form.__name__, (form, authored(form)), *further)
    measures = (*form.measures, *(TWIN_MEASURES if form is TwinService else ()))
    return NodeKind(options, make, measures, (form.__doc__ or "").split("\n")[0])


NODE_KINDS: Final[dict[str, NodeKind]] = {
    "gateway": _kind(Gateway, _gateway, (ClientSession, SESSION_OPTIONS)),
    "mqtt_broker": _kind(Broker, _broker, (Authorisation, ("authorise",)), (ClientVersion, ("version",))),
    "rule_engine": _kind(
        RuleEngine, _rule_engine, (RuleChoice, ("rules",)), (FireRules, authored(FireRules))
    ),
    "twin": _kind(
        TwinService, _twin, (TwinStore, ("store",)), (Operations, ("campaigns", "commands", "alarms"))
    ),
    "operator": _kind(Operator, _operator),
    "application": _kind(Application, _plain(Application)),
    "database": _kind(Database, _hosted(Database)),
    "user": _kind(User, _plain(User)),
}
"""Every node kind; a new one is added here and nowhere else."""


def controller(form: schema.Controller) -> Microcontroller:
    """The microcontroller a scenario asks for."""
    return Microcontroller.of_type(form.type, form.task_period_s)


def make_station(form: schema.Station | None, stream: Callable[[], Stream]) -> Station | None:
    """The station a scenario asks for; None for a node without one."""
    if form is None:
        return None
    if form.mcu is not None:
        return controller(form.mcu)
    service = _service(form, stream)
    if form.discipline == "fifo" and form.overflow == "newest":
        return FifoStation(service, form.servers, form.queue_count)
    rank = urgent_first if form.discipline == "priority" else one_class
    return QueueStation(service, form.servers, form.queue_count, form.overflow, rank)


def _service(form: schema.Station, stream: Callable[[], Stream]) -> Callable[[], float]:
    mean_s = form.service_s
    match form.law:
        case "exponential":
            draws = stream()
            return lambda: draws.exponential(mean_s)
        case "lognormal" if mean_s > 0:
            draws = stream()
            sigma = math.sqrt(math.log(1.0 + form.variation**2))
            mu = math.log(mean_s) - sigma * sigma / 2.0
            return lambda: draws.lognormal(mu, sigma)
    return lambda: mean_s
