"""Everything that `windtunnel serve` runs, from its options to its banner."""

from __future__ import annotations

import json
import os
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

from twin.errors import InputError, MissingEnvironmentError
from twin.live.sinks.opening import worker
from twin.service.api.application import LOOPBACK, ApiSettings, application
from twin.service.authority import Authority, write
from twin.service.listening import listening
from twin.service.mosquitto import BrokerSettings
from twin.service.opening import OnDamage
from twin.service.service import TEND_S, Keeps, ServiceSettings, TwinService
from twin.service.sql_store import Keeping
from twin.service.stored import opened
from twin.service.target import Target
from twin.service.tokens import Keyring, new_token, read_tokens
from twin.service.web import Tls, WebServer, check_certificate, is_loopback
from twin.state.journal import EVERYTHING, Retention, load
from twin.state.memory_store import MemoryStore
from twin.state.standard import TwinSettings, standard_twins
from twin.state.twins import Twins

ABOUT_FILE: Final = "service.json"
ADMIN_FILE: Final = "admin.token"
ADMIN: Final = "admin"
PRIVATE: Final = 0o700
OWNER_ONLY: Final = 0o600
MEMORY: Final = "memory"
MEMORY_ENTRIES: Final = 100_000
"""Of the journal, if there is no store."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeOptions:
    """What the user asked for. `store` is a file, `memory` or a URL of PostgreSQL; empty: in the folder."""

    folder: Path
    store: str = ""
    retention: Retention = EVERYTHING
    on_damage: OnDamage = "restore"
    target: Target | None = None
    probe: Target | None = None
    client_id: str = ""
    broker: BrokerSettings = field(default_factory=BrokerSettings)
    host: str = "127.0.0.1"
    port: int = 8080
    token_file: Path | None = None
    tls: Tls | None = None
    is_tls_wanted: bool = False
    hosts: frozenset[str] = frozenset()
    requires_authorisation: bool = False
    queues_changes: bool = False
    sinks: Mapping[str, str] = field(default_factory=dict)
    twins: TwinSettings = field(default_factory=TwinSettings)
    version: str = ""

    @property
    def tokens(self) -> Path:
        """Where the tokens are."""
        return self.token_file or self.folder / "tokens.json"


class Running:
    """The service with its HTTP server. Make it, `start`, `tend` from the same thread, `stop`."""

    pause_s: Final = TEND_S

    def __init__(self, options: ServeOptions, report: Callable[[str], None]) -> None:
        _check(options)
        self.options, self._report = options, report
        self._make_folder()
        self._tls = options.tls
        if options.is_tls_wanted and options.tls is None:
            self._tls = _own_certificate(options)
        if self._tls is not None:
            check_certificate(self._tls, time.time())
        self._socket = listening(options.host, options.port)
        self.port = int(self._socket.getsockname()[1])
        self.service: TwinService | None = None
        self._web: WebServer | None = None

    def start(self) -> None:
        """Return when everything runs. Raises WindtunnelError with one sentence if it cannot."""
        options = self.options
        try:
            store = self._opened_store()
            authority = Authority.ensure(options.folder / "ca")
            settings = replace(options.twins, issuer=authority, secret=_secret(options.folder))
            service = self.service = TwinService(
                _twins(settings, store),
                store,
                self._settings(),
                self._report,
                authority,
                lambda: standard_twins(options.twins).components,
            )
            service.start()
            api = ApiSettings(
                hosts=LOOPBACK | {options.host.lower()} | options.hosts,
                keyring=Keyring(options.tokens, time.time),
                version=options.version,
            )
            self._web = WebServer(application(service, api), self._socket, self._tls)
            self._web.start()
            _write_private(options.folder / ABOUT_FILE, json.dumps(self.about(), indent=1))
        except BaseException:
            self.stop()
            raise

    def tend(self) -> None:
        """Look after everything once. Raises WindtunnelError if it cannot go on."""
        if self.service is None:
            return
        self.service.tend()
        if not self.service.writer.is_running:
            raise MissingEnvironmentError("the writer has stopped, so nothing can be kept; start again")

    def stop(self) -> None:
        """End everything in order."""
        (self.options.folder / ABOUT_FILE).unlink(missing_ok=True)
        try:
            if self._web is not None:
                self._web.stop()
        finally:
            self._socket.close()
            if self.service is not None:
                self.service.stop()

    # telling ---------------------------------------------------------------------------------------------

    @property
    def url(self) -> str:
        """Where the API is."""
        host = f"[{self.options.host}]" if ":" in self.options.host else self.options.host
        return f"http{'s' if self._tls else ''}://{host}:{self.port}"

    def about(self) -> dict[str, Any]:
        """What runs where, for programs."""
        broker = self.service.broker if self.service else None
        enforcement = self.service.enforcement if self.service else None
        return {
            "pid": os.getpid(),
            "url": self.url,
            "mqtt_host": broker.settings.host if broker else self.options.target and self.options.target.host,
            "mqtt_port": broker.port if broker else self.options.target and self.options.target.port,
            "mqtt_plain_port": broker.plain_port if broker else 0,
            "broker_pid": broker.pid if broker else 0,
            "ca": str(self.options.folder / "ca" / "ca.pem") if broker else "",
            "store": self._store_name(),
            "tokens": str(self.options.tokens),
            "admin_token": str(self.options.folder / ADMIN_FILE),
            "authorisation": enforcement.claim if enforcement else "unknown",
        }

    def banner(self) -> str:
        """What runs where, for people."""
        service, options = self.service, self.options
        if service is None:
            return ""
        enforcement = service.enforcement.sentence if service.enforcement else ""
        lines = [
            ("API", f"{self.url}  (/health, /openapi.json)"),
            ("MQTT", self._broker_line(service)),
            ("store", f"{self._store_name()}, {len(service.twins.records.of('thing'))} things"),
            ("tokens", f"{options.tokens}; the first one is in {options.folder / ADMIN_FILE}"),
        ]
        lines += [
            ("sink", f"{name}: {each.shown}, {each.trouble or 'connected'}")
            for name, each in service.settings.sinks.items()
        ]
        if service.broker is not None:
            lines += [
                ("CA", str(options.folder / "ca" / "ca.pem")),
                ("a device", f"windtunnel device add gate-1 --type boom_gate{self._folder_option()}"),
            ]
        kept = "in memory only, and lost at the end" if options.store == MEMORY else "on disk"
        lines += [
            ("promises", f"accepted means kept {kept}; a request that comes while we are away waits"),
            ("", enforcement if service.broker is not None else f"NOT PROMISED: {enforcement}"),
            ("ending", "Ctrl-C ends in order, a second one at once"),
        ]
        return "\n".join([f"Windtunnel twin service {options.version}".rstrip(), *map(_line, lines)])

    def _broker_line(self, service: TwinService) -> str:
        broker = service.broker
        if broker is None:
            return f"{self.options.target}"
        plain = f"; mqtt://127.0.0.1:{broker.plain_port} WITHOUT certificate" if broker.plain_port else ""
        return f"mqtts://{broker.settings.host}:{broker.port}  (mosquitto, process {broker.pid}){plain}"

    def _folder_option(self) -> str:
        folder = self.options.folder
        return "" if folder.name == str(folder) == "windtunnel-service" else f" --folder {folder}"

    def _store_name(self) -> str:
        store = self.options.store
        if "://" in store:
            return f"{store.partition('://')[0]}://{store.rpartition('@')[2].partition('://')[2] or '...'}"
        return store or str(self.options.folder / "twins.sqlite")

    # making ----------------------------------------------------------------------------------------------

    def _make_folder(self) -> None:
        folder = self.options.folder
        try:
            folder.mkdir(mode=PRIVATE, parents=True, exist_ok=True)
            if not os.access(folder, os.W_OK):
                raise PermissionError(13, "not writable")
        except OSError as error:
            raise InputError(f"the folder {folder} cannot be used: {error.strerror}") from None
        if not read_tokens(self.options.tokens):
            secret = new_token(self.options.tokens, ADMIN, "admin", time.time())
            _write_private(folder / ADMIN_FILE, f"{secret}\n")

    def _settings(self) -> ServiceSettings:
        options = self.options
        settings = ServiceSettings(
            folder=options.folder,
            broker=options.broker,
            target=options.target,
            probe=options.probe,
            queues_changes=options.queues_changes,
            requires_authorisation=options.requires_authorisation,
            sinks={name: worker(name, url, self._report) for name, url in options.sinks.items()},
            source=blake2b(_secret(options.folder), digest_size=8).hexdigest(),
        )
        if not options.client_id:
            return settings
        if options.target is None:
            raise InputError("--client-id is for a broker of your own; name it with --broker")
        return replace(settings, client_id=options.client_id)

    def _opened_store(self) -> Keeps:
        store = self.options.store
        if store == MEMORY:
            kept_in_memory = self.options.retention.entries or MEMORY_ENTRIES
            return MemoryStore(Retention(kept_in_memory, self.options.retention.age_s))
        if "://" in store and not store.startswith("postgres"):
            scheme = store.partition("://")[0]
            raise InputError(f"a store is a file, 'memory' or postgresql://..., not {scheme}://")
        name = store or str(self.options.folder / "twins.sqlite")
        keeping = Keeping(self.options.retention)
        kept, findings = opened(name, keeping, on_damage=self.options.on_damage)
        for finding in findings:
            self._report(finding)
        return kept


def _twins(settings: TwinSettings, store: Keeps) -> Twins:
    twins = standard_twins(settings)
    twins.records = load(store, twins.kinds)
    return twins


def _check(options: ServeOptions) -> None:
    """Raise InputError for what must not be."""
    has_tls = options.tls is not None or options.is_tls_wanted
    if not is_loopback(options.host) and not has_tls:
        raise InputError(
            f"{options.host} can be reached from other machines, and tokens must not travel in clear;"
            " add --tls, or --tls-cert and --tls-key"
        )


def _own_certificate(options: ServeOptions) -> Tls:
    """A certificate of the local CA for the API."""
    authority = Authority.ensure(options.folder / "ca")
    names = dict.fromkeys(["localhost", "127.0.0.1", options.host, *sorted(options.hosts)])
    files = options.folder / "api.pem", options.folder / "api.key"
    write(authority.server_certificate([name for name in names if name not in ("0.0.0.0", "::")]), *files)  # noqa: S104
    return Tls(str(files[0]), str(files[1]))


def _write_private(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNER_ONLY), "w") as file:
        file.write(text)


def _secret(folder: Path) -> bytes:
    """What ownership tokens are made with; made once."""
    path = folder / "provisioning.secret"
    if not path.exists():
        _write_private(path, secrets.token_hex(32))
    return bytes.fromhex(path.read_text(encoding="ascii").strip())


def _line(line: tuple[str, str]) -> str:
    name, text = line
    return f"  {name:10}{text}"
