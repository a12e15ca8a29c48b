import math

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from twin.errors import RefusedError
from twin.message import Message
from twin.state.jobs import Jobs
from twin.state.jobs.records import OPEN
from twin.state.journal import RecordReader
from twin.state.records import Records, Transaction
from twin.state.twins import Twins

THINGS = [f"t{number}" for number in range(8)]
STATUSES = ("IN_PROGRESS", "SUCCEEDED", "FAILED", "REJECTED")

plans = st.fixed_dictionaries(
    {"in_progress_timeout_s": st.sampled_from([60.0, 300.0])},
    optional={
        "rollout": st.fixed_dictionaries(
            {"per_minute": st.integers(1, 8)},
            optional={"factor": st.floats(1.1, 3.0), "increase_every": st.integers(1, 3)},
        ),
        "waves": st.fixed_dictionaries(
            {"shares": st.sampled_from([[1.0], [0.25, 0.75], [0.1, 0.3, 0.6]])},
            optional={
                "success_threshold": st.sampled_from([0.5, 1.0]),
                "error_threshold": st.sampled_from([0.2, 0.5]),
                "confirm": st.booleans(),
                "confirm_within_s": st.just(200.0),
            },
        ),
        "abort": st.lists(
            st.fixed_dictionaries(
                {"threshold": st.sampled_from([0.2, 0.6]), "min_executed": st.integers(1, 4)}
            ),
            max_size=2,
        ),
        "retry": st.just([{"failure_type": "ALL", "retries": 2}]),
        "start_s": st.sampled_from([0.0, 30.0]),
        "end_s": st.sampled_from([100.0, 400.0]),
        "end_behavior": st.sampled_from(["stop_rollout", "cancel", "force_cancel"]),
        "rollback": st.just({"version": "1"}),
    },
)


