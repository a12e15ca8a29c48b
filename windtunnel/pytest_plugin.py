"""pytest collects `*.scenario.yaml`: one item a variant and requirement.

Tags of the scenario and the requirement become markers. Results are kept in pytest's cache under the hash of
variant, seed, versions and our own files, so any worker and any later run of the same file uses them again.
"""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from scenarios.format.loading import ScenarioFile, Variant
    from scenarios.results import RequirementResult, VariantResult

SUFFIX: Final = ".scenario.yaml"
LOCK_TIMEOUT_S: Final = 600.0
LOCK_POLL_S: Final = 0.1
PACKAGES_THAT_RUN: Final = ("twin", "network", "devices_models", "scenarios")
MARKS_OF_PYTEST: Final = frozenset(
    {"skip", "skipif", "xfail", "parametrize", "usefixtures", "filterwarnings", "timeout"}
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options of scenario runs."""
    group = parser.getgroup("windtunnel", "scenarios of Windtunnel")
    group.addoption("--scenario-seed", type=int, metavar="N", help="first seed instead of the file's")
    group.addoption("--scenario-replications", type=int, metavar="N", help="exactly N runs a variant")
    group.addoption("--scenario-workers", type=int, default=1, metavar="N", help="processes a scenario (1)")
    group.addoption("--scenario-runs", metavar="DIR", help="keep what was judged as a suite below DIR")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Keep the suite where it was asked for; workers of pytest-xdist report to who started them."""
    if config.getoption("--scenario-runs") and not hasattr(config, "workerinput"):
        from windtunnel.suite_keeping import SuiteKeeper

        config.pluginmanager.register(SuiteKeeper(config, Path(config.getoption("--scenario-runs"))))


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Take scenario files."""
    if file_path.name.endswith(SUFFIX):
        return ScenarioCollector.from_parent(parent, path=file_path)
    return None


class ScenarioCollector(pytest.File):
    """A scenario file; invalid input is a collection error that shows our own message."""

    def collect(self) -> Iterable[pytest.Item]:
        """One item for each variant and each requirement that applies to it."""
        from scenarios.shipped import load

        scenario = load(self.path)
        for variant in scenario.variants:
            names = [each.name for each in variant.scenario.requirements]
            for requirement in variant.requirements:
                item = RequirementItem.from_parent(
                    self,
                    name=f"{variant.name}::{requirement.name}",
                    scenario=scenario,
                    variant=variant,
                    index=names.index(requirement.name),
                )
                for tag in (*variant.scenario.tags, *requirement.tags):
                    item.add_marker(_marker(self.config, tag))
                yield item

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException]) -> Any:  # type: ignore[override]
        """Errors of the user's file need no traceback of ours."""
        from twin.errors import InputError

        if isinstance(excinfo.value, InputError):
            return str(excinfo.value)
        return super().repr_failure(excinfo)


def _marker(config: pytest.Config, tag: str) -> str:
    """The tag as a marker, made known to a strict pytest; one that would change a verdict gets a prefix."""
    name = re.sub(r"\W", "_", tag)
    if name in MARKS_OF_PYTEST:
        name = f"tag_{name}"
    line = f"{name}: scenarios tagged {tag!r}"
    if line not in config.getini("markers"):
        config.addinivalue_line("markers", line)
    return name


class NotMetError(AssertionError):
    """A requirement got a verdict that was not expected."""


class RequirementItem(pytest.Item):
    """One requirement in one variant; passes if the verdict is the expected one (PASS unless said)."""

    def __init__(self, *, scenario: ScenarioFile, variant: Variant, index: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.scenario = scenario
        self.variant = variant
        self.index = index

    @property
    def requirement(self) -> str:
        """The requirement's name."""
        return self.variant.scenario.requirements[self.index].name

    def runtest(self) -> None:
        """Run the variant, or use what was kept of it, and compare the verdict with the expected one."""
        result = kept_result(self.config, self.variant)
        found = next(each for each in result.requirements if each.name == self.requirement)
        self.user_properties += [
            ("verdict", found.verdict),
            ("value", found.value_text),
            ("limit", found.limit_text),
            ("replications", found.runs),
            ("seeds", f"{result.seeds[0]}..{result.seeds[-1]}"),
        ]
        expected = "FAIL" if found.name in (self.variant.fails or ()) else "PASS"
        if found.verdict != expected:
            raise NotMetError(self._text(found, expected))

    def _text(self, found: RequirementResult, expected: str) -> str:
        """What an engineer needs at 2 a.m.: where, what, how sure, the chain behind it, how to repeat it."""
        place = f"{self.path.name}:{self.scenario.line_of('requirements', self.index)}"
        lines = [
            f"{place}: {found.name}: {found.verdict} in variant {self.variant.name} (expected {expected})",
            f"  {found.expect}",
            f"  median {found.value_text}; met in {found.met} of {found.runs} runs {_share(found)}",
        ]
        if found.chain:
            lines.append(f"  message chain of the run with seed {found.worst_seed}:")
            lines += [
                f"    {hop.at_s:9.3f} s  {_leg(hop)}  {hop.topic}  {hop.note}".rstrip() for hop in found.chain
            ]
        lines.append(
            f"  repeat: windtunnel run {shlex.quote(str(self.path))} --variant {self.variant.name!r}"
            f" --seed {found.worst_seed} --replications 1"
        )
        return "\n".join(lines)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Our own text for a verdict, a traceback for a defect."""
        if isinstance(excinfo.value, NotMetError):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[os.PathLike[str], int | None, str]:
        """The requirement's file and line."""
        line = self.scenario.line_of("requirements", self.index)
        return self.path, line - 1, f"{self.path.name}::{self.name}"


def _share(found: RequirementResult) -> str:
    return f"({found.low:.1%} to {found.high:.1%}, asked {found.probability:.0%})"


def _leg(hop: Any) -> str:
    return hop.source if hop.source == hop.to else f"{hop.source} -> {hop.to}"


def kept_result(config: pytest.Config, variant: Variant) -> VariantResult:
    """The variant's result: kept under the hash of what determines it, or run now, once whoever asks."""
    from scenarios.results import encode
    from scenarios.store import write

    if getattr(config, "cache", None) is None:  # switched off by -p no:cacheprovider
        return _run(config, variant)
    path = _cache_file(config, variant)
    with _locked(path.with_suffix(".lock")):
        kept = _read(path)
        if kept is None:
            kept = _run(config, variant)
            write(path, encode(kept))
        return kept


def _read(path: Path) -> VariantResult | None:
    """What was kept; None if nothing was, or if it is damaged."""
    import msgspec

    from scenarios.results import VariantResult, decode

    try:
        return decode(path.read_bytes(), VariantResult)
    except (FileNotFoundError, msgspec.MsgspecError, UnicodeDecodeError):
        return None


def _run(config: pytest.Config, variant: Variant) -> VariantResult:
    from scenarios.judging.runner import Plan, simulate_variant
    from scenarios.judging.study import variant_result

    plan = Plan(
        replications=config.getoption("--scenario-replications"),
        seed=config.getoption("--scenario-seed"),
        workers=config.getoption("--scenario-workers"),
    )
    return variant_result(simulate_variant(variant, plan))


def _cache_file(config: pytest.Config, variant: Variant) -> Path:
    from scenarios.archive import PACKAGES, package_version
    from windtunnel import __version__

    asked = [config.getoption("--scenario-seed"), config.getoption("--scenario-replications")]
    versions = [package_version(name) for name in PACKAGES]
    text = repr([variant.hash, _contents(variant), _own_files(), asked, __version__, versions])
    return config.cache.mkdir("windtunnel") / f"{hashlib.sha256(text.encode()).hexdigest()[:32]}.json"


def _contents(variant: Variant) -> list[tuple[str, str]]:
    """Name and SHA-256 of every file that the scenario reads."""
    named = [str(site.scene) for site in variant.scenario.sites.values() if isinstance(site.scene, str)]
    named += [link.trace for link in variant.scenario.links if link.trace]
    named += [
        str(fleet.options["file"]) for fleet in variant.scenario.fleets.values() if "file" in fleet.options
    ]
    return [(name, _sha256(path)) for name in named if (path := variant.folder / name).is_file()]


@cache
def _own_files() -> str:
    """The SHA-256 of every module and data file of the packages that run a scenario."""
    import scenarios

    home = Path(scenarios.__file__).parent.parent
    files = [path for name in PACKAGES_THAT_RUN for path in (home / name).rglob("*") if path.is_file()]
    found = sorted((str(path.relative_to(home)), _sha256(path)) for path in files if path.suffix != ".pyc")
    return hashlib.sha256(repr(found).encode()).hexdigest()


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """One process at a time; a lock whose owner is gone is broken, and any after ten minutes."""
    deadline = time.monotonic() + LOCK_TIMEOUT_S
    while not _taken(path):
        if time.monotonic() > deadline or not _is_owned(path):
            path.unlink(missing_ok=True)
        else:
            time.sleep(LOCK_POLL_S)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def _taken(path: Path) -> bool:
    """Whether the lock is ours now; it appears with its owner in it."""
    beside = path.with_name(f"{path.name}.{os.getpid()}")
    beside.write_text(str(os.getpid()), encoding="ascii")
    try:
        os.link(beside, path)
    except FileExistsError:
        return False
    finally:
        beside.unlink()
    return True


def _is_owned(path: Path) -> bool:
    from scenarios.store import is_alive

    try:
        return is_alive(int(path.read_text(encoding="ascii")))
    except FileNotFoundError:
        return True
    except ValueError:
        return False
