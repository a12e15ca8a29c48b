"""Filters within filters, held against all topics of a small alphabet."""

from itertools import product

from hypothesis import example, given
from hypothesis import strategies as st

from twin.mqtt.coverage import Patterns, covers, overlaps
from twin.mqtt.topics import matches

LETTERS = ("a", "b", "", "$x")
UNSAID = "z"
TOPICS = ["/".join(levels) for depth in range(1, 5) for levels in product((*LETTERS, UNSAID), repeat=depth)]


def _joined(levels, ends_open):
    text = "/".join([*levels, *(["#"] if ends_open else [])])
    return text or "+"


FILTERS = st.builds(_joined, st.lists(st.sampled_from([*LETTERS, "+"]), max_size=3), st.booleans())


@given(FILTERS, FILTERS)
@example("#", "$x/#")
@example("a/#", "a")
@example("+/#", "#")
@example("a/+/#", "a/#")
def test_a_pattern_covers_a_filter_if_it_matches_all_of_its_topics(pattern, topic_filter):
    """No more and no less; one name that neither says stands for all others."""
    everything = all(matches(pattern, topic) for topic in TOPICS if matches(topic_filter, topic))
    is_covered = covers(pattern, topic_filter)
    assert not is_covered or everything
    # the one thing that is not worth the search: `+/#` takes in every topic, as `#` does
    assert is_covered or not everything or topic_filter.endswith("#")


@given(FILTERS, FILTERS)
def test_filters_overlap_if_a_topic_is_matched_by_both(first, second):
    """The same in both directions."""
    is_shared = any(matches(first, topic) and matches(second, topic) for topic in TOPICS)
    assert overlaps(first, second) == overlaps(second, first) == is_shared


@given(st.lists(FILTERS, max_size=6), FILTERS, st.sampled_from(TOPICS))
def test_patterns_together_say_what_each_would(patterns, topic_filter, topic):
    """Sorting them by their beginnings loses none."""
    together = Patterns()
    for pattern in patterns:
        together.add(pattern)
    assert together.match(topic) == any(matches(pattern, topic) for pattern in patterns)
    assert together.cover(topic_filter) == any(covers(pattern, topic_filter) for pattern in patterns)
    assert together.overlap(topic_filter) == any(overlaps(pattern, topic_filter) for pattern in patterns)
