"""What one link or path does to a message: `windtunnel link show`.

The delays are measured: messages run one by one, far apart, through the link as a simulation would build it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any, Final

import msgspec

from devices_models.power import Currents, Usage, energy_j
from network.carrier import Network
from network.catalogue import LinkFigures, aliases, given_stages, link_figures, presets, technologies
from network.link import Link
from network.media.cells import Cells, most_payload_bytes
from network.media.radio import activity, has_battery_figures, radio
from network.naming import unknown
from network.stages.loss import Loss
from network.topology import Topology
from network.transport import Tcp
from network.wan import metros_of
from twin.errors import InputError
from twin.kernel.behaviour import Context, Effect, Event, Received, Send, Wake
from twin.kernel.kernel import Kernel, NodeSpec
from twin.kernel.randomness import Streams
from twin.message import Message
from twin.units import format_quantity

SAMPLES: Final = 2_000
SPACING_S: Final = 700.0
"""Between two messages: longer than any duty cycle or daily allowance of a radio makes one wait."""
TOPIC: Final = "smoke_detector/smoke-001/telemetry"
VOLTAGE_V: Final = 3.0
WAN: Final = "wan:"
BINS: Final = 14
BAR: Final = 40
SVG_TEXT: Final = 'font-family="sans-serif" font-size="13" fill="#1b1f24"'
LARGEST_PAYLOAD_BYTES: Final = 10_000_000


class Row(msgspec.Struct, frozen=True):
    """One figure with what it rests on."""

    what: str
    value: str
    kind: str
    source: str


class View(msgspec.Struct, frozen=True):
    """What a link does: figures with their sources, delays of the messages that came (seconds, sorted)."""

    name: str
    payload_bytes: int
    rows: list[Row]
    quantiles_s: dict[str, float]
    lost_count: int
    sent_count: int
    handshake: list[Row]
    delays_s: list[float]


@dataclass(frozen=True, slots=True)
class Question:
    """Which link, and what is changed about it."""

    name: str
    payload_bytes: int = 100
    hops: int = 1
    tls: str | None = None
    access: str | None = None
    round_trip_s: float | None = None
    loss_ratio: float | None = None
    rate_bps: float | None = None
    seed: int = 1


def view(question: Question) -> View:
    """Build the link, measure it, and say what its figures rest on.

    Raise InputError for an unknown name, an impossible round trip, and a payload that is too large.
    """
    if not 0 <= question.payload_bytes <= LARGEST_PAYLOAD_BYTES:
        raise InputError(f"a payload has 0 to {LARGEST_PAYLOAD_BYTES:,} bytes")
    streams = Streams(question.seed)
    link, rows = _built(question, streams)
    _override(link, question, rows, streams)
    rows.append(_loss(link, question))
    delays_s = _measured(link, question, streams)
    rows += _air_and_energy(link, question)
    return View(
        question.name,
        question.payload_bytes,
        rows,
        {f"p{share}": _quantile(delays_s, share / 100) for share in (50, 95, 99)} if delays_s else {},
        SAMPLES - len(delays_s),
        SAMPLES,
        _handshake(question, delays_s),
        delays_s,
    )


# building --------------------------------------------------------------------------------------------------


def _built(question: Question, streams: Streams) -> tuple[Link, list[Row]]:
    if question.name.startswith(WAN):
        return _wide_area(question, streams)
    if question.round_trip_s is not None or question.access is not None:
        raise InputError("'--round-trip' and '--access' belong to wide area links: wan:CITY-CITY")
    if question.name in presets():
        return _preset(question, streams)
    if question.name not in technologies() and question.name not in aliases():
        raise unknown(
            "link", question.name, [*technologies(), *aliases(), *presets(), "wan:singapore-ashburn"]
        )
    return _technology(question, streams)


def _wide_area(question: Question, streams: Streams) -> tuple[Link, list[Row]]:
    if question.hops != 1:
        raise InputError("'--hops' belongs to radio meshes, not to wide area links")
    one, other = metros_of(question.name.removeprefix(WAN))
    link = Link.wan(
        one,
        other,
        streams,
        source="a",
        to="b",
        name=question.name,
        access=question.access,
        round_trip_s=question.round_trip_s,
    )
    figure = link.wide_area.figure if link.wide_area else None
    rows = []
    if figure is not None:
        rows.append(Row("round trip", format_quantity("time", figure.rtt_s), figure.kind, figure.source))
        if figure.low_s != figure.high_s:
            low, high = (format_quantity("time", each) for each in (figure.low_s, figure.high_s))
            rows.append(Row("published range", f"{low} to {high}", figure.kind, figure.source))
    rows.append(Row("jitter", "p99 = 1.25 x p50", "default", "lognormal above a floor of 98.5 %"))
    if question.access is not None:
        rows += _figures(link_figures(question.access), "access ")
    wire_bytes = Tcp(tls=_tls(question)).framing(_message(question, qos=1))
    rows.append(
        Row(
            "bytes on the wire",
            f"{wire_bytes} B for {question.payload_bytes} B",
            "derived",
            f"MQTT 3.1.1 publish with QoS 1 on a topic of {len(TOPIC)} B, TLS records, TCP and IPv4 headers",
        )
    )
    return link, rows


def _technology(question: Question, streams: Streams) -> tuple[Link, list[Row]]:
    figures = link_figures(question.name)
    most = most_payload_bytes(question.name)
    if most is not None and question.payload_bytes > most:
        raise InputError(
            f"a payload of {question.payload_bytes} B is too large for {figures.name}:"
            f" it carries at most {most} B"
        )
    link = Link.access(question.name, "a", "b", question.name, streams, hops=question.hops)
    Cells(streams).join(link, question.name, hops=question.hops)
    return link, _figures(figures)


def _figures(figures: LinkFigures, prefix: str = "") -> list[Row]:
    p50, p99 = (format_quantity("time", value) for value in (figures.p50_s, figures.p99_s))
    up, down = (format_quantity("rate", value) for value in (figures.up_bps, figures.down_bps))
    return [
        Row(f"{prefix}one hop, p50", p50, figures.kind, figures.basis),
        Row(f"{prefix}one hop, p99", p99, _kind(figures, "p99"), figures.basis),
        Row(f"{prefix}rate", f"up {up}, down {down}", _kind(figures, "rate"), figures.basis),
        Row(f"{prefix}frame", f"{figures.mtu_bytes} B at most", "published", "the technology's standard"),
    ]


def _kind(figures: LinkFigures, word: str) -> str:
    """A figure that the catalogue's sources call a default, or do not mention where they should, is one."""
    clauses = [clause for clause in figures.basis.split(";") if word in clause]
    is_default = any("default" in clause for clause in clauses) or (word == "rate" and not clauses)
    return "default" if is_default else figures.kind


