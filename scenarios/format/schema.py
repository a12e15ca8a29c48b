"""The format of a scenario file as pydantic models; a key is written without its unit suffix.

The models check form only: keys, types, units and limits. What names refer to is checked in
`scenarios.format.checks`, and the free options of fleets, nodes and the world in `scenarios.format.options`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias, get_args, get_origin

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    WithJsonSchema,
    model_validator,
)

from devices_models.world.carpark import MOST_BAYS, MOST_LEVELS, ROWS
from twin.errors import InputError
from twin.units import BitsPerSecond, Bytes, Coulombs, MessageCount, Quantity, Ratio, Seconds, SignedSeconds
from twin.units import json_schema as quantity_schema

FORMAT_VERSION = 1
MOST_REPLICATIONS = 200
MOST_MEMBERS = 1_000_000
DEFAULT_PROBABILITY = 0.95
DEFAULT_INDIFFERENCE = 0.80
DEFAULT_DURATION_S = 600.0

PLAIN, FORM = "~text", "~map"
"""Tags of a value that is either one word or a map; they never show in a place or a message."""


def shape_of(value: object) -> str:
    """Which of the two tags a value has."""
    return FORM if isinstance(value, dict | BaseModel) else PLAIN


def _extension_schema(schema: dict[str, Any]) -> None:
    schema["patternProperties"] = {"^x-": {}}


class Form(BaseModel):
    """A map whose keys are all known; keys that start with `x-` are free for other tools."""

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, populate_by_name=True, json_schema_extra=_extension_schema
    )


class OpenForm(Form):
    """A map with known keys, and with the options of a device type or node kind beside them."""

    model_config = ConfigDict(extra="allow")

    @property
    def options(self) -> dict[str, Any]:
        """The keys that are not of the format itself, as they were written."""
        return dict(self.model_extra or {})


def _read_queue(value: object) -> object:
    """A queue limit is a number of messages or of bytes."""
    try:
        return Quantity("messages").read(value)
    except ValueError:
        if isinstance(value, str) and "mess" not in value:
            return Quantity("size").read(value)
        raise


QueueLimit: TypeAlias = Annotated[
    int,
    BeforeValidator(_read_queue),
    WithJsonSchema({"anyOf": [quantity_schema("messages"), quantity_schema("size")]}),
]


def _few_levels(levels: int) -> int:
    if levels > MOST_LEVELS:
        raise ValueError(f"a generated car park has at most {MOST_LEVELS} levels; not {levels}")
    return levels


def _whole_rows(bays: int) -> int:
    if bays % ROWS or bays > MOST_BAYS:
        raise ValueError(f"a level has a multiple of {ROWS} bays, up to {MOST_BAYS}; not {bays}")
    return bays


class Carpark(Form):
    """A car park that is generated instead of drawn."""

    levels: Annotated[int, AfterValidator(_few_levels)] = Field(ge=1, le=50)
    bays: Annotated[int, AfterValidator(_whole_rows)] = Field(ge=2, le=2000, description="bays on each level")


SceneText: TypeAlias = Annotated[str, Field(min_length=1, max_length=300)]
Name: TypeAlias = Annotated[str, Field(min_length=1, max_length=80, pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]
Between: TypeAlias = Annotated[tuple[str, str], Field(strict=False)]


class Site(Form):
    """A place with coordinates: a metro by name, or a country with coordinates."""

    metro: str | None = Field(None, description="name of a metro, which gives country and coordinates")
    country: str | None = Field(None, pattern=r"^[A-Z]{2}$", description="two letters, ISO 3166")
    coordinates: Annotated[tuple[float, float], Field(strict=False)] | None = Field(
        None, description="latitude and longitude in degrees"
    )
    scene: (
        Annotated[
            Annotated[SceneText, Tag(PLAIN)] | Annotated[Carpark, Tag(FORM)],
            Discriminator(shape_of),
        ]
        | None
    ) = Field(None, description="GeoJSON file beside the scenario, or a generated car park")


class Figures(Form):
    """What a link does to a message, where it differs from its technology."""

    delay_s: Seconds | None = Field(None, alias="delay", description="one way, median")
    round_trip_s: Seconds | None = Field(None, alias="round_trip")
    jitter_s: Seconds | None = Field(None, alias="jitter", description="p99 of the delay less its p50")
    loss_ratio: Ratio | None = Field(None, alias="loss")
    rate_bps: BitsPerSecond | None = Field(None, alias="rate")
    queue_limit: QueueLimit | None = Field(None, alias="queue")


TlsVersion: TypeAlias = Annotated[
    Literal["1.2", "1.3", "none"],
    BeforeValidator(lambda value: str(value) if isinstance(value, float) else value),
]


class Connecting(Figures):
    """How connections over a link are made."""

    tls: TlsVersion = "none"
    session: Literal["warm", "cold"] = "warm"
    is_resumed: bool = Field(
        False, alias="resumed", description="the TLS session is resumed; early data over `quic`"
    )
    is_mutual: bool = Field(True, alias="mutual", description="the client too shows a certificate")
    certificates: Literal["ec", "rsa"] = Field("ec", description="ECDSA P-256 or RSA-2048")
    dns: Literal["cached", "uncached"] = Field("cached", description="a lookup before each connection")
    rto: Literal["linux", "rfc"] = Field("linux", description="timers of TCP: Linux's, or those of RFC 6298")
    is_public: bool | None = Field(
        None,
        description="whether a `wan` path crosses the public Internet: more jitter if so, less loss if not",
    )

    @model_validator(mode="after")
    def _resumes_something(self) -> Connecting:
        transport = getattr(self, "transport", "tcp")
        if self.is_resumed and transport != "quic" and (transport != "tcp" or self.tls == "none"):
            raise ValueError("'resumed' wants 'tls' over tcp, or 'transport: quic'")
        return self


class Access(Connecting):
    """The link of each device of a fleet: a technology with hops, and figures of its own."""

    medium: str = Field(description="name of a link technology")
    path: Literal["direct", "wan"] = Field(
        "direct", description="`wan`: behind the medium a wide area path leads to the site of the `via` node"
    )
    hops: int = Field(1, ge=1, le=16)
    transport: Literal["datagram", "coap", "mqtt_sn", "tcp", "quic"] = Field(
        "datagram", description="over `tcp` or `quic` to a broker each device has an MQTT session of its own"
    )
    keep_alive_s: Seconds = Field(60.0, alias="keep_alive", description="of a device's own MQTT session")
    duty_cycle: Literal["wait", "refuse"] = Field(
        "wait", description="what becomes of a message that the duty cycle of its radio forbids now"
    )
    handover_every_s: Seconds | None = Field(
        None, alias="handover_every", description="mean time between changes of cell; none if it stands still"
    )

    @model_validator(mode="after")
    def _encrypts_a_connection(self) -> Access:
        if self.tls != "none" and self.transport != "tcp":
            raise ValueError("'tls' wants 'transport: tcp'; quic has it built in")
        return self


class Controller(Form):
    """The microcontroller of a device."""

    type: Literal["atmega328p", "stm32l0", "nrf52832", "esp32"]
    task_period_s: Seconds = Field(
        0.0, alias="task_period", description="period of the task that works off messages; 0: at once"
    )


HARDWARE_MEASURES = {"battery": "battery_life_days", "mcu": "late_messages"}
"""What a fleet reports at the end of a run, by the key that it needs for it."""


class Fleet(OpenForm):
    """A number of devices of one type; further keys are options of the device type."""

    device: str
    at: str
    count: int | None = Field(None, ge=1, le=MOST_MEMBERS)
    placed_by: Literal["scene"] | None = None
    via: str | None = Field(None, description="the node its messages go to first")
    tags: list[str] = Field([], description="words by which faults select it")
    link: (
        Annotated[Annotated[str, Tag(PLAIN)] | Annotated[Access, Tag(FORM)], Discriminator(shape_of)] | None
    ) = Field(None, description="name of a link technology, or a map with `medium`")
    battery_c: Coulombs | None = Field(None, alias="battery", description="capacity, such as `2400 mAh`")
    mcu: Controller | None = Field(None, description="what each device can process")


class Station(Form):
    """How much a node can process."""

    servers: int = Field(1, ge=1, le=100_000)
    service_s: Seconds = Field(0.0, alias="service", description="mean time for one message")
    law: Literal["constant", "exponential", "lognormal"] = "constant"
    variation: float = Field(1.0, alias="cv", ge=0, le=100, description="deviation / mean (lognormal)")
    queue_count: MessageCount = Field(10_000, alias="queue")
    overflow: Literal["newest", "oldest"] = "newest"
    discipline: Literal["fifo", "priority"] = Field(
        "fifo", description="`priority`: events and commands before telemetry"
    )
    mcu: Controller | None = Field(None, description="a microcontroller, in place of the other figures")


class Node(OpenForm):
    """One node that is no device; further keys are options of its kind."""

    kind: str
    at: str | None = Field(None, description="its site; a node that runs on another is where that one is")
    runs_on: str | None = None
    tags: list[str] = Field([], description="words by which faults select it")
    station: Station | None = None


class Link(Connecting):
    """A link between two nodes, both ways."""

    between: Between
    path: str = Field("direct", description="`wan`, `direct`, or the name of a link technology")
    name: str | None = None
    access: str | None = Field(None, description="technology of the first mile of a `wan` path")
    qos: Literal[0, 1, 2] | None = None
    transport: Literal["tcp", "quic", "coap", "mqtt_sn", "datagram"] = "tcp"
    trace: str | None = Field(None, description="CSV file of measured delays, beside the scenario")

    @property
    def title(self) -> str:
        """The name faults and overrides use: its own, or the names of its ends."""
        return self.name or f"{self.between[0]}-{self.between[1]}"


def _read_netem(value: object) -> object:
    from network.netem import parse

    try:
        parse(str(value))
    except InputError as error:
        raise ValueError(str(error)) from None
    return value


NetemText: TypeAlias = Annotated[str, BeforeValidator(_read_netem)]


class TimelineEntry(Form):
    """One fault: when, for how long, where, and its figures."""

    at_s: Seconds = Field(alias="at", description="when it begins")
    for_s: Seconds | None = Field(None, alias="for")
    every_s: Seconds | None = Field(None, alias="every", description="repeats from `at` on")
    until_s: Seconds | None = Field(None, alias="until", description="the last instant of a repetition")
    jitter_s: Seconds | None = Field(
        None, alias="jitter", description="each begin is later by a random time of up to this"
    )
    fault: str
    between: Between | None = None
    is_one_way: bool = Field(False, alias="one_way", description="only from the first to the second")
    link: str | None = Field(None, description="name of a link, or of a fleet for the links of its devices")
    node: str | None = None
    select: str | None = Field(None, description="pattern of node names, such as `smoke-*`")
    fleet: str | None = Field(None, description="all devices of a fleet")
    site: str | None = Field(None, description="all nodes of a site")
    tag: str | None = Field(None, description="the nodes and fleets that have this tag")
    shape: Literal["halves", "bridge", "majorities_ring", "minority_third"] | None = Field(
        None, description="how a partition divides the nodes, all or the selected ones"
    )
    mode: Literal["all", "one", "fixed", "percent"] | None = Field(
        None, description="how many of the selected nodes, drawn once a run; `count` or `percent` says it too"
    )
    count: int | None = Field(None, ge=1, description="so many of the selected nodes, at random")
    percent: Ratio | None = Field(None, description="this share of the selected nodes, at random")
    event: str | None = Field(None, description="name of a recorded event, such as a cable cut")
    round_trip_s: Seconds | None = Field(None, alias="round_trip")
    delay_s: Seconds | None = Field(None, alias="delay")
    deviation_s: Seconds | None = Field(None, alias="deviation", description="variation of the delay")
    distribution: Literal["uniform", "normal", "pareto", "paretonormal"] | None = None
    correlation: Ratio | None = Field(None, description="from one message to the next")
    loss_ratio: Ratio | None = Field(None, alias="loss")
    gemodel: Annotated[list[Ratio], Field(min_length=1, max_length=4)] | None = Field(
        None, description="p, r, 1-h, 1-k as netem has them"
    )
    state: Annotated[list[Ratio], Field(min_length=1, max_length=5)] | None = Field(
        None, description="p13, p31, p32, p23, p14 as netem has them"
    )
    share: Ratio | None = Field(None, description="share of the messages, of the requests, or of the time")
    gap: int | None = Field(None, ge=1, description="of so many messages at most one comes early")
    rate_bps: BitsPerSecond | None = Field(None, alias="rate")
    load: Ratio | None = Field(None, description="share of the rate that other traffic takes")
    limit_bytes: Bytes | None = Field(None, alias="limit")
    bad_s: Seconds | None = Field(None, alias="bad", description="mean length of a fade")
    good_s: Seconds | None = Field(None, alias="good", description="mean time between fades")
    factor: float | None = Field(None, gt=0, le=1e6)
    skew_s: SignedSeconds | None = Field(None, alias="skew")
    period_s: Seconds | None = Field(None, alias="period")
    spread_s: Seconds | None = Field(None, alias="spread", description="within which nodes restart")
    status: int | None = Field(None, ge=400, le=599)
    bay: str | None = Field(None, description="bay of the scene in which a car catches fire")
    netem: NetemText | None = Field(None, description="words of Linux netem, such as `delay 100ms loss 1%`")
    netem_compat: bool | None = Field(None, description="with netem's own arithmetic")


FAULT_TARGETS = ("between", "link", "node", "select", "fleet", "site", "tag")
"""Keys of a timeline entry of which one says where the fault is."""

FAULT_PARAMETERS = (
    "event",
    "round_trip",
    "delay",
    "deviation",
    "distribution",
    "correlation",
    "loss",
    "gemodel",
    "state",
    "share",
    "gap",
    "rate",
    "load",
    "limit",
    "bad",
    "good",
    "factor",
    "skew",
    "period",
    "spread",
    "status",
    "bay",
    "netem",
    "netem_compat",
)
"""Keys of a timeline entry that are figures of the fault."""


def _read_chance(value: object) -> object:
    number = Quantity("ratio").read(value)
    if not 0 < number < 1:
        raise ValueError("a probability lies between 0 and 1, both excluded")
    return number


Chance: TypeAlias = Annotated[float, BeforeValidator(_read_chance), WithJsonSchema(quantity_schema("ratio"))]


class Requirement(Form):
    """A stochastic claim: `expect` holds in at least the share `probability` of all runs."""

    name: str = Field(min_length=1, max_length=120)
    expect: str
    probability: Chance = DEFAULT_PROBABILITY
    indifference: Chance = Field(DEFAULT_INDIFFERENCE, description="from this share down it must FAIL")
    why: str | None = None
    severity: Literal["error", "warn"] = "error"
    variants: list[str] | None = Field(None, description="only in these variants")
    tags: list[str] = []


class VariantForm(Form):
    """What differs in a variant: overrides by dotted key, and what is said about it."""

    model_config = ConfigDict(extra="allow")

    title: str | None = None
    why: str | None = None
    fails: list[str] | None = Field(None, description="requirements expected to FAIL; [] expects none to")


def _read_replications(value: object) -> object:
    is_count = isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MOST_REPLICATIONS
    if value == "auto" or is_count:
        return value
    raise ValueError(f"replications are 'auto' or a whole number from 1 to {MOST_REPLICATIONS}")


class RunForm(Form):
    """How a run is done."""

    duration_s: Seconds = Field(DEFAULT_DURATION_S, alias="duration")
    replications: Annotated[
        int | Literal["auto"],
        BeforeValidator(_read_replications),
        WithJsonSchema(
            {"anyOf": [{"const": "auto"}, {"type": "integer", "minimum": 1, "maximum": MOST_REPLICATIONS}]}
        ),
    ] = "auto"
    seed: int = Field(1, ge=0, le=2**63 - 1)
    warm_up_s: Seconds = Field(0.0, alias="warm_up", description="left out of every judgement")
    stop_when: str | None = Field(None, description="a requirement's expression that ends the run early")


Swing: TypeAlias = Annotated[list[Any], Field(min_length=2, max_length=2)]
"""The low and the high value of an input whose effect on the people's margin is asked."""


