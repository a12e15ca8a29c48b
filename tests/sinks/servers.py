"""Real backends as children of the tests: frozen, killed, started again, stopped by their process group."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

import postgres

START_S = 60.0
ROOT = Path(__file__).resolve().parents[2]
COPY = "mvn -f tests/sinks/kafka.pom.xml dependency:copy-dependencies -DoutputDirectory=$PWD/.venv/kafka"
CLUSTER = "d2luZHR1bm5lbC10ZXN0cw"  # 16 bytes in Base64, as Kafka wants them


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


class Influx(Server):
    """InfluxDB 1 in a folder of its own; a point is in its log on disk when it is acknowledged."""

    program, install = "influxd", "sudo apt-get install -y influxdb"

    def prepare(self):
        rpc = postgres.free_port()
        (self.folder / "influxdb.conf").write_text(
            f'reporting-enabled = false\nbind-address = "127.0.0.1:{rpc}"\n'
            f'[meta]\ndir = "{self.folder}/meta"\n'
            f'[data]\ndir = "{self.folder}/data"\nwal-dir = "{self.folder}/wal"\nindex-version = "inmem"\n'
            f'[http]\nbind-address = "127.0.0.1:{self.port}"\nlog-enabled = false\n'
            "[monitor]\nstore-enabled = false\n"
        )

    def command(self):
        return [shutil.which("influxd"), "run", "-config", str(self.folder / "influxdb.conf")]

    @property
    def url(self):
        return f"influx+http://127.0.0.1:{self.port}/records"

    def ask(self, statement):
        query = urllib.parse.urlencode({"db": "records", "q": statement})
        url = f"http://127.0.0.1:{self.port}/query?{query}"
        request = urllib.request.Request(url, method="POST")
        with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310
            return json.load(answer)["results"][0].get("series", [])

    def empty(self):
        self.ask("DROP DATABASE records")
        self.ask("CREATE DATABASE records")

    def keys(self):
        return [row[1] for series in self.ask('SELECT "key" FROM windtunnel') for row in series["values"]]


class Victoria(Server):
    """VictoriaMetrics: takes the line protocol, and keeps the numbers of a record, not its key."""

    program, install = "victoria-metrics", "sudo apt-get install -y victoria-metrics"

    def command(self):
        listen = f"-httpListenAddr=127.0.0.1:{self.port}"
        return [
            shutil.which(self.program),
            listen,
            f"-storageDataPath={self.folder}/data",
            "-retentionPeriod=100y",
        ]

    @property
    def url(self):
        return f"influx+http://127.0.0.1:{self.port}/records"

    def values(self, name):
        """Every value of a metric, by the tag `thing`."""
        for path in ("/internal/force_flush", f"/api/v1/export?match[]={name}"):
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=20) as answer:
                lines = answer.read().splitlines()
        return {each["metric"]["thing"]: each["values"] for each in map(json.loads, lines)}


class S3(Server):
    """MiniStack with its objects on disk."""

    program, install = "ministack", "pip install ministack"

    @property
    def missing(self):
        return "" if find_spec("ministack") else self.install

    def who(self):
        return {
            "env": {
                **os.environ,
                "GATEWAY_PORT": str(self.port),
                "SERVICES": "s3",
                "LOG_LEVEL": "ERROR",
                "S3_PERSIST": "1",
                "S3_DATA_DIR": str(self.folder / "objects"),
                "PERSIST_STATE": "1",
                "STATE_DIR": str(self.folder / "state"),
            }
        }

    def command(self):
        return [sys.executable, "-c", "from ministack.app import main; main()"]

    def is_ready(self):
        try:
            self.client().list_buckets()
        except Exception:  # noqa: BLE001  (whatever it is, it is not ready)
            return False
        return True

    def client(self):
        import boto3
        from botocore.config import Config

        return boto3.client(
            "s3",
            endpoint_url=f"http://127.0.0.1:{self.port}",
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="s3cret",  # noqa: S106
            config=Config(connect_timeout=1, read_timeout=5, retries={"total_max_attempts": 1}),
        )

    @property
    def url(self):
        return f"s3://test:s3cret@records/fire?endpoint=http://127.0.0.1:{self.port}&region=us-east-1"

    def empty(self):
        client = self.client()
        if any(each["Name"] == "records" for each in client.list_buckets()["Buckets"]):
            for name in self.names():
                client.delete_object(Bucket="records", Key=name)
        else:
            client.create_bucket(Bucket="records")
            client.put_object(Bucket="records", Key=self.kept, Body=b"")

    kept = "kept"  # MiniStack forgets a bucket that was empty when it was killed

    def names(self):
        pages = self.client().get_paginator("list_objects_v2").paginate(Bucket="records")
        names = [each["Key"] for page in pages for each in page.get("Contents", [])]
        return [name for name in names if name != self.kept]

    def keys(self):
        client = self.client()
        bodies = [client.get_object(Bucket="records", Key=name)["Body"].read() for name in self.names()]
        return [json.loads(line)["key"] for body in bodies for line in body.splitlines()]


class Kafka(Server):
    """One broker of Apache Kafka with its own defaults: acknowledged is in its log, not yet on disk."""

    program = "java"
    libraries = ROOT / ".venv" / "kafka"
    topic = "records"

    @property
    def missing(self):
        if shutil.which("java") is None:
            return "Kafka needs Java; install it with: sudo apt-get install -y default-jre-headless"
        if not any(self.libraries.glob("kafka_*.jar")):
            return f"Kafka is not here; get it with: {COPY}"
        return ""

    def prepare(self):
        controller = postgres.free_port()
        (self.folder / "server.properties").write_text(
            "process.roles=broker,controller\nnode.id=1\ncontroller.listener.names=CONTROLLER\n"
            f"controller.quorum.voters=1@127.0.0.1:{controller}\n"
            f"listeners=PLAINTEXT://127.0.0.1:{self.port},CONTROLLER://127.0.0.1:{controller}\n"
            f"advertised.listeners=PLAINTEXT://127.0.0.1:{self.port}\n"
            "listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT\n"
            f"log.dirs={self.folder}/data\noffsets.topic.replication.factor=1\n"
            "offsets.topic.num.partitions=1\ngroup.initial.rebalance.delay.ms=0\nnum.partitions=3\n"
        )
        # A fixed name of the cluster: one in 64 random ones begins with a dash and is taken for an option.
        command = self.java("kafka.tools.StorageTool", "format", "-t", CLUSTER, "-c", "server.properties")
        subprocess.run(command, check=True, timeout=60, capture_output=True, cwd=self.folder)

    def java(self, *arguments):
        return ["java", "-Xmx512m", "-XX:+UseSerialGC", "-cp", f"{self.libraries}/*", *arguments]

    def command(self):
        return self.java("kafka.Kafka", "server.properties")

    def is_ready(self):
        from confluent_kafka import KafkaException
        from confluent_kafka.admin import AdminClient

        if not super().is_ready():
            return False
        try:
            client = AdminClient({"bootstrap.servers": f"127.0.0.1:{self.port}", "log_level": 0})
            return bool(client.list_topics(timeout=2).brokers)
        except KafkaException:
            return False

    @property
    def url(self):
        return f"kafka://127.0.0.1:{self.port}/{self.topic}"

    def empty(self):
        self.topic = f"records-{time.monotonic_ns()}"

    def messages(self):
        from confluent_kafka import Consumer

        settings = {"bootstrap.servers": f"127.0.0.1:{self.port}", "group.id": f"g{time.monotonic_ns()}"}
        consumer = Consumer(
            {**settings, "auto.offset.reset": "earliest", "log_level": 0, "enable.partition.eof": True}
        )
        found, ended = [], set()
        consumer.subscribe([self.topic])
        limit_s = time.monotonic() + 30
        try:
            while time.monotonic() < limit_s:
                for each in consumer.consume(1000, 1.0):
                    if each.error() is None:
                        found.append(each)
                    else:
                        ended.add(each.partition())
                if ended and len(ended) >= len(consumer.assignment()):
                    return found
        finally:
            consumer.close()
        raise RuntimeError("the consumer did not reach the end")

    def keys(self):
        return [dict(each.headers())["key"].decode() for each in self.messages()]