class Campaigning(RuleBasedStateMachine):
    """Jobs on a few things, which answer or do not, are late, restart, while people interfere."""

    def __init__(self):
        super().__init__()
        self.twins = Twins([Jobs(lambda _, target: THINGS if target == "group:all" else [target])])
        self.now_s = 0.0
        self.number = 0
        self.told = []
        self.ended = {}

    @property
    def records(self):
        return self.twins.records

    @property
    def job_ids(self):
        return list(self.records.of("job"))

    def call(self, ask, *arguments, **options):
        transaction = Transaction(self.records, self.now_s)
        try:
            ask(*arguments, transaction, **options)
        except RefusedError:
            assert transaction.changes == []
        self.take(transaction)

    def take(self, transaction):
        for change in transaction.changes:
            if change.kind == "execution" and change.what == "put" and change.record.version == 1:
                self.told.append((self.now_s, change.record.job_id))
            if change.kind == "execution" and change.what == "put" and change.record.status == "CANCELED":
                assert not self.was_in_progress(change) or self.is_forced(change.record)

    def was_in_progress(self, change):
        return change.record.started_s is not None and change.record.status == "CANCELED"

    def is_forced(self, execution):
        job = self.records.get("job", execution.job_id)
        return job is None or job.is_forced

    @initialize(plan=plans)
    def first(self, plan):
        self.start(plan)

    @precondition(lambda self: len(self.records.of("job_plan")) < 4)
    @rule(plan=plans)
    def start(self, plan):
        self.number += 1
        number = self.number
        plan = {"job_id": f"j{number}", "targets": ["group:all"], "document": {"n": number}, **plan}
        self.call(self.twins.components[0].create, plan)

    @rule(thing=st.sampled_from(THINGS), operation=st.sampled_from(["get", "start-next", "$next/get"]))
    def ask(self, thing, operation):
        self.take(self.twins.handle(Message(f"$aws/things/{thing}/jobs/{operation}"), self.now_s))

    @rule(
        thing=st.sampled_from(THINGS),
        status=st.sampled_from(STATUSES),
        version=st.integers(0, 3),
        data=st.data(),
    )
    def report(self, thing, status, version, data):
        job_id = data.draw(st.sampled_from(self.job_ids or ["none"]))
        request = {"status": status} | ({"expectedVersion": version} if version else {})
        topic = f"$aws/things/{thing}/jobs/{job_id}/update"
        self.take(self.twins.handle(Message(topic, msgspec.json.encode(request)), self.now_s))

    @rule(
        data=st.data(), what=st.sampled_from(["cancel", "cancel", "confirm", "delete"]), force=st.booleans()
    )
    def interfere(self, data, what, force):
        job_id = data.draw(st.sampled_from(self.job_ids or ["none"]))
        options = {} if what == "confirm" else {"force": force}
        self.call(getattr(self.twins.components[0], what), job_id, **options)

    @rule(after_s=st.sampled_from([0.5, 5.0, 30.0, 100.0]))
    def wait(self, after_s):
        """Time passes with a service that wakes when something is due."""
        end_s = self.now_s + after_s
        while self.twins.next_due_s() <= end_s:
            self.now_s = max(self.now_s, self.twins.next_due_s())
            self.take(self.twins.elapse(self.now_s))
        self.now_s = end_s

    @rule(after_s=st.sampled_from([5.0, 100.0]))
    def oversleep(self, after_s):
        """Time passes with a service that was down."""
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
    def counts_add_up(self):
        for job in self.records.of("job").values():
            found = {}
            for execution in self.records.of("execution").values():
                if execution.job_id == job.job_id:
                    found[execution.status] = found.get(execution.status, 0) + 1
            assert job.counts == found
            assert sum(found.values()) == job.notified_count <= job.target_count
            bad = sum(wave.over_count for wave in job.waves)
            assert bad <= sum(count for status, count in found.items() if status not in OPEN) or not job.waves

    @invariant()
    def a_completed_job_has_nothing_open(self):
        for job in self.records.of("job").values():
            assert job.status != "COMPLETED" or (job.open_count == 0 and job.due_s == math.inf)

    @invariant()
    def nothing_is_told_after_the_window(self):
        for job_id, plan in self.records.of("job_plan").items():
            job = self.records.get("job", job_id)
            if plan.end_s is not None and plan.end_s <= self.now_s and job.status == "IN_PROGRESS":
                assert job.is_rollout_stopped or self.twins.next_due_s() <= self.now_s

    @invariant()
    def what_is_open_waits_at_its_thing_and_nothing_else_does(self):
        waiting = {
            (thing, job_id)
            for thing, queue in self.records.of("pending_jobs").items()
            for job_id in queue.job_ids
        }
        executions = self.records.of("execution").values()
        assert waiting == {(each.thing, each.job_id) for each in executions if each.status in OPEN}

    @invariant()
    def an_end_is_an_end(self):
        for key, execution in self.records.of("execution").items():
            if key in self.ended:
                assert execution == self.ended[key]
            elif execution.status not in OPEN:
                self.ended[key] = execution
        self.ended = {key: each for key, each in self.ended.items() if key in self.records.of("execution")}

    @invariant()
    def no_minute_has_more_than_the_rate(self):
        for job_id, plan in self.records.of("job_plan").items():
            times = [at_s for at_s, told_id in self.told if told_id == job_id]
            if plan.rollout is not None and times:
                last = max(times)
                in_minute = sum(1 for at_s in times if last - 60.0 + 1e-6 < at_s)
                assert in_minute <= plan.rollout.rate(len(times), 0)

    def teardown(self):
        """Things stay silent from here on: timers alone end what is in progress; nobody starts the rest."""
        for _ in range(2):
            for thing in THINGS:
                for _ in range(60):
                    self.take(self.twins.handle(Message(f"$aws/things/{thing}/jobs/start-next"), self.now_s))
                    self.wait(301.0)
                    if self.records.get("pending_jobs", thing) is None:
                        break
        for job in self.records.of("job").values():
            assert job.status in ("COMPLETED", "CANCELED"), job
            assert job.open_count == 0
        assert self.twins.next_due_s() == math.inf


TestCampaigning = Campaigning.TestCase
TestCampaigning.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
