"""The command from end to end on a checkpoint with the built-in's shape."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
from pathlib import Path

import numpy as np
import onnx
import pytest

from pointsman.classify import artifact
from pointsman.classify.encoder import Encoder
from pointsman.classify.engine import Engine
from pointsman.classify.manifest import Manifest, WeightsSource
from pointsman.classify.tokenizer import TextWindow, Tokenizer
from pointsman.config.model import ClassifierOptions
from pointsman.errors import ArtifactError
from pointsman_export.export import pipeline
from pointsman_export.export.texts import BUILT_IN
from support.checkpoint import LABELS, edit_json
from support.export import Export


@pytest.fixture(scope="module")
def manifest(exported: Path) -> Manifest:
    return artifact.read_manifest(exported)


def test_the_artifact_loads(exported: Path) -> None:
    """The daemon takes the folder, checksums included, and it holds nothing but the four files."""
    artifact.load(exported)

    assert {path.name for path in exported.iterdir()} == {
        "model.onnx",
        "ordinary.bin",
        "pointsman.json",
        "tokenizer.json",
    }


def test_the_graph_gives_features_and_those_of_ordinary_requests_come_with_it(
    exported: Path, manifest: Manifest
) -> None:
    loaded, window = artifact.load(exported), TextWindow.even(128)
    ordinary = artifact.read_ordinary(loaded)
    assert ordinary is not None
    assert manifest.features is not None
    assert ordinary.shape == (len(BUILT_IN), manifest.features.width)
    (encoded,) = Tokenizer(loaded.tokenizer_path).encode([window.cut_text(BUILT_IN[0])], window)
    found = Engine(loaded, ["cpu"]).read([encoded.ids]).features
    assert found is not None
    np.testing.assert_allclose(found[0], ordinary[0], atol=0.01)


def test_manifest_describes_the_graph(tiny: Path, exported: Path, manifest: Manifest) -> None:
    """Labels in the order of the logits, inputs as in the graph, a limit of 512 tokens, and the weights' hash."""
    assert manifest.labels == LABELS
    assert (manifest.inputs, manifest.output) == (["input_ids", "position_ids", "segment_ids", "starts"], "logits")
    assert (manifest.max_tokens, manifest.precision, manifest.target) == (512, "int8", "cpu")
    assert (manifest.temperature, manifest.suggested_threshold) == (1.0, None)
    assert manifest.source == WeightsSource(name=tiny.name, sha256=artifact.sha256(tiny / "model.safetensors"))
    assert manifest.opset == onnx.load(exported / "model.onnx").opset_import[0].version
    assert {"torch", "transformers", "optimum", "onnx", "onnxruntime"} <= manifest.versions.keys()


def test_the_languages_are_declared(tiny: Path, export: Export, manifest: Manifest) -> None:
    """By default none, so that every text is classified; what the gate cannot recognize is wrong usage."""
    assert manifest.languages == []
    outcome = export(tiny, "--languages", "en, de", "--gate", "0")
    assert artifact.read_manifest(outcome.folder).languages == ["en", "de"]
    with pytest.raises(SystemExit) as caught:
        export(tiny, "--languages", "en,xx")
    assert caught.value.code == 2


def test_known_answers_are_stored_and_hold(exported: Path, tmp_path: Path) -> None:
    """With them the daemon proves the artifact: on this host it answers as it did here."""
    known = artifact.load(exported).manifest.known_answers
    assert len(known) == 4
    assert len({tuple(answer.probabilities) for answer in known}) == 4
    Encoder(artifact.load(exported), ClassifierOptions(threads=2)).close()

    path = exported / "pointsman.json"
    changed = shutil.copytree(exported, tmp_path / "changed") / path.name
    first = known[0].probabilities
    changed.write_text(
        path.read_text()
        .replace(f"{max(first)}", f"{max(first) - 0.06:.6f}", 1)
        .replace(f"{min(first)}", f"{min(first) + 0.06:.6f}", 1)
    )
    with pytest.raises(ArtifactError, match="when it was exported"):
        Encoder(artifact.load(changed.parent), ClassifierOptions(threads=1))


def test_verification_is_stored(manifest: Manifest) -> None:
    """The manifest keeps what the proof measured: differences, agreement, latency and sizes."""
    found = manifest.verification

    assert found["values"]["max_difference"].keys() == {"float"}
    assert found["batch"]["max_difference"].keys() == {"float", "int8"}
    for check in ("values", "batch"):
        assert all(value <= found[check]["tolerance"][name] for name, value in found[check]["max_difference"].items())
    assert (found["padding"], found["graph"]["level"]) == (None, "fast")
    assert found["agreement"]["texts"] == len(BUILT_IN)
    assert found["agreement"]["share"] >= found["agreement"]["gate"] == 0.99
    assert found["logit_error"]["share"] <= found["logit_error"]["bound"] == 0.02
    assert (found["float_layers"], found["accuracy"], found["calibration"]) == ([], None, None)
    assert found["latency_ms"]["median_by_tokens"].keys() == {"32", "128"}


