"""The star3 workload gives the golden numbers to all digits, with every message accounted for."""

import importlib.util
from pathlib import Path

import pytest

PATH = Path(__file__).parents[1] / "benchmarks" / "star3.py"


@pytest.fixture(scope="module")
def star3():
    spec = importlib.util.spec_from_file_location("star3", PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("devices", [100, 1_000, pytest.param(10_000, marks=pytest.mark.slow)])
def test_star3_gives_the_golden_numbers(star3, devices):
    """Sent, delivered, mean, p50 and p99, on which six independent engines agree."""
    times = [star3.arrivals(number) for number in range(devices)]

    assert star3.windtunnel(devices, times) == star3.GOLDEN[devices]


def test_naive_simpy_in_the_benchmark_runs_the_same_workload(star3):
    """The ratio compares like with like."""
    times = [star3.arrivals(number) for number in range(100)]

    assert star3.naive(100, times) == star3.GOLDEN[100]
