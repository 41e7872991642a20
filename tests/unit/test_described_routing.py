"""The built-in classifier sends prompts to adapters that only their texts describe, beside those that labels cover."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from pointsman.adapters.catalog import ServedModels
from pointsman.api.dry_run import dry_run
from pointsman.app.prepare import PreparedConfig, prepare
from pointsman.app.shadow import _basis
from pointsman.classify import artifact
from pointsman.classify.classifier import Classifier
from pointsman.config.lint import lint
from pointsman.config.load import load
from pointsman.errors import ConfigError
from pointsman.evaluation.reader import ArtifactRunner
from pointsman.evaluation.scheme import CategoryScheme
from pointsman.routing.explain import describe
from pointsman.routing.router import Router
from support.config_files import LABELS

ADAPTERS: dict[str, dict[str, Any]] = {
    "law": {},
    "sql-gen-v3": {
        "description": "Writes SQL for our warehouse from a question.",
        "examples": [
            "sum of revenue by month and region for last year as a query",
            "join orders and customers, only those without an order since March",
            "how do I get the ten best selling products per country out of the orders table",
            "SELECT that counts duplicate emails in users",
        ],
    },
    "captain-barnaby": {
        "description": "Speaks as a grumpy old sea captain who tells stories of the sea.",
        "examples": [
            "ahoy captain, tell me about the storm off Cape Horn",
            "what do you think of landlubbers, captain?",
            "captain, how did you lose your leg",
            "sing me a shanty about the whale that got away",
        ],
    },
    "support-de": {
        "description": "Beantwortet Fragen von Kunden zu Lieferung und Rückgabe auf Deutsch.",
        "examples": [
            "wo bleibt mein Paket, es sollte gestern kommen",
            "ich möchte die Schuhe zurückgeben, wie geht das?",
            "die Lieferung ist beschädigt angekommen",
            "Wann bekomme ich mein Geld zurück?",
        ],
    },
}


def written(folder: Path, adapters: dict[str, dict[str, Any]]) -> Path:
    categories = [
        {
            "name": name,
            **options,
            "model_scores": [{"model": "base", "lora_name": f"{name}-lora", "score": 1.0, "use_reasoning": False}],
        }
        for name, options in adapters.items()
    ]
    loras = [{"name": f"{name}-lora"} for name in adapters]
    made = {
        "vllm_endpoints": [{"name": "a", "address": "127.0.0.1", "port": 8000}],
        "default_model": "base",
        "model_config": {"base": {"loras": loras}},
        "categories": categories,
        "pointsman": {"classifier": {"deadline_ms": 60_000}},  # a busy machine changes no decision
    }
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(made))
    return path


def explained(prepared: PreparedConfig, text: str) -> dict[str, Any]:
    router = Router(prepared.config, prepared.classifier, ServedModels)
    body = json.dumps({"model": "MoM", "messages": [{"role": "user", "content": text}]}).encode()
    parsed, routed = asyncio.run(dry_run(router, body))
    return describe(router, parsed, routed)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PreparedConfig]:
    found = prepare(written(tmp_path_factory.mktemp("described"), ADAPTERS))
    yield found
    found.classifier.encoder.close()


@pytest.mark.parametrize(
    ("text", "model"),
    [
        ("count the orders of each customer in 2024, newest first", "sql-gen-v3-lora"),
        ("captain, were you ever afraid of the deep?", "captain-barnaby-lora"),
        ("Can my landlord keep the deposit if I leave before the end of the contract?", "law-lora"),
        ("mein paket ist immer noch nicht da", "support-de-lora"),
        ("What is the capital of Australia?", "base"),
        ("¿Dónde puedo comer bien en Sevilla?", "base"),
    ],
)
def test_a_prompt_goes_where_its_texts_or_its_labels_say(prepared: PreparedConfig, text: str, model: str) -> None:
    assert explained(prepared, text)["decision"]["model"] == model


def test_where_texts_alone_decide_nothing_is_said_of_labels(tmp_path: Path) -> None:
    found = prepare(written(tmp_path, {"sql": ADAPTERS["sql-gen-v3"]}))
    found.classifier.encoder.close()
    assert (found.warnings, found.former) == ((), None)


def test_explain_shows_the_scores_of_both_kinds_of_category(prepared: PreparedConfig) -> None:
    found = explained(prepared, "count the orders of each customer in 2024")
    assert found["categories"].keys() == ADAPTERS.keys()
    assert found["labels"].keys() == set(LABELS)
    assert found["categories"]["sql-gen-v3"] > 0.5 > found["categories"]["captain-barnaby"]


def test_a_reload_with_the_same_texts_keeps_the_head_and_with_others_makes_another(
    prepared: PreparedConfig, tmp_path: Path
) -> None:
    assert prepare(written(tmp_path, ADAPTERS), prepared).classifier is prepared.classifier
    changed = ADAPTERS | {"captain-barnaby": {"description": "Answers questions about the weather."}}
    after = prepare(written(tmp_path, changed), prepared)
    assert after.classifier.encoder is prepared.classifier.encoder
    assert explained(after, "will there be rain tomorrow?")["decision"]["model"] == "captain-barnaby-lora"
    assert explained(prepared, "will there be rain tomorrow?")["decision"]["model"] == "base"


def test_the_classifier_in_shadow_is_another_one_once_the_texts_are_others(prepared: PreparedConfig) -> None:
    """An adapter's description is no part of its category, and counts."""
    classifier = prepared.classifier
    assert classifier.head is not None
    other = Classifier(classifier.encoder, classifier.artifact, replace(classifier.head, key="other"))
    assert _basis(replace(prepared, classifier=other)) != _basis(prepared)


