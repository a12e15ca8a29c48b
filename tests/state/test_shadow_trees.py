"""Merging with one stamp for what came at once, held against merging leaf by leaf."""

import copy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twin.state.shadow.trees import at, delta, leaves, merge, shown, stamps_at, without

KEYS = st.sampled_from(["a", "b", "c"])
SCALARS = st.none() | st.booleans() | st.integers(-1, 1) | st.sampled_from([0.5, "x"])
ELEMENTS = st.integers(0, 1) | st.dictionaries(KEYS, st.integers(0, 1) | st.lists(st.integers(0, 1)))
TREES = st.recursive(
    SCALARS | st.lists(ELEMENTS, max_size=2),
    lambda below: st.dictionaries(KEYS, below, max_size=3),
    max_leaves=8,
)
PATCHES = st.dictionaries(KEYS, TREES, max_size=3)


def merged_plainly(old, old_stamps, patch, stamp):
    """State and stamps with a stamp at every leaf."""
    state, stamps = dict(old), dict(old_stamps)
    for key, value in patch.items():
        there = state.get(key)
        if isinstance(value, dict) and isinstance(there, dict):
            state[key], stamps[key] = merged_plainly(there, stamps[key], value, stamp)
            continue
        below = below_stamps = None
        if isinstance(value, dict):
            below, below_stamps = merged_plainly({}, {}, value, stamp)
            value = None if value and not below else below  # noqa: PLW2901
        else:
            below_stamps = stamp
        if value is None:
            state.pop(key, None)
            stamps.pop(key, None)
        else:
            state[key], stamps[key] = value, below_stamps
    return state, stamps


def spread(value, stamps):
    """Stamps with one at every leaf."""
    if not isinstance(value, dict):
        return stamps
    return {
        key: spread(below, stamps[key] if isinstance(stamps, dict) else stamps)
        for key, below in value.items()
    }


def marked_plainly(value, mark):
    """The shape of a value with a mark at every leaf and element."""
    if isinstance(value, dict):
        return {key: marked_plainly(below, mark) for key, below in value.items()}
    if isinstance(value, list):
        return [marked_plainly(below, mark) for below in value]
    return mark


def shown_plainly(value, stamps):
    """The metadata of a value of which every leaf has a stamp."""
    if isinstance(value, dict):
        return {key: shown_plainly(below, stamps[key]) for key, below in value.items()}
    return marked_plainly(value, {"timestamp": int(stamps)})


def merged(patches):
    """State and stamps after some patches, as they are kept and leaf by leaf."""
    state, stamps, plain, plain_stamps = {}, {}, {}, {}
    for number, patch in enumerate(patches):
        stamp = 10.0 + number
        before = copy.deepcopy((state, stamps, patch))
        after, after_stamps, metadata = merge(state, stamps, patch, stamp, "now")
        assert (state, stamps, patch) == before
        assert metadata == marked_plainly(patch, "now")
        state, stamps = after, after_stamps
        plain, plain_stamps = merged_plainly(plain, plain_stamps, patch, stamp)
    return state, stamps, plain, plain_stamps


@given(st.lists(PATCHES, max_size=6))
@settings(max_examples=300)
def test_one_stamp_for_many_tells_what_a_stamp_at_each_leaf_tells(patches):
    """State, stamps and metadata are those of merging leaf by leaf; nothing given is mutated."""
    state, stamps, plain, plain_stamps = merged(patches)

    assert (state, spread(state, stamps)) == (plain, plain_stamps)
    assert shown(state, stamps) == shown_plainly(plain, plain_stamps)
    assert all(stamps_at(stamps, path) == at(plain_stamps, path) for path, _ in leaves(state))


@given(st.lists(PATCHES, max_size=4), PATCHES)
@settings(max_examples=300)
def test_a_delta_has_the_times_of_its_leaves(patches, patch):
    """The delta to anything reported is the same, with the same metadata."""
    state, stamps, plain, plain_stamps = merged(patches)
    reported, *_ = merge({}, {}, patch, 1.0)

    differing, metadata = delta(state, reported, stamps)

    assert (differing, metadata) == delta(plain, reported, plain_stamps)
    assert metadata == shown_plainly(differing, _along(differing, plain_stamps))


def _along(value, stamps):
    """The stamps of what is there."""
    if not isinstance(value, dict):
        return stamps
    return {key: _along(below, stamps[key]) for key, below in value.items()}


@given(st.lists(PATCHES, min_size=1, max_size=4), st.data())
@settings(max_examples=300)
def test_what_is_taken_out_takes_its_stamp_along(patches, data):
    """Members go, and objects that are empty through that; the stamps of the others stand."""
    state, stamps, _, plain_stamps = merged(patches)
    paths = data.draw(st.lists(st.sampled_from([path for path, _ in leaves(state)] or [("a",)]), max_size=3))

    rest, rest_stamps = without(state, stamps, paths)

    kept = [(path, value) for path, value in leaves(state) if path not in paths]
    assert [(path, value) for path, value in leaves(rest)] == kept
    assert spread(rest, rest_stamps) == _along(rest, plain_stamps)


def test_what_comes_at_once_has_one_stamp():
    """A report of everything costs one stamp, whatever stood there; the next value has its own."""
    state, stamps, _ = merge({}, {}, {"a": {"b": 1, "c": [1, 2]}, "d": "x"}, 1.0)
    assert stamps == 1.0

    state, stamps, _ = merge(state, stamps, {"a": {"b": 2}}, 2.0)
    assert stamps == {"a": {"b": 2.0, "c": 1.0}, "d": 1.0}

    assert merge(state, stamps, {"a": {"b": 3, "c": []}, "d": "x"}, [3.0, 2.5])[1] == [3.0, 2.5]


@pytest.mark.parametrize(
    ("patch", "said"),
    [({"a": [1, None]}, "null"), ({"a": {"b": [{"c": 1}]}}, "levels"), ({"a": {"b": {"c": {}}}}, "levels")],
)
@pytest.mark.parametrize("old", [{}, {"z": 1, "y": 2}, {"a": {"x": 1}}])
def test_what_no_shadow_may_hold_is_refused(old, patch, said):
    """Nulls in arrays and more than three levels, also where something stood before."""
    with pytest.raises(ValueError, match=said):
        merge(old, 1.0, patch, 2.0, levels=3)
