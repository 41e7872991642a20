"""Read and check the operator's labeled rows; every fault is reported with its line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from pointsman import files
from pointsman.classify.language import LanguageGate
from pointsman.config.words import fold
from pointsman.evaluation.dataset import text_key
from pointsman.evaluation.metrics import Ints
from pointsman.store.rows_file import encoded
from pointsman_export.common.errors import FitDataError

MIN_ROWS_PER_LABEL = 5
"""Least rows of a label: with fewer, some fold of the cross-validation has none to train on or none to test."""
ENOUGH_ROWS = 20
"""Rows of a label below which its figures say little."""
MAX_UNDECLARED_SHARE = 0.05
"""Largest share of rows in languages that the artifact does not declare."""

_MAX_FILE_BYTES = 64 << 20
_SHOWN = 10
_CATCH_ALL = {"other", "others", "none", "general", "misc", "miscellaneous", "out of scope", "unknown", "fallback"}


class _TrainingRow(msgspec.Struct):
    """A line of the file; further keys are ignored."""

    text: str
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingRows:
    """The checked rows. `truth` has shape [texts] and indexes `labels`, which are sorted.

    `warnings` are sentences for the operator.
    """

    texts: list[str]
    truth: Ints
    labels: list[str]
    warnings: list[str]


def read_rows(path: Path) -> TrainingRows:
    """Read the rows of a JSON lines file, each distinct text once; raises FitDataError with all faults at once."""
    unique: dict[str, tuple[int, _TrainingRow]] = {}
    faults: list[str] = []
    repeated: list[int] = []
    for number, line in enumerate(_lines(path), 1):
        if not line.strip():
            continue
        try:
            row = _parse(line)
        except ValueError as error:
            faults.append(f"{path}:{number}: {error}")
            continue
        first, earlier = unique.setdefault(text_key(row.text), (number, row))
        if earlier.label != row.label:
            faults.append(
                f"{path}:{number}: is labeled {row.label!r}, and the same text is labeled {earlier.label!r} in line "
                f"{first}; keep the right one"
            )
        elif first != number:
            repeated.append(number)
    rows = [row for _, row in unique.values()]
    faults = faults or _alike(path, unique.values()) or _thin(path, rows)
    if faults:
        raise FitDataError(_shown(faults))
    return _rows(rows, repeated)


def write_rows(path: Path, rows: TrainingRows) -> None:
    """Write rows for `read_rows`, readable by their owner only; raises OSError."""
    pairs = zip(rows.texts, rows.truth, strict=True)
    lines = (encoded(_TrainingRow(text, rows.labels[label])) for text, label in pairs)
    files.write(path, lines, replace=False, mode=0o600)


def check_languages(path: Path, texts: Sequence[str], languages: Sequence[str]) -> None:
    """Raise FitDataError if many texts are in other languages, since the artifact would not classify such prompts."""
    if not languages:
        return
    gate = LanguageGate(languages)
    others = Counter(verdict.language for verdict in map(gate.judge, texts) if not verdict.supported)
    if others.total() > MAX_UNDECLARED_SHARE * len(texts):
        found = ", ".join(f"{code} {count}" for code, count in others.most_common(_SHOWN))
        raise FitDataError(
            f"{path}: {others.total()} of {len(texts)} texts are in other languages ({found}) than the artifact "
            f"declares ({', '.join(languages)}), so such prompts would not be classified; name yours with --languages"
        )


def _lines(path: Path) -> list[str]:
    try:
        content = files.read(path, _MAX_FILE_BYTES).decode("utf-8-sig")
    except OSError as error:
        raise FitDataError(f"{path}: cannot be read ({error.strerror}); name a file of labeled rows") from error
    except UnicodeDecodeError as error:
        raise FitDataError(f"{path}: not UTF-8 ({error.reason} at byte {error.start}); convert it") from error
    return content.split("\n")  # a text may contain U+2028, where splitlines cuts


def _parse(line: str) -> _TrainingRow:
    """Parse one line; raises ValueError."""
    try:
        row = msgspec.json.decode(line, type=_TrainingRow)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise ValueError(f'{error}; write {{"text": "...", "label": "..."}}') from error
    row.label = row.label.strip()
    for key, value in (("text", row.text), ("label", row.label)):
        if not value.strip():
            raise ValueError(f"the {key} is empty; write one or remove the line")
    return row


def _alike(path: Path, unique: Iterable[tuple[int, _TrainingRow]]) -> list[str]:
    """Return the lines whose label is another spelling of an earlier one: a config would take both for the same."""
    spellings: dict[str, tuple[int, str]] = {}
    faults = []
    for number, row in unique:
        first, label = spellings.setdefault(fold(row.label), (number, row.label))
        if label != row.label:
            faults.append(
                f"{path}:{number}: label {row.label!r} differs from {label!r} in line {first} only in case, spaces, "
                "_ or -; use one spelling"
            )
    return faults


def _thin(path: Path, rows: list[_TrainingRow]) -> list[str]:
    """Return the faults of a file that has too few rows to fit a head."""
    counts = Counter(row.label for row in rows)
    if not counts:
        return [f'{path}: holds no row; write {{"text": "...", "label": "..."}}, one a line']
    if len(counts) == 1:
        return [f"{path}: has one label only ({next(iter(counts))!r}); add rows of at least one other label"]
    return [
        f"{path}: label {label!r} has {counts[label]} {_plural(counts[label])}, at least {MIN_ROWS_PER_LABEL} are "
        f"needed and {ENOUGH_ROWS} are wanted; add more, or remove the label"
        for label in sorted(counts)
        if counts[label] < MIN_ROWS_PER_LABEL
    ]


def _rows(rows: list[_TrainingRow], repeated: list[int]) -> TrainingRows:
    labels = sorted({row.label for row in rows})
    counts = Counter(row.label for row in rows)
    few = [label for label in sorted(labels, key=lambda label: counts[label]) if counts[label] < ENOUGH_ROWS]
    warnings = [_few(few, counts)] if few else []
    if repeated:
        lines = ", ".join(map(str, repeated[:_SHOWN])) + (", …" if len(repeated) > _SHOWN else "")
        warnings.append(
            f"{len(repeated)} {_plural(len(repeated))} (line {lines}) repeat an earlier one, apart from case and "
            "spaces; counted once"
        )
    if not any(_is_catch_all(label) for label in labels):
        warnings.append(
            "no label stands for everything else, so a prompt that belongs to none of the labels is forced into one "
            "of them, and the threshold stops only a part of such prompts: add a label such as "
            '"other" with prompts that you do not want to route'
        )
    truth = np.array([labels.index(row.label) for row in rows])
    return TrainingRows(texts=[row.text for row in rows], truth=truth, labels=labels, warnings=warnings)


def _few(labels: list[str], counts: Counter[str]) -> str:
    """Return one warning of all labels that have few rows, the fewest first."""
    if len(labels) == 1:
        (label,) = labels
        return (
            f"label {label!r} has {counts[label]} rows; with fewer than {ENOUGH_ROWS} its figures say little: add more"
        )
    named = ", ".join(f"{label!r} ({counts[label]} {_plural(counts[label])})" for label in labels[:_SHOWN])
    more = f" and {len(labels) - _SHOWN} more" if len(labels) > _SHOWN else ""
    return f"labels {named}{more} have fewer than {ENOUGH_ROWS} rows, so that their figures say little: add more"


def _is_catch_all(label: str) -> bool:
    return label.casefold().replace("_", " ").replace("-", " ") in _CATCH_ALL


def _shown(faults: list[str]) -> str:
    more = len(faults) - _SHOWN
    return "\n".join([*faults[:_SHOWN], *([f"and {more} more"] if more > 0 else [])])


def _plural(count: int) -> str:
    return "row" if count == 1 else "rows"
