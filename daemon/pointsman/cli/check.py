"""Implement `pointsman check FILE`: print every error and warning of a config, and the models that answer."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple, TextIO
from urllib.parse import urlsplit

from pointsman.classify import artifact
from pointsman.classify.artifact import Artifact
from pointsman.classify.availability import unavailable
from pointsman.classify.calibration import Calibration
from pointsman.classify.category_head import texts_of, untaught
from pointsman.classify.manifest import Manifest
from pointsman.classify.providers import advice, default_providers
from pointsman.classify.shadow import ShadowOptions, proven
from pointsman.cli import deep, shares
from pointsman.cli.lookup import unresolved
from pointsman.columns import columns
from pointsman.config import kept_examples, overlay
from pointsman.config.client_keys import load_keys
from pointsman.config.cross_checks import KEEP_OUT, REACHABLE, serves_strangers
from pointsman.config.labels import Coverage, cover
from pointsman.config.lint import lint, lint_shadow, shadow_unread
from pointsman.config.load import LoadedConfig, content, default_path, in_order, load, state_of
from pointsman.config.model import Category, Config
from pointsman.config.words import Keys, listing
from pointsman.errors import ArtifactError, CannotStart, ConfigError, Problem
from pointsman.routing import threshold_problems
from pointsman.routing.threshold_errors import HEAD, both_errors, cells
from pointsman.routing.threshold_problems import was_notified
from pointsman.routing.thresholds import Threshold, at_precision, thresholds

LOOK_UP_SECONDS = 3.0
MAX_SHOWN_ROTATIONS = 10
MAX_SHOWN_ADAPTERS = 10
_MODEL_ID: Keys = ("classifier", "category_model", "model_id")


def run(options: argparse.Namespace) -> int:
    """Check the named file, or the default one."""
    return check(options.file, sys.stdout, options.listen, with_encoder=options.deep)


def check(path: Path | None, out: TextIO, listen: Iterable[str] = (), *, with_encoder: bool = False) -> int:
    """Check a config file, by default `default_path()`, and its labels; return 0 if the service could start.

    `listen` are the addresses of sockets that the service would inherit. `with_encoder` judges described categories.
    """
    try:
        loaded = load(path or default_path())
    except ConfigError as error:
        _print("error", error.problems, error.file, out)
        print(_refusal(len(error.problems)), file=out)
        return 1
    file = str(loaded.path)
    try:
        summary = _ArtifactSummary.read(
            artifact.resolve(loaded.config.classifier.category_model.model_id, loaded.folder)
        )
    except ArtifactError as error:
        message, _, fix = str(error).partition("; ")
        _print("error", [loaded.source_map.problem(_MODEL_ID, message, fix)], file, out)
        _print("warning", loaded.warnings, file, out)
        print(_refusal(1), file=out)
        return 1
    shadow, trouble = _shadow(loaded)
    theirs = () if shadow is None else shadow.manifest.labels
    describes = summary.manifest.features is not None
    state = state_of(loaded.path)
    kept = kept_examples.added(loaded.config, summary.manifest.labels, state, describes=describes)
    loaded = dataclasses.replace(loaded, config=kept.config)
    findings = lint(loaded, summary.manifest.labels, shadow=theirs, describes=describes)
    errors = [*findings.errors, *_strangers(loaded, listen)]
    _print("error", errors, file, out)
    elsewhere = _unavailable(loaded, summary.manifest)
    about_thresholds = _about_thresholds(loaded, summary, state)
    here = [*_unnamed(loaded), *_unresolved(loaded), *_rolled_back(loaded, state)]
    warnings = [*findings.warnings, *trouble, *elsewhere, *here, *about_thresholds]
    _print("warning", in_order(warnings), file, out)
    for warning in (*kept.warnings, *summary.untaught(loaded.config)):
        print(f"warning: {warning}", file=out)
    count = len(errors) + _keys(loaded, out)
    if count:
        print(_refusal(count), file=out)
        return 1
    print("\n".join(_summary(loaded, cover(loaded.config, summary.manifest.labels, describes=describes))), file=out)
    if summary.calibration is not None or loaded.config.pointsman.routing.thresholds:
        print("\n".join(["", *summary.table(loaded.config)]), file=out)
    if shadow is not None:
        title = "of the classifier in shadow, which was loaded:"
        print("\n".join(["", title, *shadow.table(loaded.config)]), file=out)
    if lines := list(shares.lines(loaded, state)):
        print("\n".join(["", *lines]), file=out)
    return 0 if not with_encoder or _deep(loaded, out) else 1


def _deep(loaded: LoadedConfig, out: TextIO) -> bool:
    """Print how well the described categories are told apart; return False, after an error, if that cannot be told."""
    try:
        print("\n".join(["", *deep.lines(loaded)]), file=out)
    except CannotStart as error:
        print(f"error: {error}", file=out)
        return False
    return True


class _ArtifactSummary(NamedTuple):
    """The parts of a classifier that a check reads."""

    folder: Path
    manifest: Manifest
    calibration: Calibration | None

    @classmethod
    def read(cls, folder: Path) -> _ArtifactSummary:
        """Read the artifact; raises ArtifactError."""
        manifest = artifact.read_manifest(folder)
        return cls(folder, manifest, artifact.read_calibration(folder, manifest))

    def untaught(self, config: Config) -> Iterator[str]:
        """Yield a warning of categories that a taught classifier was not taught."""
        found = artifact.read_taught(Artifact(self.folder, self.manifest))
        if found is not None and (warning := untaught(found, texts_of(config, self.manifest))) is not None:
            yield warning

    def thresholds(self, config: Config) -> dict[str, Threshold]:
        return thresholds(config, self.manifest.labels, self.calibration)

    def table(self, config: Config) -> Iterator[str]:
        """Yield lines about the effect of the thresholds."""
        stated = at_precision(config, self.manifest.labels, self.calibration)
        return columns([HEAD, *map(cells, both_errors(self.thresholds(config), stated))])


def _shadow(loaded: LoadedConfig) -> tuple[_ArtifactSummary | None, list[Problem]]:
    """Load the classifier in shadow; return it, or None if there is none or it fails, and warnings."""
    options = loaded.config.pointsman.classifier
    if options.shadow is None:
        return None, []
    try:
        folder = artifact.resolve(options.shadow, loaded.folder)
        found = _ArtifactSummary.read(folder)
    except ArtifactError as error:
        return None, [shadow_unread(loaded, str(error))]
    order = ShadowOptions(
        folder=str(folder),
        max_tokens=options.max_tokens or found.manifest.max_tokens,
        head_share=options.head_share,
        language_gate=options.language_gate,
        load_seconds=options.load_timeout_ms / 1000,
    )
    why = proven(order)
    if why is not None:
        return None, [shadow_unread(loaded, why)]
    return found, lint_shadow(loaded, found.manifest.labels)


def _unavailable(loaded: LoadedConfig, manifest: Manifest) -> Iterator[Problem]:
    """Yield why the artifact cannot run here, if so; the service may run on another host."""
    use_cpu = loaded.config.classifier.category_model.use_cpu
    wanted = loaded.config.pointsman.classifier.providers
    where = ("pointsman", "classifier", "providers") if wanted else _MODEL_ID
    providers = wanted or default_providers(manifest.target, use_cpu=use_cpu)
    if (why := unavailable(manifest, providers)) is not None:
        message = f"the classifier does not start on this host: {why}"
        yield loaded.source_map.problem(where, message, advice(manifest.target))


def _strangers(loaded: LoadedConfig, addresses: Iterable[str]) -> Iterator[Problem]:
    for text in addresses:
        if serves_strangers(loaded.config, text):
            yield Problem(path="", line=None, message=f"the inherited socket {text} {REACHABLE}", fix=KEEP_OUT)


def _keys(loaded: LoadedConfig, out: TextIO) -> int:
    """Print the problems of the file of client keys, and return the number of errors.

    A file that is missing here, or that this user may not read, may be different for the service.
    """
    file = loaded.config.pointsman.access.keys_file
    if file is None:
        return 0
    where = ("pointsman", "access", "keys_file")
    try:
        found = load_keys(Path(file), loaded.config)
    except OSError as error:
        message = f"{file} cannot be read ({error.strerror})"
        kind = "warning" if isinstance(error, FileNotFoundError | PermissionError) else "error"
        fix = "the service must be able to read it; `pointsman keys add NAME` writes it"
        _print(kind, [loaded.source_map.problem(where, message, fix)], str(loaded.path), out)
        return int(kind == "error")
    _print("error", found.errors, file, out)
    _print("warning", found.warnings, file, out)
    for entry in found.rotating[:MAX_SHOWN_ROTATIONS]:
        since = f" since {entry.rotated}" if entry.rotated else ""
        print(f"{file}: the key {entry.name} has two secrets{since}; `pointsman keys drop-old` ends one", file=out)
    if more := found.rotating[MAX_SHOWN_ROTATIONS:]:
        print(f"{file}: and {len(more)} more keys have two secrets; `pointsman keys list` shows them", file=out)
    return len(found.errors)


def _unnamed(loaded: LoadedConfig) -> Iterator[Problem]:
    """Yield the adapters that no decision can choose."""
    named = loaded.config.routable
    for base, model in loaded.config.model_config.items():
        if missing := [lora.name for lora in model.loras if lora.name not in named]:
            more = f" and {len(missing) - MAX_SHOWN_ADAPTERS} more" if len(missing) > MAX_SHOWN_ADAPTERS else ""
            message = f"no category names {listing(missing[:MAX_SHOWN_ADAPTERS])}{more}: no prompt is routed there"
            fix = "`pointsman init --add` writes a category for each"
            yield loaded.source_map.problem(("model_config", base, "loras"), message, fix)


def _unresolved(loaded: LoadedConfig) -> Iterator[Problem]:
    endpoints = loaded.config.vllm_endpoints
    hosts = [None if one.socket_path else urlsplit(one.base_url).hostname for one in endpoints]
    failed = unresolved(filter(None, hosts), LOOK_UP_SECONDS)
    for i, host in enumerate(hosts):
        if host in failed:
            message = f"the host name {host} does not resolve here ({failed[host]}): requests to it would fail"
            yield loaded.source_map.problem(("vllm_endpoints", i, "address"), message, "check its spelling and the DNS")


def _rolled_back(loaded: LoadedConfig, state: Path | None) -> Iterator[Problem]:
    """Yield that the service serves another config, to which a former release has gone back."""
    found = overlay.read(state)[0].config
    if found is not None and state is not None and found.holds(content(loaded.path)):
        try:
            found.read(state)
        except CannotStart as error:
            message = f"this file is served, though a former release has gone back to another config: {error}"
            yield Problem(path="", line=None, message=message, fix="change the file, if only a comment, to end this")
        else:
            yield found.problem(state, loaded.path)


def _about_thresholds(loaded: LoadedConfig, summary: _ArtifactSummary, state: Path | None) -> Iterator[Problem]:
    yield from threshold_problems.problems(loaded, summary.thresholds(loaded.config), summary.calibration)
    notice = threshold_problems.former(loaded, summary.manifest.labels, summary.calibration)
    if notice is not None and not was_notified(state):
        yield notice


def _print(kind: str, problems: Iterable[Problem], file: str, out: TextIO) -> None:
    for problem in problems:
        print(f"{kind}: {problem.render(file)}", file=out)


def _refusal(errors: int) -> str:
    return f"{errors} error{'' if errors == 1 else 's'}: the service would not start"


def _summary(loaded: LoadedConfig, coverage: Coverage) -> Iterator[str]:
    config = loaded.config
    rows = [("category", "labels", "answered by")]
    rows += [(category.name, _covered(category, coverage), _answer(category)) for category in config.categories]
    if coverage.uncovered:
        rows.append(("(none)", ", ".join(coverage.uncovered), config.default_model))
    model = config.classifier.category_model
    below = f"category {model.fallback_category}" if model.fallback_category else config.default_model
    rows.append(("(unsure)", "score below its threshold", below))
    yield f"{loaded.path}: the service can start"
    yield ""
    yield from columns(rows)


def _covered(category: Category, coverage: Coverage) -> str:
    """Return the labels of a category, or the number of texts that describe it."""
    if (given := coverage.descriptions.get(category.name)) is None:
        return ", ".join(coverage.labels_of[category.name]) or "none"
    count = len(given) + len(category.examples)
    return f"described by {count} text{'' if count == 1 else 's'}"


def _answer(category: Category) -> str:
    """Return the models of a category as text, the preferred one first."""
    ranked = sorted(category.model_scores, key=lambda entry: -entry.score)
    return ", else ".join(
        f"{entry.lora_name} (on {entry.model})" if entry.lora_name else entry.model for entry in ranked
    )
