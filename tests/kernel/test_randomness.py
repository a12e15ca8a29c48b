"""Streams are named: reproducible, independent of order, and shared between variants."""

import statistics
import subprocess
import sys

import numpy as np

from twin.kernel.randomness import Blocks, Source, Streams, key_of


def test_the_same_name_gives_the_same_numbers_whatever_else_was_drawn():
    """Adding a device or drawing more elsewhere shifts nothing."""
    alone = Streams(1).stream("sensor-1", "jitter")
    crowd = Streams(1)
    for other in range(20):
        crowd.stream(f"sensor-{other + 2}", "jitter").normal()

    among = crowd.stream("sensor-1", "jitter")

    assert [alone.normal() for _ in range(50)] == [among.normal() for _ in range(50)]


def test_laws_of_one_stream_do_not_shift_each_other():
    """Interleaving uniform draws leaves the normal draws alone."""
    plain, mixed = Streams(3).stream("a", "b"), Streams(3).stream("a", "b")
    expected = [plain.normal() for _ in range(30)]
    got = []
    for _ in range(30):
        mixed.uniform()
        got.append(mixed.normal())

    assert got == expected


def test_seed_name_and_purpose_all_matter():
    """Each gives a stream of its own."""
    draws = {
        Streams(seed).stream(name, purpose).uniform() for seed in (1, 2) for name in "ab" for purpose in "xy"
    }

    assert len(draws) == 8


def test_another_process_draws_the_same_bits():
    """Nothing depends on hash randomisation or process layout."""
    code = (
        "from twin.kernel.randomness import Streams;print(Streams(7).stream('gate', 'service').exponential())"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
        ).stdout
        for _ in range(2)
    }

    assert outputs == {f"{Streams(7).stream('gate', 'service').exponential()}\n"}


def test_laws_have_their_moments():
    """Means of 20,000 draws within four standard errors."""
    stream = Streams(5).stream("moments", "test")
    count = 20_000

    assert (
        abs(statistics.fmean(stream.uniform(2.0, 4.0) for _ in range(count)) - 3.0) < 4 * 0.577 / count**0.5
    )
    assert abs(statistics.fmean(stream.normal(1.0, 2.0) for _ in range(count)) - 1.0) < 4 * 2.0 / count**0.5
    assert abs(statistics.fmean(stream.exponential(3.0) for _ in range(count)) - 3.0) < 4 * 3.0 / count**0.5
    assert {stream.index(3) for _ in range(200)} == {0, 1, 2}


def test_blocks_grow_to_their_largest_size():
    """Blocks of 8, 16, ... 1024, 1024: cheap for few draws, fast for many."""
    sizes = []

    def draw(generator, size):
        sizes.append(size)
        return generator.random(size)

    blocks = Blocks(Source(), key_of(1, "a", "b"), draw)
    for _ in range(4000):
        blocks()

    assert sizes[:3] == [8, 16, 32]
    assert max(sizes) == 1024


def test_streams_that_share_a_generator_do_not_disturb_each_other():
    """Each block is drawn from its own place, however the streams take turns."""
    shared = Streams(9)
    turns = [(shared.stream("a", "x").normal(), shared.stream("b", "x").normal()) for _ in range(100)]
    alone_a, alone_b = Streams(9).stream("a", "x"), Streams(9).stream("b", "x")

    assert [a for a, _ in turns] == [alone_a.normal() for _ in range(100)]
    assert [b for _, b in turns] == [alone_b.normal() for _ in range(100)]


def test_blocks_of_a_stream_are_independent():
    """No correlation between neighbours or across blocks, and no block is drawn twice."""
    stream = Streams(4).stream("a", "x")
    draws = np.array([stream.normal() for _ in range(50_000)])

    assert len(set(draws.tolist())) == len(draws)
    assert abs(np.corrcoef(draws[:-1], draws[1:])[0, 1]) < 4 / len(draws) ** 0.5
    assert abs(np.corrcoef(draws[:-1024], draws[1024:])[0, 1]) < 4 / len(draws) ** 0.5
