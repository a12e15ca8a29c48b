"""SIM cards over HTTP: ordered, put into things, moved from state to state."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Field

from twin.service.api.answers import Json, kept, routes
from twin.service.api.callers import Callers
from twin.service.service import TwinService
from twin.service.tokens import Token
from twin.state.records import Transaction
from twin.state.registry.connectivity import SIM, Connectivity, SimState
from twin.state.registry.things import RegistryError
from twin.state.standard import component


class NewSim(BaseModel):
    """A card by its ICCID, and whose it is."""

    model_config = ConfigDict(extra="forbid")

    iccid: str
    operator: str = Field(default="", max_length=128)


class SimChange(BaseModel):
    """The thing that a card is put into, or the state that it is to have, or both."""

    model_config = ConfigDict(extra="forbid")

    thing: str | None = None
    state: SimState | None = None


def sim_routes(service: TwinService, callers: Callers) -> APIRouter:
    """Cards are seen by viewers and changed by admins; a thing whose cards do not work cannot connect."""
    router, keeper = routes("/v1/sims", "connectivity"), component(service.twins, Connectivity)
    viewer, admin = callers.at_least("viewer"), callers.at_least("admin")

    @router.get("", response_class=Json)
    async def sims(caller: Annotated[Token, Depends(viewer)], thing: str | None = None) -> Json:
        """The cards, of one thing or all."""
        del caller
        found = await kept(service.read(lambda each: list(each.records.of(SIM).values())))
        return Json({"sims": [each for each in found if thing in (None, each.thing)]})

    @router.post("", status_code=201, response_class=Json)
    async def order(asked: NewSim, caller: Annotated[Token, Depends(admin)]) -> Json:
        """A card was ordered."""
        work = service.change(
            lambda each: keeper.order(asked.iccid, each, operator=asked.operator, by=caller.name)
        )
        return Json(await kept(work), 201)

    @router.patch("/{iccid}", response_class=Json)
    async def change(iccid: str, asked: SimChange, caller: Annotated[Token, Depends(admin)]) -> Json:
        """Put a card into a thing, or move it to another state."""

        def work(transaction: Transaction) -> Any:
            if asked.thing is None and asked.state is None:
                raise RegistryError(400, "a card gets a thing, a state, or both")
            if asked.thing is not None:
                keeper.assign(iccid, asked.thing, transaction, by=caller.name)
            if asked.state is not None:
                keeper.set_state(iccid, asked.state, transaction, by=caller.name)
            return transaction.records.get(SIM, iccid)

        return Json(await kept(service.change(work)))

    return router
