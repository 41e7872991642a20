"""Define the failure of a request, as experiments count it."""

from __future__ import annotations

from pointsman.routing.decision import Reason

_STATUSES = frozenset({500, 502, 503, 504})


def has_failed(status: int, error: str | None, reason: str | None) -> bool:
    """Return whether a request failed: by its status, as it broke, or since no endpoint had the adapter."""
    return status in _STATUSES or error is not None or reason == Reason.ADAPTER_MISSING
