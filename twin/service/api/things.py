"""The registry over HTTP: things, groups, relationships, whole twins, and what happened to them."""

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, Query

from twin.service.api.answers import Document, Json, Sequence, kept, read_record, routes
from twin.service.api.callers import Callers
from twin.service.api.view import twin_of
from twin.service.service import TwinService
from twin.service.tokens import Token
from twin.state.jobs import Jobs
from twin.state.journal import Entry, Wanted, sequence_at
from twin.state.records import Transaction
from twin.state.registry.provisioning import Provisioning
from twin.state.registry.registry import Registry
from twin.state.registry.relations import affected, graph
from twin.state.registry.search import search
from twin.state.registry.things import GROUP, RELATIONSHIP, Group, Thing
from twin.state.standard import TypeAges, component
from twin.state.telemetry import TelemetryKeeper

LARGEST_PAGE = 1_000
Limit = Annotated[int, Query(ge=1, le=LARGEST_PAGE)]
Version = Annotated[int | None, Query(description="change it only if it is at this version")]


def thing_routes(service: TwinService, callers: Callers) -> APIRouter:
    """Things are found by viewers and changed by admins."""
    router, registry = routes("/v1", "things"), component(service.twins, Registry)
    viewer, admin = callers.at_least("viewer"), callers.at_least("admin")
    ages, jobs = TypeAges(component(service.twins, TelemetryKeeper).types), component(service.twins, Jobs)
    provisioning = component(service.twins, Provisioning)

    @router.get("/things", response_class=Json)
    async def find_things(
        caller: Annotated[Token, Depends(viewer)],
        query: Annotated[str, Query(description="such as type:boom_gate tag:fire -state:retired")] = "",
        limit: Limit = 100,
        after: str = "",
    ) -> Json:
        """The things that a query finds, by name; `after` of the answer asks for the next page."""
        del caller
        page = await kept(service.read(lambda each: search(each.records, query, limit=limit, after=after)))
        return Json(page)

    @router.post("/things", status_code=201, response_class=Json)
    async def register_thing(document: Document, caller: Annotated[Token, Depends(admin)]) -> Json:
        """Take a new thing in: name, type, site, level, bay, tags, groups, attributes."""
        thing = read_record(document, Thing)
        return Json(
            await kept(service.change(lambda each: registry.register(thing, each, by=caller.name))), 201
        )

    @router.get("/things/{thing}", response_class=Json)
    async def whole_twin(thing: str, caller: Annotated[Token, Depends(callers.of_thing("viewer"))]) -> Json:
        """Registry record, shadows with age and quality, state of the twin, alarms and open commands."""
        del caller
        is_ready = service.bridge.is_ready
        return Json(await kept(service.read(lambda each: twin_of(thing, each, ages, has_broker=is_ready))))

    @router.patch("/things/{thing}", response_class=Json)
    async def change_thing(
        thing: str, document: Document, caller: Annotated[Token, Depends(admin)], version: Version = None
    ) -> Json:
        """Give fields new values; attributes are merged, null removes one."""
        work = service.change(
            lambda each: registry.change(thing, document, each, version=version, by=caller.name)
        )
        return Json(await kept(work))

    @router.delete("/things/{thing}", response_class=Json)
    async def remove_thing(
        thing: str, caller: Annotated[Token, Depends(admin)], version: Version = None
    ) -> Json:
        """Forget the thing, its relationships and its jobs; its certificates are revoked."""

        def forget(transaction: Transaction) -> None:
            registry.remove(thing, transaction, version=version, by=caller.name)
            jobs.forget_thing(thing, transaction)
            provisioning.forget_thing(thing, transaction, by=caller.name)

        await kept(service.change(forget))
        return Json({"removed": thing})

    router.include_router(_history_routes(service, callers))
    router.include_router(_graph_routes(service, callers, registry))
    return router


