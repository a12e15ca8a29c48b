import msgspec
import pytest

from twin.message import Message


def test_a_job_is_queued_started_and_done(fleet):
    """The thing hears of it, starts it, and the job is completed when all things are done."""
    fleet.create("a")
    _, started = fleet.ask("a", "start-next", statusDetails={"step": "download"}, clientToken="t")
    fleet.now_s = 5.0
    outcome, answer = fleet.end("a", includeJobExecutionState=True, includeJobDocument=True)

    assert started["execution"] == {
        "jobId": "j",
        "thingName": "a",
        "jobDocument": fleet.document,
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
    assert answer["jobDocument"] == fleet.document
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

    assert fleet.ask("a", "j/get")[1]["execution"]["jobDocument"] == fleet.document
    assert "jobDocument" not in fleet.ask("a", "$next/get", includeJobDocument=False)[1]["execution"]
    assert fleet.ask("b", "$next/get") == ("accepted", {"timestamp": 0})


def test_a_number_may_come_as_a_text(fleet):
    """AWS's own library for small devices sends the expected version so."""
    fleet.create("a")

    assert fleet.ask("a", "j/update", status="IN_PROGRESS", expectedVersion="1")[0] == "accepted"
    assert fleet.ask("a", "j/update", status="SUCCEEDED", expectedVersion="1")[0] == "rejected"
    assert fleet.ask("a", "j/update", status="SUCCEEDED", expectedVersion="2")[0] == "accepted"


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
        ("j/update", {"status": "SUCCEEDED", "expectedVersion": "7"}, "VersionMismatch"),
        ("j/update", {"status": "SUCCEEDED", "expectedVersion": "seven"}, "InvalidRequest"),
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
