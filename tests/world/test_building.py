"""The building as nodes meet it: sensing, watching, acting, and the outcome it observes."""

from __future__ import annotations

import math

import pytest
import simpy
from hypothesis import given, settings
from hypothesis import strategies as st

from devices_models.world.evacuation import Evacuation
from devices_models.world.scene import example_scene
from devices_models.world.settings import CarSettings, FireSettings, PeopleSettings, WorldSettings
from twin.errors import InputError
from twin.kernel.randomness import Streams

FIRE = FireSettings(bay="L2-B016")
BURNING = WorldSettings(fire=FIRE)
EXAMPLE_BAYS = example_scene().of_kind("bay")
EMPTYING = WorldSettings(fire=FIRE, people=60, cars=CarSettings(count=20))


def open_gates(building):
    for gate in ("GA", "GB"):
        building.actuate(gate, "boom", 1.0)


# sensing ---------------------------------------------------------------------------------------------


def test_a_detector_over_the_fire_feels_it_first(trial):
    """The surrogate of a smoke detector reaches 13 K at 66.75 s, 2.5 m from the fire."""
    made = trial(BURNING)
    for detector in ("L2-D31", "L2-D26", "L2-D05"):
        made.world.watch(detector, "smoke_sensor_rise", 13.0, made.note(detector))
    made.run(200.0)
    assert made.log == [(66.75, "L2-D31"), (91.25, "L2-D26")]


def test_what_is_sensed_at_the_crossing_is_the_threshold(trial):
    """Watch and sense agree, and the jet leads the sensor's element."""
    made = trial(BURNING)
    made.env.run(until=66.5)
    assert made.world.sense("L2-D31", "smoke_sensor_rise") < 13.0
    made.env.run(until=66.75)
    assert made.world.sense("L2-D31", "smoke_sensor_rise") >= 13.0
    assert made.world.sense("L2-D31", "ceiling_jet_rise") > made.world.sense("L2-D31", "smoke_sensor_rise")


def test_heat_is_sensed_as_a_temperature(trial):
    """It starts at ambient; the 57 C alarm of the nearest detector comes at 2.5 m, RTI 50."""
    made = trial(BURNING)
    assert made.world.sense("L2-D31", "heat_sensor_temperature") == 28.0
    made.world.watch("L2-D31", "heat_sensor_temperature", 57.0, made.note("hot"))
    made.run(300.0)
    assert made.log == [(157.0, "hot")]


def test_only_the_burning_level_sees_the_fire(trial):
    """Above it the air is clear."""
    made = trial(BURNING)
    made.world.watch("L3-D31", "smoke_sensor_rise", 13.0, made.note("L3"))
    made.env.run(until=600.0)
    assert made.log == []
    quantities = ("smoke_sensor_rise", "visibility", "carbon_monoxide_ppm", "layer_height")
    assert [made.world.sense("L3-D31", quantity) for quantity in quantities] == [0.0, math.inf, 0.0, 3.0]


def test_nothing_burns_before_the_fire_starts(trial):
    """Ages count from ignition; by Alpert the jet is 13 K warm at 41.6 kW, 59.6 s of a medium fire."""
    made = trial(WorldSettings(fire=FireSettings(bay="L2-B016", starts_at_s=100.0)))
    made.world.watch("L2-D31", "smoke_sensor_rise", 13.0, made.note("alarm"))
    made.world.watch("L2-CO1", "carbon_monoxide_ppm", 44.0, made.note("gas"))
    made.world.watch("L2-D31", "ceiling_jet_rise", 13.0, made.note("jet"))
    made.run(300.0)
    assert made.log == [(159.75, "jet"), (166.75, "alarm"), (220.0, "gas")]


