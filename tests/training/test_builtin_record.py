"""Anybody can rebuild the shipped classifier: its record names all that it was made of, and its manifest the record."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess

from pointsman.classify import artifact
from support import needs
from support.config_files import REPOSITORY
from training.calibration import KEPT, gathered, kept
from training.held_out import SOURCES

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
    assert named.held_out == {source: run["sha256"] for run in RECORD["calibration"] for source in run["held_out"]}


def test_the_record_names_the_code_the_settings_the_versions_and_the_data() -> None:
    assert re.fullmatch(r"[0-9a-f]{40}", RECORD["commit"])  # not "-dirty"
    assert {"seed", "epochs", "learning_rate"} <= RECORD["settings"].keys()
    assert {"torch", "transformers", "tokenizers"} <= RECORD["versions"].keys()
    named = {"train.jsonl", "read_prompts.jsonl", "fleets/a1.json", "encoder", "texts/everyday.txt"}
    reserved = {"dev_user_prompts.jsonl", "fleets.json", "tests/data/prompts.jsonl", "benchmarks/judges/prompts.jsonl"}
    assert named | reserved <= RECORD["sha256"].keys()
    assert all(map(is_digest, RECORD["sha256"].values()))
    assert RECORD["held_out"] == []


def test_the_code_is_in_the_history() -> None:
    git = ("git", "-C", str(REPOSITORY))
    asked = subprocess.run([*git, "rev-parse", "--is-shallow-repository"], capture_output=True, text=True, check=False)
    if asked.stdout.strip() != "false":
        needs.excused("this checkout has no whole history, so the commit of the built-in's training was NOT looked for")
    assert subprocess.run([*git, "merge-base", "--is-ancestor", RECORD["commit"], "HEAD"], check=False).returncode == 0


def test_the_training_took_three_hours_at_most() -> None:
    assert 0 < RECORD["run"]["seconds"] <= 3 * 3600


def test_the_record_names_the_runs_that_say_what_the_thresholds_are_fitted_to() -> None:
    """What is kept of them is unchanged, and is all that the artifact was calibrated on."""
    runs = kept(KEPT)
    assert [run.about for run in runs] == RECORD["calibration"], AGAIN
    assert [run.about["held_out"] for run in runs] == [list(sources) for sources in SOURCES]
    for run in runs:
        assert hashlib.sha256((KEPT / f"{run.name}.jsonl").read_bytes()).hexdigest() == run.about["sha256"]
    rows = gathered(runs).encode()
    assert MANIFEST.verification["calibration"]["sha256"] == hashlib.sha256(rows).hexdigest()
