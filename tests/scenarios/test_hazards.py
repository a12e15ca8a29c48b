"""Warnings of what is valid and dangerous."""

import pytest

from scenarios.format.hazards import stale_wishes
from scenarios.format.schema import Scenario
from scenarios.shipped import load


def warned(twin=(), fleet=(), wish=()):
    system = {
        "scenario": 1,
        "sites": {"yard": {"metro": "singapore"}},
        "fleets": {
            "gates": {
                "device": "shadow_device",
                "at": "yard",
                "count": 1,
                "by_hand": [{"at": "9 s"}],
                **dict(fleet),
            }
        },
        "nodes": {
            "twin": {"kind": "twin", "at": "yard", **dict(twin)},
            "porter": {"kind": "operator", "at": "yard", "wishes": [{"at": "1 s", **dict(wish)}]},
        },
    }
    return list(stale_wishes([("base", Scenario.model_validate(system))]))


def test_a_wish_that_stands_for_ever_beside_hands_is_warned_of():
    """With the variants in which it is so, and what to write."""
    (sentence,) = warned()

    assert "twin 'twin'" in sentence
    assert "(base)" in sentence
    assert "'desired_expiry: 5 min'" in sentence


@pytest.mark.parametrize(
    "defence",
    [
        {"twin": {"desired_expiry": "1 min"}},
        {"twin": {"clear_on_report": True}},
        {"twin": {"keep_newer_reports": True}},
        {"fleet": {"by_hand_wins": "always"}},
        {"fleet": {"by_hand": []}},
        {"wish": {"expires": "1 min"}, "twin": {"shadow_extensions": True}},
    ],
)
def test_each_defence_ends_the_warning(defence):
    """In the twin, in the device, or in the wish."""
    assert warned(**defence) == []


def test_an_expiry_that_the_twin_does_not_read_is_no_defence():
    """`expiresIn` is an extension."""
    assert warned(wish={"expires": "1 min"})


def test_of_the_shipped_gate_hazard_only_the_variant_without_defence_is_warned_of():
    """The linter finds what the simulation finds."""
    scenario = load("gate_hazard")
    (sentence,) = stale_wishes([(variant.name, variant.scenario) for variant in scenario.variants])

    assert "(none)" in sentence
