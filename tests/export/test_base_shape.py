"""The real ModernBERT-base shape: 22 layers, 768 wide, 50,368 tokens, 600 MB of weights."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from pointsman.classify import artifact
from pointsman_export.export.texts import BUILT_IN
from support.checkpoint import BASE, make_checkpoint

if TYPE_CHECKING:
    from pathlib import Path

    from support.export import Export


@pytest.mark.long
def test_modernbert_base_is_exported(tmp_path: Path, export: Export) -> None:
    """It passes the whole proof, its int8 graph is a quarter of the float one, and the latency of both is told."""
    prompts = BUILT_IN[:28]
    texts = tmp_path / "texts"
    texts.write_text("\n".join(prompts))
    make_checkpoint(tmp_path / "base", prompts, BASE)

    outcome = export(tmp_path / "base", "--texts", str(texts), "--max-tokens", "128")
    shutil.rmtree(tmp_path / "base")  # pytest would keep the 600 MB of three runs

    assert (outcome.code, outcome.message) == (0, "")
    found = artifact.load(outcome.folder).manifest.verification
    assert found["bytes"]["int8"] * 3.5 < found["bytes"]["float"]
    assert [sorted(medians) for medians in found["latency_ms"]["median_by_tokens"].values()] == [["float", "int8"]] * 2
