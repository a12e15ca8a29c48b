import math

import pytest

from twin.state.jobs import job_executions, jobs


def test_a_job_rolls_out_at_its_rate(fleet):
    """One thing every twenty seconds."""
    fleet.create("group:hall", rollout={"per_minute": 3})
    counts = []
    for now_s in (0.0, 19.0, 20.0, 40.0):
        fleet.until(now_s)
        counts.append(fleet.job().notified_count)

    assert counts == [1, 1, 2, 3]


def test_a_large_job_rolls_out_in_batches(fleet_of):
    """No transaction holds the whole fleet, and it takes no minute."""
    fleet = fleet_of(all=[f"t{number}" for number in range(2500)])
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


@pytest.fixture
def wavy(fleet_of):
    """Makes ten things with a job that comes in waves, and its rollback."""

    def make(**waves):
        fleet = fleet_of(all=[f"t{number}" for number in range(10)])
        fleet.create("group:all", waves={"shares": [0.2, 0.3, 0.5], **waves}, rollback={"version": "1.0"})
        return fleet

    return make


def test_a_wave_starts_when_the_one_before_has_succeeded(wavy):
    """As far as its threshold says."""
    fleet = wavy(success_threshold=0.5)
    seen = [fleet.job().notified_count]
    for name in ("t0", "t2", "t3"):
        fleet.end(name)
        fleet.until(fleet.now_s + 1.0)
        seen.append(fleet.job().notified_count)

    assert seen == [2, 5, 5, 10]


def test_too_many_failures_in_a_wave_are_an_emergency(wavy):
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


def test_a_wave_that_is_over_without_success_stops_the_job(wavy):
    """It could never go on."""
    fleet = wavy()
    fleet.end("t0", "REJECTED")
    fleet.end("t1")

    assert (fleet.job().status, fleet.job().notified_count) == ("CANCELED", 2)


def test_a_wave_waits_for_a_confirmation(wavy):
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


def test_a_late_success_is_rolled_back_too(fleet_of):
    """The rollback is not complete before the campaign has nothing in progress."""
    fleet = fleet_of(all=["a", "b", "c"])
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
