"""Rules and device types over HTTP."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request

from twin.service.api.answers import ApiError, Json, kept, routes
from twin.service.api.callers import Callers
from twin.service.service import TwinService
from twin.service.tokens import Token
from twin.state.records import Transaction
from twin.state.registry.audit import administered
from twin.state.rules.component import Rules, RuleText
from twin.state.rules.program import CompiledRule
from twin.state.standard import component
from twin.state.telemetry import TelemetryKeeper

LONGEST_RULE_BYTES = 65_536


def rule_routes(service: TwinService, callers: Callers) -> APIRouter:
    """Rules are seen by viewers, and put in and taken out by admins."""
    router, keeper = routes("/v1/rules", "rules"), component(service.twins, Rules)
    router.include_router(_changing_routes(service, callers, keeper))
    viewer = callers.at_least("viewer")

    @router.get("", response_class=Json)
    async def all_rules(caller: Annotated[Token, Depends(viewer)]) -> Json:
        """The rules: those of files, and those that were put in."""
        del caller

        def read(transaction: Transaction) -> list[dict[str, Any]]:
            texts: dict[str, RuleText] = transaction.records.of("rule")
            running = keeper.program(transaction.records).by_name
            given = [_given(each) for each in keeper.given if each.name not in texts]
            own = [{"name": name, "is_running": name in running, "origin": "api", **_shown(text)}
                   for name, text in texts.items()]  # fmt: skip
            return given + own

        return Json({"rules": await kept(service.read(read))})

    @router.get("/{rule}", response_class=Json)
    async def explain(rule: str, caller: Annotated[Token, Depends(viewer)]) -> Json:
        """The text of a rule, what it takes, and of which devices it remembers something."""
        del caller

        def read(transaction: Transaction) -> dict[str, Any]:
            found = keeper.program(transaction.records).by_name.get(rule)
            text: RuleText | None = transaction.records.get("rule", rule)
            if found is None and text is None:
                raise ApiError(404, f"there is no rule {rule!r}", "look them up: GET /v1/rules")
            states = transaction.records.of("rule_state")
            about = {
                key.partition("|")[2]: state for key, state in states.items() if key.startswith(f"{rule}|")
            }
            told = {"name": rule, "is_running": found is not None, "states": about}
            return told | (_given(found) if found else {}) | (_shown(text) if text else {})

        return Json(await kept(service.read(read)))

    return router


def _changing_routes(service: TwinService, callers: Callers, keeper: Rules) -> APIRouter:
    router, admin = routes(), callers.at_least("admin")

    @router.put("/{rule}", response_class=Json)
    async def put_rule(
        request: Request,
        rule: str,
        caller: Annotated[Token, Depends(admin)],
        enabled: Annotated[bool, Query(description="whether it runs")] = True,
    ) -> Json:
        """Put in the rule whose text is the body; it takes the place of one of its name."""
        body = await request.body()
        if len(body) > LONGEST_RULE_BYTES:
            raise ApiError(413, f"a rule has at most {LONGEST_RULE_BYTES} bytes")
        try:
            text = body.decode()
        except UnicodeDecodeError:
            raise ApiError(415, "a rule is UTF-8") from None

        def work(transaction: Transaction) -> dict[str, Any]:
            name = keeper.put_rule(text, transaction, who=caller.name, is_enabled=enabled)
            if name != rule:
                raise ApiError(400, f"the text is that of the rule {name!r}, not {rule!r}")
            administered(transaction, caller.name, "put", f"rule {rule}")
            return {"name": name, **_shown(transaction.records.get("rule", name))}

        return Json(await kept(service.change(work)))

    @router.delete("/{rule}", response_class=Json)
    async def remove_rule(rule: str, caller: Annotated[Token, Depends(admin)]) -> Json:
        """Take out a rule that was put in; one of a file with its name runs again."""

        def work(transaction: Transaction) -> dict[str, str]:
            if transaction.records.get("rule", rule) is None:
                raise ApiError(404, f"no rule {rule!r} was put in", "rules of files end with their file")
            keeper.remove_rule(rule, transaction)
            administered(transaction, caller.name, "remove", f"rule {rule}")
            return {"removed": rule}

        return Json(await kept(service.change(work)))

    return router


def _given(rule: CompiledRule) -> dict[str, Any]:
    return {
        "name": rule.name,
        "is_running": True,
        "origin": "file",
        "text": rule.rule.text,
        "source": rule.rule.source,
        "priority": rule.rule.priority,
        "place": rule.rule.place,
    }


def _shown(text: RuleText) -> dict[str, Any]:
    return {"text": text.text, "version": text.version, "who": text.who, "is_enabled": text.is_enabled}


def type_routes(service: TwinService, callers: Callers) -> APIRouter:
    """Device types are given when the service starts."""
    router, types = (
        routes("/v1/types", "types"),
        component(service.twins, TelemetryKeeper).types,
    )
    viewer = callers.at_least("viewer")

    @router.get("", response_class=Json)
    async def all_types(caller: Annotated[Token, Depends(viewer)]) -> Json:
        """The device types, with the names of their properties."""
        del caller
        found = [{"name": name, "properties": list(each.properties)} for name, each in types.items()]
        return Json({"types": found})

    @router.get("/{name}", response_class=Json)
    async def one_type(name: str, caller: Annotated[Token, Depends(viewer)]) -> Json:
        """A device type as a Thing Model."""
        del caller
        if name not in types:
            raise ApiError(404, f"there is no device type {name!r}", "look them up: GET /v1/types")
        return Json(types[name].document)

    return router
