"""Implement `pointsman migrate FILE`: convert a configuration of vLLM Semantic Router.

The result goes to standard output or a file, and a note on each part to standard error.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable
from pathlib import Path

from pointsman import __version__, files
from pointsman.classify import artifact
from pointsman.config import yaml_tree as tree
from pointsman.config.lint import lint
from pointsman.config.load import LoadedConfig, load_text, read
from pointsman.errors import ArtifactError, CannotStart, ConfigError, Problem
from pointsman.migration import form
from pointsman.migration.classifier import BUILTIN, AvailableClassifier
from pointsman.migration.emit import emit
from pointsman.migration.migrate import migrate
from pointsman.migration.note import Note


def run(options: argparse.Namespace) -> int:
    """Migrate the named file; raises CannotStart if nothing is written."""
    return write_migrated(options.file, options.output, force=options.force)


def write_migrated(file: Path, output: Path | None, *, force: bool) -> int:
    """Migrate a file; return 0 if the result passes `check`, 1 if the operator must complete it."""
    _require_free(output, force)
    root, unread = _parse(file)
    migration = migrate(root, lambda model_id: _lookup(model_id, file.resolve().parent))
    text = _header(file) + emit(migration.config)
    result = output or Path("result")
    problems, warnings = _check(text, result)
    _write(text, output)
    notes = sorted([*unread, *migration.notes], key=lambda note: note.line or 0)
    for note in notes:
        print(note.render(str(file)), file=sys.stderr)
    for problem in problems:
        print(f"missing  {problem.render(str(result))}", file=sys.stderr)
    missing = len(problems) + sum(note.fate == "missing" for note in notes)
    print(_summary(notes, missing, warnings, output), file=sys.stderr)
    return 1 if missing else 0


def _parse(file: Path) -> tuple[tree.Table, list[Note]]:
    """Return the file's tree, and a note for each YAML construct that a config cannot have."""
    text = read(file)
    parsed = tree.parse(text)
    if parsed.root is None:
        raise ConfigError(str(file), parsed.problems[-1:])
    refusal = form.refusal(parsed.root) or _served(text, file)
    if refusal is not None:
        raise ConfigError(str(file), (refusal,))
    return parsed.root, [Note("dropped", one.path, one.line, one.message) for one in parsed.problems]


def _served(text: str, file: Path) -> Problem | None:
    """Return a problem if the file needs no migration because `serve` reads all of it."""
    try:
        loaded = load_text(text, file)
    except ConfigError:
        return None
    found = _lookup(_model_id(loaded), loaded.folder)
    if loaded.warnings or not isinstance(found, AvailableClassifier) or lint(loaded, found.labels).errors:
        return None
    fix = "start pointsman serve with it"
    return Problem(path="", line=None, message="nothing to migrate: Pointsman reads all of this file", fix=fix)


def _model_id(loaded: LoadedConfig) -> str:
    return loaded.config.classifier.category_model.model_id


def _lookup(model_id: str, folder: Path) -> AvailableClassifier | str:
    """Return the artifact that a `model_id` names, with an absolute path, or a message about what was found."""
    path = artifact.resolve(model_id, folder)
    try:
        labels = artifact.read_manifest(path).labels
    except ArtifactError as error:
        return str(error).partition("; ")[0]
    return AvailableClassifier(model_id if model_id == BUILTIN else str(path), tuple(labels))


def _check(text: str, result: Path) -> tuple[tuple[Problem, ...], int]:
    """Return the errors and the number of warnings that `pointsman check` would print for the result."""
    try:
        loaded = load_text(text, result)
    except ConfigError as error:
        return error.problems, 0
    findings = lint(loaded, artifact.read_manifest(artifact.resolve(_model_id(loaded), loaded.folder)).labels)
    return findings.errors, len(findings.warnings)


def _header(file: Path) -> str:
    name = file.name.encode(errors="replace").decode()
    return f"# Migrated from {name!r} by pointsman {__version__}; check it with: pointsman check THIS_FILE\n"


def _summary(notes: Iterable[Note], missing: int, warnings: int, output: Path | None) -> str:
    fates = [note.fate for note in notes]
    counts = ", ".join(f"{fates.count(fate)} {fate}" for fate in ("carried", "changed", "dropped"))
    where = "written to standard output" if output is None else f"written to {output}"
    if missing:
        return f"{counts}; {where}, but not complete: fill in {missing} missing, then run pointsman check"
    suffix = f" with {warnings} warning{'' if warnings == 1 else 's'}" if warnings else ""
    return f"{counts}; {where}: it passes pointsman check{suffix}"


def _require_free(output: Path | None, force: bool) -> None:
    """Refuse an output that would overwrite something, before any work is done."""
    if output is None or not os.path.lexists(output):
        return
    if not output.is_file():
        raise CannotStart(f"{output} is not a regular file: choose a file for the result")
    if not force:
        raise CannotStart(f"{output} exists: choose another file, or add --force to overwrite it")


def _write(text: str, output: Path | None) -> None:
    if output is None:
        sys.stdout.write(text)
        return
    try:
        files.write(output.resolve(), text.encode(), replace=True)
    except OSError as error:
        fix = "check the folder, its permissions and its space"
        raise CannotStart(f"{output} cannot be written ({error.strerror}): {fix}") from error
