"""Impairments of a link, one file each; the file name is the YAML name."""

from network.stages.air_time import AirTime
from network.stages.delay import Delay
from network.stages.gilbert_elliott import GilbertElliott
from network.stages.jitter import Jitter
from network.stages.loss import Loss
from network.stages.medium import Medium
from network.stages.outage import Outage
from network.stages.rate import Rate
from network.stages.registry import STAGES
from network.stages.trace import Trace

__all__ = [
    "STAGES",
    "AirTime",
    "Delay",
    "GilbertElliott",
    "Jitter",
    "Loss",
    "Medium",
    "Outage",
    "Rate",
    "Trace",
]
