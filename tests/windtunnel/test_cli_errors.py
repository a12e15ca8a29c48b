"""What a user did wrong is said in one message with its exit code, never as a traceback."""

import subprocess
import sys

import pytest

from tests.mounts import mounted

RUN = ("run", "small.scenario.yaml", "--workers", "1", "--replications", "1")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run", "nowhere.scenario.yaml"], "nowhere.scenario.yaml cannot be read: No such file"),
        (["validate", "nowhere.scenario.yaml"], "nowhere.scenario.yaml cannot be read: No such file"),
        (["validate", "."], "cannot be read: Is a directory"),
        (["run", "car_park_fir"], "did you mean the shipped scenario 'car_park_fire'"),
        ([*RUN, "--variant", "fra"], "did you mean 'far'"),
        (["resolve", "small.scenario.yaml", "--variant", "fra"], "did you mean 'far'"),
        (["compare", "small.scenario.yaml", "far", "fra"], "did you mean 'far'"),
        (["compare", "latest", "far", "near"], "no run 'latest'"),
        (["runs", "show", "yesterday"], "no run 'yesterday'"),
        (["runs", "rm", "latest"], "no run 'latest'"),
        (["runs", "show"], "needs the name of a run"),
        (["runs", "show", ""], "the name of a run is empty"),
        (["runs", "rm", ""], "the name of a run is empty"),
        (["runs", "list", "--runs", "small.scenario.yaml"], "small.scenario.yaml is a file"),
        (["report", "--runs", "small.scenario.yaml"], "small.scenario.yaml is a file"),
        ([*RUN, "--runs", "small.scenario.yaml"], "small.scenario.yaml"),
        (["report"], "no run 'latest'"),
        (["run", "small.scenario.yaml", "--replications", "0"], "a whole number of at least 1, not '0'"),
        (["run", "small.scenario.yaml", "--replications", "few"], "a whole number of at least 1, not 'few'"),
        (["run", "small.scenario.yaml", "--seed", "-1"], "a whole number of at least 0, not '-1'"),
        ([*RUN, "--runs", "small.scenario.yaml/runs"], "small.scenario.yaml"),
        (["schema", "--write", "nowhere/schema.json"], "nowhere"),
        (["explain", "smoke_detectr"], "did you mean 'smoke_detector'"),
        (["new", "../up"], "a name is letters, digits"),
        (["run", "smal"], "did you mean 'small.scenario.yaml'?"),
        (["run", "smal.scenario.yml"], "did you mean 'small.scenario.yaml'?"),
        (["validate", "."], "name a file in it: small.scenario.yaml"),
        *(
            ([*command, "--for=-1 s"], "expected a time longer than none, such as '30 s', not '-1 s'")
            for command in (
                ("live", "small.scenario.yaml"),
                ("fidelity", "small.scenario.yaml"),
                ("load", "small.scenario.yaml"),
                ("watch", "small.scenario.yaml"),
                ("proxy", "--to", "127.0.0.1:1"),
            )
        ),
        (["frobnicate"], "invalid choice: 'frobnicate'"),
        (["rnu"], "invalid choice: 'rnu'; did you mean 'run'?"),
        (["hepl"], "did you mean 'help'?"),
        (["help", "rnu"], "did you mean 'run'?"),
        (["suite"], "invalid choice: 'suite'; `windtunnel --help` lists the commands"),
        ([*RUN, "--varient", "far"], "usage: windtunnel run "),
        ([*RUN, "--varient", "far"], "--varient far; did you mean '--variant'?"),
        (["link", "show", "lte", "--ratee", "1"], "did you mean '--rate'?"),
        (["test", "--replications", "0"], "expected a whole number of at least 1, not '0'"),
        ([], "first steps:"),
        ([], "COMMAND"),
    ],
)
def test_invalid_input_is_exit_code_2_and_a_sentence(windtunnel, arguments, said):
    """The message names what was wrong, and what was probably meant."""
    done = windtunnel(*arguments)

    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_suite_with_an_invalid_file_is_exit_code_2(cold, folder):
    """Whatever became of the others; the file says its errors as `validate` does."""
    text = (folder / "small.scenario.yaml").read_text(encoding="utf-8")
    (folder / "broken.scenario.yaml").write_text(text.replace("runs_on: ", "runs_onn: "), encoding="utf-8")
    done = cold("test", "-k", "near and answers", "--replications", "1")

    assert done.returncode == 2
    assert "did you mean 'runs_on'?" in done.stdout


