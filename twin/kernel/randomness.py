"""Named random streams of one seed.

Every entity and purpose has its own Philox stream, keyed by a hash of seed, name and purpose, so that
adding a device never shifts the draws of others and variants of a design share their numbers.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from typing import Any

import numpy as np

FIRST_BLOCK = 8
LARGEST_BLOCK = 1024

Draw = Callable[[np.random.Generator, int], Any]


class Source:
    """One Philox generator that is set to the key and block it is asked for.

    Philox is counter based: any block of any stream can be had at once, so thousands of streams need one
    generator and no memory of where they are. Block b of a stream begins at counter b * 2**192.
    """

    __slots__ = ("_generator", "_philox", "_state")

    def __init__(self) -> None:
        self._philox = np.random.Philox(key=0)
        self._generator = np.random.Generator(self._philox)
        self._state: Any = self._philox.state

    def block(self, key: Any, number: int, size: int, draw: Draw) -> list[float]:
        """Draw block `number` of the stream with this key (two 64-bit words)."""
        state = self._state
        state["state"]["key"] = key
        state["state"]["counter"][3] = number
        self._philox.state = state
        numbers: list[float] = draw(self._generator, size).tolist()
        return numbers


def key_of(seed: int, name: str, purpose: str) -> Any:
    """The Philox key of a stream: BLAKE2b of seed, name and purpose."""
    text = f"{seed}\x00{name}\x00{purpose}".encode()
    return np.frombuffer(hashlib.blake2b(text, digest_size=16).digest(), dtype="<u8")


class Blocks:
    """Scalars drawn in blocks that grow from 8 to 1024: seven times faster than one by one."""

    __slots__ = ("_draw", "_key", "_left", "_number", "_size", "_source")

    def __init__(self, source: Source, key: Any, draw: Draw) -> None:
        self._source = source
        self._key = key
        self._draw = draw
        self._left: list[float] = []
        self._number = 0
        self._size = FIRST_BLOCK

    def __call__(self) -> float:
        """The next draw."""
        if not self._left:
            self._left = self._source.block(self._key, self._number, self._size, self._draw)
            self._left.reverse()
            self._number += 1
            self._size = min(self._size * 2, LARGEST_BLOCK)
        return self._left.pop()


class Stream:
    """One entity's random numbers for one purpose.

    Each elementary law has blocks of its own, so the mix of laws in use shifts nothing.
    """

    __slots__ = ("_exponential", "_name", "_normal", "_purpose", "_seed", "_source", "_uniform")

    def __init__(self, seed: int, name: str, purpose: str, source: Source | None = None) -> None:
        self._seed, self._name, self._purpose = seed, name, purpose
        self._source = source or Source()
        self._uniform: Blocks | None = None
        self._normal: Blocks | None = None
        self._exponential: Blocks | None = None

    def _blocks(self, law: str, draw: Draw) -> Blocks:
        return Blocks(self._source, key_of(self._seed, self._name, f"{self._purpose}/{law}"), draw)

    def uniform(self, low: float = 0.0, high: float = 1.0) -> float:
        """A draw from [low, high)."""
        if self._uniform is None:
            self._uniform = self._blocks("uniform", np.random.Generator.random)
        return low + (high - low) * self._uniform()

    def normal(self, mean: float = 0.0, deviation: float = 1.0) -> float:
        """A draw from the normal law."""
        if self._normal is None:
            self._normal = self._blocks("normal", np.random.Generator.standard_normal)
        return mean + deviation * self._normal()

    def exponential(self, mean: float = 1.0) -> float:
        """A draw from the exponential law with this mean."""
        if self._exponential is None:
            self._exponential = self._blocks("exponential", np.random.Generator.standard_exponential)
        return mean * self._exponential()

    def lognormal(self, mu: float, sigma: float) -> float:
        """Draw e to the power of a normal number with mean mu and deviation sigma."""
        return math.exp(self.normal(mu, sigma))

    def index(self, count: int) -> int:
        """A uniform integer in [0, count)."""
        return min(int(self.uniform() * count), count - 1)


class Streams:
    """All streams of one replication; the same name and purpose always give the same stream."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._source = Source()
        self._streams: dict[tuple[str, str], Stream] = {}

    def stream(self, name: str, purpose: str) -> Stream:
        """The stream of this name and purpose, made on first use."""
        key = (name, purpose)
        found = self._streams.get(key)
        if found is None:
            found = self._streams[key] = Stream(self.seed, name, purpose, self._source)
        return found
