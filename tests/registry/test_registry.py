"""Changing the registry, with optimistic versions and an audit log."""

import msgspec
import pytest

from twin.state.registry.audit import AuditLog
from twin.state.registry.policies import Client, Policy
from twin.state.registry.registry import Registry
from twin.state.registry.search import search
from twin.state.registry.things import Group, RegistryError, Thing

REGISTRY = Registry(types=frozenset({"boom_gate", "sign"}))


def test_a_thing_is_registered_once(transaction):
    """With the time and version one; the second is a conflict."""
    kept = REGISTRY.register(Thing(name="gate-1", type="boom_gate", version=9), transaction, by="ada")
    assert (kept.version, kept.created_s) == (1, 100.0)
    with pytest.raises(RegistryError, match="registered already") as refused:
        REGISTRY.register(Thing(name="gate-1"), transaction)
    assert refused.value.code == 409


@pytest.mark.parametrize(
    ("thing", "words"),
    [
        (Thing(name=""), "1 to 128"),
        (Thing(name="a/b"), "1 to 128"),
        (Thing(name="a" * 129), "1 to 128"),
        (Thing(name="a", site="car park"), "site 'car park'"),
        (Thing(name="a", site="+"), "site"),
        (Thing(name="a", tags=("x y",)), "tag 'x y'"),
        (Thing(name="a", type="boom_gat"), "did you mean 'boom_gate'"),
        (Thing(name="a", state="activ"), "did you mean 'active'"),
        (Thing(name="a", attributes={"k": "v" * 801}), "longer than 800"),
        (Thing(name="a", tags=tuple(f"t{number}" for number in range(51))), "more than 50 tags"),
        (Thing(name="a", position=(1.0, float("inf"))), "at most 3 finite numbers"),
        (Thing(name="a", position=(1.0, 2.0, 3.0, 4.0)), "at most 3 finite numbers"),
    ],
)
def test_what_cannot_be_kept_is_refused(transaction, thing, words):
    """Nothing is registered whose name could reach into other topics."""
    with pytest.raises(RegistryError, match=words) as refused:
        REGISTRY.register(thing, transaction)
    assert refused.value.code == 400
    assert transaction.changes == []


def test_a_change_needs_the_version_it_was_thought_for(transaction):
    """The second of two who read version one is told so; attributes are merged, None removes."""
    REGISTRY.register(Thing(name="gate-1", attributes={"a": "1", "b": "2"}), transaction)
    changes = {"level": "L1", "attributes": {"a": None, "c": "3"}}
    changed = REGISTRY.change("gate-1", changes, transaction, version=1)
    assert (changed.version, changed.level, changed.attributes) == (2, "L1", {"b": "2", "c": "3"})
    with pytest.raises(RegistryError, match="at version 2, not 1") as refused:
        REGISTRY.change("gate-1", {"level": "L2"}, transaction, version=1)
    assert refused.value.code == 409


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"levle": "L1"}, "did you mean 'level'"),
        ({"version": 7}, "unknown field"),
        ({"tags": 5}, "Expected `array`"),
    ],
)
def test_a_change_of_what_does_not_exist_is_refused(transaction, changes, words):
    """Nor may what the registry itself gives be changed, nor a field be of another type."""
    REGISTRY.register(Thing(name="gate-1"), transaction)
    with pytest.raises(RegistryError, match=words):
        REGISTRY.change("gate-1", changes, transaction)


def test_many_things_are_registered_but_for_the_bad_ones(transaction):
    """Each bad one is named with its reason."""
    things = [Thing(name="a"), Thing(name="b c"), Thing(name="a"), Thing(name="d", type="sgin")]
    refused = REGISTRY.register_all(things, transaction)
    assert set(refused) == {"b c", "a", "d"}
    assert search(transaction.records, "").total_count == 1


def test_a_removed_thing_takes_its_relationships_along(transaction):
    """No edge leads to nobody."""
    for name in ("a", "b", "c"):
        REGISTRY.register(Thing(name=name), transaction)
    REGISTRY.relate("a", "controls", "b", transaction)
    REGISTRY.relate("b", "feeds", "c", transaction)
    REGISTRY.relate("a", "feeds", "c", transaction)
    REGISTRY.remove("b", transaction)
    assert list(transaction.records.of("relationship")) == ["a/feeds/c"]
    with pytest.raises(RegistryError, match="unknown thing 'b'"):
        REGISTRY.relate("a", "feeds", "b", transaction)


def test_groups_policies_and_clients_are_checked(transaction):
    """A group cannot name groups in its query or stand below itself; versions count."""
    REGISTRY.put_group(Group(name="g", query="tag:fire"), transaction)
    assert REGISTRY.put_group(Group(name="g", query="tag:exit"), transaction, version=1).version == 2
    with pytest.raises(RegistryError, match="cannot name a group"):
        REGISTRY.put_group(Group(name="h", query="group:g"), transaction)
    with pytest.raises(RegistryError, match="below itself"):
        REGISTRY.put_group(Group(name="g", parent="g"), transaction)
    with pytest.raises(RegistryError, match="at version 2, not 1"):
        REGISTRY.discard("group", "g", transaction, version=1)
    with pytest.raises(RegistryError, match="unknown role 'servic'; did you mean 'service'"):
        REGISTRY.put_client(Client(name="x", role="servic"), transaction)
    REGISTRY.put_policy(
        Policy(name="p", subjects=("thing:*",), verbs=("publish",), topics=("a",)), transaction
    )
    REGISTRY.discard("policy", "p", transaction)


def test_every_change_is_in_the_audit_log(transaction):
    """With who, what, and when; the log can be asked, and forgets the oldest when it is full."""
    REGISTRY.register(Thing(name="gate-1"), transaction, by="ada")
    REGISTRY.change("gate-1", {"level": "L1"}, transaction, by="bob")
    REGISTRY.remove("gate-1", transaction, by="ada")
    log = AuditLog(limit=2)
    log.take(transaction)
    assert [(entry.who, entry.verb, entry.what, entry.at_s) for entry in log] == [
        ("bob", "change", "thing gate-1", 100.0),
        ("ada", "remove", "thing gate-1", 100.0),
    ]
    assert [entry.verb for entry in log.find(who="ada")] == ["remove"]
    assert (log.find(decision="refused"), log.dropped_count) == ([], 1)


def test_a_thing_comes_back_from_the_journal_as_it_was():
    """Positions and attributes too."""
    thing = Thing(name="a", position=(1.0, 2.5), attributes={"k": "v"}, tags=("x",))
    assert msgspec.json.decode(msgspec.json.encode(thing), type=Thing) == thing


def test_a_thing_is_not_related_to_itself(transaction):
    """Whoever follows edges would go in circles."""
    REGISTRY.register(Thing(name="gate-1"), transaction)
    with pytest.raises(RegistryError, match="related to itself"):
        REGISTRY.relate("gate-1", "contains", "gate-1", transaction)
