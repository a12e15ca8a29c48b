"""What `windtunnel serve`, `windtunnel token` and `windtunnel device` do, and their arguments."""

from __future__ import annotations

import argparse
import json
import math
import os
import signal
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Final

from twin.errors import InputError, MissingEnvironmentError
from windtunnel.device_commands import FOLDER

if TYPE_CHECKING:
    from twin.service.running import ServeOptions
    from twin.service.target import Target
    from twin.service.web import Tls
    from twin.state.rules.program import CompiledRule
    from twin.state.shadow import ShadowSettings
    from twin.state.types import Types

DONE: Final = 0
DAY_S: Final = 86_400.0
INTERRUPTED: Final = 130
MQTT_PORT: Final = 8883
API_PORT: Final = 8080
EXTRA: Final = "this command needs more packages; install them: pip install 'windtunnel-iot[serve]'"
ROLES: Final = ("viewer", "operator", "admin", "device")
SERVE_EPILOG: Final = """\
examples:
  windtunnel serve                                             registry, shadows and a broker of our own
  windtunnel serve --port 0 --mqtt-port 0                      on free ports, which it prints
  windtunnel serve --folder site --rules fire.rules            `windtunnel rules new fire` writes some

Without --broker a mosquitto of our own is started: devices need a certificate, and reach their own topics.
Everything is kept in one folder; give it to a new process, and it goes on where the last one ended.

exit codes: 0 ended as asked, 2 invalid input, 4 something is missing: a port, a broker, mosquitto
"""


