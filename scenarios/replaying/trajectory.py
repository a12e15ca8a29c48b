"""The trajectory format: where every car and person is, frame by frame, small enough to be streamed.

Little endian: `WTT1`, the length of the header (u32), the header as JSON, then frames. A frame holds, for all
n agents (cars first, then people): x (u16 each), y (u16 each), level (u8 each), state (u8 each). Positions
are steps of 1/65535 of the bounds. Frame k is time k * frame_s; after the last frame nothing moves any more.
"""

from __future__ import annotations

import gzip
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from twin.errors import InputError

MAGIC: Final = b"WTT1"
ABSENT, RESTING, MOVING, QUEUEING = 0, 1, 2, 3
STEPS: Final = 65_535
BYTES_AN_AGENT: Final = 6
MOST_HEADER_BYTES: Final = 10_000_000


class Header(msgspec.Struct, frozen=True):
    """What a trajectory says of itself; `frames` is 0 while it still grows. Bounds are x0, y0, x1, y1 (m).

    `labels` names each car and each person.
    """

    frame_s: float
    agents: dict[str, int]
    levels: list[str]
    bounds: tuple[float, float, float, float]
    frames: int = 0
    labels: dict[str, list[str]] = {}

    @property
    def count(self) -> int:
        """How many agents there are."""
        return sum(self.agents.values())

    def encode(self) -> bytes:
        """The beginning of the file."""
        text = msgspec.json.encode(self)
        return MAGIC + len(text).to_bytes(4, "little") + text


class Frames(msgspec.Struct, frozen=True):
    """Some frames of all agents, one row a frame: metres, indices of levels, states."""

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    level: NDArray[np.uint8]
    state: NDArray[np.uint8]

    def encode(self, header: Header) -> bytes:
        """The frames as they stand in the file."""
        x0, y0, x1, y1 = header.bounds
        parts = [_steps(self.x, x0, x1), _steps(self.y, y0, y1), self.level, self.state]
        return np.hstack([np.ascontiguousarray(part).view(np.uint8) for part in parts]).tobytes()


def _steps(metres: NDArray[np.float64], low: float, high: float) -> NDArray[np.uint16]:
    share = np.clip((metres - low) / max(high - low, 1e-9), 0.0, 1.0)
    return np.rint(share * STEPS).astype("<u2")


def decode(content: bytes) -> tuple[Header, Frames]:
    """Read a trajectory, zipped or not, also one that still grows. Raises InputError for anything else."""
    if content[:2] == b"\x1f\x8b":
        content = gzip.decompress(content)
    if content[:4] != MAGIC:
        raise InputError("not a trajectory; expected a file that begins with WTT1")
    length = int.from_bytes(content[4:8], "little")
    if length > MOST_HEADER_BYTES:
        raise InputError(f"not a trajectory: its header has {length} bytes")
    header = msgspec.json.decode(content[8 : 8 + length], type=Header)
    return header, decode_frames(content[8 + length :], header)


def decode_frames(content: bytes, header: Header) -> Frames:
    """Whole frames; what stands behind the last whole one is left out."""
    n, x0, y0, x1, y1 = header.count, *header.bounds
    size = n * BYTES_AN_AGENT
    rows = len(content) // size if size else 0
    table = np.frombuffer(content, np.uint8, rows * size).reshape(rows, size)
    x, y = (np.ascontiguousarray(table[:, k * 2 * n : (k + 1) * 2 * n]).view("<u2") for k in (0, 1))
    return Frames(
        x0 + x * ((x1 - x0) / STEPS),
        y0 + y * ((y1 - y0) / STEPS),
        table[:, 4 * n : 5 * n],
        table[:, 5 * n :],
    )
