"""Links and gates: one traveller after the other."""

from __future__ import annotations

import math

import pytest
import simpy

from devices_models.world.spatial_queue import Gate, Link, Traveller


@pytest.fixture
def env():
    return simpy.Environment()


def send(env, path, at_s, speed_m_s=1.0):
    """Travellers set out at these times; the list fills with the times at which they are out."""
    out = []
    for number, start_s in enumerate(at_s):
        one = Traveller(number, path, speed_m_s, lambda _: out.append(env.now))
        env.timeout(start_s).callbacks.append(one.set_out)
    return out


def link(env, length_m=10.0, room=9, headway_s=2.0, speed_m_s=5.0):
    return Link(env, "a link", length_m, (speed_m_s,) * room, headway_s)


def test_a_lone_traveller_needs_length_over_own_speed(env):
    """40 m at 1 m/s is 40 s (IMO test 1)."""
    out = send(env, (link(env, 40.0),), [0.0])
    env.run()
    assert out == [40.0]


def test_nobody_is_faster_than_the_link_allows(env):
    """The pace of the link caps a runner."""
    out = send(env, (link(env, 40.0, speed_m_s=2.0),), [0.0], speed_m_s=9.0)
    env.run()
    assert out == [20.0]


def test_a_queue_leaves_one_a_headway(env):
    """Three arrive together, one leaves every 2 s: the first at once."""
    out = send(env, (link(env),), [0.0, 0.0, 0.0])
    env.run()
    assert out == [10.0, 12.0, 14.0]


def test_speed_is_that_of_the_density_found(env):
    """The second finds one on the link and walks at half the speed."""
    way = Link(env, "crowded", 10.0, (1.0, 0.5), 0.1)
    out = send(env, (way,), [0.0, 0.0], speed_m_s=9.0)
    env.run()
    assert out == [10.0, 20.0]


def test_a_full_link_holds_back_the_one_before(env):
    """One place on the second link: the second traveller waits for it on the first (spill-back)."""
    first, second = link(env, headway_s=0.5), link(env, 10.0, room=1, headway_s=0.5)
    out = send(env, (first, second), [0.0, 0.0])
    env.run(until=15.0)
    assert (first.count, second.count) == (1, 1)
    env.run()
    assert out == [20.0, 30.0]


def test_a_full_first_link_makes_travellers_wait_outside(env):
    """They come in first come, first served."""
    way = link(env, 10.0, room=1, headway_s=0.5)
    out = send(env, (way,), [0.0, 1.0, 2.0])
    env.run(until=5.0)
    assert (way.count, way.waiting_count) == (1, 2)
    env.run()
    assert out == [10.0, 20.0, 30.0]


def test_two_ways_merge_in_order_of_arrival(env):
    """A shared link serves whoever came first, and its headway is the capacity of both."""
    left, right, shared = link(env), link(env), link(env, headway_s=4.0)
    first = send(env, (left, shared), [0.0, 2.0])
    second = send(env, (right, shared), [1.0])
    env.run()
    assert (first, second) == ([20.0, 28.0], [24.0])


def gate(env, mode):
    """A lane of 10 m with a gate: 10 s a ticket, 4.8 s to move up, 4.2 s when free."""
    lane = link(env, headway_s=4.2)
    log = []
    made = Gate(env, lane, mode, 10.0, 4.8, lambda quantity, value: log.append((env.now, quantity, value)))
    return made, lane, log


def test_a_ticket_costs_service_and_move_up(env):
    """The cycle of a pay lane is 14.8 s; the first car is served on arrival."""
    _, lane, _ = gate(env, "ticket")
    out = send(env, (lane,), [0.0, 0.0, 0.0])
    env.run()
    assert out == pytest.approx([20.0, 34.8, 49.6])


def test_a_free_gate_passes_cars_at_the_lane_s_headway(env):
    """No stop: 4.2 s."""
    _, lane, _ = gate(env, "free")
    out = send(env, (lane,), [0.0, 0.0, 0.0])
    env.run()
    assert out == pytest.approx([10.0, 14.2, 18.4])


def test_a_closed_gate_lets_nobody_pass_until_it_is_freed(env):
    """The waiting car leaves at once, the next after the headway."""
    boom, lane, _ = gate(env, "closed")
    out = send(env, (lane,), [0.0, 0.0])
    env.timeout(100.0).callbacks.append(lambda _: boom.set_mode("free"))
    env.run()
    assert out == pytest.approx([100.0, 104.2])


def test_freeing_a_gate_lets_go_the_car_that_pays(env):
    """The rest of the ticket time is not waited for, and its timer does nothing later."""
    boom, lane, _ = gate(env, "ticket")
    out = send(env, (lane,), [0.0])
    env.timeout(12.0).callbacks.append(lambda _: boom.set_mode("free"))
    env.run()
    assert out == [12.0]


def test_each_car_waits_for_its_own_admission(env):
    """An answer for another car moves nobody; the next needs its move-up first."""
    boom, lane, log = gate(env, "authorise")
    out = send(env, (lane,), [0.0, 0.0])
    for at_s, number in ((20.0, 1), (30.0, 0), (31.0, None), (40.0, 1)):
        env.timeout(at_s).callbacks.append(lambda _, number=number: boom.admit(number))
    env.run()
    assert out == [30.0, 40.0]
    assert log == [
        (10.0, "car_waiting", 1.0),
        (30.0, "car_waiting", 0.0),
        (30.0, "cars_passed", 1.0),
        (34.8, "car_waiting", 1.0),
        (40.0, "car_waiting", 0.0),
        (40.0, "cars_passed", 2.0),
    ]


def test_an_admission_with_nobody_there_is_forgotten(env):
    """It does not let the next car pass."""
    boom, lane, _ = gate(env, "authorise")
    out = send(env, (lane,), [0.0])
    boom.admit()
    env.run()
    assert out == []
    assert boom.car is not None


def test_closing_again_stops_the_ticket(env):
    """A gate that is closed during the service keeps the car; paying starts over."""
    boom, lane, _ = gate(env, "ticket")
    out = send(env, (lane,), [0.0])
    env.timeout(15.0).callbacks.append(lambda _: boom.set_mode("closed"))
    env.timeout(50.0).callbacks.append(lambda _: boom.set_mode("ticket"))
    env.run()
    assert out == [60.0]


def test_a_short_closure_does_not_shorten_the_next_service(env):
    """Arrived at 10 s, closed at 13, ticket at 15: out at 25, though the first service would end at 20."""
    boom, lane, _ = gate(env, "ticket")
    out = send(env, (lane,), [0.0])
    for at_s, mode in ((13.0, "closed"), (15.0, "ticket")):
        env.timeout(at_s).callbacks.append(lambda _, mode=mode: boom.set_mode(mode))
    env.run()
    assert out == [25.0]


def test_a_timer_of_an_admitted_car_does_not_serve_the_next(env):
    """The first is admitted during its service; the next is served its own 10 s after moving up."""
    boom, lane, _ = gate(env, "ticket")
    out = send(env, (lane,), [0.0, 0.0])
    env.timeout(12.0).callbacks.append(lambda _: boom.admit())
    env.run()
    assert out == pytest.approx([12.0, 26.8])


def test_a_traveller_may_start_part_of_the_way(env):
    """A bay lies along its first piece of aisle."""
    out = []
    one = Traveller(0, (link(env),), math.inf, lambda _: out.append(env.now), first_m=4.0)
    one.set_out()
    env.run()
    assert out == [0.8]
