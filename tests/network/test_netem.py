"""netem's words: read as tc reads them, done right, or done as Linux does them."""

import contextlib
import csv
import itertools
import math
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from network import netem
from network.netem import Copula, Deviation, Netem, Recursion, parse
from network.netem_stages import Bounded, CopyBeforeLoss, Duplicate, FourStates, Framed, Shift
from network.stages.delay import Delay
from network.stages.rate import Rate
from twin.errors import InputError
from twin.kernel.randomness import Streams

REFERENCE = Path(__file__).parents[1] / "data" / "transport_reference.csv"
with REFERENCE.open(encoding="utf-8") as file:
    T13 = [tuple(row.values()) for row in csv.DictReader(file) if next(iter(row.values())) == "T13"]


def stream(purpose="test", seed=3):
    return Streams(seed).stream("link", purpose)


def stages_of(text, seed=3, *, is_compatible=False):
    layer = netem.layer(parse(text), lambda purpose: stream(purpose, seed), is_compatible=is_compatible)
    return layer(())


def lost_share(stage, count, every_s=0.02):
    return sum(stage.release(number * every_s, 100) is None for number in range(count)) / count


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("delay 100ms", Netem(delay_s=0.1)),
        ("delay 100ms 20ms", Netem(delay_s=0.1, jitter_s=0.02)),
        ("delay 1s 500us 25% distribution normal",
         Netem(delay_s=1.0, jitter_s=0.0005, delay_correlation=0.25, distribution="normal")),
        ("loss 1% 25%", Netem(loss=(0.01, 0.25))),
        ("loss random 1", Netem(loss=(0.01, 0.0))),
        ("loss gemodel 1% 10% 70% 0.1%", Netem(gemodel=(0.01, 0.1, 0.7, 0.001))),
        ("loss gemodel 1%", Netem(gemodel=(0.01, 0.99, 1.0, 0.0))),
        ("loss state 1% 30%", Netem(state=(0.01, 0.3, 0.0, 1.0, 0.0))),
        ("rate 1mbit limit 100", Netem(rate_bps=1e6, limit_packets=100)),
        ("rate 10kbps", Netem(rate_bps=80e3)),
        ("rate 1mibit", Netem(rate_bps=2.0**20)),
        ("rate 1mbit -14", Netem(rate_bps=1e6, framing=(-14,))),
        ("rate 1mbit 20 48 5 delay 10ms", Netem(rate_bps=1e6, framing=(20, 48, 5), delay_s=0.01)),
        ("duplicate 2% 10% corrupt 0.1%", Netem(duplicate=(0.02, 0.1), corrupt=(0.001, 0.0))),
        ("delay 10ms reorder 25% 50% gap 5", Netem(delay_s=0.01, reorder=(0.25, 0.5), gap=5)),
    ],
)  # fmt: skip
def test_the_words_mean_what_tc_means(text, expected):
    """With the defaults of the manual page; kbps are kilobytes."""
    read = parse(text)

    for name in Netem.__struct_fields__:
        assert getattr(read, name) == pytest.approx(getattr(expected, name)), name


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "nothing is asked for"),
        ("los 1%", "did you mean 'loss'"),
        ("delay 100", "number with a unit"),
        ("delay 100ms 20", "needs a unit"),
        ("delay 100ms distribution gauss", "distribution"),
        ("loss", "loss wants"),
        ("loss 150%", "0 to 100 %"),
        ("loss gemodel", "percentage is wanted"),
        ("loss 1% 2% 3%", "netem word"),
        ("reorder 5%", "needs a delay"),
        ("delay 1ms gap 5", "gap belongs to reorder"),
        ("rate 5", None),
        ("rate 0mbit", "above zero"),
        ("limit 0", "whole number"),
        ("loss state 70% 50% 10% 30% 40%", "p13 and p14, the ways out of state 1, are 1.1 of at most 1"),
        ("loss state 5% 70% 40%", "p31 and p32, the ways out of state 3, are 1.1 of at most 1"),
        ("loss 1% ecn", "ECN marking is not modelled"),
        ("slot 10ms", "slots are not modelled"),
        ("rate 1mbit 20 -5", "cell size"),
        ("rate 1mbit 20 48 -48", "cell overhead"),
        ("rate 1mbit 9999999999", "too large"),
        ("rate 1mbit 20 48 5 7", "netem word"),
    ],
)
def test_a_wrong_word_is_named(text, message):
    """With what was expected instead."""
    with pytest.raises(InputError, match=message or "unit"):
        netem.layer(parse(text), stream)


@given(st.text(alphabet="delayossgmct 0123456789.%ms", max_size=60))
@settings(max_examples=100, deadline=None)
def test_any_text_is_read_or_refused(text):
    """Never another error."""
    with contextlib.suppress(InputError):
        parse(text)


