"""A text in, probabilities out: one run for one text, a deadline, and a bounded cache. The engine is a real one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import pytest

from pointsman.api.health import readiness
from pointsman.classify import curve_file
from pointsman.classify import loading as module
from pointsman.classify.classification import Classification, Timing
from pointsman.classify.classifier import Classifier
from pointsman.classify.cost_model import CostCurve
from pointsman.classify.engine import Engine, EngineRun
from pointsman.classify.language import DetectedLanguage
from pointsman.classify.measure import CurveMeasurement
from pointsman.classify.tokenizer import Ids
from pointsman.errors import ArtifactError, ClassifierError, DeadlineMissed
from support import toy_artifact
from support.config_files import LABELS
from support.gate import Gate
from support.process import PATIENCE_SECONDS

Make = Callable[..., AbstractContextManager[Classifier]]
SPANISH = "¿Qué puedo hacer si mi casero no repara la calefacción?"


@pytest.fixture
def gate(classifier: Classifier) -> Iterator[Gate]:
    made = Gate(classifier)
    yield made
    made.open()


def best(classifier: Classifier, found: Classification) -> str:
    return classifier.labels[found.probabilities.index(max(found.probabilities))]


async def busy(classifier: Classifier, gate: Gate) -> asyncio.Task[Classification]:
    """Occupy the only worker."""
    gate.close()
    task = asyncio.create_task(classifier.classify("occupied"))
    await gate.entered()
    return task


# --- what comes out --------------------------------------------------------------------------------------------


async def test_a_texts_class_is_the_same_alone_and_in_a_batch(classifier: Classifier, gate: Gate) -> None:
    texts = ["python", "my landlord sues", "blood", "no idea", "python and python and blood"]
    task = await busy(classifier, gate)
    together = asyncio.gather(*map(classifier.classify, texts))
    await asyncio.sleep(0)
    gate.open()
    batched = await together
    await task
    assert gate.runs == [1, 5]
    for text, found in zip(texts, batched, strict=True):
        alone = await classifier.classify(text + "  ")  # the same tokens, another text: the cache does not know it
        assert alone.source == "run"
        assert alone.probabilities == found.probabilities


async def test_a_run_tells_its_phases(classifier: Classifier) -> None:
    timing = (await classifier.classify("python")).timing
    assert min(timing.queue, timing.tokenize, timing.infer) > 0


# --- long texts ------------------------------------------------------------------------------------------------


async def test_a_long_text_is_read_at_head_and_tail(make_classifier: Make) -> None:
    with make_classifier(max_tokens=10, head_share=0.5) as classifier:
        filler = "x " * 50
        for text, label in ((f"python {filler}", "computer science"), (f"{filler} landlord", "law")):
            found = await classifier.classify(text)
            assert (best(classifier, found), found.tokens, found.cut) == (label, 10, True)
        middle = await classifier.classify(f"{filler} blood {filler}")
        assert max(middle.probabilities) == pytest.approx(1 / len(classifier.labels))


async def test_a_text_that_was_cut_before_it_was_tokenized_is_cut_in_a_hit_too(make_classifier: Make) -> None:
    with make_classifier(max_tokens=8) as classifier:
        text = "x" * 8 * 20 + " " + "x" * 8 * 20  # two tokens
        found = [await classifier.classify(text) for _ in range(2)]
        assert [(one.source, one.cut, one.tokens) for one in found] == [("run", True, 4), ("hit", True, 4)]


async def test_texts_that_are_cut_to_the_same_are_one_run_and_each_is_cut_but_once(make_classifier: Make) -> None:
    with make_classifier(max_tokens=8) as classifier:
        texts = [f"{'x' * 200}{middle}{'x' * 200}" for middle in ("a", "b")]
        found = [await classifier.classify(text) for text in (*texts, *texts)]
        assert [(one.source, one.cut) for one in found] == [("run", True), *[("hit", True)] * 3]
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(classifier.encoder, "read", None)
            assert (await classifier.classify(texts[1])).source == "hit"
        assert (classifier.encoder.lookups.hits, classifier.encoder.lookups.misses) == (4, 1)


async def test_a_text_that_was_cut_to_all_that_may_be_read_is_not_run_again(make_classifier: Make) -> None:
    with make_classifier(max_tokens=8) as classifier:
        found = [await classifier.classify("x " * 20) for _ in range(2)]
        assert [(one.source, one.cut, one.tokens) for one in found] == [("run", True, 8), ("hit", True, 8)]


async def test_the_configs_max_tokens_cannot_exceed_the_artifacts(make_classifier: Make, tmp_path: Path) -> None:
    with make_classifier(toy_artifact.build(tmp_path, max_tokens=16), max_tokens=64) as classifier:
        assert (await classifier.classify("x " * 50)).tokens == 16


# --- languages -------------------------------------------------------------------------------------------------


async def test_a_text_in_another_language_is_told_once(
    make_classifier: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The verdict stays with the classification, so that a cached text is not judged again."""
    judged: list[str] = []
    with make_classifier(toy_artifact.build_measured(tmp_path, languages=["en"])) as classifier:
        gate = classifier.heads.serving.gate
        assert gate is not None
        judge = gate.judge

        def judge_and_count(text: str) -> DetectedLanguage:
            judged.append(text)
            return judge(text)

        monkeypatch.setattr(gate, "judge", judge_and_count)
        for text, verdict in ((SPANISH, ("es", False)), ("What may my landlord do with it?", ("en", True))):
            found = [await classifier.classify(text) for _ in range(3)]
            assert [(one.language, one.supported) for one in found] == [verdict] * 3
            assert [one.source for one in found] == ["run", "hit", "hit"]
    assert len(judged) == 2