def test_a_world_without_fire_is_clear(trial):
    """Everything can be sensed, and nothing ever happens."""
    made = trial(WorldSettings(people=3))
    made.world.watch("L2-D31", "smoke_sensor_rise", 13.0, made.note("alarm"))
    made.run(600.0)
    assert made.log == []
    assert made.world.sense("L2-D31", "layer_height") == 3.0
    assert (made.value("aset"), made.value("people_out")) == (math.inf, math.inf)
    assert made.value("people_margin") == -math.inf


def test_bays_report_who_is_parked(trial):
    """20 cars that leave and the one that burns; a watch for 0 or less waits for the bay to empty."""
    made = trial(EMPTYING)
    bays = [feature.id for feature in made.world.scene.of_kind("bay")]
    taken = [bay for bay in bays if made.world.sense(bay, "occupied")]
    assert len(taken) == 21
    for bay in taken:
        made.world.watch(bay, "occupied", 0.0, made.note(bay))
    made.at(10.0, made.world.actuate, "L1", "sound", 1.0)
    made.at(10.0, open_gates, made.world)
    made.run(900.0)
    assert sorted(bay for _, bay in made.log) == sorted(set(taken) - {"L2-B016"})


def test_people_counters_count_everyone_who_leaves(trial):
    """All doors together pass 60 people, and each level empties."""
    made = trial(EMPTYING)
    counters = [f"L{level}-{stair}-PC" for level in (1, 2, 3) for stair in ("S1", "S2")]
    assert sum(made.world.sense(f"L{level}", "level_people") for level in (1, 2, 3)) == 60
    made.world.watch("L2-S1-PC", "level_people", 0.0, made.note("clear"))
    made.at(10.0, made.world.actuate, "L1", "sound", 1.0)
    made.run(900.0)
    assert sum(made.world.sense(counter, "people_passed") for counter in counters) == 60
    assert [word for _, word in made.log] == ["clear"]
    assert made.world.sense("L2-EX", "level_people") == 0


def test_a_watch_of_what_is_reached_already_comes_at_once(trial):
    """As an event of its own at the same time, never inside the call."""
    made = trial(BURNING)
    made.env.run(until=100.0)
    made.world.watch("L2-D31", "smoke_sensor_rise", 13.0, made.note("alarm"))
    assert made.log == []
    made.env.run(until=100.5)
    assert made.log == [(100.0, "alarm")]


def test_visibility_and_layer_are_waited_for_to_fall(trial):
    """The layer is at 2.0 m after 591 s."""
    made = trial(BURNING)
    made.world.watch("L2-D31", "layer_height", 2.0, made.note("layer"))
    made.world.watch("L2-D31", "visibility", 10.0, made.note("sight"))
    made.run(900.0)
    assert made.log[1] == (591.0, "layer")
    assert made.log[0][0] < 591.0


# acting ----------------------------------------------------------------------------------------------


def test_fans_move_a_watched_time_forward(trial):
    """Foreseen events that the fans overtake are void: the layer is destroyed once, and notified once."""
    made = trial(BURNING)
    made.world.watch("L2-D31", "layer_height", 2.0, made.note("layer"))
    made.at(100.0, made.world.actuate, "L2-JF1", "fan", 1.0)
    made.run(900.0)
    assert made.log == [(100.5, "layer")]
    assert made.value("aset") == 297.0


def test_fans_of_another_level_change_nothing(trial):
    """Smoke stays on its level in this model."""
    made = trial(BURNING)
    made.at(0.0, made.world.actuate, "L1-JF1", "fan", 1.0)
    assert made.run(700.0).value("aset") == 591.0


def test_a_gateway_commands_all_fans_of_its_level(trial):
    """Extraction and jets; switched off again, the level stays mixed."""
    made = trial(BURNING)
    made.at(50.0, made.world.actuate, "L2-GW1", "fan", 1.0)
    made.at(60.0, made.world.actuate, "L2-GW1", "fan", 0.0)
    assert 297.0 <= made.run(700.0).value("aset") < 310.0