def test_the_cache_knows_a_text_by_the_head_that_scored_it(prepared: PreparedConfig) -> None:
    async def classified() -> None:
        text, both = "how many orders were there in May?", prepared.classifier
        labels = Classifier(both.encoder, both.artifact)
        alone, scored = await labels.classify(text), await both.classify(text)
        assert (alone.described, len(scored.described)) == ((), 4)
        assert alone.probabilities == scored.probabilities
        assert (await labels.classify(text)).described == ()
        again = await both.classify(text)
        assert (again.source, again.described) == ("hit", scored.described)

    asyncio.run(classified())


def test_a_candidate_that_was_taught_has_in_shadow_the_scores_that_it_would_serve(prepared: PreparedConfig) -> None:
    async def classified() -> None:
        text, own = "how many orders were there in May?", prepared.classifier
        assert own.head is not None
        taught = replace(own.head, key="taught", bias=own.head.bias + 3)
        shadowed = await Classifier(own.encoder, own.artifact, own.head, (own.artifact, taught)).classify(text)
        served = await Classifier(own.encoder, own.artifact, taught).classify(text)
        assert shadowed.shadow is not None
        assert shadowed.shadow.described == served.described != shadowed.described
        assert shadowed.described == (await own.classify(text)).described

    asyncio.run(classified())


def test_without_a_described_category_there_is_no_head(tmp_path: Path, prepared: PreparedConfig) -> None:
    after = prepare(written(tmp_path, {"law": {}, "general": {"description": "All else."}}), prepared)
    assert after.classifier.head is None


def test_eval_decides_as_the_service_does(prepared: PreparedConfig) -> None:
    loaded, head = artifact.load(artifact.BUILTIN), prepared.classifier.head
    texts = ["count the orders of each customer in 2024, newest first", "captain, were you ever afraid of the deep?"]
    reading = ArtifactRunner(loaded, head=lambda _: head).read(texts)
    scheme = CategoryScheme(prepared.config, LABELS, loaded.calibration, head)
    chosen = scheme.chosen(reading.probabilities, reading.supported)
    assert [scheme.names[index] for index in chosen] == ["sql-gen-v3", "captain-barnaby"]
    assert np.isfinite(scheme.scores(reading.probabilities)).all()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"examples": ["a", " "]}, r"examples\[1\]: the example is empty"),
        ({"examples": ["a" * 10_001]}, r"examples\[0\]: the example has 10,001 characters, at most 10,000"),
        ({"examples": ["a"] * 201}, "examples: 201 examples, at most 200"),
        ({"examples": ["a"], "mmlu_categories": ["law"]}, "labels and examples exclude each other"),
    ],
)
def test_examples_that_cannot_be_used_are_errors(tmp_path: Path, options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        load(written(tmp_path, {"sql": options}))


def test_there_are_at_most_two_thousand_examples(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="more than 2,000 examples in all categories"):
        load(written(tmp_path, {f"c{i}": {"examples": [f"{i} {j}" for j in range(134)]} for i in range(15)}))


def test_a_classifier_without_features_refuses_examples_and_ignores_descriptions_as_before(tmp_path: Path) -> None:
    described = load(written(tmp_path, {"sql": {"description": "SQL"}}))
    assert not lint(described, LABELS, describes=False).errors
    assert any("can never be chosen" in one.message for one in lint(described, LABELS, describes=False).warnings)
    assert not any("can never be chosen" in one.message for one in lint(described, LABELS).warnings)
    (error,) = lint(load(written(tmp_path, {"sql": {"examples": ["a"]}})), LABELS, describes=False).errors
    assert "gives no features" in error.message


def test_features_that_cannot_be_kept_are_one_warning_and_the_service_goes_on(
    prepared: PreparedConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as on a full disk; it is told again only where other texts are read."""
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "missing"))
    changed = ADAPTERS | {"captain-barnaby": {"description": "Answers questions about the weather."}}
    after = prepare(written(tmp_path, changed), prepared)
    assert after.classifier.head is not None
    message = f"{tmp_path}/missing/features.bin cannot be written (No such file or directory): "
    assert len([one for one in after.warnings if one.startswith(message)]) == 1
    assert "features.bin" not in "".join(prepare(written(tmp_path, changed), after).warnings)
