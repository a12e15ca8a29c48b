import json
import math
from types import SimpleNamespace

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from twin.errors import RefusedError
from twin.message import Message
from twin.state.commands import ENDED, RANK, Commands, combined, commands
from twin.state.journal import RecordReader
from twin.state.records import Records, Transaction
from twin.state.registry.registry import Registry
from twin.state.registry.things import Thing
from twin.state.sessions import Sessions
from twin.state.standard import component, standard_twins
from twin.state.twins import Twins


def at(twins, now_s):
    return Transaction(twins.records, now_s)


def issue(twins, now_s=0.0, thing="gate-1", timeout_s=10.0, **options):
    transaction = at(twins, now_s)
    command = twins.components[1].issue(
        thing, "open", {"wide": True}, transaction, timeout_s=timeout_s, **options
    )
    return command, transaction


def ack(twins, now_s, command, stage, thing="gate-1", **more):
    document = {"id": command.id, "stage": stage, **more}
    return twins.handle(Message(f"things/{thing}/cmd/open/ack", msgspec.json.encode(document)), now_s)


def stand(twins, command):
    return twins.records.get("command", command.id)


def online(twins, now_s, is_online=True, session=1):
    payload = msgspec.json.encode({"online": is_online, "session": session})
    return twins.handle(Message("things/gate-1/session", payload), now_s)


@pytest.fixture
def twins():
    return Twins([Sessions(), Commands()])


def test_a_command_goes_out_and_comes_back_done(twins):
    """The result is kept, and the time from asking to done is measured."""
    command, transaction = issue(twins)
    (message,) = transaction.messages
    ack(twins, 1.0, command, "received")
    done = ack(twins, 2.5, command, "done", result={"angle": 90})

    assert message.topic == "things/gate-1/cmd/open"
    assert msgspec.json.decode(message.payload) == {
        "id": command.id,
        "args": {"wide": True},
        "expires": 10_000,
    }
    assert done.observations == [("command_done", 1.0), ("command_latency", 2.5)]
    assert (stand(twins, command).stage, stand(twins, command).result) == ("done", {"angle": 90})


def test_a_thing_of_the_registry_hears_it_at_its_place(twins):
    """Site and type come from its record."""
    twins.records.of("thing")["gate-1"] = SimpleNamespace(site="park", type="boom_gate", due_s=math.inf)
    _, transaction = issue(twins)

    assert transaction.messages[0].topic == "site/park/boom_gate/gate-1/cmd/open"


def test_a_command_waits_for_the_session(twins):
    """It is queued, goes out at the birth, and expires if there is none."""
    command, transaction = issue(twins, wait_for_session=True)
    late, _ = issue(twins, thing="gate-2", wait_for_session=True)

    assert (transaction.messages, command.stage) == ([], "queued")
    assert [message.topic for message in online(twins, 4.0).messages] == ["things/gate-1/cmd/open"]
    assert stand(twins, command).stage == "sent"
    assert twins.elapse(10.0).observations == [("command_expired", 1.0)] * 2
    assert stand(twins, late).stage == "expired"


def test_a_birth_told_twice_sends_nothing_twice(twins):
    """Only another session is asked again."""
    issue(twins, wait_for_session=True, retries=3)

    assert len(online(twins, 1.0).messages) == 1
    assert len(online(twins, 1.5).messages) == 0
    assert len(online(twins, 2.0, session=2).messages) == 1


def test_an_unanswered_command_is_sent_again_with_the_same_id(twins):
    """As often as asked, evenly over the time there is; an answer ends that."""
    command, _ = issue(twins, timeout_s=9.0, retries=2)
    again = twins.elapse(3.0)
    ack(twins, 4.0, command, "received")

    assert msgspec.json.decode(again.messages[0].payload)["id"] == command.id
    assert twins.elapse(8.9).messages == []
    assert stand(twins, command).sent_count == 2
    assert twins.elapse(9.0).observations == [("command_expired", 1.0)]


def test_an_answer_never_leads_back(twins):
    """Done and then received, or failed and then done: the first end stands."""
    command, _ = issue(twins)
    ack(twins, 1.0, command, "failed", code=503)

    assert ack(twins, 2.0, command, "received").observations == [("command_late", 1.0)]
    assert ack(twins, 3.0, command, "done").observations == [("command_late", 1.0)]
    assert (stand(twins, command).stage, stand(twins, command).status) == ("failed", 503)


def test_an_answer_after_the_end_of_time_is_remembered(twins):
    """The command stays expired, and says that the device did it after all."""
    command, _ = issue(twins)
    twins.elapse(10.0)
    ack(twins, 11.0, command, "done")

    assert (stand(twins, command).stage, stand(twins, command).late_stage) == ("expired", "done")


