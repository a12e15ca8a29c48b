"""The Payload of Sparkplug B: our bytes read by Eclipse Tahu's library, its bytes by us, and nonsense."""

import base64
import contextlib
import json
import math
import shutil
import struct
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin.mqtt.sparkplug import Datatype, Metric, Payload, SparkplugError, decode, encode

PACKAGES = Path(__file__).parents[2] / ".venv" / "node"
INSTALL = "npm install --prefix .venv/node --ignore-scripts sparkplug-payload@1.0.3"
TAHU = """
const { encodePayload, decodePayload } = require("sparkplug-payload").get("spBv1.0");
const plain = (_, value) => value && value.low !== undefined ? value.toString()
  : value && value.type === "Buffer" ? value.data : typeof value === "bigint" ? value.toString() : value;
const read = each => decodePayload(Buffer.from(each, "base64"));
let all = "";
process.stdin.on("data", each => all += each).on("end", () => {
  const asked = JSON.parse(all);
  console.log(JSON.stringify({
    decoded: asked.decode.map(each => JSON.parse(JSON.stringify(read(each), plain))),
    encoded: asked.encode.map(each => Buffer.from(encodePayload(each)).toString("base64")),
  }));
});
"""


def tahu(decode=(), encode=()):
    """What the library of Eclipse Tahu makes of it."""
    node = shutil.which("node")
    if node is None or not (PACKAGES / "node_modules" / "sparkplug-payload").is_dir():
        pytest.fail(f"Eclipse Tahu's library is not here; get it with: {INSTALL}", pytrace=False)
    asked = {"decode": [base64.b64encode(each).decode() for each in decode], "encode": list(encode)}
    done = subprocess.run(
        [node, "-e", TAHU], cwd=PACKAGES, input=json.dumps(asked), capture_output=True, text=True, timeout=30,
        check=True,
    )  # fmt: skip
    found = json.loads(done.stdout)
    return found["decoded"], [base64.b64decode(each) for each in found["encoded"]]


BY_TYPE = {
    Datatype.INT8: [-128, 0, 127],
    Datatype.INT16: [-32768, 32767],
    Datatype.INT32: [-(2**31), -1, 2**31 - 1],
    Datatype.INT64: [-(2**63), -1, 2**63 - 1],
    Datatype.UINT8: [0, 255],
    Datatype.UINT16: [65535],
    Datatype.UINT32: [2**32 - 1],
    Datatype.UINT64: [2**64 - 1],
    Datatype.FLOAT: [0.5, -1.25],
    Datatype.DOUBLE: [0.1, -1e300],
    Datatype.BOOLEAN: [True, False],
    Datatype.STRING: ["", "ä€𝄞", "x" * 300],
    Datatype.DATETIME: [1_700_000_000_000],
    Datatype.TEXT: ["t"],
    Datatype.UUID: ["6ba7b810-9dad-11d1-80b4-00c04fd430c8"],
    Datatype.BYTES: [b"", b"\x00\xff"],
}
METRICS = tuple(
    Metric(f"{kind.name}/{index}", value, kind, alias=100 * kind + index, timestamp_ms=1_700_000_000_001)
    for kind, values in BY_TYPE.items()
    for index, value in enumerate(values)
)


def test_the_library_of_eclipse_tahu_reads_what_we_write():
    """Every type, its limits, aliases, null, times and seq."""
    payload = Payload(1_700_000_000_000, (*METRICS, Metric("none", None, Datatype.STRING)), seq=255)
    (found,), _ = tahu(decode=[encode(payload)])

    assert (int(found["timestamp"]), int(found["seq"])) == (1_700_000_000_000, 255)
    assert len(found["metrics"]) == len(METRICS) + 1
    for ours, theirs in zip(METRICS, found["metrics"]):
        assert theirs["name"] == ours.name
        assert theirs["type"].upper() == ours.datatype.name
        assert int(theirs["alias"]) == ours.alias
        assert int(theirs["timestamp"]) == ours.timestamp_ms
        value = theirs["value"]
        if ours.datatype in (Datatype.INT8, Datatype.INT16, Datatype.INT32, Datatype.INT64):
            bits = {Datatype.INT64: 64}.get(ours.datatype, 32)  # as field 10 and 11 have them: unsigned
            size = 2**bits
            assert int(value) % size == ours.value % size, ours
        elif ours.datatype is Datatype.BYTES:
            assert bytes(value if isinstance(value, list) else value.values()) == ours.value
        elif isinstance(ours.value, int) and not isinstance(ours.value, bool):
            assert int(value) == ours.value
        else:
            assert value == ours.value
    assert found["metrics"][-1].get("value") is None


