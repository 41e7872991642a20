"""The decisions of commands and the service in addition to the operator's file."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, TypeVar

import msgspec
import yaml

from pointsman.config.model import CategoryRollout, Config, RoutingOptions
from pointsman.config.rolled_back import RolledBack
from pointsman.store import document

NAME = "overlay.json"
TIMED_NAME = "timed_mode.json"
"""The file of a mode that ends by itself: earlier releases refuse an overlay with a field that they do not know."""
MAX_OVERLAY_BYTES = 1 << 20
MAX_CANARIES = 1_000
MAX_ADAPTERS = 1_000
MAX_FORMER_ARTIFACTS = 20
MIN_TIMED_SECONDS = 10
MAX_TIMED_SECONDS = 30 * 86_400
# Smaller differences between clocks are normal.
CLOCK_SECONDS = 1.0
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
Override = Literal["off", "shadow", "on"]

T = TypeVar("T")
N = TypeVar("N")


class CanaryOutcome(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The decision on a canary, by a command or by the service, with the reason; `at` is in seconds since the epoch."""

    adapter: str
    state: Literal["promoted", "rolled_back"]
    by: Literal["command", "service"]
    at: int
    why: str | None = None


class UnloadedAdapter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An adapter that was unloaded by hand, and the data to load it again."""

    base: str
    path: str


class Promotion(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An artifact that serves in place of the config's, as long as the config names `over`; `path` is its folder.

    `at` is in seconds since the epoch.
    """

    path: str
    over: str
    at: int

    def describe(self) -> str:
        """Return the consequence for the operator's config."""
        return (
            f"the classifier {self.path}, promoted at {moment(self.at)}, serves in place of {self.over}: it holds "
            "until `pointsman classifier rollback` or until the config names another"
        )


class Boot(NamedTuple):
    """A start of the host, and the uptime since, sleep included: a clock that nobody sets."""

    id: str
    seconds: float


def boot() -> Boot | None:
    """Return the present start, or None if the kernel does not tell."""
    try:
        return Boot(BOOT_ID.read_text().strip(), time.clock_gettime(time.CLOCK_BOOTTIME))
    except OSError:
        return None


class TimedMode(msgspec.Struct, frozen=True, kw_only=True):
    """A mode that a command has set for some `seconds`, `until` a time in seconds since the epoch.

    While the host is up, it also ends at `boot_until` by the clock of `Boot`. Unknown fields are ignored, so that a
    later release can add some.
    """

    mode: Override
    until: float
    seconds: Annotated[int, msgspec.Meta(ge=MIN_TIMED_SECONDS, le=MAX_TIMED_SECONDS)]
    boot_id: str | None = None
    boot_until: float | None = None

    def left(self, now: float, host: Boot | None) -> float:
        """Return the remaining seconds, by the clock with the fewest.

        If they exceed the duration, the clock has been set back since: the mode has all of its time again, unless the
        host has been up since it was set.
        """
        left = min(self.until - now, self.seconds)
        if host is None or self.boot_until is None or host.id != self.boot_id:
            return left
        return min(left, self.boot_until - host.seconds)

    def at(self, now: float, host: Boot | None) -> TimedMode | None:
        """Return the mode as it applies at a time, or None if it is over."""
        left = self.left(now, host)
        if left <= 0:
            return None
        found = self if self.until - now <= left + CLOCK_SECONDS else msgspec.structs.replace(self, until=now + left)
        return found if host is None or host.id == self.boot_id else found.on(host, left)

    def on(self, host: Boot | None, left: float) -> TimedMode:
        """Return the mode with its end by the clock of this start of the host."""
        if host is None:
            return self
        return msgspec.structs.replace(self, boot_id=host.id, boot_until=host.seconds + left)

    def describe(self) -> str:
        """Return the mode, and until when it applies."""
        return f"{self.mode} until {moment(self.until)}"


class _OverlayFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The content of the overlay's file."""

    version: Literal[1] = 1
    mode: Override | None = None
    """Replaces `routing.mode`; set without an end."""
    canaries: dict[str, CanaryOutcome] = {}
    """By category; each applies to a canary with the same adapter."""
    adapters: dict[str, UnloadedAdapter] = {}
    """By name; not their present path, but how they can be loaded."""
    config: RolledBack | None = None
    """The config that a former release has gone back to."""
    classifier: Promotion | None = None
    """The classifier that `pointsman classifier promote` has promoted."""
    former: tuple[Promotion, ...] = ()
    """Those promoted before, the newest last."""


