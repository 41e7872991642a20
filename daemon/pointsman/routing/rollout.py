"""Tell which requests are withheld from the model chosen for them: shadow mode, and the holdback of a share; pure."""

from __future__ import annotations

from pointsman.config.model import RoutingOptions
from pointsman.routing.decision import Reason
from pointsman.routing.draws import drawn

GLOBAL = "rollout"


class Rollout:
    """The shares of conversations that are routed, by category; those of `percent` are drawn.

    A category with a share of its own is an experiment of its own.
    """

    def __init__(self, routing: RoutingOptions) -> None:
        self.off = routing.mode == "off"
        """Nothing is routed or classified."""
        self._all = _share(routing.mode, routing.percent)
        self._own = {
            name: (_share(one.mode, one.percent), f"{GLOBAL}:{name}")
            for name, one in routing.categories.items()
            if one.mode is not None
        }

    @property
    def complete(self) -> bool:
        """Return whether everything is routed."""
        return not self.off and all(share == 1.0 for share, _ in ((self._all, GLOBAL), *self._own.values()))

    def share(self, category: str) -> float | None:
        """Return the share of a category's conversations that is routed, or None in shadow mode."""
        return self._own.get(category, (self._all, GLOBAL))[0]

    def draws(self, category: str | None) -> bool:
        """Return whether conversations are drawn for the share of a category."""
        share, _ = self._own.get(category or "", (self._all, GLOBAL))
        return share is not None and share < 1.0

    def withholds(self, category: str | None, seed: float) -> Reason | None:
        """Return why a request is withheld from the category's models, or None; `seed` is the conversation's.

        A rule that names a model has no category.
        """
        share, experiment = self._own.get(category or "", (self._all, GLOBAL))
        if share is None:
            return Reason.SHADOW
        if share == 1.0 or drawn(seed, experiment) < share:
            return None
        return Reason.HOLDBACK


def _share(mode: str, percent: float | None) -> float | None:
    if mode == "percent":
        return (percent or 0.0) / 100
    return 1.0 if mode == "on" else None


def rollout_of(routing: RoutingOptions) -> Rollout | None:
    """Return the rollout of these options, or None if everything is routed, so that it costs nothing."""
    rollout = Rollout(routing)
    return None if rollout.complete else rollout
