"""Checks of the will: what a broker says for a client that went without a word."""

from __future__ import annotations

import time

from twin.live.conformance.bench import Bench, check, need
from twin.live.conformance.client import Client
from twin.mqtt.packets import DISCONNECT_WITH_WILL, Will

KEEP_ALIVE_S = 2


def _with_will(
    bench: Bench, *, is_retained: bool = False, keep_alive_s: float = 60.0, delay_s: int = 0
) -> tuple[Client, Client]:
    """Who watches, and who has a will."""
    topic = bench.retained_topic() if is_retained else bench.topic()
    watcher, client = bench.watcher(bench.topic()), bench.lasting() if delay_s else bench.client()
    will = Will(topic, b"gone", 1, is_retained, delay_s)
    client.connect(will=will, keep_alive_s=keep_alive_s, is_clean=not delay_s)
    return watcher, client


@check("will", "3.1.2.5", is_quick=True)
def will(bench: Bench) -> None:
    """When a connection breaks, the client's will is published."""
    watcher, client = _with_will(bench)
    client.cut()
    [message] = watcher.messages(1)
    need(message.payload == b"gone", f"what comes is {message.payload!r}")


@check("will-retained", "3.1.2.7", is_quick=True)
def will_retained(bench: Bench) -> None:
    """A will may be retained."""
    watcher, client = _with_will(bench, is_retained=True)
    client.cut()
    watcher.messages(1)
    [message] = bench.watcher(bench.topic(), "later").messages(1)
    need(message.retain, "it is not marked as retained")


@check("will-not-said", "3.14.4", is_quick=True)
def will_not_said(bench: Bench) -> None:
    """Who leaves with DISCONNECT takes the will along."""
    watcher, client = _with_will(bench)
    client.disconnect()
    need(watcher.is_quiet(0.8), "the will is published")


@check("will-keep-alive", "3.1.2.10")
def will_keep_alive(bench: Bench) -> str:
    """The will of a client that falls silent is published after one and a half times its keep-alive."""
    watcher, client = _with_will(bench, keep_alive_s=KEEP_ALIVE_S)
    begin_s = time.monotonic()
    watcher.messages(1, within_s=8.0)
    after_s = time.monotonic() - begin_s
    client.cut()
    need(after_s > KEEP_ALIVE_S, f"it is published after {after_s:.1f} s of a keep-alive of {KEEP_ALIVE_S} s")
    return f"after {after_s:.1f} s of {KEEP_ALIVE_S} s"


@check("will-delay", "3.1.3.2.2", versions=("5",))
def will_delay(bench: Bench) -> str:
    """A will with a delay of a second is published a second after the connection broke."""
    watcher, client = _with_will(bench, delay_s=1)
    client.cut()
    need(watcher.is_quiet(0.7), "it is published at once")
    begin_s = time.monotonic()
    watcher.messages(1)
    return f"after {time.monotonic() - begin_s + 0.7:.1f} s of 1 s"


@check("will-delay-back", "3.1.3.2.2", versions=("5",))
def will_delay_back(bench: Bench) -> None:
    """Who comes back before the delay is over has no will published."""
    watcher, client = _with_will(bench, delay_s=2)
    client.cut()
    client.connect(is_clean=False)
    need(watcher.is_quiet(3.0), "it is published though the client is back")


@check("will-asked-for", "3.14.2.1", versions=("5",), is_quick=True)
def will_asked_for(bench: Bench) -> None:
    """Who leaves with reason 0x04 has the will published."""
    watcher, client = _with_will(bench)
    client.disconnect(DISCONNECT_WITH_WILL)
    watcher.messages(1)
