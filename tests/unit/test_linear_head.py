"""Artifacts that are a head on the encoder of another artifact."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from pointsman.classify import artifact, kept_encoder, linear_head
from pointsman.classify.artifact import Artifact
from pointsman.classify.engine import Engine, softmax
from pointsman.classify.linear_head import LinearHead
from pointsman.classify.tokenizer import TextWindow, Tokenizer
from pointsman.errors import ArtifactError
from support import toy_artifact
from support.config_files import LABELS
from support.toy_heads import head_on

WIDTH = len(LABELS)
RANDOM = np.random.default_rng(3)


def layer(labels: int, *, added: bool) -> LinearHead:
    weights, bias = RANDOM.normal(size=(labels, WIDTH)), RANDOM.normal(size=labels)
    return LinearHead(weights.astype(np.float32), bias.astype(np.float32), added)


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A toy whose features are its logits."""
    contents = {"model.onnx": toy_artifact.with_features(toy_artifact.model())}
    return toy_artifact.build(tmp_path / "base", contents, features=toy_artifact.FEATURES, format_version=4)


def scores(found: Artifact, text: str) -> np.ndarray:
    [encoded] = Tokenizer(found.tokenizer_path).encode([text], TextWindow.even(found.manifest.max_tokens))
    return np.asarray(Engine(found, ["cpu"]).run([encoded.ids])[0])


def test_a_head_gives_its_labels_and_reads_what_its_base_reads(base: Path, tmp_path: Path) -> None:
    """What describes the graph is the base's, whatever the head's own manifest says."""
    head = layer(2, added=False)
    found = artifact.load(head_on(base, tmp_path / "head", head, ["tea", "rail"], temperature=2.0))
    features = np.zeros(WIDTH, np.float32)
    features[LABELS.index("law")] = toy_artifact.WEIGHT

    assert found.manifest.labels == ["tea", "rail"]
    assert found.manifest.max_tokens == 512
    assert found.manifest.encoder == artifact.read_manifest(base).encoder
    expected = softmax(((head.weights @ features + head.bias) / 2).astype(np.float32))
    np.testing.assert_allclose(scores(found, "landlord"), expected, atol=1e-5)


def test_a_head_that_is_added_corrects_the_scores_of_its_base(base: Path, tmp_path: Path) -> None:
    head = layer(WIDTH, added=True)
    found = artifact.load(head_on(base, tmp_path / "head", head, LABELS))
    features = np.zeros(WIDTH, np.float32)
    features[LABELS.index("law")] = toy_artifact.WEIGHT

    expected = softmax((features + head.weights @ features + head.bias).astype(np.float32))
    np.testing.assert_allclose(scores(found, "landlord"), expected, atol=1e-5)


def test_a_moved_or_changed_encoder_is_refused(base: Path, tmp_path: Path) -> None:
    head = head_on(base, tmp_path / "head", layer(2, added=False), ["tea", "rail"])
    base.rename(tmp_path / "elsewhere")
    with pytest.raises(ArtifactError, match=r"head: is a head for an encoder \(.*…\) that neither .*base nor"):
        artifact.load(head)
    toy_artifact.build(base, {"tokenizer.json": b"{}"})
    with pytest.raises(ArtifactError, match="fit it again"):
        artifact.read_manifest(head)


def test_a_head_is_no_encoder_for_another(base: Path, tmp_path: Path) -> None:
    below = head_on(base, tmp_path / "below", layer(2, added=False), ["tea", "rail"])
    encoder = artifact.read_manifest(base).encoder
    above = head_on(below, tmp_path / "above", layer(2, added=False), ["tea", "rail"], encoder=encoder)
    with pytest.raises(ArtifactError, match=r"that neither .*below nor the built-in"):
        artifact.load(above)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", f"0 bytes are not {WIDTH} weights and a bias for each of 2 labels"),
        (bytes(4 * 2 * WIDTH), "bytes are not"),
        (np.full((2, WIDTH + 1), np.nan, "<f4").tobytes(), "a weight is NaN or infinite"),
    ],
)
def test_a_head_of_another_form_is_refused(base: Path, tmp_path: Path, content: bytes, said: str) -> None:
    folder = head_on(base, tmp_path / "head", layer(2, added=False), ["tea", "rail"], content=content)
    with pytest.raises(ArtifactError, match=f"head.bin: .*{said}.*fit it again"):
        artifact.load(folder)


