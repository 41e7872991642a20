"""Run `pointsman fit`, and a small base for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from pointsman_export.fit.main import main
from support import toy_artifact
from support.export import Export, Outcome


@pytest.fixture
def fit(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Export:
    """Runs the command on a file of rows into a folder that is not there yet, in a parent that is empty."""
    folder = tmp_path / "target" / "out"
    folder.parent.mkdir()

    def run(data: Path, *options: str) -> Outcome:
        capfd.readouterr()
        code = main(["--data", str(data), "-o", str(folder), *options])
        return Outcome(code, *capfd.readouterr(), folder)

    return run


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    """A small artifact for English, whose features are its logits."""
    contents = {"model.onnx": toy_artifact.with_features(toy_artifact.model())}
    features = toy_artifact.FEATURES
    return toy_artifact.build(tmp_path / "toy", contents, features=features, format_version=4, languages=["en"])
