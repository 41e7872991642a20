"""`pointsman fit --labelled`: a classifier corrected by a few labeled texts, and left as it is elsewhere."""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import os
import shutil
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from pointsman.classify import artifact
from pointsman.classify.calibration import Calibration
from pointsman.classify.engine import Engine
from pointsman.classify.manifest import Manifest
from pointsman.classify.tokenizer import TextWindow, Tokenizer
from pointsman.config.load import load
from pointsman.evaluation.fitted_rows import pack
from pointsman.improve.labels_file import LabelledText, add_label, read_labels
from pointsman_export.common.encoder import EncoderReader
from pointsman_export.common.stored_texts import latest_texts
from pointsman_export.correct import command as correct_command
from pointsman_export.correct import training
from pointsman_export.correct.levels import added, counted, levels, own_rows, with_labelled
from pointsman_export.correct.pipeline import CorrectionRequest
from pointsman_export.correct.report import CorrectionReport, LabelAccuracy
from pointsman_export.correct.training import FeatureScaler, TextFeatures
from pointsman_export.fit.main import main
from support.config_files import REPOSITORY

PETS = ("cat", "dog", "puppy", "rabbit", "hamster", "parrot", "kitten", "ferret")
PEOPLE = ("son", "wife", "father", "baby", "grandmother")
TROUBLE = (
    "has a fever",
    "coughs after running",
    "has a rash on its belly",
    "limps on the left leg",
    "has swollen gums",
)


def texts(who: tuple[str, ...]) -> list[str]:
    return [f"My {one} {trouble}, which medicine helps?" for one, trouble in itertools.product(who, TROUBLE)]


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A config, kept texts about animals and people, and labels that say of 20 that animals are no medical matter."""
    folder = tmp_path_factory.mktemp("correct")
    own = "pointsman: {log: {texts_file: texts.jsonl}, routing: {precision: 0.95}}\n"
    (folder / "config.yaml").write_text((REPOSITORY / "config" / "config.yaml").read_text() + own)
    rows = [*texts(PETS), *texts(PEOPLE)]
    (folder / "texts.jsonl").write_text("".join(json.dumps({"hash": digest(x), "text": x}) + "\n" for x in rows))
    for text in texts(PETS)[:20]:
        add_label(folder / "labels", LabelledText(digest(text), text, "out_of_scope"))
    for text in texts(PEOPLE)[:5]:
        add_label(folder / "labels", LabelledText(digest(text), text, "medical"))
    return folder


def command(world: Path, *options: str) -> list[str]:
    return ["--labelled", str(world / "labels"), "--config", str(world / "config.yaml"), *options]


def fit(*arguments: str, before: str = "pass") -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own, which it makes nicer."""
    program = f"import sys; {before}; from pointsman_export.fit.main import main; sys.exit(main(sys.argv[1:]))"
    return subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def corrected(world: Path) -> Path:
    """The artifact; made by a process that has no library for ONNX files."""
    options = ("-o", str(world / "out"), "--json", str(world / "report"))
    done = fit(*command(world, *options), before="sys.modules['onnx'] = None")
    assert done.returncode == 0, done.stderr
    (world / "said").write_text(done.stdout)
    return world / "out"


def scores(folder: Path, prompts: list[str]) -> np.ndarray:
    loaded = artifact.load(folder)
    encoded = Tokenizer(loaded.tokenizer_path).encode(prompts, TextWindow(loaded.manifest.max_tokens, 0.5))
    return Engine(loaded, ["cpu"]).run([one.ids for one in encoded])


def medical(folder: Path, prompts: list[str]) -> float:
    """The share of prompts that are surely medical."""
    health = artifact.load(folder).manifest.labels.index("health")
    return float((scores(folder, prompts)[:, health] >= 0.6).mean())


# --- what it does -----------------------------------------------------------------------------------------------


def test_texts_that_were_not_labelled_are_decided_as_those_that_were(corrected: Path) -> None:
    unseen = texts(PETS)[20:]
    assert medical(artifact.BUILTIN, unseen) > 0.8
    assert medical(corrected, unseen) < 0.4