@pytest.mark.parametrize("content", ["", "{}", "[1", '{"scenario_title": 7}'])
def test_results_that_cannot_be_read_are_one_sentence(windtunnel, folder, content):
    """A study.json that was cut short, or that something else wrote."""
    windtunnel(*RUN, "--variant", "near", "--quiet")
    [study] = (folder / "runs").glob("*/study.json")
    study.write_text(content, encoding="utf-8")

    for arguments in (["runs", "show", "latest"], ["report"], ["compare", "latest", "far", "near"]):
        done = windtunnel(*arguments)
        assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)
        assert "study.json cannot be read as results" in done.stderr


def test_a_package_that_hides_ours_is_named(cold, folder):
    """A folder `network` with an __init__.py in the user's folder."""
    (folder / "network").mkdir()
    (folder / "network" / "__init__.py").touch()
    done = cold("--help")

    assert (done.returncode, len(done.stderr.splitlines())) == (4, 1)
    assert "hides Windtunnel's own" in done.stderr
    assert str(folder / "network") in done.stderr


def test_a_reader_that_went_away_is_no_error(folder, environment):
    """`windtunnel schema | head -1` ends in silence."""
    process = subprocess.Popen(
        [sys.executable, "-m", "windtunnel", "schema"],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    process.stdout.close()
    errors = process.stderr.read()
    process.stderr.close()

    assert (errors, process.wait(timeout=60)) == ("", 0)


BROKEN_SCENE = "site: {metro: singapore, scene: hall.geojson}"


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "E047"), ("{", "E052"), ('{"type": "FeatureCollection", "features": [{}]}', "E052")],
    ids=["missing", "no JSON", "no scene"],
)
def test_a_scene_that_cannot_be_read_is_found_by_validate(windtunnel, folder, content, said):
    """With file and place, before a run."""
    replace(folder, "site: {metro: singapore}", BROKEN_SCENE)
    if content is not None:
        (folder / "hall.geojson").write_text(content, encoding="utf-8")
    done = windtunnel("validate", "small.scenario.yaml")

    assert done.returncode == 2
    assert f"error[{said}]" in done.stderr
    assert "hall.geojson" in done.stderr
    assert "--> small.scenario.yaml:3:" in done.stderr


@pytest.mark.parametrize(
    ("content", "said"), [(None, "E047"), ("seconds,delay\n1,x\n", "E052")], ids=["missing", "no figures"]
)
def test_a_trace_that_cannot_be_read_is_found_by_validate(windtunnel, folder, content, said):
    """With file and place, before a run."""
    replace(folder, "qos: 1}", "qos: 1, trace: way.csv}")
    if content is not None:
        (folder / "way.csv").write_text(content, encoding="utf-8")
    done = windtunnel("validate", "small.scenario.yaml")

    assert done.returncode == 2
    assert f"error[{said}]" in done.stderr
    assert "way.csv" in done.stderr


@pytest.mark.parametrize(
    ("content", "said"), [(None, "E047"), ("seconds\n2\n1\n", "E052")], ids=["missing", "no ascending times"]
)
def test_arrivals_that_cannot_be_read_are_found_by_validate(windtunnel, folder, content, said):
    """The file of a replay fleet."""
    replace(folder, "device: periodic, count: 3", "device: replay, file: times.csv, count: 3")
    replace(folder, ", every: 1 s}", "}")
    if content is not None:
        (folder / "times.csv").write_text(content, encoding="utf-8")
    done = windtunnel("validate", "small.scenario.yaml")

    assert done.returncode == 2
    assert f"error[{said}]" in done.stderr
    assert "times.csv" in done.stderr


def test_a_device_that_senses_needs_a_world(windtunnel, folder):
    """A smoke detector where nothing can burn would fail in mid-run."""
    replace(folder, "device: periodic", "device: smoke_detector")
    replace(folder, ", every: 1 s}", "}")
    done = windtunnel("validate", "small.scenario.yaml")

    assert done.returncode == 2
    assert "error[E053]" in done.stderr
    assert "smoke_sensor_rise" in done.stderr


def replace(folder, old, new):
    path = folder / "small.scenario.yaml"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


@pytest.mark.skipif(sys.platform != "linux", reason="mounts a file system in a namespace of its own")
@pytest.mark.parametrize(
    "arguments", [["run", "alarm_drill", "--replications", "1"], ["report"], ["new", "a"]]
)
def test_a_read_only_file_system_is_said_in_one_line(arguments, folder, environment):
    """Somebody stands in the folder of a medium that is mounted read-only."""
    told = subprocess.run(
        [*mounted("ro", ".", folder), sys.executable, "-m", "windtunnel", *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert told.returncode == 4
    assert "the file system is read-only" in told.stderr
    assert "Traceback" not in told.stderr
