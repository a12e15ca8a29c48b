import math

import msgspec
import pytest

from twin.errors import RefusedError
from twin.message import Message
from twin.state.jobs import Jobs, job_executions, jobs, read_plan
from twin.state.records import Transaction
from twin.state.twins import Twins

DOCUMENT = {"operation": "install", "version": "2.0"}


class Fleet:
    """Twins with jobs, groups that a test sets, and a clock."""

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
        plan = {"job_id": "j", "targets": targets, "document": DOCUMENT, **plan}
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
    return Fleet(hall=["a", "b", "c"])


# the life of one execution -----------------------------------------------------------------------------


def test_a_job_is_queued_started_and_done(fleet):
    """The thing hears of it, starts it, and the job is completed when all things are done."""
    fleet.create("a")
    _, started = fleet.ask("a", "start-next", statusDetails={"step": "download"}, clientToken="t")
    fleet.now_s = 5.0
    outcome, answer = fleet.end("a", includeJobExecutionState=True, includeJobDocument=True)

    assert started["execution"] == {
        "jobId": "j",
        "thingName": "a",
        "jobDocument": DOCUMENT,
        "status": "IN_PROGRESS",
        "statusDetails": {"step": "download"},
        "queuedAt": 0,
        "startedAt": 0,
        "lastUpdatedAt": 0,
        "versionNumber": 2,
        "executionNumber": 1,
    }
    assert started["clientToken"] == "t"
    assert (outcome, answer["executionState"]["status"]) == ("accepted", "SUCCEEDED")
    assert answer["jobDocument"] == DOCUMENT
    assert fleet.job().status == "COMPLETED"
    assert fleet.ask("a", "start-next") == ("accepted", {"timestamp": 5})


def test_a_thing_is_told_what_waits_and_what_is_next(fleet):
    """The list at every change of it, the next one only when that is another."""
    fleet.create("a", job_id="j1")
    fleet.create("a", job_id="j2")
    fleet.ask("a", "j2/update", status="IN_PROGRESS")
    fleet.end("a", job="j2")
    fleet.end("a", job="j1")

    lists = [
        {kind: [each["jobId"] for each in found] for kind, found in told["jobs"].items()}
        for told in fleet.told("a", "notify")
    ]
    assert lists == [
        {"QUEUED": ["j1"]},
        {"QUEUED": ["j1", "j2"]},
        {"IN_PROGRESS": ["j2"], "QUEUED": ["j1"]},
        {"QUEUED": ["j1"]},
        {},
    ]
    nexts = [told.get("execution", {}).get("jobId") for told in fleet.told("a", "notify-next")]
    assert nexts == ["j1", "j2", "j1", None]


def test_pending_executions_are_listed(fleet):
    """In progress and queued apart."""
    fleet.create("a", job_id="j1")
    fleet.create("a", job_id="j2")
    fleet.ask("a", "start-next")
    _, answer = fleet.ask("a", "get")

    assert [each["jobId"] for each in answer["inProgressJobs"]] == ["j1"]
    assert [each["jobId"] for each in answer["queuedJobs"]] == ["j2"]


def test_an_execution_is_described_by_its_id_or_as_the_next(fleet):
    """With or without the document."""
    fleet.create("a")

    assert fleet.ask("a", "j/get")[1]["execution"]["jobDocument"] == DOCUMENT
    assert "jobDocument" not in fleet.ask("a", "$next/get", includeJobDocument=False)[1]["execution"]
    assert fleet.ask("b", "$next/get") == ("accepted", {"timestamp": 0})


def test_starting_again_what_is_in_progress_changes_no_details(fleet):
    """The thing may have restarted."""
    fleet.create("a")
    fleet.ask("a", "start-next", statusDetails={"step": "1"})
    _, again = fleet.ask("a", "start-next", statusDetails={"step": "2"})

    assert again["execution"]["statusDetails"] == {"step": "1"}
    assert again["execution"]["versionNumber"] == 2