def test_extraction_after_the_people_are_out_holds_the_layer_up(trial):
    """The foreseen end of tenability does not come; none is observed before the run's end."""
    made = trial(BURNING)
    made.at(300.0, made.world.actuate, "L2-EX", "fan", 1.0)
    assert made.run(700.0).value("aset") == math.inf


def test_the_first_sounder_starts_the_evacuation(trial):
    """Later ones, silence and the people's own discovery do not start it again."""
    made = trial(EMPTYING)
    made.at(50.0, made.world.actuate, "L1", "sound", 0.0)
    made.at(80.0, made.world.actuate, "L1", "sound", 1.0)
    made.at(90.0, made.world.actuate, "L2", "sound", 1.0)
    assert made.run().value("evacuation_start") == 80.0


def test_without_a_sounder_people_find_out_themselves(trial):
    """300 s after ignition, as at Luton."""
    settings_ = WorldSettings(
        fire=FireSettings(bay="L2-B016", starts_at_s=20.0), people=PeopleSettings(count=5)
    )
    assert trial(settings_).run().value("evacuation_start") == 320.0


def test_each_waiting_car_is_seen_and_admitted_by_its_plate(trial):
    """The wrong plate opens nothing; the gate tells when a car stands there and which."""
    made = trial(WorldSettings(fire=FIRE, cars=CarSettings(count=2, gate_mode="authorise")))
    world = made.world

    def look(gate):
        plate = world.sense(gate, "plate")
        made.log.append((gate, plate, world.sense(gate, "car_waiting")))
        world.actuate(gate, "admit", plate + 1)
        assert world.sense(gate, "car_waiting") == 1.0
        world.actuate(gate, "admit", plate)
        assert world.sense(gate, "car_waiting") == 0.0

    for gate in ("GA", "GB"):
        world.watch(gate, "car_waiting", 1.0, lambda gate=gate: look(gate))
    made.at(10.0, world.actuate, "L1", "sound", 1.0)
    made.run()
    assert sorted(plate for _, plate, _ in made.log) == [1001.0, 1002.0]
    assert all(is_waiting == 1.0 for _, _, is_waiting in made.log)
    assert sum(world.sense(gate, "cars_passed") for gate in ("GA", "GB")) == 2
    assert made.value("cars_out") < 300.0


def test_the_mode_of_a_gate_is_a_number(trial):
    """0 closed, 1 ticket, 2 free, 3 authorise; a lowered boom returns to the normal mode."""
    made = trial(EMPTYING)
    gate = made.world.evacuation.cars.gates["GA"]
    modes = []
    for name, value in (("mode", 0), ("mode", 3), ("boom", 1), ("boom", 0)):
        made.world.actuate("GA", name, value)
        modes.append(gate.mode)
    assert modes == ["closed", "authorise", "free", "ticket"]
    with pytest.raises(InputError, match="expected 0 to 3"):
        made.world.actuate("GA", "mode", 4)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda world: world.sense("nobody", "visibility"), "node 'nobody' has no place in the scene"),
        (lambda world: world.sense("L2-D31", "visibilty"), "did you mean 'visibility'"),
        (lambda world: world.sense("L2-D31", "car_waiting"), "car_waiting is sensed at a gate"),
        (lambda world: world.actuate("L2-D31", "boom", 1), "expected a gate"),
        (lambda world: world.actuate("GA", "bom", 1), "did you mean 'boom'"),
        (lambda world: world.place("x", "L2-D99"), "no feature 'L2-D99'"),
    ],
)
def test_a_wrong_word_is_answered_with_the_right_one(trial, call, message):
    """Sensing and acting where it cannot be done is an error of the input."""
    made = trial(BURNING)
    with pytest.raises(InputError, match=message):
        call(made.world)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (WorldSettings(fire=FireSettings(bay="L2-B0016")), "no feature 'L2-B0016'; did you mean"),
        (WorldSettings(fire=FireSettings(bay="GA")), "'GA' is a gate; expected the id of a bay"),
        (WorldSettings(fire=FireSettings("L2-B016", growth="medum")), "did you mean 'medium'"),
        (WorldSettings(fire=FIRE, cars=360), "360 leave, but carpark_3x120.geojson has 359 bays"),
        (WorldSettings(people=-1), "people: -1; expected 0 to"),
    ],
)
def test_settings_that_do_not_fit_the_scene_are_refused(trial, wrong, message):
    """Before anything runs."""
    with pytest.raises(InputError, match=message):
        trial(wrong)


