"""Batteries: life from mean current, and the arithmetic behind it."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices_models.power import Battery, Currents, Usage, battery_life_days, energy_j, mean_current_a
from twin.errors import InputError

LORA = Currents(0.028, 0.0112, 1.5e-6)
HOUR_S = 3600.0


def test_the_mean_current_weighs_the_states_by_their_time():
    """One hour: 3.6 s at 28 mA, 7.2 s at 11.2 mA, the rest at 1.5 uA: 28 + 22.4 + 1.4955 uA."""
    current_a = mean_current_a(LORA, Usage(HOUR_S, 3.6, 7.2), base_a=0.0)
    assert current_a * 1e6 == pytest.approx(28 + 22.4 + 1.5 * (1 - 0.003))


def test_a_battery_without_radio_lasts_its_capacity_over_the_base_current():
    """2,400 mAh, 85 % usable, 10 uA and 1 % a year of self-discharge (2.738 uA): 18.27 years."""
    battery = Battery(2400 * 3.6)
    years = battery.life_s(10e-6) / (365.25 * 86_400)
    leakage_ua = 2400e3 * 0.01 / (365.25 * 24)
    assert leakage_ua == pytest.approx(2.738, abs=1e-3)
    assert years == pytest.approx(2400e3 * 0.85 / (10 + leakage_ua) / 24 / 365.25)
    assert years == pytest.approx(18.27, abs=0.01)


def test_a_day_of_the_whole_formula():
    """A LoRaWAN sensor at SF12, 20 bytes every ten minutes: 2.4 Ah last 2.4 years."""
    day = Usage(86_400, 144 * 1.810432, 144 * 8 * (0.032768 + 0.032768))
    current_ua = 28_000 * day.tx_s / 86_400 + 11_200 * day.rx_s / 86_400 + 10 + 1.5
    days = battery_life_days(Battery(2400 * 3.6), LORA, day)
    assert days == pytest.approx(2400e3 * 0.85 / (current_ua + 2.738) / 24, rel=1e-3)
    assert 2.0 < days / 365.25 < 2.6


def test_energy_is_voltage_times_charge():
    """A second of 28 mA at 3 V: 84 mJ."""
    assert energy_j(Currents(0.028, 0.0, 0.0), Usage(1.0, 1.0, 0.0), 3.0) == pytest.approx(0.084)


def test_without_a_run_nothing_is_known():
    """An empty run drains nothing."""
    assert battery_life_days(Battery(1.0), LORA, Usage(0.0, 0.0, 0.0)) == math.inf


@pytest.mark.parametrize("capacity_c", [0.0, -1.0, math.nan])
def test_a_battery_holds_something(capacity_c):
    """No charge, no battery."""
    with pytest.raises(InputError, match="holds a charge"):
        Battery(capacity_c)


@settings(max_examples=100)
@given(st.floats(0.0, 1000.0), st.floats(0.0, 1000.0), st.floats(0.01, 100.0), st.floats(1.0, 20_000.0))
def test_more_sending_never_lets_a_battery_last_longer(tx_s, rx_s, more_s, capacity_c):
    """Monotone in the time on the air."""
    battery = Battery(capacity_c)
    less = battery_life_days(battery, LORA, Usage(10_000.0, tx_s, rx_s))
    assert battery_life_days(battery, LORA, Usage(10_000.0, tx_s + more_s, rx_s)) < less