@pytest.mark.parametrize(("languages", "gate"), [([], True), (["en"], False)])
async def test_without_a_declared_language_or_a_gate_every_text_passes(
    make_classifier: Make, tmp_path: Path, languages: list[str], gate: bool
) -> None:
    with make_classifier(toy_artifact.build(tmp_path, languages=languages), language_gate=gate) as classifier:
        found = await classifier.classify(SPANISH)
        assert (found.language, found.supported) == (None, True)


# --- one run for one text --------------------------------------------------------------------------------------


async def test_a_text_that_was_classified_is_not_run_again(classifier: Classifier, gate: Gate) -> None:
    run = await classifier.classify("python")
    hit = await classifier.classify("python")
    assert gate.runs == [1]
    assert (hit.source, hit.timing) == ("hit", Timing())
    assert hit.probabilities == run.probabilities


async def test_the_cache_is_bounded(make_classifier: Make) -> None:
    with make_classifier(cache_entries=2) as classifier:
        sources = [(await classifier.classify(text)).source for text in ("a", "b", "a", "c", "a", "b")]
        assert sources == ["run", "run", "hit", "run", "hit", "run"]
        assert classifier.encoder.evicted == 2


async def test_a_cache_of_nothing_still_shares_what_is_in_flight(make_classifier: Make) -> None:
    with make_classifier(cache_entries=0) as classifier:
        found = await asyncio.gather(*(classifier.classify("a") for _ in range(3)))
        assert [one.source for one in found] == ["run", "coalesced", "coalesced"]
        assert (await classifier.classify("a")).source == "run"
        assert classifier.encoder.evicted == 0