@pytest.mark.parametrize(
    "payload", [b"", b"[]", b'{"id": "x", "stage": "done"}', b'{"id": 1, "stage": "gone"}']
)
def test_an_answer_to_nothing_is_counted(twins, payload):
    """Unknown ids and unreadable payloads."""
    answer = twins.handle(Message("things/gate-1/cmd/open/ack", payload), 1.0)

    assert answer.observations == [("command_unknown", 1.0)]


def test_another_thing_cannot_answer(twins):
    """The topic tells who speaks."""
    command, _ = issue(twins)

    assert ack(twins, 1.0, command, "done", thing="gate-2").observations == [("command_unknown", 1.0)]
    assert stand(twins, command).stage == "sent"


def test_the_same_key_is_the_same_command(twins):
    """And another command under the key is a conflict."""
    first, _ = issue(twins, key="k")
    second, transaction = issue(twins, 1.0, key="k")
    with pytest.raises(RefusedError, match="another command") as refused:
        issue(twins, 2.0, thing="gate-2", key="k")

    assert (second.id, transaction.messages, transaction.changes) == (first.id, [], [])
    assert refused.value.code == 409


def test_what_has_ended_is_forgotten_with_its_key(twins):
    """After the time that it is kept; nothing falls due any more."""
    first, _ = issue(twins, key="k")
    ack(twins, 1.0, first, "done")
    twins.elapse(10.0 + 3600.0)
    second, _ = issue(twins, 4000.0, key="k")

    assert second.id != first.id
    assert commands(twins.records) == [second]


def test_a_thing_has_so_many_open_commands_at_most():
    """One that ends makes room."""
    few = Twins([Sessions(), Commands(open_limit=2)])
    first, _ = issue(few)
    issue(few)
    with pytest.raises(RefusedError, match="limit") as refused:
        issue(few)
    ack(few, 1.0, first, "done")
    issue(few, 2.0)

    assert refused.value.code == 429
    assert len(commands(few.records, is_open=True)) == 2


def test_the_oldest_that_has_ended_makes_room():
    """Too many open ones are refused."""
    few = Twins([Sessions(), Commands(kept_limit=2)])
    first, _ = issue(few, key="k")
    second, _ = issue(few)
    with pytest.raises(RefusedError, match="limit"):
        issue(few)
    ack(few, 1.0, first, "done")
    third, _ = issue(few, 2.0)

    assert [command.id for command in commands(few.records)] == [third.id, second.id]
    assert few.records.get("command_key", "k") is None


@pytest.mark.parametrize(
    "bad",
    [
        {"thing": "a/b"},
        {"name": "+"},
        {"timeout_s": 0.0},
        {"timeout_s": math.nan},
        {"retries": 10},
        {"arguments": {"x": "x" * 70_000}},
        {"arguments": {"x": json.loads("[" * 64 + "]" * 64)}},
    ],
)
def test_a_bad_command_is_refused_and_changes_nothing(twins, bad):
    """With 400, or 413 for what is too long."""
    asked = {"thing": "gate-1", "name": "open", "arguments": {}, "timeout_s": 1.0, **bad}
    transaction = at(twins, 0.0)
    with pytest.raises(RefusedError) as refused:
        twins.components[1].issue(**asked, transaction=transaction)

    assert refused.value.code in (400, 413)
    assert (transaction.changes, list(twins.records)) == ([], [])


@pytest.mark.parametrize(
    ("deep", "stage"), [(b"[" * 99_999, "sent"), (b"[" * 65 + b"]" * 65, "done"), (b"[[1]]", "done")]
)
def test_a_result_that_nobody_could_walk_is_not_kept(twins, deep, stage):
    """What a device says must not break whoever lists its commands later."""
    command, _ = issue(twins)
    said = b'{"id":"%s","stage":"done","result":%s}' % (command.id.encode(), deep)
    twins.handle(Message("things/gate-1/cmd/open/ack", said), 1.0)
    assert stand(twins, command).stage == stage
    assert stand(twins, command).result == ([[1]] if deep == b"[[1]]" else None)


@pytest.mark.parametrize("arguments", [{"for_s": 9999}, {"for_s": "long"}])
def test_the_arguments_of_a_command_are_those_of_its_type(arguments):
    """The twin is told, and not the lock; what the type does not know may be anything."""
    twins = standard_twins()
    commands_of = component(twins, Commands)
    transaction = at(twins, 0.0)
    for name in ("lock-1", "lock-2"):
        component(twins, Registry).register(Thing(name=name, type="lock", site="s"), transaction)
    with pytest.raises(RefusedError, match="'unlock' to 'lock-1': for_s") as caught:
        commands_of.issue_all(["lock-1", "lock-2"], "unlock", arguments, transaction, timeout_s=5.0)
    assert caught.value.code == 400
    assert twins.records.of("command") == {}
    assert commands_of.issue("lock-1", "unlock", {"for_s": 9}, transaction, timeout_s=5.0).stage == "sent"
    assert commands_of.issue("lock-1", "polish", arguments, transaction, timeout_s=5.0).stage == "sent"
    assert commands_of.issue("other", "unlock", arguments, transaction, timeout_s=5.0).stage == "sent"


