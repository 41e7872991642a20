"""A small artifact answers where it is sure, a larger one where it is not, within one deadline."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from pointsman.adapters.catalog import Served
from pointsman.api.classification import intent
from pointsman.app.gauges import _classifier as watch_classifier
from pointsman.app.prepare import prepare
from pointsman.app.status import _classifier as status
from pointsman.classify.calibration import Calibration
from pointsman.classify.cascade import Cascade
from pointsman.classify.classifier import Classification, Classifier, Sure, Timing
from pointsman.classify.workers import NICE_LONG, NICE_SHORT
from pointsman.cli.check import check
from pointsman.config.options.classifier import CascadeOptions, ClassifierOptions
from pointsman.config.options.routing import RoutingOptions
from pointsman.errors import ArtifactError, ConfigError, Overloaded
from pointsman.observability.metrics import Metrics
from pointsman.observability.record import Record, request_line
from pointsman.routing.decision import Reason
from pointsman.routing.explain import describe, render
from pointsman.routing.formats import CHAT
from pointsman.routing.policy import Policy
from pointsman.routing.router import Routed, Router
from support import toy_artifact
from support.config_files import LABELS, MINIMAL, category
from support.gate import Gate
from support.process import PATIENCE_S
from support.toy_config import config

Make = Callable[..., AbstractContextManager[Classifier]]

FEW = {"python": "computer science"}
"""The only word that the first artifact knows; of any other text it is not sure."""
SPANISH = "¿Puede mi casero quedarse con la fianza de mi piso?"


def small(folder: Path, **manifest: Any) -> Path:
    """Write an artifact that knows FEW, while the other toy knows all words."""
    contents = {"model.onnx": toy_artifact.model(words=FEW), "tokenizer.json": toy_artifact.tokenizer(FEW)}
    return toy_artifact.build_measured(folder, contents, **manifest)


def certain(probabilities: tuple[float, ...]) -> bool:
    return max(probabilities) >= 0.9


@dataclass
class Both:
    """A cascade, and the doors before its two engines, which count their runs."""

    cascade: Cascade
    first: Gate
    larger: Gate

    @property
    def runs(self) -> tuple[int, int]:
        return len(self.first.runs), len(self.larger.runs)

    async def ask(self, text: str, deadline: float | None = None, sure: Sure = certain) -> Classification:
        return await self.cascade.classify(text, deadline, sure)


def label(found: Classification) -> str:
    return LABELS[int(np.argmax(found.probabilities))]


@pytest.fixture(scope="module")
def small_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the first artifact, which keeps what was measured of it."""
    return small(tmp_path_factory.mktemp("cascade") / "small")


@pytest.fixture
def both(make_classifier: Make, small_folder: Path) -> Iterator[Both]:
    options = {"deadline_ms": 10_000}
    with make_classifier(small_folder, **options) as first, make_classifier(**options) as larger:
        made = Both(Cascade(first, larger, 10.0), Gate(first), Gate(larger))
        yield made
        made.first.open()
        made.larger.open()


async def test_of_what_the_first_is_sure_the_larger_is_not_asked(both: Both) -> None:
    found = await both.ask("Fix my python")

    assert (label(found), found.artifact, found.stage) == ("computer science", "small", 0)
    assert both.runs == (1, 0)
    assert both.cascade.passed.texts == 0


async def test_what_the_first_is_not_sure_of_the_larger_answers(both: Both) -> None:
    """And the answer's times are those of both."""
    found = await both.ask("My landlord")

    assert (label(found), found.stage, found.source) == ("law", 1, "run")
    assert found.artifact == both.cascade.stages[1].artifact.folder.name
    assert (both.runs, both.cascade.passed.texts, both.cascade.passed.unanswered) == ((1, 1), 1, 0)
    alone = await both.cascade.stages[1].classify("my Landlord")
    assert found.timing.infer > 0
    assert found.probabilities == alone.probabilities


async def test_what_both_know_already_runs_in_neither(both: Both) -> None:
    before = [await both.ask(text) for text in ("python", "landlord")]
    again = [await both.ask(text) for text in ("python", "landlord")]

    assert both.runs == (2, 1)
    assert [found.source for found in again] == ["hit", "hit"]
    assert [found.timing for found in again] == [Timing(), Timing()]
    assert [found.probabilities for found in again] == [found.probabilities for found in before]


