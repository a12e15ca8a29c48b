"""Runs the checks against a broker, many at a time, each for no longer than its limit."""

from __future__ import annotations

import time
from collections.abc import Callable, Container, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from twin.errors import MissingEnvironmentError

# every module registers its checks; the order is that of the table
from twin.live.conformance import (  # noqa: F401  (imported for what they register)
    connecting,
    delivering,
    guarding,
    remembering,
    version5,
    wills,
)  # isort: skip
from twin.live.conformance.bench import CHECKS, Bench, Check, Subject
from twin.live.conformance.client import Client
from twin.live.conformance.verdicts import (
    BOTH,
    Conformance,
    Failed,
    Finding,
    NotSupported,
    NotTried,
    Verdict,
)
from twin.live.probe import probe
from twin.live.shards import SPARE_DESCRIPTORS, files_in_a_process
from twin.mqtt.packets import Version

BRIEF: Final = frozenset({
    "connect", "ping", "qos-0", "qos-1", "qos-2", "retained", "session-cut", "redelivery",
    "redelivery-marked", "takeover", "will", "dollar-topics",
})  # fmt: skip
"""What a live run asks its broker beforehand: it takes less than a second."""
AT_ONCE: Final = 24
FILES, FILES_IN_BRIEF = 320, 120
"""More than the checks have open at a time (measured: 260, and 73 of the quick ones)."""
FIRST_S: Final = 5.0
NAME_S: Final = 0.6
VERSION_TOPICS: Final = "$SYS/broker/version"


def run_checks(
    subject: Subject,
    versions: Sequence[Version] = BOTH,
    *,
    is_quick: bool = False,
    only: Container[str] | None = None,
    tell: Callable[[Finding], None] = lambda _: None,
) -> Conformance:
    """Try every check, or only those named; `tell` hears each finding as it comes, on any thread.

    Raises MissingEnvironmentError if there is no broker that speaks one of the versions.
    """
    begin_s = time.monotonic()
    _check_files(is_brief=is_quick or (only is not None and "many-clients" not in only))
    with ThreadPoolExecutor(len(versions), "probe") as pool:
        refusals = dict(zip(versions, pool.map(lambda version: _refusal(subject, version), versions)))
    spoken = [version for version, refusal in refusals.items() if refusal is None]
    if not spoken:
        raise next(refusal for refusal in refusals.values() if refusal is not None)
    todo = [
        (check, version)
        for version in versions
        for check in CHECKS
        if version in check.versions
        and (check.is_quick or not is_quick)
        and (only is None or check.name in only)
    ]

    def tried(item: tuple[Check, Version]) -> Finding:
        check, version = item
        refusal = refusals[version]
        if refusal is None:
            finding = _try(check, subject, version)
        else:
            said = str(refusal).rpartition(": ")[2]
            detail = f"it does not speak MQTT {version}: {said}"
            finding = _finding(check, version, "not supported", detail)
        tell(finding)
        return finding

    with ThreadPoolExecutor(AT_ONCE, "check") as pool:
        slow_first = sorted(todo, key=lambda item: item[0].is_quick)
        found: dict[tuple[Check, Version], Finding] = {}
        for is_alone in (False, True):
            part = [item for item in slow_first if item[0].is_alone is is_alone]
            found.update(zip(part, pool.map(tried, part)))
    name = _name(subject, spoken[0])
    url = subject.doors["plain"].url
    return Conformance(name, url, [found[item] for item in todo], time.monotonic() - begin_s)


def _check_files(*, is_brief: bool) -> None:
    """Raise MissingEnvironmentError where checks would fail for want of open files, and not by the broker."""
    needed, limit = FILES_IN_BRIEF if is_brief else FILES, files_in_a_process() + SPARE_DESCRIPTORS
    if limit < needed:
        raise MissingEnvironmentError(
            f"the checks take up to {needed} open files, and this process may open {limit};"
            f" raise the limit: ulimit -n {needed}"
        )


def _refusal(subject: Subject, version: Version) -> MissingEnvironmentError | None:
    """Why no client of this version gets in; None if one does."""
    try:
        # an id for each version: who connects under another's takes its place
        probe(subject.doors["plain"].speaking(version), f"wtprobe{version.replace('.', '')}")
    except MissingEnvironmentError as error:
        return error
    return None


def _try(check: Check, subject: Subject, version: Version) -> Finding:
    begin_s = time.monotonic()
    bench = Bench(subject, version, check.name)
    verdict: Verdict = "passed"
    try:
        detail = check.run(bench) or ""
    except Failed as error:
        verdict, detail = "failed", str(error)
    except NotSupported as error:
        verdict, detail = "not supported", str(error)
    except NotTried as error:
        verdict, detail = "not tried", str(error)
    finally:
        bench.tidy()
    detail = detail.replace(bench.topic(), "T")
    return _finding(check, version, verdict, detail, time.monotonic() - begin_s)


def _finding(check: Check, version: Version, verdict: Verdict, detail: str, took_s: float = 0.0) -> Finding:
    return Finding(check.name, version, check.clause, check.says, verdict, detail, round(took_s, 3))


def _name(subject: Subject, version: Version) -> str:
    """What the broker says that it is, or what we know of it."""
    client = Client(subject.doors["plain"].speaking(version), "wtname", time.monotonic() + FIRST_S)
    try:
        client.connect()
        client.subscribe(VERSION_TOPICS, 0)
        for message in client.listen(NAME_S):
            return message.payload.decode("utf-8", "replace").replace(" version", "")[:60]
    except (Failed, NotSupported):
        pass
    finally:
        client.cut()
    return subject.name
