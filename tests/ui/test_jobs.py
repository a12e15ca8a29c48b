"""The commands that pages start."""

import pytest

from scenarios.store import Store
from ui.jobs import Jobs


@pytest.fixture
def jobs():
    """Two at a time; what goes on at the end is cancelled."""
    made = Jobs(parallel=2)
    yield made
    made.close()


def test_a_job_runs_the_command_line(jobs):
    """And keeps what it said."""
    job = jobs.start(["--version"], "version")

    assert job.wait(30)
    assert job.state == "done"
    assert job.output.startswith("windtunnel ")


def test_a_command_that_refuses_has_failed(jobs):
    """With the sentence that the command line says."""
    job = jobs.start(["run", "no_such_scenario.scenario.yaml"], "run")

    assert job.wait(30)
    assert job.state == "failed"
    assert "no_such_scenario" in job.output


def test_more_jobs_than_turns_wait(jobs):
    """And run when it is their turn."""
    started = [jobs.start(["--version"], str(number)) for number in range(5)]

    assert all(job.wait(60) for job in started)
    assert {job.state for job in started} == {"done"}


def test_a_waiting_job_can_be_cancelled(jobs):
    """It never starts."""
    runs = [jobs.start(["run", "car_park_fire", "--quiet", "--runs", "/dev/null/no"], "x") for _ in range(4)]
    last = runs[-1]
    last.cancel()

    assert last.wait(60)
    assert last.state == "cancelled"


@pytest.mark.slow
def test_a_cancelled_run_keeps_what_was_measured(jobs, tmp_path):
    """Its folder says that it was interrupted, and has its results."""
    command = ["run", "car_park_fire", "--variant", "edge", "--replications", "200", "--workers", "1"]
    job = jobs.start([*command, "--runs", str(tmp_path), "--quiet"], "edge")
    store = Store(tmp_path)
    while not job.is_over and not has_begun(store):
        job.wait(0.05)

    job.cancel()

    assert job.wait(30)
    assert job.state == "cancelled"
    (manifest,) = store.list()
    assert manifest.state == "interrupted"
    assert (tmp_path / manifest.run / "study.json").exists()


def has_begun(store):
    """Whether the run has finished a few replications."""
    for manifest in store.list():
        path = store.root / manifest.run / "progress.json"
        if path.exists() and '"edge"' in path.read_text():
            return True
    return False
