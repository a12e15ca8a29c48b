"""Limits of the shadow service, its extensions, and the port that a device type fills."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

from twin.state.records import Records, Tree


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowSettings:
    """Limits as AWS documents them; everything that goes beyond AWS is off.

    `state_limit_bytes` bounds desired and reported of the merged document, without metadata.
    `inflight_limit` is for the host, which alone knows how many requests of a thing wait.
    A deleted shadow's number is remembered for `tombstone_s`.
    With `has_extensions` the request members `expiresIn` (seconds) and `condition` are read, and answers
    name the version of each section. `desired_expiry_s` bounds the life of every desired value.
    `is_cleared_on_report` removes a desired value that the device reports. `keeps_newer_reports` drops a
    desired value that is older than a local change of the device.
    """

    state_limit_bytes: int = 8_192
    depth_limit: int = 6
    token_limit_bytes: int = 64
    inflight_limit: int = 10
    shadow_limit: int = 100_000
    tombstone_s: float = 48 * 3_600.0
    has_documents: bool = True
    has_extensions: bool = False
    desired_expiry_s: float = math.inf
    is_cleared_on_report: bool = False
    keeps_newer_reports: bool = False


class Schema(Protocol):
    """What the types of the things say about their shadows; a property is a top-level key of a section."""

    def problem(self, thing: str, section: str, changes: Tree, records: Records) -> str:
        """Why the changes are refused with 400, or an empty text."""
        ...

    def protected(self, thing: str, changes: Tree, records: Records) -> Tree:
        """The reported changes without personal values; the very same if there are none."""
        ...

    def writer_problem(self, thing: str, changes: Tree, by: str, records: Records) -> str:
        """Why these wishes are not for this kind of writer, or an empty text."""
        ...

    def desired_expiry_s(self, thing: str, name: str, records: Records) -> float:
        """For how long a desired value of the property holds (seconds), infinite: for ever."""
        ...

    def is_cleared_on_report(self, thing: str, name: str, records: Records) -> bool:
        """Whether a desired value of the property goes when the device reports it."""
        ...
