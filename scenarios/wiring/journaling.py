"""Lets a journal see the MQTT sessions of a run, wherever in its node a session stands."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from twin.kernel.behaviour import Behaviour
from twin.kernel.kernel import NodeSpec
from twin.mqtt.client import ClientSession
from twin.mqtt.journal import Journal

WRAPPED: Final = ("device", "inner")
"""Where a behaviour that puts something around another one keeps that other one."""


def journaled(spec: NodeSpec, journal: Journal) -> NodeSpec:
    """The node with its session, if it has one, told to the journal; also after each restart."""
    return NodeSpec(_told(spec.make, journal), spec.station, spec.skew_s)


def _told(make: Callable[[], Behaviour], journal: Journal) -> Callable[[], Behaviour]:
    def made() -> Behaviour:
        behaviour = make()
        session = session_of(behaviour)
        if session is not None:
            session.journal = journal
        return behaviour

    return made


def session_of(behaviour: Any) -> ClientSession | None:
    """The MQTT session of a behaviour, or of what it wraps."""
    while behaviour is not None:
        session = getattr(behaviour, "session", None)
        if isinstance(session, ClientSession):
            return session
        behaviour = next((each for name in WRAPPED if (each := getattr(behaviour, name, None))), None)
    return None
