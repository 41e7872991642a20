"""Hold what commands and the service decide by themselves, beside the operator's file."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import msgspec
import yaml

from pointsman import files
from pointsman.config.model import CategoryRollout, Config, RoutingOptions

NAME = "overlay.json"
LARGEST_BYTES = 1 << 20
MOST_CANARIES = 1_000
MOST_ADAPTERS = 1_000
MOST_FORMER = 20
Override = Literal["off", "shadow", "on"]


class Decided(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What became of a canary, by a command or by the service, which says `why`; `at` is in seconds since the epoch."""

    adapter: str
    state: Literal["promoted", "rolled_back"]
    by: Literal["command", "service"]
    at: int
    why: str | None = None


class Unloaded(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An adapter that was unloaded by hand, and what is needed to load it again."""

    base: str
    path: str


class Pin(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A kept config that is served in place of the file's, as long as the file's content is that of the digest `over`.

    `at` is when it was first applied, in seconds since the epoch.
    """

    sha256: str
    at: int
    over: str

    def told(self, path: Path) -> str:
        """Return what this means for the config file of the operator."""
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(self.at))
        return (
            f"{path} is not served, but the config {self.sha256[:12]} of {when}: `pointsman config rollback` holds "
            "until `pointsman config follow` or until the file changes"
        )


class Promoted(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An artifact that serves in place of the config's, as long as the config names `over`; `at` as above.

    `path` is the artifact's folder.
    """

    path: str
    over: str
    at: int

    def told(self) -> str:
        """Return what this means for the config of the operator."""
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(self.at))
        return (
            f"the classifier {self.path}, promoted at {when}, serves in place of {self.over}: it holds until "
            "`pointsman classifier rollback` or until the config names another"
        )


class Overlay(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What holds in place of the file's values; empty by default."""

    version: Literal[1] = 1
    mode: Override | None = None
    """In place of `routing.mode`."""
    canaries: dict[str, Decided] = {}
    """By category; each holds for a canary with the same adapter."""
    adapters: dict[str, Unloaded] = {}
    """By name; not what they are loaded as now, but how they can be."""
    config: Pin | None = None
    """The config that `pointsman config rollback` has gone back to."""
    classifier: Promoted | None = None
    """The classifier that `pointsman classifier promote` has put to use."""
    former: tuple[Promoted, ...] = ()
    """Those that were promoted before, the newest last."""


NOTHING = Overlay()


def read(folder: Path | None) -> tuple[Overlay, str | None]:
    """Return what the file in a state directory says, and a message for the operator if it cannot be read."""
    if folder is None:
        return NOTHING, None
    path = folder / NAME
    try:
        return decode(files.read(path, LARGEST_BYTES)), None
    except FileNotFoundError:
        return NOTHING, None
    except OSError as error:
        why = error.strerror
    except ValueError as error:
        why = str(error)
    return NOTHING, f"{path} cannot be read ({why}): what commands set before does not hold"


def decode(content: bytes) -> Overlay:
    """Return the overlay in a file's content; raises ValueError, whose message says what is wrong."""
    try:
        return msgspec.json.decode(content, type=Overlay)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(str(error)) from error


def encode(overlay: Overlay) -> bytes:
    """Return the content of a file."""
    return msgspec.json.format(msgspec.json.encode(overlay)) + b"\n"


def laid_over(routing: RoutingOptions, overlay: Overlay) -> RoutingOptions:
    """Return the options as they hold with an overlay.

    `off` and `shadow` are for an emergency, so they hold for each category, whatever its own mode is.
    """
    if overlay.canaries:
        after = {name: _after(one, overlay.canaries.get(name)) for name, one in routing.categories.items()}
        routing = replace(routing, categories=after)
    if overlay.mode is None:
        return routing
    cautious = overlay.mode != "on"
    categories = {name: replace(one, mode=None, percent=None) for name, one in routing.categories.items()}
    return replace(routing, mode=overlay.mode, percent=None, categories=categories if cautious else routing.categories)


def _after(category: CategoryRollout, decided: Decided | None) -> CategoryRollout:
    if decided is None or category.canary is None or decided.adapter != category.canary.adapter:
        return category
    percent = 100.0 if decided.state == "promoted" else 0.0
    return replace(category, canary=replace(category.canary, percent=percent))


def with_classifier(config: Config, promoted: Promoted | None) -> tuple[Config, Promoted | None]:
    """Return the config with the classifier that serves in place of its own, and that, None where its own does."""
    model = config.classifier.category_model
    if promoted is None or promoted.over != model.model_id:
        return config, None
    own = replace(config.classifier, category_model=replace(model, model_id=promoted.path))
    return replace(config, classifier=own), promoted


def promoting(overlay: Overlay, promoted: Promoted) -> Overlay:
    """Return an overlay in which a classifier is promoted; of those before, the oldest are forgotten."""
    before = () if overlay.classifier is None else (overlay.classifier,)
    former = (*overlay.former, *before)[-MOST_FORMER:]
    return msgspec.structs.replace(overlay, classifier=promoted, former=former)


def rolling_back(overlay: Overlay) -> Overlay:
    """Return an overlay in which the classifier before serves again, or the config's own."""
    *former, now = (None, *overlay.former)
    return msgspec.structs.replace(overlay, classifier=now, former=tuple(one for one in former if one is not None))


def without_former(overlay: Overlay, path: str) -> Overlay:
    """Return an overlay in which a rollback never comes to an artifact."""
    return msgspec.structs.replace(overlay, former=tuple(one for one in overlay.former if one.path != path))


def with_canary(overlay: Overlay, category: str, decided: Decided | None) -> Overlay:
    """Return an overlay in which a canary has been decided, or None for a new trial; the oldest are forgotten."""
    others = [(name, one) for name, one in overlay.canaries.items() if name != category]
    new = [] if decided is None else [(category, decided)]
    return msgspec.structs.replace(overlay, canaries=dict([*others, *new][-MOST_CANARIES:]))


def shown(overlay: Overlay) -> dict[str, Any]:
    """Return what an overlay says as JSON, without its version."""
    told: dict[str, Any] = msgspec.to_builtins(overlay)
    return {name: value for name, value in told.items() if name != "version" and value}


def as_yaml(overlay: Overlay) -> str:
    """Return the overlay in the form of the config file, so that it can be made permanent there."""
    found: dict[str, Any] = {}
    if overlay.classifier is not None:
        found["classifier"] = {"category_model": {"model_id": overlay.classifier.path}}
    for name, one in overlay.adapters.items():
        base = found.setdefault("model_config", {}).setdefault(one.base, {"loras": []})
        base["loras"].append({"name": name, "path": one.path})
    if routing := dict(_keys(overlay)):
        found["pointsman"] = {"routing": routing}
    return yaml.safe_dump(found, sort_keys=False, allow_unicode=True)


def _keys(overlay: Overlay) -> Iterator[tuple[str, Any]]:
    if overlay.mode is not None:
        yield "mode", overlay.mode
    if overlay.canaries:
        percents = {"promoted": 100, "rolled_back": 0}
        yield (
            "categories",
            {
                name: {"canary": {"adapter": one.adapter, "percent": percents[one.state]}}
                for name, one in overlay.canaries.items()
            },
        )
