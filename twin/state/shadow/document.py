"""The record of one shadow, and what remains of a deleted one."""

from __future__ import annotations

from typing import Any, Final, TypeAlias

import msgspec
from msgspec.structs import replace

from twin.state.records import Record, Tree
from twin.state.shadow.trees import DEEP, NOTHING, Path, Stamp, Stamps, delta, merge, shown, without

SHADOW: Final = "shadow"
TOMBSTONE: Final = "tombstone"
SECTIONS: Final = ("desired", "reported")

_ENCODER: Final = msgspec.json.Encoder()


class Sections(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """Something for desired and something for reported; what is empty is not there."""

    desired: Any = msgspec.field(default_factory=dict)
    reported: Any = msgspec.field(default_factory=dict)

    def tree(self) -> Tree:
        """The sections that are there, by name."""
        return {name: section for name in SECTIONS if (section := getattr(self, name))}


Updated: TypeAlias = tuple["Shadow", Any]
"""A shadow after an update, and the metadata of the update."""
EMPTY: Final = Sections()
REMOVED: Final = dict.fromkeys(SECTIONS)
NO_EXPIRIES: Final[dict[str, float]] = {}


class Shadow(Record, frozen=True, kw_only=True, gc=False):
    """One shadow at one version.

    `metadata` has the stamps of both sections, as `twin.state.shadow.trees` has them. `expiries` has the end
    (seconds) of desired values by JSON pointer; `due_s` is the earliest. `delta_since_s` is when the delta
    appeared that still stands. The versions of the sections count the updates that named them.
    """

    version: int = 0
    state: Sections = EMPTY
    metadata: Sections = EMPTY
    desired_version: int = 0
    reported_version: int = 0
    expiries: dict[str, float] = msgspec.field(default_factory=dict)
    delta_since_s: float | None = None

    def updated(self, patch: Tree | None, stamp: Stamp, mark: Any = None, levels: int = DEEP) -> Updated:
        """Merge a patch of sections, where None removes a section, or both; one version up.

        Raises ValueError as `merge` does; `mark` and `levels` are handed on to it.
        """
        sections, shown = REMOVED if patch is None else patch, {}
        desired, desired_stamps = self.state.desired, self.metadata.desired
        reported, reported_stamps = self.state.reported, self.metadata.reported
        desired_version, reported_version = self.desired_version, self.reported_version
        if "desired" in sections:
            desired, desired_stamps, shown["desired"] = _updated(
                desired, desired_stamps, sections["desired"], stamp, mark, levels
            )
            desired_version += 1
        if "reported" in sections:
            reported, reported_stamps, shown["reported"] = _updated(
                reported, reported_stamps, sections["reported"], stamp, mark, levels
            )
            reported_version += 1
        shadow = Shadow(
            version=self.version + 1,
            state=Sections(desired, reported),
            metadata=Sections(desired_stamps, reported_stamps),
            desired_version=desired_version,
            reported_version=reported_version,
            expiries=NO_EXPIRIES,
            delta_since_s=self.delta_since_s,
        )
        return shadow, mark if patch is None else shown

    def is_all_of(self, patch: Tree | None, stamp: Stamp) -> bool:
        """Whether everything in it came with one patch, whose stamp is this very object."""
        state, stamps, named = self.state, self.metadata, patch or NOTHING
        return (not state.reported or (stamps.reported is stamp and "reported" in named)) and (
            not state.desired or (stamps.desired is stamp and "desired" in named)
        )

    def without_desired(self, paths: list[Path]) -> Shadow:
        """Remove desired values at the same version."""
        desired, stamps = without(self.state.desired, self.metadata.desired, paths)
        return replace(
            self,
            state=Sections(desired, self.state.reported),
            metadata=Sections(stamps, self.metadata.reported),
        )

    def delta(self) -> tuple[Tree, Tree]:
        """What is desired and not reported, and the metadata of those values."""
        state = self.state
        return delta(state.desired, state.reported, self.metadata.desired)

    def document(self) -> Tree:
        """State, metadata and version, as in a documents message."""
        state, metadata = self.state.tree(), self.metadata.tree()
        return {"state": state, "metadata": shown(state, metadata), "version": self.version}

    def state_bytes(self) -> int:
        """Bytes of desired and reported as JSON; metadata does not count."""
        state = self.state.tree()
        if not state:
            return 0
        frame = sum(len(section) for section in state) + 4 * len(state) + 1
        return len(_ENCODER.encode(state)) - frame


def _updated(
    old: Tree, stamps: Stamps, changes: Tree | None, stamp: Stamp, mark: Any, levels: int
) -> tuple[Tree, Stamps, Any]:
    """A section with changes merged into it, its stamps, and the metadata of the changes."""
    if changes:
        return merge(old, stamps, changes, stamp, mark, levels)
    return ({}, {}, mark) if changes is None else (old, stamps, NOTHING)


class Tombstone(Record, frozen=True, kw_only=True, gc=False):
    """What remains of a deleted shadow: the number that its deletion took. It goes when it falls due."""

    version: int
