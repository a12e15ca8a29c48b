"""Buses with turns: Modbus RTU is polled, MS/TP passes a token."""

import pytest

from network.media import modbus, mstp
from network.media.turns import TurnClock, next_own_turn


@pytest.mark.parametrize(
    ("index", "count", "from_turn", "turn"),
    [(0, 4, 0, 0), (3, 4, 0, 3), (0, 4, 1, 4), (2, 3, 5, 5), (0, 1, 7, 7)],
)
def test_a_place_has_every_nth_turn(index, count, from_turn, turn):
    """The first of its turns from another on."""
    assert next_own_turn(index, count, from_turn) == turn


def test_turns_come_later_by_what_others_send():
    """Turn 5 of one second begins at 5 s, and at 7.5 s once somebody sent for 2.5 s at 3 s."""
    clock = TurnClock(1.0)
    assert clock.begins_s(5) == 5.0
    clock.stand(3.0, 2.5)
    assert clock.begins_s(5) == 7.5
    assert [clock.next_turn(at_s) for at_s in (3.0, 4.0, 5.5, 5.6, 6.5)] == [3, 3, 3, 4, 4]


TURN_S = modbus.transaction_s(19_200, 10)


def test_thirty_two_slaves_at_9600_baud_are_polled_every_2_59_s():
    """10 registers each, 35 ms of turnaround."""
    bus = modbus.ModbusBus(9_600)
    for _ in range(32):
        bus.join()
    assert bus.cycle_s == pytest.approx(2.59, abs=0.005)


def test_a_reading_waits_for_its_poll(cell):
    """Eight slaves: evenly 0 to one cycle, and then the transaction."""
    line = cell("rs485-modbus", 8)
    cycle_s = 8 * TURN_S
    for number in range(800):
        line.send(number * 1.0, "d3", "g", 20)
    delays_s = [at_s - number for number, at_s in enumerate(line.run().times)]
    assert min(delays_s) >= TURN_S - 1e-9
    assert max(delays_s) <= cycle_s + TURN_S + 1e-9
    assert sum(delays_s) / 800 == pytest.approx(cycle_s / 2 + TURN_S, rel=0.03)


def test_slaves_are_polled_in_turn(cell):
    """All speak at once: the answers come one transaction after the other, in the order of the line."""
    line = cell("rs485-modbus", 4)
    for number in (3, 1, 4, 2):
        line.send(0.0, f"d{number}", "g", 20, topic=f"d{number}")
    arrived = line.run().arrived
    assert [topic for _, _, topic in arrived] == ["d1", "d2", "d3", "d4"]
    assert line.timeline.times == pytest.approx([TURN_S * number for number in (1, 2, 3, 4)])


def test_a_long_reading_delays_the_polls_behind_it(cell):
    """125 registers and the rest in a second transaction; the next slave waits for both."""
    line = cell("rs485-modbus", 2)
    line.send(0.0, "d1", "g", 300)
    line.send(0.0, "d2", "g", 20)
    long_s = modbus.transaction_s(19_200, 125) + modbus.transaction_s(19_200, 25)
    assert line.run().times == pytest.approx([long_s, long_s + TURN_S])


@pytest.mark.parametrize(("payload_bytes", "count"), [(246, 1), (247, 2), (250, 2), (492, 2), (493, 3)])
def test_a_writing_carries_123_registers(payload_bytes, count):
    """246 bytes; each further transaction costs its frame once more."""
    registers = -(-payload_bytes // 2)
    frame_s = modbus.transaction_s(19_200, 0, is_write=True)
    values_s = modbus.transaction_s(19_200, registers, is_write=True) - frame_s
    seconds = modbus.transfer_s(19_200, payload_bytes, is_write=True)
    assert seconds == pytest.approx(count * frame_s + values_s)


def test_commands_go_between_polls_in_their_order(cell):
    """Two at the same instant follow each other, then the poll that they pushed back."""
    line = cell("rs485-modbus", 2)
    line.send(TURN_S / 2, "g", "d2", 2, topic="first")
    line.send(TURN_S / 2, "g", "d2", 2, topic="second")
    line.send(TURN_S / 2, "d2", "g", 20, topic="reading")
    write_s = modbus.transaction_s(19_200, 1, is_write=True)
    assert line.run().arrived == [
        (pytest.approx(TURN_S + write_s), "d2", "first"),
        (pytest.approx(TURN_S + 2 * write_s), "d2", "second"),
        (pytest.approx(TURN_S + 2 * write_s + TURN_S), "g", "reading"),
    ]


def test_one_message_a_poll_and_a_bounded_queue(cell):
    """Twenty at once from a lone slave: those behind the sixteenth that waits are lost."""
    line = cell("rs485-modbus")
    for _ in range(20):
        line.send(0.0, "d1", "g", 20)
    timeline = line.run()
    assert timeline.times == pytest.approx([TURN_S * (number + 1) for number in range(len(timeline.times))])
    assert {cause for _, _, cause in timeline.lost} == {"queue full"}
    assert len(timeline.arrived) == 18


TOKEN_S = mstp.token_s(38_400)


def test_a_token_comes_round(cell):
    """The gateway and 29 devices, one frame of 50 bytes each: a rotation of 593.75 ms."""
    bus = cell("bacnet-mstp", 29)
    for number in range(1, 30):
        bus.send(0.0, f"d{number}", "g", 50)
        bus.send(0.0, f"d{number}", "g", 50)
    bus.send(0.0, "g", "d1", 50)
    bus.send(0.0, "g", "d1", 50)
    timeline = bus.run()
    assert len(timeline.times) == 60
    assert timeline.times[30] - timeline.times[0] == pytest.approx(0.59375)


def test_on_an_idle_bus_the_wait_is_up_to_a_rotation(cell):
    """Five masters: evenly 0 to 15.625 ms, and then the frame."""
    bus = cell("bacnet-mstp", 4)
    for number in range(500):
        bus.send(number * 1.0 + number * 3.1e-5, "d2", "g", 50)
    delays_s = [at_s - (number * 1.0 + number * 3.1e-5) for number, at_s in enumerate(bus.run().times)]
    frame_s = mstp.frame_s(38_400, 50)
    assert min(delays_s) >= frame_s - 1e-9
    assert max(delays_s) <= frame_s + 5 * TOKEN_S + 1e-9


def test_a_long_message_takes_a_token_a_segment(cell):
    """1,000 bytes: 480, 480 and 40, a rotation between them."""
    bus = cell("bacnet-mstp")
    bus.send(0.0, "d1", "g", 1000)
    first_s = TOKEN_S + mstp.frame_s(38_400, 480)
    between_s = 2 * TOKEN_S
    assert bus.run().times == [
        pytest.approx(first_s + 2 * between_s + mstp.frame_s(38_400, 480) + mstp.frame_s(38_400, 40))
    ]
