"""An encoder without labels serves the categories that texts describe, and no others."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from pointsman.adapters.catalog import ServedModels
from pointsman.api.classification import batch, intent
from pointsman.api.dry_run import dry_run
from pointsman.app.prepare import prepare
from pointsman.classify import artifact
from pointsman.classify.classifier import Classifier
from pointsman.classify.shadow import ShadowOptions, proven
from pointsman.config.lint import lint
from pointsman.errors import ClassifierError, ConfigError, EvaluationError
from pointsman.evaluation.main import main as evaluate
from pointsman.routing.explain import describe, render
from pointsman.routing.router import Router
from support import toy_artifact
from support.config_files import MINIMAL, category, loaded

Make = Callable[..., AbstractContextManager[Classifier]]

SECTION = "classifier: {category_model: {model_id: encoder}}\npointsman: {classifier: {deadline_ms: 60000}}\n"
CODE = category("code", "description: Answers about python.", "examples: [python, javascript python]")
NAMELESS = category("captain-barnaby")


@contextmanager
def served(folder: Path, *categories: str) -> Iterator[Router]:
    """A router as the service has it, with the encoder as its classifier."""
    toy_artifact.encoder(folder / "encoder")
    path = folder / "config.yaml"
    path.write_text(MINIMAL + SECTION + "".join(("categories:\n" if categories else "", *categories)))
    prepared = prepare(path)
    try:
        yield Router(prepared.config, prepared.classifier, ServedModels)
    finally:
        prepared.classifier.encoder.close()


def explained(router: Router, text: str) -> dict[str, Any]:
    body = json.dumps({"model": "MoM", "messages": [{"role": "user", "content": text}]}).encode()
    return describe(router, *asyncio.run(dry_run(router, body)))


def body(**fields: Any) -> bytes:
    return json.dumps(fields).encode()


def test_a_described_category_or_nobody_gets_a_prompt(tmp_path: Path) -> None:
    with served(tmp_path, CODE, NAMELESS) as router:
        code, other = explained(router, "python"), explained(router, "good morning")

    assert (code["decision"]["category"], code["decision"]["reason"]) == ("code", "classified")
    assert (other["decision"]["category"], other["decision"]["model"]) == (None, "base")
    assert code["labels"] == other["labels"] == {}
    assert code["categories"]["captain-barnaby"] == other["categories"]["captain-barnaby"] == 0
    assert round(other["decision"]["confidence"], 6) == other["categories"]["code"] > 0, "of one that can be chosen"
    assert render(code)


@pytest.mark.parametrize("categories", [(), (NAMELESS,), (category("general"),)], ids=["none", "undescribed", "rest"])
def test_without_a_described_category_the_default_model_answers(tmp_path: Path, categories: tuple[str, ...]) -> None:
    with served(tmp_path, *categories) as router:
        found = explained(router, "python")

    assert (found["decision"]["model"], found["decision"]["reason"]) == ("base", "no_category")
    assert render(found)


@pytest.mark.parametrize(("categories", "name"), [((), ""), ((CODE,), "code")], ids=["none", "described"])
def test_the_classification_api_answers_without_labels(tmp_path: Path, categories: tuple[str, ...], name: str) -> None:
    with served(tmp_path, *categories) as router:
        one = asyncio.run(intent(router, body(text="python")))
        many = asyncio.run(batch(router, body(texts=["python", "blood"])))

    assert (one["classification"]["category"], one["probabilities"]) == (name, {})
    assert many["total_count"] == 2


def test_a_config_that_needs_labels_is_told_what_to_do(tmp_path: Path) -> None:
    toy_artifact.encoder(tmp_path / "encoder")
    text = MINIMAL + SECTION + "categories:\n" + category("law", "mmlu_categories: [law]") + NAMELESS
    found = lint(loaded(tmp_path, text), [])

    for problem in (found.errors[0], found.warnings[0]):
        assert "describe it with `description` or `examples`" in problem.fix
        assert "`model_id` to an artifact with labels" in problem.fix
    assert (found.errors[0].path, found.warnings[0].path) == ("categories[0].mmlu_categories[0]", "categories[1]")
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(ConfigError, match='the classifier has no label "law"'):
        prepare(tmp_path / "config.yaml")


def test_a_text_whose_features_are_no_numbers_fails_alone(make_classifier: Make, tmp_path: Path) -> None:
    with make_classifier(toy_artifact.encoder(tmp_path, toy_artifact.overflowing_model())) as classifier:
        assert asyncio.run(classifier.classify("python")).probabilities == ()
        with pytest.raises(ClassifierError, match="NaN or infinity"):
            asyncio.run(classifier.classify("blood"))


def test_it_is_evaluated_with_the_categories_of_a_config(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = toy_artifact.encoder(tmp_path / "encoder")
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"text": "python", "label": "code"}\n{"text": "good morning", "label": "out_of_scope"}\n')
    (tmp_path / "config.yaml").write_text(MINIMAL + SECTION + "categories:\n" + CODE)

    with pytest.raises(EvaluationError, match="has no labels; give --config"):
        evaluate([str(folder), str(rows)])
    assert evaluate([str(folder), str(rows), "--config", str(tmp_path / "config.yaml")]) == 0
    assert "0 labels" in capsys.readouterr().out


def test_in_shadow_it_has_nothing_to_say(tmp_path: Path) -> None:
    folder = toy_artifact.encoder(tmp_path)
    options = ShadowOptions(str(folder), 512, 0.5, language_gate=True, load_seconds=60)

    assert proven(options) == f"{folder}: has no labels to compare; fit a head on it"


def test_a_head_on_it_has_labels(tmp_path: Path) -> None:
    from pointsman_export.fit.main import main as fit

    data = tmp_path / "rows.jsonl"
    rows = [{"text": f"{word} {number}", "label": word} for word in ("python", "blood") for number in range(20)]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    base = toy_artifact.encoder(tmp_path / "encoder")

    assert fit(["--data", str(data), "--base", str(base), "-o", str(tmp_path / "head"), "--precision", "0.5"]) == 0

    head = artifact.load(tmp_path / "head")
    assert head.manifest.labels == ["blood", "python"]
    assert head.manifest.encoder == artifact.load(base).manifest.encoder
    assert proven(ShadowOptions(str(head.folder), 512, 0.5, language_gate=True, load_seconds=60)) is None
