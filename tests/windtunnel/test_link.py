"""What one link does, on the terminal, as JSON and as a picture; and topologies from the command line."""

import json
from xml.etree import ElementTree as ET

import pytest

from network.catalogue import presets, technologies
from network.stages.air_time import air_time_s
from network.tables import table
from twin.errors import InputError
from windtunnel.link_view import Question, View, as_svg, as_text, view


@pytest.mark.parametrize("name", sorted(technologies()))
def test_every_technology_can_be_shown(name):
    """With quantiles in order, a loss, and a source for each figure."""
    seen = view(Question(name, payload_bytes=8))

    p50, p95, p99 = seen.quantiles_s.values()
    assert 0 < p50 <= p95 <= p99
    assert seen.lost_count < 0.1 * seen.sent_count
    assert all(
        row.kind in {"published", "derived", "default", "estimated"} and row.source for row in seen.rows
    )


def test_every_preset_of_other_tools_can_be_shown():
    """Their verbatim delays, plus the transmission of the message."""
    for name, row in presets().items():
        p50 = view(Question(name, payload_bytes=0)).quantiles_s.get("p50", 0.0)
        assert p50 == pytest.approx(float(row["delay_up_ms"]) / 1e3, abs=1e-9)


def test_a_wide_area_link_has_the_median_of_its_round_trip_and_a_handshake():
    """221 ms Singapore-Ashburn: 110.5 ms one way, first publication after 3.5 round trips with TLS 1.3."""
    seen = view(Question("wan:singapore-ashburn", tls="1.3"))

    assert seen.quantiles_s["p50"] == pytest.approx(0.1105, rel=0.01)
    assert [row.what for row in seen.handshake][-1] == "first PUBLISH at the broker"
    assert len(seen.handshake) == 7
    assert seen.rows[0].kind == "published"


@pytest.mark.parametrize(("tls", "trips"), [(None, 5), ("none", 5), ("1.3", 7), ("1.2", 9)])
def test_each_tls_version_has_its_round_trips(tls, trips):
    """(n + 1.5) round trips before the first publication: n = 1, 2, 3."""
    assert len(view(Question("wan:singapore-tokyo", tls=tls)).handshake) == trips


def test_a_pair_nobody_measured_is_marked_as_estimated():
    """As everywhere; the first such pair of the table."""
    row = next(row for row in table("wan_rtt_default") if row["providers"] == "estimate")
    seen = view(Question(f"wan:{row['metro_a']}-{row['metro_b']}"))

    assert (seen.rows[0].what, seen.rows[0].kind) == ("round trip", "estimated")


def test_the_air_time_of_lora_is_that_of_the_formula():
    """SF9, 20 B of payload."""
    row = next(row for row in view(Question("lorawan-sf9", payload_bytes=20)).rows if row.what == "air time")
    assert row.value == f"{air_time_s(9, 20) * 1e3:.0f} ms"


def test_more_hops_take_longer_and_lose_more():
    """Three against one."""
    one, three = (view(Question("thread", hops=hops)) for hops in (1, 3))

    assert three.quantiles_s["p50"] > 2 * one.quantiles_s["p50"]
    assert three.lost_count > one.lost_count


def test_a_given_loss_and_bottleneck_take_the_place_of_the_link_s_own():
    """2,000 messages, 20 % lost: within five standard deviations; 1 kbit/s for 100 B: 0.8 s."""
    seen = view(Question("ethernet", loss_ratio=0.2, rate_bps=1000.0))

    assert abs(seen.lost_count - 400) < 5 * 18
    assert seen.quantiles_s["p50"] >= 0.8


def test_the_same_question_has_the_same_answer():
    """To the bit."""
    assert view(Question("lte")) == view(Question("lte"))


def test_the_picture_is_valid_and_needs_nothing_else():
    """No script, no reference; a title for those who do not see it."""
    text = as_svg(view(Question("wan:singapore-ashburn", access="gpon")))
    root = ET.fromstring(text)  # noqa: S314  (our own text)

    tags = {element.tag.rsplit("}", 1)[-1] for element in root.iter()}
    assert tags == {"svg", "title", "rect", "text"}
    assert "href" not in text


