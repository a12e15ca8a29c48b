"""Every command that does not simulate, and those that start from what a run left."""

import json
import re
import statistics
import subprocess
import sys
import time
from importlib.metadata import version
from xml.etree import ElementTree as ET

import pytest

from windtunnel import doctor, servers
from windtunnel.servers import SERVERS

HEAVY = ("numpy", "simpy", "networkx", "pydantic", "yaml", "msgspec", "lark")


@pytest.mark.alone
def test_help_is_shown_within_150_ms(cold):
    """Median of five, as a user waits for it; another five, twice, if the machine was busy meanwhile."""
    for _ in range(3):
        times_s = []
        for _ in range(5):
            start_s = time.perf_counter()
            done = cold("--help")
            times_s.append(time.perf_counter() - start_s)
        if statistics.median(times_s) < 0.150:
            break

    assert done.stdout.startswith("usage: windtunnel")
    assert statistics.median(times_s) < 0.150


def test_help_imports_nothing_heavy(folder, environment):
    """That is why it is fast."""
    program = (
        "import sys; from windtunnel.cli import run_command_line\n"
        "try: run_command_line(['run', '--help'])\n"
        f"except SystemExit: print(sorted(set({HEAVY!r}) & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("words", [[], ["run"], ["broker", "check"]])
def test_help_before_a_command_is_its_help(windtunnel, words):
    """As many type it; alone it is the help of the whole."""
    asked = windtunnel("help", *words)

    assert (asked.returncode, asked.stdout) == (0, windtunnel(*words, "--help").stdout)


def test_version_is_the_product_s(cold):
    """One line."""
    assert re.fullmatch(r"windtunnel \d+\.\d+\.\d+\n", cold("--version").stdout)


# writing -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (["mine"], ["mine.scenario.yaml"]),
        (
            ["mine", "--scene", "carpark", "--levels", "2", "--bays", "20"],
            ["mine.geojson", "mine.scenario.yaml"],
        ),
    ],
    ids=["plain", "with a building"],
)
def test_new_files_are_valid_and_run(windtunnel, folder, arguments, names):
    """What `new` writes can be run as it stands."""
    assert windtunnel("new", *arguments).returncode == 0
    assert sorted(path.name for path in folder.glob("mine*")) == names
    assert windtunnel("validate", "mine.scenario.yaml").returncode == 0
    done = windtunnel("run", "mine.scenario.yaml", "--replications", "1", "--workers", "1", "--json")
    assert (done.returncode, done.stderr) in {(0, ""), (3, "")}
    assert json.loads(done.stdout)["variants"]


def test_new_overwrites_nothing_and_writes_nothing_beside_it(windtunnel, folder):
    """One of two files is there already: neither is written."""
    (folder / "mine.geojson").write_text("mine", encoding="utf-8")
    done = windtunnel("new", "mine", "--scene", "carpark")

    assert (done.returncode, done.stderr) == (
        2,
        "mine.geojson exists already; choose another name or move it away\n",
    )
    assert (folder / "mine.geojson").read_text(encoding="utf-8") == "mine"
    assert not (folder / "mine.scenario.yaml").exists()


def test_validate_shows_every_file_with_its_errors(windtunnel, folder):
    """Valid ones on standard output, broken ones on standard error."""
    (folder / "bad.scenario.yaml").write_text(
        "scenario: 1\nsites: {a: {metro: singapor}}\n", encoding="utf-8"
    )
    done = windtunnel("validate", "small.scenario.yaml", "bad.scenario.yaml")

    assert (done.returncode, done.stdout) == (2, "small.scenario.yaml: valid, 3 variants, 2 requirements\n")
    assert "bad.scenario.yaml:2:" in done.stderr


def test_validate_speaks_json_and_to_github(windtunnel, folder):
    """For editors and for the checks of a pull request."""
    (folder / "bad.scenario.yaml").write_text(
        "scenario: 1\nsites: {a: {metro: singapor}}\n", encoding="utf-8"
    )
    [row] = json.loads(windtunnel("validate", "bad.scenario.yaml", "--format", "json").stdout)

    assert (row["file"], row["line"], row["column"], row["code"]) == ("bad.scenario.yaml", 2, 20, "E025")
    assert windtunnel("validate", "bad.scenario.yaml", "--format", "github").stdout.startswith(
        "::error file=bad.scenario.yaml,line=2,col=20::E025 "
    )


