"""Errors cross from worker processes as they are."""

import copy

import pytest

from scenarios.format.issues import Issue, ScenarioError
from twin.errors import InputError, MissingEnvironmentError, RefusedError


@pytest.mark.parametrize(
    "error",
    [
        InputError("wrong"),
        MissingEnvironmentError("lacking"),
        RefusedError(409, "taken"),
        ScenarioError([Issue("E054", "cannot be", 1, 1, 1)], name="a.scenario.yaml"),
    ],
)
def test_an_error_survives_the_way_from_a_worker(error):
    """With what it says and what it carries; else the pool breaks and nobody hears the reason."""
    back = copy.copy(error)  # it is taken apart and put together as a worker does it

    assert (type(back), str(back), vars(back)) == (type(error), str(error), vars(error))
