"""`windtunnel proxy` puts a link between a client and a server; `windtunnel control` changes its faults."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from twin.errors import InputError
from windtunnel.cli import MET
from windtunnel.durations import lasting_s

if TYPE_CHECKING:
    from scenarios.proxying import ProxyPlan, ProxyRun

EXAMPLES: Final = """\
examples:
  windtunnel proxy --to 127.0.0.1:1883 --link wan:singapore-ashburn --access gpon
  windtunnel proxy --listen 127.0.0.1:18830 --to 127.0.0.1:1883 --link lte-m --loss "2 %"
  windtunnel proxy --to 127.0.0.1:1883 --link direct --round-trip "250 ms" \\
      --fault "{at: 10 s, for: 30 s, fault: partition}" --fault "{at: 60 s, fault: conn_reset}"
  windtunnel proxy --to 127.0.0.1:5683 --udp --link nb-iot --control link.sock
  windtunnel control link.sock begin "{fault: surge, factor: 3}"
  windtunnel control link.sock end surge

faults are those of a scenario's timeline: windtunnel explain partition
"""
ORDERS: Final = (
    *("begin", "end", "cut", "degrade", "heal", "kill", "restart", "fire"),
    *("speed", "pause", "resume", "status", "stop"),
)
FIGURES: Final = {
    "round_trip": "round_trip",
    "delay": "delay",
    "jitter": "jitter",
    "loss": "loss",
    "rate": "rate",
    "queue": "queue",
}


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The parsers of `proxy` and `control`."""
    proxy = commands.add_parser(
        "proxy",
        help="put a link with delay, loss and faults between your own client and server",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    proxy.add_argument("--to", required=True, metavar="HOST:PORT", help="the real server")
    proxy.add_argument(
        "--listen", default="127.0.0.1:0", metavar="HOST:PORT", help="for clients (default: a free port)"
    )
    proxy.add_argument(
        "--link", default="direct", metavar="NAME", help="a technology, or wan:singapore-ashburn"
    )
    proxy.add_argument("--access", metavar="NAME", help="first mile of a wide area link, for example gpon")
    proxy.add_argument("--round-trip", metavar="TIME", help="instead of the link's own, for example '250 ms'")
    proxy.add_argument("--delay", metavar="TIME", help="one way, instead of the link's own")
    proxy.add_argument("--jitter", metavar="TIME", help="p99 of the delay less its p50")
    proxy.add_argument("--loss", metavar="SHARE", help="instead of the link's own, for example '2 %%'")
    proxy.add_argument("--rate", metavar="RATE", help="of a bottleneck, for example '1 Mbit/s'")
    proxy.add_argument("--queue", metavar="SIZE", help="before the bottleneck, for example '64 kB'")
    proxy.add_argument(
        "--fault", action="append", default=[], metavar="ENTRY", help="a timeline entry (may be repeated)"
    )
    proxy.add_argument("--udp", action="store_true", help="datagrams instead of connections")
    proxy.add_argument("--seed", type=int, default=1, metavar="N", help="of all random draws (default 1)")
    proxy.add_argument("--for", dest="duration", metavar="TIME", help="stop by itself after this time")
    proxy.add_argument("--control", metavar="FILE", help="socket file for `windtunnel control`")
    proxy.add_argument("--json", action="store_true", help="print what was carried as JSON")
    control = commands.add_parser("control", help="change a watched run, a live run or a proxy while it runs")
    control.add_argument(
        "socket", metavar="RUN", help="the socket file given to --control, or a watched run ('latest')"
    )
    control.add_argument("action", choices=ORDERS)
    control.add_argument(
        "what", nargs="*", help="a link, node, bay or speed; for `begin` a timeline entry without `at`"
    )
    control.add_argument("--runs", default="runs", metavar="DIR", help="where runs are (default: runs)")


def proxy(options: argparse.Namespace) -> int:
    """Carry until Ctrl-C, `control stop` or the end of `--for`; then say what was carried."""
    from scenarios.control import Desk
    from scenarios.proxying import ProxyRun

    duration_s = lasting_s(options.duration)
    run = ProxyRun(_plan(options), tell)
    if duration_s is not None:
        run.proxy.call_at(duration_s, run.proxy.stop)
    desk = Desk(Path(options.control), run.proxy.call, _actions(run)) if options.control else None
    kept = {
        each: signal.signal(each, lambda *_: run.proxy.stop()) for each in (signal.SIGINT, signal.SIGTERM)
    }
    host, port = run.at
    print(f"{host}:{port} -> {options.to} over {options.link}; Ctrl-C ends it", file=sys.stderr, flush=True)
    try:
        run.proxy.run()
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)
        if desk is not None:
            desk.close()
    figures = run.figures()
    print(json.dumps(figures) if options.json else _shown(figures))
    return MET


