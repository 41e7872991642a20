"""What the classifier tells of an answer, what it keeps for the next start, and what it gives back at its end."""

from __future__ import annotations

import json
import os
import shutil
import threading
import weakref
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pointsman.classify import artifact
from pointsman.classify import encoder as encoder_module
from pointsman.classify import loading as module
from pointsman.classify.artifact import Artifact
from pointsman.classify.classification import Timing
from pointsman.classify.classifier import Classifier
from pointsman.classify.cost_model import CostCurve
from pointsman.classify.encoder import Encoder, load_encoder
from pointsman.classify.engine import Engine, EngineRun
from pointsman.classify.measure import CurveMeasurement
from pointsman.classify.onnx_cuda import Device
from pointsman.classify.tokenizer import Ids
from pointsman.config.model import ClassifierOptions
from pointsman.errors import ArtifactError
from support import toy_artifact
from support.config_files import LABELS
from support.toy_config import config

CURVE = CostCurve(workers=2, tokens=(16, 100), alone=(0.1, 0.2), beside=(0.1, 0.2), wide=(0.1, 0.2))
Make = Callable[..., AbstractContextManager[Classifier]]


async def test_a_hit_took_no_time_and_is_cut_only_where_the_text_is(classifier: Classifier) -> None:
    ran = await classifier.classify("some Python here")
    hit = await classifier.classify("some Python here")

    assert (ran.source, hit.source) == ("run", "hit")
    assert (ran.cut, hit.cut) == (False, False)
    assert ran.timing.tokenize > 0
    assert ran.timing.infer > 0
    assert hit.timing == Timing(queue=0.0, tokenize=0.0, infer=0.0)
    assert hit.text_hash == ran.text_hash


