"""Correct a classifier by the command line: `pointsman fit --labelled`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import msgspec

from pointsman import files
from pointsman.classify import artifact
from pointsman.config.lint import lint
from pointsman.config.load import LoadedConfig, default_path, load
from pointsman.errors import ConfigError
from pointsman.improve.folder import ARTIFACTS, prune_artifacts
from pointsman_export.correct.pipeline import CorrectionRequest, correct
from pointsman_export.correct.report import CorrectionReport
from pointsman_export.fit.progress import Progress


def correct_by(options: argparse.Namespace, output: Path) -> str:
    """Write the artifact, and the report if requested; return the report. Raises ExportError, CannotStart."""
    loaded = load(options.config or default_path())
    named = options.base or loaded.config.classifier.category_model.model_id
    base = artifact.resolve(named, Path.cwd() if options.base else loaded.folder)
    report = corrected(loaded, base, options.labelled, output, options)
    hand_over(output, base, loaded)
    if options.json is not None:  # it contains what people wrote
        data = msgspec.to_builtins(report) | {"before": report.before, "after": report.after, "artifact": str(output)}
        files.write(options.json, msgspec.json.format(msgspec.json.encode(data)) + b"\n", replace=True, mode=0o600)
    return report.table()


def corrected(
    loaded: LoadedConfig, base: Path, labels: Path, output: Path, options: argparse.Namespace
) -> CorrectionReport:
    """Write an artifact that corrects `base` by labels, and return the report; raises ExportError, CannotStart."""
    findings = lint(loaded, artifact.read_manifest(base).labels)
    if findings.errors:
        raise ConfigError(str(loaded.path), findings.errors)
    texts = loaded.config.pointsman.log.texts_file
    request = CorrectionRequest(
        labels=labels,
        config=loaded.config,
        base=base,
        texts=None if texts is None else Path(texts),
        output=output,
        keeps_rows=not options.no_rows,
        force=options.force,
    )
    return correct(request, Progress(sys.stderr))


def hand_over(output: Path, base: Path, loaded: LoadedConfig | None) -> None:
    """Give an artifact to the owner of its folder, and remove the oldest in the state directory; raises OSError."""
    files.hand_over_folder(output)  # so that the service can discard it
    if loaded is not None and output.parent == files.service_state() / ARTIFACTS:
        shadow = loaded.config.pointsman.classifier.shadow
        model_id = loaded.config.classifier.category_model.model_id
        named = (model_id,) if shadow is None else (model_id, shadow)
        prune_artifacts([base, *(artifact.resolve(one, loaded.folder) for one in named)])
