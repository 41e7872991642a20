"""Make a head anew from the rows beside it, on the encoder of another base: `pointsman fit --again`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import msgspec

from pointsman.classify import artifact, head_rows
from pointsman.classify.head_rows import LABELS, REMADE, ROWS, TAUGHT_ROWS
from pointsman.classify.manifest import HEAD, Manifest
from pointsman.config.load import default_path, load
from pointsman.errors import ArtifactError
from pointsman.files import service_state
from pointsman.improve.folder import ARTIFACTS
from pointsman_export.common import answers, destination
from pointsman_export.common.errors import AccuracyError, FitDataError
from pointsman_export.correct.command import corrected, hand_over
from pointsman_export.fit.pipeline import FitRequest, fit
from pointsman_export.fit.progress import Progress
from pointsman_export.teach.head import TeachingRequest, make
from pointsman_export.teach.rows import read_rows as read_taught

MAX_LOSS = 0.02
"""The most that the share of right rows may be below that of the head before."""
_ROUNDING = 1e-9


class _FittedThreshold(msgspec.Struct):
    precision: float


class _RowFigures(msgspec.Struct):
    accuracy: float
    threshold: _FittedThreshold


class _LabelFigures(msgspec.Struct):
    labelled: int
    right_after: int


class _TaughtFigures(msgspec.Struct):
    rows: int
    right: int


class _HeadFigures(msgspec.Struct):
    """The part of a manifest's `verification` by which heads are compared."""

    cross_validation: _RowFigures | None = None
    correction: _LabelFigures | None = None
    teaching: _TaughtFigures | None = None

    def share(self, of: str) -> float | None:
        """Return the share of right rows or labeled texts of a file, each judged by heads that did not see it."""
        if of == TAUGHT_ROWS:
            return None if self.teaching is None else self.teaching.right / self.teaching.rows
        if of == ROWS:
            return None if self.cross_validation is None else self.cross_validation.accuracy
        return None if self.correction is None else self.correction.right_after / self.correction.labelled


def fit_again(options: argparse.Namespace, output: Path) -> str:
    """Write the new artifact and return the report; raises ExportError, CannotStart. An error leaves nothing behind."""
    destination.check(output, force=options.force)
    folder = artifact.resolve(options.again, Path.cwd())
    own = artifact.read_own(folder)
    base = artifact.resolve(options.base or "builtin", Path.cwd())
    _check(folder, own, base)
    wanted, before = head_rows.needed(own), _figures(folder, own)
    stays = output.parent == service_state() / ARTIFACTS
    reads = stays or LABELS in wanted or TAUGHT_ROWS in wanted
    loaded = load(options.config or default_path()) if reads else None
    tables = []
    with destination.workspace(output) as work:
        if before.cross_validation is not None and ROWS in wanted:
            request = FitRequest(
                data=folder / ROWS,
                base=str(base),
                output=work / "fitted",
                precision=before.cross_validation.threshold.precision,
                languages=own.languages,
                keeps_rows=not options.no_rows,
                force=False,
            )
            tables.append(fit(request, Progress(sys.stderr)).table())
            base = request.output
            _compare(folder, ROWS, before, _figures(base, artifact.read_own(base)))
        if loaded is not None and LABELS in wanted:
            made = work / "corrected"
            tables.append(corrected(loaded, base, folder / LABELS, made, options).table())
            base = made
            _compare(folder, LABELS, before, _figures(base, artifact.read_own(base)))
        if loaded is not None and TAUGHT_ROWS in wanted:
            lesson = TeachingRequest(
                config=loaded.config,
                base=base,
                output=work / "taught",
                keeps_rows=not options.no_rows,
                force=False,
            )
            tables += make(lesson, read_taught(folder / TAUGHT_ROWS), Progress(sys.stderr)).lines()
            base = lesson.output
            _compare(folder, TAUGHT_ROWS, before, _figures(base, artifact.read_own(base)))
        new = artifact.read_own(base)
        new.verification[REMADE] = own.files[HEAD]
        answers.write(base, new)
        destination.publish(base, output, force=options.force)
    hand_over(output, folder, loaded)
    return "\n".join(tables)


def _check(folder: Path, own: Manifest, base: Path) -> None:
    """Refuse what cannot be made anew; raises ArtifactError or FitDataError."""
    if own.head is None:
        raise ArtifactError(f"{folder}: is no head of `pointsman fit`, so there is nothing to make anew")
    if gone := head_rows.missing(folder, own):
        raise FitDataError(
            f"{folder}: has no {' and no '.join(gone)} beside it, from which it could be made anew: it was made with "
            "--no-rows or by an older release, or they were deleted; fit your rows or labels with --data or --labelled"
        )
    if own.head.added and own.labels != artifact.read_manifest(base).labels:
        raise ArtifactError(f"{folder}: corrects other labels than those of {base}; fit your rows with --data")


def _figures(folder: Path, own: Manifest) -> _HeadFigures:
    """Return the figures of a head, with those of each file that it needs; raises ArtifactError."""
    try:
        found = msgspec.convert(own.verification, _HeadFigures)
        if all(found.share(name) is not None for name in head_rows.needed(own)):
            return found
    except (msgspec.ValidationError, ZeroDivisionError):
        pass
    raise ArtifactError(f"{folder}: pointsman.json does not say how good it is; fit your rows with --data")


def _compare(folder: Path, of: str, before: _HeadFigures, after: _HeadFigures) -> None:
    """Raise AccuracyError if the new head is worse."""
    old, new = before.share(of) or 0.0, after.share(of) or 0.0
    if old - new > MAX_LOSS + _ROUNDING:
        raise AccuracyError(
            f"{folder}: made anew, it is worse: the share of right {'labeled texts' if of == LABELS else 'rows'}, each "
            f"judged by heads that did not see it, is {new:.3f} instead of {old:.3f}, at most {MAX_LOSS} less is "
            "allowed; nothing was written: keep it, or fit it with more rows"
        )
