"""What is read of a checkpoint, where its files leave room."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from pointsman_export.common.errors import CheckpointError, ExportError, LabelsError
from pointsman_export.export.checkpoint import open_checkpoint
from support.checkpoint import LABELS, edit_json

if TYPE_CHECKING:
    from pathlib import Path


def test_placeholder_labels_take_the_mappings_names(copy: Path) -> None:
    """A model that was trained without names has them in category_mapping.json alone."""
    edit_json(copy / "config.json", id2label={str(index): f"LABEL_{index}" for index in range(14)})
    mapping = {"category_to_idx": {name: index for index, name in enumerate(LABELS)}}
    (copy / "category_mapping.json").write_text(json.dumps(mapping))

    assert open_checkpoint(str(copy)).labels == LABELS


UNNAMED = {str(index): f"LABEL_{index}" for index in range(14)}


def labels_file(folder: Path, text: str) -> Path:
    path = folder / "labels.txt"
    path.write_text(text)
    return path


@pytest.mark.parametrize("pairs", [UNNAMED, None])
def test_a_file_names_labels_that_the_checkpoint_does_not(copy: Path, tmp_path: Path, pairs: object) -> None:
    """One on a line, in the order of the outputs. transformers leaves id2label away if there are two, unnamed."""
    edit_json(copy / "config.json", id2label=pairs)

    assert open_checkpoint(str(copy), labels_file(tmp_path, "\n".join(LABELS))).labels == LABELS
    with pytest.raises(CheckpointError, match=r"config.json: names no labels .*one on a line, and add --labels FILE"):
        open_checkpoint(str(copy))


def test_a_file_must_not_contradict_the_checkpoint(copy: Path, tmp_path: Path) -> None:
    """Only the operator knows which of the two is right."""
    assert open_checkpoint(str(copy), labels_file(tmp_path, "\n".join(LABELS))).labels == LABELS
    with pytest.raises(
        CheckpointError, match=r"labels.txt: its labels are not those of config.json\n.*\n.*law, biology"
    ):
        open_checkpoint(str(copy), labels_file(tmp_path, "\n".join(["law", *LABELS[:8], *LABELS[9:]])))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("yes\nno\n", r"labels.txt: names 2 labels \(yes, no\), the classifier has 14 outputs; fix its lines"),
        ("a\n" * 14, "labels.txt: a label occurs twice"),
        ("a\n\nb\n", "labels.txt:2: no label"),
        ("", "labels.txt:1: no label"),
    ],
)
def test_a_file_of_labels_that_cannot_be_used(copy: Path, tmp_path: Path, text: str, said: str) -> None:
    edit_json(copy / "config.json", id2label=UNNAMED)

    with pytest.raises(ExportError, match=said):
        open_checkpoint(str(copy), labels_file(tmp_path, text))


def test_a_file_of_labels_that_cannot_be_read(copy: Path, tmp_path: Path) -> None:
    (tmp_path / "latin").write_bytes("Väter\n".encode("latin-1"))
    with pytest.raises(LabelsError, match="latin: is not UTF-8"):
        open_checkpoint(str(copy), tmp_path / "latin")
    with pytest.raises(LabelsError, match=r"none\.txt: cannot be read"):
        open_checkpoint(str(copy), tmp_path / "none.txt")


def test_rope_scaling_is_refused(copy: Path) -> None:
    """transformers 4 has no RoPE scaling in ModernBERT, and would silently leave it out."""
    edit_json(copy / "config.json", rope_parameters={"full_attention": {"rope_type": "yarn", "rope_theta": 1e5}})

    with pytest.raises(CheckpointError, match="rope_type is 'yarn', only 'default'"):
        open_checkpoint(str(copy))


def test_irregular_layers_are_refused(copy: Path) -> None:
    """transformers 4 knows a period of global layers and no other layout."""
    layers = ["sliding_attention", "full_attention", "full_attention", "sliding_attention"]
    edit_json(copy / "config.json", layer_types=layers)

    with pytest.raises(CheckpointError, match="expected 'full_attention' at every n-th layer"):
        open_checkpoint(str(copy))
