"""Correct a classifier by the command line: `pointsman fit --labelled`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import msgspec

from pointsman import files
from pointsman.classify import artifact
from pointsman.config.lint import lint
from pointsman.config.load import default_path, load
from pointsman.errors import ConfigError
from pointsman.improve.folder import ARTIFACTS, prune_artifacts
from pointsman_export.correct.pipeline import CorrectionRequest, correct
from pointsman_export.fit.progress import Progress


def correct_by(options: argparse.Namespace, output: Path) -> str:
    """Write the artifact, and the report if requested; return the report. Raises ExportError, CannotStart."""
    path = options.config or default_path()
    loaded = load(path)
    named = options.base or loaded.config.classifier.category_model.model_id
    base = artifact.resolve(named, Path.cwd() if options.base else loaded.folder)
    findings = lint(loaded, artifact.read_manifest(base).labels)
    if findings.errors:
        raise ConfigError(str(path), findings.errors)
    texts = loaded.config.pointsman.log.texts_file
    request = CorrectionRequest(
        labels=options.labelled,
        config=loaded.config,
        base=base,
        texts=None if texts is None else Path(texts),
        output=output,
        force=options.force,
    )
    report = correct(request, Progress(sys.stderr))
    if output.parent == files.service_state() / ARTIFACTS:
        files.hand_over_folder(output)  # so that the service can discard it
        shadow = loaded.config.pointsman.classifier.shadow
        model_id = loaded.config.classifier.category_model.model_id
        named = (model_id,) if shadow is None else (model_id, shadow)
        prune_artifacts([base, *(artifact.resolve(one, loaded.folder) for one in named)])
    if options.json is not None:  # it contains what people wrote
        data = msgspec.to_builtins(report) | {"before": report.before, "after": report.after, "artifact": str(output)}
        files.write(options.json, msgspec.json.format(msgspec.json.encode(data)) + b"\n", replace=True, mode=0o600)
    return report.table()
