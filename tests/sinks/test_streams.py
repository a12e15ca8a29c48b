"""Kafka, the object store and the line protocol: what only they have."""

import json
import time

import pytest
from losing import record

from twin.errors import InputError
from twin.live.sinks.influx import points_of
from twin.live.sinks.opening import opened, worker
from twin.live.sinks.port import Record, RejectedError

pytestmark = pytest.mark.live


@pytest.fixture(params=["kafka", "s3", "influx"])
def server(request):
    each = request.getfixturevalue(f"{request.param}_backend")
    each.empty()
    return each


def test_every_record_is_kept_with_its_key(server):
    """Of some hundred, in batches as the adapter likes them."""
    busy = worker("backend", server.url)
    busy.start()
    for number in range(700):
        busy.offer(record(number))

    assert busy.stop(20) == 0
    assert sorted(server.keys()) == [record(number).key for number in range(700)]


def test_a_payload_that_is_no_json_and_odd_names_are_kept(server):
    """No record holds up the next."""
    sink = opened("backend", server.url)[0]
    sink.open()
    odd = [
        Record("k1", "a b,c=d/ä€", "x y,z=1\\", 1.5, b"\x00\xff"),
        Record("k2", "t", "", 1.5, b'{"a b,=\\"": "q\\"\\\\", "n": [1, {"m": null}], "key": 3, "": 2}'),
        Record("k3", "t", "s", 1.5, b"{}"),
        Record("k4", "t", "s", 1.5, b'{"big": 12345678901234567890, "t": "line\\nend"}'),
    ]
    sink.write(odd)
    sink.close()

    assert sorted(server.keys()) == ["k1", "k2", "k3", "k4"]


def test_kafka_keeps_a_thing_in_one_partition_in_order(kafka_backend):
    """Its key is the thing; the time is the record's."""
    kafka_backend.empty()
    sink = opened("backend", kafka_backend.url)[0]
    sink.open()
    sink.write([record(number) for number in range(200)])
    sink.close()
    by_thing = {}
    for each in kafka_backend.messages():
        by_thing.setdefault(each.key().decode(), []).append((each.partition(), json.loads(each.value())["v"]))

    assert len(by_thing) == 20
    for found in by_thing.values():
        assert len({partition for partition, _ in found}) == 1
        assert [number for _, number in found] == sorted(number for _, number in found)


def test_an_object_is_named_after_its_batch(s3_backend):
    """The same batch is the same object; another batch another one; each line is a record."""
    s3_backend.empty()
    sink = opened("backend", s3_backend.url)[0]
    sink.open()
    batch = [record(number) for number in range(10)]
    sink.write(batch)
    sink.write(batch)
    sink.write(batch[:5])
    sink.close()

    assert len(s3_backend.names()) == 2
    assert all(name.startswith("fire/1970/01/01/000000-") for name in s3_backend.names())


def test_a_bucket_that_is_not_there_is_said_at_the_start(s3_backend):
    """Another attempt would change nothing."""
    with pytest.raises(InputError, match="no such bucket"):
        worker("backend", s3_backend.url.replace("@records", "@recrods")).start()


@pytest.mark.parametrize(
    ("document", "line"),
    [
        ('{"v": 1}', 'm,thing=s-1,topic=a/b v=1.0,key="k" 1500000000'),
        ('{"v": 1.5, "on": true}', 'm,thing=s-1,topic=a/b v=1.5,on=true,key="k" 1500000000'),
        ('{"a": {"b": "x \\"y\\""}}', 'm,thing=s-1,topic=a/b a.b="x \\"y\\"",key="k" 1500000000'),
        ('{"a b": 1, "n": null}', 'm,thing=s-1,topic=a/b a\\ b=1.0,key="k" 1500000000'),
        ("[1, 2]", 'm,thing=s-1,topic=a/b 0=1.0,1=2.0,key="k" 1500000000'),
        ("7", 'm,thing=s-1,topic=a/b value=7.0,key="k" 1500000000'),
        ("{}", 'm,thing=s-1,topic=a/b key="k" 1500000000'),
    ],
)
def test_a_record_is_a_line(document, line):
    """As the reference of the line protocol has it; the last digits of the time are the key's."""
    (found,) = points_of([Record("k", "a/b", "s-1", 1.5, document.encode())], "m")

    assert found[:-6] == line[:-6]


def test_records_of_one_moment_are_different_points():
    """However many a service takes in at once; sent again, they are the same points."""
    records = [Record(f"{number}", "t", "s", 1.5, b"1") for number in range(5_000)]

    moments = [line.rsplit(" ", 1)[1] for line in points_of(records, "m")]

    assert len(set(moments)) == 5_000
    assert [line.rsplit(" ", 1)[1] for line in points_of(records, "m")] == moments


def test_two_records_of_one_moment_stay_two(influx_backend):
    """And one that comes twice stays one."""
    influx_backend.empty()
    sink = opened("backend", influx_backend.url)[0]
    sink.open()
    pair = [Record(key, "t", "s", 1.5, b'{"v": 1}') for key in ("a", "b")]
    sink.write(pair)
    sink.write(pair)
    sink.close()

    assert sorted(influx_backend.keys()) == ["a", "b"]


def test_a_field_that_changes_its_type_holds_up_nothing(influx_backend):
    """InfluxDB refuses the text after the number; the others of the batch are kept."""
    influx_backend.empty()
    busy = worker("backend", influx_backend.url)
    busy.start()
    for number in range(20):
        payload = b'{"v": "high"}' if number == 7 else b'{"v": 1}'
        busy.offer(Record(f"k{number}", "t", f"s-{number}", float(number), payload))

    assert busy.stop() == 0
    assert (busy.counts.kept, busy.counts.rejected) == (19, 1)
    assert len(influx_backend.keys()) == 19


def test_a_database_that_is_not_there_is_waited_for(influx_backend):
    """Somebody may make it; meanwhile the records wait."""
    influx_backend.empty()
    busy = worker("backend", influx_backend.url.replace("/records", "/others"))
    busy.start()
    busy.offer(record(1))

    assert busy.stop(0.3) == 1
    assert "database not found" in busy.trouble


def test_kafka_refuses_what_is_too_large_and_keeps_the_rest(kafka_backend):
    """The client knows the limit of a message."""
    kafka_backend.empty()
    sink = opened("backend", kafka_backend.url)[0]
    sink.open()
    with pytest.raises(RejectedError):
        sink.write([Record("k", "t", "s", 0.0, b"x" * 2_000_000)])
    sink.write([record(1)])
    sink.close()

    assert kafka_backend.keys() == [record(1).key]


def test_victoria_metrics_takes_the_same_lines(victoria_backend):
    """It keeps the numbers, by thing."""
    busy = worker("backend", victoria_backend.url)
    busy.start()
    now_s = time.time()
    for number in range(100):
        payload = b'{"v": %d, "text": "x"}' % number
        busy.offer(Record(f"k{number}", "t", f"s-{number % 5}", now_s - 100 + number, payload))

    assert busy.stop(20) == 0
    found = victoria_backend.values("windtunnel_v")
    assert {thing: sorted(values) for thing, values in found.items()} == {
        f"s-{thing}": list(range(thing, 100, 5)) for thing in range(5)
    }
