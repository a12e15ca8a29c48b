"""Commands to things: sent once their session is alive, answered or expired, and never done twice by us.

    queued --> sent --received--> acked --> done | failed | rejected
       `---------`------------------`--> expired

A command is sent again with the same id, so that the device can tell that it knows it; what a device says
late, twice or in the wrong order never leads back. A key makes asking idempotent as well.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Literal, TypeAlias

import msgspec
from msgspec.structs import replace

from twin.errors import RefusedError
from twin.message import Message
from twin.state import sessions
from twin.state.nesting import DEEPEST, is_deep
from twin.state.records import Record, Records, Transaction, Tree

KIND: Final = "command"
KEY: Final = "command_key"
OPEN: Final = "open_commands"
COUNT: Final = "command_count"
GROUP: Final = "command_group"
NAME: Final = re.compile(r"[A-Za-z0-9:_.$-]{1,128}")
ARGUMENTS_LIMIT_BYTES: Final = 65_536
RESULT_LIMIT_BYTES: Final = 65_536
OPEN_LIMIT: Final = 100
KEPT_LIMIT: Final = 200_000
SENDS_LIMIT: Final = 10
TIMEOUT_LIMIT_S: Final = 30 * 86_400.0

Stage: TypeAlias = Literal["queued", "sent", "acked", "done", "failed", "rejected", "expired"]
ENDED: Final = ("done", "failed", "rejected", "expired")
RANK: Final[dict[str, int]] = {"queued": 0, "sent": 1, "acked": 2} | dict.fromkeys(ENDED, 3)
HEARD: Final[dict[str, Stage]] = {
    "received": "acked",
    "done": "done",
    "failed": "failed",
    "rejected": "rejected",
}
"""What a device says, and the stage that it means."""
DEFAULT_CODES: Final = {"done": 200, "failed": 500, "rejected": 403, "expired": 408}
PENDING: Final = 202
FAILED_DEPENDENCY: Final = 424


class Command(Record, frozen=True):
    """One command to one thing; times in seconds. It falls due when it expires or is to be sent again."""

    id: str
    thing: str
    name: str
    arguments: Tree = msgspec.field(default_factory=dict)
    stage: Stage = "queued"
    issued_s: float = 0.0
    expires_s: float = math.inf
    waits_for_session: bool = False
    sends_left: int = 1
    retry_s: float = math.inf
    sent_count: int = 0
    sent_s: float | None = None
    sent_session: int = -1
    acked_s: float | None = None
    ended_s: float | None = None
    code: int | None = None
    result: Any = None
    late_stage: str = ""
    key: str = ""
    correlation: str = ""

    @property
    def status(self) -> int:
        """How it stands, as a code of HTTP: 202 while it is open, 2xx done, 408 expired."""
        if self.stage not in ENDED:
            return PENDING
        fits = self.code is not None and 100 <= self.code <= 599
        is_fitting = fits and (self.stage == "done") == (200 <= (self.code or 0) < 300)
        return self.code if is_fitting and self.code else DEFAULT_CODES[self.stage]


class CommandKey(Record, frozen=True):
    """Which command, or group of commands, was asked for under a key, and what was asked (a digest)."""

    id: str
    asked: str


class OpenCommands(Record, frozen=True):
    """The ids of the commands of a thing that have not ended, oldest first."""

    ids: tuple[str, ...]


class CommandCount(Record, frozen=True):
    """How many commands there ever were: ids do not come twice."""

    count: int = 0


class CommandGroup(Record, frozen=True):
    """One command to several things: the ids in the order of the things."""

    id: str
    name: str
    ids: tuple[str, ...]
    issued_s: float


class _Ack(msgspec.Struct, frozen=True):
    id: str
    stage: Literal["received", "done", "failed", "rejected"]
    code: int | None = None
    result: Any = None


def command_topic(records: Records, thing: str, name: str) -> str:
    """The topic of a command: below the place of a thing that the registry knows, else below its name."""
    known = records.get("thing", thing)
    site, kind = getattr(known, "site", ""), getattr(known, "type", "")
    prefix = f"site/{site}/{kind}/{thing}" if site and kind else f"things/{thing}"
    return f"{prefix}/cmd/{name}"


def no_problem(records: Records, thing: str, name: str, arguments: Tree) -> str:
    """Without types any arguments will do."""
    del records, thing, name, arguments
    return ""


@dataclass(frozen=True, slots=True)
class Commands:
    """Sends commands and follows them to their end; it stands behind `Sessions`.

    `problem` says why a thing's type does not have a command with these arguments, or an empty text.
    At most `open_limit` commands of a thing are open at a time. What has ended is kept with its key for
    `keep_s` (seconds) after its time-out, at most `kept_limit` in all; the journal keeps it longer.

    Observes `command_latency` (seconds from asking to done), `command_sent`, `command_done`,
    `command_failed`, `command_rejected`, `command_expired`, `command_late` (answers that change nothing)
    and `command_unknown` (answers to no command).
    """

    filters: ClassVar[Sequence[str]] = ("site/+/+/+/cmd/+/ack", "things/+/cmd/+/ack", *sessions.FILTERS)
    kinds: ClassVar[Mapping[str, type[Record]]] = {
        KIND: Command,
        KEY: CommandKey,
        OPEN: OpenCommands,
        COUNT: CommandCount,
        GROUP: CommandGroup,
    }
    measures: ClassVar[tuple[str, ...]] = (
        "command_latency",
        *(f"command_{each}" for each in ("sent", *ENDED, "late", "unknown")),
    )

    topic: Callable[[Records, str, str], str] = command_topic
    problem: Callable[[Records, str, str, Tree], str] = no_problem
    open_limit: int = OPEN_LIMIT
    keep_s: float = 3600.0
    kept_limit: int = KEPT_LIMIT

    def handle(self, message: Message, transaction: Transaction) -> None:
        """Take an answer of a device, or the birth of a session that commands wait for."""
        levels = message.topic.split("/")
        if levels[-1] == "session":
            self._session_changed(levels[-2], transaction)
            return
        try:
            ack = msgspec.json.decode(message.payload, type=_Ack)
        except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError, RecursionError) as error:
            transaction.observe("command_unknown")
            transaction.note("set_aside", message.topic, {"reason": str(error)})
            return
        thing, name = levels[-4], levels[-2]
        command: Command | None = transaction.records.get(KIND, ack.id)
        if command is None or (command.thing, command.name) != (thing, name):
            transaction.observe("command_unknown")
            return
        self._answered(command, ack, transaction)

    def expire(self, kind: str, key: str, transaction: Transaction) -> None:
        """A command expires, is sent again, or is forgotten; keys and groups are forgotten."""
        if kind != KIND:
            transaction.remove(kind, key)
            return
        command: Command = transaction.records.get(KIND, key)
        if command.stage in ENDED:
            _forget(command, transaction)
        elif transaction.now_s >= command.expires_s:
            self._end(command, "expired", transaction)
        else:
            self._send(command, transaction)

    # what is asked of it ---------------------------------------------------------------------------------

    def issue(
        self,
        thing: str,
        name: str,
        arguments: Tree,
        transaction: Transaction,
        *,
        timeout_s: float,
        key: str | None = None,
        correlation: str = "",
        wait_for_session: bool = False,
        retries: int = 0,
        retry_s: float | None = None,
    ) -> Command:
        """Command a thing; it expires after `timeout_s` wherever it then is.

        It is sent at once, or with `wait_for_session` when the thing's session is alive; unanswered it is
        sent again up to `retries` times, every `retry_s` (without it, evenly over the time there is).
        The same `key` gives the same command. Raises RefusedError for bad names, times and arguments (400),
        another command under the key (409), too long arguments (413) and too many open ones (429).
        """
        self._check(thing, name, arguments, timeout_s, retries, transaction.records)
        asked = _digest([thing, name, arguments])
        if key and (known := self._known(key, asked, transaction)) is not None:
            return known
        opened: OpenCommands | None = transaction.records.get(OPEN, thing)
        if opened is not None and len(opened.ids) >= self.open_limit:
            raise RefusedError(429, f"{thing!r} has {len(opened.ids)} open commands, which is the limit")
        self._make_room(transaction)
        now_s = transaction.now_s
        command = Command(
            id=_next_id(transaction),
            thing=thing,
            name=name,
            arguments=arguments,
            issued_s=now_s,
            expires_s=now_s + timeout_s,
            waits_for_session=wait_for_session,
            sends_left=retries + 1,
            retry_s=retry_s or timeout_s / (retries + 1),
            key=key or "",
            correlation=correlation,
        )
        if key:
            transaction.put(KEY, key, CommandKey(id=command.id, asked=asked))
        ids = (*opened.ids, command.id) if opened is not None else (command.id,)
        transaction.put(OPEN, thing, OpenCommands(ids=ids))
        return self._send(command, transaction)

    def issue_all(
        self,
        things: Iterable[str],
        name: str,
        arguments: Tree,
        transaction: Transaction,
        *,
        timeout_s: float,
        key: str | None = None,
        **options: Any,
    ) -> CommandGroup:
        """Command several things at once. Raises RefusedError as `issue` does, before anything is sent."""
        names = list(dict.fromkeys(things))
        asked = _digest([names, name, arguments])
        known: CommandKey | None = transaction.records.get(KEY, key) if key else None
        if known is not None:
            if known.asked != asked:
                raise RefusedError(409, f"key {key!r} stands for another command")
            group: CommandGroup = transaction.records.get(GROUP, known.id)
            return group
        for thing in names:
            self._check(thing, name, arguments, timeout_s, options.get("retries", 0), transaction.records)
            opened: OpenCommands | None = transaction.records.get(OPEN, thing)
            if opened is not None and len(opened.ids) >= self.open_limit:
                raise RefusedError(429, f"{thing!r} has {len(opened.ids)} open commands, which is the limit")
        ids = tuple(
            self.issue(thing, name, arguments, transaction, timeout_s=timeout_s, **options).id
            for thing in names
        )
        group_id = _next_id(transaction)
        due_s = transaction.now_s + timeout_s + self.keep_s
        group = CommandGroup(id=group_id, name=name, ids=ids, issued_s=transaction.now_s, due_s=due_s)
        transaction.put(GROUP, group_id, group)
        if key:
            transaction.put(KEY, key, CommandKey(id=group_id, asked=asked, due_s=due_s))
        return group

    # inside ----------------------------------------------------------------------------------------------

    def _check(
        self, thing: str, name: str, arguments: Tree, timeout_s: float, retries: int, records: Records
    ) -> None:
        _check(thing, name, arguments, timeout_s, retries)
        if problem := self.problem(records, thing, name, arguments):
            raise RefusedError(400, f"{name!r} to {thing!r}: {problem}")

    def _make_room(self, transaction: Transaction) -> None:
        """The oldest command that has ended goes when too many are kept."""
        kept = transaction.records.of(KIND)
        if len(kept) < self.kept_limit:
            return
        oldest = next((command for command in kept.values() if command.stage in ENDED), None)
        if oldest is None:
            raise RefusedError(429, f"{len(kept)} commands are open, which is the limit")
        _forget(oldest, transaction)

    def _known(self, key: str, asked: str, transaction: Transaction) -> Command | None:
        known: CommandKey | None = transaction.records.get(KEY, key)
        if known is None:
            return None
        if known.asked != asked:
            raise RefusedError(409, f"key {key!r} stands for another command")
        command: Command | None = transaction.records.get(KIND, known.id)
        return command

    def _send(self, command: Command, transaction: Transaction) -> Command:
        """Publish it, first or again; nobody to hear it, a copy waits and costs no try."""
        if command.waits_for_session and not sessions.is_alive(transaction.records, command.thing):
            waiting = replace(command, due_s=command.expires_s)
            transaction.put(KIND, command.id, waiting)
            return waiting
        now_s = transaction.now_s
        sends_left = command.sends_left - 1
        again_s = now_s + command.retry_s if sends_left else math.inf
        sent = replace(
            command,
            stage="sent",
            sent_count=command.sent_count + 1,
            sends_left=sends_left,
            sent_session=_session(transaction.records, command.thing),
            sent_s=now_s if command.sent_s is None else command.sent_s,
            due_s=min(command.expires_s, again_s),
        )
        transaction.put(KIND, command.id, sent)
        expires_ms = round(command.expires_s * 1000.0)
        document = {"id": command.id, "args": command.arguments, "expires": expires_ms}
        transaction.publish(self.topic(transaction.records, command.thing, command.name), document)
        transaction.observe("command_sent")
        return sent

    def _session_changed(self, thing: str, transaction: Transaction) -> None:
        """Send what waited for the thing, and what an earlier session did not answer."""
        session = _session(transaction.records, thing)
        opened: OpenCommands | None = transaction.records.get(OPEN, thing)
        if opened is None or not sessions.is_alive(transaction.records, thing):
            return
        for command_id in opened.ids:
            command: Command = transaction.records.get(KIND, command_id)
            is_unheard = command.stage in ("queued", "sent") and command.sent_session != session
            is_waiting = command.waits_for_session and is_unheard and command.sends_left > 0
            if is_waiting and transaction.now_s < command.expires_s:
                self._send(command, transaction)

    def _answered(self, command: Command, ack: _Ack, transaction: Transaction) -> None:
        stage = HEARD[ack.stage]
        if RANK[stage] <= RANK[command.stage]:
            if command.stage == "expired" and not command.late_stage:
                transaction.put(KIND, command.id, replace(command, late_stage=ack.stage))
            transaction.observe("command_late")
            return
        is_kept = not is_deep(ack.result) and len(msgspec.json.encode(ack.result)) <= RESULT_LIMIT_BYTES
        heard = replace(command, code=ack.code, result=ack.result if is_kept else None)
        if stage == "acked":
            due_s = command.expires_s
            acked = replace(heard, stage=stage, acked_s=transaction.now_s, due_s=due_s)
            transaction.put(KIND, command.id, acked)
        else:
            self._end(heard, stage, transaction)

    def _end(self, command: Command, stage: Stage, transaction: Transaction) -> None:
        now_s = transaction.now_s
        due_s = command.expires_s + self.keep_s
        ended = replace(command, stage=stage, ended_s=now_s, due_s=due_s)
        transaction.put(KIND, command.id, ended)
        opened: OpenCommands = transaction.records.get(OPEN, command.thing)
        ids = tuple(each for each in opened.ids if each != command.id)
        if ids:
            transaction.put(OPEN, command.thing, OpenCommands(ids=ids))
        else:
            transaction.remove(OPEN, command.thing)
        transaction.observe(f"command_{stage}")
        if stage == "done":
            transaction.observe("command_latency", now_s - command.issued_s)


def commands(
    records: Records,
    *,
    thing: str | None = None,
    stage: str | None = None,
    is_open: bool | None = None,
    limit: int = 1000,
) -> list[Command]:
    """The commands that fit, the newest first."""
    found: list[Command] = []
    for command in reversed(records.of(KIND).values()):
        is_fitting = thing in (None, command.thing) and stage in (None, command.stage)
        if is_fitting and is_open in (None, command.stage not in ENDED):
            found.append(command)
            if len(found) == limit:
                break
    return found


def combined(records: Records, group: CommandGroup) -> Tree:
    """One status for a command to several things, and the answer of each.

    202 while one is open; of one thing its own status; 200 if all are done; 408 if all that are not done
    did not answer in time; 424 otherwise. A command that is no longer kept counts as expired.
    """
    answers: dict[str, Tree] = {}
    for number, command_id in enumerate(group.ids):
        command: Command | None = records.get(KIND, command_id)
        if command is None:
            answers[f"#{number}"] = {"id": command_id, "status": DEFAULT_CODES["expired"], "stage": "expired"}
            continue
        answer = {"id": command.id, "status": command.status, "stage": command.stage}
        answers[command.thing] = answer if command.result is None else {**answer, "result": command.result}
    return {"status": _one_status([answer["status"] for answer in answers.values()]), "answers": answers}


def _one_status(statuses: list[int]) -> int:
    if PENDING in statuses:
        return PENDING
    if len(statuses) == 1:
        return statuses[0]
    bad = {status for status in statuses if not 200 <= status < 300}
    if not bad:
        return 200
    return DEFAULT_CODES["expired"] if bad == {DEFAULT_CODES["expired"]} else FAILED_DEPENDENCY


def _session(records: Records, thing: str) -> int:
    known: sessions.Session | None = records.get(sessions.KIND, thing)
    return known.number if known is not None else -1


def _forget(command: Command, transaction: Transaction) -> None:
    transaction.remove(KIND, command.id)
    if command.key:
        transaction.remove(KEY, command.key)


def _digest(asked: Any) -> str:
    text = msgspec.json.encode(asked, order="deterministic")
    return hashlib.blake2b(text, digest_size=16).hexdigest()


def _next_id(transaction: Transaction) -> str:
    """The time and a number: also after the count was lost, no id comes twice."""
    known: CommandCount = transaction.records.get(COUNT, "") or CommandCount()
    transaction.put(COUNT, "", CommandCount(count=known.count + 1))
    return f"c{round(transaction.now_s * 1000.0)}-{known.count + 1}"


def _check(thing: str, name: str, arguments: Tree, timeout_s: float, retries: int) -> None:
    for what, text in (("thing", thing), ("command", name)):
        if not NAME.fullmatch(text):
            raise RefusedError(400, f"{text!r} is no name of a {what}: letters, digits and :_.$- only")
    if not 0 < timeout_s <= TIMEOUT_LIMIT_S:
        raise RefusedError(400, f"a command needs a time-out above 0 s and at most {TIMEOUT_LIMIT_S:g} s")
    if not 0 <= retries < SENDS_LIMIT:
        raise RefusedError(400, f"a command is sent again 0 to {SENDS_LIMIT - 1} times, not {retries}")
    if is_deep(arguments):
        raise RefusedError(400, f"arguments of a command are nested at most {DEEPEST} deep")
    if len(msgspec.json.encode(arguments)) > ARGUMENTS_LIMIT_BYTES:
        raise RefusedError(413, f"arguments of a command have at most {ARGUMENTS_LIMIT_BYTES} bytes")
