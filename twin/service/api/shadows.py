"""The REST interface of the AWS IoT shadow service: get, update, delete and list shadows."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request

from twin.service.api.answers import ApiError, Json, kept, routes
from twin.service.api.callers import Callers
from twin.service.service import TwinService
from twin.service.tokens import Token
from twin.state.records import Transaction
from twin.state.registry.audit import administered
from twin.state.shadow import SHADOW, Shadows
from twin.state.shadow.requests import key_of
from twin.state.standard import component

LARGEST_PAGE = 100
ShadowName = Annotated[str | None, Query(alias="name", description="a named shadow; none: the classic one")]


def shadow_routes(service: TwinService, callers: Callers) -> APIRouter:
    """Errors are answered here alone; what is accepted is told over MQTT too."""
    router, shadows = routes(tag="shadows"), component(service.twins, Shadows)
    reader, writer = callers.of_shadow("viewer"), callers.of_shadow("operator")

    @router.get("/things/{thing}/shadow", response_class=Json)
    async def get_shadow(
        thing: str, caller: Annotated[Token, Depends(reader)], name: ShadowName = None
    ) -> Json:
        """The shadow with its delta; the version is its ETag, and a header says the state of the twin."""
        del caller
        checked, is_ready = _name(name), service.bridge.is_ready

        def read(transaction: Transaction) -> tuple[Any, Any]:
            document = shadows.get(thing, checked, b"", transaction)
            return document, shadows.worth(thing, checked, transaction, has_broker=is_ready)

        document, worth = await kept(service.read(read))
        found = document | worth if "quality" in document else document
        return Json(found, headers={"Twin-State": worth["twin"], "ETag": f'"{document["version"]}"'})

    @router.post("/things/{thing}/shadow", response_class=Json)
    async def update_shadow(
        request: Request, thing: str, caller: Annotated[Token, Depends(writer)], name: ShadowName = None
    ) -> Json:
        """Merge a state document into the shadow, if the headers If-Match and If-None-Match allow it."""
        payload, checked = await request.body(), _name(name)

        def update(transaction: Transaction) -> Any:
            _check_match(request, thing, checked, transaction)
            by = "device" if caller.role == "device" else "operator"
            accepted = shadows.update(thing, checked, payload, transaction, by=by)
            administered(transaction, caller.name, "update", _what(thing, checked))
            return accepted

        return Json(await kept(service.change(update)))

    @router.delete("/things/{thing}/shadow", response_class=Json)
    async def delete_shadow(
        request: Request, thing: str, caller: Annotated[Token, Depends(writer)], name: ShadowName = None
    ) -> Json:
        """Delete the shadow, if the header If-Match allows it."""
        checked = _name(name)

        def delete(transaction: Transaction) -> Any:
            _check_match(request, thing, checked, transaction)
            accepted = shadows.delete(thing, checked, b"", transaction)
            administered(transaction, caller.name, "delete", _what(thing, checked))
            return accepted

        return Json(await kept(service.change(delete)))

    @router.get("/api/things/shadow/ListNamedShadowsForThing/{thing}", response_class=Json)
    async def list_named_shadows(
        thing: str,
        caller: Annotated[Token, Depends(reader)],
        page_size: Annotated[int, Query(alias="pageSize", ge=1, le=LARGEST_PAGE)] = 25,
        next_token: Annotated[str, Query(alias="nextToken")] = "",
    ) -> Json:
        """The names of the named shadows in order; the classic shadow has none and is not listed."""
        del caller
        names, now_s = await kept(service.read(lambda each: (shadows.names(thing, each.records), each.now_s)))
        following = [each for each in names if each > next_token]
        page: dict[str, Any] = {"results": following[:page_size], "timestamp": int(now_s)}
        if len(following) > page_size:
            page["nextToken"] = following[page_size - 1]
        return Json(page)

    return router


def _check_match(request: Request, thing: str, name: str, transaction: Transaction) -> None:
    """Raise ApiError 412 if a condition in the headers does not hold; an ETag is a version in quotes."""
    shadow = transaction.records.get(SHADOW, key_of(thing, name))
    tags = set() if shadow is None else {"*", f'"{shadow.version}"'}
    for header, is_wanted in (("if-match", True), ("if-none-match", False)):
        asked = request.headers.get(header)
        if asked is None:
            continue
        if any(each.strip() in tags for each in asked.split(",")) is not is_wanted:
            stands = "there is no shadow" if shadow is None else f"the shadow is at version {shadow.version}"
            raise ApiError(412, f"{header.title()} {asked[:64]} does not hold: {stands}")


def _what(thing: str, name: str) -> str:
    return f"shadow {thing}/{name}" if name else f"shadow {thing}"


def _name(name: str | None) -> str:
    """The name as the engine wants it: an empty one is no name of a shadow."""
    if name == "":
        raise ApiError(400, "a named shadow needs a name; leave it out for the classic one")
    return name or ""