def test_we_read_what_the_library_of_eclipse_tahu_writes():
    """With its negative numbers and its properties, which we skip."""
    metrics = [
        {"name": "i", "type": "Int32", "value": -7},
        {"name": "l", "type": "Int64", "value": 12345678901},
        {"name": "d", "type": "Double", "value": 0.1, "alias": 7, "timestamp": 1_700_000_000_001},
        {"name": "b", "type": "Boolean", "value": False},
        {
            "name": "s",
            "type": "String",
            "value": "ä",
            "properties": {"unit": {"type": "String", "value": "m"}},
        },
        {"name": "n", "type": "String", "value": None, "isNull": True},
    ]
    _, (data,) = tahu(encode=[{"timestamp": 1_700_000_000_000, "seq": 3, "metrics": metrics}])
    found = decode(data)

    assert (found.timestamp_ms, found.seq) == (1_700_000_000_000, 3)
    assert [(each.name, each.value) for each in found.metrics] == [
        ("i", -7), ("l", 12345678901), ("d", 0.1), ("b", False), ("s", "ä"), ("n", None),
    ]  # fmt: skip
    assert (found.metrics[2].alias, found.metrics[2].timestamp_ms) == (7, 1_700_000_000_001)


def values():
    numbers = [
        st.tuples(st.just(kind), st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1))
        for kind, bits in (
            (Datatype.INT8, 8),
            (Datatype.INT16, 16),
            (Datatype.INT32, 32),
            (Datatype.INT64, 64),
        )
    ]
    numbers += [
        st.tuples(st.just(kind), st.integers(0, 2**bits - 1))
        for kind, bits in ((Datatype.UINT8, 8), (Datatype.UINT32, 32), (Datatype.UINT64, 64))
    ]
    others = [
        st.tuples(st.just(Datatype.DOUBLE), st.floats(allow_nan=False)),
        st.tuples(st.just(Datatype.FLOAT), st.floats(width=32, allow_nan=False)),
        st.tuples(st.just(Datatype.BOOLEAN), st.booleans()),
        st.tuples(st.just(Datatype.STRING), st.text()),
        st.tuples(st.just(Datatype.BYTES), st.binary()),
        st.tuples(st.sampled_from(Datatype), st.none()),
    ]
    return st.one_of(*numbers, *others)


@given(
    st.lists(st.tuples(st.text(), values(), st.none() | st.integers(0, 2**64 - 1))),
    st.none() | st.integers(0, 255),
)
def test_what_is_written_is_read(given_metrics, seq):
    """Every type over its whole range."""
    metrics = tuple(Metric(name, value, kind, alias) for name, (kind, value), alias in given_metrics)

    assert decode(encode(Payload(5, metrics, seq))) == Payload(5, metrics, seq)


@given(st.binary(max_size=200))
def test_nonsense_is_refused_or_read(data):
    """Nothing but SparkplugError."""
    with contextlib.suppress(SparkplugError):
        decode(data)


def test_not_a_number_is_kept():
    """A double may be one."""
    (metric,) = decode(encode(Payload(0, (Metric("x", math.nan, Datatype.DOUBLE),)))).metrics

    assert math.isnan(metric.value)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (Datatype.INT8, 128),
        (Datatype.UINT8, -1),
        (Datatype.INT64, 2**63),
        (Datatype.INT32, 0.5),
        (Datatype.FLOAT, 1e300),
        (Datatype.DOUBLE, "x"),
        (Datatype.STRING, 7),
    ],
)
def test_a_value_that_its_type_cannot_hold_is_refused(kind, value):
    """With the value and the type."""
    with pytest.raises(SparkplugError, match=kind.name):
        encode(Payload(0, (Metric("x", value, kind),)))


@pytest.mark.parametrize(
    "data",
    [
        b"\x08",
        b"\x08" + b"\xff" * 11,
        b"\x12\x05ab",
        b"\x0b",
        b"\x12\x03\x0a\x01\xff",
        struct.pack("B", 0x0D),
    ],
)
def test_what_is_cut_or_twisted_is_refused(data):
    """A number without end, one too long, a field cut, an old group, a text that is none."""
    with pytest.raises(SparkplugError):
        decode(data)