# outcome ---------------------------------------------------------------------------------------------


def test_the_fire_spreads_along_its_row(trial):
    """Both neighbours after 294 s, the next two after as long again."""
    made = trial(BURNING).run(600.0)
    spread = [(round(at_s), value) for at_s, _, name, value in made.observed if name == "fire_spread"]
    assert spread == [(294, 3.0), (587, 5.0)]


def test_smoke_of_all_burning_cars_shortens_the_time(trial):
    """The design fire is one car; more cars fill the level earlier."""
    made = trial(WorldSettings(fire=FireSettings(bay="L2-B016", smoke_from="all_cars")))
    assert 450.0 < made.run().value("aset") < 591.0


def test_those_who_never_come_out_are_told_at_the_end(trial):
    """Closed gates: cars_out is infinite, and the cars count as inside when the level is untenable."""
    made = trial(WorldSettings(fire=FIRE, people=10, cars=CarSettings(count=9, gate_mode="closed")))
    made.at(60.0, made.world.actuate, "L1", "sound", 1.0)
    made.run()
    assert made.value("cars_out") == math.inf
    assert made.value("cars_inside_at_untenable") == 9
    assert made.value("people_inside_at_untenable") == 0
    assert made.value("people_margin") == made.value("aset") - made.value("people_out")


def test_the_occupancy_is_a_series_of_small_lists(trial):
    """One row every 10 s; people and cars only ever leave."""
    made = trial(EMPTYING)
    made.at(10.0, made.world.actuate, "L1", "sound", 1.0)
    series = made.run(600.0).world.occupancy()
    assert list(series) == ["time_s", "people", "cars", "layer_height_m", "queue GA", "queue GB"]
    assert series["time_s"] == [10.0 * row for row in range(60)] + [600.0]
    assert series["people"] == sorted(series["people"], reverse=True)
    assert (series["people"][0], series["people"][-1], series["cars"][0]) == (60, 0, 20)
    assert max(series["queue GA"]) > 0


@given(
    seed=st.integers(0, 2**32), count=st.integers(0, 40), mode=st.sampled_from(["ticket", "free", "closed"])
)
@settings(max_examples=15, deadline=None)
def test_people_and_cars_are_conserved(seed, count, mode):
    """At every event, who has not set out, walks, waits, is on a link or is out adds up."""
    env = simpy.Environment()
    wanted = WorldSettings(people=2 * count, cars=CarSettings(count=count, gate_mode=mode))
    made = Evacuation(env, example_scene(), wanted, Streams(seed))
    made.start()
    while env.peek() < 400.0:
        env.step()
        for crowd in (made.people, made.cars):
            travellers = [traveller for _, traveller, *_ in crowd.departures]
            on_links = sum(link.count for link in crowd.links.values())
            waiting = sum(link.waiting_count for link in crowd.links.values())
            begun = sum(traveller.hop >= 0 for traveller in travellers)
            assert crowd.inside_count >= on_links >= 0
            assert begun == on_links + crowd.count - crowd.inside_count
            assert all(0 <= link.count <= len(link.pace) for link in crowd.links.values())
            assert waiting <= crowd.inside_count


