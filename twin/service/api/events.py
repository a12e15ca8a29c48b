"""Alarms, commands and jobs over HTTP."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body, Depends, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from twin.errors import RefusedError
from twin.service.api.answers import Json, kept, routes
from twin.service.api.callers import Callers
from twin.service.service import TwinService
from twin.service.tokens import Token
from twin.state.alarms import WATCH, Alarms, alarms
from twin.state.commands import GROUP as COMMAND_GROUP
from twin.state.commands import KIND as COMMAND
from twin.state.commands import Command, CommandGroup, Commands, combined, commands
from twin.state.jobs import Jobs, job_document, job_executions, jobs
from twin.state.records import Transaction
from twin.state.registry.audit import administered
from twin.state.registry.search import members_of
from twin.state.standard import component

Severity = Literal["critical", "major", "minor", "warning", "indeterminate"]
Limit = Annotated[int, Query(ge=1, le=1_000)]
TIMEOUT_S = 30.0
LARGEST_GROUP = 1_000


class Form(BaseModel):
    """A body whose fields are all known."""

    model_config = ConfigDict(extra="forbid")


class Acknowledgement(Form):
    """What is said when an alarm is acknowledged."""

    note: str = Field(default="", max_length=1_000)


class NewWatch(Form):
    """For how long a thing may be silent."""

    within_s: float = Field(gt=0.0, le=366 * 86_400.0)
    severity: Severity = "warning"


class NewCommand(Form):
    """A command to a thing; the same key gives the same command."""

    name: str
    args: dict[str, Any] = Field(default_factory=dict)
    timeout_s: float = TIMEOUT_S
    key: str | None = None
    retries: int = 0
    wait_for_session: bool = False


class NewGroupCommand(NewCommand):
    """A command to a thing, a group (`group:NAME`) or the things that a query finds."""

    target: str


def alarm_routes(service: TwinService, callers: Callers) -> APIRouter:
    """Alarms are seen by viewers, acknowledged and cleared by operators."""
    router, keeper = routes("/v1/alarms", "alarms"), component(service.twins, Alarms)
    viewer, operator = callers.at_least("viewer"), callers.at_least("operator")

    @router.get("", response_class=Json)
    async def find_alarms(
        caller: Annotated[Token, Depends(viewer)],
        thing: str | None = None,
        severity: Annotated[Severity | None, Query(description="this one or worse")] = None,
        active: bool | None = None,
        acknowledged: bool | None = None,
        limit: Limit = 100,
    ) -> Json:
        """The alarms that fit, the worst first."""
        del caller

        def read(transaction: Transaction) -> list[Any]:
            found = alarms(
                transaction.records,
                thing=thing,
                severity=severity,
                is_active=active,
                is_acknowledged=acknowledged,
                limit=limit,
            )
            return [alarm.document() for alarm in found]

        return Json({"alarms": await kept(service.read(read))})

    @router.post("/{thing}/{type}/acknowledge", response_class=Json)
    async def acknowledge(
        thing: str,
        type: str,  # noqa: A002  the word of the glossary
        caller: Annotated[Token, Depends(operator)],
        said: Annotated[Acknowledgement | None, Body()] = None,
    ) -> Json:
        """Say that you have seen it."""

        def work(transaction: Transaction) -> Any:
            note = said.note if said else ""
            alarm = keeper.acknowledge(thing, type, caller.name, transaction, note)
            administered(transaction, caller.name, "acknowledge", f"alarm {thing}/{type}")
            return alarm.document()

        return Json(await kept(service.change(work)))

    @router.post("/{thing}/{type}/clear", response_class=Json)
    async def clear(
        thing: str,
        type: str,  # noqa: A002
        caller: Annotated[Token, Depends(operator)],
    ) -> Json:
        """End it by hand."""

        def work(transaction: Transaction) -> Any:
            alarm = keeper.clear(thing, type, transaction)
            if alarm is None:
                raise RefusedError(404, f"no alarm of type {type!r} is active at {thing!r}")
            administered(transaction, caller.name, "clear", f"alarm {thing}/{type}")
            return alarm.document()

        return Json(await kept(service.change(work)))

    return router


def watch_routes(service: TwinService, callers: Callers) -> APIRouter:
    """A thing that is watched raises the alarm "inactivity" when nothing is heard of it."""
    router, keeper = routes("/v1/watches", "alarms"), component(service.twins, Alarms)
    viewer, operator = callers.at_least("viewer"), callers.at_least("operator")

    @router.get("", response_class=Json)
    async def watches(caller: Annotated[Token, Depends(viewer)]) -> Json:
        """The things that are watched, and when each was last heard of."""
        del caller
        return Json({"watches": await kept(service.read(lambda each: list(each.records.of(WATCH).values())))})

    @router.put("/{thing}", response_class=Json)
    async def watch(thing: str, asked: NewWatch, caller: Annotated[Token, Depends(operator)]) -> Json:
        """Watch a thing from now on."""

        def work(transaction: Transaction) -> Any:
            keeper.watch(thing, asked.within_s, transaction, asked.severity)
            administered(transaction, caller.name, "watch", f"thing {thing}", f"{asked.within_s:g} s")
            return transaction.records.get(WATCH, thing)

        return Json(await kept(service.change(work)))

    @router.delete("/{thing}", response_class=Json)
    async def unwatch(thing: str, caller: Annotated[Token, Depends(operator)]) -> Json:
        """Watch it no longer; its alarm ends."""

        def work(transaction: Transaction) -> None:
            if transaction.records.get(WATCH, thing) is None:
                raise RefusedError(404, f"{thing!r} is not watched")
            keeper.unwatch(thing, transaction)
            administered(transaction, caller.name, "unwatch", f"thing {thing}")

        await kept(service.change(work))
        return Json({"removed": thing})

    return router


def command_routes(service: TwinService, callers: Callers) -> APIRouter:
    """Commands are given by operators."""
    router, keeper = routes("/v1", "commands"), component(service.twins, Commands)
    viewer, operator = callers.at_least("viewer"), callers.at_least("operator")

    @router.post("/things/{thing}/commands", status_code=202, response_class=Json)
    async def give_command(
        thing: str, asked: NewCommand, caller: Annotated[Token, Depends(operator)]
    ) -> Json:
        """Command a thing; ask for the command to see how it ends."""

        def work(transaction: Transaction) -> dict[str, Any]:
            command = keeper.issue(
                thing,
                asked.name,
                asked.args,
                transaction,
                timeout_s=asked.timeout_s,
                key=asked.key,
                retries=asked.retries,
                wait_for_session=asked.wait_for_session,
            )
            administered(transaction, caller.name, "command", f"{thing} {asked.name}", command.id)
            return _shown(command)

        return Json(await kept(service.change(work)), 202)

    @router.get("/things/{thing}/commands", response_class=Json)
    async def commands_of(
        thing: str,
        caller: Annotated[Token, Depends(viewer)],
        is_open: Annotated[bool | None, Query(alias="open")] = None,
        limit: Limit = 100,
    ) -> Json:
        """The commands of a thing, the newest first."""
        del caller
        found = await kept(
            service.read(lambda each: commands(each.records, thing=thing, is_open=is_open, limit=limit))
        )
        return Json({"commands": [_shown(command) for command in found]})

    @router.get("/commands/{command}", response_class=Json)
    async def one_command(command: str, caller: Annotated[Token, Depends(viewer)]) -> Json:
        """How a command stands; `status` is 202 while it is open."""
        del caller
        found: Command | None = await kept(service.read(lambda each: each.records.get(COMMAND, command)))
        if found is None:
            raise RefusedError(404, f"there is no command {command!r}, or it ended long ago")
        return Json(_shown(found))

    router.include_router(_group_command_routes(service, callers, keeper))
    return router


def _group_command_routes(service: TwinService, callers: Callers, keeper: Commands) -> APIRouter:
    router = routes()
    viewer, operator = callers.at_least("viewer"), callers.at_least("operator")

    @router.post("/commands", status_code=202, response_class=Json)
    async def command_all(asked: NewGroupCommand, caller: Annotated[Token, Depends(operator)]) -> Json:
        """Command several things at once; ask for the group to see how it ends."""

        def work(transaction: Transaction) -> dict[str, Any]:
            things = members_of(transaction.records, asked.target)
            if not 1 <= len(things) <= LARGEST_GROUP:
                raise RefusedError(
                    400, f"{asked.target!r} means {len(things)} things; 1 to {LARGEST_GROUP} can be"
                )
            group = keeper.issue_all(
                things,
                asked.name,
                asked.args,
                transaction,
                timeout_s=asked.timeout_s,
                key=asked.key,
                retries=asked.retries,
                wait_for_session=asked.wait_for_session,
            )
            administered(transaction, caller.name, "command", f"{asked.target} {asked.name}", group.id)
            return {"id": group.id, "name": group.name, **combined(transaction.records, group)}

        return Json(await kept(service.change(work)), 202)

    @router.get("/command-groups/{group}", response_class=Json)
    async def one_group(group: str, caller: Annotated[Token, Depends(viewer)]) -> Json:
        """One `status` for all, 202 while one is open, and the answer of each thing."""
        del caller

        def read(transaction: Transaction) -> dict[str, Any]:
            found: CommandGroup | None = transaction.records.get(COMMAND_GROUP, group)
            if found is None:
                raise RefusedError(
                    404, f"there is no command {group!r} to several things, or it ended long ago"
                )
            return {"id": found.id, "name": found.name, **combined(transaction.records, found)}

        return Json(await kept(service.read(read)))

    return router


def _shown(command: Command) -> dict[str, Any]:
    fields = {name: getattr(command, name) for name in command.__struct_fields__ if name != "due_s"}
    return {**fields, "status": command.status}


def job_routes(service: TwinService, callers: Callers) -> APIRouter:
    """Jobs are made, confirmed and cancelled by operators."""
    router, keeper = routes("/v1/jobs", "jobs"), component(service.twins, Jobs)
    viewer, operator = callers.at_least("viewer"), callers.at_least("operator")

    @router.get("", response_class=Json)
    async def find_jobs(
        caller: Annotated[Token, Depends(viewer)], status: str | None = None, limit: Limit = 100
    ) -> Json:
        """The jobs, the newest first."""
        del caller
        return Json({"jobs": await kept(service.read(lambda e: jobs(e.records, status=status, limit=limit)))})

    @router.post("", status_code=201, response_class=Json)
    async def new_job(
        plan: Annotated[dict[str, Any], Body()], caller: Annotated[Token, Depends(operator)]
    ) -> Json:
        """Begin a job at things, groups or the things that a query finds."""

        def work(transaction: Transaction) -> Any:
            job = keeper.create(plan, transaction)
            administered(transaction, caller.name, "create", f"job {job.job_id}")
            return job

        return Json(await kept(service.change(work)), 201)

    @router.get("/{job}", response_class=Json)
    async def one_job(
        job: str, caller: Annotated[Token, Depends(viewer)], status: str | None = None, limit: Limit = 100
    ) -> Json:
        """A job and its executions."""
        del caller

        def read(transaction: Transaction) -> dict[str, Any]:
            return {
                **job_document(transaction.records, job),
                "executions": job_executions(transaction.records, job, status=status, limit=limit),
            }

        return Json(await kept(service.read(read)))

    @router.post("/{job}/{verb}", response_class=Json)
    async def change_job(
        job: str,
        verb: Literal["cancel", "confirm"],
        caller: Annotated[Token, Depends(operator)],
        force: bool = False,
    ) -> Json:
        """Cancel a job, or let its next wave begin."""

        def work(transaction: Transaction) -> Any:
            changed = (
                keeper.cancel(job, transaction, force=force)
                if verb == "cancel"
                else keeper.confirm(job, transaction)
            )
            administered(transaction, caller.name, verb, f"job {job}")
            return changed

        return Json(await kept(service.change(work)))

    router.include_router(_ending_routes(service, callers))
    return router


def _ending_routes(service: TwinService, callers: Callers) -> APIRouter:
    """Ending a job at one thing, and forgetting it."""
    router, keeper = routes(), component(service.twins, Jobs)
    operator = callers.at_least("operator")

    @router.delete("/{job}", status_code=204, response_class=Response)
    async def forget_job(
        job: str, caller: Annotated[Token, Depends(operator)], force: bool = False
    ) -> Response:
        """Forget a job that is over, or with `force` any."""

        def work(transaction: Transaction) -> None:
            keeper.delete(job, transaction, force=force)
            administered(transaction, caller.name, "delete", f"job {job}")

        await kept(service.change(work))
        return Response(status_code=204)

    @router.post("/{job}/executions/{thing}/cancel", response_class=Json)
    async def cancel_execution(
        job: str, thing: str, caller: Annotated[Token, Depends(operator)], force: bool = False
    ) -> Json:
        """Cancel a job at one thing; one in progress needs `force`."""

        def work(transaction: Transaction) -> Any:
            execution = keeper.cancel_execution(job, thing, transaction, force=force)
            administered(transaction, caller.name, "cancel", f"job {job} at {thing}")
            return execution

        return Json(await kept(service.change(work)))

    return router
