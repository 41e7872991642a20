"""Open a Hugging Face classifier or encoder on disk, and check it before anything is computed from it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from pointsman import files
from pointsman.classify.manifest import TOKENIZER
from pointsman_export.common.errors import CheckpointError
from pointsman_export.export.architectures import ARCHITECTURES, ENCODERS
from pointsman_export.export.config import CONFIG, read_config
from pointsman_export.export.graph.architecture import Architecture
from pointsman_export.export.interface import FEATURES, OUTPUT
from pointsman_export.export.labels import MAPPING, read_labels
from pointsman_export.export.pooling import MODULE_CONFIGS, MODULES, Pooling, read_pooling
from pointsman_export.export.source_files import refuse_pointer
from pointsman_export.export.weight_files import INDEX, SHARDS, WEIGHTS, all_shapes, refuse_pickled, weight_files

_ADAPTER = "adapter_config.json"
_MAX_TOKENIZER_BYTES = 256 << 20
_PADDING = "pad_token_id"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A folder whose files are complete and consistent.

    `torch_class` is the name of its class in transformers, `config` that of transformers 4, `weights` are its
    safetensors files. `labels` are in the order of the logits; an encoder without a head has none.
    """

    name: str
    folder: Path
    torch_class: str
    config: dict[str, Any]
    architecture: Architecture
    weights: list[Path]
    labels: list[str]

    @property
    def tokenizer(self) -> Path:
        return self.folder / TOKENIZER

    @property
    def output(self) -> str:
        """Return the name of the graph's output."""
        return OUTPUT if self.architecture.pooling is None else FEATURES

    @property
    def columns(self) -> int:
        """Return the width of the graph's output."""
        pooling, width = self.architecture.pooling, self.architecture.width
        return len(self.labels) if pooling is None else pooling.width(width)

    @property
    def vocabulary(self) -> int:
        return int(self.config["vocab_size"])

    @property
    def padding(self) -> int | None:
        """Return the id of the token that occurs in no text."""
        found: int | None = self.config.get(_PADDING)
        return found


def open_checkpoint(source: str, labels: Path | None = None) -> Checkpoint:
    """Open the checkpoint in a folder or under a hub id; `labels` is a file with the names of its labels.

    Raises CheckpointError or LabelsError.
    """
    local = Path(source).is_dir()
    folder = Path(source) if local else _download(source)
    if (folder / _ADAPTER).exists():
        raise CheckpointError(
            f"{folder / _ADAPTER}: the folder holds a PEFT adapter, not a whole model; load it with its base, call "
            "merge_and_unload(), save the result with save_pretrained() into another folder and export that"
        )
    path = folder / CONFIG
    torch_class, config = read_config(path)
    pooling = read_pooling(folder) if torch_class in ENCODERS else None
    architecture = _architecture({**ARCHITECTURES, **ENCODERS}[torch_class], config, pooling, path)
    if not local and not any((folder / name).exists() for name in (WEIGHTS, INDEX)):
        refuse_pickled(source, _names_on_hub(source))  # they were not fetched
    weights = weight_files(folder)
    # The manifest is published with the artifact, so it must not contain the folder's path on this host.
    name = folder.resolve().name if local else source
    found = [] if pooling else read_labels(path, config, _outputs(weights, architecture, torch_class), labels)
    _check_tokenizer(folder / TOKENIZER, int(config["vocab_size"]))
    return Checkpoint(name, folder, torch_class, config, architecture, weights, found)


def _download(source: str) -> Path:
    """Fetch the files that an export reads into the hub's cache, and return their folder."""
    from huggingface_hub import snapshot_download

    wanted = [CONFIG, WEIGHTS, INDEX, SHARDS, TOKENIZER, MAPPING, MODULES, MODULE_CONFIGS, _ADAPTER]
    try:
        return Path(snapshot_download(source, allow_patterns=wanted))
    except (OSError, ValueError) as error:  # the hub's own errors derive from these
        reason = str(error).strip().splitlines()[0]
        raise CheckpointError(
            f"{source}: no such folder, and as a hub id it cannot be fetched ({reason}); "
            "check the path, or the id and the network"
        ) from error


def _names_on_hub(source: str) -> list[str]:
    """Return the names of all files under a hub id; none if the hub cannot be asked."""
    from huggingface_hub import HfApi

    try:
        return [one.rfilename for one in HfApi().model_info(source).siblings or ()]
    except (OSError, ValueError):
        return []


def _architecture(
    kind: type[Architecture], config: dict[str, Any], pooling: Pooling | None, path: Path
) -> Architecture:
    """Return the architecture of a config; raises CheckpointError if a size is missing or not a number."""
    try:
        int(config["vocab_size"])
        return kind(config, pooling)
    except KeyError as error:
        raise CheckpointError(f"{path}: {error.args[0]} missing; save it again with save_pretrained()") from error
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: has a size that is no number ({error}); save it again") from error


def _outputs(weights: list[Path], architecture: Architecture, torch_class: str) -> int:
    """Return the number of the classifier's outputs; raises CheckpointError if it has none or one."""
    shapes, name = all_shapes(weights), f"{architecture.classifier}.weight"
    where = weights[0] if len(weights) == 1 else weights[0].with_name(INDEX)
    if name not in shapes:
        raise CheckpointError(
            f"{where}: holds no {name}, so this is a base model without a classifier head; "
            f"fine-tune it as {torch_class} and export the result"
        )
    outputs = shapes[name][0]
    if outputs < 2:
        raise CheckpointError(
            f"{where}: the classifier has one output, so it is a regression and has no labels to choose between; "
            "train it with two labels or more"
        )
    return outputs


def _check_tokenizer(path: Path, vocabulary: int) -> None:
    """Raise CheckpointError unless the file is a tokenizer that fits the model.

    Its ids must be in the model's vocabulary, and it must add the tokens before and after a text by itself.
    """
    refuse_pointer(path)
    if not path.is_file():
        raise CheckpointError(
            f"{path}: missing; save the fast tokenizer next to the weights "
            "(AutoTokenizer.from_pretrained(...).save_pretrained(folder))"
        )
    try:
        tokenizer = Tokenizer.from_buffer(files.read(path, _MAX_TOKENIZER_BYTES))
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror}); save the tokenizer again") from error
    except Exception as error:  # tokenizers raises nothing narrower
        raise CheckpointError(f"{path}: not a tokenizer ({error}); save the tokenizer again") from error
    greatest = max(tokenizer.get_vocab(with_added_tokens=True).values(), default=-1)
    if greatest >= vocabulary:
        raise CheckpointError(
            f"{path}: has token id {greatest}, the model's vocabulary ends at {vocabulary - 1}; "
            "take the tokenizer that the model was trained with"
        )
    if not tokenizer.num_special_tokens_to_add(is_pair=False):
        raise CheckpointError(
            f"{path}: adds no tokens before and after a text ([CLS] and [SEP], or <s> and </s>), which the model was "
            "trained with; save the tokenizer again, with its post_processor"
        )
