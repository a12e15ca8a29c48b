"""Branches over HTTP: what if, from now or from an earlier moment, without touching anything real."""

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Body, Depends, Query
from pydantic import BaseModel, ConfigDict, Field

from twin.message import Message
from twin.service.api.answers import ApiError, Json, kept, routes
from twin.service.api.callers import Callers
from twin.service.api.view import twin_of
from twin.service.service import TwinService
from twin.service.tokens import Token
from twin.state.branch import NOW, Branch, branch_at, diff, live_branch
from twin.state.records import Transaction
from twin.state.registry.audit import administered
from twin.state.registry.search import search
from twin.state.standard import TypeAges, component
from twin.state.telemetry import TelemetryKeeper
from twin.state.twins import Twins

MOST_BRANCHES = 20
Limit = Annotated[int, Query(ge=1, le=10_000)]


class NewBranch(BaseModel):
    """From when: now, a sequence of the journal, or a time such as 2026-03-01T12:00:00Z."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(pattern="^[A-Za-z0-9_-]{1,64}$")
    at: str = Field(default=NOW, max_length=64)


class Happening(BaseModel):
    """A message that is to come in a branch, `after_s` seconds later than what came last."""

    model_config = ConfigDict(extra="forbid")

    topic: str
    payload: Any = None
    after_s: float = Field(default=0.0, ge=0.0, le=1e9)


@dataclass(slots=True)
class Branches:
    """The branches that are open. They live in memory, and end with the service."""

    opened: dict[str, Branch] = field(default_factory=dict)
    now_s: dict[str, float] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def get(self, name: str) -> Branch:
        """A branch that is open; raises ApiError 404."""
        branch = self.opened.get(name)
        if branch is None:
            raise ApiError(404, f"there is no branch {name!r}", "look them up: GET /v1/branches")
        return branch

    def add(self, branch: Branch) -> None:
        """Keep a branch; raises ApiError 409 if there is one of its name, or if there are too many."""
        with self.lock:
            if branch.name in self.opened:
                raise ApiError(
                    409, f"there is a branch {branch.name!r} already", "delete it, or name another"
                )
            if len(self.opened) >= MOST_BRANCHES:
                raise ApiError(409, f"{MOST_BRANCHES} branches are open", "delete one that is not needed")
            self.opened[branch.name], self.now_s[branch.name] = branch, branch.at_s

    def remove(self, name: str) -> None:
        """Forget a branch; raises ApiError 404."""
        self.get(name)
        with self.lock:
            self.opened.pop(name, None)
            self.now_s.pop(name, None)


def branch_routes(service: TwinService, callers: Callers) -> APIRouter:
    """Branches are made by operators and read by viewers."""
    router, branches = routes("/v1/branches", "branches"), Branches()
    viewer, operator = callers.at_least("viewer"), callers.at_least("operator")

    @router.get("", response_class=Json)
    async def all_branches(caller: Annotated[Token, Depends(viewer)]) -> Json:
        """The branches that are open."""
        del caller
        return Json({"branches": [_shown(each) for each in branches.opened.values()]})

    @router.post("", status_code=201, response_class=Json)
    async def new_branch(asked: NewBranch, caller: Annotated[Token, Depends(operator)]) -> Json:
        """All twins as they are, or as they were."""

        def made(transaction: Transaction) -> Branch | None:
            administered(transaction, caller.name, "create", f"branch {asked.name}", asked.at)
            if asked.at == NOW:
                last = service.history.bounds().last
                return live_branch(transaction.records, last, transaction.now_s, asked.name)
            if not hasattr(service.history, "reader"):  # in memory nobody else may look at it
                return branch_at(service.history, service.twins.kinds, asked.at, asked.name)
            return None

        branch = await kept(service.read(made))
        if branch is None:
            branch = await asyncio.to_thread(_earlier, service, asked)
        branches.add(branch)
        return Json(_shown(branch), 201)

    @router.get("/{branch}/diff", response_class=Json)
    async def difference(
        branch: str, caller: Annotated[Token, Depends(viewer)], limit: Limit = 1_000
    ) -> Json:
        """What differs between the branch and live, value by value."""
        del caller
        found = branches.get(branch)
        differences = await kept(service.read(lambda each: diff(found.records, each.records, limit)))
        return Json({"differences": differences.found, "is_cut": differences.is_cut})

    @router.delete("/{branch}", response_class=Json)
    async def remove_branch(branch: str, caller: Annotated[Token, Depends(operator)]) -> Json:
        """Forget it."""
        branches.remove(branch)
        work: Callable[[Transaction], None] = lambda each: administered(  # noqa: E731
            each, caller.name, "remove", f"branch {branch}"
        )
        await kept(service.read(work))
        return Json({"removed": branch})

    router.include_router(_inside_routes(service, callers, branches))
    return router


def _inside_routes(service: TwinService, callers: Callers, branches: Branches) -> APIRouter:
    """What is read and what happens inside a branch."""
    router = routes()
    viewer, operator = callers.at_least("viewer"), callers.at_least("operator")
    ages = TypeAges(component(service.twins, TelemetryKeeper).types)

    @router.get("/{branch}/things", response_class=Json)
    async def things(
        branch: str,
        caller: Annotated[Token, Depends(viewer)],
        query: str = "",
        limit: Annotated[int, Query(ge=1, le=1_000)] = 100,
        after: str = "",
    ) -> Json:
        """The things that a query finds in the branch."""
        del caller
        return Json(search(branches.get(branch).records, query, limit=limit, after=after))

    @router.get("/{branch}/things/{thing}", response_class=Json)
    async def whole_twin(branch: str, thing: str, caller: Annotated[Token, Depends(viewer)]) -> Json:
        """A twin in the branch."""
        del caller
        found = branches.get(branch)
        moment = Transaction(found.records, branches.now_s[branch])
        return Json(twin_of(thing, moment, ages, is_branch=True))

    @router.post("/{branch}/messages", response_class=Json)
    async def let_happen(
        branch: str,
        happenings: Annotated[list[Happening], Body(max_length=1_000)],
        caller: Annotated[Token, Depends(operator)],
    ) -> Json:
        """Let messages come in the branch; what would be published is told, and goes nowhere."""
        del caller
        twins = Twins(service.branching(), branches.get(branch).records)

        def happen() -> list[dict[str, Any]]:
            published: list[dict[str, Any]] = []
            with branches.lock:
                for happening in happenings:
                    now_s = branches.now_s[branch] = branches.now_s[branch] + happening.after_s
                    for done in (twins.elapse(now_s), twins.handle(_message(happening), now_s)):
                        published += [_published(message) for message in done.messages]
            return published

        published = await asyncio.to_thread(happen)
        return Json({"now_s": branches.now_s[branch], "published": published})

    return router


def _earlier(service: TwinService, asked: NewBranch) -> Branch:
    """An earlier moment, read beside the writer: replaying the journal takes a while."""
    reader = getattr(service.history, "reader")()  # noqa: B009  (what is in memory has none)
    try:
        return branch_at(reader, service.twins.kinds, asked.at, asked.name)
    finally:
        reader.close()


def _message(happening: Happening) -> Message:
    payload = b"" if happening.payload is None else msgspec.json.encode(happening.payload)
    return Message(happening.topic, payload, 1)


def _published(message: Message) -> dict[str, Any]:
    return {
        "topic": message.topic,
        "payload": message.payload.decode(errors="replace"),
        "retain": message.retain,
    }


def _shown(branch: Branch) -> dict[str, Any]:
    return {"name": branch.name, "sequence": branch.sequence, "at_s": branch.at_s}
