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

EMPTY: Final[Tree] = {}
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
        if patch is None:
            patch = {"desired": None, "reported": None}
        state, metadata = self.state.copy(), self.metadata.copy()
        for section, changes in patch.items():
            old, stamps = EMPTY, EMPTY
            if changes:
                old, stamps = merge(state.get(section, EMPTY), metadata.get(section, EMPTY), changes, stamp)
            elif changes is not None:
                continue
            if old:
                state[section], metadata[section] = old, stamps
            elif section in state:
                del state[section], metadata[section]
        return Shadow(
            version=self.version + 1,
            state=state,
            metadata=metadata,
            desired_version=self.desired_version + ("desired" in patch),
            reported_version=self.reported_version + ("reported" in patch),
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
        return {
            "state": self.state,
            "metadata": shown(self.state, self.metadata),
            "version": self.version,
        }

    def state_bytes(self) -> int:
        """Bytes of desired and reported as JSON; metadata does not count."""
        state = self.state
        if not state:
            return 0
        frame = sum(len(section) for section in state) + 4 * len(state) + 1
        return len(_ENCODER.encode(state)) - frame


class Tombstone(Record, frozen=True, kw_only=True, gc=False):
    """What remains of a deleted shadow: the number that its deletion took. It goes when it falls due."""

    version: int
