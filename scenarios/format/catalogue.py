"""What a scenario may name: the port through which lower layers say what exists."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol, TypeAlias

from scenarios.format.options import Options, options_of
from scenarios.format.schema import Site

FileContent: TypeAlias = Literal["scene", "trace", "arrivals", "rules"]


@dataclass(frozen=True, slots=True)
class Description:
    """What lower layers say about a device type, a node kind or the world.

    `options` is a data class whose init fields are its options, but for those in `given`, which the wiring
    fills in. `measures` are observed by it, `senses` is what it cannot work without. Devices send their
    messages to a node first that `takes_devices`. A node must reach one node of the kinds in `reaches`, and
    every node that one of the options in `names_nodes` names (written keys, each the kind of what it names).
    `names_files` are options that name a file, each with what the file holds, or one of `built_in`;
    what is in `of_built_in` (written keys) goes with those only.
    """

    options: type
    measures: frozenset[str] = frozenset()
    given: frozenset[str] = frozenset()
    reaches: frozenset[str] = frozenset()
    names_nodes: frozenset[str] = frozenset()
    takes_devices: bool = False
    senses: tuple[str, ...] = ()
    names_files: Mapping[str, FileContent] = field(default_factory=dict)
    built_in: frozenset[str] = frozenset()
    of_built_in: frozenset[str] = frozenset()

    @property
    def form(self) -> Options:
        """The options, ready to check what was written."""
        return options_of(self.options, self.given)


class Catalogue(Protocol):
    """What exists: filled in by the wiring, which knows the lower layers."""

    @property
    def devices(self) -> Mapping[str, Description]:
        """Device types by name."""
        ...

    @property
    def kinds(self) -> Mapping[str, Description]:
        """Node kinds by name."""
        ...

    @property
    def world(self) -> Description:
        """The physical world."""
        ...

    @property
    def technologies(self) -> Collection[str]:
        """Names of link technologies."""
        ...

    @property
    def metros(self) -> Collection[str]:
        """Names of metros."""
        ...

    @property
    def countries(self) -> Collection[str]:
        """Codes of the countries in which the metros are."""
        ...

    @property
    def faults(self) -> Mapping[str, Collection[str]]:
        """Fault names, each with the parameters (written keys) that it takes."""
        ...

    def fibre_floor_s(self, first: Site, second: Site) -> float:
        """The shortest round trip that light in fibre allows between two sites (seconds)."""
        ...

    def link_problem(self, device: str, technology: str | None, payload_bytes: int | None, key: str) -> str:
        """Why the technology (None: the device type's usual one) cannot do this, or ''.

        `key` is what is asked of it: `payload` (0: the device's own JSON), `handover_every` or `battery`.
        """
        ...

    def file_problem(self, content: FileContent, path: Path) -> str:
        """What is wrong with a file that should hold this, in a sentence; '' if nothing is."""
        ...

    def nodes_in_file(self, content: FileContent, path: Path) -> Collection[str]:
        """The nodes that a sound file names."""
        ...
