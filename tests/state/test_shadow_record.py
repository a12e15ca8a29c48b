import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from twin.message import Message
from twin.state.shadow import SHADOW, TOMBSTONE, Shadows, ShadowSettings
from twin.state.twins import Twins

TOPIC = "$aws/things/thing/shadow"
KEYS = st.sampled_from(["timestamp", "received_s", "a", "b/c", "d~e", "ü", ""])
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=3),
    lambda below: (
        st.dictionaries(KEYS, below, max_size=3) | st.lists(below.filter(lambda x: x is not None), max_size=3)
    ),
    max_leaves=8,
)
SECTIONS = st.dictionaries(KEYS, VALUES, max_size=4)
REQUESTS = st.fixed_dictionaries(
    {"state": st.fixed_dictionaries({}, optional={"desired": SECTIONS, "reported": SECTIONS})},
    optional={
        "eventTime": st.floats(0.0, 2e9) | st.integers(0, 10**12),
        "expiresIn": st.floats(1e-3, 1e9),
    },
)


@given(st.lists(st.tuples(REQUESTS, st.floats(0.0, 1e9)), min_size=1, max_size=4))
@settings(max_examples=150)
def test_a_record_reads_back_from_json_as_it_was(requests):
    """Whatever keys are called and however numbers are written, nothing of a record is lost or changed."""
    twins = Twins([Shadows(ShadowSettings(has_extensions=True, depth_limit=20))])
    now_s = 0.0
    for request, after_s in requests:
        now_s += after_s
        twins.handle(Message(f"{TOPIC}/update", msgspec.json.encode(request)), now_s)
    for _, _, record in twins.records:
        text = msgspec.json.encode(record)
        again = msgspec.json.decode(text, type=twins.kinds[SHADOW])
        assert again == record
        assert msgspec.json.encode(again) == text
        assert again.delta() == record.delta()
        assert again.document() == record.document()


def test_a_deleted_shadow_reads_back_too():
    """What remains of it is a record of its own kind, with the end of its remembrance."""
    twins = Twins([Shadows(ShadowSettings(tombstone_s=60.0))])
    twins.handle(Message(f"{TOPIC}/update", b'{"state":{"reported":{"a":1}}}'), 1.0)
    twins.handle(Message(f"{TOPIC}/delete"), 2.0)
    stone = twins.records.get(TOMBSTONE, "thing")
    assert (stone.version, stone.due_s) == (2, 62.0)
    assert msgspec.json.decode(msgspec.json.encode(stone), type=twins.kinds[TOMBSTONE]) == stone
    assert len(twins.records.of(SHADOW)) == 0

    twins.elapse(62.0)
    answer = twins.handle(Message(f"{TOPIC}/update", b'{"state":{"reported":{"a":1}}}'), 63.0).messages[0]
    assert msgspec.json.decode(answer.payload)["version"] == 1


def test_a_recreated_shadow_leaves_no_remains():
    """The number goes on once; then the record of the deletion is gone."""
    twins = Twins([Shadows()])
    update = Message(f"{TOPIC}/update", b'{"state":{"reported":{"a":1}}}')
    twins.handle(update, 1.0)
    twins.handle(Message(f"{TOPIC}/delete"), 2.0)
    twins.handle(update, 3.0)
    assert twins.records.get(SHADOW, "thing").version == 3
    assert twins.records.get(TOMBSTONE, "thing") is None


def test_an_old_record_lacks_what_came_later():
    """A record leaves out what equals its default, so a journal of an older version still reads."""
    record = msgspec.json.decode(b'{"version":3,"state":{},"metadata":{}}', type=Shadows().kinds[SHADOW])
    assert (record.version, record.expiries, record.delta_since_s) == (3, {}, None)