async def test_each_client_has_the_caches_of_both_artifacts_for_itself(both: Both) -> None:
    clients = ("ann", "bob", "", "ann", "bob", "")
    found = [await both.cascade.classify("landlord", None, certain, client) for client in clients]

    assert both.runs == (3, 3)
    assert [one.source for one in found] == ["run"] * 3 + ["hit"] * 3


async def test_one_deadline_bounds_both(both: Both) -> None:
    """The larger one has what the first has left, and where that is not enough, the first one's answer stands."""
    both.larger.close()
    started = time.perf_counter()
    found = await both.ask("landlord", deadline=0.5)

    assert time.perf_counter() - started < PATIENCE_S / 2
    assert (found.stage, found.unanswered) == (0, "deadline")
    assert (both.cascade.passed.texts, both.cascade.passed.unanswered) == (1, 1)


async def test_the_larger_one_has_what_the_first_left_of_the_deadline(
    both: Both, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[float | None] = []

    async def refuse(_: str, deadline: float | None = None, **__: object) -> Classification:
        given.append(deadline)
        raise Overloaded("busy")

    first, larger = both.cascade.stages
    monkeypatch.setattr(larger, "classify", refuse)
    clock = iter((100.0, 104.0, 200.0, 204.0))
    monkeypatch.setattr("pointsman.classify.cascade.time.perf_counter", lambda: next(clock))
    monkeypatch.setattr(first, "classify", answer_of_nothing)
    found = [await both.ask("landlord"), await both.ask("landlord", deadline=60.0)]

    assert given == [6.0, 56.0]
    assert [one.unanswered for one in found] == ["overloaded"] * 2


async def answer_of_nothing(*_: object, **__: object) -> Classification:
    return Classification((1 / len(LABELS),) * len(LABELS), 3, False, Timing(), "run")


async def test_where_the_larger_one_fails_the_first_ones_answer_stands(
    both: Both, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(both.cascade.stages[1]._engine, "run", lambda *_, **__: 1 / 0)
    found = await both.ask("landlord")

    assert (found.artifact, found.unanswered) == ("small", "classifier_error")


@pytest.mark.parametrize(("declared", "asked"), [(["en"], 0), (["en", "es"], 1), ([], 1)])
async def test_a_foreign_text_reaches_the_larger_one_if_that_reads_its_language(
    make_classifier: Make, tmp_path: Path, declared: list[str], asked: int
) -> None:
    first, larger = (
        small(tmp_path / "small", languages=["en"]),
        toy_artifact.build_measured(tmp_path / "x", languages=declared),
    )
    with make_classifier(first) as one, make_classifier(larger) as other:
        cascade = Cascade(one, other, 10.0)
        found = await cascade.classify(SPANISH, 10.0, lambda _: True)
    assert (cascade.passed.texts, found.supported) == (asked, bool(asked))


def test_one_that_stopped_makes_the_whole_unhealthy(both: Both) -> None:
    assert both.cascade.healthy
    both.cascade.stages[1].close()
    assert both.cascade.healthy  # it is told by the first text
    both.cascade.stages[1]._batcher._stopped = True
    assert not both.cascade.healthy


# --- thresholds ------------------------------------------------------------------------------------------------


def rows(confidence: float, right: int, wrong: int) -> Calibration:
    """Rows that all say law with this confidence; of the wrong ones, health is true."""
    said = np.full((right + wrong, len(LABELS)), (1 - confidence) / (len(LABELS) - 1))
    said[:, LABELS.index("law")] = confidence
    return Calibration(said, np.repeat([LABELS.index("law"), LABELS.index("health")], [right, wrong]))


def says_law(confidence: float) -> tuple[float, ...]:
    rest = (1 - confidence) / (len(LABELS) - 1)
    return tuple(confidence if name == "law" else rest for name in LABELS)


def fitted(sure_from: float = 0.9) -> Policy:
    """Of the first artifact only 0.95 is precise, of the larger one everything from the common threshold of 0.6 on."""
    sure, unsure = rows(0.95, 100, 0), rows(0.7, 50, 50)
    said = np.concatenate([sure.probabilities, unsure.probabilities])
    first = Calibration(said, np.concatenate([sure.truth, unsure.truth]))
    options = ClassifierOptions(cascade=CascadeOptions(model_id="x", sure_from=sure_from))
    return Policy(
        config(classifier=options, routing=RoutingOptions(precision=0.95)),
        LABELS,
        calibrations=[first, rows(0.7, 100, 0)],
    )


def test_an_answer_is_judged_by_the_threshold_of_the_artifact_that_gave_it() -> None:
    policy = fitted()

    assert policy.threshold("legal", 0) > 0.9
    assert policy.threshold("legal", 1) == 0.6
    assert policy.choose(says_law(0.7), stage=0).reason is Reason.LOW_CONFIDENCE
    assert policy.choose(says_law(0.7), stage=1).reason is Reason.CLASSIFIED


@pytest.mark.parametrize(
    ("sure_from", "confidence", "sure"),
    [
        pytest.param(0.8, 0.8, True, id="a category reaches the bound"),
        pytest.param(0.8, 0.79, False, id="none does, whatever its threshold"),
        pytest.param(0.6, 0.1, True, id="no category covers the text, surely"),
        pytest.param(0.9, 0.1, False, id="nor that is sure"),
    ],
)
def test_the_first_is_sure_from_the_bound_on(sure_from: float, confidence: float, sure: bool) -> None:
    assert fitted(sure_from).sure(says_law(confidence)) is sure


# --- the service -----------------------------------------------------------------------------------------------


@pytest.fixture
def router(both: Both) -> Router:
    options = ClassifierOptions(cascade=CascadeOptions(model_id="large", sure_from=0.9))
    return Router(config(classifier=options), both.cascade, Served)


async def routed(router: Router, text: str) -> Routed:
    body = json.dumps({"model": "MoM", "messages": [{"role": "user", "content": text}]}).encode()
    return await router.route(CHAT.parse(body, router.finder))


async def explained(router: Router, text: str) -> dict[str, Any]:
    body = json.dumps({"model": "MoM", "messages": [{"role": "user", "content": text}]}).encode()
    parsed = CHAT.parse(body, router.finder)
    return describe(router, parsed, await router.route(parsed))


def line(found: Routed) -> dict[str, Any]:
    done = Record("id", "/v1/chat/completions")
    done.decided(found)
    told: dict[str, Any] = json.loads(msgspec.json.encode(request_line(done)))
    return told


async def test_it_is_told_which_artifact_answered(router: Router, both: Both) -> None:
    """In the log, where the larger one was asked; in what explains a decision, always."""
    larger = both.cascade.stages[1].artifact.folder.name
    small_one, large_one = await explained(router, "python"), await explained(router, "landlord")

    assert (small_one["decision"]["model"], large_one["decision"]["model"]) == ("technical-lora", "legal-lora")
    assert (small_one["text"]["artifact"], large_one["text"]["artifact"]) == ("small", larger)
    assert f"classified {larger}" in render(large_one)
    assert "artifact" not in line(await routed(router, "python"))
    assert line(await routed(router, "landlord"))["artifact"] == larger


async def test_it_is_told_why_the_larger_artifact_did_not_answer(
    router: Router, both: Both, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(both.cascade.stages[1]._engine, "run", lambda *_, **__: 1 / 0)
    told = await explained(router, "landlord")

    assert (told["text"]["artifact"], told["text"]["unanswered"]) == ("small", "classifier_error")
    assert "classified small (the larger artifact gave no answer: classifier_error)" in render(told)
    assert line(await routed(router, "landlord"))["unanswered"] == "classifier_error"


async def test_the_api_of_the_classes_asks_both(router: Router) -> None:
    told = await intent(router, b'{"text": "landlord"}')
    assert told["classification"]["category"] == "legal"


async def test_metrics_and_status_count_both(router: Router, both: Both) -> None:
    metrics = Metrics(frozenset())
    watch_classifier(metrics, lambda: router.classifier)
    for text in ("python", "landlord", "blood", "blood"):
        await routed(router, text)
    families = text_string_to_metric_families(metrics.render().decode())
    found = {sample.name: sample.value for family in families for sample in family.samples}
    told = status(router.classifier)

    assert found["pointsman_classifier_runs_total"] == 3 + 2
    assert found["pointsman_classifier_cache_hits_total"] == 1 + 1
    assert found["pointsman_classifier_passed_on_total"] == 3
    assert found["pointsman_classifier_unanswered_total"] == 0
    assert told["artifact"] == "small"
    assert told["cascade"]["artifact"] == both.cascade.stages[1].name
    assert (told["cascade"]["passed_on"], told["cascade"]["unanswered"]) == (3, 0)


# --- the config ------------------------------------------------------------------------------------------------


def written(folder: Path, cascade: str = "{model_id: large}", **manifest: Any) -> Path:
    """Write a config with a cascade, and the artifacts beside it."""
    small(folder / "small")
    toy_artifact.build_measured(folder / "large", **manifest)
    text = (
        f"{MINIMAL}classifier: {{category_model: {{model_id: small}}}}\n"
        f"pointsman: {{classifier: {{threads: 1, cascade: {cascade}}}}}\n"
        "categories:\n" + category("law") + category("general")
    )
    (folder / "config.yaml").write_text(text)
    return folder / "config.yaml"


def checked(path: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    return check(path, sys.stdout), capsys.readouterr().out


def test_the_artifacts_of_a_cascade_are_loaded_and_the_larger_ones_texts_give_way(tmp_path: Path) -> None:
    prepared = prepare(written(tmp_path))
    try:
        assert isinstance(prepared.classifier, Cascade)
        assert [stage.name for stage in prepared.classifier.stages] == ["small", "large"]
        assert [stage.nice for stage in prepared.classifier.stages] == [NICE_SHORT, NICE_LONG]
    finally:
        prepared.classifier.close()


def test_a_reload_keeps_both_or_loads_both(tmp_path: Path) -> None:
    first = prepare(written(tmp_path))
    same = prepare(written(tmp_path), first)
    other = prepare(written(tmp_path, precision="int8"), same)
    alone = prepare(written(tmp_path, "~", precision="int8"), other)
    kept = {prepared.classifier for prepared in (first, same, other, alone)}
    for each in kept:
        each.close()

    assert same.classifier is first.classifier
    assert len(kept) == 3


def test_if_the_larger_one_does_not_load_nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[str] = []
    close = Classifier.close

    def closing(classifier: Classifier) -> None:
        closed.append(classifier.name)
        close(classifier)

    monkeypatch.setattr(Classifier, "close", closing)
    wrong = [{"text": "python", "probabilities": [1 / len(LABELS)] * len(LABELS)}]
    with pytest.raises(ArtifactError, match="when it was exported"):
        prepare(written(tmp_path, known_answers=wrong))
    assert closed == ["small"]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (LABELS[1:], f"the artifacts have different labels: {LABELS[0]} and none"),
        (["cooking", *LABELS[1:]], f"the artifacts have different labels: {LABELS[0]} and cooking"),
        (LABELS[::-1], "the larger artifact has its labels in another order"),
    ],
)
def test_artifacts_of_different_labels_are_refused(
    tmp_path: Path, labels: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """By `check` and by the start, with the line of the config."""
    words = {word: name for word, name in toy_artifact.WORDS.items() if name in labels}
    contents = {"model.onnx": toy_artifact.model(labels, words), "tokenizer.json": toy_artifact.tokenizer(words)}
    path = written(tmp_path)
    toy_artifact.build_measured(tmp_path / "large", contents, labels=labels)
    code, out = checked(path, capsys)

    assert (code, message in out) == (1, True)
    assert "config.yaml:12: pointsman.classifier.cascade.model_id" in out
    with pytest.raises(ConfigError, match="cascade"):
        prepare(path)


def test_a_cascade_of_one_artifact_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out = checked(written(tmp_path, "{model_id: small}"), capsys)
    assert (code, "this is the artifact that category_model.model_id names, too" in out) == (1, True)


def test_a_larger_artifact_that_is_missing_is_told_with_its_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out = checked(written(tmp_path, "{model_id: nowhere}"), capsys)
    assert code == 1
    assert "config.yaml:12: pointsman.classifier.cascade.model_id" in out
    assert "no such folder" in out


def test_check_shows_the_thresholds_of_both(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out = checked(written(tmp_path), capsys)
    assert (code, "of the larger artifact:" in out) == (0, True)