@pytest.mark.parametrize(
    ("operation", "request_", "code"),
    [
        ("j/update", {"status": "SUCCEEDED", "expectedVersion": 7}, "VersionMismatch"),
        ("j/update", {"status": "SUCCEEDED", "executionNumber": 2}, "ResourceNotFound"),
        ("j/update", {"status": "QUEUED"}, "InvalidRequest"),
        ("j/update", {"status": "CANCELED"}, "InvalidRequest"),
        ("j/update", {}, "InvalidRequest"),
        ("j/update", {"status": "IN_PROGRESS", "statusDetails": {"a": 1}}, "InvalidRequest"),
        ("j/update", {"status": "IN_PROGRESS", "stepTimeoutInMinutes": 0}, "InvalidRequest"),
        ("j/update", {"status": "IN_PROGRESS", "stepTimeoutInMinutes": 11}, "InvalidRequest"),
        (
            "j/update",
            {"status": "IN_PROGRESS", "statusDetails": {str(n): "" for n in range(11)}},
            "InvalidRequest",
        ),
        ("k/update", {"status": "SUCCEEDED"}, "ResourceNotFound"),
        ("k/get", {}, "ResourceNotFound"),
        ("j k/get", {}, "InvalidTopic"),
        ("$next/update", {"status": "SUCCEEDED"}, "InvalidTopic"),
    ],
)
def test_a_wrong_request_is_rejected(fleet, operation, request_, code):
    """With the code of the service, and it changes nothing."""
    fleet.create("a", in_progress_timeout_s=600.0)
    outcome, answer = fleet.ask("a", operation, clientToken="t", **request_)

    assert (outcome, answer["code"], answer["clientToken"]) == ("rejected", code, "t")
    assert (fleet.status("a"), fleet.twins.records.get("execution", "j/a").version) == ("QUEUED", 1)


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (b"{", "InvalidJson"),
        (b"\xff", "InvalidJson"),
        (b"[]", "InvalidRequest"),
        (b"[" * 9999, "InvalidJson"),
    ],
)
def test_an_unreadable_request_is_rejected(fleet, payload, code):
    """Never raised."""
    transaction = fleet.twins.handle(Message("$aws/things/a/jobs/get", payload), 0.0)
    (answer,) = transaction.messages

    assert answer.topic.endswith("get/rejected")
    assert msgspec.json.decode(answer.payload)["code"] == code


def test_what_has_ended_does_not_change(fleet):
    """The rejection tells how it ended; describing it is refused as well."""
    fleet.create("a", "b")
    fleet.end("a", "FAILED")
    outcome, answer = fleet.end("a", "IN_PROGRESS")

    assert (outcome, answer["code"], answer["executionState"]["status"]) == (
        "rejected",
        "InvalidStateTransition",
        "FAILED",
    )
    assert fleet.ask("a", "j/get")[1]["code"] == "TerminalStateReached"


# timers and retries ------------------------------------------------------------------------------------


def test_an_execution_in_progress_times_out(fleet):
    """The timer starts with the execution, not with the job."""
    fleet.create("a", in_progress_timeout_s=600.0)
    fleet.until(5000.0)
    fleet.ask("a", "start-next")
    fleet.until(5599.0)
    assert fleet.status("a") == "IN_PROGRESS"
    fleet.until(5600.0)

    assert (fleet.status("a"), fleet.job().status) == ("TIMED_OUT", "COMPLETED")


def test_a_step_timer_is_set_renewed_and_switched_off(fleet):
    """It does not put off the timer of the whole execution."""
    fleet.create("a", in_progress_timeout_s=600.0)
    fleet.ask("a", "start-next", stepTimeoutInMinutes=2)
    fleet.until(100.0)
    fleet.end("a", "IN_PROGRESS", stepTimeoutInMinutes=3)
    fleet.until(270.0)
    assert fleet.status("a") == "IN_PROGRESS"
    fleet.end("a", "IN_PROGRESS", stepTimeoutInMinutes=-1)
    fleet.until(599.0)
    assert fleet.status("a") == "IN_PROGRESS"
    fleet.until(600.0)

    assert fleet.status("a") == "TIMED_OUT"


def test_a_report_after_the_timer_comes_too_late(fleet):
    """Even if nobody looked at the clock in between."""
    fleet.create("a", in_progress_timeout_s=60.0)
    fleet.ask("a", "start-next")
    fleet.now_s = 61.0

    assert fleet.end("a")[1]["code"] == "InvalidStateTransition"
    assert fleet.status("a") == "TIMED_OUT"


def test_what_fails_is_tried_again(fleet):
    """As often as the plan says for that kind of failure, with a new number each time."""
    retry = [{"failure_type": "FAILED", "retries": 1}, {"failure_type": "ALL", "retries": 1}]
    fleet.create("a", retry=retry, in_progress_timeout_s=60.0)
    seen = []
    for status in ("FAILED", "FAILED", "FAILED"):
        seen.append(fleet.ask("a", "start-next")[1]["execution"]["executionNumber"])
        fleet.end("a", status)

    assert seen == [1, 2, 3]
    assert (fleet.status("a"), fleet.job().counts) == ("FAILED", {"FAILED": 1})


