"""Does a broker keep its clients to their own topics? Found out by trying, as two fresh things would."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass
from typing import Final, Literal

from twin.service.session import Probe
from twin.service.target import Target, UnreachableError

ATTEMPTS: Final = (
    "$aws/things/{thing}/shadow/update",
    "$aws/things/{thing}/shadow/update/accepted",
    "$aws/things/{thing}/shadow/update/delta",
    "$aws/things/{thing}/jobs/notify",
    "site/probe/gate/{thing}/telemetry",
    "site/probe/gate/{thing}/cmd/open",
    "things/{thing}/cmd/open",
    "alarms/{thing}/fire",
)
PATIENCE_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Enforcement:
    """What is known of a broker: how many attempts of a stranger went through, and what may be claimed."""

    claim: Literal["enforced", "not enforced", "unknown"]
    sentence: str
    attempts: int = 0
    went_through: int = 0

    @property
    def is_enforced(self) -> bool:
        """Whether authorisation may be claimed."""
        return self.claim == "enforced"

    @classmethod
    def managed(cls) -> Enforcement:
        """What holds at a broker of our own."""
        return cls("enforced", "devices need a certificate of the local CA and reach their own topics only")


def probe(target: Target, device: Target | None = None) -> Enforcement:
    """Try what a stranger, or a device with these credentials, can do with the topics of another thing."""
    if device is not None:
        return _of_device(device, attempt(device))
    try:
        by_strangers = attempt(target.anonymous())
    except UnreachableError:
        return _of_service(target)
    if by_strangers:
        return Enforcement("not enforced", _through(by_strangers), len(ATTEMPTS), by_strangers)
    return Enforcement("unknown", f"strangers reach nothing, but {_UNSEEN}", len(ATTEMPTS), 0)


def attempt(target: Target) -> int:
    """How many topics of a thing a client could speak and listen on that is not the thing.

    One client does both, as brokers may give all clients with the same credentials one session.
    Raises UnreachableError if it may not even connect.
    """
    thing, mark = f"probe-{secrets.token_hex(4)}", secrets.token_hex(8).encode()
    topics = [topic.format(thing=thing) for topic in ATTEMPTS]
    left = list(topics)
    heard: set[str] = set()
    while left:
        with Probe(target, f"probe-{secrets.token_hex(6)}") as stranger:
            while left and stranger.is_connected:  # some brokers end the connection of whoever strays
                topic = left.pop()
                stranger.subscribe(topic)
                stranger.publish(topic, mark)
            until_s = time.monotonic() + PATIENCE_S
            while not heard >= set(topics) and stranger.is_connected and time.monotonic() < until_s:
                time.sleep(0.02)
                heard |= {topic for topic, payload in tuple(stranger.heard) if payload == mark}
    return len(heard)


def _through(count: int) -> str:
    return (
        "this broker does not keep devices to their own topics:"
        f" {count} of {len(ATTEMPTS)} probes went through"
    )


def _of_device(device: Target, count: int) -> Enforcement:
    if count:
        return Enforcement("not enforced", _through(count), len(ATTEMPTS), count)
    sentence = (
        f"none of {len(ATTEMPTS)} probes of the device {device.user or device.certificate_file} went through"
    )
    return Enforcement("enforced", sentence, len(ATTEMPTS), 0)


def _of_service(target: Target) -> Enforcement:
    """Strangers may not connect; our own credentials may do everything, and say little of a device's."""
    try:
        count = attempt(target)
    except UnreachableError:
        count = 0
    sentence = (
        f"{count} of {len(ATTEMPTS)} probes with the service's own credentials went through"
        f" and strangers cannot connect; {_UNSEEN}"
    )
    return Enforcement("unknown", sentence, len(ATTEMPTS), count)


_UNSEEN: Final = (
    "whether each device is kept to its own topics cannot be seen without the credentials of one"
    " (--probe-user, or --probe-cert and --probe-key)"
)
