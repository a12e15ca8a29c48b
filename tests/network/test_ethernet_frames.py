"""Ethernet: payloads in frames."""

import pytest

from network.media.ethernet import Port, serialisation_s


@pytest.mark.parametrize(
    ("payload", "wire_bytes"),
    [(0, 84), (6, 84), (7, 85), (1460, 1538), (1461, 1538 + 84), (3000, 2 * 1538 + 158)],
)
def test_a_payload_takes_the_bytes_of_its_frames(payload, wire_bytes):
    """64 to 1,518 bytes a frame, and 20 of preamble and gap."""
    assert serialisation_s(payload, 100e6) * 100e6 / 8 == pytest.approx(wire_bytes)


def test_a_port_sends_one_frame_after_the_other():
    """Three full frames at 100 Mbit/s."""
    port = Port(100e6)
    assert [port.release(0.0, 1460) * 1e6 for _ in range(3)] == pytest.approx([123.04, 246.08, 369.12])


def test_a_port_with_a_megabyte_before_it_drops():
    """Tail drop, as every other queue."""
    port = Port(100e6)
    assert port.release(0.0, 900_000) is not None
    assert port.release(0.0, 200_000) is None


def test_every_device_has_a_port_of_its_own(cell):
    """Switched."""
    lan = cell("ethernet", 2)
    assert lan.links["d1", "g"].stages[0] is not lan.links["d2", "g"].stages[0]
    assert isinstance(lan.links["d1", "g"].stages[0], Port)
