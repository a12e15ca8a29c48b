"""Handover gaps, and the transport blocks of NB-IoT."""

import pytest

from network.media.cellular import HANDOVER_GAPS_S, Handovers, TransportBlocks
from twin.errors import InputError
from twin.kernel.randomness import Stream


@pytest.mark.parametrize("technology", sorted(HANDOVER_GAPS_S))
def test_gaps_are_as_long_as_the_table_says(technology):
    """30 to 80 ms in LTE and LTE-M, 50 to 150 ms in NR: what is sent in a gap leaves at its end."""
    shortest_s, longest_s = HANDOVER_GAPS_S[technology]
    stage = Handovers(technology, 2.0, Stream(1, "d1", "handovers"))
    ends = sorted({stage.release(i * 1e-3, 100) for i in range(400_000)} - {i * 1e-3 for i in range(400_000)})
    waits = {}
    stage = Handovers(technology, 2.0, Stream(1, "d1", "handovers"))
    for i in range(400_000):
        released = stage.release(i * 1e-3, 100)
        if released != i * 1e-3:
            waits.setdefault(released, released - i * 1e-3)
    assert len(ends) == len(waits)
    assert all(shortest_s - 1.1e-3 <= wait <= longest_s for wait in waits.values())
    assert len(ends) == pytest.approx(400 / (2.0 + (shortest_s + longest_s) / 2), rel=0.2)
    mean_s = sum(waits.values()) / len(waits)
    assert mean_s == pytest.approx((shortest_s + longest_s) / 2, rel=0.06)


def test_a_device_that_stands_still_has_none(cell):
    """No handovers unless asked for."""
    still = cell("lte")
    assert "Handovers" not in [type(stage).__name__ for stage in still.links["d1", "g"].stages]


def test_both_directions_of_a_device_share_its_gaps(cell):
    """One radio."""
    moving = cell("5g", handover_every_s=10.0)
    assert moving.links["d1", "g"].stages[0] is moving.links["g", "d1"].stages[0]


@pytest.mark.parametrize("technology", ["nb-iot", "thread"])
def test_where_there_is_no_handover_none_can_be_asked_for(cell, technology):
    """NB-IoT re-selects; a Thread device has no cells to change."""
    with pytest.raises(InputError, match="re-selection"):
        cell(technology, handover_every_s=10.0)


def test_nb_iot_sends_whole_blocks(cell):
    """1 byte takes as long as 125, and 126 as long as 250: 16.1 ms a block at 62 kbit/s."""
    block_s = 125 * 8 / 62_000
    for payload, blocks in ((1, 1), (125, 1), (126, 2), (1_000, 8)):
        assert TransportBlocks(62_000).release(0.0, payload) == pytest.approx(blocks * block_s)
    assert isinstance(cell("nb-iot").links["d1", "g"].stages[0], TransportBlocks)


def test_the_queue_for_blocks_is_bounded():
    """One megabyte waits, and no more."""
    stage = TransportBlocks(62_000)
    assert stage.release(0.0, 1_000_000) is not None
    assert stage.release(0.0, 1_000) is None
