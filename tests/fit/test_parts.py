"""The parts of a fit that write and prove an artifact, on a toy whose features are its logits."""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest

from pointsman.classify import artifact
from pointsman.classify.artifact import Artifact
from pointsman.classify.linear_head import LinearHead
from pointsman.classify.manifest import WeightsSource
from pointsman_export.common import answers, encoder, heads
from pointsman_export.common.encoder import EncoderReader
from pointsman_export.common.errors import GraphError, ValuesError
from pointsman_export.common.shares import percent, points
from support import toy_artifact
from support.config_files import LABELS

WIDTH = len(LABELS)


@pytest.fixture
def base(toy: Path) -> Artifact:
    return artifact.load(toy)


# --- what is read -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lengths", "expected"),
    [
        ([], []),
        ([300], [[0]]),
        ([128, 128], [[0, 1]]),
        ([128, 129], [[0], [1]]),
        ([200, 100, 300, 156], [[1, 3], [0], [2]]),
        ([100, 100, 100, 56], [[3, 0, 1], [2]]),
        ([100, 100, 120, 136], [[0, 1], [2, 3]]),
        ([100, 100, 120, 137], [[0, 1], [2], [3]]),
    ],
)
def test_prompts_of_similar_length_run_together_up_to_256_tokens(lengths: list[int], expected: list[list[int]]) -> None:
    assert list(encoder._batches([np.ones(length, int) for length in lengths])) == expected


def test_a_reader_gives_tokens_features_and_probabilities(base: Artifact) -> None:
    found = EncoderReader(base).read(["landlord", "two words", "python"])
    assert [len(ids) for ids in found.prompts] == [3, 4, 3]
    assert found.features.dtype == found.probabilities.dtype == np.float32
    expected = np.zeros((3, WIDTH))
    expected[0, LABELS.index("law")] = expected[2, LABELS.index("computer science")] = 8
    np.testing.assert_array_equal(found.features, expected)
    np.testing.assert_allclose(
        found.probabilities, np.exp(expected) / np.exp(expected).sum(axis=1, keepdims=True), atol=1e-6
    )


def test_a_reader_of_no_texts_gives_none(base: Artifact) -> None:
    found = EncoderReader(base).read([])
    assert (found.prompts, found.features.shape, found.probabilities.shape) == ([], (0, WIDTH), (0, WIDTH))


def test_a_long_text_is_read_at_both_ends_within_the_artifacts_or_a_lower_bound(base: Artifact) -> None:
    text = "landlord " + "and so on " * 400 + "python"
    reader = EncoderReader(base)
    for bound, found in ((512, reader.read([text])), (16, reader.read([text], max_tokens=16))):
        assert len(found.prompts[0]) == bound
        assert np.flatnonzero(found.features[0]).tolist() == [LABELS.index("computer science"), LABELS.index("law")]


def test_a_base_without_features_is_refused(tmp_path: Path) -> None:
    folder = toy_artifact.build(tmp_path / "toy")
    with pytest.raises(GraphError) as caught:
        EncoderReader(artifact.load(folder))
    said = f"{folder}: its graph gives no features that a head could read; export its checkpoint again"
    assert str(caught.value) == said


# --- what is written --------------------------------------------------------------------------------------------


def layer(labels: int, *, added: bool = False) -> LinearHead:
    random = np.random.default_rng(4)
    weights, bias = random.normal(size=(labels, WIDTH)), random.normal(size=labels)
    return LinearHead(weights.astype(np.float32), bias.astype(np.float32), added)


def write_head(base: Artifact, folder: Path, head: LinearHead, labels: list[str]) -> Artifact:
    folder.mkdir()
    (folder / "other.bin").write_bytes(b"rows")
    manifest = msgspec.structs.replace(base.manifest, labels=labels, format_version=2, verification={"a": 1})
    return heads.write_head(folder, base, head, manifest, "fit")


def test_the_manifest_of_a_head_names_its_encoder_its_scores_and_its_files(base: Artifact, tmp_path: Path) -> None:
    found = write_head(base, tmp_path / "out", layer(2), ["tea", "rail"])
    manifest = found.manifest
    own = {name: hashlib.sha256((found.folder / name).read_bytes()).hexdigest() for name in ("head.bin", "other.bin")}
    assert (manifest.format_version, manifest.labels, manifest.verification) == (4, ["tea", "rail"], {"a": 1})
    assert manifest.head is not None
    assert (manifest.head.artifact, manifest.head.added) == (str(base.folder), False)
    assert manifest.head.encoder == base.manifest.encoder
    assert manifest.source == WeightsSource(name="fit of toy", sha256=base.manifest.files["model.onnx"])
    assert manifest.training is None
    assert own.items() <= manifest.files.items()
    assert manifest.versions == {"numpy": np.__version__}
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", manifest.created)
    assert (found.folder / "pointsman.json").read_text().startswith('{\n  "format_version": 4,\n')


