"""Define and check the manifest of an artifact, `pointsman.json`, for exporter and daemon."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from pathlib import PurePath
from typing import Any

import msgspec

FORMAT_VERSION = 2
"""Format 2 added `known_answers`, without which format 1 is still read."""
READABLE_VERSIONS = (1, FORMAT_VERSION)
MODEL = "model.onnx"
TOKENIZER = "tokenizer.json"

LEAST_TOKENS = 8
MOST_TOKENS = 1 << 20
"""Far more than any encoder reads."""
TEMPERATURES = (0.01, 100.0)
"""Beyond these, every score is 0 or 1, or all are equal."""
MOST_ANSWERS = 32
"""All of them run at every start."""
SUM_ERROR = 0.01


class Source(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The origin of the weights: the name given to the exporter, and the SHA-256 of the weight file."""

    name: str
    sha256: str


class KnownAnswer(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A text, and the probabilities that the exporter got for it, in the order of the labels."""

    text: str
    probabilities: list[float]


class Manifest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The content of `pointsman.json`; `labels` are in the order of the logits."""

    format_version: int
    labels: list[str]
    max_tokens: int
    inputs: list[str]
    output: str
    opset: int
    precision: str
    target: str
    temperature: float
    suggested_threshold: float | None
    source: Source
    files: dict[str, str]
    known_answers: list[KnownAnswer] = []
    verification: dict[str, Any]
    versions: dict[str, str]
    created: str


class BadManifest(Exception):
    """The manifest cannot be used; the message says what is wrong with it."""


def decode(data: bytes) -> Manifest:
    """Return the manifest in `data`; raises BadManifest."""
    try:
        version = msgspec.json.decode(data, type=dict[str, Any]).get("format_version")
        if version not in READABLE_VERSIONS:
            readable = " and ".join(map(str, READABLE_VERSIONS))
            raise BadManifest(f"format_version is {version!r}, this release reads {readable}")
        manifest = msgspec.json.decode(data, type=Manifest)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise BadManifest(f"not a manifest ({error})") from error
    for problem in _problems(manifest):
        raise BadManifest(problem)
    return manifest


def _problems(manifest: Manifest) -> Iterator[str]:
    """Yield what no classifier can have; with NaN every comparison is false."""
    labels, least, most = manifest.labels, *TEMPERATURES
    if not labels or "" in labels:
        yield "labels is empty, or has an empty label"
    if twice := [label for label, count in Counter(labels).items() if count > 1]:
        yield f"has a label twice: {twice[0]}"
    if not LEAST_TOKENS <= manifest.max_tokens <= MOST_TOKENS:
        yield f"max_tokens is {manifest.max_tokens}, it must be {LEAST_TOKENS} to {MOST_TOKENS:,}"
    if not least <= manifest.temperature <= most:
        yield f"temperature is {manifest.temperature:g}, it must be {least:g} to {most:g}"
    threshold = manifest.suggested_threshold
    if threshold is not None and not 0 <= threshold <= 1:
        yield f"suggested_threshold is {threshold:g}, it must be 0 to 1"
    if not manifest.inputs or not manifest.output:
        yield "inputs or output is empty"
    if not {MODEL, TOKENIZER} <= manifest.files.keys():
        yield f"files lacks {MODEL} or {TOKENIZER}"
    if outside := [name for name in manifest.files if not _is_plain(name)]:
        yield f"files names {outside[0]!r}, which is not a file of this folder"
    yield from _answer_problems(manifest)


def _is_plain(name: str) -> bool:
    return PurePath(name).name == name and name not in ("", "..") and "\0" not in name


def _answer_problems(manifest: Manifest) -> Iterator[str]:
    answers, labels = manifest.known_answers, len(manifest.labels)
    if manifest.format_version >= FORMAT_VERSION and not 1 <= len(answers) <= MOST_ANSWERS:
        yield f"known_answers has {len(answers)} texts, it must have 1 to {MOST_ANSWERS}"
    for number, probabilities in enumerate(answer.probabilities for answer in answers):
        if len(probabilities) != labels:
            yield f"known_answers[{number}] has {len(probabilities)} probabilities for {labels} labels"
        if not all(0 <= value <= 1 for value in probabilities):
            yield f"known_answers[{number}] has a probability outside 0 to 1"
        if not math.isclose(sum(probabilities), 1, abs_tol=SUM_ERROR):
            yield f"known_answers[{number}] has probabilities that do not sum to 1"
