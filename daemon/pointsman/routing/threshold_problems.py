"""Report problems with a config's thresholds, and settings that preserve former routes, which are told once."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import yaml

from pointsman import files
from pointsman.classify.calibration import Calibration
from pointsman.config.labels import cover
from pointsman.config.load import LoadedConfig
from pointsman.config.model import Config
from pointsman.config.words import Keys
from pointsman.errors import Problem
from pointsman.routing.thresholds import Threshold, ThresholdOrigin, answered_alike, thresholds

FORMER_THRESHOLD, FORMER_PRECISION = 0.6, 0.95
"""The former default threshold, and the precision to which thresholds were once fitted by default."""
NOTICE_FILE = "told-thresholds"
"""In the state directory once the operator was told."""
_COMMON: Keys = ("classifier", "category_model", "threshold")
_ROUTING: Keys = ("pointsman", "routing")


def problems(
    loaded: LoadedConfig, found: Mapping[str, Threshold], calibration: Calibration | None
) -> Iterator[Problem]:
    """Yield the settings that cannot be met; `found` are the thresholds of the config."""
    routing, source_map = loaded.config.pointsman.routing, loaded.source_map
    if routing.precision is not None and calibration is None:
        message = "the classifier has no calibration rows, so no threshold can be fitted to it"
        fix = "remove it, or make rows with `pointsman export --calibrate` or `pointsman fit --data`"
        yield source_map.problem((*_ROUTING, "precision"), message, fix)
    for i, category in enumerate(loaded.config.categories):
        name, threshold = category.name, found[category.name]
        if threshold.origin is ThresholdOrigin.NOT_REACHED:
            message = (
                f'no threshold gives "{name}" a precision of {routing.precision:g} on the calibration rows; '
                f"the most precise one, {threshold.value:g}, is used"
            )
            another = f"set another in pointsman.routing.thresholds ({name}: 1 chooses it only when certain)"
            yield source_map.problem(("categories", i), message, f"{another}, or calibrate anew")
        if threshold.origin is ThresholdOrigin.GIVEN and answered_alike(category, loaded.config):
            message = f'"{name}" gets the same model below it: it decides only which conversations end'
            yield source_map.problem((*_ROUTING, "thresholds", name), message, "remove it, unless that is meant")


def former(loaded: LoadedConfig, labels: Sequence[str], calibration: Calibration | None) -> Problem | None:
    """Return the settings that keep the routes from when thresholds were fitted by default.

    None where the config has `thresholds` or `precision`, or no adapter's threshold is different.
    """
    config, given = loaded.config, loaded.source_map.given
    if any((*_ROUTING, key) in given for key in ("thresholds", "precision")):
        return None
    before = as_before(config, keeps_common=_COMMON in given)
    common = before.classifier.category_model.threshold
    old, new = (thresholds(one, labels, calibration) for one in (before, config))
    covered = cover(config, labels).labels_of
    names = [one.name for one in config.categories if covered[one.name] and not answered_alike(one, config)]
    if all(old[name].value == new[name].value for name in names):
        return None
    fitted = {name: old[name].value for name in names if old[name].value != common}
    todo = [] if _COMMON in given else [f"`classifier.category_model.threshold` to {common:g}"]
    if fitted:
        todo.append(f"`pointsman.routing.thresholds` to `{_yaml(fitted)}`")
    was = "higher ones were fitted" if fitted else f"{common:g} was the default"
    now = config.classifier.category_model.threshold
    message = f"{now:g} is now the threshold of each category, where {was} before: more prompts reach their adapter"
    fix = f"set {' and '.join(todo)} to keep the former routes, or `pointsman.routing.precision` to null"
    return loaded.source_map.problem(_COMMON, message, f"{fix} to keep these without this warning")


def was_notified(state: Path | None) -> bool:
    """Return whether an earlier start has told the operator; False if the state directory is missing or unreadable."""
    return state is not None and os.path.lexists(state / NOTICE_FILE)


def remember_notified(state: Path | None) -> None:
    """Remember that the operator was told; raises OSError."""
    if state is not None:
        files.write(state / NOTICE_FILE, b"", replace=True)


def as_before(config: Config, *, keeps_common: bool) -> Config:
    """Return the config as it was read when thresholds were fitted by default; the default was FORMER_THRESHOLD."""
    section, options = config.classifier, config.pointsman
    if not keeps_common:
        model = dataclasses.replace(section.category_model, threshold=FORMER_THRESHOLD)
        section = dataclasses.replace(section, category_model=model)
    routing = dataclasses.replace(options.routing, precision=FORMER_PRECISION)
    return dataclasses.replace(config, classifier=section, pointsman=dataclasses.replace(options, routing=routing))


def _yaml(value: object) -> str:
    """Return a mapping as YAML in one line."""
    return yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, sort_keys=False, width=math.inf).strip()
