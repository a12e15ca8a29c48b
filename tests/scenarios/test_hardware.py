"""Fleets on shared media with batteries and microcontrollers, from the scenario's text to what is judged."""

from pathlib import Path

import pytest

from scenarios.format.loading import ScenarioError, parse
from scenarios.judging.outcome import outcome_of
from scenarios.wiring.assembly import Blueprint
from scenarios.wiring.vocabulary import Vocabulary, reporters

TEXT = """
scenario: 1
sites:
  plant: {metro: singapore}
fleets:
  meters: {device: periodic, count: 20, at: plant, via: gateway, every: 10 min, payload: 20 B, LINK}
nodes:
  gateway: {kind: gateway, at: plant}
requirements:
  - {name: years, expect: min(battery_life_days) > 365}
run: {duration: 2 h}
"""


def assembled(fleet):
    loaded = parse(TEXT.replace("LINK", fleet), catalogue=Vocabulary())
    variant = loaded.variants[0]
    blueprint = Blueprint.of(variant.scenario, {}, Path())
    return variant, blueprint, blueprint.assemble(1)


def judged(fleet):
    variant, blueprint, assembly = assembled(fleet)
    assembly.run()
    nodes_of = reporters(variant.scenario, blueprint.members)
    outcome = outcome_of(assembly, 1, nodes_of, variant.requirements, has_series=False)
    return outcome.judgements["years"], assembly


def lives(assembly):
    return [sample.value for sample in assembly.kernel.observations.samples("battery_life_days")]


def test_every_device_of_a_fleet_reports_its_battery():
    """Twenty meters on LoRaWAN SF7 last for years, and the requirement about it is met."""
    judgement, assembly = judged("link: lorawan-sf7, battery: 2400 mAh")
    assert judgement.is_met
    assert len(lives(assembly)) == 20
    assert all(3650 < days < 7300 for days in lives(assembly))


def test_a_slower_radio_empties_it_sooner():
    """SF12 is on the air 25 times as long as SF7, and half the capacity is half the life at most."""
    fast, slow, half = (
        min(lives(judged(f"link: {link}, battery: {capacity}")[1]))
        for link, capacity in (
            ("lorawan-sf7", "2400 mAh"),
            ("lorawan-sf12", "2400 mAh"),
            ("lorawan-sf12", "1200 mAh"),
        )
    )
    assert slow < fast / 2
    assert half == pytest.approx(slow / 2, rel=0.05)


def test_a_controller_says_how_often_it_was_late():
    """One observation a device; nobody sends to the meters, so none was late."""
    _, assembly = judged("link: ble, battery: 1 Ah, mcu: {type: nrf52832, task_period: 10 ms}")
    samples = assembly.kernel.observations.samples("late_messages")
    assert [sample.value for sample in samples] == [0.0] * 20


def test_devices_of_a_gateway_share_their_air():
    """Twenty links, one channel."""
    _, _, assembly = assembled("link: thread, battery: 1 Ah")
    links = [link for link in assembly.network.topology.links.values() if link.medium is not None]
    assert len(links) == 40
    assert len({id(link.medium._channel) for link in links}) == 1


def test_a_delay_of_ones_own_takes_the_place_of_the_medium():
    """`delay: 50 ms` on Thread is a plain link; on LoRaWAN it is the backhaul behind the radio."""
    _, _, plain = assembled("link: {medium: thread, delay: 50 ms}, battery: 1 Ah")
    _, _, radio = assembled("link: {medium: lorawan-sf7, delay: 50 ms}, battery: 1 Ah")
    assert plain.network.topology.links["meters-001>gateway"].medium is None
    link = radio.network.topology.links["meters-001>gateway"]
    assert link.medium is not None
    assert [type(stage).__name__ for stage in link.stages] == ["Delay"]