def test_a_rejection_is_not_tried_again(fleet):
    """The device does not want it."""
    fleet.create("a", retry=[{"failure_type": "ALL", "retries": 5}])
    fleet.end("a", "REJECTED")

    assert fleet.job().status == "COMPLETED"


# rolling out -------------------------------------------------------------------------------------------


def test_a_job_rolls_out_at_its_rate(fleet):
    """One thing every twenty seconds."""
    fleet.create("group:hall", rollout={"per_minute": 3})
    counts = []
    for now_s in (0.0, 19.0, 20.0, 40.0):
        fleet.until(now_s)
        counts.append(fleet.job().notified_count)

    assert counts == [1, 1, 2, 3]


def test_a_large_job_rolls_out_in_batches():
    """No transaction holds the whole fleet, and it takes no minute."""
    fleet = Fleet(all=[f"t{number}" for number in range(2500)])
    fleet.create("group:all")
    assert fleet.job().notified_count == 1000
    fleet.until(1.0)

    assert fleet.job().counts == {"QUEUED": 2500}


def test_a_scheduled_job_waits_for_its_time(fleet):
    """Its targets are those of the start, not of the creation."""
    fleet.create("group:hall", start_s=100.0)
    fleet.groups["group:hall"].append("d")
    fleet.until(99.0)
    assert fleet.job().status == "SCHEDULED"
    fleet.until(100.0)

    assert (fleet.job().status, fleet.job().counts) == ("IN_PROGRESS", {"QUEUED": 4})


@pytest.mark.parametrize(
    ("behavior", "status", "counts"),
    [
        ("stop_rollout", "IN_PROGRESS", {"IN_PROGRESS": 1, "QUEUED": 1}),
        ("cancel", "CANCELED", {"IN_PROGRESS": 1, "CANCELED": 1}),
        ("force_cancel", "CANCELED", {"CANCELED": 2}),
    ],
)
def test_a_time_window_ends(fleet, behavior, status, counts):
    """The rest is not told; what was told goes on, or is canceled."""
    fleet.create("group:hall", rollout={"per_minute": 2}, end_s=40.0, end_behavior=behavior)
    fleet.ask("a", "start-next")
    fleet.until(1000.0)

    assert (fleet.job().status, fleet.job().counts) == (status, counts)
    fleet.end("a")
    fleet.end("b")
    assert fleet.job().open_count == 0
    assert fleet.job().status == ("COMPLETED" if behavior == "stop_rollout" else "CANCELED")


def test_a_snapshot_is_for_who_is_there(fleet):
    """Who comes later is not asked, and a thing named twice is asked once."""
    fleet.create("group:hall", "a")
    fleet.groups["group:hall"].append("d")
    fleet.until(1000.0)

    assert fleet.job().target_count == 3
    assert fleet.twins.next_due_s() == math.inf


def test_a_continuous_job_follows_its_group(fleet):
    """Who comes is told, who goes is removed, and it does not end by itself."""
    fleet.create("group:hall", continuous=True, refresh_s=60.0)
    fleet.end("a")
    fleet.groups["group:hall"][:] = ["a", "c", "d"]
    fleet.until(60.0)

    assert {name: fleet.status(name) for name in "abcd"} == {
        "a": "SUCCEEDED",
        "b": "REMOVED",
        "c": "QUEUED",
        "d": "QUEUED",
    }
    fleet.end("c")
    fleet.end("d")
    assert fleet.job().status == "IN_PROGRESS"


def test_who_leaves_before_its_turn_is_not_told(fleet):
    """A continuous job at a slow rate."""
    fleet.create("group:hall", continuous=True, refresh_s=60.0, rollout={"per_minute": 1})
    fleet.groups["group:hall"].remove("b")
    fleet.until(600.0)

    assert [each.thing for each in job_executions(fleet.twins.records, "j")] == ["a", "c"]


# stopping ----------------------------------------------------------------------------------------------


def test_canceling_spares_what_is_in_progress(fleet):
    """Unless it is forced; a second, forced cancel goes further."""
    fleet.create("group:hall")
    fleet.ask("a", "start-next")
    fleet.do(fleet.jobs.cancel, "j")

    assert [fleet.status(name) for name in "abc"] == ["IN_PROGRESS", "CANCELED", "CANCELED"]
    assert fleet.told("b", "notify-next")[-1] == {"timestamp": 0}
    fleet.do(fleet.jobs.cancel, "j", force=True)
    assert fleet.status("a") == "CANCELED"
    with pytest.raises(RefusedError, match="CANCELED"):
        fleet.do(fleet.jobs.cancel, "j", force=True)


