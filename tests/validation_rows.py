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
    "lone TCP segment, fixed time-out: mean and quantiles",
    "T1: d + RTO p/(1-2p), d + RTO(2^k-1)",
    "network/test_tcp_theory.py::test_the_mean_delay_of_a_lone_segment_is_the_closed_form",
    "exact",
)
record(
    "lone TCP segment, fixed time-out: random losses",
    "T1: d + RTO p/(1-2p)",
    "network/test_tcp_theory.py::test_random_losses_give_the_mean_within_3_standard_errors",
    "3 standard errors",
)
record(
    "TCP with few retransmissions",
    "T2: truncated geometric law",
    "network/test_transport_reference.py::test_few_retransmissions_shorten_the_mean_of_those_that_get_through",
    "exact",
)
record(
    "QoS 1 over TCP",
    "T3: RTT + RTO[pf/(1-2pf) + pr/(1-2pr)]",
    "network/test_tcp_theory.py::test_a_qos_1_exchange_takes_the_closed_form",
    "3 standard errors",
)
record(
    "connecting with lost SYNs",
    "T4: RTT + RTO0 P/(1-2P)",
    "network/test_transport_reference.py::test_connecting_takes_the_closed_form",
    "3 standard errors",
)
record(
    "cold start of TCP, TLS 1.2 and 1.3, resumed, QUIC",
    "T5: (n + 1.5) RTT, (n + 2) RTT",
    "network/test_transport_reference.py::test_a_cold_start_takes_the_round_trips_of_the_reference",
    "exact",
)
record(
    "CoAP confirmable exchange: closed form",
    "T6 (RFC 7252)",
    "network/test_confirmed.py::test_the_mean_of_an_exchange_is_the_closed_form",
    "exact",
)
record(
    "CoAP confirmable exchange: random losses",
    "T6 (RFC 7252)",
    "network/test_confirmed.py::test_random_exchanges_agree_with_the_closed_form",
    "3 standard errors",
)
record(
    "head-of-line blocking",
    "T7: R - (1-p)(1 - exp(-lambda p R))/(lambda p)",
    "network/test_transport_reference.py::test_order_delays_messages_by_the_closed_form",
    "3 standard errors",
)
record(
    "long transfers",
    "T8: Mathis et al. 1997",
    "network/test_transport_reference.py::test_the_bound_of_a_long_transfer_is_that_of_mathis",
    "exact",
)
record(
    "RFC 6298 estimator",
    "T9: worked example",
    "network/test_transport_reference.py::test_the_estimator_of_rfc_6298_gives_the_figures_of_the_reference",
    "exact",
)
record(
    "TLS flights and bytes",
    "16 handshakes recorded with OpenSSL 3",
    "network/test_transport_reference.py::test_every_recorded_handshake_has_its_flights_and_bytes",
    "exact",
)
record(
    "MQTT packets on the wire",
    "recorded packets of paho-mqtt",
    "network/test_wire_bytes.py::test_every_recorded_packet_has_its_bytes_on_the_wire",
    "exact",
)
record(
    "timers of TCP",
    "RFC 6298, RFC 8985, Linux",
    "network/test_transport_reference.py::test_the_timers_of_tcp_are_those_of_the_table",
    "exact",
)
record(
    "derived timers of CoAP",
    "RFC 7252, 4.8.2",
    "network/test_confirmed.py::test_the_timers_of_rfc_7252_are_derived_as_it_does",
    "exact",
)
record(
    "retries of MQTT-SN",
    "MQTT-SN 1.2, 7.2",
    "network/test_confirmed.py::test_mqtt_sn_tries_again_every_ten_seconds",
    "exact",
)
record(
    "TCP without loss: connect and requests",
    "Linux over a TUN link, 20 and 125 ms one way",
    "oracle/test_against_the_kernel.py::test_connect_and_requests_take_their_round_trips",
    "5 % or 1 ms",
)
record(
    "TCP repair of a young connection: probe and time-outs",
    "Linux over a TUN link, 20 and 125 ms one way",
    "oracle/test_against_the_kernel.py::test_a_first_request_lost_so_often_is_repaired_as_the_kernel_does",
    "5 % or 1 ms",
)
record(
    "TCP repair of a settled connection",
    "Linux over a TUN link, 20 and 125 ms one way",
    "oracle/test_against_the_kernel.py::test_a_settled_connection_is_repaired_sooner",
    "5 % or 1 ms",
)
record(
    "TCP repair by acknowledgements of later data (RACK)",
    "Linux over a TUN link, 20 and 125 ms one way",
    "oracle/test_against_the_kernel.py::test_later_messages_tell_of_a_loss_as_soon_as_in_the_kernel",
    "5 % or 1 ms",
)
record(
    "TCP repair of the end of a stream: a probe of the last segment, timers that acknowledgements start anew",
    "Linux over a TUN link, 125 ms one way",
    "oracle/test_against_the_kernel.py::test_an_acknowledgement_puts_off_the_repair_of_the_last",
    "5 % or 1 ms",
)
record(
    "TCP repair after data came twice, which Linux takes for reordering",
    "Linux over a TUN link, 125 ms one way",
    "oracle/test_against_the_kernel.py::test_what_came_twice_makes_later_repairs_slower",
    "5 % or 1 ms",
)
record(
    "TCP congestion window of small messages after losses",
    "Linux (Reno) over a TUN link, 125 ms one way",
    "oracle/test_against_the_kernel.py::test_messages_wait_for_the_window_that_losses_have_narrowed",
    "5 % or 1 ms",
)
record(
    "TCP slow start",
    "Linux over a TUN link, 20 and 125 ms one way",
    "oracle/test_against_the_kernel.py::test_long_messages_wait_for_the_window_as_in_the_kernel",
    "5 % or 1 ms",
)
record(
    "TCP under 1 % and 5 % loss: medians of all and of repaired requests",
    "Linux over a TUN link, 20 and 125 ms one way",
    "oracle/test_against_the_kernel.py::test_quantiles_under_loss_are_those_of_the_kernel",
    "5 % or 1 ms, beyond sampling",
)

area("World")
record("zone fire and smoke", "published fire test cases", "world/test_verification.py", "see the tests")

area("Twins")
record(
    "twin of a toggling property with lost reports: wrong share, age, staleness",
    "p/(1+p), g/(1-p) with exponential quantiles, g p/(1+p)",
    "theory/test_twin_truth.py::test_with_lost_reports",
    "3 to 9 %",
)
record(
    "twin behind a constant delay: wrong share, age",
    "(1 - exp(-2 d/g))/2, g + d",
    "theory/test_twin_truth.py::test_with_late_reports",
    "3 %",
)
record(
    "integrals of age, staleness and wrong time",
    "fine sampling of random histories",
    "state/test_truth.py::test_exact_integrals_equal_fine_sampling",
    "exact; staleness 2 %",
)
