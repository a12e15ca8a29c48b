import copy
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from twin.message import Message
from twin.state.records import Records, Transaction
from twin.state.shadow import SHADOW, InFlight, RejectedError, Shadow, Shadows, ShadowSettings, requests
from twin.state.shadow.document import EMPTY
from twin.state.shadow.requests import read_update
from twin.state.twins import Twins

SCALARS = st.none() | st.booleans() | st.integers(-2, 2) | st.sampled_from([0.5, 1.0, "x", ""])
KEYS = st.sampled_from(["a", "b", "timestamp"])
TREES = st.recursive(
    SCALARS | st.lists(st.integers(0, 2), max_size=2),
    lambda below: st.dictionaries(KEYS, below, max_size=3),
    max_leaves=6,
)
SECTIONS = st.dictionaries(KEYS, TREES, max_size=3)


TOPIC = "$aws/things/thing/shadow"


def shadows(**settings):
    return Twins([Shadows(ShadowSettings(**settings))])


def ask(twins, verb, payload=b"", now_s=100.0, topic=TOPIC):
    """Send one request; return the documents by topic suffix."""
    messages = twins.handle(Message(f"{topic}/{verb}", payload), now_s).messages
    return {each.topic.removeprefix(f"{topic}/"): json.loads(each.payload) for each in messages}


def update(twins, state, now_s=100.0, **members):
    return ask(twins, "update", json.dumps({"state": state, **members}).encode(), now_s)


def rejection(payload):
    """The code and text with which a first update is rejected."""
    ((suffix, document),) = ask(shadows(), "update", payload).items()
    assert suffix == "update/rejected"
    return document["code"], document["message"]


@given(SECTIONS, SECTIONS)
@settings(max_examples=100)
def test_reporting_the_delta_empties_it(desired, reported):
    """A device that reports what the delta asks for has nothing left to do."""
    shadow = Shadow().updated({"desired": desired, "reported": reported}, 1.0)[0]
    delta, stamps = shadow.delta()

    assert shadow.updated({"reported": delta}, 2.0)[0].delta() == ({}, {})
    assert delta.keys() == stamps.keys()


@given(SECTIONS, SECTIONS)
@settings(max_examples=100)
def test_an_update_leaves_the_older_document_as_it_was(first, second):
    """Documents are never mutated, so an older one can be kept at no cost."""
    shadow = Shadow().updated({"desired": first, "reported": second}, 1.0)[0]
    before = copy.deepcopy(shadow)
    shadow.updated({"desired": second, "reported": first}, 2.0)
    assert shadow == before


@given(SECTIONS)
@settings(max_examples=100)
def test_metadata_mirrors_the_state(section):
    """A stamp stands at every leaf or above it, whatever the keys are; an empty object has none."""
    shadow = Shadow().updated({"desired": section}, 7.0)[0]
    check_mirrored(shadow.state.desired, shadow.metadata.desired)


def check_mirrored(state, stamps):
    """Compare the shape of a state with that of its metadata."""
    if isinstance(state, dict) and isinstance(stamps, dict):
        assert state.keys() == stamps.keys()
        for key, value in state.items():
            check_mirrored(value, stamps[key])
    else:
        assert stamps == 7.0


@pytest.mark.parametrize(
    ("payload", "code", "message"),
    [
        (b'{"state": {"reported": {"name": "caf\xe9"}}}', 415, "Unsupported documented encoding; supported"),
        (b'{"state": NaN}', 400, "Invalid JSON"),
        (b"[1]", 400, "Invalid JSON"),
        (b"[" * 100_000, 400, "Invalid JSON"),
        (b'{"state": 5}', 400, "State node must be an object"),
        (b'{"state": {"delta": {}}}', 400, "State contains an invalid node: 'delta'"),
        (b'{"state": {"reported": []}}', 400, "Reported node must be an object"),
        (b'{"state": {}, "version": true}', 400, "Invalid version"),
        (b'{"state": {}, "version": -1}', 400, "Invalid version"),
        (b'{"state": {}, "clientToken": 5}', 400, "Invalid clientToken"),
        (
            b'{"state": {"desired": {"a":{"b":{"c":{"d":{"e":{"f":{}}}}}}}}}',
            400,
            "JSON contains too many levels",
        ),
    ],
)
def test_a_bad_request_is_rejected(payload, code, message):
    """Each fault has its code and its text."""
    actual_code, actual_message = rejection(payload)
    assert actual_code == code
    assert actual_message.startswith(message)


def test_six_levels_are_accepted():
    """The section and five objects below it are six levels."""
    assert "update/accepted" in update(shadows(), {"desired": {"a": {"b": {"c": {"d": {"e": {}}}}}}})


