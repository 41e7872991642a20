"""Find the names of a checkpoint's labels: in its config, in category_mapping.json, or in a file of the operator."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pointsman import files
from pointsman_export.common.errors import CheckpointError, LabelsError
from pointsman_export.export.source_files import read_json

MAPPING = "category_mapping.json"
_MAX_FILE_BYTES = 1 << 20


def read_labels(config_path: Path, config: dict[str, Any], outputs: int, given: Path | None) -> list[str]:
    """Return the names of the `outputs` labels by index; all files that name them must agree.

    Names such as LABEL_0, which transformers gives to unnamed labels, do not count. `given` is the file of `--labels`.
    Raises CheckpointError or LabelsError.
    """
    named = _named(config_path, config, given)
    if not named:
        raise CheckpointError(
            f"{config_path}: names no labels (id2label has LABEL_0, LABEL_1, …); write their names in the order of "
            "the outputs into a file, one on a line, and add --labels FILE"
        )
    path, labels = next(iter(named.items()))
    for other, names in named.items():
        if names != labels:
            raise CheckpointError(
                f"{other}: its labels are not those of {path.name}\n  {path.name}: {', '.join(labels)}\n"
                f"  {other.name}: {', '.join(names)}\nfix the file that does not have the labels of the training"
            )
    if len(set(labels)) < len(labels):
        raise CheckpointError(f"{path}: a label occurs twice in {', '.join(labels)}; fix {_source_key(path, given)}")
    if len(labels) != outputs:
        raise CheckpointError(
            f"{path}: names {len(labels)} labels ({', '.join(labels)}), the classifier has {outputs} outputs; "
            f"fix {_source_key(path, given)}"
        )
    return labels


def _named(config_path: Path, config: dict[str, Any], given: Path | None) -> dict[Path, list[str]]:
    """Return the labels by the file that names them, without placeholders."""
    # transformers omits the key if the config has its default, two unnamed labels
    pairs = config.get("id2label", {"0": "LABEL_0", "1": "LABEL_1"})
    found = {config_path: _in_order(config_path, "id2label", pairs)}
    mapping = config_path.with_name(MAPPING)
    if mapping.is_file():
        content = read_json(mapping)
        by_name = content.get("category_to_idx")
        swapped = {index: name for name, index in by_name.items()} if isinstance(by_name, dict) else {}
        found[mapping] = _in_order(mapping, "idx_to_category", content.get("idx_to_category") or swapped)
    if given is not None:
        found[given] = _lines(given)
    return {
        path: labels for path, labels in found.items() if labels != [f"LABEL_{index}" for index in range(len(labels))]
    }


def _source_key(path: Path, given: Path | None) -> str:
    return "its lines" if path == given else "id2label" if path.name != MAPPING else "idx_to_category"


def _in_order(path: Path, key: str, names: Any) -> list[str]:
    """Return the names by index; raises CheckpointError unless the indices are 0, 1, 2, … without a gap."""
    by_index = {str(index): name for index, name in names.items()} if isinstance(names, dict) else {}
    expected = [str(index) for index in range(len(by_index))]
    if not by_index or by_index.keys() != set(expected):
        raise CheckpointError(
            f"{path}: {key} has the indices {', '.join(by_index) or 'none'}, expected 0, 1, 2, … without a gap; fix it"
        )
    labels = [by_index[index] for index in expected]
    if bad := [label for label in labels if not isinstance(label, str) or not label.strip()]:
        raise CheckpointError(f"{path}: {key} has the label {bad[0]!r}, expected a name; fix it")
    return labels


def _lines(path: Path) -> list[str]:
    """Return the lines of the file of `--labels`; raises LabelsError."""
    try:
        text = files.read(path, _MAX_FILE_BYTES).decode("utf-8-sig")
    except OSError as error:
        raise LabelsError(
            f"{path}: cannot be read ({error.strerror}); --labels takes a file, one label on a line"
        ) from error
    except UnicodeDecodeError as error:
        raise LabelsError(f"{path}: is not UTF-8 ({error.reason} at byte {error.start}); save it as UTF-8") from error
    labels = [line.strip() for line in text.splitlines()] or [""]
    if "" in labels:
        raise LabelsError(f"{path}:{labels.index('') + 1}: no label; write one on each line")
    return labels
