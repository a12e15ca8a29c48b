"""The house rules that a linter cannot say."""

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("windtunnel", "loadtests", "twin", "devices_models", "network", "scenarios", "ui")
MODULES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
LONGEST_FUNCTION = 70
LONGEST_FILE = 500
FORBIDDEN_NAMES = {"utils", "util", "helpers", "common", "base", "manager", "misc"}

# who may read a real clock or open a socket, and why
CLOCK_READERS = {
    "twin/kernel/pacing.py": "waits on the wall clock",
    "twin/live/conformance/bench.py": "bounds how long a check of a real broker may take",
    "twin/live/conformance/checking.py": "says how long checks of a real broker took",
    "twin/live/conformance/client.py": "bounds how long a real broker may take",
    "twin/live/conformance/wills.py": "measures when a real broker speaks",
    "twin/live/conformance/connecting.py": "measures when a real broker closes",
    "twin/live/stream.py": "bounds how long a real broker may take",
    "twin/live/embedded.py": "bounds how long a broker may take to start",
    "twin/live/shards.py": "bounds how long worker processes may take",
    "twin/live/sinks/worker.py": "measures a real backend, and bounds how long it may take",
    "scenarios/wiring/packet_level.py": "tells the process that moves packets when the run begins",
    "twin/live/probe.py": "bounds how long a real broker may take",
    "loadtests/fleet_user.py": "gives others their turn",
    "loadtests/locust_statistics.py": "dates what Locust keeps by the second",
    "loadtests/reporting.py": "says how much processor time was used",
    "loadtests/starting.py": "waits for Locust",
    "network/record.py": "measures a real network",
    "scenarios/judging/runner.py": "says how long a run took",
    "scenarios/conformance/live.py": "compares the stamps of a real service with the time",
    "scenarios/fidelity/running.py": "dates a comparison",
    "twin/live/interpreter.py": "dates what a foreign system is told",
    "scenarios/live_databases.py": "dates the records of a live run",
    "scenarios/archive.py": "says how long a run took",
    "scenarios/public.py": "dates a study",
    "scenarios/sweeping/keeping.py": "says how long a sweep took",
    "scenarios/store.py": "dates a run",
    "scenarios/watching/running.py": "leaves readers a moment at the end",
    "twin/service/forwarding.py": "waits for a sink at the end",
    "twin/service/bridge.py": "says since when a broker is away",
    "twin/service/service.py": "gives the twins their time",
    "twin/service/running.py": "gives the twins their time",
    "twin/service/watching.py": "dates refusals",
    "twin/service/enforcement.py": "waits for a real broker",
    "twin/service/api/standing.py": "says how long the service is up",
    "twin/service/session.py": "waits for a real broker",
    "twin/service/mosquitto.py": "waits for a real broker to start",
    "ui/guard.py": "lets a login end",
    "windtunnel/serve_commands.py": "dates a token",
    "windtunnel/pytest_plugin.py": "waits for another worker",
    "windtunnel/suite_keeping.py": "says how long a suite took",
    "windtunnel/progress.py": "estimates the time left",
}
CLOCKS = {"time", "monotonic", "perf_counter", "process_time", "now", "utcnow", "today", "sleep"}


def relative(path):
    return path.relative_to(ROOT).as_posix()


@cache
def trees():
    return [(relative(path), ast.parse(path.read_text(encoding="utf-8"))) for path in MODULES]


def functions(tree):
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def test_no_function_is_longer_than_seventy_lines():
    """A longer one has a part with a name of its own."""
    long = [
        f"{name}:{node.lineno} {node.name} ({node.end_lineno - node.lineno + 1})"
        for name, tree in trees()
        for node in functions(tree)
        if node.end_lineno - node.lineno + 1 > LONGEST_FUNCTION
    ]

    assert long == []


def test_nine_of_ten_functions_have_at_most_25_lines():
    """Short functions are the norm."""
    lengths = sorted(node.end_lineno - node.lineno + 1 for _, tree in trees() for node in functions(tree))

    assert lengths[int(len(lengths) * 0.9)] <= 30


def test_no_file_is_longer_than_five_hundred_lines():
    """A longer one has two subjects."""
    long = [
        relative(path)
        for path in MODULES
        if len(path.read_text(encoding="utf-8").splitlines()) > LONGEST_FILE
    ]

    assert long == []


def test_no_module_is_named_after_nothing():
    """A module is named after its subject."""
    assert [relative(path) for path in MODULES if path.stem in FORBIDDEN_NAMES] == []


def clock_calls(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in CLOCKS:
            owner = node.func.value
            if isinstance(owner, ast.Name) and owner.id in {"time", "datetime", "date"}:
                yield node.lineno


def test_only_pacing_and_named_adapters_read_a_real_clock():
    """Everything else knows no clock but the one it is given."""
    readers = {name for name, tree in trees() if any(clock_calls(tree))}

    assert readers - set(CLOCK_READERS) == set()


def imported(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def test_nobody_uses_global_randomness_or_unsafe_decoding():
    """Numbers come from named streams; nothing is unpickled or evaluated."""
    offenders = [
        f"{name}: {module}"
        for name, tree in trees()
        for module in imported(tree)
        if module.split(".")[0] in {"random", "pickle", "marshal", "shelve"}
    ]
    calls = [
        f"{name}:{node.lineno} {node.func.id}"
        for name, tree in trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in {"eval", "exec", "hash"}
    ]
    global_numpy = [
        f"{name}:{node.lineno}"
        for name, tree in trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Attribute)
        and node.value.attr == "random"
        and isinstance(node.value.value, ast.Name)
        and node.value.value.id in {"np", "numpy"}
        and node.attr not in {"Generator", "Philox"}
    ]

    assert offenders + calls + global_numpy == []


def test_each_part_that_is_drawn_again_has_a_container_of_its_own():
    """Which `redrawn` gives it: a bare fragment of Streamlit's may end the page of a slow browser."""
    found = {path.name for path in (ROOT / "ui").rglob("*.py") if "st.fragment" in path.read_text("utf-8")}
    assert found == {"redrawing.py"}


def test_a_port_has_at_most_three_methods():
    """Wide ports are paid for once per adapter."""
    tree = ast.parse((ROOT / "twin/kernel/ports.py").read_text(encoding="utf-8"))
    widths = {
        node.name: sum(
            isinstance(member, ast.FunctionDef) and not member.decorator_list for member in node.body
        )
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
    }

    assert {name: width for name, width in widths.items() if width > 3} == {}


def test_layers_are_kept():
    """import-linter's contracts of pyproject.toml hold."""
    code = "from importlinter.cli import lint_imports_command as lint; lint()"
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )

    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("word", ["/wo" + "rk/", "/ro" + "ot/", "pypi.o" + "rg"])
def test_no_path_of_a_machine_or_registry_host_is_committed(word):
    """The repository speaks of the product alone."""
    listed = subprocess.run(
        ["git", "grep", "-lI", word], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )

    assert listed.stdout == ""
