"""The classifier on a CUDA device; skipped where there is none, and run by itself where there is one."""

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
from support.needs import excused

Make = Callable[..., AbstractContextManager[Classifier]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An artifact for a GPU."""
    if PROVIDERS["cuda"] not in onnxruntime.get_available_providers():
        excused("no CUDA device")
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
