"""What a check finds, and what a broker's checks come to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal, TypeAlias

import msgspec

from twin.mqtt.packets import Version

Verdict: TypeAlias = Literal["passed", "failed", "not supported", "not tried"]

BOTH: Final[tuple[Version, ...]] = ("3.1.1", "5")


class Failed(Exception):  # noqa: N818  (it is a verdict)
    """The broker does not do what the standard says; the text says what it did."""


class NotSupported(Exception):  # noqa: N818  (it is a verdict)
    """The broker says that it does not offer this, as it may."""


class NotTried(Exception):  # noqa: N818  (it is a verdict)
    """Something that the check needs was not given."""


class Finding(msgspec.Struct, frozen=True):
    """One check of one version: `detail` says what happened, or what was measured."""

    check: str
    version: Version
    clause: str
    says: str
    verdict: Verdict
    detail: str = ""
    took_s: float = 0.0


class Conformance(msgspec.Struct, frozen=True):
    """All that was found about one broker."""

    broker: str
    url: str
    findings: Sequence[Finding]
    took_s: float

    def of(self, verdict: Verdict, version: Version | None = None) -> list[Finding]:
        """The findings with this verdict."""
        return [
            each
            for each in self.findings
            if each.verdict == verdict and (version is None or each.version == version)
        ]

    @property
    def in_short(self) -> str:
        """It in a sentence."""
        failed = ", ".join(each.check for each in self.of("failed")) or "nothing"
        return f"{self.broker}; of {len(self.findings)} things of MQTT it fails: {failed}"

    def row(self) -> dict[str, object]:
        """It in short, for a run's records."""
        versions = dict.fromkeys(each.version for each in self.findings)
        return {
            "broker": self.broker,
            "checks": {
                version: {
                    "passed": len(self.of("passed", version)),
                    "failed": [each.check for each in self.of("failed", version)],
                    "not_supported": [each.check for each in self.of("not supported", version)],
                }
                for version in versions
            },
            "took_s": round(self.took_s, 3),
        }
