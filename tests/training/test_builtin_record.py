"""Anybody can rebuild the shipped classifier: its record names all that it was made of, and its manifest the record."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess

from pointsman.classify import artifact
from support import needs
from support.config_files import REPOSITORY

FILE = REPOSITORY / "training" / "builtin.json"
RECORD = json.loads(FILE.read_text())
MANIFEST = artifact.load(artifact.BUILTIN).manifest
AGAIN = "run python -m training.provenance, see training/README.md"


def is_digest(text: str) -> bool:
    return re.fullmatch(r"[0-9a-f]{64}", text) is not None


def test_the_record_is_of_the_weights_that_the_shipped_artifact_was_made_of() -> None:
    assert MANIFEST.source.sha256 == RECORD["weights"]


def test_the_shipped_artifacts_manifest_names_all_of_it() -> None:
    """Seed, code, versions, data, prompts, encoder, the rows held out for the thresholds, and the record itself."""
    named = MANIFEST.training
    assert named is not None, AGAIN
    assert named.record == hashlib.sha256(FILE.read_bytes()).hexdigest(), AGAIN
    assert named.seed == RECORD["settings"]["seed"]
    assert (named.commit, named.python, named.versions) == (RECORD["commit"], RECORD["python"], RECORD["versions"])
    assert named.sha256 == RECORD["sha256"]
    assert named.held_out == {source: run["sha256"] for source, run in RECORD["calibration"].items()}


def test_the_record_names_the_code_the_settings_the_versions_and_the_data() -> None:
    assert re.fullmatch(r"[0-9a-f]{40}", RECORD["commit"])  # not "-dirty"
    assert {"seed", "epochs", "learning_rate"} <= RECORD["settings"].keys()
    assert {"torch", "transformers", "tokenizers"} <= RECORD["versions"].keys()
    assert {"train.jsonl", "encoder", "dev_user_prompts.jsonl", "prompts.jsonl", "texts/everyday.txt"} <= RECORD[
        "sha256"
    ].keys()
    assert all(map(is_digest, RECORD["sha256"].values()))
    assert RECORD["held_out"] == []


def test_the_code_is_in_the_history() -> None:
    git = ("git", "-C", str(REPOSITORY))
    asked = subprocess.run([*git, "rev-parse", "--is-shallow-repository"], capture_output=True, text=True, check=False)
    if asked.stdout.strip() != "false":
        needs.excused("this checkout has no whole history, so the commit of the built-in's training was NOT looked for")
    assert subprocess.run([*git, "merge-base", "--is-ancestor", RECORD["commit"], "HEAD"], check=False).returncode == 0


def test_the_training_took_three_hours_at_most() -> None:
    """Where the record tells: those of before November 28, 2026 do not."""
    assert (RECORD.get("run", {}).get("seconds") or 0) <= 3 * 3600


def test_the_record_names_the_runs_that_the_thresholds_rows_come_from() -> None:
    """The same rows of each source as the artifact says."""
    runs = RECORD["calibration"]
    recorded = MANIFEST.verification["thresholds"]["held_out"]
    assert {source: {name: run[name] for name in ("rows", "sha256")} for source, run in runs.items()} == recorded
    assert all(is_digest(run[name]) for run in runs.values() for name in ("sha256", "weights"))
