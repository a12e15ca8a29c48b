"""Recording round trips against a loopback listener, and reading the file."""

import socket
import threading

import pytest

from network.record import read_trace, record
from network.stages.trace import Trace
from twin.errors import InputError


@pytest.fixture
def listener():
    """A port that accepts connections and closes them."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.05)
        is_over = threading.Event()

        def serve():
            while not is_over.is_set():
                try:
                    server.accept()[0].close()
                except TimeoutError:
                    continue

        thread = threading.Thread(target=serve)
        thread.start()
        yield server.getsockname()[1]
        is_over.set()
        thread.join()


def test_what_is_recorded_is_read_again(listener, tmp_path):
    """Five connections on loopback: five points in order, each with a round trip below a second."""
    out = tmp_path / "trace.csv"
    points = record("127.0.0.1", listener, 5, 0.01, out)
    assert read_trace(out) == [(pytest.approx(t), pytest.approx(r, abs=1e-6)) for t, r in points]
    assert len(points) == 5
    assert all(0 < round_trip_s < 1 for _, round_trip_s in points)
    assert Trace(points).mean_s > 0


def test_a_refused_connection_is_a_gap(tmp_path):
    """Nobody listens: no answer came."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    out = tmp_path / "trace.csv"
    assert [round_trip_s for _, round_trip_s in record("127.0.0.1", port, 2, 0.01, out)] == [None, None]
    assert [round_trip_s for _, round_trip_s in read_trace(out)] == [None, None]


@pytest.mark.parametrize(
    ("samples", "interval_s", "text"), [(0, 1.0, "1 to 10000"), (10_001, 1.0, "1 to"), (1, 0.0, "interval")]
)
def test_a_recording_has_bounds(tmp_path, samples, interval_s, text):
    """Samples and interval."""
    with pytest.raises(InputError, match=text):
        record("127.0.0.1", 1, samples, interval_s, tmp_path / "trace.csv")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "trace.csv:1: a trace begins with the header seconds,round_trip_s"),
        ("time,rtt\n0,1\n", "trace.csv:1: a trace begins"),
        ("seconds,round_trip_s\n", "a measurement or more"),
        ("seconds,round_trip_s\n0,0.1\n1\n", "trace.csv:3: two columns are wanted, 1 found"),
        ("seconds,round_trip_s\n0,fast\n", "trace.csv:2: 'fast' is no number"),
        ("seconds,round_trip_s\n0,-1\n", "trace.csv:2: '-1' is no number"),
        ("seconds,round_trip_s\n0,0.1\n\n0,0.2\n", "trace.csv:4: 0.0 s is not later"),
    ],
    ids=["empty", "header", "nothing", "columns", "word", "negative", "order"],
)
def test_a_bad_trace_is_refused_with_its_line(tmp_path, text, message):
    """File and line, and what is wrong there."""
    path = tmp_path / "trace.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=message):
        read_trace(path)


def test_a_trace_that_is_not_there_is_refused(tmp_path):
    """As is one that is no text."""
    with pytest.raises(InputError, match="No such file"):
        read_trace(tmp_path / "none.csv")
    binary = tmp_path / "binary.csv"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="no CSV text"):
        read_trace(binary)
