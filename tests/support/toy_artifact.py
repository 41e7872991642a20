"""A real artifact that is small enough to build in a test: the words of a text vote for labels.

Each known word gives its label WEIGHT; one word makes a label nearly certain, two words of two labels make a tie, and
a text without a known word is spread evenly over all labels.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import tokenizers
from onnx import TensorProto, helper, numpy_helper

from pointsman.classify import artifact, ordinary
from pointsman.classify.artifact import MANIFEST
from pointsman.classify.manifest import MODEL, ORDINARY, TOKENIZER
from pointsman.classify.packing import INPUTS
from support import cost_curve
from support.config_files import LABELS

WEIGHT = 8.0
WORDS: Mapping[str, str] = {
    "javascript": "computer science",
    "python": "computer science",
    "bridge": "engineering",
    "blood": "health",
    "pressure": "health",
    "landlord": "law",
    "weather": "other",
}
_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")


def model(
    labels: Sequence[str] = LABELS,
    words: Mapping[str, str] = WORDS,
    *,
    inputs: Sequence[str] = ("input_ids",),
    shape: Sequence[str | int] | None = None,
) -> bytes:
    """The graph: `logits` is the sum over the tokens of a row for each. `shape` is what it declares for them."""
    nodes = [
        helper.make_node("Gather", ["votes", "input_ids"], ["rows"]),
        helper.make_node("ReduceSum", ["rows", "axis"], ["logits"], keepdims=0),
    ]
    wanted = [helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "tokens"]) for name in inputs]
    constants = {"votes": _votes(labels, words), "axis": np.array([1])}
    return _model(nodes, wanted, shape or ["batch", len(labels)], constants)


def packed_model(labels: Sequence[str] = LABELS, words: Mapping[str, str] = WORDS) -> bytes:
    """The same for prompts in one row: a prompt's `logits` are the sum over the tokens of its segment."""
    nodes = [
        helper.make_node("Gather", ["votes", "input_ids"], ["rows"]),
        helper.make_node("Shape", ["starts"], ["prompts"]),
        helper.make_node("Squeeze", ["prompts"], ["count"]),
        helper.make_node("Range", ["zero", "count", "one"], ["each"]),
        helper.make_node("Unsqueeze", ["each", "axis"], ["column"]),
        helper.make_node("Equal", ["column", "segment_ids"], ["own"]),
        helper.make_node("Cast", ["own"], ["share"], to=TensorProto.FLOAT),
        helper.make_node("MatMul", ["share", "rows"], ["logits"]),
    ]
    wanted = [
        helper.make_tensor_value_info(name, TensorProto.INT64, ["prompts" if name == "starts" else "tokens"])
        for name in INPUTS
    ]
    constants = {"votes": _votes(labels, words), "axis": np.array([1]), "zero": np.array(0), "one": np.array(1)}
    return _model(nodes, wanted, ["prompts", len(labels)], constants)


def with_features(graph: bytes, node: Any | None = None) -> bytes:
    """A graph whose `features` are its `logits`, or what the node makes of them."""
    built = onnx.load_from_string(graph)
    built.graph.node.append(node or helper.make_node("Identity", ["logits"], ["features"]))
    built.graph.output.append(helper.make_tensor_value_info("features", TensorProto.FLOAT, ["batch", None]))
    return bytes(built.SerializeToString())


def after_votes(nodes: Sequence[Any], constants: Mapping[str, Any]) -> bytes:
    """`model`, whose logits are called `voted`, and further nodes that make `logits` of them; `axis` is [1]."""
    vote = [
        helper.make_node("Gather", ["votes", "input_ids"], ["rows"]),
        helper.make_node("ReduceSum", ["rows", "axis"], ["voted"], keepdims=0),
    ]
    wanted = [helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["batch", "tokens"])]
    votes = {"votes": _votes(LABELS, WORDS), "axis": np.array([1])}
    return _model([*vote, *nodes], wanted, ["batch", len(LABELS)], votes | dict(constants))


def adding_model(value: float) -> bytes:
    """`model` with `value` added to each logit."""
    return after_votes([helper.make_node("Add", ["voted", "value"], ["logits"])], {"value": np.array(value, "f")})


def overflowing_model() -> bytes:
    """Adds 1e38 x 1e38 to the first logit of a text with the token of `blood`."""
    weights = [0.0] * (len(_SPECIAL) + len(WORDS))
    weights[len(_SPECIAL) + list(WORDS).index("blood")] = 1e38
    nodes = [
        helper.make_node("Gather", ["weights", "input_ids"], ["weight"]),
        helper.make_node("ReduceMax", ["weight", "axis"], ["most"], keepdims=1),
        helper.make_node("Mul", ["most", "huge"], ["infinite"]),
        helper.make_node("Add", ["voted", "infinite"], ["logits"]),
    ]
    return after_votes(nodes, {"weights": np.array(weights, "f"), "huge": np.array(1e38, "f")})