def test_the_same_seed_gives_the_same_bits(trial):
    """And another seed does not."""

    def observed(seed):
        made = trial(EMPTYING, seed)
        made.at(78.0, made.world.actuate, "L1", "sound", 1.0)
        made.at(80.0, open_gates, made.world)
        return made.run().observed

    assert observed(7) == observed(7)
    assert observed(7) != observed(8)


def test_the_time_of_the_gates_changes_nobody(trial):
    """Common random numbers: people leave at the same instants whatever the gates do."""

    def people_out(gate_s):
        made = trial(EMPTYING)
        made.at(78.0, made.world.actuate, "L1", "sound", 1.0)
        made.at(gate_s, open_gates, made.world)
        made.run()
        return made.value("people_out"), [round(d, 9) for d, *_ in made.world.evacuation.cars.departures]

    assert people_out(80.0) == people_out(400.0)


def test_more_people_do_not_change_the_first_ones(trial):
    """Person i is the same in a larger crowd, and so is car i."""
    few, many = (trial(WorldSettings(people=count, cars=count)).world.evacuation for count in (20, 50))
    for crowd in ("people", "cars"):
        first, all_ = (
            [delay_s for delay_s, *_ in getattr(evacuation, crowd).departures] for evacuation in (few, many)
        )
        assert all_[:20] == first


# a fire that starts in the run ----------------------------------------------------------------------


def test_a_fire_that_starts_by_order_is_the_fire_that_was_set_for_then(trial):
    """Detectors, smoke, spread and people meet it at the same times."""
    people = WorldSettings(fire=FireSettings(bay="L2-B016", starts_at_s=64.0), people=60)
    planned = trial(people)
    ordered = trial(WorldSettings(people=60))
    for each in (planned, ordered):
        for quantity, threshold in (("ceiling_jet_rise", 5.0), ("visibility", 20.0)):
            each.world.watch("L2-D31", quantity, threshold, each.note(quantity))
    ordered.at(64.0, ordered.world.ignite, "L2-B016")
    planned.run()
    ordered.run()

    assert [word for _, word in ordered.log] == ["ceiling_jet_rise", "visibility"]
    assert ordered.log == planned.log
    assert sorted(ordered.observed) == sorted(planned.observed)


def test_the_car_that_catches_fire_does_not_leave(trial):
    """It is not among those that are counted inside."""
    found = trial(WorldSettings(cars=CarSettings(count=20)))
    bay = next(each.id for each in EXAMPLE_BAYS if found.world.evacuation.cars.is_parked(each.id))
    found.at(10.0, found.world.ignite, bay)
    found.at(20.0, found.world.actuate, "GA", "sound", 1.0)
    found.at(20.0, open_gates, found.world)
    found.run()

    assert found.world.evacuation.cars.count == 19
    assert found.world.evacuation.cars.inside_count == 0
    assert math.isfinite(found.value("cars_out"))


def test_fans_that_run_already_act_on_a_fire_that_starts(trial):
    """As they do on one that burns when they are switched on."""
    early, late = trial(WorldSettings()), trial(WorldSettings())
    for each in (early, late):
        each.at(10.0, each.world.ignite, "L2-B016")
    early.at(5.0, early.world.actuate, "L2-EX", "fan", 1.0)
    late.at(10.0, late.world.actuate, "L2-EX", "fan", 1.0)
    early.run()
    late.run()

    assert early.world.aset_s == late.world.aset_s


@pytest.mark.parametrize(
    ("bay", "message"), [("L2-B999", "did you mean"), ("GA", "expected the id of a bay")]
)
def test_a_fire_starts_in_a_bay(trial, bay, message):
    """Whatever else is named is refused with what is near."""
    with pytest.raises(InputError, match=message):
        trial(WorldSettings()).world.ignite(bay)


def test_a_building_has_one_fire(trial):
    """A second is refused in one sentence that says where the first is."""
    with pytest.raises(InputError, match="bay 'L2-B016' burns from 0 s on, and a building has one fire"):
        trial(BURNING).world.ignite("L2-B017")
