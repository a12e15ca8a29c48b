import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twin.errors import InputError
from twin.mqtt.topics import FilterTree, check_filter, check_name, matches

LEVELS = st.sampled_from(["a", "b", "", "$s"])
NAMES = st.lists(LEVELS, min_size=1, max_size=4).map("/".join).filter(bool)
FILTERS = (
    st.tuples(st.lists(LEVELS | st.just("+"), max_size=4), st.sampled_from([[], ["#"]]))
    .map(lambda parts: "/".join([*parts[0], *parts[1]]))
    .filter(bool)
)


def pattern_matches(topic_filter, topic):
    """The standard's rules as one regular expression: the oracle."""
    if topic.startswith("$") and topic_filter[0] in "+#":
        return False
    pattern = re.escape(topic_filter).replace(r"\+", "[^/]*").replace(r"/\#", "(/.*)?").replace(r"\#", ".*")
    return re.fullmatch(pattern, topic) is not None


@pytest.mark.parametrize(
    ("topic_filter", "topic", "is_match"),
    [
        ("sport/tennis/player1/#", "sport/tennis/player1", True),
        ("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", True),
        ("sport/#", "sport", True),
        ("#", "sport", True),
        ("sport/tennis/+", "sport/tennis/player1", True),
        ("sport/tennis/+", "sport/tennis/player1/ranking", False),
        ("sport/+", "sport", False),
        ("sport/+", "sport/", True),
        ("+/+", "/finance", True),
        ("/+", "/finance", True),
        ("+", "/finance", False),
        ("#", "$SYS/monitor/Clients", False),
        ("+/monitor/Clients", "$SYS/monitor/Clients", False),
        ("$SYS/#", "$SYS/monitor/Clients", True),
        ("$SYS/monitor/+", "$SYS/monitor/Clients", True),
        ("a/$s", "a/$s", True),
        ("Accounts", "ACCOUNTS", False),
    ],
)
def test_filters_cover_what_the_standard_says(topic_filter, topic, is_match):
    """The examples of MQTT 3.1.1 section 4.7 hold."""
    assert matches(topic_filter, topic) is is_match
    assert pattern_matches(topic_filter, topic) is is_match


@given(FILTERS, NAMES)
@settings(max_examples=100)
def test_matching_equals_the_regular_expression(topic_filter, topic):
    """A filter covers exactly the names that the rules written as a pattern accept."""
    assert matches(topic_filter, topic) == pattern_matches(topic_filter, topic)


@given(st.lists(st.tuples(FILTERS, st.sampled_from("xyz"), st.sampled_from([0, 1])), max_size=8), NAMES)
@settings(max_examples=100)
def test_the_tree_finds_what_a_scan_finds(subscriptions, topic):
    """The tree names each matching subscriber once, with the greatest QoS of its matching filters."""
    tree, last = FilterTree(), {}
    for topic_filter, subscriber, qos in subscriptions:
        tree.add(topic_filter, subscriber, qos)
        last[topic_filter, subscriber] = qos

    expected = {}
    for (topic_filter, subscriber), qos in last.items():
        if matches(topic_filter, topic):
            expected[subscriber] = max(qos, expected.get(subscriber, 0))
    assert tree.match(topic) == expected


@given(st.lists(FILTERS, max_size=6, unique=True), st.lists(FILTERS, max_size=6, unique=True))
@settings(max_examples=50)
def test_removing_every_subscription_empties_the_tree(filters, others):
    """A removed subscription leaves no branch behind, and removing an absent one tells so."""
    tree = FilterTree()
    for topic_filter in filters:
        tree.add(topic_filter, "x")

    assert [tree.remove(each, "y") for each in others] == [False] * len(others)
    assert [tree.remove(each, "x") for each in filters] == [True] * len(filters)
    assert tree._root.children == {}


@pytest.mark.parametrize(
    "topic_filter", ["", "sport/tennis#", "sport/#/ranking", "sport+", "a\0b", "x" * 65_536]
)
def test_an_invalid_filter_is_refused(topic_filter):
    """Wildcards fill a level, '#' ends the filter, and the text is neither empty nor too long."""
    with pytest.raises(InputError):
        check_filter(topic_filter)


@pytest.mark.parametrize("topic", ["", "a/+", "a/#", "a\0", "é" * 32_768])
def test_an_invalid_name_is_refused(topic):
    """A name has no wildcard, no U+0000 and at most 65,535 bytes."""
    with pytest.raises(InputError):
        check_name(topic)


def test_valid_names_and_filters_pass():
    """Names and filters of the field are accepted."""
    check_name("site/car_park/smoke_detector/L2-D07/event/alarm")
    check_filter("$aws/things/+/shadow/update")
