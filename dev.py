#!/usr/bin/env python3
"""Set up and run everything on a fresh machine with Python 3.11 or newer.

    python3 dev.py demo    install the core, run the car-park fire, then drills on a real broker
    python3 dev.py test    install all and run the tests; with --all also those marked slow, as CI does
    python3 dev.py lint    format, lint, types and layering
    python3 dev.py run ... install all and run Python with these arguments, for example: run -m windtunnel ui

Standard library only. Uses uv where it is present, else venv and pip, from the locked requirements.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent
OLDEST = (3, 11)
PROGRAMS = {
    "mosquitto": "mosquitto",
    "ip": "iproute2",
    "initdb": "postgresql",
    "influxd": "influxdb",
    "victoria-metrics": "victoria-metrics",
    "redis-server": "redis-server",
    "rabbitmq-server": "rabbitmq-server",
    "chromium": "chromium",
    "java": "default-jre-headless",
    "mvn": "maven",
}  # program: Debian package
KAFKA = "tests/sinks/kafka.pom.xml"  # the Kafka that tests hold us against, below .venv/kafka
NODE_PACKAGES = ("aedes@1.2.0", "ws@8.23.0", "sparkplug-payload@1.0.3")  # below .venv/node, for tests
TESTS_FAILED, NOTHING_SELECTED = 1, 5  # pytest's exit codes
PROCESSES = "4"  # for two cores: half of their time the tests wait
LOCKS = {"core": "requirements/core.txt", "live": "requirements/live.txt", "dev": "requirements/dev.txt"}
LIVE_DEMO = ("fidelity", "alarm_drill", "--broker", "embedded", "--for", "30 s")
NO_DEFECT = (0, 3, 4, 130)  # within the tolerance, undecided, the machine lacks something, Ctrl-C
BEYOND_TOLERANCE = 1


def main(arguments: list[str]) -> int:
    """Run one of the commands of the module's docstring."""
    command, rest = (arguments[0], arguments[1:]) if arguments else ("help", [])
    if sys.version_info < OLDEST:
        return fail(
            f"Windtunnel needs Python {OLDEST[0]}.{OLDEST[1]} or newer; this is {sys.version.split()[0]}."
        )
    if command == "demo":
        return demo(rest)
    if command == "test":
        return test(environment("dev"), rest)
    if command == "lint":
        return lint(environment("dev"))
    if command == "run":
        return run(environment("dev"), *rest)
    if command in ("help", "-h", "--help"):
        print(__doc__)
        return 0
    return fail(f"unknown command {command!r}.\n{__doc__}")


def demo(options: list[str]) -> int:
    """The car-park fire in virtual time; then alarm drills, simulated and live, and how far they are apart.

    What keeps the live half minute from starting, or disturbs it, does not count against the demo.
    """
    code = run(environment("core"), "-m", "windtunnel", "demo", *options)
    if options or code:
        return code
    print("\nNow half a minute of alarm drills live, on the embedded broker:", flush=True)
    report = ROOT / "runs" / "fidelity.html"
    report.unlink(missing_ok=True)
    try:
        python = environment("live")
    except SystemExit:
        return code
    live = run(python, "-m", "windtunnel", *LIVE_DEMO, "--out", str(report))
    is_told = live in NO_DEFECT or (live == BEYOND_TOLERANCE and report.exists())
    return code if is_told else live


def environment(wanted: str) -> Path:
    """The Python of `.venv`, with at least the wanted packages installed from the lock file."""
    python = ROOT / ".venv" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    stamp = ROOT / ".venv" / "windtunnel-installed"
    installed = stamp.read_text(encoding="utf-8").split() if stamp.exists() else []
    digest = hashlib.sha256(
        b"".join((ROOT / name).read_bytes() for name in ("pyproject.toml", *LOCKS.values()))
    ).hexdigest()[:16]
    if python.exists() and digest in installed and wanted in installed:
        return python
    order = list(LOCKS)
    level = max([wanted, *(each for each in installed if each in LOCKS)], key=order.index)
    levels = order[: order.index(level) + 1]  # each contains those before it
    print(f"Setting up .venv ({level}) ...", file=sys.stderr, flush=True)
    install(python, level)
    stamp.write_text(" ".join([digest, *levels]), encoding="utf-8")
    return python


def install(python: Path, level: str) -> None:
    """Make the environment and install the locked requirements and the product itself."""
    uv = shutil.which("uv")
    if uv:
        if not python.exists():
            check([uv, "venv", "--quiet", "--python", sys.executable, str(ROOT / ".venv")])
        pip = [uv, "pip", "install", "--quiet", "--python", str(python)]
    else:
        if not python.exists() or not has_pip(python):
            make_venv()
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    check([*pip, "--require-hashes", "-r", str(ROOT / LOCKS[level])])
    check([*pip, "--no-deps", "-e", str(ROOT)])


