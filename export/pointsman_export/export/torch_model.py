"""Load a checkpoint as a torch model, and export that model to a float ONNX graph."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from optimum.exporters.onnx import export
from optimum.exporters.onnx.model_configs import ModernBertOnnxConfig
from transformers import ModernBertConfig, ModernBertForSequenceClassification
from transformers.utils import logging

from pointsman_export.common.errors import CheckpointError
from pointsman_export.export.checkpoint import Checkpoint, as_transformers_4


def load_model(checkpoint: Checkpoint) -> Any:
    """Load the torch model, float32, in evaluation mode; raises CheckpointError if weights are missing."""
    logging.set_verbosity_error()
    model, loading = ModernBertForSequenceClassification.from_pretrained(
        checkpoint.folder,
        config=ModernBertConfig.from_dict(as_transformers_4(checkpoint)),
        attn_implementation="sdpa",
        use_safetensors=True,
        local_files_only=True,
        output_loading_info=True,
    )
    if loading["missing_keys"]:
        raise CheckpointError(
            f"{checkpoint.weights}: holds no {', '.join(sorted(loading['missing_keys']))}; "
            "export a checkpoint that was saved whole"
        )
    return model.float().eval()


def export_float(model: Any, path: Path) -> None:
    """Write the graph of `model` to `path`.

    It maps int64 `input_ids` and `attention_mask` [batch, sequence] to `logits`.
    """
    export(model, ModernBertOnnxConfig(model.config, task="text-classification"), path)
