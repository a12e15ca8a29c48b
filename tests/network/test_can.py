"""CAN: arbitration by priority, and segments."""

import pytest

from network.media.can import frame_bits, segments

frame_s = frame_bits(8) / 500_000


def test_the_longest_standard_frame_takes_270_us():
    """135 bits at 500 kbit/s; 160 with an identifier of 29 bits."""
    assert frame_s == pytest.approx(270e-6)
    assert frame_bits(8, is_extended=True) == 160


@pytest.mark.parametrize(
    ("payload", "frames"), [(0, [0]), (8, [8]), (9, [8, 3, 4]), (13, [8, 3, 8]), (20, [8, 3, 8, 8])]
)
def test_a_long_payload_goes_in_segments(payload, frames):
    """ISO 15765-2: first frame 6 bytes, flow control, then 7 a frame."""
    assert segments(payload) == frames


def test_a_frame_is_not_interrupted_and_the_urgent_one_is_next(cell):
    """Telemetry is on the wire; of two that wait, the event goes before the earlier telemetry."""
    wire = cell("can", 3)
    wire.send(0.0, "d1", "g", 8, topic="k/d1/telemetry")
    wire.send(1e-5, "d2", "g", 8, topic="k/d2/telemetry")
    wire.send(2e-5, "d3", "g", 8, topic="k/d3/event/alarm")
    assert wire.run().arrived == [
        (pytest.approx(frame_s), "g", "k/d1/telemetry"),
        (pytest.approx(2 * frame_s), "g", "k/d3/event/alarm"),
        (pytest.approx(3 * frame_s), "g", "k/d2/telemetry"),
    ]


def test_within_a_class_the_first_of_the_bus_goes_first(cell):
    """Three wait while a fourth sends: in the order they joined."""
    wire = cell("can", 4)
    wire.send(0.0, "d4", "g", 8, topic="d4")
    for number in (3, 1, 2):
        wire.send(1e-5, f"d{number}", "g", 8, topic=f"d{number}")
    assert [topic for _, _, topic in wire.run().arrived] == ["d4", "d1", "d2", "d3"]


def test_an_urgent_message_goes_between_the_segments_of_another(cell):
    """Every frame is arbitrated anew."""
    wire = cell("can", 2)
    wire.send(0.0, "d1", "g", 62, topic="k/d1/telemetry")
    wire.send(1e-5, "d2", "g", 8, topic="k/d2/event/alarm")
    assert [topic for _, _, topic in wire.run().arrived] == ["k/d2/event/alarm", "k/d1/telemetry"]


def test_what_waits_for_the_wire_is_counted(cell):
    """One on the wire, four in the queue."""
    wire = cell("can", 5)
    for number in range(1, 6):
        wire.send(0.0, f"d{number}", "g", 8)
    wire.timeline.run(0.0)
    assert wire.network.held_count == 4
    assert wire.timeline.flying() == 1
    wire.run()
    assert wire.network.held_count == 0


def test_more_than_4095_bytes_are_refused(cell):
    """The longest message of ISO 15765-2."""
    wire = cell("can")
    wire.send(0.0, "d1", "g", 4096)
    assert wire.run().lost == [(0.0, "d1>g", "payload too large")]
