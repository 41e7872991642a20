"""What the classifier tells of an answer, what it keeps for the next start, and what it gives back at its end."""

from __future__ import annotations

import json
import shutil
import weakref
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from pointsman.classify import artifact
from pointsman.classify import loading as module
from pointsman.classify.classifier import Classifier, Timing, load_classifier
from pointsman.classify.cost_model import Curve
from pointsman.classify.measure import Measured
from pointsman.config.model import ClassifierOptions
from pointsman.errors import ArtifactError
from support.toy_config import config

CURVE = Curve(workers=2, tokens=(16, 100), alone=(0.1, 0.2), beside=(0.1, 0.2), wide=(0.1, 0.2))
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

    def measured(_: object, **options: Any) -> Measured:
        asked.append(options)
        return Measured(CURVE, disturbed=False)

    monkeypatch.setattr(module, "measure", measured)
    Classifier(artifact.load(folder), ClassifierOptions(threads=2, max_tokens=100)).close()

    assert asked == [{"threads": 2, "wide": True, "longest": 100}]
    [kept] = folder.glob("cost-*.json")
    key = json.loads(kept.read_text())["key"]
    assert (key["provider"], key["threads"]) == ("cpu", 2)


@pytest.mark.parametrize(("cores", "threads"), [(2, 2), (16, 4), (64, 8)])
def test_by_default_the_host_is_measured_on_a_quarter_of_its_cores(
    toy_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cores: int, threads: int
) -> None:
    folder = shutil.copytree(toy_folder, tmp_path / "toy", ignore=shutil.ignore_patterns("cost-*"))
    asked: list[int] = []

    def measured(_: object, **options: Any) -> Measured:
        asked.append(options["threads"])
        return Measured(CURVE, disturbed=False)

    monkeypatch.setattr(module, "measure", measured)
    monkeypatch.setattr(module, "usable_cores", lambda: cores)
    Classifier(artifact.load(folder), ClassifierOptions()).close()

    assert asked == [threads]


def test_a_classifier_is_loaded_as_the_config_says(toy_folder: Path) -> None:
    options = ClassifierOptions(threads=1, deadline_ms=1234, batch_tokens=77)
    loaded = load_classifier(config(classifier=options), artifact.load(toy_folder))
    try:
        assert loaded.settings()["deadline_ms"] == 1234
        assert loaded.settings()["batch_tokens"] == 77
        assert loaded.settings()["provider"] == "cpu"
    finally:
        loaded.close()


def test_what_is_large_goes_when_the_classifier_is_closed(make_classifier: Make) -> None:
    """Not when some collection finds it: a reload would have the weights twice meanwhile."""
    with make_classifier() as classifier:
        engine, tokenizer = (weakref.ref(vars(classifier)[name]) for name in ("_engine", "_tokenizer"))
        assert engine() is not None
        assert tokenizer() is not None
        classifier.close()
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