def test_validate_names_a_file_in_a_folder_as_it_was_given(windtunnel, folder):
    """Text, JSON and GitHub alike: the place can be opened from where the command ran."""
    (folder / "sub").mkdir()
    (folder / "sub" / "bad.scenario.yaml").write_text(
        "scenario: 1\nsites: {a: {metro: singapor}}\n", encoding="utf-8"
    )
    name = "sub/bad.scenario.yaml"
    [row] = json.loads(windtunnel("validate", name, "--format", "json").stdout)

    assert row["file"] == name
    assert f"--> {name}:2:20\n" in windtunnel("validate", name).stderr
    assert windtunnel("validate", name, "--format", "github").stdout.startswith(
        f"::error file={name},line=2,"
    )


def test_an_error_line_for_github_stays_one_line(windtunnel, folder):
    """Percent signs, ends of lines and separators are escaped as workflow commands ask for."""
    (folder / "a,b%.scenario.yaml").write_text(
        'scenario: 1\nsites: {a: {metro: "1%\\r\\n::x"}}\n', encoding="utf-8"
    )
    [line] = windtunnel("validate", "a,b%.scenario.yaml", "--format", "github").stdout.splitlines()

    assert line.startswith("::error file=a%2Cb%25.scenario.yaml,line=2,col=20::E025 ")
    assert "1%25%0D%0A::x" in line


def test_resolve_without_a_variant_prints_the_first(windtunnel):
    """As its help says."""
    done = windtunnel("resolve", "small.scenario.yaml")

    assert done.stdout == windtunnel("resolve", "small.scenario.yaml", "--variant", "far").stdout
    assert "default: the first variant" in windtunnel("resolve", "--help").stdout


def test_resolve_prints_a_file_that_is_valid_again(windtunnel, folder):
    """The variant written out in full, with its hash."""
    done = windtunnel("resolve", "small.scenario.yaml", "--variant", "near")
    (folder / "again.scenario.yaml").write_text(done.stdout, encoding="utf-8")

    assert re.match(r"# variant near, sha256 [0-9a-f]{64}\n", done.stdout)
    assert "metro: ashburn" not in done.stdout
    assert windtunnel("validate", "again.scenario.yaml").returncode == 0


