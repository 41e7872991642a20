"""Choose the arm of a category's canary; pure."""

from __future__ import annotations

import enum

from pointsman.config.client_keys import KeyScope
from pointsman.config.model import Canary, RoutingOptions
from pointsman.routing.draws import drawn


class Arm(enum.StrEnum):
    """The side of an experiment that a conversation is on: of a canary, or of a rollout by share.

    Requests on an arm of a canary are routed, too.
    """

    CANARY = "canary"
    STABLE = "stable"
    ROUTED = "routed"
    HOLDBACK = "holdback"


class Canaries:
    """The canaries of a config, by category."""

    def __init__(self, canaries: dict[str, Canary]) -> None:
        self.by_category = canaries

    def arm(self, category: str, seed: float, scope: KeyScope | None = None) -> tuple[Arm | None, str | None]:
        """Return the arm of a conversation, and the adapter that this arm tries.

        There is no arm without a canary, nor for a client that may not use the adapter.
        """
        canary = self.by_category.get(category)
        if canary is None or (scope is not None and not scope.allows(canary.adapter)):
            return None, None
        if drawn(seed, f"canary:{category}:{canary.adapter}") < canary.percent / 100:
            return Arm.CANARY, canary.adapter
        return Arm.STABLE, None


def canaries_of(routing: RoutingOptions) -> Canaries | None:
    """Return the canaries of these options, or None without canaries, so that they cost nothing."""
    found = {name: one.canary for name, one in routing.categories.items() if one.canary is not None}
    return Canaries(found) if found else None
