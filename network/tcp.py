"""TCP's clockwork: round trip estimators, first repair of a loss, and closed forms.

linux  RTO = SRTT + RTTVAR, RTTVAR at least 200 ms and decaying by a quarter a round trip (tcp_rtt_estimator);
       repair by probe, reordering window (RFC 8985) or time-out
rfc    RTO = max(SRTT + 4 RTTVAR, 1 s) (RFC 6298); repair by three acknowledgements or time-out
fixed  RTO = round trip + a margin for ever; repair by time-out only: what the closed forms T1 to T7 assume
"""

from __future__ import annotations

import math

from twin.errors import InputError

LINUX_FLOOR_S = 0.2  # TCP_RTO_MIN
RFC_FLOOR_S = 1.0
DELAYED_ACK_S = 0.2  # RFC 8985, 7.2: PTO of a lone segment; Linux takes TCP_RTO_MIN
INITIAL_WINDOW_COUNT = 10  # RFC 6928
LEAST_THRESHOLD_COUNT = 2  # RFC 5681, tcp_reno_ssthresh
REORDERING_RATIO = 0.25  # RFC 8985, 6.2: the reordering window is a quarter of the least round trip
DUPLICATES = 3  # RFC 5681
ACK_DELAY_S = 0.04  # TCP_DELACK_MIN
TICK_S = 0.004  # CONFIG_HZ=250, as most distributions have
LEAST_TIMER_S = 0.002  # TCP_TIMEOUT_MIN_US
FINE_TICKS, COARSER = 63, 8  # of Linux' timer wheel: so many exact ticks, then each level coarser by this


class RoundTrip:
    """SRTT and RTTVAR of one direction of a connection, by RFC 6298.

    `variation_s` is RTTVAR; `rto_s` is max(SRTT + max(4 RTTVAR, `least_term_s`) + `extra_s`, `floor_s`).
    """

    __slots__ = ("extra_s", "floor_s", "least_term_s", "rto_s", "srtt_s", "variation_s")

    def __init__(self, floor_s: float = RFC_FLOOR_S, least_term_s: float = 0.0, extra_s: float = 0.0) -> None:
        self.floor_s = floor_s
        self.least_term_s = least_term_s
        self.extra_s = extra_s
        self.srtt_s = math.nan
        self.variation_s = math.nan
        self.rto_s = 1.0

    def begin(self, round_trip_s: float) -> None:
        """Take the first measurement: RTTVAR is half of it."""
        self.srtt_s = round_trip_s
        self.variation_s = round_trip_s / 2
        self.rto_s = max(self.unclamped_rto_s, self.floor_s)

    def settle(self, round_trip_s: float) -> None:
        """Be as after many equal measurements."""
        self.srtt_s = round_trip_s
        self.variation_s = 0.0
        self.rto_s = max(self.unclamped_rto_s, self.floor_s)

    def sample(self, round_trip_s: float) -> None:
        """Take a measurement: alpha 1/8, beta 1/4, K 4."""
        self.variation_s += (abs(self.srtt_s - round_trip_s) - self.variation_s) / 4
        self.srtt_s += (round_trip_s - self.srtt_s) / 8
        self.rto_s = max(self.unclamped_rto_s, self.floor_s)

    @property
    def unclamped_rto_s(self) -> float:
        """The time-out before the floor."""
        return self.srtt_s + max(4 * self.variation_s, self.least_term_s) + self.extra_s


class LinuxRoundTrip:
    """The same as Linux does it (tcp_rtt_estimator): the floor is on RTTVAR, which falls slowly.

    `variation_s` is 4 RTTVAR; `_mean_s` is its running estimate, `_most_s` the greatest of this round trip.
    One measurement counts as one round trip.
    """

    __slots__ = ("_mean_s", "_most_s", "floor_s", "rto_s", "srtt_s", "variation_s")

    def __init__(self, floor_s: float = LINUX_FLOOR_S) -> None:
        self.floor_s = floor_s
        self.srtt_s = math.nan
        self.variation_s = self._mean_s = self._most_s = floor_s
        self.rto_s = 1.0

    def begin(self, round_trip_s: float) -> None:
        """Take the first measurement: the time-out is three round trips, or one and the floor."""
        self.srtt_s = round_trip_s
        self._mean_s = 2 * round_trip_s
        self.variation_s = self._most_s = max(self._mean_s, self.floor_s)
        self.rto_s = self.srtt_s + self.variation_s

    def settle(self, round_trip_s: float) -> None:
        """Be as after many equal measurements."""
        self.srtt_s = round_trip_s
        self._mean_s = 0.0
        self.variation_s = self._most_s = self.floor_s
        self.rto_s = round_trip_s + self.floor_s

    def sample(self, round_trip_s: float) -> None:
        """Take a measurement. A fall of the round trip moves RTTVAR by an eighth of what a rise does."""
        error_s = round_trip_s - self.srtt_s
        self.srtt_s += error_s / 8
        if error_s < 0:
            change_s = -error_s - self._mean_s / 4
            self._mean_s += change_s / 8 if change_s > 0 else change_s
        else:
            self._mean_s += error_s - self._mean_s / 4
        self._most_s = max(self._most_s, self._mean_s)
        if self._most_s >= self.variation_s:
            self.variation_s = self._most_s
        else:
            self.variation_s -= (self.variation_s - self._most_s) / 4
        self._most_s = self.floor_s
        self.rto_s = self.srtt_s + self.variation_s


def probe_s(srtt_s: float, rto_s: float, *, is_alone: bool) -> float:
    """Seconds from the last segment to the tail loss probe: 2 SRTT, a delayed acknowledgement more for a
    lone segment, never later than the time-out (RFC 8985, 7.2).
    """
    return min(2 * srtt_s + (DELAYED_ACK_S if is_alone else 0.0), rto_s)