def test_a_thing_cannot_start_what_is_canceled_and_not_yet_told():
    """A large job is canceled in steps; who asks first hears it first."""
    fleet = Fleet(all=[f"t{number}" for number in range(2500)])
    fleet.create("group:all")
    fleet.until(1.0)
    fleet.do(fleet.jobs.cancel, "j")
    assert fleet.status("t2400") == "QUEUED"

    assert fleet.ask("t2400", "start-next") == ("accepted", {"timestamp": 1})
    fleet.until(2.0)
    assert fleet.job().counts == {"CANCELED": 2500}


@pytest.mark.parametrize(("kind", "is_aborted"), [("FAILED", True), ("ALL", True), ("REJECTED", False)])
def test_failures_abort_a_job(kind, is_aborted):
    """From so many executed on, when their share reaches the threshold."""
    fleet = Fleet(all=[f"t{number}" for number in range(10)])
    fleet.create("group:all", abort=[{"failure_type": kind, "threshold": 0.5, "min_executed": 4}])
    fleet.end("t0", "FAILED")
    fleet.end("t1", "FAILED")
    fleet.end("t2")
    assert fleet.job().status == "IN_PROGRESS"
    fleet.end("t3")

    assert (fleet.job().status == "CANCELED") == is_aborted
    assert fleet.job().counts.get("CANCELED", 0) == (6 if is_aborted else 0)


def test_an_execution_is_canceled_alone(fleet):
    """In progress only by force."""
    fleet.create("group:hall")
    fleet.ask("a", "start-next")
    fleet.do(fleet.jobs.cancel_execution, "j", "b")
    with pytest.raises(RefusedError, match="IN_PROGRESS"):
        fleet.do(fleet.jobs.cancel_execution, "j", "a")
    fleet.do(fleet.jobs.cancel_execution, "j", "a", force=True)
    fleet.end("c")

    assert (fleet.job().status, fleet.job().counts) == ("COMPLETED", {"CANCELED": 2, "SUCCEEDED": 1})


def test_a_thing_that_is_gone_is_removed(fleet):
    """From every job that waits there."""
    fleet.create("a")
    fleet.do(fleet.jobs.forget_thing, "a")

    assert (fleet.status("a"), fleet.job().status) == ("REMOVED", "COMPLETED")


def test_a_job_is_deleted_when_it_is_over(fleet):
    """By force any; nothing of it stays, and the things are told."""
    fleet.create("group:hall")
    with pytest.raises(RefusedError, match="IN_PROGRESS"):
        fleet.do(fleet.jobs.delete, "j")
    fleet.do(fleet.jobs.delete, "j", force=True)

    assert list(fleet.twins.records) == []
    assert fleet.told("a", "notify")[-1]["jobs"] == {}
    assert fleet.end("a")[1]["code"] == "ResourceNotFound"


# waves and rollback ------------------------------------------------------------------------------------


def wavy(**waves):
    fleet = Fleet(all=[f"t{number}" for number in range(10)])
    fleet.create("group:all", waves={"shares": [0.2, 0.3, 0.5], **waves}, rollback={"version": "1.0"})
    return fleet


def test_a_wave_starts_when_the_one_before_has_succeeded():
    """As far as its threshold says."""
    fleet = wavy(success_threshold=0.5)
    seen = [fleet.job().notified_count]
    for name in ("t0", "t2", "t3"):
        fleet.end(name)
        fleet.until(fleet.now_s + 1.0)
        seen.append(fleet.job().notified_count)

    assert seen == [2, 5, 5, 10]


def test_too_many_failures_in_a_wave_are_an_emergency():
    """The rest is canceled, and what succeeded is rolled back."""
    fleet = wavy(success_threshold=0.5, error_threshold=0.3)
    fleet.end("t0")
    fleet.until(1.0)
    fleet.end("t2")
    fleet.end("t3", "FAILED")

    assert fleet.job().status == "CANCELED"
    assert "emergency" in fleet.job().reason
    assert {each.thing for each in job_executions(fleet.twins.records, "j-rollback")} == {"t0", "t2"}
    assert fleet.ask("t0", "start-next")[1]["execution"]["jobDocument"] == {"version": "1.0"}


def test_a_wave_that_is_over_without_success_stops_the_job():
    """It could never go on."""
    fleet = wavy()
    fleet.end("t0", "REJECTED")
    fleet.end("t1")

    assert (fleet.job().status, fleet.job().notified_count) == ("CANCELED", 2)