def test_what_is_not_like_a_labelled_text_is_decided_as_before(corrected: Path) -> None:
    others = [
        "How do I merge two sorted lists in Python?",
        "Can my landlord keep the deposit?",
        "What is the derivative of x squared?",
        "Is it dangerous if my father has chest pain at night?",
    ]
    before, after = scores(artifact.BUILTIN, others), scores(corrected, others)
    assert (before.argmax(axis=1) == after.argmax(axis=1)).all()
    assert medical(corrected, texts(PEOPLE)[5:]) > 0.8


def test_the_report_tells_before_and_after_and_what_would_change(corrected: Path, world: Path) -> None:
    report = json.loads((world / "report").read_text())
    right = {one["label"]: (one["texts"], one["before"], one["after"]) for one in report["labels"]}
    assert right["out_of_scope"][0] == 20
    assert right["out_of_scope"][2] > right["out_of_scope"][1] + 10
    assert right["medical"] == (5, 5, 5)
    first = report["changes"][0]
    assert (first["before"], first["model"]) == ("medical", "llama2-7b")
    assert first["samples"][0] in texts(PETS)
    assert report["traffic"] == len(texts(PETS)) + len(texts(PEOPLE)) - 25, "labeled texts are no traffic"
    assert stat.S_IMODE((world / "report").stat().st_mode) == 0o600
    assert "of 25, " in (world / "said").read_text()


def test_the_report_tells_where_labels_are_too_few_for_a_threshold(corrected: Path, world: Path) -> None:
    """20 texts say what is not medical and 5 what is: no threshold can be learned of them."""
    report = json.loads((world / "report").read_text())
    found = {one["category"]: one for one in report["levels"]}
    assert (found["medical"]["labelled"], found["medical"]["few"]) == (5, True)
    assert all(one["before"] == one["after"] for one in report["levels"])
    assert "5 (fewer than 10: by the base's rows alone)" in (world / "said").read_text()
    rows, before = artifact.load(corrected).calibration, artifact.load(artifact.BUILTIN).calibration
    assert rows is not None
    assert before is not None
    assert (len(rows.truth), report["calibrated"]) == (len(before.truth), 0)


@pytest.mark.parametrize(("medical", "moved"), [(12, True), (9, False)])
def test_a_threshold_is_fitted_on_labelled_texts_too_where_ten_are_of_its_category(
    world: Path, medical: int, moved: bool
) -> None:
    """Others that are nearly as sure and wrong raise it; those of other categories count for none."""
    config, base = load(world / "config.yaml").config, artifact.load(artifact.BUILTIN)
    labels = base.manifest.labels
    health, law = labels.index("health"), labels.index("law")
    given = ["medical"] * medical + ["out_of_scope"] * 12 + ["legal"]
    labelled = [LabelledText(f"{n}", "x", label) for n, label in enumerate(given)]
    scores = np.full((len(given), len(labels)), 0.01)
    scores[:, health] = [*[0.97] * medical, *[0.9] * 12, 0.01]
    scores[-1, law] = 0.87
    scores /= scores.sum(axis=1, keepdims=True)
    allowed = np.zeros(scores.shape, dtype=bool)
    allowed[:medical, health] = True
    allowed[medical:, labels.index("other")] = True
    counts = counted(config, labels, labelled, scores)
    assert counts.tolist() == [moved] * (medical + 12) + [False]
    after = with_labelled(base.calibration, scores[counts], allowed[counts])
    found = {one.category: one for one in levels(config, labels, labelled, base.calibration, after)}
    assert (found["medical"].after > found["medical"].before) is moved
    assert found["medical"].few is not moved
    assert found["legal"].after == found["legal"].before


def test_what_the_config_sets_stays(world: Path) -> None:
    config = load(world / "config.yaml").config
    given = replace(config.pointsman.routing, thresholds={"medical": 0.5})
    config = replace(config, pointsman=replace(config.pointsman, routing=given))
    base = artifact.load(artifact.BUILTIN)
    found = {one.category: one for one in levels(config, base.manifest.labels, [], base.calibration, base.calibration)}
    one = found["medical"]
    assert (one.before, one.after, one.origin) == (0.5, 0.5, "routing.thresholds")


