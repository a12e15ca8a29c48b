import pytest

from twin.errors import InputError, RefusedError
from twin.state.commands import Commands, commands
from twin.state.jobs import Jobs, jobs
from twin.state.programme import Abort, Campaign, Order, Programme, Rollout, Waves
from twin.state.records import Transaction
from twin.state.sessions import Sessions
from twin.state.twins import Twins


def members(_, target):
    if target == "nobody":
        raise RefusedError(404, "no such target")
    return ["a", "b"] if target == "pumps" else [target]


def planned(campaigns=(), orders=()):
    asked, work = Commands(), Jobs(members)
    programme = Programme(work, asked, members, campaigns, orders)
    twins = Twins([Sessions(), asked, work, programme])
    programme.begin(Transaction(twins.records, 0.0))
    return twins


def test_a_campaign_starts_at_its_time():
    """With everything that was said of it."""
    campaign = Campaign(
        60.0,
        "j",
        "pumps",
        {"version": "2"},
        Rollout(4, 2.0),
        abort=[Abort(0.1, "FAILED", 3)],
        retries=1,
        timeout_s=120.0,
        ends_s=900.0,
        rollback={"version": "1"},
    )
    twins = planned([campaign])
    assert (twins.elapse(59.0).changes, jobs(twins.records)) == ([], [])
    twins.elapse(60.0)
    (job,) = jobs(twins.records)

    assert job["rollout"] == {
        "per_minute": 4,
        "factor": 2.0,
        "increase_every": 1000,
        "increase_by": "notified",
    }
    assert list(job["abort"]) == [{"failure_type": "FAILED", "threshold": 0.1, "min_executed": 3}]
    assert (job["in_progress_timeout_s"], job["end_s"], job["rollback"]) == (120.0, 900.0, {"version": "1"})
    assert job["retry"][0] == {"failure_type": "ALL", "retries": 1}
    assert job["target_count"] == 2


def test_an_order_comes_again():
    """Every so often, to every thing of the target."""
    twins = planned(orders=[Order(10.0, "pumps", "prime", {"times": 2}, every_s=60.0)])
    seen = []
    for now_s in (9.0, 10.0, 69.0, 70.0, 130.0):
        twins.elapse(now_s)
        seen.append(len(commands(twins.records)))

    assert seen == [0, 2, 2, 4, 6]
    assert commands(twins.records)[0].arguments == {"times": 2}


def test_what_falls_due_while_the_service_is_down_is_missed():
    """Nobody answered the call; what comes again comes at its next time."""
    twins = planned([Campaign(60.0, "j", "pumps", {})], [Order(50.0, "a", "prime", every_s=100.0)])
    missed = twins.elapse(400.0)

    assert missed.observations == [("request_missed", 1.0)] * 2
    assert (jobs(twins.records), twins.next_due_s()) == ([], 450.0)


def test_what_is_refused_is_counted():
    """The reason stands in the journal."""
    twins = planned([Campaign(1.0, "j", "nobody", {})], [Order(1.0, "a", "no name")])
    refused = twins.elapse(1.0)

    assert refused.observations == [("request_refused", 1.0)] * 2
    reasons = [change.entry["reason"] for change in refused.changes if change.what == "note"]
    assert reasons[0] == "no such target"
    assert "no name" in reasons[1]


@pytest.mark.parametrize(
    "bad",
    [
        {"rollout": Rollout(0)},
        {"job": "a job"},
        {"waves": Waves([0.5])},
        {"abort": [Abort(0.0)]},
        {"retries": 11},
    ],
)
def test_a_campaign_that_could_never_be_created_is_refused_at_once(bad):
    """Before a simulation begins."""
    fields = {"at_s": 0.0, "job": "j", "target": "pumps", "document": {}}
    Campaign(**fields)
    with pytest.raises(InputError):
        Campaign(**{**fields, **bad})