def _history_routes(service: TwinService, callers: Callers) -> APIRouter:
    router = routes()
    viewer = callers.at_least("viewer")

    @router.get("/things/{thing}/history", response_class=Json)
    async def history(
        thing: str,
        caller: Annotated[Token, Depends(viewer)],
        kind: Annotated[str | None, Query(description="only records of this kind, such as shadow")] = None,
        after: Sequence = None,
        until: Sequence = None,
        since_s: Annotated[float | None, Query(allow_inf_nan=False, description="entries since")] = None,
        limit: Limit = 100,
        newest_first: bool = False,
    ) -> Json:
        """What the journal has of the thing, oldest first; `after` of the answer asks for the next page."""
        del caller

        def read(_: Transaction) -> list[Entry]:
            start = after or 0
            if since_s is not None:
                start = max(start, sequence_at(service.history, since_s))
            wanted = Wanted(start, until, kind, None, thing, limit, newest_first)
            return service.history.entries(wanted)

        entries = await kept(service.read(read))
        page: dict[str, Any] = {"entries": [shown(entry) for entry in entries]}
        if len(entries) == limit:
            page["after"] = entries[-1].sequence
        return Json(page)

    return router


def _graph_routes(service: TwinService, callers: Callers, registry: Registry) -> APIRouter:
    router = routes()
    viewer, admin = callers.at_least("viewer"), callers.at_least("admin")

    @router.get("/graph", response_class=Json)
    async def whole_graph(caller: Annotated[Token, Depends(viewer)]) -> Json:
        """Things and how they are related, as nodes and links; a gateway speaks for what is behind it."""
        del caller

        def read(transaction: Transaction) -> dict[str, Any]:
            made = graph(transaction.records)
            nodes = [{"id": name, **about} for name, about in made.nodes(data=True)]
            links = [
                {"source": one, "target": other, "kind": kind} for one, other, kind in made.edges(keys=True)
            ]
            return {"directed": True, "nodes": nodes, "links": links}

        return Json(await kept(service.read(read)))

    @router.get("/graph/{thing}/affected", response_class=Json)
    async def affected_things(
        thing: str,
        caller: Annotated[Token, Depends(viewer)],
        kind: Annotated[list[str] | None, Query(description="only along these relationships")] = None,
    ) -> Json:
        """What suffers if the thing fails, nearest first, and by which way."""
        del caller
        return Json(
            {"affected": await kept(service.read(lambda each: affected(each.records, thing, kind or ())))}
        )

    @router.put("/graph/{source}/{kind}/{target}", response_class=Json)
    async def relate(source: str, kind: str, target: str, caller: Annotated[Token, Depends(admin)]) -> Json:
        """Say that one thing contains, controls, feeds ... another."""
        work = service.change(lambda each: registry.relate(source, kind, target, each, by=caller.name))
        await kept(work)
        return Json({"source": source, "kind": kind, "target": target})

    @router.delete("/graph/{source}/{kind}/{target}", response_class=Json)
    async def unrelate(source: str, kind: str, target: str, caller: Annotated[Token, Depends(admin)]) -> Json:
        """Take it back."""
        key = f"{source}/{kind}/{target}"
        await kept(service.change(lambda each: registry.discard(RELATIONSHIP, key, each, by=caller.name)))
        return Json({"removed": key})

    @router.get("/groups", response_class=Json)
    async def groups(caller: Annotated[Token, Depends(viewer)]) -> Json:
        """The groups."""
        del caller
        return Json(await kept(service.read(lambda each: list(each.records.of(GROUP).values()))))

    @router.put("/groups/{group}", response_class=Json)
    async def put_group(group: str, document: Document, caller: Annotated[Token, Depends(admin)]) -> Json:
        """Make a group, or change it: description, parent, query."""
        made = read_record({**document, "name": group}, Group)
        return Json(await kept(service.change(lambda each: registry.put_group(made, each, by=caller.name))))

    return router


def shown(entry: Entry) -> dict[str, Any]:
    """An entry of the journal for readers."""
    return {
        "sequence": entry.sequence,
        "at_s": entry.at_s,
        "what": entry.what,
        "kind": entry.kind,
        "key": entry.key,
        "record": msgspec.json.decode(entry.record) if entry.record else None,
    }
