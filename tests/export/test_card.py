"""A GPU of the host that ONNX Runtime does not use: the export says so before it takes minutes."""

from __future__ import annotations

from pathlib import Path

import onnxruntime
import pytest

from pointsman.classify.runtime import PROVIDERS
from pointsman_export.export import card
from pointsman_export.export.card import unused_card


def test_a_card_that_hangs_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [PROVIDERS["cpu"]])
    monkeypatch.setattr(card, "LISTED_SECONDS", 0.01)
    monkeypatch.setenv("PATH", str(tmp_path))
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\nwhile :; do :; done\n")
    program.chmod(0o755)
    assert unused_card() is None


def test_a_card_that_stays_unused_is_told_with_the_commands_that_change_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The driver's program lists the cards, or fails where there is none."""
    available = [PROVIDERS["cpu"]]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: available)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert unused_card() is None
    program = tmp_path / "nvidia-smi"
    for script, warned in (("exit 9", False), ("exit 0", False), ("echo 'GPU 0: NVIDIA'", True)):
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        found = unused_card()
        assert (found is not None) is warned
    assert found is not None
    assert "`pip uninstall onnxruntime onnxruntime-gpu`" in found
    assert found.endswith("install pointsman[export-gpu]")
    available.append(PROVIDERS["cuda"])
    assert unused_card() is None
