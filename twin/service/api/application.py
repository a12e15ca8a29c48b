"""The app put together."""

from __future__ import annotations

from dataclasses import dataclass, field

from fastapi import FastAPI

from twin.service.api import answers
from twin.service.api.access import access_routes
from twin.service.api.branches import branch_routes
from twin.service.api.callers import Callers
from twin.service.api.connectivity import sim_routes
from twin.service.api.events import alarm_routes, command_routes, job_routes, watch_routes
from twin.service.api.guard import App, Guard
from twin.service.api.rules import rule_routes, type_routes
from twin.service.api.shadows import shadow_routes
from twin.service.api.standing import standing_routes
from twin.service.api.things import thing_routes
from twin.service.service import TwinService
from twin.service.tokens import Keyring
from twin.service.watching import Forbidden

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiSettings:
    """Whose names and tokens hold; `version` is the product's."""

    hosts: frozenset[str] = LOOPBACK
    keyring: Keyring = field(repr=False)
    version: str = ""


def application(service: TwinService, settings: ApiSettings) -> App:
    """The API as an ASGI application. It needs nothing from elsewhere: there are no pages, only JSON."""
    app = FastAPI(
        title="Windtunnel twin service",
        version=settings.version or "0",
        description="Registry, shadows, alarms, commands, jobs. Bearer tokens of three roles.",
        docs_url=None,
        redoc_url=None,
    )
    callers = Callers(settings.keyring, lambda *asked: service.watch.hear(Forbidden(*asked)))
    answers.install(app, service)
    for routes in (
        standing_routes,
        shadow_routes,
        thing_routes,
        alarm_routes,
        watch_routes,
        command_routes,
        job_routes,
        access_routes,
        sim_routes,
        rule_routes,
        type_routes,
        branch_routes,
    ):
        app.include_router(routes(service, callers))
    return Guard(app, settings.hosts)