def test_nothing_came_is_said():
    """All lost."""
    seen = view(Question("ethernet", loss_ratio=1.0))

    assert "nothing came" in as_text(seen)
    assert ET.fromstring(as_svg(seen)) is not None  # noqa: S314  (our own text)


@pytest.mark.parametrize(
    ("question", "text"),
    [
        (Question("thraed"), "did you mean 'thread'"),
        (Question("wan:singapore-ashburm"), "did you mean 'ashburn'"),
        (Question("wan:singapore"), "singapore-ashburn"),
        (Question("wan:singapore-ashburn", round_trip_s=0.1), "light in fibre"),
        (Question("wan:singapore-ashburn", hops=2), "radio meshes"),
        (Question("thread", round_trip_s=0.1), "wide area"),
        (Question("lorawan-sf12", payload_bytes=100), "at most 51 B"),
        (Question("ethernet", payload_bytes=10**9), "10,000,000 bytes"),
        (Question("thread", hops=99), "hops"),
    ],
)
def test_a_link_that_cannot_be_is_refused(question, text):
    """With what was expected."""
    with pytest.raises(InputError, match=text):
        view(question)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("link", "show", "thraed"), "did you mean 'thread'"),
        (("link", "show", "thread", "--loss", "150%"), "100 %"),
        (("link", "show", "thread", "--payload", "100"), "100 B"),
        (("link", "show", "wan:singapore-ashburn", "--round-trip", "100ms"), "impossible"),
        (("topology", "show", "none.json"), "No such file"),
        (("topology", "show", "star_site:many"), "star_site:50"),
        (("topology", "export", "star_site:3", "--out", "net.pdf"), "file ending"),
    ],
)
def test_bad_input_is_one_clear_message_and_exit_code_2(windtunnel, arguments, text):
    """No traceback."""
    done = windtunnel(*arguments)

    assert done.returncode == 2
    assert text in done.stderr
    assert "Traceback" not in done.stderr


def test_link_show_prints_a_histogram_and_writes_a_picture(windtunnel, folder):
    """And JSON on request."""
    done = windtunnel("link", "show", "thread", "--hops", "2", "--svg", "thread.svg")
    as_json = windtunnel("link", "show", "thread", "--json")

    assert done.returncode == as_json.returncode == 0
    assert "###" in done.stdout
    assert "one way: p50" in done.stdout
    assert (folder / "thread.svg").read_text(encoding="utf-8").startswith("<svg")
    assert json.loads(as_json.stdout)["quantiles_s"].keys() == {"p50", "p95", "p99"}


@pytest.mark.parametrize(("step_s", "bars"), [(0.0, 1), (1e-9, 1), (1e-5, 14)])
def test_delays_that_read_the_same_are_one_bar(step_s, bars):
    """A span of 1 microsecond at 100 ms is below the three digits shown; one of 10 ms is not."""
    delays_s = [0.1 + step_s * number for number in range(1000)]
    seen = View("any", 20, [], {}, 0, 1000, [], delays_s)

    assert as_text(seen).count("|#") == bars


def test_topologies_are_shown_exported_and_imported(windtunnel, folder):
    """A shape to GraphML, that to node-link JSON, a scenario to Mermaid."""
    assert "51 nodes: 50 device, 1 gateway" in windtunnel("topology", "show", "star_site:50").stdout
    assert windtunnel("topology", "export", "campus_tree:1,2,3", "--out", "net.graphml").returncode == 0
    assert windtunnel("topology", "import", "net.graphml", "--out", "net.json").returncode == 0
    assert windtunnel("topology", "export", "small.scenario.yaml", "--out", "net.mmd").returncode == 0

    assert len(json.loads((folder / "net.json").read_text(encoding="utf-8"))["nodes"]) == 10
    assert '"gateway"' in (folder / "net.mmd").read_text(encoding="utf-8")
