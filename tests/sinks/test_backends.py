"""Each adapter against the real thing: kept, answered, refused."""

import sys

import pytest
from losing import record

from twin.errors import InputError, MissingEnvironmentError
from twin.live.sinks.opening import kind_of, opened, worker
from twin.live.sinks.port import Record, RejectedError
from twin.state.rules.sinks import SinkError

pytestmark = pytest.mark.live
ODD = ["ä€𝄞", "a'b\"c\\d", "x y,z=1", "tab\tand\nline"]


@pytest.fixture(params=["postgres", "redis", "sqlite"])
def url(request, tmp_path):
    """A backend that can be asked."""
    if request.param == "sqlite":
        return f"sqlite:{tmp_path / 'records.sqlite'}"
    server = request.getfixturevalue(f"{request.param}_backend")
    server.empty()
    return server.url


@pytest.fixture
def sink(url):
    each = opened("backend", url)[0]
    each.open()
    yield each
    each.close()


@pytest.mark.parametrize(
    "payload", [b"", b"\x00\xff", b'{ "a" : 1.0 }', b"null", b'"\\u0000"', b"\xef\xbb\xbf{}"]
)
def test_a_payload_comes_back_byte_for_byte(sink, payload):
    """Whether it is JSON or not."""
    sink.write([Record("k", "site/s/sensor/s-1/smoke", "s-1", 1.5, payload)])

    assert sink.latest("site/s/sensor/s-1/smoke") == payload


@pytest.mark.parametrize("name", ODD)
def test_odd_names_are_kept(sink, name):
    """Quotes, spaces, line ends and other planes."""
    sink.write([Record(name, f"site/{name}/x", name, 1.5, b"1")])

    assert sink.latest(f"site/{name}/x") == b"1"


def test_the_latest_is_the_last_written(sink):
    """Within a batch and between batches; what nobody wrote is None."""
    sink.write([record(0), record(20), record(1)])
    sink.write([record(40)])

    assert sink.latest(record(0).topic) == b'{"v": 40}'
    assert sink.latest("site/s/sensor/none/smoke") is None


def test_what_comes_twice_is_kept_once(sink, url, request):
    """The same key again changes nothing."""
    sink.write([record(number) for number in range(10)])
    sink.write([record(number) for number in range(5, 12)])

    assert sink.latest(record(11).topic) == b'{"v": 11}'
    if url.startswith("postgres"):
        assert len(request.getfixturevalue("postgres_backend").keys()) == 12


def test_what_postgres_cannot_take_holds_up_nothing(postgres_backend):
    """A topic with a zero byte is no text to PostgreSQL; the other 99 records are kept."""
    postgres_backend.empty()
    told = []
    busy = worker("backend", postgres_backend.url)
    for number in range(100):
        each = record(number)
        if number == 37:
            each = Record(each.key, "a\x00b", each.thing, each.at_s, each.payload)
        busy.offer(each, told.append)
    busy.start()

    assert busy.stop() == 0
    assert (busy.counts.kept, busy.counts.rejected, told.count(False)) == (99, 1, 1)
    assert len(postgres_backend.keys()) == 99


@pytest.mark.parametrize("name", ["postgres_backend", "redis_backend"])
def test_a_wrong_password_is_said_at_the_start_and_not_shown(name, request):
    """Another attempt would change nothing."""
    url = request.getfixturevalue(name).url.replace("s3cret", "hunter2")

    with pytest.raises(InputError) as told:
        worker("backend", url).start()

    assert "refuses us" in str(told.value)
    assert "hunter2" not in str(told.value)


def test_a_password_may_come_from_the_environment_or_a_file(postgres_backend, monkeypatch, tmp_path):
    """So that no process list shows it."""
    url = postgres_backend.url.replace(":s3cret", "")
    monkeypatch.setenv("WINDTUNNEL_SINK_MY_DATABASE_PASSWORD", "s3cret")
    worker_of = worker("my-database", url)
    worker_of.start()
    worker_of.stop()
    (tmp_path / "secret").write_text("s3cret\n")
    other = worker("other", f"{url}?password-file={tmp_path / 'secret'}")
    other.start()
    other.stop()

    assert worker_of.is_up
    assert other.is_up


