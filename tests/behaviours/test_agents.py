"""The agents of a managed device, alone and against the twins they are made for."""

import math

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices_models.managed_device import ManagedDevice
from twin.kernel.behaviour import LinkChanged, Observe, Received, Send, Started, Wake, Woken
from twin.message import Message
from twin.state.commands import Commands
from twin.state.jobs import Jobs
from twin.state.records import Transaction
from twin.state.sessions import Sessions
from twin.state.twins import Twins

JOBS = "$aws/things/pump/jobs/"


class Field:
    """One device and the twins, with every message at once unless a test loses it, and a clock."""

    def __init__(self, at_node, **options):
        self.device = ManagedDevice("broker", **options)
        self.context = at_node("pump")
        self.jobs, self.commands = Jobs(lambda _, target: [target]), Commands()
        self.twins = Twins([Sessions(), self.commands, self.jobs])
        self.wakes = {}
        self.observed = []
        self.lose = lambda _: False
        self.react(Started())
        self.react(LinkChanged("broker", is_up=True))

    @property
    def now_s(self):
        return self.context.now

    def react(self, event):
        for effect in list(self.device.react(event, self.context)):
            match effect:
                case Wake(after_s, tag):
                    self.wakes[tag] = self.now_s + after_s
                case Observe(measure, _):
                    self.observed.append(measure)
                case Send(_, message) if message.kind == "publish" and not self.lose(message):
                    topic = message.topic.replace("managed_device/pump", "things/pump")
                    self.take(self.twins.handle(Message(topic, message.payload), self.now_s))

    def take(self, transaction):
        for message in transaction.messages:
            topic = message.topic.replace("things/pump/cmd", "managed_device/pump/cmd")
            if not self.lose(message):
                self.react(Received(Message(topic, message.payload), "broker", self.now_s))

    def until(self, now_s):
        for _ in range(10_000):
            tag = min(self.wakes, key=self.wakes.get, default="")
            at_s = min(self.wakes.get(tag, math.inf), self.twins.next_due_s())
            if at_s > now_s:
                break
            self.context.now = max(self.now_s, at_s)
            if self.wakes.get(tag, math.inf) <= self.twins.next_due_s():
                del self.wakes[tag]
                self.react(Woken(tag))
            else:
                self.take(self.twins.elapse(self.now_s))
        self.context.now = now_s

    def create(self, job_id="j", document=None, **plan):
        transaction = Transaction(self.twins.records, self.now_s)
        document = {"version": "2.0"} if document is None else document
        self.jobs.create({"job_id": job_id, "targets": ["pump"], "document": document, **plan}, transaction)
        self.take(transaction)

    def command(self, name="prime", **options):
        transaction = Transaction(self.twins.records, self.now_s)
        command = self.commands.issue("pump", name, {}, transaction, timeout_s=60.0, **options)
        self.take(transaction)
        return command.id

    def execution(self, job_id="j"):
        return self.twins.records.get("execution", f"{job_id}/pump")

    def stage(self, command_id):
        return self.twins.records.get("command", command_id).stage


@pytest.fixture
def field(at_node):
    return Field(at_node, variation_ratio=0.0)


def test_a_device_installs_what_a_job_brings(field):
    """It downloads 8 s, installs 20 s, reboots 10 s, and says how far it is."""
    field.create()
    seen = []
    for now_s in (1.0, 9.0, 29.0, 39.0):
        field.until(now_s)
        seen.append((field.device.job.state, field.execution().status))

    assert seen == [
        ("downloading", "IN_PROGRESS"),
        ("updating", "IN_PROGRESS"),
        ("rebooting", "IN_PROGRESS"),
        ("idle", "SUCCEEDED"),
    ]
    assert field.device.job.firmware == "2.0"
    assert field.observed == ["firmware_updated"]


def test_jobs_are_done_one_after_the_other(field):
    """The second waits until the first is over."""
    field.create("j1")
    field.create("j2", {"version": "3.0", "size_bytes": 0})
    field.until(200.0)

    assert (field.execution("j1").status, field.execution("j2").status) == ("SUCCEEDED", "SUCCEEDED")
    assert field.device.job.firmware == "3.0"
    assert field.execution("j2").started_s == 38.0


