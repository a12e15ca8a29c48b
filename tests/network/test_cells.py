"""Which links share which medium, and what happens there when something goes wrong."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from network.catalogue import technologies
from network.faults import Hold, Partition
from network.link import Link
from network.media.cells import Cells, gives_way, most_payload_bytes
from network.topology import Topology
from twin.kernel.randomness import Streams

IN_MEDIA = ("thread", "lorawan-sf7", "lorawan-sf12", "sigfox", "rs485-modbus", "bacnet-mstp", "can")
IN_STAGES = ("ble", "wifi-good", "wifi-busy", "nb-iot", "starlink", "ethernet")


def names(link):
    return [type(stage).__name__ for stage in link.stages]


@pytest.mark.parametrize("technology", IN_MEDIA)
def test_a_medium_takes_messages_over(cell, technology):
    """Both directions; the law of the whole exchange is gone where the medium accounts for it."""
    links = cell(technology, has_losses=True).links
    assert all(link.medium is not None for link in links.values())
    assert all("Medium" not in names(link) and "AirTime" not in names(link) for link in links.values())
    assert links["d1", "g"].expected_delay_s > 0


@pytest.mark.parametrize("technology", IN_STAGES)
def test_other_media_are_stages(cell, technology):
    """The first stage is the medium's, and no message leaves the plain way."""
    link = cell(technology).links["d1", "g"]
    assert link.medium is None
    assert type(link.stages[0]).__module__.startswith("network.media.")


@pytest.mark.parametrize("technology", ["gpon", "docsis", "adsl", "lte", "5g", "sat-geo", "zwave"])
def test_a_line_of_ones_own_stays_plain(cell, technology):
    """Nothing is shared there."""
    link = cell(technology, has_losses=True).links["d1", "g"]
    plain = Link.access("d1>g", "d1", "g", technology, Streams(1))
    assert names(link) == names(plain)


def test_spreading_factors_share_a_cell_and_nodes_do_not():
    """SF7 and SF12 around one gateway hear each other; another gateway has an air of its own."""
    cells = Cells(Streams(1))
    links = [
        Link.access(f"{source}>{to}", source, to, technology, Streams(1))
        for source, to, technology in (
            ("a", "g", "lorawan-sf7"),
            ("b", "g", "lorawan-sf12"),
            ("c", "h", "lorawan-sf7"),
        )
    ]
    for link, technology in zip(links, ("lorawan-sf7", "lorawan-sf12", "lorawan-sf7")):
        cells.join(link, technology)
    airs = [link.medium.device.cell for link in links]
    assert airs[0] is airs[1]
    assert airs[0] is not airs[2]


@pytest.mark.parametrize(
    ("technology", "to_delay", "to_rate"),
    [
        ("thread", True, True),
        ("ble", True, True),
        ("can", True, True),
        ("rs485-modbus", True, True),
        ("bacnet-mstp", True, True),
        ("ethernet", False, True),
        ("wifi", False, True),
        ("nb-iot", False, True),
        ("lorawan-sf9", False, False),
        ("starlink", False, False),
        ("lte", False, False),
    ],
)
def test_given_figures_take_the_place_of_a_medium(technology, to_delay, to_rate):
    """A delay where the medium is the whole delay, a rate where it has one; else the medium stays."""
    assert gives_way(technology, to_delay=True, to_rate=False) is to_delay
    assert gives_way(technology, to_delay=False, to_rate=True) is to_rate
    assert not gives_way(technology, to_delay=False, to_rate=False)


def test_limits_of_a_payload_are_known_before_a_run():
    """What is refused; None where longer payloads are cut."""
    found = {name: most_payload_bytes(name) for name in technologies()}
    assert {name: most for name, most in found.items() if most is not None} == {
        "lorawan-sf7": 222,
        "lorawan-sf8": 222,
        "lorawan-sf9": 115,
        "lorawan-sf10": 51,
        "lorawan-sf11": 51,
        "lorawan-sf12": 51,
        "sigfox": 12,
        "thread": 1232,
        "can": 4095,
    }


@pytest.mark.parametrize(
    ("technology", "said"),
    [
        ("lorawan-sf12", "payloads over 51 bytes are refused"),
        ("thread", "payloads are cut into frames of 80 bytes; payloads over 1232 bytes are refused"),
        ("nb-iot", "payloads are cut into transport blocks of 125 bytes"),
    ],
)
def test_a_link_says_what_becomes_of_a_long_payload(cell, technology, said):
    """In its provenance."""
    assert cell(technology).links["d1", "g"].provenance.endswith(said)


def test_a_partition_keeps_messages_out_of_the_medium(cell):
    """Lost under the fault's name; what is on the air already arrives."""
    air = cell("lorawan-sf12")
    fault = Partition(air.network, [["d1"], ["g"]])
    air.send(0.0, "d1", "g")
    air.timeline.call_at(1.0, fault.begin)
    air.send(2.0, "d1", "g")
    timeline = air.run()
    assert timeline.lost == [(2.0, "d1>g", "partition")]
    assert len(timeline.arrived) == 1


def test_a_held_link_sends_into_the_medium_afterwards(cell):
    """Kept before the radio, sent when the hold ends."""
    air = cell("thread")
    fault = Hold(air.network, [air.links["d1", "g"]])
    air.send(0.0, "d1", "g")
    air.timeline.call_at(0.0, fault.begin)
    air.send(1.0, "d1", "g")
    air.timeline.call_at(10.0, fault.end)
    assert [10.0 < at_s < 10.02 for at_s in air.run().times] == [False, True]


@pytest.mark.parametrize("technology", [*IN_MEDIA, *IN_STAGES])
@settings(max_examples=20, deadline=None)
@given(
    plan=st.lists(
        st.tuples(
            st.floats(0.0, 30.0),
            st.integers(1, 3),
            st.booleans(),
            st.integers(0, 400),
        ),
        max_size=25,
    )
)
def test_no_message_is_forgotten(cell, technology, plan):
    """Sent = arrived + lost + in the queue + waiting in a medium, at any instant."""
    system = cell(technology, 3, has_losses=True)
    for at_s, number, is_up, size_bytes in plan:
        ends = (f"d{number}", "g") if is_up else ("g", f"d{number}")
        system.send(at_s, *ends, size_bytes)
    for until_s in (1.0, 15.0, 31.0, 2_000.0):
        timeline = system.run(until_s)
        known = len(timeline.arrived) + len(timeline.lost) + timeline.flying() + system.network.held_count
        assert known == len(plan)


@pytest.mark.parametrize("technology", [*IN_MEDIA, *IN_STAGES])
def test_the_same_seed_gives_the_same_bits(cell, technology):
    """Two cells of one seed agree in every time; another seed does not matter where nothing is random."""
    logs = []
    for _ in range(2):
        system = cell(technology, 3, seed=5, has_losses=True)
        for number in range(30):
            system.send(number * 0.37, f"d{number % 3 + 1}", "g", 10)
        logs.append(system.run().arrived)
    assert logs[0] == logs[1]


def test_a_topology_prefers_the_faster_medium():
    """The mean time of the medium counts in the choice of a path."""
    topology, streams = Topology(), Streams(1)
    cells = Cells(streams)
    for technology in ("thread", "rs485-modbus"):
        link = Link.access(technology, "d", "g", technology, streams)
        cells.join(link, technology)
        topology.add_link(link)
    assert [link.name for link in topology.path("d", "g")] == ["thread"]