def test_on_a_cpu_the_curve_is_measured_on_all_threads_and_up_to_the_longest_text(
    toy_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = shutil.copytree(toy_folder, tmp_path / "toy", ignore=shutil.ignore_patterns("cost-*"))
    asked: list[dict[str, Any]] = []

    def measured(_: object, **options: Any) -> CurveMeasurement:
        asked.append(options)
        return CurveMeasurement(CURVE, disturbed=False)

    monkeypatch.setattr(module, "measure", measured)
    Encoder(artifact.load(folder), ClassifierOptions(threads=2, max_tokens=100)).close()

    assert asked == [{"threads": 2, "wide": True, "max_tokens": 100}]
    [file] = folder.glob("cost-*.json")
    key = json.loads(file.read_text())["key"]
    assert (key["provider"], key["threads"]) == ("cpu", 2)


class OnGpu(Engine):
    """As it looks on a GPU, with calls that are noted and not run."""

    def __init__(self, artifact: Artifact, *_: object, **options: Any) -> None:
        self._artifact = artifact
        self.options_seen = options
        self.provider, self.version, self.notes, self.captured = "cuda", "9.9.9", [], ()
        self._wide = None
        self._stops, self._stopped = [], False
        self.lengths: list[list[int]] = []

    def read(self, batch: Sequence[Ids], *, wide: bool = False) -> EngineRun:
        self.lengths.append([len(prompt) for prompt in batch])
        return EngineRun(np.zeros((len(batch), len(LABELS)), np.float32), None)


def test_on_a_gpu_the_curve_is_measured_for_two_workers_up_to_the_largest_call(
    toy_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One prepares while the other runs, and a call there is as long as a whole batch."""
    folder = shutil.copytree(toy_folder, tmp_path / "toy", ignore=shutil.ignore_patterns("cost-*"))
    asked: list[dict[str, Any]] = []

    def measured(run: Callable[[int, bool], object], **options: Any) -> CurveMeasurement:
        asked.append(options)
        run(200, False)
        run(250, False)
        return CurveMeasurement(CURVE, disturbed=False)

    monkeypatch.setattr(module, "Engine", OnGpu)
    monkeypatch.setattr(module, "measure", measured)
    options = ClassifierOptions(threads=8, max_tokens=100, device_id=3, gpu_mem_limit_mb=512)
    encoder = Encoder(artifact.load(folder), options)
    engine: OnGpu = vars(encoder)["_engine"]
    encoder.close()

    assert engine.options_seen == {"threads": 8, "device": Device(id=3, memory_mb=512)}
    assert asked == [{"threads": 2, "wide": False, "max_tokens": 4096}]
    assert engine.lengths[-3:-1] == [[100, 100], [100, 100, 50]]


def test_the_providers_of_the_config_are_tried_in_their_order(make_classifier: Make) -> None:
    """In place of the default, which is the CPU alone."""
    with make_classifier(providers=("cuda", "cpu")) as classifier:
        assert classifier.settings()["provider"] == "cpu"
        assert any("CUDAExecutionProvider" in note for note in classifier.encoder.notes)


@pytest.mark.parametrize(("before", "after"), [(None, "false"), ("true", "true")])
def test_the_tokenizer_starts_no_threads_of_its_own_unless_the_operator_wants_them(
    make_classifier: Make, monkeypatch: pytest.MonkeyPatch, before: str | None, after: str
) -> None:
    monkeypatch.delenv("TOKENIZERS_PARALLELISM", raising=False)
    if before is not None:
        monkeypatch.setenv("TOKENIZERS_PARALLELISM", before)
    with make_classifier():
        assert os.environ["TOKENIZERS_PARALLELISM"] == after


def test_many_texts_are_split_into_what_takes_each_worker_one_run(
    make_classifier: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A text that is longer than a run counts as one."""
    monkeypatch.setattr(module, "measure", lambda *_, **__: CurveMeasurement(CURVE, disturbed=True))
    short, long = "a" * 24, "a" * 200  # 8 tokens, and more than 16
    with make_classifier(toy_artifact.build(tmp_path), threads=2, batch_tokens=16) as classifier:
        assert [len(run) for run in classifier.encoder.runs([short] * 9)] == [4, 4, 1]
        assert [len(run) for run in classifier.encoder.runs([long] * 3)] == [2, 1]
        assert list(classifier.encoder.runs([short, long, short, short, long])) == [[short, long, short], [short, long]]


@pytest.mark.parametrize(("cores", "threads"), [(2, 2), (16, 4), (64, 8)])
def test_by_default_the_host_is_measured_on_a_quarter_of_its_cores(
    toy_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cores: int, threads: int
) -> None:
    folder = shutil.copytree(toy_folder, tmp_path / "toy", ignore=shutil.ignore_patterns("cost-*"))
    asked: list[int] = []

    def measured(_: object, **options: Any) -> CurveMeasurement:
        asked.append(options["threads"])
        return CurveMeasurement(CURVE, disturbed=False)

    monkeypatch.setattr(module, "measure", measured)
    monkeypatch.setattr(module, "usable_cores", lambda: cores)
    Encoder(artifact.load(folder), ClassifierOptions()).close()

    assert asked == [threads]


def test_a_classifier_is_loaded_as_the_config_says(toy_folder: Path) -> None:
    options = ClassifierOptions(threads=1, deadline_ms=1234, batch_tokens=77)
    loaded = load_encoder(config(classifier=options), artifact.load(toy_folder))
    try:
        assert loaded.settings()["deadline_ms"] == 1234
        assert loaded.settings()["batch_tokens"] == 77
        assert loaded.settings()["provider"] == "cpu"
    finally:
        loaded.close()


async def test_a_worker_has_the_name_by_which_an_operator_finds_it(classifier: Classifier) -> None:
    await classifier.classify("python")
    assert "classify_0" in {thread.name for thread in threading.enumerate()}


def test_what_was_freed_goes_back_to_the_kernel_after_loading_and_at_the_end(
    make_classifier: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    trimmed: list[int] = []
    for part in (module, encoder_module):
        monkeypatch.setattr(part, "trim_memory", lambda: trimmed.append(1))
    with make_classifier():
        assert trimmed == [1]
    assert trimmed == [1, 1]


def test_what_is_large_goes_when_the_classifier_is_closed(make_classifier: Make) -> None:
    """Not when some collection finds it: a reload would have the weights twice meanwhile."""
    with make_classifier() as classifier:
        engine, tokenizer = (weakref.ref(vars(classifier.encoder)[name]) for name in ("_engine", "_tokenizer"))
        assert engine() is not None
        assert tokenizer() is not None
        classifier.encoder.close()
        assert engine() is None
        assert tokenizer() is None


def test_a_manifest_has_at_most_a_mebibyte(toy_folder: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(toy_folder, tmp_path / "toy")
    manifest = folder / "pointsman.json"
    text = manifest.read_text()
    manifest.write_text(text + " " * ((1 << 20) - len(text.encode())))
    assert artifact.load(folder).manifest == artifact.load(toy_folder).manifest

    manifest.write_text(text + " " * ((1 << 20) + 1 - len(text.encode())))
    with pytest.raises(ArtifactError, match="larger than 1,048,576 bytes"):
        artifact.load(folder)
