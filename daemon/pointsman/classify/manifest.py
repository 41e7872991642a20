"""Define and check the manifest of an artifact, `pointsman.json`, for exporter and daemon."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Iterator
from pathlib import PurePath
from typing import Annotated, Any

import msgspec

FORMAT_VERSION = 4
"""Format 2 added `known_answers`, 3 `languages`, and 4 `features`. Older artifacts are read without them."""
READABLE_VERSIONS = (1, 2, 3, FORMAT_VERSION)
ANSWERS_SINCE = 2
MODEL = "model.onnx"
TOKENIZER = "tokenizer.json"
CALIBRATION = "calibration.bin"
"""Optional; releases that do not know it ignore it."""
ORDINARY = "ordinary.bin"
"""Optional: the features of ordinary requests."""
TAUGHT = "taught.bin"
"""Optional, of a head: prompts of described categories that a model wrote or judged."""
HEAD = "head.bin"
"""Instead of a model and a tokenizer: a head on the encoder of another artifact."""

MIN_TOKENS = 8
MAX_TOKENS = 1 << 20
"""Far more than any encoder reads."""
TEMPERATURES = (0.01, 100.0)
"""Beyond these, every score is 0 or 1, or all are equal."""
MAX_KNOWN_ANSWERS = 32
"""All of them run at every start."""
MAX_WIDTH = 1 << 16
"""Of features; far more than any encoder's."""
BYTES_PER_FEATURE = 2
"""Of a known answer."""
SUM_ERROR = 0.01
# The languages in which people write to assistants.
_LANGUAGES = (
    "af ar az be bg bn bs ca cs da de el en es et eu fa fi fr ga gl gu ha he hi hr hu hy id is it ja jv ka kk km kn ko "
    "ky lo lt lv mg mk ml mn mr ms mt my nb ne nl nn no pa pl ps pt ro ru si sk sl so sq sr sv sw ta te tg th tk tr uk "
    "ur uz vi xh yo zh zu"
)
LANGUAGES = frozenset(_LANGUAGES.split())
"""The languages (ISO 639-1) that an artifact may declare: those that the gate can recognize."""


Digest = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
"""A SHA-256 in hex."""