@pytest.mark.parametrize(
    ("answers", "status"),
    [
        (["done", "done"], 200),
        (["done", None], 408),
        ([None, None], 408),
        (["done", "failed"], 424),
        (["failed", None], 424),
        (["received", "done"], 408),
        (["done"], 200),
        (["rejected"], 403),
    ],
)
def test_a_group_has_one_status(twins, answers, status):
    """202 before the end; then done, expired, or some did not."""
    things = [f"gate-{number}" for number in range(len(answers))]
    transaction = at(twins, 0.0)
    group = twins.components[1].issue_all(things, "open", {}, transaction, timeout_s=10.0, key="all")
    assert combined(twins.records, group)["status"] == 202
    for thing, command_id, stage in zip(things, group.ids, answers, strict=True):
        if stage:
            ack(twins, 1.0, SimpleNamespace(id=command_id), stage, thing=thing)
    twins.elapse(10.0)
    again = twins.components[1].issue_all(things, "open", {}, at(twins, 11.0), timeout_s=10.0, key="all")

    assert combined(twins.records, group)["status"] == status
    assert again == group


class Conversation(RuleBasedStateMachine):
    """One thing, its session, and a service that is asked, answered and left alone in any order."""

    def __init__(self):
        super().__init__()
        self.twins = Twins([Sessions(), Commands(open_limit=5)])
        self.now_s = 0.0
        self.seen = {}
        self.sent = {}
        self.issued = []

    def take(self, transaction):
        for message in transaction.messages:
            command_id = msgspec.json.decode(message.payload)["id"]
            self.sent[command_id] = self.sent.get(command_id, 0) + 1

    @rule(
        wait=st.booleans(),
        retries=st.integers(0, 3),
        timeout_s=st.floats(1.0, 60.0),
        key=st.sampled_from(["", "a"]),
    )
    def ask(self, wait, retries, timeout_s, key):
        transaction = at(self.twins, self.now_s)
        try:
            command = self.twins.components[1].issue(
                "gate-1",
                "open",
                {},
                transaction,
                timeout_s=timeout_s,
                wait_for_session=wait,
                retries=retries,
                key=key,
            )
        except RefusedError:
            assert len(commands(self.twins.records, is_open=True)) == 5
            return
        if transaction.changes:
            self.issued.append((command, retries))
        self.take(transaction)

    @precondition(lambda self: self.issued)
    @rule(data=st.data(), stage=st.sampled_from(["received", "done", "failed", "rejected"]))
    def answer(self, data, stage):
        command, _ = data.draw(st.sampled_from(self.issued))
        self.take(ack(self.twins, self.now_s, command, stage))

    @rule(is_online=st.booleans(), session=st.integers(1, 3))
    def connect(self, is_online, session):
        self.take(online(self.twins, self.now_s, is_online, session))

    @rule(after_s=st.floats(0.0, 30.0))
    def elapse(self, after_s):
        self.now_s += after_s
        self.take(self.twins.elapse(self.now_s))

    @rule()
    def restart(self):
        """All that is known goes through the journal's text and back; the clock goes on."""
        reader = RecordReader(self.twins.kinds)
        kept = Records()
        for kind, key, record in self.twins.records:
            kept.put(kind, key, reader.read(kind, key, msgspec.json.encode(record)))
        assert list(kept) == list(self.twins.records)
        self.twins = Twins(self.twins.components, kept)

    @invariant()
    def no_command_goes_back(self):
        for command in commands(self.twins.records):
            before = self.seen.get(command.id, "queued")
            assert RANK[command.stage] >= RANK[before]
            assert before not in ENDED or command.stage == before
            self.seen[command.id] = command.stage

    @invariant()
    def none_is_sent_too_often(self):
        for command, retries in self.issued:
            assert self.sent.get(command.id, 0) <= retries + 1
        assert set(self.sent) <= {command.id for command, _ in self.issued}

    @invariant()
    def what_is_open_is_listed(self):
        listed = self.twins.records.get("open_commands", "gate-1")
        ids = {command.id for command in commands(self.twins.records, is_open=True)}
        assert ids == set(listed.ids if listed else ())

    def teardown(self):
        self.twins.elapse(self.now_s + 1000.0)
        assert commands(self.twins.records, is_open=True) == []
        self.twins.elapse(self.now_s + 10_000.0)
        assert self.twins.next_due_s() == math.inf
        assert commands(self.twins.records) == []


TestConversation = Conversation.TestCase
TestConversation.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
