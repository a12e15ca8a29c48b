"""Round trips between metros: sources, floors, estimates, and the links made of them."""

import itertools
import math

import pytest

from network.link import Link
from network.tables import table
from network.wan import (
    Place,
    aliases,
    distance_km,
    estimate,
    fibre_floor_s,
    given_round_trip,
    metro,
    metros,
    one_way_law,
    round_trip,
    route_events,
)
from twin.errors import InputError
from twin.kernel.randomness import Streams


def test_all_666_pairs_are_slower_than_light_in_fibre():
    """No figure can be below the floor."""
    rows = table("wan_rtt_default")
    assert len(rows) == 666
    for row in rows:
        a, b = metro(row["metro_a"]), metro(row["metro_b"])
        assert round_trip(a, b).rtt_s >= fibre_floor_s(a, b)


def test_singapore_to_ashburn_takes_221_ms():
    """With the published range, either way round."""
    figure = round_trip("singapore", "ashburn")
    assert (figure.rtt_s, figure.low_s, figure.high_s, figure.kind) == (0.221, 0.219, 0.224, "published")
    assert round_trip("ashburn", "singapore") == figure


def test_distances_are_those_of_the_table():
    """Great circles, to the rounding of a kilometre."""
    for row in table("wan_rtt_default"):
        distance = distance_km(metro(row["metro_a"]), metro(row["metro_b"]))
        assert distance == pytest.approx(float(row["gc_km"]), abs=0.51)


def test_unlisted_pairs_are_estimated_and_say_so():
    """Oslo is not in the table: floor x 1.63 + 3 ms."""
    figure = round_trip("oslo", "singapore")
    floor_s = fibre_floor_s(metro("oslo"), metro("singapore"))
    assert figure.kind == "estimated"
    assert figure.rtt_s == pytest.approx(1.63 * floor_s + 0.003)


def test_every_pair_of_metros_has_a_round_trip_above_its_floor():
    """Estimates included."""
    for a, b in itertools.combinations(metros().values(), 2):
        assert round_trip(a, b).rtt_s >= fibre_floor_s(a, b)


def test_estimates_are_near_the_published_figures():
    """Mean absolute error over the published pairs: 13 % leave-one-out, not above 16 % here."""
    errors = []
    for row in table("wan_rtt_default"):
        if row["providers"] != "estimate" and float(row["gc_km"]) > 100:
            guess_s = estimate(metro(row["metro_a"]), metro(row["metro_b"])).rtt_s
            errors.append(abs(guess_s * 1e3 / float(row["rtt_ms"]) - 1))
    assert math.fsum(errors) / len(errors) < 0.16


def test_places_off_the_map_are_estimated_too():
    """A site may give coordinates instead of a metro."""
    site = Place("harbour", "SG", 1.26, 103.84)
    assert round_trip(site, "ashburn").kind == "estimated"
    assert round_trip(Place("here", "ZZ", 0.0, 0.0), "ashburn").rtt_s > 0


def test_the_same_metro_is_two_milliseconds_away():
    """Within a region, and access."""
    assert round_trip("singapore", "aws:ap-southeast-1").rtt_s == 0.002


@pytest.mark.parametrize(
    ("alias", "name"),
    [
        ("aws:ap-southeast-1", "singapore"),
        ("azure:southeastasia", "singapore"),
        ("azure:East US", "ashburn"),
        ("ibm:washington-dc", "ashburn"),
        ("ibm:Tokyo", "tokyo"),
    ],
)
def test_regions_of_providers_are_aliases(alias, name):
    """However spaces, hyphens and capitals are set."""
    assert metro(alias).name == name


def test_every_alias_leads_to_a_metro():
    """More than sixty of three providers."""
    assert len(aliases()) > 60
    assert set(aliases().values()) <= set(metros())


def test_an_unknown_metro_is_refused_with_the_nearest():
    """The architect's slip of the pen."""
    with pytest.raises(InputError, match="did you mean 'singapore'"):
        round_trip("singapur", "ashburn")


def test_a_round_trip_below_the_fibre_floor_is_refused():
    """With the distance and what light needs for it."""
    with pytest.raises(InputError, match=r"100 ms between singapore and ashburn is impossible.*152"):
        given_round_trip("singapore", "ashburn", 0.1)
    assert given_round_trip("singapore", "ashburn", 0.25).kind == "given"


def test_the_law_of_one_direction_has_the_percentiles_asked():
    """Half the round trip as median; 1.25 or 1.6 times it as 99th percentile."""
    for is_public, ratio in ((False, 1.25), (True, 1.6)):
        law = one_way_law(0.2, is_public=is_public)
        assert law.quantile(0.5) == pytest.approx(0.1)
        assert law.quantile(0.99) == pytest.approx(0.1 * ratio)
        assert law.floor_s == pytest.approx(0.0985)


def test_a_wide_area_link_carries_its_provenance():
    """Kind and source; the stages lie in the order a message meets them."""
    up = Link.wan("singapore", "ashburn", Streams(1), source="gateway", to="broker", access="gpon")
    down = Link.wan(
        "ashburn", "singapore", Streams(1), source="broker", to="gateway", access="gpon", is_down=True
    )
    assert up.provenance.startswith("published: median of the providers' published round trips")
    assert [type(stage).__name__ for stage in up.stages] == [
        "Rate",
        "GilbertElliott",
        "Jitter",
        "Loss",
        "Jitter",
    ]
    assert [type(stage).__name__ for stage in down.stages] == [
        "Loss",
        "Jitter",
        "Rate",
        "GilbertElliott",
        "Jitter",
    ]


@pytest.mark.parametrize(
    ("is_public", "loss_ratio", "p99_ratio"), [(None, 0.001, 1.25), (True, 0.001, 1.6), (False, 0.0001, 1.25)]
)
def test_the_public_internet_loses_and_varies_more(is_public, loss_ratio, p99_ratio):
    """Defaults: the jitter of a backbone, the loss of the Internet in front of it."""
    link = Link.wan("singapore", "ashburn", Streams(1), source="a", to="b", is_public=is_public)
    loss, jitter = link.stages
    assert loss.loss_ratio == loss_ratio
    assert jitter.law.p99_s == pytest.approx(p99_ratio * 0.1105)


def test_recorded_detours_have_names():
    """Pair and month of their begin; those without figures cannot be played."""
    assert len(route_events()) == 12
    assert route_events()["osaka-tokyo-2023-04"]["after_ms"] == "43"