def endless_model() -> bytes:
    """`model`, whose logits pass through a loop that never ends."""
    return after_votes([endless_loop("always")], {"always": np.array(True), "zero": np.array(0, "f")})


def endless_loop(condition: str) -> Any:
    """A node that passes `voted` on as `logits`, but never ends where `condition` is true."""
    body = helper.make_graph(
        [helper.make_node("Identity", ["again"], ["again_too"]), helper.make_node("Add", ["x", "zero"], ["y"])],
        "body",
        [
            helper.make_tensor_value_info("turn", TensorProto.INT64, []),
            helper.make_tensor_value_info("again", TensorProto.BOOL, []),
            helper.make_tensor_value_info("x", TensorProto.FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("again_too", TensorProto.BOOL, []),
            helper.make_tensor_value_info("y", TensorProto.FLOAT, None),
        ],
    )
    return helper.make_node("Loop", ["", condition, "voted"], ["logits"], body=body)


def _votes(labels: Sequence[str], words: Mapping[str, str]) -> npt.NDArray[np.float32]:
    votes = np.zeros((len(_SPECIAL) + len(words), len(labels)), dtype=np.float32)
    for row, label in enumerate(words.values(), start=len(_SPECIAL)):
        votes[row, labels.index(label)] = WEIGHT
    return votes


def _model(
    nodes: Sequence[Any], inputs: Sequence[Any], shape: Sequence[str | int], constants: Mapping[str, Any]
) -> bytes:
    outputs = [helper.make_tensor_value_info("logits", TensorProto.FLOAT, shape)]
    initializers = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "toy", inputs, outputs, initializers)
    built = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    return bytes(built.SerializeToString())


def tokenizer(words: Mapping[str, str] = WORDS) -> bytes:
    """One token a word, between `[CLS]` and `[SEP]`, as ModernBERT's has them."""
    vocabulary = {token: position for position, token in enumerate((*_SPECIAL, *words))}
    built = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="[UNK]"))  # noqa: S106 - no password
    built.normalizer = tokenizers.normalizers.Lowercase()
    built.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    built.add_special_tokens(["[CLS]", "[SEP]"])
    built.post_processor = tokenizers.processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    text: str = built.to_str()
    return text.encode()


def encoder(folder: Path, graph: bytes | None = None, **manifest: Any) -> Path:
    """`build_measured` an encoder without a head, whose features are the votes; texts of no known word are ordinary."""
    built = onnx.load_from_string(with_features(graph or model()))
    del built.graph.output[0]
    rows = np.random.default_rng(0).normal(size=(50, len(LABELS))).astype("f")
    contents = {MODEL: bytes(built.SerializeToString()), TOKENIZER: tokenizer(), ORDINARY: ordinary.encode(rows)}
    fields = {"format_version": 4, "labels": [], "output": "", "features": FEATURES}
    return build_measured(folder, contents, **fields | {"known_answers": [known_features("python")]} | manifest)


def known_features(*words: str, times: float = 1.0) -> dict[str, str]:
    """A known answer of `encoder`: the features of some words, `times` as long."""
    values = times * np.sum([_votes(LABELS, WORDS)[len(_SPECIAL) + list(WORDS).index(word)] for word in words], axis=0)
    return {"text": words[0], "features": base64.b64encode(ordinary.encode(values[None])).decode()}


FEATURES = {"output": "features", "width": len(LABELS), "recipe": "logits"}
"""For the manifest of a graph `with_features`."""


def build(folder: Path, contents: Mapping[str, bytes] | None = None, **manifest: Any) -> Path:
    """Write an artifact into `folder`; `contents` of files and `manifest` replace parts of it. The hashes agree."""
    contents = {MODEL: model(), TOKENIZER: tokenizer()} | dict(contents or {})
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    labels = manifest.get("labels", LABELS)
    fields = {
        "format_version": 2,
        "labels": LABELS,
        "max_tokens": 512,
        "inputs": ["input_ids"],
        "output": "logits",
        "opset": 18,
        "precision": "fp32",
        "target": "cpu",
        "temperature": 1.0,
        "suggested_threshold": None,
        "source": {"name": "toy", "sha256": ""},
        "files": {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()},
        "known_answers": [{"text": "none of the words", "probabilities": [1 / max(1, len(labels))] * len(labels)}],
        "verification": {},
        "versions": {},
        "created": "2026-01-01T00:00:00Z",
    }
    (folder / MANIFEST).write_text(json.dumps(fields | manifest))
    return folder


def build_measured(folder: Path, contents: Mapping[str, bytes] | None = None, **manifest: Any) -> Path:
    """`build`, with the cost curve that an earlier start on this host would have left: none measures it again."""
    built = artifact.load(build(folder, contents, **manifest))
    cost_curve.leave(built, folder, (16, built.manifest.max_tokens), (0.0001, 0.0002))
    return folder
