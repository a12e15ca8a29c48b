"""Device types: what things of a type say, take and do, how old a value may be, and who may wish for it."""

from __future__ import annotations

from twin.state.types.model import PropertyModel, ThingModel, Types
from twin.state.types.shipped import shipped_types

__all__ = ["PropertyModel", "ThingModel", "Types", "shipped_types"]