def test_int8_is_less_than_a_third_of_the_float_graph(exported: Path, manifest: Manifest) -> None:
    """Weights and embeddings are stored in one byte each."""
    size = (exported / "model.onnx").stat().st_size

    assert 0 <= size - manifest.verification["bytes"]["int8"] < 2000, "the output for features"
    assert size * 3 < manifest.verification["bytes"]["float"]


def test_weights_are_signed_and_the_head_stays_float(exported: Path) -> None:
    """Seven int8 matrices a layer, as two linear layers are cut into parts; the head and the classifier, which decide
    between labels, keep their floats."""
    graph = onnx.load(exported / "model.onnx").graph
    types = {tensor.name: tensor.data_type for tensor in graph.initializer}
    linears = [node for node in graph.node if node.op_type == "MatMulIntegerToFloat"]
    weights = [tensor for tensor in graph.initializer if tensor.name.endswith(".weight") and len(tensor.dims) == 2]

    assert len(linears) == 4 * 7
    assert {types[node.input[1]] for node in linears} == {onnx.TensorProto.INT8}
    assert [(tensor.name, types[tensor.name]) for tensor in weights] == [
        ("head.dense.weight", onnx.TensorProto.FLOAT),
        ("classifier.weight", onnx.TensorProto.FLOAT),
    ]


def test_options_reach_the_artifact(tiny: Path, tmp_path: Path, export: Export) -> None:
    """`--texts`, `--gate` and `--max-tokens` are kept in the manifest; stderr has the steps and no library's noise."""
    texts = tmp_path / "own.jsonl"
    texts.write_text('{"text": "What is osmosis?"}\nWho wrote the Iliad?\n')

    outcome = export(tiny, "--texts", str(texts), "--gate", "0.5", "--max-tokens", "64")

    manifest = artifact.load(outcome.folder).manifest
    agreement = manifest.verification["agreement"]
    assert (outcome.code, outcome.message) == (0, "")
    assert len(outcome.steps) == 8
    assert (manifest.max_tokens, agreement["texts"], agreement["gate"]) == (64, 2, 0.5)
    assert agreement["sha256"] == hashlib.sha256(texts.read_bytes()).hexdigest()
    assert agreement["source"] == "own.jsonl"
    assert "2 of 2 texts (own.jsonl) keep their label: 100 %, gate 50 %" in outcome.out


def test_transformers_5_checkpoint_gives_the_same_graph(copy: Path, exported: Path, export: Export) -> None:
    """Version 5 spells RoPE, the layers and the tokenizer's class in its own words; version 4 must not lose them."""
    edit_json(
        copy / "config.json",
        global_rope_theta=None,
        local_rope_theta=None,
        global_attn_every_n_layers=None,
        layer_types=["full_attention", "sliding_attention", "sliding_attention", "full_attention"],
        rope_parameters={
            "full_attention": {"rope_type": "default", "rope_theta": 120_000.0},
            "sliding_attention": {"rope_type": "default", "rope_theta": 10_000.0},
        },
    )
    (copy / "tokenizer_config.json").write_text('{"tokenizer_class": "TokenizersBackend"}')

    outcome = export(copy, "--gate", "0")

    assert outcome.code == 0
    assert artifact.read_manifest(outcome.folder).files == artifact.read_manifest(exported).files


def test_force_replaces_an_artifact_after_the_new_one_is_proved(
    tiny: Path, exported: Path, export: Export, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failure with --force leaves the artifact that was there; success replaces it and leaves nothing else."""
    outcome = export(tiny, "--max-tokens", "64", "--gate", "0")
    before = artifact.read_manifest(outcome.folder)

    monkeypatch.setattr(pipeline, "prove", _interrupted)
    failed = export(tiny, "--force")
    after_failure = artifact.load(failed.folder).manifest
    monkeypatch.undo()
    replaced = export(tiny, "--force", "--max-tokens", "32", "--gate", "0")

    assert (failed.code, after_failure) == (1, before)
    assert (replaced.code, replaced.left) == (0, ["out"])
    assert artifact.load(replaced.folder).manifest.max_tokens == 32


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_nothing(
    tiny: Path, export: Export, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    """Ctrl-C or SIGTERM in the middle removes what was written so far."""
    monkeypatch.setattr(pipeline, "prove", lambda *_: os.kill(os.getpid(), number))

    outcome = export(tiny)

    assert (outcome.code, outcome.left) == (1, [])
    assert outcome.message == "pointsman export: interrupted, nothing was written"


def _interrupted(*_: object) -> None:
    raise KeyboardInterrupt
