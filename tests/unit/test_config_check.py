"""`pointsman check`: what it prints and when it fails."""

from __future__ import annotations

import io
from pathlib import Path

from pointsman.cli.check import check as run
from support.config_files import MINIMAL, category, write, write_manifest


def checked(folder: Path, text: str) -> tuple[int, str]:
    out = io.StringIO()
    code = run(write(folder, text), out)
    return code, out.getvalue()


MODEL = "classifier: {category_model: {model_id: artifact, threshold: 0.5}}\n"


def test_a_good_file_shows_who_answers_what(tmp_path: Path) -> None:
    """Each category with its labels and models in the order in which they are asked, then the default."""
    write_manifest(tmp_path / "artifact", ("health", "law", "other"))
    law = category("law").replace(
        "      - model: base\n",
        "      - {model: base, score: 0.5, use_reasoning: false}\n      - model: base\n        lora_name: law-lora\n",
    )
    code, out = checked(tmp_path, MINIMAL + MODEL + "categories:\n" + law + category("health"))

    assert code == 0
    assert out.splitlines() == [
        (
            f"warning: {tmp_path}/config.yaml:12: categories: no category covers other: such prompts go to base; "
            "add them to mmlu_categories of a category, or add a category named general"
        ),
        f"{tmp_path}/config.yaml: the service can start",
        "",
        "category  labels                 answered by",
        "law       law                    law-lora (on base), else base",
        "health    health                 base",
        "(none)    other                  base",
        "(unsure)  probability below 0.5  base",
    ]


def test_the_fallback_category_answers_the_unsure(tmp_path: Path) -> None:
    """In place of default_model."""
    write_manifest(tmp_path / "artifact")
    model = MODEL.replace("threshold: 0.5", "fallback_category: general")
    code, out = checked(tmp_path, MINIMAL + model + "categories:\n" + category("general"))

    assert code == 0
    assert out.splitlines()[-1].split() == ["(unsure)", "probability", "below", "0.6", "category", "general"]


def test_errors_of_the_file_are_all_printed(tmp_path: Path) -> None:
    """One line each, and how many."""
    code, out = checked(tmp_path, MINIMAL + "colour: red\nauto_model_name: 1\n")

    assert code == 1
    assert out.splitlines() == [
        (
            f"error: {tmp_path}/config.yaml:11: colour: unknown key; remove it; the keys here are: classifier, "
            "vllm_endpoints, model_config, default_model, categories, reasoning_families, default_reasoning_effort, "
            "auto_model_name, include_config_models_in_list, pointsman"
        ),
        f'error: {tmp_path}/config.yaml:12: auto_model_name: expected text, found the number 1; put it in quotes: "1"',
        "2 errors: the service would not start",
    ]


def test_errors_and_warnings_of_the_labels_are_printed(tmp_path: Path) -> None:
    """The labels come from the artifact's manifest, which is found beside the config."""
    write_manifest(tmp_path / "artifact", ("law", "other"))
    text = MINIMAL + MODEL + "tools: {}\ncategories:\n" + category("x", "labels: [laws]") + category("general")
    code, out = checked(tmp_path, text)
    error, warning, count = out.splitlines()

    assert code == 1
    assert error.endswith('categories[0].labels[0]: the classifier has no label "laws"; did you mean law?')
    assert warning.startswith("warning: ")
    assert count == "1 error: the service would not start"


def test_a_classifier_that_is_not_there_is_an_error_at_model_id(tmp_path: Path) -> None:
    """With the artifact's own fix, and the warnings that need no labels."""
    code, out = checked(tmp_path, MINIMAL + MODEL + "tools: {}\n")
    error, warning, count = out.splitlines()

    assert code == 1
    assert error.startswith(f"error: {tmp_path}/config.yaml:11: classifier.category_model.model_id: ")
    assert "no such folder; set model_id to an exported artifact's folder" in error
    assert "tools" in warning
    assert count == "1 error: the service would not start"


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    """Not a traceback."""
    out = io.StringIO()

    assert run(tmp_path / "nowhere.yaml", out) == 1
    assert out.getvalue().splitlines()[0] == (
        f"error: {tmp_path}/nowhere.yaml: no such file; check the path, or write one with `pointsman init`"
    )
