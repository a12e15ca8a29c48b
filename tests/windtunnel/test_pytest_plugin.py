"""Scenarios as tests: what a user's own pytest collects, runs, shows and keeps."""

import os
import re
import subprocess
import sys
import time
from types import SimpleNamespace
from xml.etree import ElementTree as ET

import pytest

from windtunnel import pytest_plugin

SCENARIO = """\
scenario: 1
title: Small site
tags: [smoke]
sites: {site: {metro: singapore}, cloud: {metro: ashburn}}
fleets:
  meters: {device: periodic, count: 3, at: site, via: gateway, link: ethernet, every: 1 s}
nodes:
  gateway: {kind: gateway, at: site}
  broker: {kind: mqtt_broker, at: cloud}
  database: {kind: database, runs_on: broker}
  app: {kind: application, at: cloud, database: database}
  manager: {kind: user, at: site, application: app, every: 2 s}
links:
  - {name: uplink, between: [gateway, broker], path: wan, access: gpon, tls: "1.3", qos: 1}
variants:
  cloud: {fails: [close]}
  edge: {sites.cloud.metro: singapore}
requirements:
  - {name: answers, expect: p95(request => response) < 2 s, probability: 0.9, indifference: 0.1}
  - name: close
    expect: p95(request => response) < 100 ms
    probability: 0.9
    indifference: 0.1
    tags: [night]
run: {duration: 20 s, seed: 1}
"""
KEPT = ".pytest_cache/d/windtunnel"
SETTINGS = "[pytest]\naddopts = --strict-markers\n"


@pytest.fixture
def run(tmp_path, environment):
    """`pytest ARGUMENTS` in a folder with one scenario."""
    (tmp_path / "small.scenario.yaml").write_text(SCENARIO, encoding="utf-8")
    (tmp_path / "pytest.ini").write_text(SETTINGS, encoding="utf-8")

    def call(*arguments):
        return subprocess.run(
            [sys.executable, "-m", "pytest", "-p", "no:randomly", *arguments],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )

    return call


def replace(folder, old, new):
    path = folder / "small.scenario.yaml"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def test_every_variant_and_requirement_is_an_item(run):
    """Named so that -k picks a variant."""
    everything = run("--collect-only", "-q").stdout.splitlines()
    edge = run("--collect-only", "-q", "-k", "edge").stdout.splitlines()

    assert everything[:4] == [
        "small.scenario.yaml::cloud::answers",
        "small.scenario.yaml::cloud::close",
        "small.scenario.yaml::edge::answers",
        "small.scenario.yaml::edge::close",
    ]
    assert edge[:2] == everything[2:4]


def test_tags_are_markers_that_a_strict_pytest_knows(run):
    """Of the scenario: all its items; of a requirement: its own."""
    assert "4 tests collected" in run("--collect-only", "-q", "-m", "smoke").stdout
    night = run("--collect-only", "-q", "-m", "night").stdout
    assert "2/4 tests collected" in night
    assert "::answers" not in night


def test_an_expected_verdict_passes_also_if_it_is_fail(run):
    """`cloud` says that `close` fails, and it does."""
    done = run("-q")

    assert (done.returncode, "4 passed" in done.stdout) == (0, True)


def test_an_expected_fail_that_passes_is_a_failure(run, tmp_path):
    """What is said about a variant must hold."""
    replace(tmp_path, "cloud: {fails: [close]}", "cloud: {fails: [answers, close]}")
    done = run("-q", "-k", "cloud")

    assert (done.returncode, "1 failed, 1 passed" in done.stdout) == (1, True)
    assert "answers: PASS in variant cloud (expected FAIL)" in done.stdout


def test_a_failure_says_where_what_how_sure_why_and_how_to_repeat(run, tmp_path):
    """File and line, value and limit, interval, message chain, the line to repeat; no code of ours."""
    replace(tmp_path, "cloud: {fails: [close]}", "cloud: {}")
    text = run("-q", "-k", "cloud").stdout

    assert "small.scenario.yaml:20: close: FAIL in variant cloud (expected PASS)" in text
    assert re.search(r"median \d+ ms; met in 0 of \d runs \(0\.0% to [\d.]+%, asked 90%\)", text)
    assert re.search(r"message chain of the run with seed 1:\n\s+\d+\.\d{3} s  manager", text)
    assert re.search(
        r"repeat: windtunnel run \S*small\.scenario\.yaml --variant 'cloud' --seed 1 --replications 1", text
    )
    assert "pytest_plugin.py" not in text


def test_junit_carries_verdict_value_and_seeds(run, tmp_path):
    """As properties of each test case."""
    run("-q", "--junit-xml", "junit.xml", "-k", "edge")
    cases = ET.parse(tmp_path / "junit.xml").iter("testcase")  # noqa: S314  (our own file)
    found = {
        f"{case.get('classname')}.{case.get('name')}": {
            each.get("name"): each.get("value") for each in case.iter("property")
        }
        for case in cases
    }

    assert set(found) == {"small.scenario.yaml.edge.answers", "small.scenario.yaml.edge.close"}
    properties = found["small.scenario.yaml.edge.close"]
    assert (properties["verdict"], properties["limit"], properties["replications"], properties["seeds"]) == (
        "PASS",
        "100 ms",
        "2",
        "1..2",
    )
    assert properties["value"].endswith("ms")


