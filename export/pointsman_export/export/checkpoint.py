"""Open a Hugging Face ModernBERT classifier on disk, and check it before anything is computed from it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from pointsman import files
from pointsman.classify.manifest import TOKENIZER
from pointsman_export.common.errors import CheckpointError
from pointsman_export.export.safetensors_header import tensor_shapes

ARCHITECTURE = "ModernBertForSequenceClassification"
CONFIG = "config.json"
WEIGHTS = "model.safetensors"
MAPPING = "category_mapping.json"
_LARGEST_JSON_BYTES = 1 << 20
_LARGEST_TOKENIZER_BYTES = 256 << 20
_FULL, _SLIDING = "full_attention", "sliding_attention"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A folder whose files are complete and consistent. `labels` are in the order of the logits."""

    name: str
    folder: Path
    config: dict[str, Any]
    labels: list[str]

    @property
    def weights(self) -> Path:
        return self.folder / WEIGHTS

    @property
    def tokenizer(self) -> Path:
        return self.folder / TOKENIZER

    @property
    def max_positions(self) -> int:
        return int(self.config["max_position_embeddings"])

    @property
    def layers(self) -> int:
        return int(self.config["num_hidden_layers"])

    @property
    def vocabulary(self) -> int:
        return int(self.config["vocab_size"])


def open_checkpoint(source: str) -> Checkpoint:
    """Open the checkpoint in a folder or under a hub id; raises CheckpointError."""
    local = Path(source).is_dir()
    folder = Path(source) if local else _download(source)
    config = _read_config(folder)
    shapes = tensor_shapes(folder / WEIGHTS)
    labels = _labels(folder, config)
    if "classifier.weight" not in shapes:
        raise CheckpointError(
            f"{folder / WEIGHTS}: holds no classifier.weight, so this is a base model without a classifier head; "
            f"fine-tune it as {ARCHITECTURE} and export the result"
        )
    if shapes["classifier.weight"][0] != len(labels):
        raise CheckpointError(
            f"{folder / WEIGHTS}: the classifier has {shapes['classifier.weight'][0]} outputs, "
            f"id2label in {CONFIG} names {len(labels)} labels ({', '.join(labels)}); fix id2label"
        )
    _check_tokenizer(folder / TOKENIZER, int(config["vocab_size"]))
    # The manifest is published with the artifact, so it does not tell the folder's path on this host.
    return Checkpoint(folder.resolve().name if local else source, folder, config, labels)


def as_transformers_4(checkpoint: Checkpoint) -> dict[str, Any]:
    """Return the config in the format of transformers 4, which optimum and our builder read; raises CheckpointError.

    transformers 5 writes `rope_parameters` and `layer_types` instead of `*_rope_theta` and
    `global_attn_every_n_layers`. transformers 4 ignores the new keys and would silently use its defaults.
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
    """Return the n for which every n-th layer, starting with the first, is global and no other is."""
    for period in range(1, len(layers) + 1):
        if layers == [_SLIDING if index % period else _FULL for index in range(len(layers))]:
            return period
    raise CheckpointError(
        f"{path}: layer_types is {layers}, expected '{_FULL}' at every n-th layer from the first on and "
        f"'{_SLIDING}' between; other layouts cannot be exported"
    )


def _download(source: str) -> Path:
    """Fetch the files that an export reads into the hub's cache, and return their folder."""
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(source, allow_patterns=[CONFIG, WEIGHTS, TOKENIZER, MAPPING]))
    except (OSError, ValueError) as error:  # the hub's own errors derive from these
        reason = str(error).strip().splitlines()[0]
        raise CheckpointError(
            f"{source}: no such folder, and as a hub id it cannot be fetched ({reason}); "
            "check the path, or the id and the network"
        ) from error


def _read_config(folder: Path) -> dict[str, Any]:
    path = folder / CONFIG
    config = _read_json(path)
    kind, architectures = config.get("model_type"), config.get("architectures") or []
    if kind != "modernbert" or ARCHITECTURE not in architectures:
        raise CheckpointError(
            f"{path}: model_type is {kind!r} and architectures {architectures}, expected 'modernbert' and "
            f"['{ARCHITECTURE}']; export a ModernBERT that was fine-tuned as a sequence classifier"
        )
    missing = {"max_position_embeddings", "num_hidden_layers", "vocab_size"} - config.keys()
    if missing:
        raise CheckpointError(f"{path}: {', '.join(sorted(missing))} missing; save it again with save_pretrained()")
    return config


def _labels(folder: Path, config: dict[str, Any]) -> list[str]:
    """Return the labels by index; the two files must agree, unless config.json has only placeholders."""
    # transformers omits the key if the config has its default, two unnamed labels
    named = config.get("id2label", {"0": "LABEL_0", "1": "LABEL_1"})
    labels = _in_order(folder / CONFIG, "id2label", named)
    mapping = folder / MAPPING
    if mapping.is_file():
        content = _read_json(mapping)
        pairs = content.get("idx_to_category") or {
            index: name for name, index in content.get("category_to_idx", {}).items()
        }
        mapped = _in_order(mapping, "idx_to_category", pairs)
        if labels == [f"LABEL_{index}" for index in range(len(labels))]:
            labels = mapped
        if labels != mapped:
            raise CheckpointError(
                f"{mapping}: its labels are not those of {CONFIG}\n  {CONFIG}: {', '.join(labels)}\n"
                f"  {MAPPING}: {', '.join(mapped)}\nfix the file that does not have the labels of the training"
            )
    if len(set(labels)) < len(labels):
        raise CheckpointError(f"{folder / CONFIG}: a label occurs twice in {', '.join(labels)}; fix id2label")
    return labels


def _in_order(path: Path, key: str, names: dict[Any, str]) -> list[str]:
    """Return the names by index; raises CheckpointError unless the indices are 0, 1, 2, … without a gap."""
    by_index = {str(index): name for index, name in names.items()}
    expected = [str(index) for index in range(len(by_index))]
    if not by_index or by_index.keys() != set(expected):
        raise CheckpointError(
            f"{path}: {key} has the indices {', '.join(by_index) or 'none'}, expected 0, 1, 2, … without a gap; fix it"
        )
    return [by_index[index] for index in expected]


def _check_tokenizer(path: Path, vocabulary: int) -> None:
    """Raise CheckpointError unless the file is a tokenizer whose ids are in the model's vocabulary."""
    if not path.is_file():
        raise CheckpointError(
            f"{path}: missing; save the fast tokenizer beside the weights "
            "(AutoTokenizer.from_pretrained(...).save_pretrained(folder))"
        )
    try:
        tokenizer = Tokenizer.from_buffer(files.read(path, _LARGEST_TOKENIZER_BYTES))
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror}); save the tokenizer again") from error
    except Exception as error:  # tokenizers raises nothing narrower
        raise CheckpointError(f"{path}: not a tokenizer ({error}); save the tokenizer again") from error
    greatest = max(tokenizer.get_vocab(with_added_tokens=True).values())
    if greatest >= vocabulary:
        raise CheckpointError(
            f"{path}: has token id {greatest}, the model's vocabulary ends at {vocabulary - 1}; "
            "take the tokenizer that the model was trained with"
        )


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(files.read(path, _LARGEST_JSON_BYTES))
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror}); name a folder with a checkpoint") from error
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: not JSON ({error}); fetch or save it again") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path}: holds a {type(content).__name__}, expected a JSON object; save it again")
    return content
