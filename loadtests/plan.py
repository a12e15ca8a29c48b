"""What a load is asked to be: read from Locust's options, checked once."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal

from scenarios.format.loading import Variant
from scenarios.shipped import load
from twin.errors import InputError
from twin.live.conventions import field_of
from twin.live.endpoint import Endpoint, endpoint
from twin.live.templates import TopicTemplate
from twin.mqtt.packets import Version
from twin.units import parse

Links = Literal["none", "in-driver"]
LINKS: Final = ("none", "in-driver")
SPEAKERS: Final[Mapping[str, Version]] = {"the devices": "3.1.1"}
"""Who speaks which MQTT."""
MOST_DEVICES: Final = 100_000
TOPICS: Final = "topics"
PASSWORD: Final = "WINDTUNNEL_PASSWORD"  # noqa: S105  (the name of a variable)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadPlan:
    """A load. One user carries `device_count` devices (0: those of the scenario), or, of several users that
    share them, its part.

    The connects are spread over `ramp_s`, at most 80 under way at once. `duration_s` is how long is published
    once all are connected; 0 means until somebody stops it.
    """

    variant: Variant
    broker: Endpoint
    device_count: int = 0
    sharing_count: int = 1
    ramp_s: float = 0.0
    duration_s: float = 0.0
    links: Links = "none"
    has_delivery: bool = True
    prefix: str = "load-"
    seed: int = 1
    topics: TopicTemplate | None = None

    def spoken(self, topic: str) -> str:
        """A topic as the broker's own system has it; what is no field topic stays as it is."""
        found = None if self.topics is None else field_of(topic)
        return topic if self.topics is None or found is None else self.topics.topic(found)


def variant_of(options: Any) -> Variant:
    """The variant that is asked for. Raises InputError."""
    if not options.scenario:
        raise InputError("no scenario: give --scenario FILE or set WINDTUNNEL_SCENARIO")
    scenario = load(options.scenario)
    return scenario.variant(options.variant) if options.variant else scenario.variants[0]


def plan_of(options: Any, host: str | None) -> LoadPlan:
    """The plan in Locust's options; `host` is the broker's URL. Raises InputError."""
    if not host:
        raise InputError("no broker: give --host mqtt://host[:port]")
    if options.links not in LINKS:
        raise InputError(f"--links is one of {', '.join(LINKS)}, not {options.links!r}")
    if not 0 <= options.devices <= MOST_DEVICES * max(1, options.sharing):
        raise InputError(
            f"a user carries at most {MOST_DEVICES:,} devices; share {options.devices:,} of them"
        )
    where = endpoint(host)
    if where.is_websocket:
        raise InputError(f"a fleet speaks mqtt:// or mqtts://, not {where.scheme}://")
    return LoadPlan(
        variant=variant_of(options),
        broker=_secured(where, options),
        device_count=options.devices,
        sharing_count=max(1, options.sharing),
        ramp_s=_seconds("--ramp", options.ramp, may_be_none=True),
        duration_s=_seconds("--for (--publish-for in plain Locust)", options.publish_for, may_be_none=False),
        links=options.links,
        has_delivery=not options.no_delivery,
        prefix=options.client_prefix,
        seed=options.load_seed,
        topics=_topics(options.convention),
    )


def _topics(convention: str) -> TopicTemplate | None:
    """The template of a convention that is one of topics. Raises InputError for another."""
    if not convention:
        return None
    name, _, template = convention.partition(":")
    if name != TOPICS:
        raise InputError(
            "--convention: the payloads of a load say who sent them and when, so it speaks"
            f" {TOPICS}:TEMPLATE alone, not {convention!r}; `windtunnel live --convention` speaks the others"
        )
    return TopicTemplate(template)


def _secured(where: Endpoint, options: Any) -> Endpoint:
    """With the certificates of the options, and the password of the environment."""
    files = {"ca": options.ca, "certificate": options.cert, "key": options.key}
    given: dict[str, Any] = {name: Path(path) for name, path in files.items() if path}
    for path in given.values():
        if not path.is_file():
            raise InputError(f"there is no file {str(path)!r}")
    password = os.environ.get(PASSWORD, "").encode()
    if password and not where.password:
        given["password"] = password
    return replace(where, **given)


def _seconds(option: str, text: str, *, may_be_none: bool) -> float:
    """A time of the options (s), 0 if it is not given."""
    if not text:
        return 0.0
    try:
        found = parse("time", text)
    except ValueError as error:
        raise InputError(f"{option}: {error}") from None
    if found < 0.0 or (found == 0.0 and not may_be_none):
        raise InputError(f"{option}: expected a time longer than none, such as '30 s', not {text!r}")
    return found
