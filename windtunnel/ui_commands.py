"""`windtunnel ui`: the user interface in a browser."""

from __future__ import annotations

import argparse
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from twin.errors import InputError, MissingEnvironmentError
from windtunnel.cli import MET

if TYPE_CHECKING:
    from ui.server import Door
    from ui.settings import Service

EXAMPLES: Final = """\
examples:
  windtunnel ui                                   the shipped scenarios, and those of this folder
  windtunnel ui --scenarios designs --runs results
  windtunnel ui --address 0.0.0.0 --allow-host tunnel.example --password-file secret \\
                --certificate cert.pem --key key.pem        for a team

It listens on this machine only, unless it is given another address; then it asks for a password and a
certificate. The password is read from --password-file or the environment variable WINDTUNNEL_UI_PASSWORD.
Ctrl-C ends it, and what was started from it; what was measured is kept.
"""
PORT: Final = 8501
PORTS_TRIED: Final = 20
"""So many ports from the default on are tried before one has to be given."""
INSTALL: Final = "the user interface needs streamlit and ruamel-yaml: pip install 'windtunnel-iot[ui]'"


def add_parser(commands: Any) -> None:
    """The parser of `ui`."""
    ui = commands.add_parser(
        "ui",
        help="design, run, replay and compare in a browser",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    ui.add_argument(
        "--scenarios", default=".", metavar="DIR", help="files that may be edited (default: here)"
    )
    ui.add_argument("--runs", default="runs", metavar="DIR", help="where results are (default: runs)")
    ui.add_argument("--address", default="127.0.0.1", help="where to listen (default: 127.0.0.1)")
    ui.add_argument("--port", type=_port, metavar="N", help=f"default {PORT}, or the next free one")
    ui.add_argument(
        "--allow-host", action="append", default=[], metavar="NAME", help="a further name it is called by"
    )
    ui.add_argument("--password-file", metavar="FILE", help="ask for the password in this file")
    ui.add_argument("--certificate", metavar="FILE", help="serve TLS with this certificate (PEM) ...")
    ui.add_argument("--key", metavar="FILE", help="... and this private key")
    ui.add_argument("--open", action="store_true", help="open a browser")
    twins = ui.add_argument_group("twins", "a running `windtunnel serve`, for the page Twins")
    twins.add_argument("--service", default="", metavar="URL", help="its address")
    twins.add_argument("--service-ca", metavar="FILE", help="authority of its certificate")
    twins.add_argument(
        "--service-token-file", metavar="FILE", help="everybody who opens the pages acts with this token"
    )
    twins.add_argument("--service-store", metavar="FILE", help="its store, to run scenarios from a branch")


def ui(options: argparse.Namespace) -> int:
    """Serve the user interface until Ctrl-C."""
    folder = Path(options.scenarios)
    if not folder.is_dir():
        raise InputError(f"windtunnel: --scenarios {options.scenarios}: there is no such folder")
    try:
        from ui.server import LOOPBACK, Door, serve
        from ui.settings import Settings
    except ModuleNotFoundError as error:
        if error.name in {"streamlit", "starlette", "ruamel"}:
            raise MissingEnvironmentError(INSTALL) from error
        raise
    door = Door(
        address=options.address,
        port=_free_port(options.address, options.port),
        hosts=(*LOOPBACK, options.address, *options.allow_host),
        password=_password(options),
        certificate=_file(options.certificate, "--certificate"),
        key=_file(options.key, "--key"),
        is_opening=options.open,
    )
    if (door.certificate is None) != (door.key is None):
        raise InputError("windtunnel: --certificate and --key belong together; give both")
    if options.address not in LOOPBACK and not (door.password and door.certificate):
        raise InputError(
            f"windtunnel: others can reach it on {options.address}, and a password must not travel in clear;"
            " give --password-file, --certificate and --key"
        )
    where = f"results in {options.runs}, scenarios in {options.scenarios}"
    print(f"windtunnel: listens at {_url(door)}, {where}", file=sys.stderr)
    serve(Settings(Path(options.runs).absolute(), folder.absolute(), _service(options)), door)
    return MET


def _url(door: Door) -> str:
    host = f"[{door.address}]" if ":" in door.address else door.address
    return f"{'https' if door.certificate else 'http'}://{host}:{door.port}"


def _password(options: argparse.Namespace) -> str:
    if options.password_file is None:
        return os.environ.get("WINDTUNNEL_UI_PASSWORD", "")
    password = Path(options.password_file).read_text(encoding="utf-8").strip()
    if not password:
        raise InputError(f"windtunnel: {options.password_file} is empty; it should hold the password")
    return password


def _service(options: argparse.Namespace) -> Service:
    from ui.settings import Service

    files = {
        "--service-ca": options.service_ca,
        "--service-token-file": options.service_token_file,
        "--service-store": options.service_store,
    }
    return Service(options.service, *(str(_file(name, option) or "") for option, name in files.items()))


def _file(name: str | None, option: str) -> Path | None:
    if name is None:
        return None
    if not Path(name).is_file():
        raise InputError(f"windtunnel: {option} {name}: there is no such file")
    return Path(name).absolute()


def _free_port(address: str, asked: int | None) -> int:
    """The port that was asked for, or the first free one from the default on."""
    from twin.service.listening import listening

    for port in range(PORT, PORT + PORTS_TRIED - 1) if asked is None else ():
        with suppress(MissingEnvironmentError):
            listening(address, port).close()
            return port
    last = PORT + PORTS_TRIED - 1 if asked is None else asked
    listening(address, last).close()
    return last


def _port(text: str) -> int:
    value = int(text) if text.isascii() and text.isdigit() else 0
    if not 1 <= value <= 65_535:
        raise argparse.ArgumentTypeError(f"expected a port from 1 to 65535, not {text!r}")
    return value