def test_the_rows_of_an_earlier_correction_count_no_more_and_the_file_has_its_bound() -> None:
    scores, allowed = np.full((40, 4), 0.25), np.eye(4, dtype=bool)[[1] * 40]
    for before, after in ((3_000, 3_000), (3_990, 3_960), (4_000, 3_960)):
        rows = Calibration(np.tile([1.0, 0, 0, 0], (before, 1)), np.zeros(before, dtype=np.int64))
        both = with_labelled(rows, scores, allowed)
        assert both is not None
        assert both.truth.tolist() == [0] * after + [1] * 40
        manifest = SimpleNamespace(verification={"correction": {"calibrated": added(rows, 40)}})
        left = own_rows(cast("artifact.Artifact", SimpleNamespace(calibration=both, manifest=manifest)))
        assert left is not None
        assert left.truth.tolist() == [0] * after
    assert with_labelled(None, scores, allowed) is None
    assert added(None, 40) == 0


def test_a_large_base_leaves_a_quarter_of_the_rows_to_the_latest_labelled_texts() -> None:
    """And is thinned evenly, however often it is corrected."""
    scores, allowed = np.eye(4)[[1] * 1_000 + [2] * 1_000], np.ones((2_000, 4), dtype=bool)
    own = Calibration(np.eye(4)[[0] * 2_000 + [3] * 2_000], np.array([0] * 2_000 + [3] * 2_000))
    for _ in range(3):
        both = with_labelled(own, scores, allowed)
        assert both is not None
        assert both.truth[3_000:].tolist() == [2] * 1_000
        own = Calibration(both.probabilities[:3_000], both.truth[:3_000])
        assert own.truth.tolist() == [0] * 1_500 + [3] * 1_500
        assert (own.probabilities.argmax(axis=1) == own.truth).all()


def test_a_threshold_that_was_not_fitted_says_so(world: Path) -> None:
    """As where the base has no rows."""
    config, labels = load(world / "config.yaml").config, artifact.load(artifact.BUILTIN).manifest.labels
    labelled = [LabelledText(f"{number}", "x", "medical") for number in range(12)]
    found = tuple(levels(config, labels, labelled, None, None))
    assert {one.origin for one in found} == {"category_model.threshold"}
    judged = (LabelAccuracy("medical", 12, 1, 2),)
    report = CorrectionReport(
        base="b", labelled=12, labels=judged, levels=found, calibrated=0, strength=1.0, folds=5, traffic=0, changes=(),
        seconds=1.0,
    )  # fmt: skip
    assert "12 (set in category_model.threshold)" in report.table()
    assert "base's rows" not in report.table()


def test_of_the_kept_texts_the_latest_5000_are_read_each_once(tmp_path: Path) -> None:
    """A text has a further line where the shadow differs."""
    names = [*range(5_000), 1, *range(5_000, 5_010), 5_009, 7_000]
    path = tmp_path / "texts.jsonl"
    path.write_text("".join(json.dumps({"hash": f"{name}", "text": f"{name}"}) + "\n" for name in names))
    found = [int(row.hash) for row in latest_texts(path, {"7000"})]
    assert found == [*range(11, 5_000), 1, *range(5_000, 5_010)]


def test_no_threads_wait_for_each_other_and_numpy_is_imported_after_that_is_set() -> None:
    mains = "pointsman.cli.main, pointsman_export.fit.main, pointsman_export.teach.main"
    program = f"import {mains}, sys; print('numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_the_labels_are_beside_the_head_for_its_owner_alone(corrected: Path, world: Path) -> None:
    """All other files have hashes of the labeled texts and no text."""
    assert (corrected / "fitted_rows.bin").read_bytes() == pack([*texts(PETS)[:20], *texts(PEOPLE)[:5]])
    for path in corrected.iterdir():
        assert (b"which medicine helps" in path.read_bytes()) == (path.name == "labels.jsonl")
    assert read_labels(corrected / "labels.jsonl") == read_labels(world / "labels")
    assert stat.S_IMODE((corrected / "labels.jsonl").stat().st_mode) == 0o600


