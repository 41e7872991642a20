"""Say what is wrong with a config's thresholds, and what keeps the routes of before; pure functions."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pointsman.classify.calibration import Calibration
from pointsman.config.load import Loaded
from pointsman.config.model import Config
from pointsman.config.words import Keys
from pointsman.errors import Problem
from pointsman.routing.thresholds import Origin, Threshold, answered_alike, thresholds

FORMER_THRESHOLD, FORMER_PRECISION = 0.6, 0.95
"""The default of before, and the precision that thresholds were fitted to without being asked."""
FORMER = "thresholds"
"""The name by which `told` remembers that the operator knows of `former`."""
_COMMON: Keys = ("classifier", "category_model", "threshold")
_ROUTING: Keys = ("pointsman", "routing")


def problems(loaded: Loaded, found: Mapping[str, Threshold], calibration: Calibration | None) -> Iterator[Problem]:
    """Yield what the operator asked for and does not get; `found` are the thresholds of the config."""
    routing, places = loaded.config.pointsman.routing, loaded.places
    if routing.precision is not None and calibration is None:
        message = "the classifier has no calibration rows, so no threshold can be fitted to it"
        fix = "remove it, or make rows with `pointsman export --calibrate` or `pointsman fit --data`"
        yield places.problem((*_ROUTING, "precision"), message, fix)
    for i, category in enumerate(loaded.config.categories):
        name, threshold = category.name, found[category.name]
        if threshold.origin is Origin.NOT_REACHED:
            message = (
                f'no threshold gives "{name}" a precision of {routing.precision:g} on the calibration rows; '
                f"the most precise one, {threshold.value:g}, is used"
            )
            another = f"set another in pointsman.routing.thresholds ({name}: 1 chooses it only when certain)"
            yield places.problem(("categories", i), message, f"{another}, or calibrate anew")
        if threshold.origin is Origin.GIVEN and answered_alike(category, loaded.config):
            message = f'no adapter depends on it: the same model answers "{name}" and what reaches no threshold'
            yield places.problem((*_ROUTING, "thresholds", name), message, "remove it, or give the category an adapter")


def former(loaded: Loaded, artifacts: Sequence[tuple[Sequence[str], Calibration | None]]) -> Problem | None:
    """Return what keeps the routes of when thresholds were fitted unasked.

    None where the config has `thresholds` or `precision`, or nothing is different.
    `artifacts` are labels and calibration rows, those of a cascade's larger artifact last.
    """
    given = loaded.places.given
    if any((*_ROUTING, key) in given for key in ("thresholds", "precision")):
        return None
    before = _former(loaded.config, keeps_common=_COMMON in given)
    common = before.classifier.category_model.threshold
    old, new = ([thresholds(config, *one) for one in artifacts] for config in (before, loaded.config))
    fitted = {name: one.value for name, one in old[0].items() if one.value != common}
    if all(_values(one) == _values(other) for one, other in zip(old, new, strict=True)):
        return None
    lines: dict[str, Any] = {} if _COMMON in given else {"classifier": {"category_model": {"threshold": common}}}
    if len(artifacts) > 1:
        lines |= {"pointsman": {"routing": {"precision": FORMER_PRECISION}}}
    elif fitted:
        lines |= {"pointsman": {"routing": {"thresholds": fitted}}}
    now = loaded.config.classifier.category_model.threshold
    message = (
        f"{now:g} is now the threshold of each category, where higher ones were fitted before: more prompts reach "
        "their adapter"
    )
    fix = f"add `{_flow(lines)}` to keep the former routes, or `pointsman: {{routing: {{precision: null}}}}`"
    return loaded.places.problem(_COMMON, message, f"{fix} to keep these without this warning")


def _former(config: Config, *, keeps_common: bool) -> Config:
    """Return the config as it was read before."""
    section, options = config.classifier, config.pointsman
    if not keeps_common:
        model = dataclasses.replace(section.category_model, threshold=FORMER_THRESHOLD)
        section = dataclasses.replace(section, category_model=model)
    routing = dataclasses.replace(options.routing, precision=FORMER_PRECISION)
    return dataclasses.replace(config, classifier=section, pointsman=dataclasses.replace(options, routing=routing))


def _values(found: Mapping[str, Threshold]) -> dict[str, float]:
    return {name: one.value for name, one in found.items()}


def _flow(value: object) -> str:
    """Return YAML in one line."""
    if not isinstance(value, dict):
        return json.dumps(value)
    return "{" + ", ".join(f"{_key(name)}: {_flow(inner)}" for name, inner in value.items()) + "}"


def _key(name: str) -> str:
    return name if name.isascii() and name.replace("_", "").isalpha() else json.dumps(name)
