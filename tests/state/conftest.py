"""Things with jobs: their twins, the groups they are in, and a clock."""

from typing import ClassVar

import msgspec
import pytest

from twin.message import Message
from twin.state.jobs import Jobs
from twin.state.records import Transaction
from twin.state.twins import Twins


class Fleet:
    """Twins with jobs, groups that a test sets, and a clock."""

    document: ClassVar = {"operation": "install", "version": "2.0"}

    def __init__(self, **groups):
        self.groups = {f"group:{name}": list(things) for name, things in groups.items()}
        self.twins = Twins([Jobs(lambda _, target: self.groups.get(target, [target]))])
        self.now_s = 0.0
        self.messages = []

    @property
    def jobs(self):
        return self.twins.components[0]

    def do(self, call, *arguments, **options):
        transaction = Transaction(self.twins.records, self.now_s)
        result = call(*arguments, transaction, **options)
        self.messages += transaction.messages
        return result

    def create(self, *targets, **plan):
        plan = {"job_id": "j", "targets": targets, "document": self.document, **plan}
        return self.do(self.jobs.create, plan)

    def ask(self, thing, operation, **document):
        topic = f"$aws/things/{thing}/jobs/{operation}"
        transaction = self.twins.handle(Message(topic, msgspec.json.encode(document)), self.now_s)
        self.messages += transaction.messages
        (answer,) = (each for each in transaction.messages if each.topic.startswith(topic + "/"))
        return answer.topic.rsplit("/", 1)[1], msgspec.json.decode(answer.payload)

    def until(self, now_s):
        while self.twins.next_due_s() <= now_s:
            self.now_s = max(self.now_s, self.twins.next_due_s())
            self.messages += self.twins.elapse(self.now_s).messages
        self.now_s = now_s

    def end(self, thing, status="SUCCEEDED", job="j", **more):
        return self.ask(thing, f"{job}/update", status=status, **more)

    def job(self, job_id="j"):
        return self.twins.records.get("job", job_id)

    def status(self, thing, job="j"):
        return self.twins.records.get("execution", f"{job}/{thing}").status

    def told(self, thing, topic):
        wanted = f"$aws/things/{thing}/jobs/{topic}"
        return [msgspec.json.decode(each.payload) for each in self.messages if each.topic == wanted]


@pytest.fixture
def fleet():
    """Three things in a hall."""
    return Fleet(hall=["a", "b", "c"])


@pytest.fixture
def fleet_of():
    """Makes a fleet of these groups."""
    return Fleet
