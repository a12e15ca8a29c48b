"""Quantities are text with a unit outside and SI numbers inside."""

import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from twin.errors import InputError
from twin.units import KINDS, Bytes, MessageCount, Ratio, Seconds, SignedSeconds, format_quantity, parse


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("time", "231 ms", 0.231),
        ("time", "250ns", 250e-9),
        ("time", "1.5 us", 1.5e-6),
        ("time", "-5 s", -5.0),
        ("time", "30 min", 1800.0),
        ("time", "2 h", 7200.0),
        ("time", "1 d", 86400.0),
        ("rate", "2 Mbit/s", 2e6),
        ("rate", "50 kB/s", 400e3),
        ("size", "64 kB", 64_000),
        ("size", "64 KiB", 65_536),
        ("size", "1.5 MB", 1_500_000),
        ("ratio", "95 %", 0.95),
        ("ratio", "7%", 0.07),
        ("ratio", 0.2, 0.2),
        ("distance", "1.2 km", 1200.0),
        ("celsius", "28 C", 28.0),
        ("kelvin", "28 C", 301.15),
        ("kelvin", "300 K", 300.0),
        ("power", "7 MW", 7e6),
        ("energy", "8.7 GJ", 8.7e9),
        ("frequency", "6 /min", 0.1),
        ("messages", "10000 messages", 10_000),
    ],
)
def test_a_quantity_is_read_into_si(kind, text, value):
    """Each unit has its factor to the SI unit."""
    assert parse(kind, text) == pytest.approx(value, rel=1e-12)


def test_decimal_fractions_are_read_without_noise():
    """231 ms is the float nearest to 0.231."""
    assert parse("time", "231 ms") == 0.231


@pytest.mark.parametrize(
    ("kind", "text", "message"),
    [
        ("time", 250, "a duration needs a unit: write '250 ms' or '250 s'"),
        ("time", "0.5", "a duration needs a unit: write '0.5 ms' or '0.5 s'"),
        ("size", 64, "a size needs a unit: write '64 B' or '64 kB'"),
        ("messages", 100, "a number of messages needs a unit: write '100 messages'"),
        ("ratio", 95, "a share lies between 0 and 1: write '95 %' if 95 % is meant"),
        ("ratio", "150 %", "a share cannot be more than 100 %"),
        ("size", "-1 kB", "a size cannot be negative"),
        ("size", "0.5 B", "a size is a whole number of bytes; '0.5 B' is not"),
        ("time", "1e999 s", "'1e999 s' is too large"),
        ("time", "soon", "'soon' is not a duration; write one such as '5 ms' or '5 s'"),
        ("time", True, "expected a duration such as '5 ms' or '5 s'"),
        (
            "time",
            "5 m",
            "unknown unit 'm' for a duration; did you mean '5 min'? known: ns, us, µs, ms, s, min, h, d",
        ),
        (
            "size",
            "64 KB",
            "unknown unit 'KB' for a size; did you mean '64 kB'? known: B, kB, MB, GB, KiB, MiB, GiB",
        ),
    ],
)
def test_what_is_no_quantity_is_answered_with_what_to_write(kind, text, message):
    """The message proposes the text with its unit."""
    with pytest.raises(InputError) as caught:
        parse(kind, text)

    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        ("time", 0.231, "231 ms"),
        ("time", 0.0, "0 s"),
        ("time", 60.0, "60 s"),
        ("time", 330.0, "5.5 min"),
        ("time", 0.99999, "1 s"),
        ("time", float("inf"), "infinite"),
        ("time", -3.0, "-3 s"),
        ("rate", 2e6, "2 Mbit/s"),
        ("size", 12_345_678, "12.3 MB"),
        ("ratio", 0.999, "99.9 %"),
        ("celsius", -5.0, "-5 C"),
        ("frequency", 0.5, "0.5/s"),
        ("messages", 10_000, "10000 messages"),
    ],
)
def test_a_quantity_is_shown_with_three_digits_in_its_best_unit(kind, value, text):
    """People read 231 ms rather than 0.231 s."""
    assert format_quantity(kind, value) == text


@settings(max_examples=100)
@given(st.sampled_from(sorted(KINDS)), st.floats(min_value=1e-6, max_value=1.0))
def test_what_is_shown_reads_back_to_three_digits(kind, value):
    """Format and parse are inverse up to rounding."""
    known = KINDS[kind]
    value = float(round(value * 1e6)) if known.whole else value

    assert parse(kind, format_quantity(kind, value)) == pytest.approx(value, rel=6e-3)


class Options(BaseModel):
    """A model with quantities."""

    every: Seconds = 60.0
    skew: SignedSeconds = 0.0
    size: Bytes = 0
    loss: Ratio = 0.0
    buffer: MessageCount = 0


def test_a_model_reads_quantities():
    """Pydantic validates the aliases; sizes and counts become whole numbers."""
    read = Options(every="2 min", skew="-1 s", size="1 kB", loss="5 %", buffer="7 messages")

    assert read == Options.model_construct(every=120.0, skew=-1.0, size=1000, loss=0.05, buffer=7)
    assert isinstance(read.size, int)


def test_a_duration_that_is_not_signed_refuses_a_minus():
    """Only a skew may be negative."""
    with pytest.raises(ValueError, match="cannot be negative here"):
        Options(every="-2 min")


def test_the_json_schema_asks_for_a_unit():
    """An editor completes and checks the unit."""
    shown = Options.model_json_schema()["properties"]["every"]

    assert shown["type"] == "string"
    assert "(ns|us|µs|ms|s|min|h|d)" in shown["pattern"]
    assert shown["examples"] == ["5 ms", "5 s"]


def test_importing_units_does_not_import_pydantic():
    """The command line's help stays fast."""
    code = "import sys, twin.units; sys.exit('pydantic' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_size_with_a_fraction_is_whole_bytes_where_it_says_so():
    """67.1 MB are 67,100,000 bytes, although 67.1 times a million is a little less in floating point."""
    assert parse("size", "67.1 MB") == 67_100_000
