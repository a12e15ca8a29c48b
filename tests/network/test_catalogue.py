"""Access technologies: their percentiles, aliases, LoRa rates."""

import math

import pytest

from network.catalogue import aliases, given_stages, link_figures, loss_presets, presets, technologies
from network.link import Link
from network.stages.jitter import Jitter
from network.tables import table
from twin.errors import InputError
from twin.kernel.randomness import Stream, Streams

COUNT = 40_000
LISTED = [row["id"] for row in table("link_catalogue")]


@pytest.mark.parametrize("technology", LISTED)
def test_draws_reproduce_the_percentiles_of_the_catalogue(technology):
    """Median within 2 %, 99th percentile within 3 % (or 3 standard errors, where that is more)."""
    figures = link_figures(technology)
    jitter = Jitter(figures.law, Stream(1, technology, "jitter"), correlation_s=0.0, is_reordering=True)
    delays_s = sorted(jitter.release(float(i), 1) - i for i in range(COUNT))
    excess = 1 - figures.floor_s / figures.p99_s
    error = 3 * math.sqrt(0.01 * 0.99 / COUNT) / 0.02665 * figures.law.sigma * excess
    assert delays_s[COUNT // 2] == pytest.approx(figures.p50_s, rel=0.02)
    assert delays_s[int(COUNT * 0.99)] == pytest.approx(figures.p99_s, rel=max(0.03, error))


@pytest.mark.parametrize("row", table("link_catalogue"), ids=LISTED)
def test_the_law_has_the_parameters_of_the_catalogue(row):
    """Mu and sigma of the reference fit (milliseconds), and p50 and p99 exactly."""
    law = link_figures(row["id"]).law
    assert law.mu + math.log(1000) == pytest.approx(float(row["lognormal_mu"]), abs=1e-3)
    assert law.sigma == pytest.approx(float(row["lognormal_sigma"]), abs=1e-3)
    assert law.quantile(0.5) * 1e3 == pytest.approx(float(row["one_way_p50_ms"]))
    assert law.quantile(0.99) * 1e3 == pytest.approx(float(row["one_way_p99_ms"]))


@pytest.mark.parametrize("row", table("link_catalogue"), ids=LISTED)
def test_the_mean_loss_follows_from_p_and_r(row):
    """The ratio p / (p + r) is the mean loss of the table."""
    assert link_figures(row["id"]).loss_ratio == pytest.approx(float(row["loss_mean"]), rel=0.01, abs=1e-9)


def test_the_spreading_factors_between_are_derived():
    """LoRa bit rates: 3125, 1758, 977 and 439 bit/s; SF7 of the formula is the 5,470 of the table."""
    rates = [technologies()[f"lorawan-sf{sf}"].up_bps for sf in (8, 9, 10, 11)]
    assert rates == [3125, 1758, 977, 439]
    assert link_figures("lorawan-sf11").mtu_bytes == 51
    assert link_figures("lorawan-sf9").mtu_bytes == 115


def test_aliases_stand_for_technologies():
    """A Zigbee hop is a Thread hop, fibre is GPON."""
    assert link_figures("zigbee").name == "thread"
    assert link_figures("fibre").name == "gpon"
    assert not set(aliases()) & set(technologies())


def test_an_unknown_technology_is_refused_with_the_nearest():
    """By name or alias."""
    with pytest.raises(InputError, match="did you mean 'ethernet'"):
        link_figures("ethernt")


def test_every_figure_says_what_it_rests_on():
    """Kind of the median, and the basis."""
    assert {figures.kind for figures in technologies().values()} == {"published", "derived", "default"}
    assert all(figures.basis for figures in technologies().values())


def test_an_access_link_has_the_stages_of_each_hop():
    """Two Thread hops: medium, bursts, delay, twice; a lone LoRa uplink is bound by its air time."""
    thread = Link.access("s-g", "s", "g", "thread", Streams(1), hops=2)
    assert [type(stage).__name__ for stage in thread.stages] == ["Medium", "GilbertElliott", "Jitter"] * 2
    lora_up = Link.access("u", "s", "g", "lorawan-sf7", Streams(1))
    lora_down = Link.access("d", "g", "s", "lorawan-sf7", Streams(1), is_down=True)
    assert [type(stage).__name__ for stage in lora_up.stages] == ["AirTime", "Jitter"]
    assert [type(stage).__name__ for stage in lora_down.stages] == ["Rate", "Jitter"]
    assert thread.provenance.startswith("derived: ")


def test_a_path_of_a_hundred_hops_is_refused():
    """Sixteen at most."""
    with pytest.raises(InputError, match="hops"):
        Link.access("l", "a", "b", "thread", Streams(1), hops=100)


def test_given_figures_make_the_stages_they_need():
    """Nothing for a figure that was not given; the jitter is the way from the median to the p99."""
    streams = Streams(1)
    names = [type(stage).__name__ for stage in given_stages("l", streams, delay_s=0.05)]
    assert names == ["Delay"]
    rate, loss, jitter = given_stages(
        "l", streams, delay_s=0.05, jitter_s=0.01, loss_ratio=0.02, rate_bps=1e6
    )
    assert (rate.rate_bps, loss.loss_ratio) == (1e6, 0.02)
    assert jitter.law.quantile(0.5) == pytest.approx(0.05)
    assert jitter.law.quantile(0.99) == pytest.approx(0.06)
    assert given_stages("l", streams) == ()
    with pytest.raises(InputError, match="longer than the delay"):
        given_stages("l", streams, delay_s=0.01, jitter_s=0.02)


def test_presets_of_other_tools_are_known():
    """Twenty links, six loss models."""
    assert presets()["webpagetest:LTE"]["down_bps"] == "12000000"
    assert len(presets()) == 20
    assert loss_presets()["satellite"] == (0.01, 0.3333, 1.0, 0.0)