class Overlay(_OverlayFile, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The values that replace the file's; empty by default."""

    timed: TimedMode | None = None
    """Replaces `mode` until it ends; it has a file of its own."""

    @property
    def mode_now(self) -> Override | None:
        """Return the mode that replaces the config's, or None."""
        return self.mode if self.timed is None else self.timed.mode


NOTHING = Overlay()


def read(folder: Path | None, now: float | None = None, host: Boot | None = None) -> tuple[Overlay, str | None]:
    """Return the overlay in a state directory, and a message for the operator if a file cannot be read.

    A mode whose time is over at `now`, by default the time of day, or by the clock of `host`, by default this one, is
    left out.
    """
    if folder is None:
        return NOTHING, None
    stored, trouble = _read(folder / NAME, _OverlayFile, _OverlayFile())
    timed, other = read_timed(folder)
    left = None if timed is None else timed.at(time.time() if now is None else now, host or boot())
    found = Overlay(**msgspec.structs.asdict(stored), timed=left)
    return found, "; ".join(filter(None, (trouble, other))) or None


def read_timed(folder: Path) -> tuple[TimedMode | None, str | None]:
    """Return the mode with an end in a state directory, even if it is over, and a message as `read` does."""
    return _read(folder / TIMED_NAME, TimedMode, None)


def _read(path: Path, form: type[T], nothing: N) -> tuple[T | N, str | None]:
    try:
        return document.read(path, form, MAX_OVERLAY_BYTES), None
    except FileNotFoundError:
        return nothing, None
    except OSError as error:
        return nothing, f"{path} cannot be read ({error.strerror}): what commands set before does not hold"


def encode(overlay: Overlay) -> bytes:
    """Return the content of the overlay's file."""
    return _encoded(_OverlayFile(**{name: getattr(overlay, name) for name in _OverlayFile.__struct_fields__}))


def encode_timed(timed: TimedMode) -> bytes:
    """Return the content of the file of a mode that ends by itself."""
    return _encoded(timed)


def _encoded(found: msgspec.Struct) -> bytes:
    return msgspec.json.format(msgspec.json.encode(found)) + b"\n"


def with_mode(overlay: Overlay, mode: Override | None, seconds: int | None, now: float, host: Boot | None) -> Overlay:
    """Return an overlay with another mode, which ends by itself if `seconds` are given.

    A mode without an end applies again afterwards.
    """
    if mode is None or seconds is None:
        return msgspec.structs.replace(overlay, mode=mode, timed=None)
    return with_timed(overlay, TimedMode(mode=mode, until=now + seconds, seconds=seconds).on(host, seconds))


def with_timed(overlay: Overlay, timed: TimedMode | None) -> Overlay:
    """Return an overlay with another mode that ends by itself, or none."""
    return msgspec.structs.replace(overlay, timed=timed)


def moment(at: float) -> str:
    """Return a time for an operator, in the time zone of the host."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))


def laid_over(routing: RoutingOptions, overlay: Overlay) -> RoutingOptions:
    """Return the options as an overlay changes them.

    `off` and `shadow` are for an emergency, so they apply to each category, whatever its own mode is.
    """
    if overlay.canaries:
        after = {name: _after(one, overlay.canaries.get(name)) for name, one in routing.categories.items()}
        routing = replace(routing, categories=after)
    mode = overlay.mode_now
    if mode is None:
        return routing
    cautious = mode != "on"
    categories = {name: replace(one, mode=None, percent=None) for name, one in routing.categories.items()}
    return replace(routing, mode=mode, percent=None, categories=categories if cautious else routing.categories)


def _after(category: CategoryRollout, decided: CanaryOutcome | None) -> CategoryRollout:
    if decided is None or category.canary is None or decided.adapter != category.canary.adapter:
        return category
    percent = 100.0 if decided.state == "promoted" else 0.0
    return replace(category, canary=replace(category.canary, percent=percent))


def with_classifier(config: Config, promoted: Promotion | None) -> tuple[Config, Promotion | None]:
    """Return the config with the classifier that replaces its own, and the promotion; None without one."""
    model = config.classifier.category_model
    if promoted is None or promoted.over != model.model_id:
        return config, None
    own = replace(config.classifier, category_model=replace(model, model_id=promoted.path))
    return replace(config, classifier=own), promoted


def promoting(overlay: Overlay, promoted: Promotion) -> Overlay:
    """Return an overlay in which a classifier is promoted; the oldest of those before are dropped."""
    before = () if overlay.classifier is None else (overlay.classifier,)
    former = (*overlay.former, *before)[-MAX_FORMER_ARTIFACTS:]
    return msgspec.structs.replace(overlay, classifier=promoted, former=former)


def rolling_back(overlay: Overlay) -> Overlay:
    """Return an overlay in which the classifier before serves again, or the config's own."""
    *former, now = (None, *overlay.former)
    return msgspec.structs.replace(overlay, classifier=now, former=tuple(one for one in former if one is not None))


def without_former(overlay: Overlay, path: str) -> Overlay:
    """Return an overlay in which a rollback never reaches an artifact."""
    return msgspec.structs.replace(overlay, former=tuple(one for one in overlay.former if one.path != path))


def with_canary(overlay: Overlay, category: str, decided: CanaryOutcome | None) -> Overlay:
    """Return an overlay with a decision on a canary, or None for a new trial; the oldest are dropped."""
    others = [(name, one) for name, one in overlay.canaries.items() if name != category]
    new = [] if decided is None else [(category, decided)]
    return msgspec.structs.replace(overlay, canaries=dict([*others, *new][-MAX_CANARIES:]))


def shown(overlay: Overlay) -> dict[str, Any]:
    """Return the overlay as JSON, without its version."""
    fields: dict[str, Any] = msgspec.to_builtins(overlay)
    if overlay.timed is not None:
        fields["timed"] = {name: value for name, value in fields["timed"].items() if not name.startswith("boot_")}
    return {name: value for name, value in fields.items() if name != "version" and value}


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
    comment = "" if overlay.timed is None else f"# not for good: mode {overlay.timed.describe()}\n"
    return comment + yaml.safe_dump(found, sort_keys=False, allow_unicode=True)


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
