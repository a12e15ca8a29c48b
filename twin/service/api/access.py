"""Who may connect, and who did what: certificates, policies and the audit log."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, ConfigDict, Field

from twin.service.api.answers import ApiError, Document, Json, Sequence, kept, read_record, routes
from twin.service.api.callers import Caller, Callers
from twin.service.authority import Authority
from twin.service.service import TwinService
from twin.service.tokens import Token
from twin.state.journal import Wanted
from twin.state.records import Transaction
from twin.state.registry.audit import AUDIT
from twin.state.registry.certificates import CERTIFICATE, Certificate, State
from twin.state.registry.issuing import YEAR_S, Issued
from twin.state.registry.policies import CLIENT, POLICY, Client, Policy, policies_of
from twin.state.registry.provisioning import TEMPLATE, Provisioning, Template
from twin.state.registry.registry import Registry
from twin.state.registry.things import GROUP, THING, RegistryError, unknown
from twin.state.standard import component

CLAIM = "claim."
"""Certificates of claims are named so: no thing can have a name with a dot."""
PAGES_READ = 20
"""So many pages of the audit log are looked through for entries that fit."""


class NewCertificate(BaseModel):
    """For a thing, for a claim to get one with, for a client that is no thing, or for a device by its `name`
    that a `template` registers when it first connects. With a signing request the key stays with the asker.
    """

    model_config = ConfigDict(extra="forbid")

    thing: str = ""
    client: str = ""
    name: str = Field(default="", pattern="^[A-Za-z0-9:_-]{0,64}$")
    template: str = ""
    claim: str = Field(default="", pattern="^[A-Za-z0-9_-]{0,48}$")
    csr: str | None = Field(default=None, max_length=16_384)
    valid_s: float = Field(default=YEAR_S, gt=0, le=10 * YEAR_S)


class Rotation(BaseModel):
    """A further certificate: for the key of a signing request (PEM), or with a new key."""

    csr: str | None = Field(default=None, max_length=16_384)


def access_routes(service: TwinService, callers: Callers) -> APIRouter:
    """All of it is for admins."""
    router = routes("/v1", "access")
    admin = callers.at_least("admin")
    registry = component(service.twins, Registry)
    provisioning = component(service.twins, Provisioning)

    router.include_router(_certificate_routes(service, callers, provisioning))

    @router.get("/templates", response_class=Json)
    async def templates(caller: Annotated[Token, Depends(admin)]) -> Json:
        """What devices with a claim can become."""
        del caller
        return Json({"templates": await kept(service.read(lambda e: list(e.records.of(TEMPLATE).values())))})

    @router.put("/templates/{template}", response_class=Json)
    async def put_template(
        template: str, document: Document, caller: Annotated[Token, Depends(admin)]
    ) -> Json:
        """Make a provisioning template, or change it."""
        made = read_record({**document, "name": template}, Template)
        return Json(await kept(service.change(lambda e: provisioning.put_template(made, e, by=caller.name))))

    @router.get("/policies", response_class=Json)
    async def policies(caller: Annotated[Token, Depends(admin)]) -> Json:
        """The policies that stand, the shipped ones among them."""
        del caller
        return Json({"policies": await kept(service.read(lambda each: list(policies_of(each.records))))})

    @router.put("/policies/{policy}", response_class=Json)
    async def put_policy(policy: str, document: Document, caller: Annotated[Token, Depends(admin)]) -> Json:
        """Make a policy, or put it in the place of another of its name."""
        made = read_record({**document, "name": policy}, Policy)
        return Json(await kept(service.change(lambda each: registry.put_policy(made, each, by=caller.name))))

    router.include_router(_client_routes(service, callers, registry))
    router.include_router(_audit_routes(service, callers))
    return router


def _certificate_routes(service: TwinService, callers: Callers, provisioning: Provisioning) -> APIRouter:
    """Certificates of things and of clients."""
    router, admin = routes(), callers.at_least("admin")

    @router.get("/certificates", response_class=Json)
    async def certificates(caller: Annotated[Token, Depends(admin)], thing: str | None = None) -> Json:
        """The certificates that are known, of one thing or of all."""
        del caller
        found = await kept(service.read(lambda each: list(each.records.of(CERTIFICATE).values())))
        return Json({"certificates": [each for each in found if thing in (None, each.thing)]})

    @router.post("/certificates", status_code=201, response_class=Json)
    async def issue(asked: NewCertificate, caller: Annotated[Token, Depends(admin)]) -> Json:
        """A certificate for a thing, with its private key unless a signing request came; we keep neither."""
        authority = _authority(service)
        names = [
            each
            for each in (asked.thing, asked.client, asked.claim and CLAIM + asked.claim, asked.name)
            if each
        ]
        if len(names) != 1 or bool(asked.name) is not bool(asked.template):
            raise ApiError(400, "name one of these: thing, client, claim, or name with its template")
        issued = authority.issue(asked.csr, names[0], authority.clock(), asked.valid_s)
        await kept(service.change(lambda each: _admitted(provisioning, asked, issued, each, caller.name)))
        return Json({**msgspec.to_builtins(issued), "ca_pem": authority.certificate_pem}, 201)

    @router.post("/certificates/{fingerprint}/revoke", response_class=Json)
    async def revoke(fingerprint: str, caller: Annotated[Token, Depends(admin)]) -> Json:
        """Let a certificate hold no longer; whoever is connected with it is disconnected."""
        work = service.change(
            lambda each: provisioning.set_state(fingerprint, "REVOKED", each, by=caller.name)
        )
        return Json(await kept(work))

    @router.post("/certificates/{fingerprint}/deactivate", response_class=Json)
    async def deactivate(fingerprint: str, caller: Annotated[Token, Depends(admin)]) -> Json:
        """Take the rights of a certificate until it is activated again."""
        work = service.change(
            lambda each: provisioning.set_state(fingerprint, "INACTIVE", each, by=caller.name)
        )
        return Json(await kept(work))

    @router.post("/certificates/{fingerprint}/activate", response_class=Json)
    async def activate(fingerprint: str, caller: Annotated[Token, Depends(admin)]) -> Json:
        """Let a certificate hold that was deactivated, or that waits for it."""
        work = service.change(
            lambda each: provisioning.set_state(fingerprint, "ACTIVE", each, by=caller.name)
        )
        return Json(await kept(work))

    @router.post("/things/{thing}/certificates/rotate", status_code=201, response_class=Json)
    async def rotate(
        thing: str, caller: Annotated[Token, Depends(admin)], asked: Rotation | None = None
    ) -> Json:
        """A further certificate for a thing, with its private key unless a signing request came; those that
        it has hold on for the overlap, and are inactive then.
        """
        authority, csr = _authority(service), None if asked is None else asked.csr
        issued = await kept(
            service.change(lambda each: provisioning.rotate(thing, csr, each, by=caller.name))
        )
        return Json({**msgspec.to_builtins(issued), "ca_pem": authority.certificate_pem}, 201)

    return router


def _admitted(
    provisioning: Provisioning, asked: NewCertificate, issued: Issued, transaction: Transaction, by: str
) -> Certificate:
    """Let the certificate in; raises RegistryError 404 for whom nobody knows."""
    if asked.name:
        return provisioning.expect(issued, asked.template, transaction, by=by)
    for kind, name in ((THING, asked.thing), (CLIENT, asked.client)):
        known = transaction.records.of(kind)
        if name and name not in known:
            raise RegistryError(404, unknown(kind, name, known))
    state: State = "CLAIM" if asked.claim else "ACTIVE"
    return provisioning.admit(issued, state, transaction, thing=asked.thing, by=by)


def _client_routes(service: TwinService, callers: Callers, registry: Registry) -> APIRouter:
    """Clients of the broker that are no things: services, operators, readers."""
    router, admin = routes(), callers.at_least("admin")

    @router.get("/clients", response_class=Json)
    async def clients(caller: Annotated[Token, Depends(admin)]) -> Json:
        """The clients, each with its role."""
        del caller
        return Json(
            {"clients": await kept(service.read(lambda each: list(each.records.of(CLIENT).values())))}
        )

    @router.put("/clients/{client}", response_class=Json)
    async def put_client(client: str, document: Document, caller: Annotated[Token, Depends(admin)]) -> Json:
        """Give a client a role: service, operator, reader or claim."""
        made = read_record({**document, "name": client}, Client)
        await kept(service.change(lambda each: registry.put_client(made, each, by=caller.name)))
        return Json({"name": client, "role": made.role})

    for path, kind in (("clients", CLIENT), ("policies", POLICY), ("groups", GROUP)):
        router.delete(f"/{path}/{{name}}", response_class=Json)(_removal(service, registry, kind, admin))
    return router


def _removal(
    service: TwinService, registry: Registry, kind: str, admin: Caller
) -> Callable[..., Awaitable[Json]]:
    """What removes a record of the registry."""

    async def remove(name: str, caller: Annotated[Token, Depends(admin)]) -> Json:
        """Forget it; where a policy of this name is shipped, that one holds again."""
        await kept(service.change(lambda each: registry.discard(kind, name, each, by=caller.name)))
        return Json({"removed": name})

    remove.__name__ = f"remove_{kind}"
    return remove


def _audit_routes(service: TwinService, callers: Callers) -> APIRouter:
    router = routes()
    admin = callers.at_least("admin")

    @router.get("/audit", response_class=Json)
    async def audit_log(
        caller: Annotated[Token, Depends(admin)],
        who: str | None = None,
        verb: str | None = None,
        decision: str | None = None,
        before: Sequence = None,
        limit: Annotated[int, Query(ge=1, le=1_000)] = 100,
    ) -> Json:
        """Who changed what and who was refused what, the newest first."""
        del caller

        def read(_: Transaction) -> dict[str, Any]:
            found: list[dict[str, Any]] = []
            until = None if before is None else max(0, before - 1)
            for _page in range(PAGES_READ):
                wanted = Wanted(0, until, AUDIT, who, None, 1_000, is_newest_first=True)
                entries = service.history.entries(wanted)
                for entry in entries:
                    note = msgspec.json.decode(entry.record)
                    if verb in (None, note["verb"]) and decision in (None, note["decision"]):
                        found.append({"sequence": entry.sequence, **note})
                        if len(found) == limit:
                            return {"entries": found, "before": entry.sequence}
                if not entries:
                    break
                until = entries[-1].sequence - 1
            return {"entries": found}

        return Json(await kept(service.read(read)))

    return router


def _authority(service: TwinService) -> Authority:
    if service.authority is None:
        raise ApiError(409, "the broker is not ours, so certificates are its operator's affair")
    return service.authority