class Scenario(Form):
    """A system, what happens to it, and what is required of it."""

    scenario: Literal[1] = Field(description="version of this format")
    title: str = ""
    description: str = ""
    tags: list[str] = []
    sites: dict[Name, Site] = {}
    fleets: dict[Name, Fleet] = {}
    nodes: dict[Name, Node] = {}
    links: list[Link] = []
    world: dict[str, Any] = {}
    timeline: list[TimelineEntry] = []
    variants: dict[str, VariantForm] = {}
    matrix: dict[str, list[Any]] = {}
    sensitivity: dict[str, Swing] = {}
    requirements: list[Requirement] = []
    run: RunForm = RunForm()


def schema_of(path: tuple[str | int, ...]) -> type[Form] | None:
    """The model of the map at this path of a scenario, or None where the format has none."""
    found: Any = Scenario
    for part in path:
        found = _inner(found, part)
    return found if isinstance(found, type) and issubclass(found, Form) else None


def _inner(annotation: Any, part: str | int) -> Any:
    if isinstance(annotation, type) and issubclass(annotation, Form):
        field = next((f for name, f in annotation.model_fields.items() if (f.alias or name) == part), None)
        return _form_in(field.annotation) if field else None
    if get_origin(annotation) in {dict, list}:
        return _form_in(get_args(annotation)[-1])
    return None


def _form_in(annotation: Any) -> Any:
    """The model, map or list in an annotation that may be a union."""
    if get_origin(annotation) in {dict, list} or (
        isinstance(annotation, type) and issubclass(annotation, Form)
    ):
        return annotation
    found = (_form_in(each) for each in get_args(annotation))
    return next((each for each in found if each is not None), None)


def written_keys(model: type[Form]) -> tuple[str, ...]:
    """The keys of a model as they are written, in the order of the format."""
    return tuple(field.alias or name for name, field in model.model_fields.items())


def json_schema() -> dict[str, Any]:
    """The JSON Schema of the scenario file, for the completion and checks of an editor."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **Scenario.model_json_schema(by_alias=True),
        "title": "Windtunnel scenario",
    }
