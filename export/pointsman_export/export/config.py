"""Read a checkpoint's config.json, and bring it into the form of transformers 4."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pointsman_export.common.errors import CheckpointError
from pointsman_export.export.architectures import ARCHITECTURES, ENCODERS, MASKED
from pointsman_export.export.source_files import read_json

CONFIG = "config.json"
_SINGLE_LABEL = "single_label_classification"
_FULL, _SLIDING = "full_attention", "sliding_attention"


def read_config(path: Path) -> tuple[str, dict[str, Any]]:
    """Return the class, a key of ARCHITECTURES or ENCODERS, and the config; raises CheckpointError."""
    config = read_json(path)
    classes = config.get("architectures") or []
    known = [name for name in ARCHITECTURES if name in classes]
    known += [name for name in ENCODERS if name in classes or name.replace("Model", MASKED) in classes]
    if not known:
        raise CheckpointError(
            f"{path}: architectures is {classes} (model_type {config.get('model_type')!r}), export takes "
            f"{', '.join((*ARCHITECTURES, *ENCODERS))}; take one of these models"
        )
    problem = config.get("problem_type") or _SINGLE_LABEL
    if problem != _SINGLE_LABEL:
        raise CheckpointError(
            f"{path}: problem_type is {problem!r}, expected {_SINGLE_LABEL!r}: the service takes the outputs for the "
            "probabilities of one label among all (softmax), which this model was not trained to give; train it with "
            "one label for each text"
        )
    return known[0], _as_transformers_4(config, path) if known[0].startswith("ModernBert") else config


def _as_transformers_4(config: dict[str, Any], path: Path) -> dict[str, Any]:
    """Return ModernBERT's config in the format that optimum and our builder read; raises CheckpointError.

    transformers 5 writes `rope_parameters` and `layer_types` instead of `*_rope_theta` and
    `global_attn_every_n_layers`. transformers 4 ignores the new keys and would silently use its defaults.
    """
    config = {**config, "reference_compile": False}
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
    """Return the n for which every n-th layer, starting with the first, is global and no other is."""
    for period in range(1, len(layers) + 1):
        if layers == [_SLIDING if index % period else _FULL for index in range(len(layers))]:
            return period
    raise CheckpointError(
        f"{path}: layer_types is {layers}, expected '{_FULL}' at every n-th layer from the first on and "
        f"'{_SLIDING}' between; other layouts cannot be exported"
    )
