"""What is read of a checkpoint, where its files leave room."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from pointsman_export.common.errors import CheckpointError
from pointsman_export.export.checkpoint import as_transformers_4, open_checkpoint
from support.checkpoint import LABELS, edit_json

if TYPE_CHECKING:
    from pathlib import Path


def test_placeholder_labels_take_the_mappings_names(copy: Path) -> None:
    """A model that was trained without names has them in category_mapping.json alone."""
    edit_json(copy / "config.json", id2label={str(index): f"LABEL_{index}" for index in range(14)})
    mapping = {"category_to_idx": {name: index for index, name in enumerate(LABELS)}}
    (copy / "category_mapping.json").write_text(json.dumps(mapping))

    assert open_checkpoint(str(copy)).labels == LABELS


def test_rope_scaling_is_refused(copy: Path) -> None:
    """transformers 4 has no RoPE scaling in ModernBERT, and would silently leave it out."""
    edit_json(copy / "config.json", rope_parameters={"full_attention": {"rope_type": "yarn", "rope_theta": 1e5}})

    with pytest.raises(CheckpointError, match="rope_type is 'yarn', only 'default'"):
        as_transformers_4(open_checkpoint(str(copy)))


def test_irregular_layers_are_refused(copy: Path) -> None:
    """transformers 4 knows a period of global layers and no other layout."""
    layers = ["sliding_attention", "full_attention", "full_attention", "sliding_attention"]
    edit_json(copy / "config.json", layer_types=layers)

    with pytest.raises(CheckpointError, match="expected 'full_attention' at every n-th layer"):
        as_transformers_4(open_checkpoint(str(copy)))