# arguments -----------------------------------------------------------------------------------------------


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the commands to the command line."""
    _add_serve(commands)
    _add_token(commands)


def _add_store(serving: argparse.ArgumentParser) -> None:
    store = serving.add_argument_group("the store")
    store.add_argument(
        "--store",
        default="",
        metavar="FILE",
        help="SQLite file, postgresql://... or memory (default: in DIR)",
    )
    store.add_argument(
        "--keep-entries",
        type=_count,
        metavar="N",
        help="keep so many entries of the journal at least, and let older ones go (default: all)",
    )
    store.add_argument(
        "--keep-days",
        type=_days,
        metavar="DAYS",
        help="keep the entries of so many days at least, and let older ones go (default: all)",
    )
    store.add_argument(
        "--on-damage",
        choices=("restore", "stop"),
        default="restore",
        help="a damaged store is set aside and restored from its snapshot, or left as it is, and the service"
        " does not start (default: restore)",
    )


def _add_serve(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    serving = commands.add_parser(
        "serve",
        help="run the twins as a service: registry, shadows, rules, alarms, commands and jobs",
        epilog=SERVE_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _folder(serving)
    _add_store(serving)
    serving.add_argument(
        "--rules",
        nargs="+",
        action="extend",
        default=[],
        metavar="FILE",
        help="rule files that run from the start",
    )
    serving.add_argument(
        "--types", metavar="DIR", help="device types of your own (*.tm.yaml), beside the shipped ones"
    )
    serving.add_argument(
        "--sink",
        action="append",
        default=[],
        metavar="NAME=URL",
        help="where FORWARD NAME of rules goes: postgresql://, redis://, kafka://, s3://, influx+http://,"
        " sqlite:FILE, file:FILE (may be repeated; `windtunnel doctor` says what is there)",
    )
    serving.add_argument("--json", action="store_true", help="print what runs where as one line of JSON")
    serving.add_argument(
        "--queue-changes",
        action="store_true",
        help="take changes while the broker is away, tell devices later",
    )
    api = serving.add_argument_group("HTTP API")
    api.add_argument("--host", default="127.0.0.1", help="address to listen on (default: this machine only)")
    api.add_argument("--port", type=_port, default=API_PORT, help=f"default {API_PORT}; 0: a free one")
    api.add_argument("--token-file", metavar="FILE", help="tokens that hold (default: in DIR)")
    api.add_argument("--tls", action="store_true", help="use a certificate of the local CA")
    api.add_argument("--tls-cert", metavar="FILE", help="certificate of the server (PEM)")
    api.add_argument("--tls-key", metavar="FILE", help="its private key (PEM)")
    api.add_argument(
        "--allowed-host",
        action="append",
        default=[],
        metavar="NAME",
        help="a name that clients may use for us",
    )
    own = serving.add_argument_group("our own broker")
    own.add_argument(
        "--mqtt-host", default="127.0.0.1", help="address to listen on (default: this machine only)"
    )
    own.add_argument("--mqtt-port", type=_port, default=MQTT_PORT, help=f"default {MQTT_PORT}; 0: a free one")
    own.add_argument(
        "--mqtt-plain-port",
        type=_port,
        metavar="PORT",
        help="also listen on loopback without TLS, for everybody",
    )
    _add_foreign(serving)
    _add_shadow_options(serving)


def _add_shadow_options(serving: argparse.ArgumentParser) -> None:
    more = serving.add_argument_group("beyond the shadow of AWS")
    more.add_argument(
        "--shadow-extensions",
        action="store_true",
        help="read `expiresIn` and `condition` in updates, and number the sections",
    )
    more.add_argument(
        "--desired-expiry", type=_seconds, metavar="SECONDS", help="how long a desired value holds at most"
    )
    more.add_argument(
        "--clear-on-report", action="store_true", help="a desired value ends when the device reports it"
    )
    more.add_argument(
        "--keep-newer-reports",
        action="store_true",
        help="a desired value ends when the device changed it by itself later",
    )


def _add_foreign(serving: argparse.ArgumentParser) -> None:
    foreign = serving.add_argument_group("a broker that runs already")
    foreign.add_argument("--broker", metavar="URL", help="mqtt://user@host:1883 or mqtts://host:8883")
    foreign.add_argument("--broker-password-file", metavar="FILE", help="or WINDTUNNEL_BROKER_PASSWORD")
    foreign.add_argument(
        "--broker-ca", default="", metavar="FILE", help="CA that signed its certificate (PEM)"
    )
    foreign.add_argument("--broker-cert", default="", metavar="FILE", help="our certificate (PEM)")
    foreign.add_argument("--broker-key", default="", metavar="FILE", help="its private key (PEM)")
    foreign.add_argument(
        "--client-id", default="", metavar="ID", help="MQTT client id (default windtunnel/twin)"
    )
    foreign.add_argument(
        "--require-authorisation",
        action="store_true",
        help="end with exit code 4 unless the broker keeps devices to their own topics",
    )
    foreign.add_argument("--probe-user", default="", metavar="NAME", help="a device, to try that with")
    foreign.add_argument("--probe-password-file", metavar="FILE")
    foreign.add_argument(
        "--probe-cert", default="", metavar="FILE", help="a device's certificate, to try with"
    )
    foreign.add_argument("--probe-key", default="", metavar="FILE")


def _add_token(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    token = commands.add_parser("token", help="make, list and revoke tokens of the HTTP API")
    actions = token.add_subparsers(dest="doing", required=True)
    new = actions.add_parser("new", help="make a token; it is shown this once")
    new.add_argument("--role", choices=ROLES, required=True, help="a viewer reads, an operator acts")
    new.add_argument("--name", help="whose it is, for the audit log (default: the role)")
    new.add_argument("--thing", default="", help="whose shadows a device's token is good for")
    revoke = actions.add_parser("revoke", help="let a token hold no longer")
    revoke.add_argument("name")
    listing = actions.add_parser("list", help="names and roles; tokens themselves are kept nowhere")
    for each in (new, revoke, listing):
        _folder(each)
        each.add_argument("--token-file", metavar="FILE", help="default: in DIR")


def _folder(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--folder",
        default=FOLDER,
        metavar="DIR",
        help=f"where the service keeps everything (default: {FOLDER})",
    )


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or int(text) > 65_535:
        raise argparse.ArgumentTypeError(f"expected a port from 0 to 65535, not {text!r}")
    return int(text)


def _seconds(text: str, unit: str = "seconds") -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0.0 < seconds < math.inf:
        raise argparse.ArgumentTypeError(f"expected {unit} above 0, not {text!r}")
    return seconds


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number above 0, not {text!r}")
    return int(text)


def _days(text: str) -> float:
    return _seconds(text, "days") * DAY_S


# serve ---------------------------------------------------------------------------------------------------


def serve(options: argparse.Namespace) -> int:
    """Run the twins as a service until somebody ends it."""
    try:
        from twin.service.running import Running
    except ModuleNotFoundError as error:
        raise MissingEnvironmentError(f"{EXTRA}  (there is no {error.name})") from None
    ending = _Ending()
    running = Running(_serve_options(options), _say)
    running.start()
    try:
        ending.is_serving = True
        print(json.dumps(running.about()) if options.json else running.banner(), flush=True)
        while not ending.asked.wait(running.pause_s):
            running.tend()
    finally:
        running.stop()
    return DONE


class _Ending:
    """Ctrl-C and SIGTERM: the first asks for an end in order, the second ends at once."""

    def __init__(self) -> None:
        self.asked = threading.Event()
        self.is_serving = False
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._asked)

    def _asked(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        if self.asked.is_set():
            os._exit(INTERRUPTED)  # our broker ends with us, and the store is whole at any moment
        self.asked.set()
        if not self.is_serving:
            raise KeyboardInterrupt


def _say(what: str) -> None:
    print(f"windtunnel: {what}", file=sys.stderr, flush=True)


def _serve_options(options: argparse.Namespace) -> ServeOptions:
    from twin.service.mosquitto import BrokerSettings
    from twin.service.running import ServeOptions
    from twin.state.journal import Retention
    from twin.state.standard import TwinSettings
    from windtunnel import __version__

    target, probe = _targets(options)
    return ServeOptions(
        folder=Path(options.folder),
        store=options.store,
        retention=Retention(options.keep_entries, options.keep_days),
        on_damage=options.on_damage,
        target=target,
        probe=probe,
        client_id=options.client_id,
        broker=BrokerSettings(
            host=options.mqtt_host, port=options.mqtt_port, plain_port=options.mqtt_plain_port
        ),
        host=options.host,
        port=options.port,
        token_file=Path(options.token_file) if options.token_file else None,
        tls=_tls(options),
        is_tls_wanted=options.tls,
        hosts=frozenset(name.lower() for name in options.allowed_host),
        requires_authorisation=options.require_authorisation,
        queues_changes=options.queue_changes,
        twins=TwinSettings(
            shadows=_shadows(options), types=_types(options.types), rules=_rules(options.rules)
        ),
        sinks=_sinks(options.sink),
        version=__version__,
    )


def _shadows(options: argparse.Namespace) -> ShadowSettings:
    from twin.state.shadow import ShadowSettings

    return ShadowSettings(
        has_extensions=options.shadow_extensions,
        desired_expiry_s=options.desired_expiry or math.inf,
        is_cleared_on_report=options.clear_on_report,
        keeps_newer_reports=options.keep_newer_reports,
    )


def _rules(files: list[str]) -> list[CompiledRule]:
    """The rules of files; a name may stand for one rule only."""
    from twin.state.rules.program import compile_rules

    rules = [rule for file in files for rule in compile_rules(Path(file).read_text(encoding="utf-8"), file)]
    for name, count in Counter(rule.name for rule in rules).items():
        if count > 1:
            raise InputError(f"{count} rules are called {name!r}; give each its own name")
    return rules


def _sinks(given: list[str]) -> dict[str, str]:
    """The URLs of sinks by name."""
    from twin.live.sinks.opening import kind_of

    sinks: dict[str, str] = {}
    for text in given:
        name, equals, url = text.partition("=")
        if not equals or not name.isidentifier():
            raise InputError(
                "--sink is written NAME=URL, with a name as rules have it: --sink db=sqlite:x.sqlite"
            )
        if name in sinks:
            raise InputError(f"--sink: there are two sinks called {name!r}")
        kind_of(url)
        sinks[name] = url
    return sinks


def _types(folder: str | None) -> Types:
    """The shipped types, and those of a folder in their place where the names are the same."""
    from twin.state.types import shipped_types
    from windtunnel.types_commands import ENDING, model_of

    if folder is None:
        return shipped_types()
    files = sorted(Path(folder).glob(f"*{ENDING}"))
    if not files:
        raise InputError(f"there are no device types (*{ENDING}) in {folder}")
    own = [model_of(str(file)) for file in files]
    return {**shipped_types(), **{model.name: model for model in own}}


def _targets(options: argparse.Namespace) -> tuple[Target | None, Target | None]:
    """The broker that runs already, and the device to try it with."""
    from twin.service.target import read_target

    if not options.broker:
        return None, None
    target = read_target(
        options.broker,
        password_file=options.broker_password_file,
        ca_file=options.broker_ca,
        certificate_file=options.broker_cert,
        key_file=options.broker_key,
    )
    if not options.probe_user and not options.probe_cert:
        return target, None
    scheme, _, place = options.broker.partition("://")
    user = f"{options.probe_user}@" if options.probe_user else ""
    probe = read_target(
        f"{scheme}://{user}{place.rpartition('@')[2]}",
        password_file=options.probe_password_file,
        ca_file=options.broker_ca,
        certificate_file=options.probe_cert,
        key_file=options.probe_key,
    )
    return target, probe


def _tls(options: argparse.Namespace) -> Tls | None:
    from twin.service.web import Tls

    if bool(options.tls_cert) is not bool(options.tls_key):
        raise InputError("--tls-cert and --tls-key belong together")
    return Tls(options.tls_cert, options.tls_key) if options.tls_cert else None


# tokens --------------------------------------------------------------------------------------------------


def token(options: argparse.Namespace) -> int:
    """Make, list or revoke tokens."""
    from twin.service.tokens import new_token, read_tokens, revoke_token

    path = Path(options.token_file) if options.token_file else Path(options.folder) / "tokens.json"
    if options.doing == "new":
        name = options.name or options.thing or options.role
        print(new_token(path, name, options.role, time.time(), thing=options.thing))
        print(f"it is shown this once; {path} keeps a hash of it", file=sys.stderr)
    elif options.doing == "revoke":
        revoke_token(path, options.name)
        print(f"{options.name!r} holds no longer")
    else:
        for each in read_tokens(path):
            print(f"{each.name:24} {each.role:9} {each.thing}".rstrip())
    return DONE
