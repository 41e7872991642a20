"""Read how an encoder without a head makes features of a text's tokens: as sentence-transformers' files say."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pointsman_export.common.errors import CheckpointError
from pointsman_export.export.source_files import read_json, read_list

MODULES = "modules.json"
MODULE_CONFIGS = "*_*/config.json"
"""Of the modules, in folders such as `1_Pooling`."""
TWO_LAYERS = "means of the tokens of the middle and the last layer"
_TRANSFORMER, _POOLING, _NORMALIZE = "Transformer", "Pooling", "Normalize"
_CLS, _MEAN = "cls", "mean"
_FLAGS = {"pooling_mode_cls_token": _CLS, "pooling_mode_mean_tokens": _MEAN}


@dataclass(frozen=True, slots=True, kw_only=True)
class Pooling:
    """The tokens that features are made of: the `first` one of a text or the mean of all, of the last layer.

    `middle` adds those of the middle layer, `unit` divides the features by their length.
    """

    first: bool = False
    middle: bool = False
    unit: bool = False

    def depths(self, layers: int) -> tuple[int, ...]:
        """Return the layers that are read of an encoder, from 0, the embeddings, to `layers`."""
        return (layers // 2, layers) if self.middle else (layers,)

    def width(self, width: int) -> int:
        """Return the number of features for tokens of a width."""
        return width * len(self.depths(1))

    @property
    def recipe(self) -> str:
        """Return the name for the manifest."""
        tokens = "first token" if self.first else "mean of the tokens"
        return (TWO_LAYERS if self.middle else f"{tokens} of the last layer") + (", of length 1" if self.unit else "")


def read_pooling(folder: Path) -> Pooling:
    """Return the pooling of the encoder in a folder; without the files, that of both layers. Raises CheckpointError."""
    path = folder / MODULES
    if not path.exists():
        return Pooling(middle=True)
    modules = [_module(path, one) for one in read_list(path)]
    kinds = [kind for kind, _ in modules]
    if kinds not in ([_TRANSFORMER, _POOLING], [_TRANSFORMER, _POOLING, _NORMALIZE]):
        raise CheckpointError(
            f"{path}: names the modules {', '.join(kinds) or 'none'}; export takes {_TRANSFORMER} and {_POOLING}, with "
            f"or without {_NORMALIZE}; take another encoder"
        )
    (_, of_weights), (_, of_pooling) = modules[:2]
    if of_weights:
        raise CheckpointError(f"{path}: the encoder is in the folder {of_weights}; move its files next to {MODULES}")
    first = _mode(folder / of_pooling / "config.json") == _CLS
    return Pooling(first=first, unit=len(modules) == len([_TRANSFORMER, _POOLING, _NORMALIZE]))


def _module(path: Path, module: Any) -> tuple[str, str]:
    """Return the name of a module's class, and its folder; raises CheckpointError."""
    kind, place = (module.get(key) for key in ("type", "path")) if isinstance(module, dict) else (None, None)
    if not isinstance(kind, str) or not isinstance(place, str) or "/" in place or place == ".." or "\0" in place:
        raise CheckpointError(f"{path}: {module!r} is no module with a type and a folder; fetch or save it again")
    return kind.rpartition(".")[2], place


def _mode(path: Path) -> str:
    """Return the pooling in the config of that module; raises CheckpointError."""
    config = read_json(path)
    flags = [_FLAGS.get(key, key) for key, value in config.items() if key.startswith("pooling_mode_") and value is True]
    named = config.get("pooling_mode")
    modes = flags if named is None else [str(named)]
    if modes not in ([_CLS], [_MEAN]):
        raise CheckpointError(
            f"{path}: pools by {' and '.join(modes) or 'nothing'}, export takes {_CLS} (the first token) or {_MEAN}; "
            "take another encoder"
        )
    return modes[0]
