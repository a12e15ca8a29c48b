"""Device shadows with the rules of the AWS IoT shadow service, and what we add to them.

settings   limits and extensions; the port through which a device type has its say
requests   reading and checking a request, or refusing it with the service's code and text
trees      merge, delta and metadata of JSON trees
document   the record of one shadow
extensions desired values that expire, are cleared by a report, or are overtaken by one; conditions
shadows    the component: topics in, answers and events out
"""

from __future__ import annotations

from twin.state.shadow.document import SHADOW, TOMBSTONE, Shadow, Tombstone
from twin.state.shadow.requests import RejectedError
from twin.state.shadow.settings import Schema, ShadowSettings
from twin.state.shadow.shadows import InFlight, Shadows

__all__ = [
    "SHADOW",
    "TOMBSTONE",
    "InFlight",
    "RejectedError",
    "Schema",
    "Shadow",
    "ShadowSettings",
    "Shadows",
    "Tombstone",
]