def test_a_damaged_head_is_refused(base: Path, tmp_path: Path) -> None:
    folder = head_on(base, tmp_path / "head", layer(2, added=False), ["tea", "rail"])
    (folder / "head.bin").write_bytes(linear_head.encode(layer(2, added=False)))
    with pytest.raises(ArtifactError, match=r"head\.bin: SHA-256 is"):
        artifact.load(folder)


def test_a_correction_of_other_labels_than_its_bases_is_refused(base: Path, tmp_path: Path) -> None:
    folder = head_on(base, tmp_path / "head", layer(2, added=True), ["tea", "rail"])
    with pytest.raises(ArtifactError, match=r"corrects other labels than those of .*base"):
        artifact.load(folder)


def test_a_prompt_whose_features_are_no_numbers_has_no_scores(base: Path, tmp_path: Path) -> None:
    """Whatever the weights."""
    head = LinearHead(np.full((2, WIDTH), 3e38, np.float32), np.zeros(2, np.float32), added=False)
    found = artifact.load(head_on(base, tmp_path / "head", head, ["tea", "rail"]))
    assert np.isnan(scores(found, "landlord")).all()


# --- upgrades --------------------------------------------------------------------------------------------------


@pytest.fixture
def shipped(base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The toy as the built-in classifier, and a state directory."""
    (tmp_path / "state").mkdir()
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))
    monkeypatch.setattr(artifact, "BUILTIN", base)
    monkeypatch.setattr(kept_encoder, "BUILTIN", base)
    return base


def upgrade(shipped: Path, words: dict[str, str]) -> None:
    """Replace the built-in classifier by one with another encoder."""
    shutil.rmtree(shipped)
    toy_artifact.build(
        shipped,
        {
            "model.onnx": toy_artifact.with_features(toy_artifact.model(words=words)),
            "tokenizer.json": toy_artifact.tokenizer(words),
        },
        features=toy_artifact.FEATURES,
        format_version=4,
    )


def test_a_head_serves_on_after_an_upgrade_with_another_encoder(shipped: Path, tmp_path: Path) -> None:
    """From the encoder that was kept, with the same scores and a warning; and from the first one after going back."""
    folder = head_on(shipped, tmp_path / "head", layer(2, added=False), ["tea", "rail"])
    before = artifact.load(folder)
    first = scores(before, "landlord")
    assert kept_encoder.keep(before) == []
    kept = shutil.copytree(shipped, tmp_path / "former")
    upgrade(shipped, {"tree": "biology"})

    after = artifact.load(folder)

    assert after.graph_folder.parent == tmp_path / "state" / "encoders"
    np.testing.assert_array_equal(scores(after, "landlord"), first)
    [warning] = kept_encoder.keep(after)
    assert "for the encoder of another release" in warning
    assert "fit it again to use" in warning
    (folder / "rows.jsonl").touch()
    [warning] = kept_encoder.keep(after)
    assert "`pointsman fit --again`" in warning
    shutil.rmtree(shipped)
    kept.rename(shipped)
    assert artifact.load(folder).graph_folder == shipped


def test_only_encoders_of_served_heads_on_the_built_in_classifier_are_kept(shipped: Path, tmp_path: Path) -> None:
    other = shutil.copytree(shipped, tmp_path / "other")
    assert kept_encoder.keep(artifact.load(shipped)) == []
    assert kept_encoder.keep(artifact.load(head_on(other, tmp_path / "head", layer(2, added=False), ["a", "b"]))) == []
    assert not (tmp_path / "state" / "encoders").exists()


def test_at_most_three_encoders_are_kept_and_the_one_that_serves_is(shipped: Path, tmp_path: Path) -> None:
    for number in range(5):
        upgrade(shipped, {f"word{number}": "biology"})
        folder = head_on(shipped, tmp_path / f"head{number}", layer(2, added=False), ["a", "b"])
        found = artifact.load(folder)
        assert kept_encoder.keep(found) == []
    kept = list((tmp_path / "state" / "encoders").iterdir())
    assert len(kept) == 3
    assert artifact.kept_encoder(found.manifest.encoder or "") in kept


def test_an_encoder_that_cannot_be_kept_is_a_warning(shipped: Path, tmp_path: Path) -> None:
    (tmp_path / "state" / "encoders").touch()
    found = artifact.load(head_on(shipped, tmp_path / "head", layer(2, added=False), ["a", "b"]))
    [warning] = kept_encoder.keep(found)
    assert "cannot be written" in warning
    assert "after an upgrade" in warning
