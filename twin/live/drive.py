"""One worker's part of a fleet that publishes on a schedule: connect, publish, wait for what is under way."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import msgspec

from twin.errors import InputError
from twin.live.endpoint import Endpoint, endpoint
from twin.live.shards import Shard
from twin.live.wires import tls_of
from twin.mqtt.codec import Credentials
from twin.mqtt.fleet.connections import CONNECT_WINDOW, EngineSettings
from twin.mqtt.fleet.device import Device, Profile
from twin.mqtt.fleet.engine import FleetEngine
from twin.mqtt.fleet.feed import Feed
from twin.mqtt.fleet.schedule import periodic, poisson, until
from twin.mqtt.fleet.stamp import due_of, stamped
from twin.mqtt.fleet.tally import Tally
from twin.mqtt.packets import Version

DRAIN_S: Final = 30.0
CONNECT_S: Final = 120.0


class DrivePlan(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A fleet on a broker: `client_count` devices publish every `period_s`, for `duration_s`.

    A device publishes to `topic` with its number in place of `{}`. Payloads are stamped. The password is that
    of the URL. PEM files: `ca`, `certificate`, `key`.
    """

    url: str
    client_count: int
    period_s: float = 10.0
    duration_s: float = 60.0
    is_poisson: bool = False
    qos: int = 1
    payload_bytes: int = 100
    topic: str = "windtunnel/{}"
    client_prefix: str = "windtunnel-"
    version: Version = "3.1.1"
    keep_alive_s: float = 60.0
    clean_session: bool = True
    connect_window: int = CONNECT_WINDOW
    ca: str = ""
    certificate: str = ""
    key: str = ""
    seed: int = 1


def profile_of(where: Endpoint, **options: Any) -> Profile:
    """How devices speak to this endpoint. Raises InputError for WebSocket, which it speaks not."""
    if where.is_websocket:
        raise InputError(f"a fleet speaks mqtt:// or mqtts://, not {where.scheme}://")
    given = where.credentials
    return Profile(
        host=where.host,
        port=where.port,
        version=options.pop("version", where.version),
        credentials=None if given is None else Credentials(given.user, given.password),
        tls=tls_of(where) if where.is_tls else None,
        **options,
    )


def drive(shard: Shard) -> Tally:
    """Do this worker's part of the `DrivePlan`."""
    plan = msgspec.convert(dict(shard.plan), DrivePlan)
    numbers = shard.share(plan.client_count)
    engine = FleetEngine(settings=_settings(plan, shard, numbers.start), read_due=due_of)
    profile = profile_of(_endpoint(plan), keep_alive_s=plan.keep_alive_s, clean_session=plan.clean_session)
    devices = [engine.add(f"{plan.client_prefix}{number}", profile) for number in numbers]

    def goes_on() -> bool:
        shard.tell(engine.tally)
        return not shard.is_stopped

    for device in devices:
        engine.connect(device)
    engine.run(lambda: not goes_on() or engine.up_count == len(devices), CONNECT_S)
    if devices and goes_on():
        seed = plan.seed * 1_000 + shard.number
        law = poisson if plan.is_poisson else periodic
        schedule = until(law(len(devices), plan.period_s, seed=seed), plan.duration_s)

        def topic_of(device: Device) -> str:
            return plan.topic.replace("{}", str(device.number))

        engine.feed(Feed(devices, schedule, topic_of, stamped(plan.payload_bytes), engine.now, plan.qos))
        engine.run(lambda: not goes_on() or not engine.feeds, plan.duration_s + DRAIN_S)
        engine.feeds.clear()
        engine.run(lambda: not engine.tally.waiting_count, DRAIN_S if goes_on() else 1.0)
    engine.close()
    return engine.tally


def _settings(plan: DrivePlan, shard: Shard, first_number: int) -> EngineSettings:
    """The window is the broker's to bear, so the workers share it."""
    window = max(1, plan.connect_window // shard.count)
    seed = plan.seed * 1_000 + shard.number
    return EngineSettings(connect_window=window, first_number=first_number, seed=seed)


def _endpoint(plan: DrivePlan) -> Endpoint:
    files = {name: Path(path) for name in ("ca", "certificate", "key") if (path := getattr(plan, name))}
    return replace(endpoint(plan.url), version=plan.version, **files)  # type: ignore[arg-type]