def has_pip(python: Path) -> bool:
    """Whether the environment was made to the end: an interrupted set-up leaves one without pip."""
    return (
        subprocess.run([str(python), "-m", "pip", "--version"], capture_output=True, check=False).returncode
        == 0
    )


def make_venv() -> None:
    """Make `.venv` with the standard library, or say which system package is missing."""
    try:
        import ensurepip  # noqa: F401
        import venv
    except ImportError:
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        raise SystemExit(
            fail(
                f"Python's venv is missing. On Debian or Ubuntu: sudo apt-get install -y python{version}-venv"
            )
        ) from None
    venv.create(ROOT / ".venv", with_pip=True, symlinks=os.name != "nt", clear=True)


def test(python: Path, options: list[str]) -> int:
    """The tests on four processes; then those that wait, beside each other, and those that measure, alone.

    Those marked slow are left to CI, unless `--all` or a marker expression of one's own asks for them.
    """
    provide_programs()
    provide_node_packages()
    provide_kafka()
    rest = [option for option in options if option != "--all"]
    if "-m" in rest:
        return run(python, "-m", "pytest", "-n", PROCESSES, *rest)
    marked = "" if "--all" in options else " and not slow"
    parts = (
        ("-n", PROCESSES, "-m", f"not waits and not alone{marked}"),
        ("-n", PROCESSES, "-m", f"waits{marked}"),
        ("-m", f"alone{marked}"),
    )
    codes = set()
    for part in parts:
        codes.add(run(python, "-m", "pytest", *part, *rest))
        if codes - {0, TESTS_FAILED, NOTHING_SELECTED}:
            break
    return max(codes - {NOTHING_SELECTED}, default=NOTHING_SELECTED)


def provide_programs() -> None:
    """Install the real servers and tools that some tests hold us against, where this may be done unasked."""
    hidden = [str(each) for each in Path("/usr/lib/postgresql").glob("*/bin")]
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin", *hidden])
    missing = [package for program, package in PROGRAMS.items() if not shutil.which(program, path=path)]
    if not missing:
        return
    line = f"apt-get install -y {' '.join(missing)}"
    if shutil.which("apt-get") and os.name == "posix" and os.geteuid() == 0:
        print(f"Installing {' '.join(missing)} ...", file=sys.stderr, flush=True)
        check(["apt-get", "update", "-qq"])
        check(["apt-get", "install", "-y", "-qq", *missing])
    else:
        print(f"dev.py: some tests will fail; they need: sudo {line}", file=sys.stderr)


def provide_node_packages() -> None:
    """Install the broker for Node.js that some tests hold us against, where there is npm."""
    folder, npm = ROOT / ".venv" / "node", shutil.which("npm")
    if npm is None:
        print(f"dev.py: without npm the tests that need {NODE_PACKAGES[0]} will fail", file=sys.stderr)
    elif not (folder / "node_modules" / "sparkplug-payload").is_dir():
        options = ["--no-audit", "--no-fund", "--ignore-scripts", "--silent", "--prefix", str(folder)]
        check([npm, "install", *options, *NODE_PACKAGES])


def provide_kafka() -> None:
    """Fetch the libraries of the Kafka that some tests hold us against, where there is Maven."""
    folder, maven = ROOT / ".venv" / "kafka", shutil.which("mvn")
    if maven is not None and not any(folder.glob("kafka_*.jar")):
        goal = ["dependency:copy-dependencies", f"-DoutputDirectory={folder}"]
        check([maven, "-B", "-q", "-f", str(ROOT / KAFKA), *goal])


def lint(python: Path) -> int:
    """Format, lint, types and layering; the first failure ends it."""
    checks = (
        ("ruff", "format", "--check", "."),
        ("ruff", "check", "."),
        ("mypy",),
        ("importlinter.cli", "lint"),
    )
    for module, *options in checks:
        print(f"== {module} {' '.join(options)}", flush=True)
        starter = ["-c", "from importlinter.cli import lint_imports_command as c; c()"]
        code = run(python, *(starter if module.startswith("importlinter") else ["-m", module, *options]))
        if code:
            return code
    return 0


def run(python: Path, *arguments: str) -> int:
    """Run Python in the environment; Ctrl-C reaches the child, whose exit code is ours."""
    child = subprocess.Popen([str(python), *arguments], cwd=ROOT)
    while True:
        try:
            return child.wait()
        except KeyboardInterrupt:
            continue


def check(command: list[str]) -> None:
    """Run an installation step; its failure ends the set-up."""
    if subprocess.run(command, cwd=ROOT, check=False).returncode:
        raise SystemExit(fail(f"this step of the set-up failed: {' '.join(command)}"))


def fail(sentence: str) -> int:
    """Print one sentence on standard error."""
    print(f"dev.py: {sentence}", file=sys.stderr)
    return 4


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
