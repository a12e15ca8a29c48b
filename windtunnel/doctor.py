"""What this machine has, and the line that installs what is missing."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import NamedTuple

CORE = ("numpy", "simpy", "networkx", "pydantic", "msgspec", "pyyaml")
EXTRAS = {"pytest": "running scenarios as tests"}
OURS = "windtunnel-iot"
EXTRA_PACKAGES = {
    "live": (("iotcore", "paho-mqtt"), "live runs without a broker of your own"),
    "serve": (("cryptography", "fastapi", "paho-mqtt", "uvicorn"), "twins as a service, and certificates"),
    "load": (("locust",), "load tests"),
    "ui": (("resvg-py", "ruamel-yaml", "streamlit"), "the user interface"),
    "postgres": (("psycopg",), "PostgreSQL"),
    "redis": (("redis",), "Redis"),
    "kafka": (("confluent-kafka",), "Kafka"),
    "s3": (("boto3",), "object stores"),
}
OLDEST = (3, 11)
FEW_DESCRIPTORS = 4_096
PROBE_S = 10.0
TUN_PROBE = """\
import fcntl, os, struct
tun = os.open("/dev/net/tun", os.O_RDWR)
fcntl.ioctl(tun, 0x400454CA, struct.pack("16sH22x", b"windtunnel0", 0x1001))
"""
"""Makes a TUN device (TUNSETIFF with IFF_TUN and IFF_NO_PI), which is gone with the process."""


class Finding(NamedTuple):
    """One thing looked at."""

    name: str
    is_good: bool
    is_optional: bool
    detail: str


def findings() -> list[Finding]:
    """Everything worth knowing before a first run, in order of importance."""
    python = Finding(
        "python", sys.version_info >= OLDEST, is_optional=False, detail=platform.python_version()
    )
    core = [_package(name, is_optional=False, use="core") for name in CORE]
    extras = [_package(name, is_optional=True, use=use) for name, use in EXTRAS.items()]
    return [
        python,
        *core,
        *extras,
        _cores(),
        _folder(),
        *_brokers(),
        *_extras(),
        *_servers(),
        _descriptors(),
        _tun(),
    ]


def _package(name: str, *, is_optional: bool, use: str) -> Finding:
    try:
        return Finding(name, is_good=True, is_optional=is_optional, detail=version(name))
    except PackageNotFoundError:
        advice = f"for {use}: pip install {name}"
        return Finding(name, is_good=False, is_optional=is_optional, detail=advice)


def _cores() -> Finding:
    count = os.cpu_count() or 1
    return Finding(
        "processors", is_good=True, is_optional=True, detail=f"{count}; replications use all of them"
    )


def _folder() -> Finding:
    is_good = os.access(".", os.W_OK)
    detail = "results go to ./runs" if is_good else "this folder is not writable; use --runs DIR"
    return Finding("results folder", is_good, is_optional=True, detail=detail)


# what live runs need ---------------------------------------------------------------------------------------


def _brokers() -> list[Finding]:
    """The brokers that a live run can start itself."""
    from twin.live import embedded
    from twin.service.brokers import has_mosquitto
    from twin.service.mosquitto import INSTALL, find_mosquitto
    from windtunnel.servers import Here, version_said

    has_own, has_embedded = has_mosquitto(), embedded.is_installed()
    embedded_detail = f"for live runs: {embedded.INSTALL}"
    if has_embedded:
        embedded_detail = f"{version('iotcore')}, rumqttd (package iotcore)"
    own = Here(version_said([find_mosquitto(), "-h"]), find_mosquitto()).text if has_own else ""
    return [
        Finding(
            "broker mosquitto",
            has_own,
            is_optional=True,
            detail=own or f"for live runs: {INSTALL}",
        ),
        Finding("broker embedded", has_embedded, is_optional=True, detail=embedded_detail),
    ]


def _extras() -> list[Finding]:
    """Each extra with all of its packages, or the line that installs it."""
    return [
        Finding(
            f"extra {name}",
            is_good := all(map(_is_installed, packages)),
            is_optional=True,
            detail=use if is_good else f"for {use}: pip install '{OURS}[{name}]'",
        )
        for name, (packages, use) in EXTRA_PACKAGES.items()
    ]


def _servers() -> list[Finding]:
    """Each other server that is here, and in one line those that are not."""
    from windtunnel.servers import SERVERS

    looked = [(each, each.find()) for each in SERVERS]
    found = [
        Finding(f"server {each.name}", is_good=True, is_optional=True, detail=f"{here.text} ({each.use})")
        for each, here in looked
        if here is not None
    ]
    absent = [f"{each.name}: {each.install}" for each, here in looked if here is None]
    if absent:
        detail = f"not here, and only wanted to try a URL: {'; '.join(absent)}"
        found.append(Finding("other servers", is_good=False, is_optional=True, detail=detail))
    return found


def _is_installed(name: str) -> bool:
    try:
        version(name)
    except PackageNotFoundError:
        return False
    return True


def _descriptors() -> Finding:
    """How many connections a process may have."""
    if sys.platform == "win32":
        return Finding("open files", is_good=True, is_optional=True, detail="not limited here")
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    detail = f"{soft} a process, so as many connections; up to {hard} with: ulimit -n {hard}"
    if soft == hard:
        detail = f"{soft} a process, so as many connections; larger fleets take more processes"
    return Finding("open files", soft >= FEW_DESCRIPTORS, is_optional=True, detail=detail)


def _tun() -> Finding:
    """Whether a process without privileges may move packets in namespaces of its own."""
    unshare = shutil.which("unshare")
    if not sys.platform.startswith("linux") or unshare is None:
        is_good, why = False, "needs Linux with `unshare`"
    else:
        apart = [unshare, "--user", "--map-root-user", "--net", sys.executable, "-I", "-c", TUN_PROBE]
        try:
            done = subprocess.run(apart, capture_output=True, timeout=PROBE_S, check=False)  # noqa: S603
            is_good, why = done.returncode == 0, "this machine forbids it"
        except subprocess.TimeoutExpired:
            is_good, why = False, f"no answer within {PROBE_S:g} s"
    detail = "real packets on the links of live runs" if is_good else f"{why}; use --links proxy"
    return Finding("links tun", is_good, is_optional=True, detail=detail)