@pytest.mark.parametrize("url", ["postgresql://me:hunter2@127.0.0.1:1/x", "redis://:hunter2@127.0.0.1:1/0"])
def test_a_backend_that_is_away_is_tried_again(url):
    """It may come later; the start returns, and says what the trouble is."""
    busy = worker("backend", url)
    busy.start()
    busy.offer(record(1))

    assert busy.trouble
    assert "hunter2" not in busy.trouble + repr(busy)
    assert busy.stop(0.2) == 1


@pytest.mark.parametrize(
    ("url", "package", "extra"),
    [
        ("postgresql://me@127.0.0.1:1/x", "psycopg", "postgres"),
        ("redis://127.0.0.1:1/0", "redis", "redis"),
        ("kafka://127.0.0.1:1/x", "confluent_kafka", "kafka"),
        ("s3://bucket/x?endpoint=http://127.0.0.1:1", "boto3", "s3"),
    ],
)
def test_a_client_that_is_not_installed_is_one_sentence(url, package, extra, monkeypatch):
    """With the line that installs it."""
    monkeypatch.setitem(sys.modules, package, None)

    with pytest.raises(MissingEnvironmentError) as told:
        worker("backend", url).start()

    assert f"pip install 'windtunnel-iot[{extra}]'" in str(told.value)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("url", "part"),
    [
        ("postgersql://x/y", "did you mean postgresql://"),
        ("nothing", "'nothing' is no backend"),
        ("redis://localhost/x", "is a number"),
        ("redis://localhost/0?steam=x", "there is no option 'steam'"),
        ("postgresql://host:99999/x", "no number from 1 to 65535"),
        ("postgresql:///x", "needs a host"),
        ("sqlite:", "needs a file"),
        ("file:", "needs a file"),
        ("sqlite:/nowhere/at/all", "cannot be used"),
        ("file:/nowhere/at/all", "cannot be used"),
        ("postgresql://u@localhost/x?password-file=/nowhere", "cannot be read"),
    ],
)
def test_a_wrong_url_is_refused_in_one_sentence(url, part):
    """With what was expected."""
    with pytest.raises(InputError, match=part.replace("?", r"\?")):
        opened("backend", url)[0].open()


def test_a_file_that_is_no_database_is_left_alone(tmp_path):
    """Its bytes stay."""
    path = tmp_path / "letter.txt"
    path.write_bytes(b"Dear Sir, this is no database at all." * 40)

    with pytest.raises(InputError, match="cannot be used"):
        opened("backend", f"sqlite:{path}")[0].open()

    assert path.read_bytes().startswith(b"Dear Sir")


def test_lines_torn_by_a_kill_are_cut_away(tmp_path):
    """What was written whole stays, and the next line begins at its own place."""
    path = tmp_path / "records.jsonl"
    path.write_bytes(b'{"key":"a"}\n{"key":"b"')
    sink = opened("backend", f"file:{path}")[0]
    sink.open()
    sink.write([record(1), Record("k", "t", "t", 0.0, b"\xff")])
    sink.close()

    lines = path.read_bytes().splitlines()
    assert lines[0] == b'{"key":"a"}'
    assert lines[1].startswith(b'{"key":"k00000001"')
    assert lines[1].endswith(b'"document":{"v":1}}')
    assert lines[2].endswith(b'"payload":"/w=="}')


def test_a_full_disk_loses_and_doubles_nothing(tmp_path):
    """A batch that did not fit is taken back whole."""
    import resource

    sink = opened("backend", f"file:{tmp_path / 'records.jsonl'}")[0]
    sink.open()
    sink.write([record(0)])
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500, limits[1]))
    try:
        with pytest.raises(SinkError, match="File too large"):
            sink.write([record(number) for number in range(1, 50)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    sink.write([record(50)])
    sink.close()

    assert len((tmp_path / "records.jsonl").read_bytes().splitlines()) == 2


def test_kinds_say_whether_they_can_be_asked():
    """A database node needs one that can."""
    assert kind_of("postgres://x/y").can_answer
    assert not kind_of("file:x").can_answer


def test_rejected_is_a_kind_of_failure():
    """Who only knows SinkError is right, too."""
    assert issubclass(RejectedError, SinkError)
