"""The faults of a timeline: what each acts on, the figures it takes, what happens, and one line of YAML."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, NamedTuple

from scenarios.format.schema import TimelineEntry


class FaultForm(NamedTuple):
    """One fault. `figures` maps each key that it takes to the name the fault itself has for it; one of
    `needs` must be there. The example stands in the scenario of the documentation.
    """

    acts_on: Literal["links", "nodes", "groups", "world"]
    figures: Mapping[str, str]
    needs: tuple[str, ...]
    meaning: str
    example: str


def _same(*keys: str) -> dict[str, str]:
    """Figures that the fault calls as the schema does."""
    return {key: ATTRIBUTES[key] for key in keys}


ATTRIBUTES: Final = {field.alias or name: name for name, field in TimelineEntry.model_fields.items()}
"""The attribute of each key of a timeline entry."""

CHANCE: Final = _same("share", "correlation")

FAULT_FORMS: Final[dict[str, FaultForm]] = {
    # places and links
    "partition": FaultForm(
        "groups",
        {},
        (),
        "Links between groups become black holes that no node sees: two places (`between`), one against the"
        " rest (`node`, `site`, `select`), or a `shape`: halves, bridge, majorities_ring, minority_third.",
        "{at: 60 s, for: 30 s, fault: partition, between: [site, cloud]}",
    ),
    "region_outage": FaultForm(
        "nodes",
        {},
        (),
        "Nothing in the place reaches anything, inside or outside; its nodes run on and notice by silence.",
        "{at: 60 s, for: 30 s, fault: region_outage, site: cloud}",
    ),
    "down": FaultForm(
        "links",
        {},
        (),
        "Links are down; the nodes at both ends notice at once, and paths lead around where there are any.",
        "{at: 60 s, for: 30 s, fault: down, link: uplink}",
    ),
    "hold": FaultForm(
        "links",
        {},
        (),
        "Links keep what enters them and release it, in order, at the end.",
        "{at: 60 s, for: 30 s, fault: hold, link: uplink}",
    ),
    "route_change": FaultForm(
        "links",
        {"round_trip": "round_trip_s", "event": "event", "factor": "ratio"},
        ("round_trip", "event", "factor"),
        "Wide area links take another route: a round trip, a multiple of theirs, or a recorded cable event.",
        "{at: 60 s, for: 30 s, fault: route_change, link: uplink, factor: 1.3}",
    ),
    # delay and loss
    "surge": FaultForm(
        "links",
        {
            "factor": "factor",
            "delay": "add_s",
            "deviation": "deviation_s",
            "distribution": "distribution",
            "correlation": "correlation",
        },
        ("factor", "delay"),
        "Delays are multiplied and grow; what is added may vary, correlated from one message to the next.",
        "{at: 60 s, for: 30 s, fault: surge, link: uplink, delay: 2 s, deviation: 40 ms, correlation: 25 %}",
    ),
    "burst": FaultForm(
        "links",
        {"loss": "loss_ratio", "correlation": "correlation", "gemodel": "gemodel", "state": "state"},
        ("loss", "gemodel", "state"),
        "Messages are lost: a share, alone or correlated, or in bursts by a chain of two or four states.",
        "{at: 60 s, for: 30 s, fault: burst, link: meters, gemodel: [10 %, 30 %, 90 %, 1 %]}",
    ),
    "duplicate": FaultForm(
        "links",
        CHANCE,
        ("share",),
        "A share of the messages comes twice; over TCP, and in a radio medium, the copy is dropped.",
        "{at: 60 s, for: 30 s, fault: duplicate, link: poles, share: 50 %}",
    ),
    "corrupt": FaultForm(
        "links",
        CHANCE,
        ("share",),
        "A share of the messages has a bit error that the checksum finds: lost, counted for this cause.",
        "{at: 60 s, for: 30 s, fault: corrupt, link: meters, share: 50 %}",
    ),
    "reorder": FaultForm(
        "links",
        {**CHANCE, "delay": "delay_s", "gap": "gap"},
        ("share",),
        "Messages take `delay` longer, but for a share that overtakes the others; TCP puts them in order.",
        "{at: 60 s, for: 30 s, fault: reorder, link: meters, share: 25 %, delay: 15 s, gap: 2}",
    ),
    "rate": FaultForm(
        "links",
        {"rate": "rate_bps"},
        ("rate",),
        "A bottleneck of this rate, with a queue of 1 MB, stands before the link.",
        "{at: 60 s, for: 30 s, fault: rate, link: uplink, rate: 2 kbit/s}",
    ),
    "congestion": FaultForm(
        "links",
        {"load": "load", "rate": "rate_bps"},
        ("load",),
        "Other traffic takes a share of the link's rate: packets of 1,500 bytes in the same queue.",
        "{at: 60 s, for: 30 s, fault: congestion, link: uplink, load: 90 %, rate: 1 Mbit/s}",
    ),
    "netem": FaultForm(
        "links",
        {"netem": "netem", "netem_compat": "is_compatible"},
        ("netem",),
        "What the words of Linux netem ask for, done right; `netem_compat: true` does what Linux does.",
        '{at: 60 s, for: 30 s, fault: netem, link: uplink, netem: "delay 2s 20ms loss 5% 25%"}',
    ),
    # connections
    "conn_reset": FaultForm(
        "links",
        {},
        (),
        "TCP connections over the links end, both ends know at once; what is under way is lost.",
        "{at: 60 s, fault: conn_reset, link: uplink}",
    ),
    "conn_stall": FaultForm(
        "links",
        {},
        (),
        "Connections stay open and nothing moves; at the end they are closed.",
        "{at: 60 s, for: 30 s, fault: conn_stall, link: uplink}",
    ),
    "slow_close": FaultForm(
        "links",
        {"delay": "late_s"},
        ("delay",),
        "Connections end; the first end of the link knows at once, the second `delay` later.",
        "{at: 60 s, fault: slow_close, link: uplink, delay: 20 s}",
    ),
    "limit_data": FaultForm(
        "links",
        {"limit": "limit_bytes"},
        ("limit",),
        "A connection is reset whenever so many bytes have crossed the link.",
        "{at: 60 s, for: 60 s, fault: limit_data, link: uplink, limit: 2 kB}",
    ),
    "dns_error": FaultForm(
        "nodes",
        {},
        (),
        "The node's name does not resolve: no new connections to it; those that are open go on.",
        "{at: 60 s, for: 60 s, fault: dns_error, node: broker}",
    ),
    "certificate_expiry": FaultForm(
        "nodes",
        {},
        (),
        "The node's certificate has expired: new TLS connections to it fail; those that are open go on.",
        "{at: 60 s, for: 60 s, fault: certificate_expiry, node: broker}",
    ),
    # radios
    "handover": FaultForm(
        "links",
        {},
        (),
        "The radio changes its cell: what enters the link meanwhile is lost (30 to 150 ms are usual).",
        "{at: 60 s, for: 150 ms, every: 1 s, until: 120 s, jitter: 500 ms, fault: handover, link: meters}",
    ),
    "fade": FaultForm(
        "links",
        {"bad": "bad_s", "good": "good_s", "loss": "loss_ratio"},
        (),
        "The radio fades again and again, for exponential times of mean `bad` (2 s), `good` (8 s) apart.",
        "{at: 60 s, for: 60 s, fault: fade, link: meters, bad: 5 s, good: 10 s}",
    ),
    "duty_cycle": FaultForm(
        "links",
        {"share": "share", "rate": "rate_bps"},
        ("share",),
        "Senders may be on the air for this share of the time; what comes during the silence is refused.",
        "{at: 60 s, for: 60 s, fault: duty_cycle, link: meters, share: 0.01 %, rate: 250 kbit/s}",
    ),
    "data_cap": FaultForm(
        "links",
        {"limit": "limit_bytes"},
        ("limit",),
        "The link carries so many bytes more, then nothing until the end: a used-up SIM contract.",
        "{at: 60 s, for: 60 s, fault: data_cap, link: meters, limit: 50 B}",
    ),
    # nodes
    "crash": FaultForm(
        "nodes",
        {},
        (),
        "The node stops and loses its memory; with `for` it restarts afterwards.",
        "{at: 60 s, for: 10 s, fault: crash, node: broker}",
    ),
    "restart": FaultForm(
        "nodes",
        {},
        (),
        "The node stops and starts again at once, its memory lost.",
        "{at: 60 s, fault: restart, node: gateway}",
    ),
    "pause": FaultForm(
        "nodes",
        {},
        (),
        "The node's process stands still; what comes, and its timers, wait, and nothing is forgotten.",
        "{at: 60 s, for: 20 s, fault: pause, node: gateway}",
    ),
    "power_cut": FaultForm(
        "nodes",
        {"spread": "spread_s"},
        (),
        "All the nodes go dark; then all restart, at random times within `spread`, and connect at once.",
        "{at: 60 s, for: 30 s, fault: power_cut, site: site, spread: 2 s}",
    ),
    "clock_skew": FaultForm(
        "nodes",
        {"skew": "skew_s"},
        ("skew",),
        "The node's clock is ahead (or behind); clock faults that overlap add up.",
        "{at: 60 s, for: 30 s, fault: clock_skew, node: gateway, skew: -3 s}",
    ),
    "clock_strobe": FaultForm(
        "nodes",
        {"skew": "skew_s", "period": "period_s"},
        ("skew",),
        "The node's clock jumps ahead by `skew` and back again, every `period` (1 s).",
        "{at: 60 s, for: 30 s, fault: clock_strobe, node: gateway, skew: 5 s, period: 2 s}",
    ),
    "http_error": FaultForm(
        "nodes",
        {"share": "share", "status": "status"},
        ("share",),
        "An application answers a share of its requests with an error (`status`, 503).",
        "{at: 60 s, for: 60 s, fault: http_error, node: app, share: 50 %, status: 500}",
    ),
    # the world
    "fire": FaultForm(
        "world",
        {"bay": "bay"},
        ("bay",),
        "The car in a bay catches fire, by the figures of `world.fire` or the usual ones. A building has one"
        " fire, and nothing puts it out.",
        "{at: 60 s, fault: fire, bay: L2-B016}",
    ),
}
"""Every fault by its name in a timeline."""

OF_WORLD: Final = frozenset(name for name, form in FAULT_FORMS.items() if form.acts_on == "world")
"""Faults of the physical world."""

FAULT_PARAMETERS: Final = {name: frozenset(form.figures) for name, form in FAULT_FORMS.items()}
"""The figures each fault may be given."""

FAULT_NEEDS: Final = {name: form.needs for name, form in FAULT_FORMS.items()}
"""The figures of which each fault must be given one."""