def test_a_head_on_a_head_is_one_on_the_same_encoder(base: Artifact, tmp_path: Path) -> None:
    once = write_head(base, tmp_path / "once", layer(WIDTH, added=True), list(LABELS))
    twice = write_head(once, tmp_path / "twice", layer(2), ["tea", "rail"])
    assert once.manifest.head is not None
    assert once.manifest.head.added
    assert twice.manifest.head == msgspec.structs.replace(once.manifest.head, added=False)
    assert twice.manifest.source == WeightsSource(name="fit of fit of toy", sha256=once.manifest.files["head.bin"])


def test_the_known_answers_are_those_of_the_head(base: Artifact, tmp_path: Path) -> None:
    found = write_head(base, tmp_path / "out", layer(2), ["tea", "rail"])
    known = found.manifest.known_answers
    assert [answer.text for answer in known] == list(answers.TEXTS)
    read = EncoderReader(found).read([answer.text for answer in known])
    assert len({tuple(row) for row in read.probabilities.tolist()}) > 1
    np.testing.assert_allclose([answer.probabilities for answer in known], read.probabilities, atol=2e-6)


def test_a_manifest_is_written_with_the_answers_of_its_graph(base: Artifact) -> None:
    """As an export writes it, beside the files that it describes."""
    (base.folder / "pointsman.json").unlink()
    assert list(answers.hashes(base.folder).items()) == [
        (name, hashlib.sha256((base.folder / name).read_bytes()).hexdigest())
        for name in ("model.onnx", "tokenizer.json")
    ]
    answers.write_manifest(base.folder, base.manifest)
    again = artifact.load(base.folder).manifest
    assert len(again.known_answers) == 4
    assert msgspec.structs.replace(again, known_answers=base.manifest.known_answers) == base.manifest


# --- what is proved ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("position", "difference", "proved"), [(0, 0.0005, True), (0, 0.0015, False), (31, 0.5, False)]
)
def test_scores_may_differ_by_a_thousandth(base: Artifact, position: int, difference: float, proved: bool) -> None:
    prompts = EncoderReader(base).read(["landlord", "python"] * 16).prompts
    expected = EncoderReader(base).read(["landlord", "python"] * 16).probabilities.astype(np.float64)
    heads.prove(base, prompts, expected)
    expected[position, 3] += difference
    if proved:
        heads.prove(base, prompts, expected)
    else:
        with pytest.raises(ValuesError) as caught:
            heads.prove(base, prompts, expected)
        assert str(caught.value) == (
            f"the service's scores differ by {difference:.1e} from the head's, allowed is 1e-03; fit on another base"
        )


def test_nan_is_no_score(base: Artifact) -> None:
    read = EncoderReader(base).read(["landlord"])
    with pytest.raises(ValuesError, match="differ by nan"):
        heads.prove(base, read.prompts, np.full(read.probabilities.shape, np.nan))


def test_32_prompts_prove_a_head(base: Artifact) -> None:
    read = EncoderReader(base).read(["landlord"] * 33)
    heads.prove(base, read.prompts, np.concatenate([read.probabilities[:32], np.full((1, WIDTH), np.nan)]))


def test_a_head_that_is_not_the_one_of_the_scores_is_not_proved(base: Artifact, tmp_path: Path) -> None:
    head = layer(2)
    found = write_head(base, tmp_path / "out", head, ["tea", "rail"])
    read = EncoderReader(found).read(["landlord", "python"])
    heads.prove(found, read.prompts, read.probabilities)
    with pytest.raises(ValuesError):
        heads.prove(replace(found, head=replace(head, bias=head.bias[::-1])), read.prompts, read.probabilities)


def test_shares_are_rounded_down_and_differences_are_points() -> None:
    assert [percent(share) for share in (0.0, 0.5, 0.9999, 1.0)] == ["0 %", "50 %", "99.9 %", "100 %"]
    assert points(0.0123) == "1.23 points"
