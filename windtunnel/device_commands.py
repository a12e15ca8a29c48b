"""What `windtunnel device` does: registers a thing at a running service and fetches a certificate for it."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlsplit

from twin.errors import InputError, MissingEnvironmentError

if TYPE_CHECKING:
    from http.client import HTTPConnection

FOLDER: Final = "windtunnel-service"
"""Where a service keeps everything, unless it is told otherwise."""
DONE: Final = 0
ANSWER_S: Final = 10.0
CONFLICT: Final = 409
OWNER_ONLY: Final = 0o600
SWITCHED: Final = {"deactivate": ("ACTIVE",), "activate": ("INACTIVE", "PENDING_ACTIVATION")}
"""The states out of which a certificate is switched."""
SHOWN_DIGITS: Final = 12


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the command line."""
    device = commands.add_parser("device", help="make a thing and its certificate at a running service")
    actions = device.add_subparsers(dest="doing", required=True)
    add = actions.add_parser("add", help="register a thing and write its certificate and key")
    add.add_argument("name", help="1 to 128 letters, digits and :_-")
    add.add_argument("--type", default="", help="its device type, for example boom_gate")
    add.add_argument("--site", default="", help="where it is; needed for topics below site/")
    add.add_argument(
        "--out", metavar="DIR", help="where the files go (default: devices in the service's DIR)"
    )
    rotate = actions.add_parser("rotate", help="write a further certificate and key; older ones end later")
    rotate.add_argument("name")
    rotate.add_argument(
        "--out", metavar="DIR", help="where the files go (default: devices in the service's DIR)"
    )
    deactivate = actions.add_parser(
        "deactivate", help="take the rights of a thing's certificates for a while"
    )
    activate = actions.add_parser("activate", help="give a certificate its rights again")
    revoke = actions.add_parser("revoke", help="let every certificate of a thing hold no longer")
    for each in (deactivate, activate):
        each.add_argument("name")
        each.add_argument(
            "--certificate",
            default="",
            metavar="FINGERPRINT",
            help="this one alone; its first digits will do",
        )
    revoke.add_argument("name")
    for each in (add, rotate, deactivate, activate, revoke):
        each.add_argument(
            "--folder", default=FOLDER, metavar="DIR", help=f"of the service (default: {FOLDER})"
        )


def device(options: argparse.Namespace) -> int:
    """Make a device, give it a further certificate, take and give back its rights, or end it."""
    actions = {"add": _add, "rotate": _rotate, "revoke": _revoke}
    return actions.get(options.doing, _switch)(options)


def _add(options: argparse.Namespace) -> int:
    service = _Api(Path(options.folder))
    fields = {"name": options.name, "type": options.type, "site": options.site}
    service.ask("POST", "/v1/things", {key: text for key, text in fields.items() if text}, allow=CONFLICT)
    _write(options, service, service.ask("POST", "/v1/certificates", {"thing": options.name}))
    return DONE


def _rotate(options: argparse.Namespace) -> int:
    service = _Api(Path(options.folder))
    path = f"/v1/things/{quote(options.name, safe='')}/certificates/rotate"
    _write(options, service, service.ask("POST", path))
    return DONE


def _write(options: argparse.Namespace, service: _Api, issued: Any) -> None:
    """Write the files, and say how to use them."""
    folder = Path(options.out) if options.out else Path(options.folder) / "devices"
    folder.mkdir(parents=True, exist_ok=True)
    certificate, key = folder / f"{options.name}.pem", folder / f"{options.name}.key"
    key.unlink(missing_ok=True)
    with os.fdopen(os.open(key, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNER_ONLY), "w") as file:
        file.write(issued["key_pem"])
    certificate.write_text(issued["certificate_pem"], encoding="utf-8")
    about = service.about
    print(f"{options.name} has the certificate {certificate} with the key {key}; try it:")
    print(
        f"mosquitto_pub -h {about['mqtt_host']} -p {about['mqtt_port']} --cafile {about['ca']}"
        f" --cert {certificate} --key {key} -q 1 -t '$aws/things/{options.name}/shadow/update'"
        """ -m '{"state": {"reported": {"note": "hello"}}}'"""
    )


