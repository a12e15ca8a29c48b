"""The inputs that a scenario has."""

import pytest

from scenarios.format.loading import with_values
from scenarios.shipped import load, names
from scenarios.sweeping.parameters import parameters_of
from scenarios.sweeping.ranges import swept
from scenarios.wiring.vocabulary import Vocabulary
from twin.errors import InputError


@pytest.mark.parametrize("name", names())
def test_most_proposed_values_make_a_valid_variant(name):
    """Each input exists; only now and then an end of its range makes no sense together with the rest."""
    scenario = load(name)
    variant = scenario.variants[0]
    problems = []
    ends = 0
    for each in parameters_of(scenario, variant)[:60]:
        values = swept(f"{each.key}={each.proposal}").values
        for value in (values[0], values[-1]):
            ends += 1
            try:
                with_values(scenario, variant, {each.key: value}, Vocabulary())
            except InputError as error:
                problems.append(f"{each.key}={value}: {error}")

    assert not [
        each for each in problems if "has no key" in each or "unknown key" in each or "needs a unit" in each
    ]
    assert len(problems) <= ends / 10, problems


def test_what_the_author_asked_about_comes_first():
    """Then what is written, then what is left to defaults."""
    scenario = load("car_park_fire")
    found = parameters_of(scenario, scenario.variant("cloud_us"))
    written = [each.is_written for each in found[4:]]

    assert [each.key for each in found[:2]] == ["world.people.premovement_mean", "world.people.count"]
    assert found[1].proposal == "180..720/6"
    assert written == sorted(written, reverse=True)


def test_a_wide_area_link_says_its_round_trip_although_nobody_wrote_it():
    """As the places of its ends make it, and no less."""
    scenario = load("alarm_drill")
    found = {each.key: each for each in parameters_of(scenario, scenario.variants[0])}

    assert found["links.wan_a.round_trip"].now == "221 ms"
    assert found["links.wan_a.round_trip"].proposal.startswith("221 ms..")
