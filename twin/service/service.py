"""The twins as a running service: store, writer, broker and bridge put together, watched and ended."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

from twin.errors import InputError, MissingEnvironmentError, WindtunnelError
from twin.live.sinks.worker import SinkWorker
from twin.message import Message
from twin.service.access_list import AccessList
from twin.service.authority import Authority
from twin.service.bridge import Bridge
from twin.service.enforcement import Enforcement, probe
from twin.service.forwarding import Forwarding
from twin.service.metrics import Metrics
from twin.service.mosquitto import OWNER, BrokerSettings, Mosquitto
from twin.service.session import Probe
from twin.service.target import Target
from twin.service.watching import Watch
from twin.service.writer import BusyError, Writer
from twin.state.journal import History, Store
from twin.state.records import Component, Transaction
from twin.state.registry.certificates import CERTIFICATE, Certificate
from twin.state.registry.provisioning import Provisioning
from twin.state.shadow import InFlight, Shadows
from twin.state.standard import component
from twin.state.twins import Twins

READY_S: Final = 10.0
QUICK_CLIENTS: Final = 1_000
PAUSE_S: Final = 0.5
"""Up to so many clients the access list holds when a change is kept. Mosquitto reads it in a time that grows
with the square of the clients, 0.1 s for 1,000 and 5 s for 10,000: with more the list follows, and so often
only that reading it takes a tenth of the time.
"""
TAKE_S: Final = 5.0
TEND_S: Final = 0.2
INFLIGHT_LIMIT: Final = 1_000
"""AWS refuses more than 10 shadow requests in flight of one connection; here what waited for us in an outage
comes all at once and must not be refused for it.
"""
INTERRUPT_EVERY_S: Final = 5.0
RESTART_PAUSES_S: Final = (0.5, 1.0, 2.0, 5.0)
REVOCATIONS_EVERY_S: Final = 86_400.0
STOP_S: Final = 3.0
MOST_TOLD: Final = 100
CHANGING_AWAY: Final = "the broker is away, so nothing can be changed now; reads go on"

T = TypeVar("T")


class Keeps(Store, History, Protocol):
    """A store that can be read too."""


class ReadOnlyError(WindtunnelError):
    """Nothing can be changed now, because devices would not hear of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceSettings:
    """What runs where. Without a `target` the service runs a broker of its own in its folder.

    `probe` has the credentials of a device, by which it is tried whether the broker keeps devices apart. With
    `queues_changes` changes are taken while the broker is away, and told when it is back. What rules forward
    goes to the `sinks` of their names; `source` tells our documents there from another service's.
    """

    folder: Path
    broker: BrokerSettings = field(default_factory=BrokerSettings)
    target: Target | None = None
    client_id: str = OWNER
    probe: Target | None = None
    queues_changes: bool = False
    requires_authorisation: bool = False
    inflight_limit: int = INFLIGHT_LIMIT
    sinks: Mapping[str, SinkWorker] = field(default_factory=dict)
    source: str = ""


class Overheard:
    """A store that tells of each commit, on the writer's thread and before anything is published."""

    def __init__(self, store: Store, tell: Callable[[Sequence[Transaction]], None]) -> None:
        self._store, self._tell = store, tell

    def prepare(self, transactions: Sequence[Transaction]) -> None:
        """Do now what the next commit would have to do."""
        self._store.prepare(transactions)

    def commit(self, transactions: Sequence[Transaction]) -> int:
        """Keep all of them, then tell."""
        number = self._store.commit(transactions)
        self._tell(transactions)
        return number

    def settle(self, numbers: Any) -> None:
        """The messages under these numbers were published."""
        self._store.settle(numbers)

    def tend(self) -> None:
        """Do what can wait."""
        self._store.tend()

    def close(self) -> None:
        """Let go of the store."""
        self._store.close()


