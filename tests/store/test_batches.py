"""Pieces of the journal: what was written is read, and nothing else is taken for it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin.service.batches import Batch, Values, batch, packed, unpacked
from twin.state.journal import StoreError

LINES = st.lists(
    st.tuples(
        st.integers(0, 300),
        st.floats(allow_nan=False),
        st.sampled_from(["put", "remove", "note"]),
        st.text(max_size=5),
        st.text(max_size=5),
        st.text(max_size=5),
        st.binary(max_size=40),
    ),
    min_size=1,
    max_size=40,
)


def piece_of(first, lines, at_once=1):
    """A piece of the journal that was written line by line, or several at once."""
    written = Values()
    for start in range(0, len(lines), at_once):
        written.add(lines[start : start + at_once])
    return batch(first, written)


@given(LINES, st.integers(1, 2**40), st.sampled_from([1, 15, 16, 40]), st.data())
def test_what_was_written_is_read(lines, first, at_once, data):
    """As a whole, or some of it."""
    piece = piece_of(first, lines, at_once)
    entries = piece.read()
    chosen = data.draw(st.lists(st.sampled_from(range(first, first + len(lines)))))

    assert [(each.last - each.sequence, *each[2:]) for each in entries] == lines
    assert [each.sequence for each in entries] == list(range(first, piece.last + 1))
    assert piece.pick(chosen) == [entries[each - first] for each in chosen]
    assert piece.records(chosen) == [entries[each - first].record for each in chosen]


@given(LINES, st.data())
def test_a_piece_with_a_flipped_bit_is_refused(lines, data):
    """Wherever it is."""
    first, last, entries, checksum = piece_of(7, lines)
    place = data.draw(st.integers(0, len(entries) - 1))
    spoilt = bytearray(entries)
    spoilt[place] ^= 1 << data.draw(st.integers(0, 7))

    with pytest.raises(StoreError, match=f"entries 7 to {last} of the journal are damaged"):
        Batch(first, last, bytes(spoilt), checksum).read()


def test_a_piece_in_another_place_is_refused():
    """The sequence of its first entry and their number are guarded too."""
    first, last, entries, checksum = piece_of(7, [(0, 1.0, "put", "a", "b", "b", b"{}")] * 3)
    for moved in (Batch(8, 10, entries, checksum), Batch(first, last + 1, entries, checksum)):
        with pytest.raises(StoreError, match="are damaged"):
            moved.read()
        with pytest.raises(StoreError, match="are damaged"):
            moved.pick([moved.first])


@given(st.lists(st.integers(0, 2**63)))
def test_packed_numbers_can_be_unpacked(numbers):
    """Numbers of subjects, and sequences."""
    assert unpacked(packed(numbers)).tolist() == numbers


def test_numbers_that_are_cut_are_refused():
    """Rather than read as fewer."""
    with pytest.raises(StoreError, match="cannot be read"):
        unpacked(packed([1, 2])[:-1])
