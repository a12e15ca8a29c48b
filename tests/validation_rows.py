"""What every model is held against: `docs/validation.md` is made from these rows.

Add a row beside those of its area, with a test that exists, then run `python docs/make_validation.py`.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One model, what it is held against, the test that does it, and the greatest error it allows."""

    area: str
    model: str
    source: str
    test: str
    error: str


ROWS: list[Row] = []
_AREA: list[str] = [""]


def area(name):
    """The rows that follow belong to this area."""
    _AREA[0] = name


def record(model, source, test, error):
    """Note that `test` (file::function, under tests/) holds `model` to `source` within `error`."""
    ROWS.append(Row(_AREA[0], model, source, test, error))


area("Queues and stations")
record(
    "FIFO station M/M/c, M/D/1, M/G/1: waiting time",
    "Erlang C, Pollaczek-Khinchine",
    "theory/test_queueing.py",
    "3 standard errors",
)
record("link with a rate and a finite queue", "Lindley recursion", "theory/test_link_queue.py", "exact")

area("Links")
record("delay laws", "their closed forms", "network/test_laws.py", "see the tests")
record(
    "Gilbert-Elliott loss",
    "p/(p+r)(1-h) + r/(p+r)(1-k), burst 1/r",
    "network/test_gilbert_elliott.py",
    "3 standard errors",
)
record("LoRa air time", "Semtech AN1200.13", "network/test_air_time.py", "exact")
record(
    "LoRaWAN collisions: pure ALOHA",
    "exp(-2 N T / (P channels)), 6 reference rows",
    "network/test_lorawan.py::test_without_capture_the_air_is_pure_aloha",
    "3 standard errors",
)
record(
    "LoRaWAN capture and interference",
    "Goursaud and Gorce, 36 thresholds (ns-3 lorawan)",
    "network/test_lorawan.py::test_a_frame_survives_from_the_ratio_of_the_matrix_on",
    "0.5 dB",
)
record(
    "Modbus, CAN, MS/TP, 802.15.4, BLE, Ethernet, satellite and Sigfox frame times",
    "standards' formulas, 51 reference rows",
    "network/test_frame_timing.py",
    "exact",
)
record(
    "IEEE 802.15.4 CSMA-CA: mean exchange",
    "E[back-off] + assessment + frame + acknowledgement",
    "network/test_ieee802154.py::test_the_delay_of_a_lone_device_is_the_mean_exchange",
    "3 standard errors",
)
record(
    "Modbus RTU: wait for the poll",
    "uniform over the cycle, plus the transaction",
    "network/test_polled_buses.py::test_a_reading_waits_for_its_poll",
    "3 %",
)
record(
    "Wi-Fi: wait for the air",
    "M/D/1",
    "network/test_wifi.py::test_many_devices_load_the_air_as_the_queue_formula_says",
    "3 standard errors",
)
record("access technologies", "26 published figures", "network/test_facts.py", "exact")
record(
    "battery life",
    "capacity over mean current",
    "behaviours/test_power.py::test_a_day_of_the_whole_formula",
    "0.1 %",
)
record("wide area round trips", "published medians, fibre floor", "network/test_wan.py", "see the tests")

area("Faults")
record(
    "netem's loss with its own recursion",
    "4 reference rows (T13): 1 % 25 %, 5 % 25 %, 20 % 75 %, 10 % 50 %",
    "network/test_netem.py::test_compatible_loss_is_what_the_recursion_gives",
    "3 standard errors",
)
record(
    "netem's loss done right",
    "the loss that was asked for",
    "network/test_netem.py::test_loss_done_right_keeps_what_was_asked",
    "4 standard errors",
)
record(
    "four-state loss",
    "balance equations of the chain",
    "network/test_netem.py::test_four_states_lose_their_stationary_share",
    "4 %",
)
record(
    "background load on a transmitter: waiting time",
    "M/D/1, Pollaczek-Khinchine",
    "network/test_impairments.py::test_background_load_waits_as_a_queue_of_its_utilisation",
    "8 %",
)
record(
    "partition in a ring of majorities",
    "Jepsen's definition, 4 to 11 nodes",
    "network/test_impairments.py::test_in_a_ring_of_majorities_every_node_sees_one_and_no_two_the_same",
    "exact",
)
record(
    "end of a fault",
    "the run without it, faults nested in any order",
    "network/test_impairments.py::test_faults_end_to_the_bit_in_any_nesting",
    "exact",
)

area("Transport")
record(
    "lone TCP segment, fixed RTO: mean and quantiles",
    "d + RTO p/(1-2p), d + RTO(2^k-1)",
    "network/test_tcp_theory.py::test_the_mean_delay_of_a_lone_segment_is_the_closed_form",
    "exact",
)

area("World")
record("zone fire and smoke", "published fire test cases", "world/test_verification.py", "see the tests")