@pytest.mark.parametrize(
    ("fleet", "sentence"),
    [
        ("link: sigfox, battery: 1 Ah", "sigfox carries payloads of at most 12 bytes, not 20"),
        ("link: ethernet, battery: 1 Ah", "nothing is known of the current that a device on ethernet takes"),
        (
            "link: {medium: nb-iot, handover_every: 5 min}, battery: 1 Ah",
            "a device on nb-iot knows no handover",
        ),
    ],
)
def test_a_link_that_cannot_do_it_is_refused_before_the_run(fleet, sentence):
    """E060, with what the technology can."""
    with pytest.raises(ScenarioError) as caught:
        assembled(fleet)
    assert [issue.code for issue in caught.value.issues] == ["E060"]
    assert sentence in str(caught.value)


@pytest.mark.parametrize(("encoding", "is_refused"), [("json", True), ("binary", False)])
def test_json_does_not_fit_into_sigfox(encoding, is_refused):
    """A reading as JSON has more than twelve bytes whatever it says; binary ones may fit."""
    where = "at: plant, placed_by: scene, via: gateway, link: sigfox"
    device = f"{{device: gas_sensor, {where}, encoding: {encoding}}}"
    text = TEXT.replace(
        "plant: {metro: singapore}", "plant: {metro: singapore, scene: {levels: 1, bays: 12}}"
    )
    text = text.replace("requirements:", "world: {people: 3}\nrequirements:").replace(
        "LINK", "link: ble, battery: 1 Ah"
    )
    text = text.replace("nodes:", f"  gas: {device}\nnodes:")
    try:
        parse(text, catalogue=Vocabulary())
        found = []
    except ScenarioError as error:
        found = [issue.message for issue in error.issues]
    sentence = "the link of fleet 'gas' cannot do this: sigfox carries payloads of at most 12 bytes"
    assert found == ([f"{sentence}, not the device's JSON"] if is_refused else [])


def test_a_moving_device_changes_cells():
    """Handovers on LTE-M reach the link's stages, both ways the same."""
    _, _, assembly = assembled("link: {medium: lte-m, handover_every: 5 min}, battery: 1 Ah")
    links = assembly.network.topology.links
    assert links["meters-001>gateway"].stages[0] is links["gateway>meters-001"].stages[0]
    assert type(links["meters-001>gateway"].stages[0]).__name__ == "Handovers"


def test_a_radio_that_may_not_wait_loses_under_its_cause():
    """Every 30 s at SF12 and 1 %: with `duty_cycle: refuse` most readings are refused."""
    text = TEXT.replace("every: 10 min", "every: 30 s").replace("duration: 2 h", "duration: 20 min")
    text = text.replace("LINK", "link: {medium: lorawan-sf12, duty_cycle: refuse}, battery: 1 Ah")
    variant = parse(text, catalogue=Vocabulary()).variants[0]
    assembly = Blueprint.of(variant.scenario, {}, Path()).assemble(1)
    assembly.run()
    refused = sum(count for (_, cause), count in assembly.kernel.ledger.lost.items() if cause == "duty cycle")
    assert refused > assembly.kernel.ledger.sent / 2


def test_a_gateway_may_be_a_small_controller():
    """512 bytes of buffers, a task every second: the third of three at once finds no room."""
    text = TEXT.replace("LINK", "link: ethernet").replace(
        "every: 10 min, payload: 20 B", "every: 1 s, payload: 200 B"
    )
    text = text.replace(
        "kind: gateway", "kind: gateway, station: {mcu: {type: atmega328p, task_period: 1 s}}"
    )
    text = text.replace("min(battery_life_days) > 365", "max(late_messages) == 0")
    variant = parse(text.replace("2 h", "1 min"), catalogue=Vocabulary()).variants[0]
    assembly = Blueprint.of(variant.scenario, {}, Path()).assemble(1)
    assembly.run()
    assert assembly.kernel.ledger.lost["gateway", "out of memory"] > 500
    assert [each.node for each in assembly.kernel.observations.samples("late_messages")] == ["gateway"]
