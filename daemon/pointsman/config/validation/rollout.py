"""Check the modes, and the canaries."""

from __future__ import annotations

from collections.abc import Iterator

from pointsman.config.model import CategoryRollout
from pointsman.config.validation.subject import ValidatedConfig
from pointsman.config.words import Keys, choose
from pointsman.errors import Problem


def problems(subject: ValidatedConfig) -> Iterator[Problem]:
    """Yield the problems of `mode`, `percent` and `categories` of `routing`."""
    routing, known = subject.config.pointsman.routing, subject.source_map.known
    base: Keys = ("pointsman", "routing")
    names = [category.name for category in subject.config.categories]
    modes: list[tuple[Keys, str | None, float | None]] = [(base, routing.mode, routing.percent)]
    for name, own in routing.categories.items():
        keys = (*base, "categories", name)
        modes.append((keys, own.mode, own.percent))
        if name not in names and known("categories"):
            fix = choose(name, names) if names else "remove it, or add the category"
            yield subject.problem(*keys, message=f'no category is named "{name}"', fix=fix)
        yield from _canary(subject, (*keys, "canary"), name, own)
    for keys, mode, percent in modes:
        if not known(*keys, "mode") or not known(*keys, "percent"):
            continue
        if mode == "percent" and percent is None:
            yield subject.problem(*keys, "mode", message="the share is missing", fix="add `percent:` from 0 to 100")
        if mode != "percent" and percent is not None:
            message = "percent has no effect without `mode: percent`"
            yield subject.problem(*keys, "percent", message=message, fix="write `mode: percent`, or remove it")


def _canary(subject: ValidatedConfig, keys: Keys, name: str, own: CategoryRollout) -> Iterator[Problem]:
    if own.canary is None or not all(map(subject.source_map.known, ("model_config", "categories"))):
        return
    adapter, available = own.canary.adapter, list(subject.adapters())
    if adapter not in available and subject.source_map.known(*keys, "adapter"):
        fix = choose(adapter, available) if available else "add it to the loras of its model"
        yield subject.problem(*keys, "adapter", message=f'no adapter is named "{adapter}"', fix=fix)
    stable = [entry.target for one in subject.config.categories if one.name == name for entry in one.model_scores]
    if adapter in stable:
        message = f'"{adapter}" is in model_scores of "{name}", so both arms would have it'
        yield subject.problem(*keys, "adapter", message=message, fix="remove it there, or try another adapter")