def _preset(question: Question, streams: Streams) -> tuple[Link, list[Row]]:
    row = presets()[question.name]
    delay_s, rate_bps = float(row["delay_up_ms"]) / 1e3, float(row["up_bps"])
    loss_ratio = float(row["loss_pct_each_way"]) / 100
    stages = given_stages(
        question.name, streams, delay_s=delay_s, loss_ratio=loss_ratio, rate_bps=rate_bps or None
    )
    rows = [
        Row("one way", format_quantity("time", delay_s), "published", row["source"]),
        Row("rate", format_quantity("rate", rate_bps), "published", row["source"]),
    ]
    return Link(question.name, "a", "b", stages), rows


def _override(link: Link, question: Question, rows: list[Row], streams: Streams) -> None:
    if question.loss_ratio is not None:
        kept = tuple(stage for stage in link.stages if not hasattr(stage, "loss_ratio"))
        link.stages = (*kept, Loss(question.loss_ratio, streams.stream(link.name, "asked loss")))
    if question.rate_bps is not None:
        from network.stages.rate import Rate

        link.stages = (Rate(question.rate_bps), *link.stages)
        rows.append(Row("bottleneck", format_quantity("rate", question.rate_bps), "given", "asked for"))


def _loss(link: Link, question: Question) -> Row:
    kept = math.prod(1 - float(getattr(stage, "loss_ratio", 0.0)) for stage in link.stages)
    source = "beside collisions and full queues; " + (link.provenance or "preset")
    if question.loss_ratio is not None:
        return Row("mean loss", f"{1 - kept:.3%}", "given", "asked for")
    if question.name in technologies() or question.name in aliases():
        return Row("mean loss", f"{1 - kept:.3%}", _kind(link_figures(question.name), "loss"), source)
    kind = "published" if question.name in presets() else "default"
    return Row("mean loss", f"{1 - kept:.3%}", kind, source)


