"""SIM cards: ordered, tried out, active, suspended, retired; a thing without an active one cannot connect."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Final, Literal, TypeAlias

from msgspec.structs import replace

from twin.message import Message
from twin.state.records import Record, Records, Transaction
from twin.state.registry.audit import administered
from twin.state.registry.things import THING, RegistryError, unknown

SIM: Final = "sim"
TEST_S: Final = 30.0 * 86_400.0
_ICCID: Final = re.compile(r"89[0-9]{16,20}")

SimState: TypeAlias = Literal["ordered", "test_ready", "active", "suspended", "retired"]
SIM_TRANSITIONS: Final[dict[str, frozenset[str]]] = {
    "ordered": frozenset({"test_ready", "active", "retired"}),
    "test_ready": frozenset({"active", "suspended", "retired"}),
    "active": frozenset({"suspended", "retired"}),
    "suspended": frozenset({"active", "retired"}),
    "retired": frozenset(),
}
"""What may follow each state; nobody is billed before "active", and nothing follows "retired"."""
CONNECTED: Final = frozenset({"test_ready", "active"})


class Sim(Record, frozen=True):
    """A SIM card or profile by its ICCID, and the thing that holds it. A test period falls due."""

    iccid: str
    operator: str = ""
    thing: str = ""
    state: SimState = "ordered"
    changed_s: float = 0.0
    version: int = 1


@dataclass(frozen=True, slots=True)
class Connectivity:
    """Keeps SIM cards. One that was tried out for `test_s` and not activated is suspended."""

    test_s: float = TEST_S

    filters: ClassVar[tuple[str, ...]] = ()
    kinds: ClassVar[Mapping[str, type[Record]]] = {SIM: Sim}

    def handle(self, message: Message, transaction: Transaction) -> None:
        """Nothing is asked of it by message."""

    def expire(self, kind: str, key: str, transaction: Transaction) -> None:
        """The test period is over."""
        self._move(transaction.records.get(kind, key), "suspended", transaction, "service")

    def order(self, iccid: str, transaction: Transaction, *, operator: str = "", by: str = "service") -> Sim:
        """A card was ordered. Raises RegistryError: 400 for a number that is no ICCID, 409 if it is known."""
        if not _ICCID.fullmatch(iccid):
            raise RegistryError(400, f"{iccid[:40]!r} is no ICCID: 18 to 22 digits that begin with 89")
        if transaction.records.get(SIM, iccid) is not None:
            raise RegistryError(409, f"SIM {iccid} is known already")
        sim = Sim(iccid=iccid, operator=operator, changed_s=transaction.now_s)
        transaction.put(SIM, iccid, sim)
        administered(transaction, by, "order", f"sim {iccid}")
        return sim

    def assign(self, iccid: str, thing: str, transaction: Transaction, *, by: str = "service") -> Sim:
        """Put a card into a thing. Raises RegistryError: 404 if one of the two is not known."""
        sim = self._known(iccid, transaction)
        if transaction.records.get(THING, thing) is None:
            raise RegistryError(404, unknown("thing", thing, transaction.records.of(THING)))
        assigned = replace(sim, thing=thing, version=sim.version + 1, changed_s=transaction.now_s)
        transaction.put(SIM, iccid, assigned)
        administered(transaction, by, "assign", f"sim {iccid}", thing)
        return assigned

    def set_state(self, iccid: str, state: SimState, transaction: Transaction, *, by: str = "service") -> Sim:
        """Move a card on. Raises RegistryError: 404, or 409 if the state cannot follow the present one."""
        sim = self._known(iccid, transaction)
        if state not in SIM_TRANSITIONS[sim.state]:
            following = ", ".join(sorted(SIM_TRANSITIONS[sim.state])) or "nothing"
            raise RegistryError(409, f"SIM {iccid} is {sim.state}; only {following} can follow")
        return self._move(sim, state, transaction, by)

    def _move(self, sim: Sim, state: SimState, transaction: Transaction, by: str) -> Sim:
        now_s = transaction.now_s
        due_s = now_s + self.test_s if state == "test_ready" else math.inf
        moved = replace(sim, state=state, changed_s=now_s, version=sim.version + 1, due_s=due_s)
        transaction.put(SIM, sim.iccid, moved)
        administered(transaction, by, "set state", f"sim {sim.iccid}", f"{sim.state} -> {state}")
        return moved

    def _known(self, iccid: str, transaction: Transaction) -> Sim:
        sim: Sim | None = transaction.records.get(SIM, iccid)
        if sim is None:
            raise RegistryError(404, f"there is no SIM {iccid[:40]!r}")
        return sim


def unconnected(records: Records) -> frozenset[str]:
    """The things that have SIM cards of which none works."""
    held: dict[str, bool] = {}
    for sim in records.of(SIM).values():
        held[sim.thing] = held.get(sim.thing, False) or sim.state in CONNECTED
    return frozenset(thing for thing, works in held.items() if thing and not works)
