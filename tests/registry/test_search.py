"""Finding things by query, page, group and name."""

import pytest

from twin.state.registry.search import groups_of, members_of, search
from twin.state.registry.things import Group, RegistryError, Thing


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("type:boom_gate", ["gate-1", "gate-10", "gate-2"]),
        ("type:boom_gate site:car_park", ["gate-1", "gate-2"]),
        ("type:boom_gate -site:car_park", ["gate-10"]),
        ("tag:fire", ["gate-1"]),
        ("level:L2 type:*detector", ["det-1"]),
        ("name:gate-?", ["gate-1", "gate-2", "gate-3"]),
        ("GATE-1", ["gate-1", "gate-10"]),
        ("attribute.maker:ac*", ["gate-3"]),
        ('"north east"', ["gate-3"]),
        ("", ["det-1", "gate-1", "gate-10", "gate-2", "gate-3", "gateway"]),
        ("tag:[fire]", []),
    ],
)
def test_a_query_finds_what_fits_all_of_its_words(car_park, query, names):
    """Fields, tags, attributes, patterns, quotes, negation and plain text."""
    attributes = {"maker": "acme", "colour": "red"}
    car_park.put("thing", "gate-3", Thing(name="gate-3", location="North East ramp", attributes=attributes))
    assert [thing.name for thing in search(car_park.records, query).things] == names


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("tpye:boom_gate", "did you mean 'type'"),
        ("type:", "lacks a value"),
        ('"open', "not closed"),
        ("name:" + "*a" * 20, "more than 5 stars"),
        ("x " * 60, "at most 50 words"),
        ("x" * 3000, "at most 2000 characters"),
        ("group:nobody", "unknown group 'nobody'"),
    ],
)
def test_a_query_that_says_nothing_sensible_is_refused(car_park, query, words):
    """One sentence, with the nearest key."""
    with pytest.raises(RegistryError, match=words):
        search(car_park.records, query)


def test_pages_follow_each_other_without_gap_or_overlap(car_park):
    """Each asks the next, and the last asks none."""
    names, after, pages = [], "", 0
    while pages == 0 or after:
        page = search(car_park.records, "", limit=2, after=after)
        names += [thing.name for thing in page.things]
        after, pages = page.after, pages + 1
        assert page.total_count == 5
    assert names == sorted(names) == ["det-1", "gate-1", "gate-10", "gate-2", "gateway"]
    assert pages == 3


def test_a_group_has_those_put_in_those_found_and_those_below(car_park):
    """A thing tells the same groups as have it as a member."""
    put = car_park.put
    put("thing", "gate-9", Thing(name="gate-9", groups=("spare",)))
    put("group", "all", Group(name="all"))
    put("group", "spare", Group(name="spare", parent="all"))
    put("group", "fire", Group(name="fire", parent="all", query="tag:fire"))
    records = car_park.records
    assert members_of(records, "group:spare") == ["gate-9"]
    assert members_of(records, "group:fire") == ["gate-1"]
    assert members_of(records, "group:all") == ["gate-1", "gate-9"]
    assert groups_of(records, records.get("thing", "gate-1")) == ["fire", "all"]
    assert [thing.name for thing in search(records, "group:all -group:spare").things] == ["gate-1"]


def test_a_circle_of_groups_ends(car_park):
    """However it came about."""
    car_park.put("group", "a", Group(name="a", parent="b", query="tag:fire"))
    car_park.put("group", "b", Group(name="b", parent="a"))
    assert members_of(car_park.records, "group:b") == ["gate-1"]


def test_a_target_is_a_thing_a_group_or_a_query(car_park):
    """A thing that nobody registered is meant by its name; a name that is none is refused."""
    records = car_park.records
    assert members_of(records, "gate-1") == ["gate-1"]
    assert members_of(records, "unregistered") == ["unregistered"]
    assert members_of(records, "type:boom_gate level:L1") == ["gate-1", "gate-10"]
    with pytest.raises(RegistryError, match="unknown group"):
        members_of(records, "group:nobody")
    with pytest.raises(RegistryError, match="thing name"):
        members_of(records, "gate/1")