# measuring -------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Sender:
    """Sends so many messages, far apart."""

    message: Message
    left_count: int = SAMPLES

    def react(self, event: Event, context: Context) -> Iterable[Effect]:
        del event, context
        if not self.left_count:
            return ()
        self.left_count -= 1
        return (Send("b", self.message), Wake(SPACING_S, "next"))


@dataclass(slots=True)
class _Receiver:
    """Keeps how long messages took."""

    delays_s: list[float] = field(default_factory=list)

    def react(self, event: Event, context: Context) -> Iterable[Effect]:
        if isinstance(event, Received):
            self.delays_s.append(context.now - event.sent_s)
        return ()


def _measured(link: Link, question: Question, streams: Streams) -> list[float]:
    """Delays of the messages that came, sorted (seconds)."""
    topology = Topology()
    topology.add_link(link)
    receiver = _Receiver()
    message = Message(TOPIC, bytes(question.payload_bytes))
    nodes = {"a": NodeSpec(lambda: _Sender(message)), "b": NodeSpec(lambda: receiver)}
    kernel = Kernel(nodes, Network(topology), streams)
    kernel.run((SAMPLES + 1) * SPACING_S)
    return sorted(receiver.delays_s)


def _air_and_energy(link: Link, question: Question) -> list[Row]:
    """Seconds on the air and energy of one message, for radios that a battery may feed."""
    if question.name.startswith(WAN) or question.name in presets() or not has_battery_figures(question.name):
        return []
    idle = Link.access("idle", "b", "a", question.name, Streams(question.seed), is_down=True)
    busy = activity(question.name, link, idle, question.hops)
    used = Usage(busy.tx_s + busy.rx_s, busy.tx_s, busy.rx_s)
    its = radio(question.name)
    joules = energy_j(Currents(its.tx_a, its.rx_a, its.sleep_a), used, VOLTAGE_V) / SAMPLES
    on_air = format_quantity("time", busy.tx_s / SAMPLES)
    return [
        Row("air time", on_air, "derived", "mean of the messages sent, of the first hop"),
        Row("energy", f"{joules * 1e3:.3g} mJ at 3 V", its.kind, its.source),
    ]


def _handshake(question: Question, delays_s: Sequence[float]) -> list[Row]:
    """When each trip of a cold start ends, at the median delay both ways."""
    if not question.name.startswith(WAN) or not delays_s:
        return []
    one_way_s = _quantile(delays_s, 0.5)
    tls = _tls(question)
    names = ["SYN", "SYN-ACK"]
    names += [f"TLS {tls} {'client' if n % 2 == 0 else 'server'}" for n in range(len(_trips(tls)) - 2)]
    names += ["CONNECT", "CONNACK", "first PUBLISH at the broker"]
    sizes = [*_trips(tls), *([0] * 3)]
    return [
        Row(name, format_quantity("time", (number + 1) * one_way_s), "derived", f"{size} B" if size else "")
        for number, (name, size) in enumerate(zip(names, sizes))
    ]