@pytest.mark.parametrize("row", T13, ids=lambda row: re.search(r'"(.*)"|loss [\d%. ]+', row[1])[0])
def test_compatible_loss_is_what_the_recursion_gives(row):
    """The reference values, within three standard errors of correlated draws."""
    text = re.search(r"loss [\d.]+% [\d.]+%", row[1])[0]
    asked, gives = float(row[3]), float(row[4])
    count = 300_000
    share = lost_share(stages_of(text, is_compatible=True)[0], count)

    rho = parse(text).loss[1]
    error = math.sqrt(max(gives, 1e-5) * (1 + rho) / (1 - rho) / count)
    assert share == pytest.approx(gives, abs=3 * error + 5e-5)
    assert share < asked / 10


@pytest.mark.parametrize("text", ["loss 1% 25%", "loss 5% 25%", "loss 20% 75%", "loss 10% 50%"])
def test_loss_done_right_keeps_what_was_asked(text):
    """Under the same correlations."""
    asked, rho = parse(text).loss
    count = 100_000
    share = lost_share(stages_of(text)[0], count)

    assert share == pytest.approx(asked, abs=4 * math.sqrt(asked * (1 + rho) / (1 - rho) / count))


def test_the_copula_is_uniform_and_correlated_and_the_recursion_is_not_uniform():
    """Spread of the recursion: sqrt((1 - rho) / (1 + rho)) of the uniform law's."""
    right, linux = Copula(stream("a"), 0.5), Recursion(stream("b"), 0.5)
    for draw, expected in ((right, 1.0), (linux, math.sqrt(1 / 3))):
        numbers = [draw() for _ in range(50_000)]
        mean = sum(numbers) / len(numbers)
        deviation = math.sqrt(sum((each - mean) ** 2 for each in numbers) / len(numbers))
        lag = sum((a - mean) * (b - mean) for a, b in itertools.pairwise(numbers)) / len(numbers)
        assert deviation / math.sqrt(1 / 12) == pytest.approx(expected, rel=0.02)
        assert lag / deviation**2 == pytest.approx(0.49, abs=0.03)


@pytest.mark.parametrize(
    ("distribution", "deviation_s"), [("uniform", 0.02 / math.sqrt(3)), ("normal", 0.02)]
)
def test_delays_have_the_asked_mean_and_spread(distribution, deviation_s):
    """100 ms, 20 ms; the manual calls the jitter of the uniform law its half width."""
    law = Deviation(0.1, 0.02, distribution)
    delays_s = [law.quantile((number + 0.5) / 20_000) for number in range(20_000)]
    mean_s = sum(delays_s) / len(delays_s)

    assert mean_s == pytest.approx(0.1, rel=1e-3)
    spread_s = math.sqrt(sum((each - mean_s) ** 2 for each in delays_s) / len(delays_s))
    assert spread_s == pytest.approx(deviation_s, rel=0.01)


def test_compatible_uniform_jitter_takes_the_remainder_of_a_32_bit_number():
    """(rnd mod 2 sigma) + mu - sigma, in nanoseconds; half a nanosecond of rounding."""
    draw = netem.delay_draw(parse("delay 1ms 3us"), lambda: 12_345_678.5 / 2**32, is_compatible=True)

    assert draw() == pytest.approx((12_345_678 % 6_000 + 1_000_000 - 3_000) * 1e-9, abs=1e-9)


def test_order_is_kept_unless_linux_is_asked_for():
    """Messages 1 ms apart with 20 ms of jitter."""
    right, linux = (
        stages_of("delay 100ms 20ms", is_compatible=is_compatible)[0] for is_compatible in (False, True)
    )
    for stage, is_ordered in ((right, True), (linux, False)):
        times_s = [stage.release(number / 1000, 100) for number in range(500)]
        assert (times_s == sorted(times_s)) == is_ordered


def test_of_gap_messages_at_most_one_is_early():
    """`reorder 100% gap 5`: every fifth, as the manual says."""
    early = Shift(lambda: 1.0, 1.0, share=1.0, draw=lambda: 0.0, gap=5, is_ordered=False)
    delays_s = [early.release(float(number), 1) - number for number in range(15)]

    assert delays_s == [1.0, 1.0, 1.0, 1.0, 0.0] * 3


def test_the_share_of_early_messages_without_gap_is_the_asked_one():
    """25 %."""
    stage = stages_of("delay 10ms reorder 25%")[0]
    early = sum(stage.release(float(number), 1) == number for number in range(20_000))

    assert early / 20_000 == pytest.approx(0.25, abs=0.01)


