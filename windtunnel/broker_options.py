"""How a command is told about a broker: certificates and the password."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from twin.errors import InputError

if TYPE_CHECKING:
    from twin.live.endpoint import Endpoint

PASSWORD_VARIABLE: Final = "WINDTUNNEL_PASSWORD"  # noqa: S105  (the name of a variable)


def add_access_options(parser: argparse.ArgumentParser) -> None:
    """What a broker may want to know of us, and we of it."""
    parser.add_argument("--ca", metavar="FILE", help="authority of the broker's certificate")
    parser.add_argument("--cert", metavar="FILE", help="our certificate")
    parser.add_argument("--key", metavar="FILE", help="its key")
    parser.add_argument("--password-file", metavar="FILE", help="file with the password and nothing else")


def with_options(endpoint: Endpoint, options: argparse.Namespace) -> Endpoint:
    """The endpoint with what the options say. Raises InputError for a file that is not there."""
    import dataclasses

    files = {"ca": options.ca, "certificate": options.cert, "key": options.key}
    for name, path in files.items():
        if path is not None and not Path(path).is_file():
            raise InputError(f"--{name.replace('certificate', 'cert')}: there is no file {path!r}")
    given: dict[str, Any] = {name: Path(path) for name, path in files.items() if path is not None}
    password = os.environ.get(PASSWORD_VARIABLE, "").encode()
    if options.password_file is not None:
        password = Path(options.password_file).read_bytes().rstrip(b"\r\n")
    if password and not endpoint.password:
        given["password"] = password
    return dataclasses.replace(endpoint, **given)
