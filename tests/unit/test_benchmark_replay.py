"""Which routes the built-in changes against the former one, and that the changelog tells it."""

from __future__ import annotations

import json
from typing import Any

import replay

from pointsman.classify import artifact
from support.config_files import REPOSITORY

RESULT = json.loads((REPOSITORY / "benchmarks" / "results" / "replay.json").read_text())
MODELS = {"law": "legal-lora", "code": "technical-lora", "general": "base", "(none)": "base"}


def result(by_category: dict[str, dict[str, dict[str, int]]]) -> dict[str, Any]:
    return {"prompts": 20, "models": MODELS, "by_category": by_category}


def test_prompts_count_by_their_models_and_not_by_their_categories() -> None:
    """From no category to `general` is no change, both being the base model's."""
    found = result({"general": {"(none)": {"general": 3, "law": 2}, "general": {"law": 1}}})

    assert replay.changes(found) == {("base", "legal-lora"): 3}


def test_a_change_is_to_the_right_model_or_from_it_or_neither() -> None:
    found = result({"law": {"general": {"law": 5, "code": 4}, "law": {"code": 2, "law": 9}}})

    assert replay.summary(found) == (
        "Of 20 hand-written prompts it sends 14 to the right model, the former one 11: 11 change their model, "
        "5 of these to the right one and 2 from it (base to legal-lora 5, base to technical-lora 4, "
        "legal-lora to technical-lora 2)."
    )


def test_the_result_is_of_the_classifier_that_ships() -> None:
    """`make bench-replay` makes it anew."""
    assert RESULT["artifacts"]["present"]["files"] == artifact.read_manifest(artifact.BUILTIN).files


def test_the_changelog_tells_what_the_replay_found() -> None:
    changelog = " ".join((REPOSITORY / "CHANGELOG.md").read_text().split())

    assert replay.summary(RESULT).removesuffix(".") in changelog