@pytest.mark.parametrize("is_compatible", [False, True])
def test_gemodel_loses_its_mean_and_the_chain_of_linux_steps_with_packets(is_compatible):
    """p/(p+r) (1-h) + r/(p+r) (1-k) = 0.0645."""
    stage = stages_of("loss gemodel 1% 10% 70% 0.1%", is_compatible=is_compatible)[0]

    assert lost_share(stage, 200_000) == pytest.approx(0.0645, rel=0.06)


def test_four_states_lose_their_stationary_share():
    """p13 5 %, p31 50 %, p32 20 %, p23 30 %, p14 1 %: balance equations of the chain."""
    p13, p31, p32, p23, p14 = 0.05, 0.5, 0.2, 0.3, 0.01
    lost_burst, lost_alone = p13 / p31, p14
    whole = 1 + lost_burst + lost_burst * p32 / p23 + lost_alone
    stage = FourStates((p13, p31, p32, p23, p14), stream())

    assert lost_share(stage, 200_000) == pytest.approx((lost_burst + lost_alone) / whole, rel=0.04)


def test_rates_and_losses_stand_where_netem_has_them():
    """The rate before the link, everything else behind it, copies last."""
    own = Delay(0.1)
    layer = netem.layer(parse("rate 1mbit delay 10ms loss 1% corrupt 1% duplicate 1%"), stream)

    names = [type(stage).__name__ for stage in layer((own,))]
    assert names == ["Rate", "Delay", "Chance", "Chance", "Shift", "Duplicate"]


def test_a_copy_leaves_where_the_message_was_stopped():
    """At the time it came to the stage."""
    twin = Duplicate(1.0, lambda: 0.0)

    assert (twin.release(5.0, 1), twin.at_s) == (None, 5.0)


@pytest.mark.parametrize("state", ["70% 50% 10% 30% 30%", "30% 70% 30%", "100%"])
def test_the_ways_out_of_a_state_may_be_certain(state):
    """100 % together is allowed, whatever the rounding."""
    assert len(parse(f"loss state {state}").state) == 5


@pytest.mark.parametrize(
    ("framing", "size_bytes", "wire_bytes"),
    [((20,), 100, 120), ((-14,), 100, 86), ((-200,), 100, 0), ((0, 48, 5), 96, 106), ((1, 48, 5), 96, 159)],
)
def test_a_rate_counts_overhead_and_whole_cells(framing, size_bytes, wire_bytes):
    """ATM: cells of 48 bytes with 5 of header."""
    rate = Framed(Rate(8e3), *framing)

    assert rate.release(0.0, size_bytes) == pytest.approx(wire_bytes / 1e3)
    assert stages_of(f"rate 8kbit {' '.join(map(str, framing))}")[0].release(0.0, size_bytes) == (
        pytest.approx(wire_bytes / 1e3)
    )


def test_a_limit_bounds_the_delayed_messages_without_a_rate():
    """Three fit into a second of delay; the newcomer is dropped until the first has left."""
    stage = stages_of("delay 1s limit 3")[0]
    times_s = [stage.release(at_s, 100) for at_s in (0.0, 0.1, 0.2, 0.3, 0.9, 1.0, 1.05, 1.1)]

    assert isinstance(stage, Bounded)
    assert stage.cause == "queue full"
    assert times_s == [1.0, 1.1, 1.2, None, None, 2.0, None, 2.1]


class Fate:
    """Loses the messages that its list says, in their order."""

    cause = "burst"

    def __init__(self, *is_lost):
        self._next = iter(is_lost).__next__

    def release(self, now, size_bytes):
        del size_bytes
        return None if self._next() else now


@pytest.mark.parametrize(
    ("is_copied", "is_lost", "expected"),
    [
        (False, (False,), (5.0, None)),
        (False, (True,), (None, "burst")),
        (True, (True,), (5.0, None)),
        (True, (False, True), (5.0, None)),
        (True, (False, False), (None, "duplicate")),
    ],
)
def test_linux_copies_before_it_loses(is_copied, is_lost, expected):
    """netem_enqueue: a loss takes one of the two; the copy may be lost by itself."""
    stage = CopyBeforeLoss(0.5, lambda: 0.0 if is_copied else 0.9, [Fate(*is_lost)])
    at_s = stage.release(5.0, 100)

    assert (at_s, None if at_s is not None else stage.cause) == expected


def test_only_linux_copies_before_the_loss():
    """By default the copy is made of what is not lost, at the end."""
    text = "delay 10ms loss 1% duplicate 1%"

    names = [
        [type(stage).__name__ for stage in stages_of(text, is_compatible=each)] for each in (True, False)
    ]
    assert names == [["CopyBeforeLoss", "Shift"], ["Chance", "Shift", "Duplicate"]]