def _trips(tls: Any) -> tuple[int, ...]:
    return Tcp(tls=tls).handshake_bytes


def _tls(question: Question) -> Any:
    return None if question.tls in {None, "none"} else question.tls


def _message(question: Question, qos: int) -> Message:
    return Message(TOPIC, bytes(question.payload_bytes), qos=qos, packet_id=1 if qos else 0)


def _quantile(sorted_s: Sequence[float], share: float) -> float:
    return sorted_s[min(int(share * len(sorted_s)), len(sorted_s) - 1)]


# showing ---------------------------------------------------------------------------------------------------


def as_text(seen: View) -> str:
    """A histogram and tables for a terminal."""
    lines = [f"link {seen.name}, one message of {seen.payload_bytes} B at a time", ""]
    lines += [f"  {low:>9} |{'#' * width:{BAR}}| {count}" for low, width, count in _histogram(seen.delays_s)]
    quantiles = ", ".join(f"{name} {format_quantity('time', s)}" for name, s in seen.quantiles_s.items())
    lines += ["", f"one way: {quantiles or 'nothing came'}"]
    lines += [f"lost: {seen.lost_count} of {seen.sent_count}", ""]
    lines += [f"  {row.what:20} {row.value:32} {row.kind:10} {row.source}" for row in seen.rows]
    if seen.handshake:
        lines += ["", "a cold start, at the median delay:"]
        lines += [f"  {row.value:>9}  {row.what:30} {row.source}" for row in seen.handshake]
    return "\n".join(line.rstrip() for line in lines)


def as_json(seen: View) -> str:
    """Everything, for other programs."""
    return msgspec.json.encode(seen).decode()


def _histogram(delays_s: Sequence[float]) -> list[tuple[str, int, int]]:
    """(lower bound as text, width of the bar, count) of each bin; what lies above p99.5 is in the last.

    Delays that read the same, from the least to p99.5, are one bar.
    """
    if not delays_s:
        return []
    low_s, high_s = delays_s[0], _quantile(delays_s, 0.995)
    step_s = (high_s - low_s) / BINS or 1e-9
    counts = [0] * BINS
    for delay_s in delays_s:
        counts[min(int((delay_s - low_s) / step_s), BINS - 1)] += 1
    if format_quantity("time", low_s) == format_quantity("time", high_s):
        counts = [len(delays_s)]
    most = max(counts)
    return [
        (format_quantity("time", low_s + number * step_s), round(BAR * count / most), count)
        for number, count in enumerate(counts)
    ]


def as_svg(seen: View) -> str:
    """The histogram and the figures as a picture that needs nothing else."""
    bins = _histogram(seen.delays_s)
    texts = [f"{row.what}: {row.value} ({row.kind})" for row in seen.rows]
    quantiles = ", ".join(f"{name} {format_quantity('time', s)}" for name, s in seen.quantiles_s.items())
    title = f"{seen.name}, {seen.payload_bytes} B: one way {quantiles or 'nothing came'}"
    height = 60 + 20 * len(bins) + 20 * len(texts)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 720 {height}" role="img" {SVG_TEXT}>',
        f"<title>{escape(title)}</title>",
        f'<rect width="720" height="{height}" fill="#ffffff"/>',
        f'<text x="16" y="26" font-size="15" font-weight="bold">{escape(title)}</text>',
    ]
    for number, (low, width, count) in enumerate(bins):
        y = 44 + 20 * number
        lines.append(f'<text x="104" y="{y + 13}" text-anchor="end">{escape(low)}</text>')
        lines.append(f'<rect x="112" y="{y}" width="{width * 13}" height="16" fill="#2f6f9f"/>')
        lines.append(f'<text x="{118 + width * 13}" y="{y + 13}">{count}</text>')
    for number, text in enumerate(texts):
        lines.append(f'<text x="16" y="{70 + 20 * len(bins) + 20 * number}">{escape(text)}</text>')
    return "\n".join([*lines, "</svg>"]) + "\n"