def test_it_can_be_corrected_again_and_be_the_base_of_another_head(corrected: Path, world: Path) -> None:
    assert fit(*command(world, "-o", str(world / "again"), "--base", str(corrected))).returncode == 0
    assert medical(world / "again", texts(PETS)[20:]) < 0.4
    again, once = artifact.load(world / "again").calibration, artifact.load(corrected).calibration
    assert again is not None
    assert once is not None
    assert len(again.truth) == len(once.truth), "each labeled text counts once"
    rows = [{"text": f"{x} number {n}", "label": x} for x in ("tea", "rail") for n in range(5)]
    (world / "rows").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert main(["--data", str(world / "rows"), "--base", str(corrected), "-o", str(world / "other")]) == 0
    assert artifact.load(world / "other").manifest.labels == ["rail", "tea"]


# --- what it takes ----------------------------------------------------------------------------------------------


def test_what_root_fits_is_the_services_to_discard_and_old_ones_that_the_config_names_stay(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = tmp_path / "improve" / "artifacts"
    names = [f"20260101-0000{n:02}" for n in range(14)]
    for name in names[:-1]:
        (made / name).mkdir(parents=True)
    if os.geteuid() == 0:
        os.chown(made, 1234, 2345)
    config = tmp_path / "config.yaml"
    own, shadow = (f"improve/artifacts/{name}" for name in names[1:3])
    for name in (own, shadow):
        shutil.copytree(artifact.BUILTIN, tmp_path / name, dirs_exist_ok=True)
    text = (REPOSITORY / "config" / "config.yaml").read_text()
    before, _, after = text.partition("model_id: ")
    assert after, "the config names its classifier"
    after = after.partition("\n")[2]
    config.write_text(f"{before}model_id: {own}\n{after}pointsman: {{classifier: {{shadow: {shadow}}}}}\n")
    report = SimpleNamespace(table=lambda: "told")

    def written(request: CorrectionRequest, _: object) -> object:
        (request.output / "inner").mkdir(parents=True)
        return report

    monkeypatch.setattr(correct_command, "correct", written)
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
    options = argparse.Namespace(config=config, base="builtin", labelled=None, force=False, json=None, no_rows=False)
    assert correct_command.correct_by(options, made / names[-1]) == "told"
    assert sorted(one.name for one in made.iterdir()) == [*names[1:3], *names[4:]]
    fitted = made / names[-1]
    assert {one.stat().st_uid for one in (fitted, fitted / "inner")} == {made.stat().st_uid}


def test_it_steps_aside_and_takes_no_more_memory_than_it_may(world: Path) -> None:
    program = "os.nice(0), r.getrlimit(r.RLIMIT_DATA)[0] >> 20"
    tells = f"import atexit, os, resource as r; atexit.register(lambda: print({program}))"
    done = fit(*command(world, "-o", str(world / "small"), "--memory-mb", "128"), before=tells)
    assert done.stdout.split() == [str(max(10, os.nice(0))), "128"]
    assert done.returncode == 1
    assert "128 MiB of memory do not suffice" in done.stderr
    assert not (world / "small").exists()


@pytest.mark.parametrize(
    ("label", "count", "said"),
    [
        ("medical", 9, "has 9 labeled texts, at least 10 are needed"),
        ("cooking", 10, "10 texts are labelled 'cooking', which is no category of the config"),
    ],
)
def test_labels_that_do_not_suffice_are_refused(world: Path, tmp_path: Path, label: str, count: int, said: str) -> None:
    labels = tmp_path / "labels"
    for number in range(count):
        add_label(labels, LabelledText(str(number), f"text {number}", label))
    arguments = ["--labelled", str(labels), "--config", str(world / "config.yaml"), "-o", str(tmp_path / "out")]
    done = fit(*arguments)
    assert done.returncode == 1
    assert said in done.stderr


# --- the parts --------------------------------------------------------------------------------------------------


def test_a_correction_is_added_to_the_logits_and_the_rest_stays(corrected: Path, world: Path) -> None:
    """Twice, one on the other: both are one head on the encoder of the built-in classifier."""
    base, once = artifact.load(artifact.BUILTIN), artifact.load(corrected)
    assert once.head is not None
    assert once.model_path == base.model_path
    read = EncoderReader(base).read(texts(PETS))
    expected = training.softmax(
        np.log(read.probabilities) + (read.features @ once.head.weights.T + once.head.bias) / base.manifest.temperature
    )
    np.testing.assert_allclose(scores(corrected, texts(PETS)), expected, atol=1e-3)
    assert fit(*command(world, "-o", str(world / "twice"), "--base", str(corrected))).returncode == 0
    twice = artifact.load(world / "twice")
    assert twice.model_path == base.model_path
    assert twice.manifest.head == once.manifest.head


def made_up(rows: int, seed: int) -> TextFeatures:
    random = np.random.default_rng(seed)
    return TextFeatures(
        random.normal(size=(rows, 6)).astype(np.float32), random.normal(size=(rows, 4)).astype(np.float32)
    )


def test_a_label_that_allows_several_is_content_with_any_of_them() -> None:
    labelled, anchors = made_up(12, 1), made_up(30, 2)
    allowed = np.zeros((12, 4), dtype=bool)
    allowed[:, [1, 2]] = True
    scale = FeatureScaler.of(labelled.features, anchors.features)
    weak, strong = (training.correct(labelled, allowed, anchors, strength, scale) for strength in (0.3, 1e6))
    mass = [(training.softmax(one.corrected(labelled)) * allowed).sum(axis=1).mean() for one in (weak, strong)]
    assert mass[0] > 0.6 > mass[1]
    after = training.softmax(weak.corrected(labelled))
    assert np.abs(after[:, 1] - after[:, 2]).mean() > 0.1, "nothing says which of the two"


def test_the_training_follows_its_gradient() -> None:
    labelled, anchors = made_up(5, 3), made_up(7, 4)
    allowed = np.eye(4, dtype=bool)[[0, 1, 2, 3, 0]]
    features = np.concatenate([labelled.features, anchors.features])
    logits = np.concatenate([labelled.logits, anchors.logits]).astype(np.float64)
    targets = training.softmax(anchors.logits)
    objective = training._objective(features, logits, np.linspace(1, 2, 12), allowed, targets, 2.0)
    point = np.random.default_rng(5).normal(size=24)
    value, slope = objective(point)
    for index in range(24):
        moved = point.copy()
        moved[index] += 1e-3
        assert (objective(moved)[0] - value) / 1e-3 == pytest.approx(slope[index], abs=5e-3)


def test_what_is_as_near_as_labelled_texts_are_to_each_other_follows_them() -> None:
    random = np.random.default_rng(6)
    centre = np.array([8.0, 0, 0, 0, 0, 0])
    near, far = (random.normal(size=(40, 6)).astype(np.float32) + shift for shift in (centre, -centre))
    labelled, others = TextFeatures(near[:20], near[:20]), TextFeatures(np.concatenate([near[20:], far]), near)
    follows = training.free(labelled, np.zeros(20, dtype=int), others, FeatureScaler(np.zeros(6), 1.0))
    assert follows[:20].mean() > 0.7
    assert not follows[20:].any()
    alone = training.free(labelled, np.arange(20), others, FeatureScaler(np.zeros(6), 1.0))
    assert not alone.any(), "of labels with one text each nobody knows how near is near"


def test_the_manifest_tells_where_it_comes_from(corrected: Path) -> None:
    manifest: Manifest = artifact.load(corrected).manifest
    base = artifact.load(artifact.BUILTIN).manifest
    assert manifest.source.name == f"correction of {base.source.name}"
    assert base.training is not None
    assert manifest.training is None, "that of the base does not make these weights"
    assert manifest.labels == base.labels
    figures: dict[str, Any] = manifest.verification["correction"]
    assert figures["labelled"] == 25
