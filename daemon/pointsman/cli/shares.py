"""Report for `pointsman check` which share of the conversations will be routed, with the settings of commands."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pointsman.config import overlay
from pointsman.config.load import LoadedConfig
from pointsman.config.overlay import Overlay
from pointsman.routing.rollout import rollout_of


def lines(loaded: LoadedConfig, state: Path | None) -> Iterator[str]:
    """Yield the overlay in the state directory, and the shares as they will be; nothing if everything is routed."""
    found, trouble = overlay.read(state)
    if trouble is not None:
        yield f"{trouble}, or run this as root"
    yield from _decided(found, loaded, state)
    routing = overlay.laid_over(loaded.config.pointsman.routing, found)
    for name, one in routing.categories.items():
        if one.canary is not None:
            yield f"{name}: the canary {one.canary.adapter} gets {one.canary.percent:g} % of those that are routed"
    rollout = rollout_of(routing)
    if rollout is None:
        return
    if rollout.off:
        yield f"nothing is routed (mode off): {loaded.config.default_model} answers everything"
        return
    for category in loaded.config.categories:
        share = rollout.share(category.name)
        if share is None:
            yield f"{category.name}: in shadow, {loaded.config.default_model} answers"
        else:
            yield f"{category.name}: {100 * share:g} % of the conversations are routed"


def _decided(found: Overlay, loaded: LoadedConfig, state: Path | None) -> Iterator[str]:
    if found.classifier is not None and found.classifier.over == loaded.config.classifier.category_model.model_id:
        yield found.classifier.describe()
    if found.timed is not None:
        then = found.mode or loaded.config.pointsman.routing.mode
        yield f"set by `pointsman mode`, in {state}: {found.timed.describe()}, then {then}"
    elif found.mode is not None:
        yield f"set by `pointsman mode`, in {state}: {found.mode}"
    for name, decided in found.canaries.items():
        who = "a command" if decided.by == "command" else "the service"
        yield f"{name}: the canary {decided.adapter} was {decided.state.replace('_', ' ')} by {who}"
