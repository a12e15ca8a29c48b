"""Sweeps of small scenarios: against theory, and the same whoever runs them."""

import math
from itertools import pairwise

import pytest

from scenarios.results import encode
from scenarios.sweeping.keeping import sweep_of
from scenarios.sweeping.ranges import swept
from scenarios.sweeping.running import course_of, run, task_of
from twin.errors import InputError


def course(scenario, *inputs, **options):
    return course_of(task_of(scenario, [swept(text) for text in inputs], **options), scenario)


def swept_through(scenario, *inputs, **options):
    found = course(scenario, *inputs, **options)
    assert run(found, workers=1)
    return sweep_of(found)


@pytest.mark.slow
def test_the_queue_of_a_sweep_follows_theory(queue):
    """M/M/1: the wait is s rho / (1 - rho) at every rate, and its knee 1 - sqrt((1 - a)(1 - b))."""
    found = swept_through(queue, "fleets.meters.rate=1 /s..9 /s/9", shown=["waiting broker"], replications=10)
    inside = 0
    for point in found.points:
        rho = point.numbers[0] * 0.1
        wait = point.metrics["waiting broker"]
        half = 2.5 * (wait.high - wait.low) / 2
        inside += abs(wait.mean - 0.1 * rho / (1 - rho)) < half
        assert point.metrics["utilisation broker"].mean == pytest.approx(rho, rel=0.06)
    (knee,) = [each for each in found.knees if each.metric == "waiting broker"]

    assert inside == len(found.points)
    assert knee.low <= 10 * (1 - math.sqrt(0.9 * 0.1)) <= knee.high
    assert knee.bend == "rises"


def test_every_point_has_the_same_seeds_and_its_own_value(line):
    """The round trip is in every answer, and nothing else differs."""
    found = swept_through(line, "links.line.round_trip=300 ms..900 ms/3", variant="plain")
    waits = [point.metrics["quick"].mean for point in found.points]

    assert [point.runs for point in found.points] == [4, 4, 4]
    assert [after - before for before, after in pairwise(waits)] == pytest.approx([0.3, 0.3], abs=0.06)


def test_the_boundary_is_found_to_the_precision_asked_for(line):
    """It lies where the wait crosses the limit, and the points around it are close enough."""
    found = swept_through(line, "links.line.round_trip=300 ms..1500 ms/3", refine="50 ms")
    (boundary,) = [each for each in found.boundaries if each.requirement == "quick"]
    point = {each.numbers[0]: each for each in found.points}

    assert abs(boundary.fails - boundary.holds) <= 50
    assert point[boundary.holds].verdicts["quick"].met == 4 > point[boundary.fails].verdicts["quick"].met
    assert point[boundary.fails].metrics["quick"].high > 1.0 > point[boundary.holds].metrics["quick"].mean
    assert any(point.is_refined for point in found.points)
    assert [point.numbers for point in found.points] == sorted(point.numbers for point in found.points)


def test_processes_change_nothing(line):
    """One process or two: the same bytes."""
    inputs = ("links.line.round_trip=300 ms..1500 ms/3", "nodes.app.station.service=10 ms, 400 ms")
    one, two = course(line, *inputs, replications=2), course(line, *inputs, replications=2)

    assert run(one, workers=1)
    assert run(two, workers=2)
    assert encode(sweep_of(one)) == encode(sweep_of(two))


class Impatient:
    """Interrupts after so many replications."""

    def __init__(self, after):
        self.after = after

    def advance(self, _label, done, _planned):
        if done == self.after:
            raise KeyboardInterrupt


def test_what_was_measured_before_ctrl_c_is_not_measured_again(line):
    """The rest is, and the whole is what it would have been."""
    inputs = ("links.line.round_trip=300 ms..1500 ms/4",)
    whole, first, second = (course(line, *inputs) for _ in range(3))
    assert run(whole, workers=1)
    rows, more = [], []

    assert not run(first, workers=1, keep=rows.append, watcher=Impatient(9))
    assert len(sweep_of(first).points) == 2
    assert run(second, workers=1, known=rows, keep=more.append)
    assert (len(rows), len(more)) == (9, 7)
    assert encode(sweep_of(second)) == encode(sweep_of(whole))


def test_two_inputs_make_a_grid_with_a_boundary_for_each_value_of_the_second(line):
    """The slower the application, the less the line may take."""
    found = swept_through(
        line,
        "links.line.round_trip=300 ms..1200 ms/4",
        "nodes.app.station.service=10 ms, 300 ms",
        replications=2,
    )
    boundaries = {each.at_other: each.holds for each in found.boundaries if each.requirement == "quick"}

    assert [point.labels for point in found.points][:3] == [
        ["300 ms", "10 ms"], ["300 ms", "300 ms"], ["600 ms", "10 ms"]
    ]  # fmt: skip
    assert boundaries["10 ms"] > boundaries["300 ms"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("links.lime.round_trip=1 s, 2 s", "'links' has no item 'lime'; did you mean 'line'?"),
        ("links.line.round_tip=1 s, 2 s", "did you mean 'round_trip'?"),
        (
            "links.line.round_trip=1 ms, 2 s",
            "links.line.round_trip=1 ms: a round trip of 1 ms is faster than light",
        ),
        ("nodes.app.station.service=1, 2", "needs a unit: write '1 ms' or '1 s'"),
    ],
)
def test_an_input_that_is_none_is_refused_before_anything_runs(line, text, said):
    """With the nearest name, or with the point that makes no sense."""
    with pytest.raises(InputError) as caught:
        course(line, text)
    assert said in str(caught.value)


def test_a_metric_that_is_none_is_refused_after_the_first_replication(line):
    """Only then it is known what is measured."""
    rows = []
    with pytest.raises(InputError, match="did you mean 'utilisation app'"):
        run(
            course(line, "nodes.app.station.service=1 ms, 2 ms", shown=["utilisatoin app"]),
            workers=1,
            keep=rows.append,
        )
    assert rows == []


def test_too_much_is_refused(line):
    """A sweep has bounds."""
    wide = [
        swept("links.line.round_trip=300 ms..900 ms/30"),
        swept("nodes.app.station.service=1 ms..9 ms/30"),
    ]
    with pytest.raises(InputError, match="900 points; a sweep has at most 400"):
        task_of(line, wide)
    with pytest.raises(InputError, match="one or two inputs"):
        task_of(line, [])
    with pytest.raises(InputError, match="a point has at most 200"):
        task_of(line, wide[:1], replications=201)
    with pytest.raises(InputError, match="along one input"):
        task_of(line, [swept("links.line.tls=none, '1.3'")], refine="10 ms")
