"""A real PostgreSQL on a free loopback port: a child of the tests, stopped by its process id."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psycopg

from twin.live.ports import held_ports

INSTALL = "PostgreSQL is not installed; install it with: sudo apt-get install -y postgresql"
NOBODY = 65534
START_LIMIT_S = 60.0
HELD = ExitStack()  # ports, for as long as this process lives


def programs():
    """The folder of the newest PostgreSQL, None if there is none."""
    found = shutil.which("initdb")
    places = [Path(found).parent] if found else []
    places += sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda each: float(each.parent.name))
    return next((each for each in reversed(places) if (each / "initdb").exists()), None)


@contextmanager
def server(place):
    """Runs a server with its data in a folder of its own; gives its URL without the database's name."""
    who = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
    folder = Path(tempfile.mkdtemp(prefix="windtunnel-postgres-"))
    if who:  # PostgreSQL refuses to run as root
        os.chown(folder, NOBODY, NOBODY)
    data, log = folder / "data", (folder / "log").open("wb")
    child = None
    try:
        subprocess.run(
            [place / "initdb", "-D", data, "-U", "windtunnel", "-A", "trust", "-E", "UTF8", "--no-sync"],
            check=True, timeout=120, stdout=log, stderr=log, cwd=folder, env={"LC_ALL": "C"}, **who,
        )  # fmt: skip
        port = free_port()
        child = subprocess.Popen(
            [place / "postgres", "-D", data, "-h", "127.0.0.1", "-p", str(port), "-k", ""],
            stdout=log, stderr=log, cwd=folder, env={"LC_ALL": "C"}, **who,
        )  # fmt: skip
        url = f"postgresql://windtunnel@127.0.0.1:{port}"
        wait_for(url, child, folder / "log")
        yield url
    finally:
        if child is not None:
            child.send_signal(signal.SIGINT)  # fast shutdown
            child.wait(30)
        log.close()
        shutil.rmtree(folder)


def free_port():
    """A port that nobody else is given as long as this process lives: for a server that is started later."""
    return HELD.enter_context(held_ports(1))[0]


def wait_for(url, child, log):
    """Until the server answers."""
    limit_s = time.monotonic() + START_LIMIT_S
    while time.monotonic() < limit_s and child.poll() is None:
        try:
            psycopg.connect(f"{url}/postgres", connect_timeout=2).close()
        except psycopg.OperationalError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError(f"PostgreSQL did not start: {log.read_text()[-2000:]}")


def emptied(url):
    """The database without a store; returns its URL."""
    with psycopg.connect(f"{url}/postgres", autocommit=True) as connection:
        connection.execute("DROP SCHEMA IF EXISTS windtunnel CASCADE")
    return f"{url}/postgres"
