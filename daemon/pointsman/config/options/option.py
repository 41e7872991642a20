"""Declare an option: a field of a dataclass with its text for the reference."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

EMPTY: Mapping[str, Any] = {}


def option(
    doc: str,
    default: Any = dataclasses.MISSING,
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    above: float | None = None,
) -> Any:
    """Return a field with its line for the reference; without a default the key is required."""
    metadata = {"doc": doc, "minimum": minimum, "maximum": maximum, "above": above}
    if isinstance(default, Mapping) or (dataclasses.is_dataclass(default) and not isinstance(default, type)):
        return dataclasses.field(default_factory=lambda: default, metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)
