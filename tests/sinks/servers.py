"""Real backends as children of the tests: frozen, killed, started again, stopped by their process group."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import postgres

START_S = 60.0


def _children(pid):
    try:
        return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []


class Server:
    """A child with a folder and a port of its own, the same at each start."""

    program, install = "", ""

    def __init__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="windtunnel-sink-"))
        self.port = postgres.free_port()
        self.child = None

    @property
    def missing(self):
        """What to do if the server is not on this machine."""
        return "" if shutil.which(self.program) else f"{self.program} is missing: {self.install}"

    def __enter__(self):
        try:
            self.prepare()
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.end()
        shutil.rmtree(self.folder, ignore_errors=True)

    def prepare(self):
        """What is done once."""

    def command(self):
        raise NotImplementedError

    def who(self):
        return {}

    def start(self):
        """Return when it takes connections."""
        with (self.folder / "log").open("ab") as log:
            self.child = subprocess.Popen(
                self.command(), stdout=log, stderr=log, cwd=self.folder, start_new_session=True, **self.who()
            )
        limit_s = time.monotonic() + START_S
        while not self.is_ready():
            if self.child.poll() is not None or time.monotonic() > limit_s:
                raise RuntimeError(f"{self.program}: {(self.folder / 'log').read_text()[-2000:]}")
            time.sleep(0.05)

    def is_ready(self):
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        except OSError:
            return False
        return True

    def signal(self, number):
        """To the server and what it started: PostgreSQL's sessions have process groups of their own."""
        for pid in [self.child.pid, *_children(self.child.pid)]:
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def freeze(self):
        self.signal(signal.SIGSTOP)

    def thaw(self):
        self.signal(signal.SIGCONT)

    def kill(self):
        self.signal(signal.SIGKILL)
        self.child.wait(10)

    def end(self):
        if self.child is not None and self.child.poll() is None:
            self.kill()


class Postgres(Server):
    """PostgreSQL with its own defaults: a commit is on disk when it is acknowledged."""

    program = "postgres"

    @property
    def missing(self):
        return postgres.INSTALL if postgres.programs() is None else ""

    def who(self):
        if os.geteuid():
            return {}
        return {"user": postgres.NOBODY, "group": postgres.NOBODY, "extra_groups": [], "env": {"LC_ALL": "C"}}

    def prepare(self):
        if not os.geteuid():
            os.chown(self.folder, postgres.NOBODY, postgres.NOBODY)
        (self.folder / "secret").write_text("s3cret")
        (self.folder / "secret").chmod(0o644)
        subprocess.run(
            [postgres.programs() / "initdb", "-D", self.folder / "data", "-U", "windtunnel",
             "-A", "scram-sha-256", "--pwfile", self.folder / "secret", "-E", "UTF8", "--no-sync"],
            check=True, timeout=120, stdout=subprocess.DEVNULL, cwd=self.folder, **self.who(),
        )  # fmt: skip

    def command(self):
        data = self.folder / "data"
        listen = ["-h", "127.0.0.1", "-p", str(self.port), "-k", ""]
        return [postgres.programs() / "postgres", "-D", data, *listen]

    def is_ready(self):
        import psycopg

        try:
            psycopg.connect(self.url, connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    @property
    def url(self):
        return f"postgresql://windtunnel:s3cret@127.0.0.1:{self.port}/postgres"

    def run(self, statement):
        import psycopg

        with psycopg.connect(self.url, autocommit=True) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def empty(self):
        self.run("DROP TABLE IF EXISTS windtunnel_records")

    def keys(self):
        return [key for (key,) in self.run("SELECT key FROM windtunnel_records ORDER BY id")]


class Redis(Server):
    """Redis with the settings named; `log` is its append-only file: every second, always, or none."""

    program, install = "redis-server", "sudo apt-get install -y redis-server"

    def __init__(self, log="everysec"):
        super().__init__()
        self.log = log

    def command(self):
        how = (
            ["--appendonly", "no"]
            if self.log == "none"
            else ["--appendonly", "yes", "--appendfsync", self.log]
        )
        return [
            "redis-server", "--port", str(self.port), "--bind", "127.0.0.1",
            "--dir", str(self.folder), "--requirepass", "s3cret", *how,
        ]  # fmt: skip

    def is_ready(self):
        import redis

        try:
            return self.client().ping()
        except redis.exceptions.RedisError:
            return False

    def client(self):
        import redis

        return redis.Redis(port=self.port, password="s3cret", socket_timeout=5)  # noqa: S106

    @property
    def url(self):
        return f"redis://:s3cret@127.0.0.1:{self.port}/0?stream=records"

    def empty(self):
        self.client().flushall()

    def keys(self):
        return [entry[b"key"].decode() for _, entry in self.client().xrange("windtunnel:records")]
