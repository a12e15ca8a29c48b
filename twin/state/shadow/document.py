"""The record of one shadow, and what remains of a deleted one."""

from __future__ import annotations

from typing import Any, Final, TypeAlias

import msgspec
from msgspec.structs import replace

from twin.state.records import Record, Tree
from twin.state.shadow.trees import DEEP, NOTHING, Path, Stamp, delta, merge, shown, without

SHADOW: Final = "shadow"
TOMBSTONE: Final = "tombstone"
SECTIONS: Final = ("desired", "reported")

_ENCODER: Final = msgspec.json.Encoder()


Updated: TypeAlias = tuple["Shadow", Any]
"""A shadow after an update, and the metadata of the update."""
NO_EXPIRIES: Final[dict[str, float]] = {}


class Shadow(Record, frozen=True, kw_only=True, gc=False):
    """One shadow at one version: `state` and `metadata` hold the sections that are not empty.

    `metadata` has the stamps of both, as `twin.state.shadow.trees` has them. `expiries` has the end
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

    def updated(self, patch: Tree | None, stamp: Stamp, mark: Any = None, levels: int = DEEP) -> Updated:
        """Merge a patch of sections, where None removes a section, or both; one version up.

        Raises ValueError as `merge` does; `mark` and `levels` are handed on to it.
        """
        sections = {"desired": None, "reported": None} if patch is None else patch
        state, stamps, shown = self.state.copy(), self.metadata.copy(), {}
        for section, changes in sections.items():
            if changes:
                old = state.get(section, NOTHING)
                merged, known, shown[section] = merge(
                    old, stamps.get(section, NOTHING), changes, stamp, mark, levels
                )
                if merged:
                    state[section], stamps[section] = merged, known
                    continue
            else:
                shown[section] = mark if changes is None else NOTHING
                if changes is not None:
                    continue
            if section in state:
                del state[section], stamps[section]
        shadow = Shadow(
            version=self.version + 1,
            state=state,
            metadata=stamps,
            desired_version=self.desired_version + ("desired" in sections),
            reported_version=self.reported_version + ("reported" in sections),
            expiries=NO_EXPIRIES,
            delta_since_s=self.delta_since_s,
        )
        return shadow, mark if patch is None else shown

    def is_all_of(self, stamp: Stamp) -> bool:
        """Whether everything in it came with one stamp, which is this very object."""
        for stamps in self.metadata.values():  # noqa: SIM110  (called with every update)
            if stamps is not stamp:
                return False
        return True

    def without_desired(self, paths: list[Path]) -> Shadow:
        """Remove desired values at the same version."""
        state, metadata = dict(self.state), dict(self.metadata)
        state["desired"], metadata["desired"] = without(state["desired"], metadata["desired"], paths)
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
