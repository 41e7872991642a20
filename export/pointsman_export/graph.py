"""From a checkpoint to the torch model, and from the torch model to a float ONNX graph."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from optimum.exporters.onnx import export
from optimum.exporters.onnx.model_configs import ModernBertOnnxConfig
from transformers import ModernBertConfig, ModernBertForSequenceClassification
from transformers.utils import logging

from pointsman_export.checkpoint import CONFIG, Checkpoint
from pointsman_export.errors import CheckpointError

INPUTS = ["input_ids", "attention_mask"]
OUTPUT = "logits"
_FULL, _SLIDING = "full_attention", "sliding_attention"


def load_model(checkpoint: Checkpoint) -> Any:
    """The torch model, float32, in evaluation mode; raises CheckpointError where weights are missing."""
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
    """Write the graph of `model` to `path`: int64 `input_ids`, `attention_mask` [batch, sequence] to `logits`."""
    export(model, ModernBertOnnxConfig(model.config, task="text-classification"), path)


def as_transformers_4(checkpoint: Checkpoint) -> dict[str, Any]:
    """The config in the words of transformers 4, which optimum needs; raises CheckpointError.

    transformers 5 says `rope_parameters` and `layer_types` where 4 says `*_rope_theta` and
    `global_attn_every_n_layers`. 4 ignores the new words and would take its defaults without a word.
    """
    config = {**checkpoint.config, "reference_compile": False}
    path = checkpoint.folder / CONFIG
    rope = config.pop("rope_parameters", None) or {}
    for kind, key in ((_FULL, "global_rope_theta"), (_SLIDING, "local_rope_theta")):
        parameters = rope.get(kind) or {}
        if parameters.get("rope_type", "default") != "default":
            raise CheckpointError(
                f"{path}: rope_parameters.{kind}.rope_type is {parameters['rope_type']!r}, only 'default' can be "
                "exported; take a checkpoint without RoPE scaling"
            )
        if "rope_theta" in parameters:
            config[key] = parameters["rope_theta"]
    layers = config.pop("layer_types", None)
    if layers:
        config["global_attn_every_n_layers"] = _period(layers, path)
    return config


def _period(layers: list[str], path: Path) -> int:
    """The n for which every n-th layer, from the first on, is global and no other is."""
    for period in range(1, len(layers) + 1):
        if layers == [_SLIDING if index % period else _FULL for index in range(len(layers))]:
            return period
    raise CheckpointError(
        f"{path}: layer_types is {layers}, expected '{_FULL}' at every n-th layer from the first on and "
        f"'{_SLIDING}' between; other layouts cannot be exported"
    )