def control(options: argparse.Namespace) -> int:
    """Send one order to a run or proxy and print its answer."""
    from scenarios.control import ask

    print(json.dumps(ask(_desk(options), options.action, " ".join(options.what)), indent=2))
    return MET


def _desk(options: argparse.Namespace) -> Path:
    """The socket file that is meant: itself, or that of a watched run by its folder or name."""
    path = Path(options.socket)
    if path.is_socket() or (path.suffix and not path.is_dir()):
        return path
    from scenarios.store import Store
    from scenarios.watching.desk import desk_of

    return desk_of(path if path.is_dir() else Store(Path(options.runs)).find(options.socket)[0])


def _actions(run: ProxyRun) -> dict[str, Any]:
    from scenarios.proxying import read_entry

    def begin(what: str) -> dict[str, Any]:
        return {"began": run.begin(read_entry(what))}

    def end(what: str) -> dict[str, Any]:
        run.end(what)
        return {"ended": what}

    def stop(_what: str) -> dict[str, Any]:
        run.proxy.stop()
        return run.figures()

    return {"begin": begin, "end": end, "status": lambda _what: run.figures(), "stop": stop}


def _plan(options: argparse.Namespace) -> ProxyPlan:
    from scenarios.proxying import ProxyPlan, link_of, read_entry

    link, metros = link_of(options.link)
    link |= {
        key: getattr(options, name) for key, name in FIGURES.items() if getattr(options, name) is not None
    }
    if options.access is not None:
        link["access"] = options.access
    return ProxyPlan(
        listen=_address(options.listen, "--listen", lowest=0),
        to=_address(options.to, "--to"),
        link=link,
        timeline=[read_entry(text) for text in options.fault],
        is_datagrams=options.udp,
        seed=options.seed,
        **({"metros": metros} if metros else {}),
    )


def _address(text: str, option: str, lowest: int = 1) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or not lowest <= int(port) <= 65535:
        raise InputError(f"{option}: expected HOST:PORT such as 127.0.0.1:1883, not {text!r}")
    return host.strip("[]"), int(port)


def tell(at_s: float, what: str) -> None:
    """Say on standard error what has happened, and when."""
    print(f"{at_s:9.3f} s  {what}", file=sys.stderr, flush=True)


def _shown(figures: Mapping[str, Any]) -> str:
    broken = ", ".join(f"{count} {cause}" for cause, count in figures["broken"].items()) or "none"
    lost = ", ".join(f"{count} {cause}" for cause, count in figures["lost"].items()) or "none"
    refused = f"connections refused: {figures['refused']:,}; " if figures["refused"] else ""
    return (
        f"carried {figures['bytes']:,} bytes in {figures['chunks']:,} chunks"
        f" of {figures['connections']:,} connections within {figures['at_s']:.1f} s\n"
        f"{refused}connections broken: {broken}; datagrams lost: {lost};"
        f" the latest event was {figures['latest_s'] * 1e3:.2f} ms late"
    )