def _switch(options: argparse.Namespace) -> int:
    """Deactivate all that are active, or the one that is meant; activate one: which of several must be said,
    because a rotation leaves older ones inactive.
    """
    service = _Api(Path(options.folder))
    states = SWITCHED[options.doing]
    meant = [
        fingerprint
        for fingerprint in service.certificates(options.name, lambda state: state in states)
        if fingerprint.startswith(options.certificate)
    ]
    if not meant:
        which = f" {options.certificate}..." if options.certificate else ""
        raise InputError(f"{options.name!r} has no certificate{which} that is {' or '.join(states)}")
    if options.doing == "activate" and len(meant) > 1:
        shown = ", ".join(each[:SHOWN_DIGITS] for each in meant)
        raise InputError(f"{options.name!r} has several; say which with --certificate: {shown}")
    service.each(meant, options.doing)
    print(f"{_counted(meant)} of {options.name} {options.doing}d")
    return DONE


def _revoke(options: argparse.Namespace) -> int:
    service = _Api(Path(options.folder))
    holding = service.certificates(options.name, lambda state: state not in ("REVOKED", "EXPIRED"))
    if not holding:
        raise InputError(f"{options.name!r} has no certificate that holds")
    service.each(holding, "revoke")
    print(f"{_counted(holding)} of {options.name} revoked")
    return DONE


def _counted(fingerprints: Sequence[str]) -> str:
    return f"{len(fingerprints)} certificate{'' if len(fingerprints) == 1 else 's'}"


class _Api:
    """The API of the service that runs in a folder, asked with the token that lies there."""

    def __init__(self, folder: Path) -> None:
        try:
            self.about: dict[str, Any] = json.loads((folder / "service.json").read_text(encoding="utf-8"))
            self.token = (folder / "admin.token").read_text(encoding="utf-8").strip()
        except FileNotFoundError:
            raise MissingEnvironmentError(
                f"no service runs in {folder}; start it: windtunnel serve --folder {folder}"
            ) from None

    def certificates(self, thing: str, is_meant: Callable[[str], bool]) -> list[str]:
        """Fingerprints of a thing's certificates whose state is meant."""
        found = self.ask("GET", f"/v1/certificates?thing={quote(thing, safe='')}")["certificates"]
        return [each["fingerprint"] for each in found if is_meant(each["state"])]

    def each(self, fingerprints: Iterable[str], verb: str) -> None:
        """Do this with each certificate."""
        for fingerprint in fingerprints:
            self.ask("POST", f"/v1/certificates/{fingerprint}/{verb}")

    def ask(self, method: str, path: str, body: Any = None, *, allow: int = 0) -> Any:
        """The answer; raises InputError with what the service said."""
        from http.client import HTTPException

        parts = urlsplit(self.about["url"])
        connection = self._connection(
            str(parts.hostname), int(parts.port or 0), is_tls=parts.scheme == "https"
        )
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        try:
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            response = connection.getresponse()
            answer = json.loads(response.read())
        except (OSError, HTTPException, ValueError) as error:
            raise MissingEnvironmentError(
                f"the service at {self.about['url']} does not answer ({error}); does it run?"
            ) from None
        finally:
            connection.close()
        if response.status >= 400 and response.status != allow:
            raise InputError(f"{answer['message']} ({answer['advice']})")
        return answer

    def _connection(self, host: str, port: int, *, is_tls: bool) -> HTTPConnection:
        import ssl
        from http.client import HTTPConnection, HTTPSConnection

        if not is_tls:
            return HTTPConnection(host, port, timeout=ANSWER_S)
        context = ssl.create_default_context(cafile=self.about["ca"] or None)
        return HTTPSConnection(host, port, timeout=ANSWER_S, context=context)
