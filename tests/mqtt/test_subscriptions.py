import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twin.errors import InputError
from twin.message import Properties
from twin.mqtt.subscriptions import RETAIN_AS_PUBLISHED, Subscriptions, shared_filter
from twin.mqtt.topics import matches

CLIENTS = st.sampled_from(["a", "b"])
FILTERS = st.sampled_from(["t/1", "t/+", "#", "t/#"])
ENTRIES = st.dictionaries(
    st.tuples(CLIENTS, FILTERS), st.tuples(st.integers(0, 2), st.booleans(), st.booleans()), max_size=8
)


@given(ENTRIES, st.sampled_from(["t/1", "t/2", "u"]))
@settings(max_examples=100, deadline=None)
def test_matching_equals_a_look_at_every_subscription(entries, topic):
    """Greatest QoS of the filters that may hear the publisher; the flag if one of them wants it."""
    subscriptions = Subscriptions()
    for (client, topic_filter), (qos, is_no_local, is_as_published) in entries.items():
        said = Properties(is_no_local=is_no_local, is_retain_as_published=is_as_published)
        subscriptions.add(topic_filter, client, qos, said)
    expected = {}
    for (client, topic_filter), (qos, is_no_local, is_as_published) in entries.items():
        if matches(topic_filter, topic) and not (is_no_local and client == "a"):
            known = expected.get(client, 0)
            wish = (known | is_as_published * RETAIN_AS_PUBLISHED) & RETAIN_AS_PUBLISHED
            expected[client] = max(known & 3, qos) | wish

    assert subscriptions.match(topic, "a") == expected


def test_what_was_added_can_be_removed():
    """Plain, with options, and shared."""
    subscriptions = Subscriptions()
    added = [
        (topic_filter, subscriptions.add(topic_filter, "a", 1, Properties(is_no_local=is_no_local)))
        for topic_filter, is_no_local in (("t", False), ("+", True), ("$share/g/t", False))
    ]
    assert (subscriptions.match("t", "b"), len(subscriptions.groups("t"))) == ({"a": 1}, 1)
    for topic_filter, options in added:
        subscriptions.remove(topic_filter, "a", options)
    assert (subscriptions.match("t", "b"), subscriptions.groups("t")) == ({}, [])


def test_turns_go_round():
    """Each member that is there is served before the first is again."""
    subscriptions = Subscriptions()
    for client in ("a", "b", "c"):
        subscriptions.add("$share/g/t", client, 1)
    (group,) = subscriptions.groups("t")
    assert [group.take_turn(lambda client: client != "b")[0] for _ in range(4)] == ["a", "c", "a", "c"]
    assert group.take_turn(lambda _: False)[0] == "b"


def test_a_shared_subscription_has_a_group_and_a_filter():
    """$share/group/filter, where the filter may have levels and wildcards."""
    assert shared_filter("$share/g/t/+/#") == "t/+/#"
    for wrong in ("$share/g", "$share/g/", "$share//t", "$share/g#/t", "$share/g/a+"):
        with pytest.raises(InputError):
            shared_filter(wrong)
