"""The classifier on a CUDA device: run by itself where there is one, and skipped where there is none.

A device without an ONNX Runtime that uses it is a fault of the installation.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from pointsman.classify.classifier import Classifier
from pointsman.classify.onnx_cuda import BUCKETS
from pointsman.classify.packing import INPUTS
from pointsman.classify.runtime import PROVIDERS
from support import toy_artifact
from support.needs import Excused, excused, has_card

UNUSED = (
    "this host has a GPU, but ONNX Runtime has no CUDA: `make clean`, and `make` installs the one that has; or "
    "`pip uninstall onnxruntime onnxruntime-gpu`, then `pip install '.[export-gpu]'`"
)


def needs_card() -> None:
    if PROVIDERS["cuda"] in onnxruntime.get_available_providers():
        return
    if has_card():
        pytest.fail(UNUSED, pytrace=False)
    excused("no CUDA device")


Make = Callable[..., AbstractContextManager[Classifier]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An artifact for a GPU."""
    needs_card()
    contents = {"model.onnx": toy_artifact.packed_model(), "tokenizer.json": toy_artifact.tokenizer()}
    return toy_artifact.build(tmp_path / "gpu", contents, inputs=list(INPUTS), target="gpu")


async def test_it_answers_on_the_gpu_as_on_the_cpu(make_classifier: Make, folder: Path) -> None:
    """Texts of each bucket, on the graphs that were captured at the start."""
    texts = ["python " * (tokens // 4) + "landlord " * (tokens // 8) for tokens in (8, *BUCKETS)]
    found = []
    for provider in ("cuda", "cpu"):
        with make_classifier(folder, providers=(provider,), deadline_ms=60_000) as classifier:
            assert classifier.settings()["provider"] == provider
            found.append([(await classifier.classify(text)).probabilities for text in texts])
    assert np.array(found[0]) == pytest.approx(np.array(found[1]), abs=0.01)


def test_a_card_that_is_not_used_fails_and_is_not_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The driver's program lists the cards, or fails where there is none."""
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [PROVIDERS["cpu"]])
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Excused):
        needs_card()
    program = tmp_path / "nvidia-smi"
    for script, outcome in (("exit 9", Excused), ("echo 'GPU 0: NVIDIA'", pytest.fail.Exception)):
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        with pytest.raises(outcome):
            needs_card()