@pytest.mark.parametrize(
    ("desired", "reported", "delta"),
    [
        (1, 1.0, None),
        (True, 1, True),
        (1.0, True, 1.0),
        (0, 0.0, None),
        (0, False, 0),
        ([1, 2], [1, 3], [1, 2]),
        ([1], [1.0], None),
        ([{"a": 1}], [{"a": 1, "b": 2}], [{"a": 1}]),
        ({}, 1, {}),
    ],
)
def test_values_differ_as_json_values(desired, reported, delta):
    """1 equals 1.0 and true is no number; arrays are compared and reported whole."""
    shadow = Shadow().updated({"desired": {"v": desired}, "reported": {"v": reported}}, 1.0)[0]
    assert shadow.delta()[0].get("v") == delta


def test_a_new_object_of_nulls_is_not_stored():
    """Nulls inside a new object are left out, and so is an object that holds nothing else."""
    shadow = Shadow().updated({"desired": {"a": {"b": None}, "c": {"d": None, "e": 1}}}, 1.0)[0]
    assert shadow.state.tree() == {"desired": {"c": {"e": 1}}}


def test_the_numbering_goes_on_after_a_delete():
    """The deletion of version 2 takes number 3, and the shadow created next is version 4."""
    twins = shadows()
    update(twins, {"reported": {"a": 1}})
    update(twins, {"reported": {"a": 2}})
    assert ask(twins, "delete") == {"delete/accepted": {"version": 2, "timestamp": 100}}
    answers = update(twins, {"reported": {"a": 3}})
    assert answers["update/accepted"]["version"] == 4
    assert "previous" not in answers["update/documents"]


def test_a_get_with_bad_json_is_rejected():
    """The payload of a get is empty, or an object with a client token that is echoed."""
    twins = shadows()
    update(twins, {"reported": {"a": 1}})
    ((suffix, document),) = ask(twins, "get", b"{").items()
    assert (suffix, document["code"]) == ("get/rejected", 400)
    assert ask(twins, "get", b'{"clientToken":"t"}')["get/accepted"]["clientToken"] == "t"


@pytest.mark.parametrize("verb", ["update", "get", "delete"])
def test_a_named_shadow_without_a_name_is_not_the_classic_one(verb):
    """Its topic has an empty level; the classic shadow is left as it was."""
    twins = shadows()
    update(twins, {"reported": {"a": 1}})
    answers = ask(twins, verb, b'{"state":{"desired":{"a":2}}}', topic=f"{TOPIC}/name/")
    assert [(suffix, each["code"]) for suffix, each in answers.items()] == [(f"{verb}/rejected", 400)]
    assert "Invalid shadow name: ''" in answers[f"{verb}/rejected"]["message"]
    assert ask(twins, "get")["get/accepted"]["version"] == 1


def test_shadows_are_bounded():
    """A service with as many shadows as it may have refuses another, and still updates its own."""
    records = Records()
    for number in range(1_000):
        records.put(SHADOW, str(number), Shadow(version=1))
    twins = Twins([Shadows(ShadowSettings(shadow_limit=1_000))], records)
    assert update(twins, {"reported": {"a": 1}})["update/rejected"]["code"] == 429
    assert "update/accepted" in ask(twins, "update", b'{"state":{}}', topic="$aws/things/0/shadow")


def test_too_many_requests_of_one_thing_in_flight():
    """The host counts them, and answers 429 with the token in place of handling the eleventh."""
    flying, topic = InFlight(), f"{TOPIC}/update"
    named, other = "$aws/things/thing/shadow/name/cfg/get", "$aws/things/other/shadow/get"
    assert [flying.begin(topic if number % 2 else named) for number in range(11)] == [True] * 10 + [False]
    assert flying.begin(other)
    assert flying.begin(f"{topic}/accepted"), "what is no request is not counted"
    flying.end(named)
    assert flying.begin(topic)
    for _ in range(10):
        flying.end(topic)
    flying.end(other)
    assert flying.counts == {}

    twins = shadows()
    transaction = Transaction(twins.records, 100.0)
    twins.components[0].refuse(Message(topic, b'{"state":{},"clientToken":"t"}'), transaction)
    (refusal,) = transaction.messages
    assert refusal.topic == f"{topic}/rejected"
    assert json.loads(refusal.payload) == {
        "code": 429,
        "message": "Too many requests in flight",
        "timestamp": 100,
        "clientToken": "t",
    }
    twins.components[0].refuse(Message(f"{topic}/accepted"), transaction)
    assert len(transaction.messages) == 1


