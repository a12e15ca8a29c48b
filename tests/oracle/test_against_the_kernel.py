"""TCP's timing against the kernel's own, over a link that delays and drops real packets.

Allowed: 5 % or 1 ms. The kernel rounds its timers up to its ticks, by 4 % on average.
"""

import math
import statistics

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.alone, pytest.mark.timeout(600)]
DELAYS = pytest.mark.parametrize("delay_s", [0.02, 0.125], ids=["20ms", "125ms"])
CONNECTIONS, REQUESTS = 150, 15
LOSSES = pytest.mark.parametrize("loss_ratio", [0.01, 0.05], ids=["1%", "5%"])
MODEL_CONNECTIONS = 1000


def close(seconds):
    return pytest.approx(seconds, rel=0.05, abs=1e-3)


def paced(messages, interval_s):
    """When so many messages are sent at a steady pace."""
    return [number * interval_s for number in range(messages)]


def best(link, **order):
    """The least of five connections, time by time: a busy machine only adds. They cross the link at the same
    time, with losses of their own, and begin apart from each other, so that none waits for another's packets.
    """
    return [min(each) for each in zip(*link.run(connections=5, spread_s=0.217, **order))]


@DELAYS
def test_connect_and_requests_take_their_round_trips(oracle, model, delay_s):
    """Without loss: a round trip each."""
    real = best(oracle(delay_s), requests=10)

    assert real == [close(seconds) for seconds in model.exchange(10, delay_s)]


@DELAYS
@pytest.mark.parametrize("losses", [1, 2, 3])
def test_a_first_request_lost_so_often_is_repaired_as_the_kernel_does(oracle, model, delay_s, losses):
    """A young connection: probe, then time-outs of three round trips, or one and 200 ms."""
    drops = range(losses)
    real = best(oracle(delay_s, drop_up=drops), requests=2)

    assert real == [close(seconds) for seconds in model.exchange(2, delay_s, drop_up=drops)]


@DELAYS
@pytest.mark.parametrize("losses", [1, 2])
def test_a_first_answer_lost_so_often_is_repaired_as_the_kernel_does(oracle, model, delay_s, losses):
    """The server's side has its own timers."""
    drops = range(losses)
    real = best(oracle(delay_s, drop_down=drops), requests=2)

    assert real == [close(seconds) for seconds in model.exchange(2, delay_s, drop_down=drops)]


@DELAYS
def test_a_settled_connection_is_repaired_sooner(oracle, model, delay_s):
    """The eleventh request: RTTVAR has fallen by a quarter a round trip."""
    real = best(oracle(delay_s, drop_up=[10]), requests=11)

    assert real[-1] == close(model.exchange(11, delay_s, drop_up=[10])[-1])


@pytest.mark.parametrize("interval_s", [0.03, 0.06, 0.1], ids=lambda seconds: f"{seconds * 1e3:.0f}ms")
@DELAYS
def test_later_messages_tell_of_a_loss_as_soon_as_in_the_kernel(oracle, model, delay_s, interval_s):
    """A stream: repaired by the acknowledgements of what follows, and handed over in order."""
    order = {"at_s": paced(24, interval_s), "size": 100}
    real = best(oracle(delay_s, drop_up=[10]), **order)

    modelled = model.stream(**order, delay_s=delay_s, drop_up=[10])
    assert real[10:12] == [close(seconds) for seconds in modelled[10:12]]


@DELAYS
def test_two_at_the_end_of_a_stream_are_repaired_by_a_probe_for_the_second(oracle, model, delay_s):
    """The probe sends the last segment; its acknowledgement, a round trip later, tells of the one before."""
    order = {"at_s": paced(60, 0.1), "size": 100}
    real = best(oracle(delay_s, drop_up=[58, 59]), **order)

    modelled = model.stream(**order, delay_s=delay_s, drop_up=[58, 59])
    assert real[-2:] == [close(seconds) for seconds in modelled[-2:]]