def test_a_second_run_simulates_nothing(run, tmp_path):
    """Results are kept; a change of the scenario asks for new ones."""
    kept = tmp_path / KEPT
    run("-q")
    before = {path.name: path.stat().st_mtime_ns for path in kept.glob("*.json")}
    again = run("-q")
    after = {path.name: path.stat().st_mtime_ns for path in kept.glob("*.json")}
    replace(tmp_path, "every: 2 s", "every: 1 s")
    run("-q")

    assert (len(before), after) == (2, before)
    assert "4 passed" in again.stdout
    assert len(list(kept.glob("*.json"))) == 4


def test_a_damaged_result_is_simulated_again_and_cache_clear_forgets_all(run, tmp_path):
    """Half a file is no result; pytest's own option empties our part of its cache too."""
    run("-q", "-k", "edge and close")
    [result] = (tmp_path / KEPT).glob("*.json")
    whole = result.read_bytes()
    result.write_bytes(whole[:100])
    done = run("-q", "-k", "edge and close")

    assert (done.returncode, len(result.read_bytes()) > 100) == (0, True)
    run("--collect-only", "-q", "--cache-clear")
    assert not result.exists()


def test_the_key_of_a_result_is_content_and_not_date(tmp_path):
    """A file that was only touched keeps its results; another content has others."""
    path = tmp_path / "times.csv"
    path.write_text("seconds\n1\n", encoding="utf-8")
    variant = SimpleNamespace(
        folder=tmp_path,
        scenario=SimpleNamespace(
            sites={}, links=[], fleets={"a": SimpleNamespace(options={"file": "times.csv"})}
        ),
    )
    before = pytest_plugin._contents(variant)
    os.utime(path, (1, 1))

    assert pytest_plugin._contents(variant) == before
    path.write_text("seconds\n2\n", encoding="utf-8")
    os.utime(path, (1, 1))
    assert pytest_plugin._contents(variant) != before


def test_data_that_the_product_ships_is_part_of_the_key(monkeypatch):
    """Figures of links and sites decide results as code does."""
    read: list[str] = []
    monkeypatch.setattr(pytest_plugin, "_sha256", lambda path: read.append(path.as_posix()) or "")
    pytest_plugin._own_files.__wrapped__()

    for folder in ("network/data/", "scenarios/data/", "devices_models/world/data/", "twin/kernel/"):
        assert any(folder in path for path in read), folder


def test_a_tag_named_as_a_mark_of_pytest_changes_no_verdict(run, tmp_path):
    """`skip` and `xfail` are tags like others, with a prefix."""
    replace(tmp_path, "cloud: {fails: [close]}", "cloud: {}")
    replace(tmp_path, "tags: [smoke]", "tags: [skip, xfail]")
    done = run("-q", "-k", "cloud", "-m", "tag_skip and tag_xfail")

    assert (done.returncode, "1 failed, 1 passed" in done.stdout) == (1, True)


def test_two_workers_share_one_result(run, tmp_path):
    """Each variant is simulated once, whoever asks first."""
    done = run("-q", "-n", "2")

    assert (done.returncode, "4 passed" in done.stdout) == (0, True)
    kept = tmp_path / KEPT
    assert sorted(path.suffix for path in kept.iterdir()) == [".json", ".json"]


def test_a_lock_left_by_a_killed_process_holds_nobody_up(run, tmp_path):
    """The next run sees that its owner is gone."""
    run("-q", "-k", "edge and close")
    kept = tmp_path / KEPT
    [result] = kept.glob("*.json")
    owner = subprocess.Popen([sys.executable, "-c", ""])
    owner.wait()
    result.with_suffix(".lock").write_text(str(owner.pid), encoding="utf-8")
    result.unlink()
    start_s = time.monotonic()

    assert run("-q", "-k", "edge and close").returncode == 0
    assert time.monotonic() - start_s < 60


def test_an_invalid_scenario_is_a_collection_error_in_our_words(run, tmp_path):
    """The message of `validate`, and no traceback."""
    replace(tmp_path, "metro: ashburn", "metro: ashbrun")
    done = run("-q")

    assert done.returncode == 2
    assert "error[E025]" in done.stdout
    assert "did you mean 'ashburn'" in done.stdout
    assert "Traceback" not in done.stdout
    assert "loading.py" not in done.stdout


def test_seed_and_replications_can_be_given(run, tmp_path):
    """One replication decides nothing, so nothing passes; the seed is the asked one."""
    done = run(
        "-q",
        "--scenario-seed",
        "40",
        "--scenario-replications",
        "1",
        "-k",
        "edge",
        "--junit-xml",
        "junit.xml",
    )

    assert done.returncode == 1
    assert "INCONCLUSIVE" in done.stdout
    assert 'name="seeds" value="40..40"' in (tmp_path / "junit.xml").read_text(encoding="utf-8")


def test_other_yaml_files_are_left_alone(run, tmp_path):
    """Only *.scenario.yaml is ours."""
    (tmp_path / "other.yaml").write_text("a: [", encoding="utf-8")

    assert "4 tests collected" in run("--collect-only", "-q").stdout
