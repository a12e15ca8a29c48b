import json

import msgspec
import pytest

from twin.errors import RefusedError
from twin.state.jobs import jobs, read_plan


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


def test_a_thing_cannot_start_what_is_canceled_and_not_yet_told(fleet_of):
    """A large job is canceled in steps; who asks first hears it first."""
    fleet = fleet_of(all=[f"t{number}" for number in range(2500)])
    fleet.create("group:all")
    fleet.until(1.0)
    fleet.do(fleet.jobs.cancel, "j")
    assert fleet.status("t2400") == "QUEUED"

    assert fleet.ask("t2400", "start-next") == ("accepted", {"timestamp": 1})
    fleet.until(2.0)
    assert fleet.job().counts == {"CANCELED": 2500}


@pytest.mark.parametrize(("kind", "is_aborted"), [("FAILED", True), ("ALL", True), ("REJECTED", False)])
def test_failures_abort_a_job(fleet_of, kind, is_aborted):
    """From so many executed on, when their share reaches the threshold."""
    fleet = fleet_of(all=[f"t{number}" for number in range(10)])
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
        {"document": {"x": json.loads("[" * 64 + "]" * 64)}},
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
