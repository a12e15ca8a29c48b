"""How the service stands: health for people and machines, and metrics for Prometheus."""

import time
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Response

from twin.service.api.answers import Json, routes
from twin.service.api.callers import Callers
from twin.service.metrics import Sample
from twin.service.service import TwinService
from twin.service.tokens import Token


def standing_routes(service: TwinService, callers: Callers) -> APIRouter:
    """Health needs no token: it tells nothing about things."""
    router, viewer = routes(tag="standing"), callers.at_least("viewer")

    @router.get("/health", response_class=Json)
    async def health() -> Json:
        """Everything at a glance; 503 if changes cannot be taken now."""
        told = health_of(service)
        return Json(told, 200 if told["ready"] else 503)

    @router.get("/health/live", response_class=Json)
    async def live() -> Json:
        """Whether the process is worth keeping: 503 if its writer has stopped."""
        return Json({"live": service.writer.is_running}, 200 if service.writer.is_running else 503)

    @router.get("/health/ready", response_class=Json)
    async def ready() -> Json:
        """Whether requests are taken: 503 without broker or store."""
        is_ready = health_of(service)["ready"]
        return Json({"ready": is_ready}, 200 if is_ready else 503)

    @router.get("/metrics")
    async def metrics(caller: Annotated[Token, Depends(viewer)]) -> Response:
        """What was counted, in the text format of Prometheus."""
        del caller
        text = service.metrics.text(gauges(service))
        return Response(text, media_type="text/plain; version=0.0.4")

    return router


def health_of(service: TwinService) -> dict[str, Any]:
    """What /health says."""
    bridge, writer, enforcement = service.bridge, service.writer, service.enforcement
    has_store = writer.is_running and not writer.trouble
    return {
        "state": "live" if bridge.is_ready else "read_only",
        "live": writer.is_running,
        "ready": bridge.is_ready and has_store,
        "broker": {
            "connected": bridge.is_ready,
            "managed": service.broker is not None,
            "since_s": bridge.since_s,
            "trouble": bridge.trouble,
            "refused_filters": bridge.refused_filters,
        },
        "authorisation": {
            "claim": enforcement.claim if enforcement else "unknown",
            "explanation": enforcement.sentence if enforcement else "",
        },
        "store": {"kept": has_store, "trouble": writer.trouble, "waiting": writer.waiting},
        "sinks": service.forwarding.standing(),
        "up_s": round(time.time() - service.started_s, 1),
    }


def gauges(service: TwinService) -> list[Sample]:
    """What stands now."""
    bridge, writer = service.bridge, service.writer
    samples = [
        Sample("windtunnel_up_seconds", time.time() - service.started_s),
        Sample("windtunnel_broker_connected", float(bridge.is_ready)),
        Sample(
            "windtunnel_authorisation_enforced",
            float(bool(service.enforcement and service.enforcement.is_enforced)),
        ),
        Sample("windtunnel_requests_waiting", float(writer.waiting)),
        Sample("windtunnel_messages_waiting", float(bridge.waiting)),
        Sample("windtunnel_audit_lost", float(service.watch.lost)),
    ]
    samples += [
        Sample(f"windtunnel_sink_{figure}", float(value), {"sink": name})
        for name, standing in service.forwarding.standing().items()
        for figure, value in standing.items()
        if figure != "trouble"
    ]
    samples += [
        Sample(f"windtunnel_writer_{name}", float(getattr(writer.counts, name)))
        for name in ("taken", "kept", "failed", "commits", "commit_failures", "published", "turned_away")
    ]
    samples += [
        Sample(f"windtunnel_bridge_{name}", float(getattr(bridge.counts, name)))
        for name in ("received", "acknowledged", "published", "wills_ignored", "connections")
    ]
    return samples + [
        Sample("windtunnel_records", float(len(service.twins.records.of(kind))), {"kind": kind})
        for kind in ("thing", "shadow", "alarm", "command")
    ]
