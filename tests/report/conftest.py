"""The sample study, as it is and with the names of an attacker."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import msgspec
import pytest

from scenarios.results import FigureSource, Study

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)> | `rm` \x1b[31m\x00\u202e&amp; ]]> [x](http://evil.example)"


def _load_sample() -> ModuleType:
    spec = importlib.util.spec_from_file_location("report_sample", Path(__file__).with_name("sample.py"))
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["report_sample"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def sample() -> ModuleType:
    """The module that builds the sample."""
    return _load_sample()


@pytest.fixture(scope="session")
def study(sample) -> Study:
    """Twelve variants of the car park fire."""
    return sample.study()


@pytest.fixture(scope="session")
def hostile(study) -> Study:
    """The same study with a hostile text in every place where an author may write one."""
    swapped = msgspec.to_builtins(study)
    for key in ("scenario_title", "description", "scenario_file", "scenario_hash", "host", "scenario_text"):
        swapped[key] = HOSTILE
    swapped["floor_plan_svg"] = (
        '<svg xmlns="http://www.w3.org/2000/svg" onload="alert(3)"><script>alert(4)</script>'
        '<image href="http://evil.example/x.png"/><rect width="9" height="9" style="fill:url(http://evil.example)"'
        ' fill="url(http://evil.example)"/><foreignObject><p>x</p></foreignObject><text>bay</text></svg>'
    )
    swapped["variants"] = [_hostile_variant(variant) for variant in swapped["variants"]]
    for comparison in swapped["comparisons"]:
        comparison |= {"variant_a": HOSTILE, "metric": HOSTILE, "unit": HOSTILE}
    for swing in swapped["sensitivities"]:
        swing |= {"input": HOSTILE, "low_label": HOSTILE, "high_label": HOSTILE}
    swapped["provenance"] = [FigureSource(HOSTILE, HOSTILE, "default", HOSTILE)]
    return msgspec.convert(swapped, Study)


def _hostile_variant(variant: dict) -> dict:
    requirements = [
        r | dict.fromkeys(("name", "expect", "why", "value_text", "limit_text"), HOSTILE)
        | {"chain": [hop | dict.fromkeys(("source", "topic", "note"), HOSTILE) for hop in r["chain"]]}
        for r in variant["requirements"]
    ]  # fmt: skip
    return variant | {
        "name": HOSTILE,
        "title": HOSTILE,
        "why": HOSTILE,
        "expected_fails": None,
        "requirements": requirements,
        "metrics": {HOSTILE: variant["metrics"]["people_out"]},
        "time_budget": [part | {"name": HOSTILE} for part in variant["time_budget"]],
        "cdfs": {HOSTILE: variant["cdfs"]["alarm -> gate_open"]},
        "ledger": variant["ledger"] | {"lost": {HOSTILE: 3}},
        "border_bytes": {HOSTILE: 7},
        "series": {HOSTILE: variant["series"]["cars_inside"]},
    }