class TwinService:
    """Start it, tend it now and then from the thread that started it, stop it.

    `report` is told what happens, one sentence each. `branching` makes components for a branch: they must
    not be those of the service, which has a thread of its own, nor issue certificates that hold.
    """

    def __init__(
        self,
        twins: Twins,
        store: Keeps,
        settings: ServiceSettings,
        report: Callable[[str], None],
        authority: Authority | None = None,
        branching: Callable[[], Sequence[Component]] = tuple,
    ) -> None:
        self.twins, self.history, self.settings = twins, store, settings
        self.metrics, self.watch = Metrics(), Watch(component(twins, Provisioning).arrived)
        self.authority, self.branching = authority, branching
        self.broker: Mosquitto | None = None
        self.enforcement: Enforcement | None = None
        self.started_s = time.time()
        self.told: list[str] = []
        self._report = report
        self._inflight, self._inflight_lock = InFlight(settings.inflight_limit), threading.Lock()
        self._shadows = component(twins, Shadows)
        self._grant_due = threading.Event()
        self._access, self._granted_s = AccessList(), time.time()
        self._restarts, self._restart_s = 0, 0.0
        self._interrupted_s, self._connections = 0.0, 0
        if settings.target is None:
            self.authority = authority or Authority.ensure(settings.folder / "ca")
            self.broker = Mosquitto(
                settings.folder / "broker", settings.broker, self.authority, self.watch.hear
            )
        self.writer = Writer(
            twins,
            Overheard(store, self._kept),
            self._publish,
            time.time,
            report=self.tell,
            since_s=store.bounds().last_s,
            waiting=store.outbox(),
        )
        self.bridge: Bridge
        self.forwarding = Forwarding(settings.sinks, settings.source, self.writer.settle)

    # running ---------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Return when requests are taken. Raises MissingEnvironmentError or InputError with the reason."""
        try:
            target = self._started_broker() if self.settings.target is None else self.settings.target
            if self.settings.target is not None:
                self._examine(target)
            self.bridge = Bridge(
                target,
                self.settings.client_id,
                self.twins.filters,
                self._take,
                self.forwarding.broker_done,
                self._is_will,
            )
            self.forwarding.start()
            self.writer.start()
            self._open_bridge()
        except BaseException:
            self.stop()
            raise

    def tend(self) -> None:
        """Look after everything once: restart a broker that ended, write what its log told."""
        self._tend_broker()
        if self.forwarding.wants:
            self._fetch()
        if self.watch.has_news:
            self._write_refusals()
        now_s = time.time()
        if self._is_grant_due(now_s) or now_s - self._granted_s > REVOCATIONS_EVERY_S:
            self._granted_s = now_s
            self.renew_access()
        if self.writer.trouble and now_s - self._interrupted_s > INTERRUPT_EVERY_S:
            self._interrupted_s = now_s
            self.bridge.interrupt()  # what was not kept comes again
        if self.bridge.counts.connections != self._connections:
            self._connections = self.bridge.counts.connections
            with self._inflight_lock:
                self._inflight.counts.clear()

    def stop(self) -> None:
        """End everything in order: finish requests, let answers out, stop the broker."""
        try:
            self.forwarding.finish(STOP_S)
            self.writer.stop(STOP_S)
        finally:
            self.forwarding.stop()
            bridge = getattr(self, "bridge", None)
            if bridge is not None:
                until_s = time.time() + STOP_S / 3.0
                while bridge.waiting and bridge.is_ready and time.time() < until_s:
                    time.sleep(0.01)
                bridge.stop()
            if self.broker is not None:
                self.broker.stop()

    def tell(self, what: str) -> None:
        """Report something, and remember it for /health."""
        self.told = [*self.told[-MOST_TOLD:], what]
        self._report(what)

    # for the API -----------------------------------------------------------------------------------------

    @property
    def is_read_only(self) -> bool:
        """Whether changes are refused now."""
        return not self.bridge.is_ready and not self.settings.queues_changes

    def change(self, work: Callable[[Transaction], T]) -> Future[T]:
        """Do work that changes something. Raises ReadOnlyError or BusyError."""
        if self.is_read_only:
            raise ReadOnlyError(CHANGING_AWAY)
        return self.writer.submit(work, timeout_s=0.0)

    def read(self, work: Callable[[Transaction], T]) -> Future[T]:
        """Do work that changes nothing, in the order of the changes. Raises BusyError."""
        return self.writer.submit(work, timeout_s=0.0)

    def renew_access(self) -> None:
        """Let what certificates and policies say now hold at the broker, and end what may not be there."""
        broker = self.broker
        self._grant_due.clear()
        if broker is None:
            return

        def taken(_: Transaction) -> tuple[str, set[str]]:
            shut_out, self._access.shut_out = self._access.shut_out, set()
            return self._access.text(), shut_out

        access, shut_out = self.read(taken).result(READY_S)
        broker.grant(access)
        for client in shut_out & self.watch.connected:
            broker.end_session(client)

    # the broker ------------------------------------------------------------------------------------------

    def _started_broker(self) -> Target:
        broker = self.broker
        if broker is None:
            raise InputError("there is no broker to start")
        self._access.renew(self.twins.records)
        broker.start(self._access.text())
        self.enforcement = Enforcement.managed()
        return Target(path=broker.socket_path)

    def _open_bridge(self) -> None:
        self.bridge.start()
        if not self.bridge.wait_until_ready(READY_S):
            raise MissingEnvironmentError(f"no session with the broker: {self.bridge.trouble}")

    def _examine(self, target: Target) -> None:
        with Probe(target, f"{self.settings.client_id}-probe"):
            pass
        self.enforcement = probe(target, self.settings.probe)
        if self.settings.requires_authorisation and not self.enforcement.is_enforced:
            raise MissingEnvironmentError(self.enforcement.sentence)

    def _tend_broker(self) -> None:
        broker, now_s = self.broker, time.time()
        if broker is None or broker.is_running or now_s < self._restart_s:
            return
        if self._restart_s == 0.0:
            self.tell("the broker has ended; it is started again")
        try:
            broker.stop()
            broker.start(self.read(lambda _: self._access.text()).result(READY_S))
        except WindtunnelError as error:
            pause_s = RESTART_PAUSES_S[min(self._restarts, len(RESTART_PAUSES_S) - 1)]
            self._restarts, self._restart_s = self._restarts + 1, now_s + pause_s
            self.tell(f"the broker could not be started again: {error}")
        else:
            self._restarts, self._restart_s = 0, 0.0
            self.watch.connected.clear()

    def _fetch(self) -> None:
        """Bring the sinks what they had no room for before."""
        try:
            work = self.writer.submit(lambda _: self.forwarding.fetch(self.history.outbox()), timeout_s=0.0)
            work.result(READY_S)
        except (BusyError, WindtunnelError, TimeoutError) as error:
            self.tell(f"what waits for a sink could not be fetched: {error}")

    def _write_refusals(self) -> None:
        try:
            count = self.writer.submit(self.watch.write, timeout_s=0.0).result(READY_S)
        except (BusyError, WindtunnelError, TimeoutError) as error:
            self.tell(f"refusals could not be written into the audit log: {error}")
        else:
            self.metrics.add("windtunnel_refused_total", float(count))

    # messages --------------------------------------------------------------------------------------------

    def _take(self, message: Message, done: Callable[[], None]) -> None:
        """On the bridge's thread: hand a message to the writer; what it cannot take comes again."""
        topic = message.topic
        with self._inflight_lock:
            is_taken = self._inflight.begin(topic)

        def kept() -> None:
            with self._inflight_lock:
                self._inflight.end(topic)
            done()

        try:
            if is_taken:
                self.writer.offer(message, kept, timeout_s=TAKE_S)
            else:
                refused = self.writer.submit(lambda each: self._shadows.refuse(message, each))
                refused.add_done_callback(lambda _: done())
        except BusyError:
            self.bridge.interrupt()

    def _publish(self, number: int, messages: Sequence[Message]) -> None:
        for_broker = self.forwarding.take(number, messages)
        if for_broker:
            self.bridge.publish(number, for_broker)

    def _is_will(self, packet_id: int, topic: str) -> bool:
        log = None if self.broker is None else self.broker.log
        return log is not None and log.is_will(packet_id, topic)

    def _kept(self, transactions: Sequence[Transaction]) -> None:
        """On the writer's thread: what was just kept, before it is published."""
        for transaction in transactions:
            self.metrics.observe(transaction.observations)
        changes = [change for transaction in transactions for change in transaction.changes]
        for change in changes:
            if change.kind == CERTIFICATE and isinstance(change.record, Certificate):
                self._follow(change.record)
        if self.broker is not None and self._access.follow(changes, self.twins.records):
            self._grant_due.set()
            if len(self._access.blocks) <= QUICK_CLIENTS:
                self.broker.grant(self._access.text())

    def _follow(self, certificate: Certificate) -> None:
        """What was revoked is on the list of the authority, and its sessions end."""
        if certificate.state == "REVOKED" and self.authority is not None:
            self.authority.revoke(certificate.serial)
            self._access.shut_out.add(certificate.common_name)
            self._grant_due.set()

    def _is_grant_due(self, now_s: float) -> bool:
        """Whether the broker is to read its lists now; where that takes long it is not done all the time."""
        clients = len(self._access.blocks)
        pause_s = 0.0 if clients <= QUICK_CLIENTS else PAUSE_S * (clients / QUICK_CLIENTS) ** 2
        return self._grant_due.is_set() and now_s - self._granted_s >= pause_s