def test_schema_is_json_schema_printed_or_written(windtunnel, folder):
    """The same text both ways."""
    printed = windtunnel("schema").stdout
    windtunnel("schema", "--write", "schema.json")

    assert json.loads(printed)["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert (folder / "schema.json").read_text(encoding="utf-8") == printed


def test_explain_knows_every_subject_of_its_overview():
    """And shows it; in this process, as there are many."""
    from scenarios.explanations import explanation, overview

    subjects = [
        name.strip()
        for line in overview().splitlines()[1:]
        for name in line.partition(": ")[2].removesuffix(" ...").split(",")
    ]

    assert len(subjects) > 50
    assert [name for name in subjects if len(explanation(name)) < 20] == []


def test_explain_shows_code_device_kind_fault_link_and_metro(windtunnel):
    """One of each sort."""
    for subject, said in (
        ("E035", "faster than light"),
        ("boom_gate", "gate_command"),
        ("gateway", "options:"),
        ("partition", "fault partition"),
        ("thread", "one way: p50"),
        ("singapore", "SG"),
    ):
        assert said in windtunnel("explain", subject).stdout, subject


def test_doctor_says_what_is_there(windtunnel):
    """Text for people, JSON for machines, 0 if nothing is missing."""
    text, found = windtunnel("doctor"), windtunnel("doctor", "--json")

    assert (text.returncode, found.returncode) == (0, 0)
    assert text.stdout.startswith("ok       python: 3.")
    names = {each["name"] for each in json.loads(found.stdout)}
    assert {"numpy", "simpy", "results folder"} <= names
    assert {"broker mosquitto", "broker embedded", "extra live", "open files", "links tun"} <= names


def test_doctor_says_which_servers_are_there(windtunnel):
    """With the version that each says itself; those that are not here are one line."""
    found = {each["name"]: each["detail"] for each in json.loads(windtunnel("doctor", "--json").stdout)}

    asked = subprocess.run(["mosquitto", "-h"], capture_output=True, text=True, check=False).stdout
    assert found["broker mosquitto"].startswith(asked.split()[2] + ", /")
    assert found["broker embedded"].startswith(f"{version('iotcore')}, ")
    redis = subprocess.run(["redis-server", "--version"], capture_output=True, text=True, check=True).stdout
    assert f" v={found['server Redis'].split(',')[0]} " in redis
    assert re.fullmatch(r"1\d(\.\d+)+, /.+/postgres \(postgresql://\)", found["server PostgreSQL"])
    for each in SERVERS:
        assert (f"server {each.name}" in found) is not (each.install in found.get("other servers", ""))


def test_a_server_that_says_nothing_is_there_all_the_same(tmp_path, monkeypatch):
    """One that hangs, one without a version, one that is not there."""
    monkeypatch.setattr(servers, "ANSWER_S", 0.3)
    for name, script in (
        ("hanging", "sleep 20"),
        ("silent", "true"),
        ("old", "echo fake v0.9.1-rc, of 2012"),
    ):
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
    said = {
        name: servers.program(name, "--version", folders=[str(tmp_path)])()
        for name in ("hanging", "silent", "old", "absent")
    }

    assert said["hanging"].text == said["hanging"].place == str(tmp_path / "hanging")
    assert said["silent"].version == ""
    assert said["old"].version == "0.9.1-rc"
    assert said["absent"] is None


def test_doctor_says_how_to_get_what_is_missing(monkeypatch):
    """A line to install, or what to use instead; none of it stands in the way of a first run."""
    monkeypatch.setattr(doctor, "EXTRA_PACKAGES", {"live": (("no-such-package",), "live runs")})
    monkeypatch.setattr(doctor.shutil, "which", lambda *_, **__: None)
    missing = {each.name: each for each in doctor.findings() if not each.is_good}

    assert "sudo apt-get install -y mosquitto" in missing["broker mosquitto"].detail
    assert "pip install 'windtunnel-iot[live]'" in missing["extra live"].detail
    assert "use --links proxy" in missing["links tun"].detail
    assert all(each.is_optional for each in missing.values())


# what a run left -----------------------------------------------------------------------------------------


@pytest.fixture
def ran(windtunnel):
    """A folder with one stored run of all variants."""
    options = ("--replications", "2", "--workers", "1", "--quiet")
    assert windtunnel("run", "small.scenario.yaml", *options).returncode == 1
    return windtunnel


def test_stored_runs_are_listed_shown_and_removed(ran, folder):
    """By name, by its beginning, or as the latest."""
    [manifest] = json.loads(ran("runs", "list", "--json").stdout)
    name = manifest["run"]

    assert manifest["state"] == "done"
    assert ran("runs", "list").stdout.startswith(name)
    assert ran("runs", "show", name[:15]).stdout == ran("runs", "show", "latest").stdout
    assert json.loads(ran("runs", "show", name, "--json").stdout)["scenario_title"] == "Small site"
    assert ran("runs", "rm", "latest").stdout == f"removed {name}\n"
    assert not (folder / "runs" / name).exists()
    assert ran("runs", "list").stdout == "no runs below runs\n"


def test_reports_come_in_four_forms_to_a_file_or_to_standard_output(ran, folder):
    """Each readable by those who asked for it."""
    texts = {form: ran("report", "--format", form, "--out", "-").stdout for form in FORMS}
    paths = {form: ran("report", "latest", "--format", form).stdout.strip() for form in FORMS}
    ran("report", "--out", "mine.html")

    assert texts["html"].startswith("<!DOCTYPE html>")
    assert ET.fromstring(texts["junit"]).tag == "testsuites"  # noqa: S314  (our own text)
    assert texts["markdown"].startswith("#")
    assert json.loads(texts["json"])["scenario_title"] == "Small site"
    assert {form: (folder / path).read_text(encoding="utf-8") for form, path in paths.items()} == texts
    assert (folder / "mine.html").read_text(encoding="utf-8") == texts["html"]


FORMS = ("html", "junit", "markdown", "json")


def test_compare_takes_any_file_that_run_takes(windtunnel, folder):
    """Whatever its ending."""
    (folder / "small.scenario.yaml").rename(folder / "small.scenario.yml")
    done = windtunnel("compare", "small.scenario.yml", "far", "near", "--replications", "2", "--quiet")

    assert (done.returncode, done.stderr) == (0, "")
    assert "close: far - near = +0." in done.stdout


@pytest.mark.parametrize("target", ["small.scenario.yaml", "latest"])
def test_compare_gives_paired_differences_of_a_scenario_or_a_stored_run(ran, target):
    """Singapore answers about half a second sooner than Virginia: two round trips."""
    extra = () if target == "latest" else ("--replications", "3", "--workers", "1", "--quiet")
    done = ran("compare", target, "far", "near", *extra)
    rows = json.loads(ran("compare", target, "far", "near", "--json", *extra).stdout)

    assert done.returncode == 0
    row = next(each for each in rows if "close" in each["metric"])
    assert 0.15 < row["mean_difference"] < 0.7
    assert row["low"] <= row["mean_difference"] <= row["high"]
    assert "close: far - near = +0." in done.stdout
