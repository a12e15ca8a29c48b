"""SIM cards and their states."""

import pytest

from twin.state.registry.access import may
from twin.state.registry.connectivity import SIM_TRANSITIONS, Connectivity
from twin.state.registry.things import RegistryError
from twin.state.twins import Twins

ICCID = "8965012345678901234"
CONNECTIVITY = Connectivity(test_s=1000.0)


def test_a_card_is_ordered_tried_activated_suspended_and_retired(car_park):
    """Its thing connects while the card is tried out or active."""
    CONNECTIVITY.order(ICCID, car_park, operator="one")
    CONNECTIVITY.assign(ICCID, "gate-1", car_park)
    for state, is_connected in (
        ("test_ready", True),
        ("active", True),
        ("suspended", False),
        ("active", True),
        ("retired", False),
    ):
        CONNECTIVITY.set_state(ICCID, state, car_park)
        assert may(car_park.records, "gate-1", "connect") is is_connected
    assert may(car_park.records, "gate-2", "connect")


def test_a_card_that_was_only_tried_out_is_suspended_in_the_end(car_park):
    """When the test period is over; an activated one stays active."""
    twins = Twins([CONNECTIVITY], car_park.records)
    for iccid in (ICCID, ICCID + "0"):
        CONNECTIVITY.order(iccid, car_park)
        CONNECTIVITY.set_state(iccid, "test_ready", car_park)
    CONNECTIVITY.set_state(ICCID, "active", car_park)
    twins.elapse(car_park.now_s + 1000.0)
    assert [sim.state for sim in twins.records.of("sim").values()] == ["active", "suspended"]


@pytest.mark.parametrize("before", sorted(SIM_TRANSITIONS))
def test_a_card_moves_on_as_the_table_says(car_park, before):
    """And in no other way."""
    ways = {"ordered": (), "test_ready": ("test_ready",), "active": ("active",)}
    ways |= {"suspended": ("active", "suspended"), "retired": ("retired",)}
    for number, after in enumerate(SIM_TRANSITIONS):
        iccid = f"{ICCID}{number}"
        CONNECTIVITY.order(iccid, car_park)
        for step in ways[before]:
            CONNECTIVITY.set_state(iccid, step, car_park)
        if after in SIM_TRANSITIONS[before]:
            assert CONNECTIVITY.set_state(iccid, after, car_park).state == after
        else:
            with pytest.raises(RegistryError, match=before):
                CONNECTIVITY.set_state(iccid, after, car_park)


def test_what_is_no_card_is_refused(car_park):
    """A number that is no ICCID, a card known already, a card or thing that does not exist."""
    with pytest.raises(RegistryError, match="no ICCID"):
        CONNECTIVITY.order("12", car_park)
    CONNECTIVITY.order(ICCID, car_park)
    with pytest.raises(RegistryError, match="known already"):
        CONNECTIVITY.order(ICCID, car_park)
    with pytest.raises(RegistryError, match="unknown thing"):
        CONNECTIVITY.assign(ICCID, "gate-9", car_park)
    with pytest.raises(RegistryError, match="no SIM"):
        CONNECTIVITY.set_state("89", "active", car_park)
