"""What the report of the ask says about itself."""

from __future__ import annotations

import hashlib

from ask.routes import CONFIG, hashes

from pointsman.classify.artifact import BUILTIN
from pointsman.config.load import load


def test_the_classifier_that_is_judged_is_named_by_its_hashes() -> None:
    """Thresholds are fitted to `calibration.bin`, so that it counts, too."""
    found = hashes(load(CONFIG).config)

    assert found.keys() == {"builtin"}
    assert {"model.onnx", "tokenizer.json", "calibration.bin"} <= found["builtin"].keys()
    assert found["builtin"]["tokenizer.json"] == hashlib.sha256((BUILTIN / "tokenizer.json").read_bytes()).hexdigest()