def test_an_installation_that_fails_leaves_the_old_firmware(field):
    """And is reported."""
    field.create(document={"version": "2.0", "fail_share": 1.0})
    field.until(100.0)

    assert (field.execution().status, field.device.job.firmware) == ("FAILED", "1.0")
    assert field.observed == ["firmware_failed"]


def test_a_broken_device_is_silent(field):
    """Its job times out, and it obeys nothing any more."""
    field.create(document={"break_share": 1.0}, in_progress_timeout_s=60.0)
    field.until(1000.0)
    command_id = field.command()
    field.until(2000.0)

    assert (field.execution().status, field.stage(command_id)) == ("TIMED_OUT", "expired")
    assert field.observed == ["firmware_broken"]


def test_a_device_gives_up_what_is_canceled(field):
    """It learns of it when it reports, and goes on with the next job."""
    field.create()
    field.until(5.0)
    transaction = Transaction(field.twins.records, 5.0)
    field.jobs.cancel("j", transaction, force=True)
    field.take(transaction)
    field.create("k")
    field.until(200.0)

    assert (field.execution().status, field.execution("k").status) == ("CANCELED", "SUCCEEDED")


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_lost_messages_delay_a_job_and_do_not_spoil_it(at_node, data):
    """Whichever are lost in the first minutes, request or answer: it is done once, and reported."""
    field = Field(at_node, variation_ratio=0.0)
    field.lose = lambda _: field.now_s < 120.0 and data.draw(st.booleans())
    field.create()
    field.until(119.0)
    field.lose = lambda _: False
    field.react(LinkChanged("broker", is_up=True))
    field.until(400.0)

    assert field.execution().status == "SUCCEEDED"
    assert field.observed == ["firmware_updated"]


def test_a_command_is_received_and_done(field):
    """After the time that acting takes."""
    command_id = field.command()
    assert field.stage(command_id) == "acked"
    field.until(0.5)

    assert (field.stage(command_id), field.observed) == ("done", ["command_obeyed"])


def test_a_command_that_is_sent_twice_is_done_once(field):
    """The copy is answered with what was said last."""
    lost = []
    field.lose = lambda message: message.topic.endswith("/ack") and not lost.append(message)
    command_id = field.command(retries=5)
    field.until(5.0)
    field.lose = lambda _: False
    field.until(30.0)

    assert (field.stage(command_id), field.observed) == ("done", ["command_obeyed"])
    assert len(lost) == 2


def test_a_command_whose_time_has_passed_is_rejected(at_node):
    """By the device's own clock."""
    device, context = ManagedDevice("broker"), at_node("pump")
    context.now = 61.0
    late = msgspec.json.encode({"id": "c", "args": {}, "expires": 60_000})
    (answer,) = device.react(Received(Message("managed_device/pump/cmd/prime", late), "broker", 0.0), context)

    said = msgspec.json.decode(answer.message.payload)
    assert (answer.message.topic, said) == (
        "managed_device/pump/cmd/prime/ack",
        {"id": "c", "stage": "rejected", "code": 408},
    )


def test_a_device_that_refuses_says_so(at_node):
    """A command can fail."""
    field = Field(at_node, refusing_ratio=1.0)
    command_id = field.command()
    field.until(1.0)

    assert field.stage(command_id) == "failed"


@pytest.mark.parametrize("payload", [b"", b"no", b"[]", b"{}", b'{"id": 1}'])
@pytest.mark.parametrize(
    "topic",
    [
        "managed_device/pump/cmd/prime",
        f"{JOBS}notify-next",
        f"{JOBS}start-next/accepted",
        f"{JOBS}j/update/accepted",
    ],
)
def test_what_cannot_be_read_is_ignored(at_node, topic, payload):
    """Nothing raises, nothing begins."""
    device, context = ManagedDevice("broker"), at_node("pump")
    effects = device.react(Received(Message(topic, payload), "broker", 0.0), context)

    assert [effect for effect in effects if not isinstance(effect, Wake)] == []
    assert device.job.state == "idle"


def test_the_firmware_is_reported(at_node):
    """Every so often, while the device is up."""
    device, context = ManagedDevice("broker", every_s=60.0), at_node("pump")
    sent, wake = device.react(Woken("report"), context)

    assert msgspec.json.decode(sent.message.payload)["firmware"] == "1.0"
    assert wake == Wake(60.0, "report")
