"""Define which classifier runs, and its settings."""

# ruff: noqa: RUF009 - `option()` is `dataclasses.field()` with its metadata named
from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pointsman import files
from pointsman.config.option import option
from pointsman.config.source_map import SourceMap
from pointsman.config.words import listing
from pointsman.errors import Problem

MAX_MAPPING_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class CategoryModel:
    model_id: str = option("Folder of an exported artifact (relative to this file), or `builtin`.", "builtin")
    use_modernbert: bool = option("Accepted for compatibility; the artifact says what is served.", True)
    threshold: float = option(
        "Minimum score of a category; below it the fallback applies. `pointsman.routing.thresholds` overrides it for a "
        "category, and `pointsman.routing.precision` may raise it.",
        0.5,
        minimum=0,
        maximum=1,
    )
    use_cpu: bool = option("Run on CPU; `false` requires CUDA. `pointsman.classifier.providers` overrides it.", True)
    category_mapping_path: str | None = option(
        "File (relative to this one) that must agree with the artifact's labels, if it exists.", None
    )
    fallback_category: str | None = option(
        "Name of the category for prompts below the threshold; without it `default_model` answers.",
        None,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassifierSection:
    category_model: CategoryModel = option("The category classifier.", CategoryModel())


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassifierOptions:
    providers: tuple[Literal["cpu", "cuda", "openvino"], ...] = option(
        "ONNX Runtime providers, or `openvino`; the first one available on this host is used, and it is an error if "
        "none is. Empty means as `use_cpu` and the artifact say; `[cuda, cpu]` falls back to CPU. Only `openvino` runs "
        "what was exported for it.",
        (),
    )
    device_id: int = option("Number of the GPU.", 0, minimum=0)
    gpu_mem_limit_mb: int | None = option(
        "GPU memory limit of ONNX Runtime in MiB, for weights and runs; empty means no limit. vLLM's "
        "`--gpu-memory-utilization` must leave as much.",
        2048,
        minimum=1,
    )
    threads: int = option(
        "CPU cores for the classifier; 0 means a quarter of those that the process may use, at least 2 (where there "
        "are 2) and at most 8.",
        0,
        minimum=0,
    )
    batch_tokens: int | None = option(
        "Maximum tokens of one run, unless a single text has more; measured on this host by default.", None, minimum=1
    )
    deadline_ms: int = option(
        "Maximum time for a classification; after it the fallback or the conversation's category answers. A text may "
        "wait for half of it, and is truncated to what runs in the other half on this host.",
        500,
        minimum=2,
    )
    load_timeout_ms: int = option(
        "Maximum time for loading, proving and measuring a classifier; after it the service does not start, or keeps "
        "the former classifier.",
        60_000,
        minimum=1,
    )
    cache_entries: int = option("Number of cached classifications; 0 disables the cache.", 10_000, minimum=0)
    shadow: str | None = option(
        "Folder of an artifact (relative to this file), or `builtin`, that classifies the same texts without deciding "
        "anything; `pointsman status` compares the two. None by default.",
        None,
    )
    language_gate: bool = option(
        "Send texts in a language that the artifact does not declare to the fallback. `false` classifies them, too.",
        True,
    )
    max_tokens: int | None = option(
        "Maximum tokens of a prompt that are classified; the artifact's limit by default, or fewer: see `deadline_ms`.",
        None,
        minimum=8,
    )
    head_share: float = option(
        "Share of `max_tokens` taken from the head of a longer prompt; the rest is taken from its tail.",
        0.5,
        minimum=0,
        maximum=1,
    )


def mapping_findings(
    options: CategoryModel, folder: Path, labels: Sequence[str], source_map: SourceMap
) -> tuple[list[Problem], list[Problem]]:
    """Return the errors and warnings about `category_mapping_path`, relative to `folder`, for a classifier's labels."""
    where = ("category_mapping_path",)
    if options.category_mapping_path is None:
        return [], []
    path = folder / options.category_mapping_path
    fix = "remove the key: the classifier's artifact has its own labels"
    try:
        said = _read_mapping(files.read(path, MAX_MAPPING_BYTES))
    except FileNotFoundError:
        return [], [source_map.problem(where, f"the file {path} does not exist, and none is needed", fix)]
    except OSError as error:
        return [source_map.problem(where, f"{path} cannot be read ({error.strerror})", fix)], []
    except (ValueError, RecursionError):
        message = f'{path} is not of the form {{"category_to_idx": {{"LABEL": 0, …}}}}'
        return [source_map.problem(where, message, fix)], []
    if said == list(labels):
        return [], []
    message = f"{path} differs from the classifier's labels, or lists them in another order: {listing(said)}"
    return [source_map.problem(where, message, f"{fix}: {listing(labels)}")], []


def _read_mapping(text: bytes) -> list[str]:
    """Return the labels by index; raises ValueError for any other format."""
    content = json.loads(text)
    index = content.get("category_to_idx") if isinstance(content, dict) else None
    if not isinstance(index, dict) or not all(isinstance(value, int) for value in index.values()):
        raise ValueError("no mapping of labels to numbers")
    labels = sorted(index, key=lambda label: int(index[label]))
    if [index[label] for label in labels] != list(range(len(labels))):
        raise ValueError("the numbers are not 0 and up")
    return labels