def test_a_wave_waits_for_a_confirmation():
    """And the job is canceled if nobody gives it."""
    fleet = wavy(success_threshold=0.5, confirm=True, confirm_within_s=100.0)
    fleet.end("t0")
    fleet.until(50.0)
    assert (fleet.job().notified_count, jobs(fleet.twins.records)[0]["waits_for_confirmation"]) == (2, True)
    fleet.do(fleet.jobs.confirm, "j")
    fleet.until(51.0)
    assert fleet.job().notified_count == 5
    fleet.end("t2")
    fleet.end("t3")
    fleet.until(200.0)

    assert (fleet.job().status, fleet.job().reason) == ("CANCELED", "nobody confirmed wave 3")


def test_a_late_success_is_rolled_back_too():
    """The rollback is not complete before the campaign has nothing in progress."""
    fleet = Fleet(all=["a", "b", "c"])
    fleet.create("group:all", abort=[{"threshold": 0.5}], rollback={"version": "1.0"})
    fleet.ask("a", "start-next")
    fleet.ask("b", "start-next")
    fleet.end("c", "FAILED")
    assert fleet.job("j-rollback").status == "IN_PROGRESS"
    fleet.end("a")
    fleet.until(1.0)
    fleet.end("a", job="j-rollback")
    assert fleet.job("j-rollback").status == "IN_PROGRESS"
    fleet.end("b", "FAILED")

    assert fleet.job("j-rollback").status == "COMPLETED"


def test_a_job_canceled_by_people_is_not_rolled_back(fleet):
    """They may start one themselves."""
    fleet.create("group:hall", rollback={"version": "1.0"})
    fleet.end("a")
    fleet.do(fleet.jobs.cancel, "j")

    assert fleet.job("j-rollback") is None


# asking ------------------------------------------------------------------------------------------------


def test_the_same_plan_again_is_the_same_job(fleet):
    """Another plan under the id is a conflict."""
    fleet.create("a")
    told = len(fleet.messages)
    assert fleet.create("a").status == "IN_PROGRESS"
    assert len(fleet.messages) == told
    with pytest.raises(RefusedError) as refused:
        fleet.create("b")

    assert refused.value.code == 409


@pytest.mark.parametrize(
    "bad",
    [
        {"job_id": "a b"},
        {"job_id": "x" * 65},
        {"job_id": "x" * 60, "rollback": {}},
        {"targets": []},
        {"rollout": {"per_minute": 0}},
        {"rollout": {"per_minute": 1001}},
        {"rollout": {"per_minute": 10, "factor": 1.05}},
        {"waves": {"shares": [0.5, 0.6]}},
        {"waves": {"shares": []}},
        {"waves": {"shares": [1.0]}, "continuous": True},
        {"waves": {"shares": [1.0], "error_threshold": 2.0}},
        {"retry": [{"failure_type": "REJECTED", "retries": 1}]},
        {"retry": [{"retries": 11}]},
        {"abort": [{"threshold": 0.0}]},
        {"in_progress_timeout_s": 1e9},
        {"start_s": 10.0, "end_s": 5.0},
        {"end_behavior": "explode"},
        {"speed": 3},
        {"due_s": 3},
        {"document": {"x": "x" * 40_000}},
    ],
)
def test_a_bad_plan_is_refused(bad):
    """With 400, or 413 for too long a document, and the word that is wrong."""
    with pytest.raises(RefusedError) as refused:
        read_plan({"job_id": "j", "targets": ["a"], "document": {}, **bad})

    assert refused.value.code in (400, 413)


def test_a_thing_with_too_many_jobs_rejects_another(fleet):
    """Its list has a limit."""
    for number in range(101):
        fleet.create("a", job_id=f"j{number}")

    assert (fleet.status("a", "j99"), fleet.status("a", "j100")) == ("QUEUED", "REJECTED")
    assert fleet.job("j100").status == "COMPLETED"


def test_jobs_are_listed_newest_first(fleet):
    """With their plan and how they stand."""
    fleet.create("a", job_id="j1")
    fleet.create("b", job_id="j2")
    fleet.end("a", job="j1")

    assert [each["job_id"] for each in jobs(fleet.twins.records)] == ["j2", "j1"]
    assert [each["counts"] for each in jobs(fleet.twins.records, status="COMPLETED")] == [{"SUCCEEDED": 1}]
    msgspec.json.encode(jobs(fleet.twins.records))