@pytest.mark.parametrize(("name", "is_valid"), [("a" * 128, True), ("a" * 129, False), ("a b", False)])
def test_a_thing_has_a_name_of_its_kind(name, is_valid):
    """128 letters, digits, colons, underscores and hyphens at most."""
    topic = f"$aws/things/{name}/shadow"
    answers = ask(shadows(), "update", b'{"state":{}}', topic=topic)
    assert ("update/accepted" in answers) is is_valid
    if not is_valid:
        assert answers["update/rejected"]["code"] == 400
        assert "Invalid thing name" in ask(shadows(), "get", topic=topic)["get/rejected"]["message"]


def test_documents_follow_each_other_in_every_branch(monkeypatch):
    """What is remembered of a document is used for that very record only, in a fork as in the twins."""
    monkeypatch.setattr("twin.state.shadow.shadows.DOCUMENTS_REMEMBERED", 2)
    twins = shadows()
    for thing in "abc":
        ask(twins, "update", b'{"state":{"reported":{"n":0}}}', topic=f"$aws/things/{thing}/shadow")
    branches = [twins, twins.fork(), twins.fork()]
    said = {}
    for number in range(1, 4):
        for index, branch in enumerate(branches):
            for thing in "abc":
                payload = json.dumps({"state": {"reported": {"n": 10 * number + index}}}).encode()
                answers = ask(branch, "update", payload, 100.0, f"$aws/things/{thing}/shadow")
                documents = answers["update/documents"]
                before = said.get((index, thing))
                assert documents["previous"]["state"]["reported"]["n"] == (before or 0)
                said[index, thing] = documents["current"]["state"]["reported"]["n"]
                assert said[index, thing] == 10 * number + index


def test_documents_are_built_only_if_somebody_wants_them():
    """They cost as much as all the rest."""
    assert set(update(shadows(has_documents=False), {"desired": {"a": 1}})) == {
        "update/accepted",
        "update/delta",
    }


BODIES = st.fixed_dictionaries(
    {},
    optional={
        "state": st.none()
        | SCALARS
        | st.dictionaries(st.sampled_from(["desired", "reported", "x"]), SCALARS | SECTIONS, max_size=2),
        "version": SCALARS | st.integers(0, 3),
        "clientToken": SCALARS | st.text(min_size=10, max_size=24),
        "eventTime": SCALARS | st.sampled_from([1.5e300, 10**400]),
        "expiresIn": SCALARS,
        "condition": SCALARS | st.dictionaries(KEYS, SCALARS),
        "more": SCALARS,
    },
)


@given(st.lists(BODIES, max_size=2), st.booleans())
@settings(max_examples=500, suppress_health_check=[HealthCheck.too_slow])
def test_a_usual_request_is_read_as_a_strange_one_is(bodies, has_extensions):
    """What is decoded in one step is what is checked member by member, also if members come twice."""
    given = ShadowSettings(has_extensions=has_extensions, token_limit_bytes=40)
    payload = b"{" + b",".join(each for body in bodies if (each := json.dumps(body).encode()[1:-1])) + b"}"

    assert read(read_update, payload, given) == read(requests._read_strange, payload, given)


def read(reader, payload, given):
    """A request with its kinds of numbers, or what is said against it."""
    try:
        request = reader(payload, given)
    except RejectedError as error:
        return error.document(0)
    return repr(request)


def test_sections_that_are_updated_at_one_moment_are_measured_together():
    """As many requests of a batch are handled at one moment."""
    twins, moment_s = shadows(state_limit_bytes=400), 100.0
    assert "update/accepted" in update(twins, {"desired": {"a": "x" * 250}}, moment_s)

    assert update(twins, {"reported": {"a": "x" * 250}}, moment_s)["update/rejected"]["code"] == 413
    assert twins.records.get(SHADOW, "thing").state.tree().keys() == {"desired"}


@given(st.lists(st.dictionaries(KEYS, st.text(max_size=60) | st.none() | st.just({"x": 1}), max_size=3)))
@settings(max_examples=200)
def test_a_state_is_refused_exactly_when_it_is_too_long(reports):
    """The length that is allowed is that of the whole state, however many updates it took."""
    twins, plain = shadows(state_limit_bytes=100, has_documents=False), Shadow()
    for report in reports:
        after = plain.updated({"reported": report}, 1.0)[0]
        said = update(twins, {"reported": report})
        assert ("update/rejected" in said) is (after.state_bytes() > 100)
        plain = plain if "update/rejected" in said else after
    assert getattr(twins.records.get(SHADOW, "thing"), "state", EMPTY) == plain.state