def late_timer_s(wait_s: float) -> float:
    """Seconds until Linux' timer of this wait goes off on average: ticks and the timer wheel round it up."""
    tick_count = math.ceil((wait_s + LEAST_TIMER_S) / TICK_S)
    step_s, fine = TICK_S, FINE_TICKS
    while tick_count >= fine:
        step_s, fine = step_s * COARSER, fine * COARSER
    return tick_count * TICK_S + step_s / 2


def slow_start_rounds(segment_count: int, window_count: int = INITIAL_WINDOW_COUNT) -> int:
    """Round trips the last of so many segments waits for the window, which doubles each round trip."""
    return max(0, math.ceil(math.log2(segment_count / window_count + 1)) - 1)


def mathis_bps(segment_bytes: int, round_trip_s: float, loss_ratio: float) -> float:
    """Bound of the rate of a long transfer: MSS / RTT sqrt(3/2) / sqrt(p) (Mathis et al. 1997)."""
    return segment_bytes * 8 / round_trip_s * math.sqrt(1.5 / loss_ratio)


def transfer_s(
    segment_count: int, window_count: int, round_trip_s: float, loss_ratio: float, segment_bytes: int
) -> float:
    """Seconds between the first and the last segment of a message: slow start, or what losses allow."""
    slow_s = slow_start_rounds(segment_count, window_count) * round_trip_s
    if not (loss_ratio and slow_s):
        return slow_s
    beyond_count = segment_count - window_count
    return max(slow_s, beyond_count * segment_bytes * 8 / mathis_bps(segment_bytes, round_trip_s, loss_ratio))


# closed forms of a fixed time-out that doubles ------------------------------------------------------------


def mean_recovery_s(rto_s: float, loss_ratio: float) -> float:
    """Mean delay that losses add to a lone segment: RTO p / (1 - 2p), for p < 1/2 and no longest time-out."""
    if not 0 <= loss_ratio < 0.5:
        raise InputError(f"a time-out that doubles has a mean for a loss below 0.5 only, not {loss_ratio}")
    return rto_s * loss_ratio / (1 - 2 * loss_ratio)


def recovery_quantile_s(rto_s: float, loss_ratio: float, ratio: float) -> float:
    """Delay that losses add, not exceeded by this share: RTO (2^k - 1), k = ceil(ln(1-q)/ln p) - 1."""
    if loss_ratio == 0:
        return 0.0
    losses = max(0, math.ceil(math.log(1 - ratio) / math.log(loss_ratio) - 1e-9) - 1)
    return rto_s * (math.ldexp(1, losses) - 1)


def limited_recovery_s(rto_s: float, loss_ratio: float, most_retransmissions: int) -> float:
    """Mean delay that losses add to a segment that gets through with so many retransmissions at most."""
    weights = [math.pow(loss_ratio, k) for k in range(most_retransmissions + 1)]
    total = sum(math.ldexp(weight, k) - weight for k, weight in enumerate(weights))
    return rto_s * total / sum(weights)


def give_up_ratio(loss_ratio: float, most_retransmissions: int) -> float:
    """Share of segments that do not get through: p^(m+1)."""
    return math.pow(loss_ratio, most_retransmissions + 1)


def exchange_s(round_trip_s: float, rto_s: float, up_loss_ratio: float, down_loss_ratio: float) -> float:
    """Mean time of a message and its answer over TCP: RTT + RTO [pf/(1-2pf) + pr/(1-2pr)]."""
    return round_trip_s + mean_recovery_s(rto_s, up_loss_ratio) + mean_recovery_s(rto_s, down_loss_ratio)


def connect_s(
    round_trip_s: float, up_loss_ratio: float, down_loss_ratio: float, rto_s: float = RFC_FLOOR_S
) -> float:
    """Mean time of connect(): RTT + RTO P/(1-2P) with P = 1 - (1-pf)(1-pr): one timer for both ways."""
    return round_trip_s + mean_recovery_s(rto_s, 1 - (1 - up_loss_ratio) * (1 - down_loss_ratio))


def blocked_ratio(rate_per_s: float, recovery_s: float, loss_ratio: float) -> float:
    """Share of Poisson messages of one connection that are late: 1 - (1-p) exp(-lambda p R)."""
    return 1 - (1 - loss_ratio) * math.exp(-rate_per_s * loss_ratio * recovery_s)


def blocking_s(rate_per_s: float, recovery_s: float, loss_ratio: float) -> float:
    """Mean delay of order: R - (1-p)(1 - exp(-lambda p R)) / (lambda p), each loss repaired after R."""
    losses_per_s = rate_per_s * loss_ratio
    return recovery_s + (1 - loss_ratio) * math.expm1(-losses_per_s * recovery_s) / losses_per_s


def light_blocking_s(rate_per_s: float, recovery_s: float, loss_ratio: float) -> float:
    """The same while losses do not overlap: p R (1 + lambda R / 2)."""
    return loss_ratio * recovery_s * (1 + rate_per_s * recovery_s / 2)


def transmissions(up_loss_ratio: float, down_loss_ratio: float) -> float:
    """Mean transmissions until one is acknowledged: 1 / ((1-pf)(1-pr))."""
    return 1 / ((1 - up_loss_ratio) * (1 - down_loss_ratio))


def extra_copies(down_loss_ratio: float) -> float:
    """Mean copies the receiver gets beyond the first: 1/(1-pr) - 1."""
    return 1 / (1 - down_loss_ratio) - 1