@pytest.mark.parametrize("interval_s", [0.05, 0.1, 0.2], ids=lambda seconds: f"{seconds * 1e3:.0f}ms")
def test_an_acknowledgement_puts_off_the_repair_of_the_last(oracle, model, interval_s):
    """The last of a stream is lost while those before it are underway."""
    messages = round(6 / interval_s)  # the kernel's RTTVAR takes some 20 round trips to fall
    order = {"at_s": paced(messages, interval_s), "size": 100}
    real = best(oracle(0.125, drop_up=[messages - 1]), **order)

    assert real[-1] == close(model.stream(**order, delay_s=0.125, drop_up=[messages - 1])[-1])


@pytest.mark.parametrize("losses", [1, 2])
def test_messages_wait_for_the_window_that_losses_have_narrowed(oracle, model, losses):
    """A message every 40 ms over 250 ms keeps six underway; each loss halves the window."""
    drops = [10 + 20 * number for number in range(losses)]
    order = {"at_s": paced(80, 0.04), "size": 100}
    real = best(oracle(0.125, drop_up=drops), **order)

    assert sum(real) == close(sum(model.stream(**order, delay_s=0.125, drop_up=drops)))


@pytest.mark.parametrize("probes", [0, 1, 2])
def test_what_came_twice_makes_later_repairs_slower(oracle, model, probes):
    """A probe repeats what was underway: Linux believes in reordering, and the third acknowledgement of later
    data no longer tells of a loss at once. A second one changes nothing: no repair began before it was known.
    """
    at_s, drops = paced(60, 0.1), []
    for _ in range(probes):  # one is lost, and the next is underway when the probe leaves
        drops.append(len(at_s) + 2 * len(drops))
        at_s += [at_s[-1] + 3, at_s[-1] + 3.33, at_s[-1] + 6]
    drops.append(len(at_s) + 2 * len(drops))
    at_s += [at_s[-1] + 3 + 0.01 * number for number in range(5)]
    order = {"at_s": at_s, "size": 100}
    real = best(oracle(0.125, drop_up=drops), **order)

    fewer = [drop - number for number, drop in enumerate(drops)]  # the model sends no copies
    modelled = model.stream(**order, delay_s=0.125, drop_up=fewer)
    assert real[-5:] == [close(seconds) for seconds in modelled[-5:]]


@pytest.mark.parametrize("size", [14_000, 20_000, 100_000, 400_000])
@DELAYS
def test_long_messages_wait_for_the_window_as_in_the_kernel(oracle, model, delay_s, size):
    """Slow start from ten segments on, doubling each round trip."""
    order = {"at_s": paced(1, 0.0), "size": size}
    real = best(oracle(delay_s), **order)

    assert real == [close(seconds) for seconds in model.stream(**order, delay_s=delay_s)]


def requests_s(connections):
    return sorted(seconds for connection in connections for seconds in connection[1:])


def repaired_s(seconds, delay_s):
    return [each for each in seconds if each > 3 * delay_s]


def median_bounds(ordered):
    """Where the median of the law lies that these were drawn from, with 99 % confidence."""
    middle, reach = len(ordered) / 2, 1.3 * math.sqrt(len(ordered))
    return ordered[math.floor(middle - reach)], ordered[min(math.ceil(middle + reach), len(ordered) - 1)]


@DELAYS
@LOSSES
def test_quantiles_under_loss_are_those_of_the_kernel(oracle, model, delay_s, loss_ratio):
    """p50 of all requests, and the median of those that were repaired, sampling allowed for."""
    order = {"connections": CONNECTIONS, "requests": REQUESTS, "spread_s": 0.01}
    runs = [requests_s(oracle(delay_s, loss_ratio).run(**order)) for _ in range(3)]
    real = min(runs, key=statistics.median)  # a busy machine only adds
    figures = {"delay_s": delay_s, "loss_ratio": loss_ratio}

    modelled = requests_s(model.exchange(REQUESTS, seed=seed, **figures) for seed in range(MODEL_CONNECTIONS))
    assert statistics.median(real) == close(statistics.median(modelled))
    low_s, high_s = median_bounds(repaired_s(real, delay_s))
    assert 0.95 * low_s <= statistics.median(repaired_s(modelled, delay_s)) <= 1.05 * high_s
