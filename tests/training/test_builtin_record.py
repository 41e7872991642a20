"""Anybody can rebuild the shipped classifier: its record names all that it was made of."""

from __future__ import annotations

import json
import re

from pointsman.classify import artifact
from support.config_files import REPOSITORY

RECORD = json.loads((REPOSITORY / "training" / "builtin.json").read_text())


def test_the_record_is_of_the_weights_that_the_shipped_artifact_was_made_of() -> None:
    assert artifact.load(artifact.BUILTIN).manifest.source.sha256 == RECORD["weights"]


def test_the_record_names_the_code_the_settings_the_versions_and_the_data() -> None:
    assert re.fullmatch(r"[0-9a-f]{40}", RECORD["commit"])  # not "-dirty"
    assert {"seed", "epochs", "learning_rate"} <= RECORD["settings"].keys()
    assert {"torch", "transformers", "tokenizers"} <= RECORD["versions"].keys()
    assert {"train.jsonl", "encoder", "dev_user_prompts.jsonl", "prompts.jsonl", "texts/everyday.txt"} <= RECORD[
        "sha256"
    ].keys()
    assert all(re.fullmatch(r"[0-9a-f]{64}", digest) for digest in RECORD["sha256"].values())
    assert RECORD["held_out"] == []


def test_the_record_names_the_runs_that_the_thresholds_rows_come_from() -> None:
    """As many rows of each source as the artifact says."""
    runs = RECORD["calibration"]
    told = artifact.load(artifact.BUILTIN).manifest.verification["thresholds"]["held_out"]
    assert {source: run["rows"] for source, run in runs.items()} == told
    assert all(re.fullmatch(r"[0-9a-f]{64}", run[name]) for run in runs.values() for name in ("sha256", "weights"))