class WeightsSource(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The origin of the weights: the name given to the exporter, and the SHA-256 of the weight files, concatenated."""

    name: str
    sha256: str


class KnownAnswer(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A text, and the probabilities that the exporter got for it, in the order of the labels.

    Of an encoder without labels, it has the features instead, as `ordinary.bin` has them; base64 in JSON.
    """

    text: str
    probabilities: list[float] = []
    features: bytes = b""


class EncoderFeatures(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The output of the graph that heads read, shape [texts, width], and which layers it is made of and how."""

    output: str
    width: int
    recipe: str


class HeadBase(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The features that a head reads: those of `encoder`, which `artifact` (`builtin` or an absolute path) gives.

    `added` if the head corrects that artifact's scores instead of giving its own.
    """

    artifact: str
    encoder: Digest
    added: bool


class TrainingInputs(msgspec.Struct, kw_only=True):
    """The inputs from which the weights of `source` can be trained again; hashes of data, prompts and encoder.

    `record` is the hash of the whole record of the training, which is published with the code. `held_out` has, for each
    source of the rows that thresholds are fitted to, the hash of the results of a training without this source.
    """

    record: Digest
    seed: int
    commit: str
    python: str
    versions: dict[str, str]
    sha256: dict[str, Digest]
    held_out: dict[str, Digest]


class Manifest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The content of `pointsman.json`; `labels` are in the order of the logits. An encoder without a head has none.

    `languages` are those of the texts that the classifier is for, in ISO 639-1; if empty, it judges any text.
    `features` exists if the graph gives features as well, in the same run. `training` exists if the training is
    recorded, as that of the built-in. `head` exists if the artifact is a head; what describes the graph is then that of
    the artifact with the encoder.
    """

    format_version: int
    labels: list[str]
    languages: list[str] = []
    max_tokens: int
    inputs: list[str]
    output: str
    features: EncoderFeatures | None = None
    head: HeadBase | None = None
    opset: int
    precision: str
    target: str
    temperature: float
    suggested_threshold: float | None
    source: WeightsSource
    training: TrainingInputs | None = None
    files: dict[str, str]
    known_answers: list[KnownAnswer] = []
    verification: dict[str, Any]
    versions: dict[str, str]
    created: str

    @property
    def encoder(self) -> str | None:
        """Return what identifies the features, the same for graphs of any precision; None without features."""
        if self.features is None:
            return None
        if self.head is not None:
            return self.head.encoder
        parts = self.source.sha256, self.files[TOKENIZER], self.features.recipe
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    @property
    def graph(self) -> tuple[str, str]:
        """Return the SHA-256 of the graph and of the tokenizer: artifacts that have both in common share runs."""
        return self.files[MODEL], self.files[TOKENIZER]

    @property
    def scores_sha256(self) -> str:
        """Return the SHA-256 of the file that gives the scores."""
        return self.files.get(HEAD) or self.files[MODEL]


class BadManifest(Exception):
    """The manifest cannot be used; the message names the problem."""


def decode(data: bytes) -> Manifest:
    """Return the manifest in `data`; raises BadManifest."""
    try:
        version = msgspec.json.decode(data, type=dict[str, Any]).get("format_version")
        if version not in READABLE_VERSIONS:
            readable = f"{', '.join(map(str, READABLE_VERSIONS[:-1]))} and {READABLE_VERSIONS[-1]}"
            raise BadManifest(f"format_version is {version!r}, this release reads {readable}")
        manifest = msgspec.json.decode(data, type=Manifest)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise BadManifest(f"not a manifest ({error})") from error
    for problem in _problems(manifest):
        raise BadManifest(problem)
    return manifest


def _problems(manifest: Manifest) -> Iterator[str]:
    """Yield the properties that no classifier can have; with NaN every comparison is false."""
    lowest, highest = TEMPERATURES
    yield from _labels_problems(manifest)
    if unknown := sorted(set(manifest.languages) - LANGUAGES):
        yield f"languages has {unknown[0]!r}, it must have codes of {', '.join(sorted(LANGUAGES))}"
    if not MIN_TOKENS <= manifest.max_tokens <= MAX_TOKENS:
        yield f"max_tokens is {manifest.max_tokens}, it must be {MIN_TOKENS} to {MAX_TOKENS:,}"
    if not lowest <= manifest.temperature <= highest:
        yield f"temperature is {manifest.temperature:g}, it must be {lowest:g} to {highest:g}"
    threshold = manifest.suggested_threshold
    if threshold is not None and not 0 <= threshold <= 1:
        yield f"suggested_threshold is {threshold:g}, it must be 0 to 1"
    needed = [MODEL, TOKENIZER] if manifest.head is None else [HEAD]
    if missing := [name for name in needed if name not in manifest.files]:
        yield f"files lacks {missing[0]}"
    if outside := [name for name in manifest.files if not _is_plain(name)]:
        yield f"files names {outside[0]!r}, which is not a file of this folder"
    yield from _features_problems(manifest)
    yield from _answer_problems(manifest)


def _labels_problems(manifest: Manifest) -> Iterator[str]:
    labels = manifest.labels
    is_encoder = not labels and manifest.features is not None and manifest.head is None
    if "" in labels or not (labels or is_encoder):
        yield "labels is empty, or has an empty label"
    if twice := [label for label, count in Counter(labels).items() if count > 1]:
        yield f"has a label twice: {twice[0]}"
    if not manifest.inputs or not (manifest.output or is_encoder or manifest.head is not None):
        yield "inputs or output is empty"
    if is_encoder and CALIBRATION in manifest.files:
        yield f"files has {CALIBRATION}, but there are no labels"


def _is_plain(name: str) -> bool:
    return PurePath(name).name == name and name not in ("", "..") and "\0" not in name


def _features_problems(manifest: Manifest) -> Iterator[str]:
    features = manifest.features
    if features is None and (ORDINARY in manifest.files or manifest.head is not None):
        yield "features is missing"
    if features is not None and not (1 <= features.width <= MAX_WIDTH and features.output not in ("", manifest.output)):
        yield f"features has {features.width} numbers in the output {features.output!r}"


def _answer_problems(manifest: Manifest) -> Iterator[str]:
    answers, labels = manifest.known_answers, len(manifest.labels)
    if manifest.format_version >= ANSWERS_SINCE and not 1 <= len(answers) <= MAX_KNOWN_ANSWERS:
        yield f"known_answers has {len(answers)} texts, it must have 1 to {MAX_KNOWN_ANSWERS}"
    if not labels:
        yield from _known_features_problems(manifest)
        return
    for number, probabilities in enumerate(answer.probabilities for answer in answers):
        if len(probabilities) != labels:
            yield f"known_answers[{number}] has {len(probabilities)} probabilities for {labels} labels"
        if not all(0 <= value <= 1 for value in probabilities):
            yield f"known_answers[{number}] has a probability outside 0 to 1"
        if not math.isclose(sum(probabilities), 1, abs_tol=SUM_ERROR):
            yield f"known_answers[{number}] has probabilities that do not sum to 1"


def _known_features_problems(manifest: Manifest) -> Iterator[str]:
    width = 0 if manifest.features is None else manifest.features.width
    for number, answer in enumerate(manifest.known_answers):
        if len(answer.features) != BYTES_PER_FEATURE * width:
            yield f"known_answers[{number}] has {len(answer.features)} bytes for {width} features"
