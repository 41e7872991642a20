"""Load a checkpoint as a torch model, and export that model to a float ONNX graph."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from optimum.exporters.onnx import export
from optimum.exporters.onnx.model_configs import DistilBertOnnxConfig
from torch import nn
from transformers.utils import logging

from pointsman.classify.tokenizer import Ids
from pointsman_export.common.errors import CheckpointError
from pointsman_export.export.checkpoint import Checkpoint
from pointsman_export.export.graph.weights import Floats, Weights
from pointsman_export.export.interface import FEATURES
from pointsman_export.export.mean_bert import MeanBertForSequenceClassification
from pointsman_export.export.pooling import Pooling

MAX_PARAMETERS = 530_000_000
"""The number of float32 parameters in a protobuf of 2 GiB, less the size of the graph itself."""
_REASON = 300
"""Most characters that are quoted of an error of transformers."""


class PooledEncoder(nn.Module):  # type: ignore[misc]  # mypy does not read torch
    """An encoder without a head, whose output is its features."""

    base_model_prefix = "base_model"

    def __init__(self, encoder: Any, pooling: Pooling) -> None:
        super().__init__()
        self.base_model = encoder
        self.config = encoder.config
        self._pooling = pooling

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None) -> tuple[torch.Tensor]:
        """Return the features [texts, width] for ids and a mask [texts, tokens]."""
        mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        found = self.base_model(input_ids, mask, output_hidden_states=True)
        before = self._pooling.depths(self.config.num_hidden_layers)[:-1]
        norm = getattr(self.base_model, "final_norm", nn.Identity())  # ModernBERT's layers end without one
        tokens = torch.cat([*(norm(found.hidden_states[at]) for at in before), found.last_hidden_state], -1)
        weights = mask[..., None].to(tokens.dtype)
        pooled = tokens[:, 0] if self._pooling.first else (tokens * weights).sum(1) / weights.sum(1)
        return (pooled / pooled.norm(dim=-1, keepdim=True) if self._pooling.unit else pooled,)


class _EncoderOnnxConfig(DistilBertOnnxConfig):  # type: ignore[misc]  # optimum has no types
    """The names of a PooledEncoder's inputs and output."""

    @property
    def outputs(self) -> dict[str, dict[int, str]]:
        return {FEATURES: {0: "batch_size"}}


def torch_class_of(name: str) -> Any:
    """Return a class of transformers, or the one that is ours."""
    ours = MeanBertForSequenceClassification
    return ours if name == ours.__name__ else getattr(transformers, name)


def load_model(checkpoint: Checkpoint) -> Any:
    """Load the torch model, float32, in evaluation mode.

    Raises CheckpointError if weights are missing, do not fit the config, or are not numbers.
    """
    logging.set_verbosity_error()
    torch_class = torch_class_of(checkpoint.torch_class)
    pooling = checkpoint.architecture.pooling
    has_pooler = "add_pooling_layer" in inspect.signature(torch_class).parameters
    options = {"add_pooling_layer": False} if has_pooler and pooling is not None else {}
    try:
        model, loading = torch_class.from_pretrained(
            checkpoint.folder,
            config=torch_class.config_class.from_dict(checkpoint.config),
            attn_implementation="sdpa",
            use_safetensors=True,
            local_files_only=True,
            output_loading_info=True,
            **options,
        )
    except Exception as error:  # transformers raises errors of every kind
        reason = " ".join(str(error).split())[:_REASON]
        raise CheckpointError(
            f"{checkpoint.folder}: transformers cannot load it ({reason}); save it again with save_pretrained()"
        ) from error
    if loading["missing_keys"]:
        raise CheckpointError(
            f"{_source(checkpoint)}: holds no {', '.join(sorted(loading['missing_keys']))}; "
            "export a checkpoint that was saved whole"
        )
    for name, tensor in model.state_dict().items():
        if not torch.isfinite(tensor).all():
            raise CheckpointError(
                f"{_source(checkpoint)}: {name} holds NaN or infinity, so the training diverged or float16 overflowed; "
                "export an earlier checkpoint"
            )
    if model.num_parameters() > MAX_PARAMETERS:
        raise CheckpointError(
            f"{checkpoint.folder}: has {model.num_parameters():,} parameters, and ONNX can store {MAX_PARAMETERS:,} "
            "in a float32 graph (2 GiB), which the proof needs; export a smaller model"
        )
    return (model if pooling is None else PooledEncoder(model, pooling)).float().eval()


def weights_of(model: Any) -> Weights:
    """Return the model's tensors by their names without the encoder's prefix; they share the model's memory."""
    prefix = f"{model.base_model_prefix}."
    return {name.removeprefix(prefix): tensor.numpy() for name, tensor in model.state_dict().items()}


def with_weights(model: Any, weights: Weights) -> None:
    """Set the encoder's tensors to `weights`, which are named as by `weights_of`."""
    with torch.no_grad():
        for name, parameter in model.base_model.named_parameters():
            parameter.copy_(torch.from_numpy(weights[name]))


def input_ranges(model: Any, names: Sequence[str], prompts: Sequence[Ids]) -> dict[str, Floats]:
    """Return the largest absolute value of each input channel of some layers, on prompts that are run alone.

    Without names or prompts, it is empty.
    """
    found: dict[str, Any] = {}

    def keep(name: str, tokens: Any) -> None:
        greatest = tokens.abs().amax((0, 1))
        found[name] = torch.maximum(found.get(name, greatest), greatest)

    hooks = [
        model.base_model.get_submodule(name).register_forward_pre_hook(
            lambda _, inputs, name=name: keep(name, inputs[0])
        )
        for name in names
    ]
    with torch.inference_mode():
        for prompt in prompts if names else ():
            model(input_ids=torch.from_numpy(prompt)[None])
    for hook in hooks:
        hook.remove()
    return {name: greatest.numpy() for name, greatest in found.items()}


def export_float(model: Any, path: Path) -> None:
    """Write the graph of `model` to `path`.

    It maps int64 `input_ids` and `attention_mask` [batch, sequence] to its output; these are DistilBERT's inputs, to
    which BERT adds token types that are all 0 here.
    """
    kind = _EncoderOnnxConfig if isinstance(model, PooledEncoder) else DistilBertOnnxConfig
    export(model, kind(model.config, task="text-classification"), path)


def _source(checkpoint: Checkpoint) -> Path:
    return checkpoint.weights[0] if len(checkpoint.weights) == 1 else checkpoint.folder
