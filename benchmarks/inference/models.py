"""Create the models under test: ModernBERT-base with random weights, in each program's format.

Cost does not depend on weights, so nothing is downloaded. Models stay in the folder for later runs; failures are
printed, and the benchmarks continue without that model. What needs torch is imported where it is used, since a test
imports this module.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from inference.workplace import HERE, MAX_TOKENS, InferenceFolder
from pointsman.classify.tokenizer import TextWindow, Tokenizer
from pointsman_export.export.texts import BUILT_IN

PROOF_TEXTS = 28
CALIBRATION_TEXTS = 300
"""nncf's default."""
ANY_LABELS = ("--gate", "0")
ANY_ERROR = ("--max-error", "1", *ANY_LABELS)
"""Whatever a model answers: that is measured here."""


def make_models(work: InferenceFolder) -> None:
    """Create all missing models."""
    makers: dict[str, Callable[[InferenceFolder, Path], None]] = {
        "checkpoint": _checkpoint,
        "optimum": _optimum,
        "optimum-int8": _optimum_int8,
        "onnxruntime-int8": _onnxruntime_int8,
        "openvino-int8": _openvino_int8,
        "openvino-weights": _openvino_weights,
        "int8-token": lambda work, path: _export(work, path, "--activations", "token"),
        "int8-tensor": lambda work, path: _export(work, path, "--activations", "tensor", *ANY_LABELS),
        "int8-openvino": lambda work, path: _export(work, path, "--target", "openvino", *ANY_ERROR),
        "float": _float,
    }
    for name, make in makers.items():
        path = work.model(name)
        if path.exists():
            continue
        print(f"making {name} …", flush=True)
        half = path.with_name(f"{name}.half")
        shutil.rmtree(half, ignore_errors=True)
        try:
            make(work, half)
        except Exception as error:  # noqa: BLE001 - any library may fail, and the other models can still be measured
            print(f"{name} cannot be made: {error}", file=sys.stderr)
        else:
            half.rename(path)


def _checkpoint(_: InferenceFolder, path: Path) -> None:
    from support.checkpoint import BASE as SHAPE
    from support.checkpoint import make_checkpoint

    make_checkpoint(path, BUILT_IN[:PROOF_TEXTS], SHAPE)
    names = {"pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    about = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": MAX_TOKENS, **names}
    inputs = {"model_input_names": ["input_ids", "attention_mask"]}
    (path / "tokenizer_config.json").write_text(json.dumps(about | inputs))


def _optimum(work: InferenceFolder, path: Path) -> None:
    from optimum.exporters.onnx import main_export

    main_export(str(work.model("checkpoint")), path, task="text-classification", do_validation=False)


def _optimum_int8(work: InferenceFolder, path: Path) -> None:
    """Create optimum's fastest variant: dynamic, signed weights per channel, MatMul only, without the embedding."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    shutil.copytree(work.model("optimum"), path, ignore=shutil.ignore_patterns("*.onnx*"))
    source = work.model("optimum") / "model.onnx"
    quantize_dynamic(
        source, path / "model.onnx", per_channel=True, weight_type=QuantType.QInt8, op_types_to_quantize=["MatMul"]
    )


def _onnxruntime_int8(work: InferenceFolder, path: Path) -> None:
    """Create what ONNX Runtime's dynamic quantization makes by default, without options."""
    from onnxruntime.quantization import quantize_dynamic

    shutil.copytree(work.model("optimum"), path, ignore=shutil.ignore_patterns("*.onnx*"))
    quantize_dynamic(work.model("optimum") / "model.onnx", path / "model.onnx")


def _openvino_int8(work: InferenceFolder, path: Path) -> None:
    """Quantize weights and activations, calibrated on the texts that `export` has for its proof."""
    tokenizer = Tokenizer(work.tokenizer)
    rows = work.part("models") / "calibration.json"
    encoded = tokenizer.encode(list(BUILT_IN[:CALIBRATION_TEXTS]), TextWindow.even(MAX_TOKENS))
    rows.write_text(json.dumps([item.ids.tolist() for item in encoded]))
    _quantize(work, path, str(rows))


def _openvino_weights(work: InferenceFolder, path: Path) -> None:
    _quantize(work, path)


def _quantize(work: InferenceFolder, path: Path, *rows: str) -> None:
    program = HERE / "peers" / "quantize_openvino.py"
    path.mkdir()
    _run([str(work.python("openvino")), str(program), str(work.model("optimum") / "model.onnx"), str(path), *rows])


def _float(work: InferenceFolder, path: Path) -> None:
    """Keep our float graph, which `export` verifies and discards."""
    from pointsman_export.export.checkpoint import open_checkpoint
    from pointsman_export.export.recipe import FastRecipe
    from pointsman_export.export.torch_model import load_model

    path.mkdir()
    checkpoint = open_checkpoint(str(work.model("checkpoint")))
    FastRecipe(checkpoint, load_model(checkpoint), "token").write_float(path / "model.onnx")


def _export(work: InferenceFolder, path: Path, *options: str) -> None:
    texts = work.part("models") / "texts"
    texts.write_text("\n".join(BUILT_IN[:PROOF_TEXTS]))
    source = str(work.model("checkpoint"))
    command = [sys.executable, "-m", "pointsman", "export", source, "-o", str(path), "--texts", str(texts), *options]
    _run([*command, "--max-tokens", str(MAX_TOKENS)])


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr.strip().splitlines()[-1] if done.stderr.strip() else f"exit {done.returncode}")
