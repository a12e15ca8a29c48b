"""The record of one shadow, and what remains of a deleted one."""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec.structs import replace

from twin.state.records import Record, Tree
from twin.state.shadow.trees import Path, Stamp, delta, merge, shown, without

SHADOW: Final = "shadow"
TOMBSTONE: Final = "tombstone"
SECTIONS: Final = ("desired", "reported")

_ENCODER: Final = msgspec.json.Encoder()


class Shadow(Record, frozen=True, kw_only=True, gc=False):
    """One shadow at one version: `state` and `metadata` hold the sections that are not empty.

    `metadata` has a stamp of `twin.state.shadow.trees` where `state` has a leaf. `expiries` has the end
    (seconds) of desired values by JSON pointer; `due_s` is the earliest. `delta_since_s` is when the delta
    appeared that still stands. The versions of the sections count the updates that named them.
    """

    version: int = 0
    state: Tree = msgspec.field(default_factory=dict)
    metadata: Tree = msgspec.field(default_factory=dict)
    desired_version: int = 0
    reported_version: int = 0
    expiries: dict[str, float] = msgspec.field(default_factory=dict)
    delta_since_s: float | None = None

    def updated(self, patch: Tree | None, stamp: Stamp) -> Shadow:
        """Merge a patch, where None removes both sections; one version up."""
        desired_version, reported_version = self.desired_version, self.reported_version
        state: Tree = {}
        metadata: Tree = {}
        for section in SECTIONS:
            if patch is None or (section in patch and patch[section] is None):
                continue
            old = self.state.get(section, {})
            stamps = self.metadata.get(section, {})
            if section in patch:
                old, stamps = merge(old, stamps, patch[section], stamp)
            if old:
                state[section], metadata[section] = old, stamps
        if patch is None or "desired" in patch:
            desired_version += 1
        if patch is None or "reported" in patch:
            reported_version += 1
        return Shadow(
            version=self.version + 1,
            state=state,
            metadata=metadata,
            desired_version=desired_version,
            reported_version=reported_version,
            delta_since_s=self.delta_since_s,
        )

    def without_desired(self, paths: list[Path]) -> Shadow:
        """Remove desired values at the same version."""
        state, metadata = dict(self.state), dict(self.metadata)
        state["desired"] = without(state["desired"], paths)
        metadata["desired"] = without(metadata["desired"], paths)
        if not state["desired"]:
            del state["desired"], metadata["desired"]
        return replace(self, state=state, metadata=metadata)

    def delta(self) -> tuple[Tree, Tree]:
        """What is desired and not reported, and the metadata of those values."""
        desired = self.state.get("desired")
        if desired is None:
            return {}, {}
        return delta(desired, self.state.get("reported", {}), self.metadata["desired"])

    def document(self) -> Tree:
        """State, metadata and version, as in a documents message."""
        metadata = {section: shown(self.state[section], stamps) for section, stamps in self.metadata.items()}
        return {"state": self.state, "metadata": metadata, "version": self.version}

    def state_bytes(self) -> int:
        """Bytes of desired and reported as JSON; metadata does not count."""
        return sum(len(_ENCODER.encode(section)) for section in self.state.values())


class Tombstone(Record, frozen=True, kw_only=True, gc=False):
    """What remains of a deleted shadow: the number that its deletion took. It goes when it falls due."""

    version: int