async def test_a_failure_is_not_remembered(classifier: Classifier, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(classifier.encoder._engine, "read", lambda *_, **__: 1 / 0)
        with pytest.raises(ClassifierError, match="ZeroDivisionError"):
            await classifier.classify("python")
    assert (await classifier.classify("python")).source == "run"
    assert classifier.encoder.healthy


# --- what is measured ------------------------------------------------------------------------------------------


CURVE = CostCurve(1, (16, 512), (0.001, 0.01), (0.001, 0.01), ())


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether each measurement that follows is disturbed; one is used up each time."""
    disturbed: list[bool] = []
    monkeypatch.setattr(module, "measure", lambda *_, **__: CurveMeasurement(CURVE, disturbed.pop(0)))
    return disturbed


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_the_host_is_measured_for_as_many_threads_as_the_config_says(
    make_classifier: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, threads: int
) -> None:
    asked: list[int] = []

    def measure(_: object, *, threads: int, **__: object) -> CurveMeasurement:
        asked.append(threads)
        return CurveMeasurement(CURVE, disturbed=False)

    monkeypatch.setattr(module, "measure", measure)
    with make_classifier(toy_artifact.build(tmp_path), threads=threads):
        assert asked == [threads]


def test_a_text_is_not_judged_by_a_measurement_of_shorter_ones(make_classifier: Make, tmp_path: Path) -> None:
    """After the config's `max_tokens` is raised, the next start measures longer texts."""
    folder = toy_artifact.build(tmp_path)
    longest = []
    for most in (8, 64):
        with make_classifier(folder, max_tokens=most) as classifier:
            longest.append(classifier.encoder.curve.tokens[-1])
    assert longest == [8, 64]


def test_what_was_measured_is_kept_for_the_next_start(
    make_classifier: Make, tmp_path: Path, measured: list[bool]
) -> None:
    folder = toy_artifact.build(tmp_path)
    measured.append(False)
    for _ in range(2):
        with make_classifier(folder) as classifier:
            assert (classifier.encoder.curve, classifier.encoder.notes) == (CURVE, ())


def test_what_was_measured_on_a_busy_host_is_used_once_and_said_to_be_so(
    make_classifier: Make, tmp_path: Path, measured: list[bool]
) -> None:
    folder = toy_artifact.build(tmp_path)
    measured += [True, False]
    with make_classifier(folder) as classifier:
        assert "the next start measures again" in classifier.encoder.notes[0]
    with make_classifier(folder) as classifier:
        assert classifier.encoder.notes == ()
    assert measured == []


def test_where_nothing_can_be_kept_it_starts_and_says_so(
    make_classifier: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, measured: list[bool]
) -> None:
    monkeypatch.setattr(curve_file, "folders", lambda _: (tmp_path / "model.onnx",))
    measured.append(False)
    with make_classifier(toy_artifact.build(tmp_path)) as classifier:
        assert "was not stored" in classifier.encoder.notes[0]


SLOW = CostCurve(2, (16, 512), (0.01, 0.512), (0.016, 0.512), ())
"""A thousandth of a second for each token."""


@pytest.mark.parametrize(
    ("tokens", "deadline_ms"),
    [
        pytest.param(16, 300, id="half of deadline_ms, and 16 ms rounded up to a tenth"),
        pytest.param(49, 300, id="another measurement of the same text"),
        pytest.param(51, 350, id="a longer one"),
        pytest.param(249, 500, id="the longest"),
        pytest.param(512, 500, id="never more than deadline_ms"),
    ],
)
def test_a_texts_deadline_is_its_run_and_a_quarter_of_a_second(
    make_classifier: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tokens: int, deadline_ms: int
) -> None:
    monkeypatch.setattr(module, "measure", lambda *_, **__: CurveMeasurement(SLOW, disturbed=False))
    with make_classifier(toy_artifact.build(tmp_path), deadline_ms=500) as classifier:
        assert classifier.encoder.deadline(tokens) == pytest.approx(deadline_ms / 1000)


async def test_a_text_is_cut_to_what_runs_in_half_of_the_deadline_and_marked(
    make_classifier: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 250 tokens three binary digits are kept, so that a slightly other measurement reads as much."""
    monkeypatch.setattr(module, "measure", lambda *_, **__: CurveMeasurement(SLOW, disturbed=False))
    with make_classifier(toy_artifact.build(tmp_path), deadline_ms=500) as classifier:
        found = await classifier.classify("x " * 300 + "landlord", deadline=PATIENCE_SECONDS)
        assert (found.tokens, found.cut, best(classifier, found)) == (224, True, "law")
        whole = await classifier.classify("x " * 200, deadline=PATIENCE_SECONDS)
        assert (whole.tokens, whole.cut) == (202, False)
        assert classifier.settings()["max_tokens"] == 224
        assert "texts are read up to 224 of 512 tokens" in classifier.encoder.notes[0]
        assert "raise pointsman.classifier.deadline_ms" in classifier.encoder.notes[0]


async def test_what_was_cut_for_want_of_time_is_not_remembered(
    make_classifier: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The text may have more time when it comes again."""
    slower = replace(SLOW, alone=(0.1, 5.12), beside=(0.16, 5.12))
    monkeypatch.setattr(module, "measure", lambda *_, **__: CurveMeasurement(slower, disturbed=False))
    with make_classifier(toy_artifact.build(tmp_path), deadline_ms=20_000, batch_tokens=16) as classifier:
        text = "word " * 300
        hurried = await classifier.classify(text, deadline=3.0)
        assert (hurried.tokens, hurried.cut) == (128, True)
        again = await classifier.classify(text, deadline=PATIENCE_SECONDS)
        assert (again.source, again.tokens, again.cut) == ("run", 302, False)
        assert (await classifier.classify(text)).source == "hit"


def test_what_was_chosen_is_told(make_classifier: Make, tmp_path: Path, measured: list[bool]) -> None:
    measured.append(False)
    with make_classifier(toy_artifact.build(tmp_path), deadline_ms=500) as classifier:
        assert classifier.settings() == {
            "artifact": tmp_path.name,
            "provider": "cpu",
            "workers": 1,
            "batch_tokens": 512,
            "wide_from_tokens": None,
            "max_tokens": 512,
            "deadline_ms": 500,
        }


@pytest.mark.parametrize(("text", "tokens"), [("abcd" * 10, 2 + 10), ("分类" * 10, 2 + 15), ("x" * 10_000, 512)])
async def test_tokens_are_guessed_by_the_bytes_of_what_is_read(classifier: Classifier, text: str, tokens: int) -> None:
    await classifier.classify(text)
    assert classifier.encoder.counts.tokens == tokens


def test_what_is_captured_on_a_gpu_is_captured_at_the_start(
    make_classifier: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, measured: list[bool]
) -> None:
    tokens: list[int] = []

    class Captured(Engine):
        def read(self, batch: Sequence[Ids], *, wide: bool = False) -> EngineRun:
            self.captured = (64, 1024)
            tokens.append(sum(map(len, batch)))
            return super().read(batch, wide=wide)

    monkeypatch.setattr(module, "Engine", Captured)
    measured.append(False)
    with make_classifier(toy_artifact.build(tmp_path)):
        assert tokens[-3:] == [64, 1024, 512]  # the last is the longest text


# --- deadline and cancellation ---------------------------------------------------------------------------------


async def test_a_blocked_engine_costs_the_deadline_and_no_more(make_classifier: Make) -> None:
    with make_classifier(deadline_ms=50) as classifier:
        gate = Gate(classifier)
        gate.close()
        try:
            started = asyncio.get_running_loop().time()
            async with asyncio.timeout(PATIENCE_SECONDS):
                with pytest.raises(DeadlineMissed):
                    await classifier.classify("python")
            assert 0.025 <= asyncio.get_running_loop().time() - started < 5.0
        finally:
            gate.open()


async def test_a_late_class_is_remembered_for_the_next_one_who_asks(make_classifier: Make) -> None:
    with make_classifier(deadline_ms=50) as classifier:
        gate = Gate(classifier)
        gate.close()
        with pytest.raises(DeadlineMissed):
            await classifier.classify("python")
        (job,) = classifier.encoder._running.values()
        gate.open()
        await job.result
        assert (await classifier.classify("python")).source == "hit"


async def test_one_waiter_that_leaves_does_not_cost_the_other_its_class(classifier: Classifier, gate: Gate) -> None:
    task = await busy(classifier, gate)
    leaving, staying = (asyncio.create_task(classifier.classify("python")) for _ in range(2))
    await asyncio.sleep(0)
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    gate.open()
    assert best(classifier, await staying) == "computer science"
    await task


async def test_a_text_that_comes_back_in_the_moment_it_was_dropped_is_run_too(
    classifier: Classifier, gate: Gate
) -> None:
    task = await busy(classifier, gate)
    leaving = asyncio.create_task(classifier.classify("python"))
    await asyncio.sleep(0)
    leaving.cancel()
    await asyncio.wait([leaving])
    gate.open()
    while classifier.encoder.queued:  # noqa: ASYNC110 - looks in each turn of the loop, so as not to miss the first one
        await asyncio.sleep(0)
    assert best(classifier, await classifier.classify("python")) == "computer science"
    await task


async def test_a_classifier_that_stopped_takes_readiness_down(classifier: Classifier) -> None:
    ready = readiness(lambda: None if classifier.encoder.healthy else "stopped", lambda: False)
    assert ready() is None
    classifier.encoder.close()
    with pytest.raises(ClassifierError):
        await classifier.classify("python")
    assert ready() == "stopped"


@pytest.mark.parametrize(
    "contents",
    [
        pytest.param({"model.onnx": toy_artifact.model(LABELS[1:], {}, shape=["b", "n"])}, id="labels"),
        pytest.param(
            {"tokenizer.json": toy_artifact.tokenizer(dict.fromkeys([*"abcdefgh", "warm"], "law"))},
            id="vocabulary",
        ),
    ],
)
def test_an_artifact_whose_parts_do_not_fit_together_fails_at_start(
    make_classifier: Make, tmp_path: Path, contents: dict[str, bytes]
) -> None:
    folder = toy_artifact.build(tmp_path, contents)
    with pytest.raises(ArtifactError, match="export the classifier again"), make_classifier(folder):
        pass
