"""The head of a config's categories is made of their texts, each read once, and of nothing else."""

from __future__ import annotations

import resource
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from pointsman.classify import artifact, ordinary
from pointsman.classify.artifact import Artifact
from pointsman.classify.category_head import FEATURES, make_head
from pointsman.classify.described import DescribedHead
from pointsman.classify.manifest import MODEL
from pointsman.config.model import Config
from pointsman.errors import ArtifactError, CannotStart
from support import toy_artifact
from support.config_files import LABELS
from support.toy_config import category, config

TEXTS = ("SQL of our warehouse", "sum by month", "join the two tables")


class Encoder:
    """Features of a text by its letters, and the texts that were read."""

    def __init__(self) -> None:
        self.read: list[str] = []

    def __call__(self, texts: Sequence[str], max_tokens: int) -> np.ndarray:
        self.read += texts
        letters = [[ord(letter) % len(LABELS) for letter in text] for text in texts]
        return np.array([np.bincount(row, minlength=len(LABELS)) for row in letters]).astype("f")


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "state"
    folder.mkdir()
    monkeypatch.setenv("STATE_DIRECTORY", str(folder))
    return folder


@pytest.fixture
def loaded(tmp_path: Path) -> Artifact:
    rows = np.random.default_rng(0).normal(size=(50, len(LABELS))).astype("f")
    contents = {MODEL: toy_artifact.with_features(toy_artifact.model()), "ordinary.bin": ordinary.encode(rows)}
    return artifact.load(
        toy_artifact.build(tmp_path / "toy", contents, format_version=4, features=toy_artifact.FEATURES)
    )


def described(*examples: str, description: str = TEXTS[0]) -> Config:
    return config(category("sql", description=description, examples=examples))


def made(
    read: Encoder, loaded: Artifact, options: Config, previous: DescribedHead | None = None, **fields: Any
) -> DescribedHead:
    found = make_head(options, loaded, read, previous, **fields)
    assert found is not None
    return found


def test_without_a_described_category_there_is_none(loaded: Artifact, state: Path) -> None:
    read = Encoder()
    assert make_head(config(), loaded, read) is None
    assert not read.read


def test_what_has_not_changed_is_kept(loaded: Artifact, state: Path) -> None:
    read = Encoder()
    first = made(read, loaded, described(*TEXTS[1:]))
    assert made(read, loaded, described(*TEXTS[1:]), first) is first
    assert made(read, loaded, described(*TEXTS[1:], description="Other"), first) is not first


@pytest.mark.parametrize("other", ["ordinary", "languages"])
def test_other_ordinary_requests_or_languages_make_another_head(
    loaded: Artifact, tmp_path: Path, state: Path, other: str
) -> None:
    rows = np.random.default_rng(1).normal(size=(50, len(LABELS))).astype("f")
    contents = {MODEL: loaded.model_path.read_bytes(), "ordinary.bin": ordinary.encode(rows)}
    fields: dict[str, Any] = {"format_version": 4, "features": toy_artifact.FEATURES}
    if other == "languages":
        contents["ordinary.bin"] = (loaded.folder / "ordinary.bin").read_bytes()
        fields["languages"] = ["de"]
    after = artifact.load(toy_artifact.build(tmp_path / "after", contents, **fields))
    read = Encoder()
    first = made(read, loaded, described(*TEXTS[1:]))
    assert made(read, after, described(*TEXTS[1:]), first) is not first


def test_a_changed_line_is_one_run_also_after_another_start(loaded: Artifact, state: Path) -> None:
    made(Encoder(), loaded, described(*TEXTS[1:]))
    read = Encoder()
    made(read, loaded, described(TEXTS[1], "another line"))
    assert read.read == ["another line"]
    assert (state / FEATURES).stat().st_mode & 0o777 == 0o600


def test_no_text_is_read_again_whatever_its_hash_is(loaded: Artifact, state: Path) -> None:
    many = described(*(f"prompt {number}" for number in range(1500)))  # some hashes end with a zero
    made(Encoder(), loaded, many)
    read = Encoder()
    made(read, loaded, many)
    assert read.read == []


def test_texts_that_left_the_config_leave_the_file(loaded: Artifact, state: Path) -> None:
    made(Encoder(), loaded, described(*TEXTS[1:]))
    made(Encoder(), loaded, described(TEXTS[1]))
    read = Encoder()
    made(read, loaded, described(*TEXTS[1:]))
    assert read.read == [TEXTS[2]]


@pytest.mark.parametrize("content", [b"", b"x" * 17, b"x" * (16 + 4 * len(LABELS))])
def test_a_damaged_file_is_as_good_as_none(loaded: Artifact, state: Path, content: bytes) -> None:
    (state / FEATURES).write_bytes(content)
    read = Encoder()
    made(read, loaded, described(*TEXTS[1:]))
    assert sorted(read.read) == sorted(TEXTS)


def test_a_full_disk_costs_only_the_next_start_and_is_told(loaded: Artifact, state: Path) -> None:
    told: list[str] = []
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        made(Encoder(), loaded, described(*TEXTS[1:]), warn=told.append)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    (warning,) = told
    assert warning.startswith(f"{state / FEATURES} cannot be written (File too large): ")
    assert list(state.iterdir()) == []
    made(Encoder(), loaded, described(*TEXTS[1:]), warn=told.append)
    assert (len(told), list(state.iterdir())) == (1, [state / FEATURES])


def test_another_encoder_reads_the_texts_anew(loaded: Artifact, state: Path) -> None:
    made(Encoder(), loaded, described(*TEXTS[1:]))
    features = replace_recipe(loaded)
    read = Encoder()
    made(read, features, described(*TEXTS[1:]))
    assert sorted(read.read) == sorted(TEXTS)


def replace_recipe(loaded: Artifact) -> Artifact:
    features = loaded.manifest.features
    assert features is not None
    other = msgspec.structs.replace(features, recipe="another")
    return replace(loaded, manifest=msgspec.structs.replace(loaded.manifest, features=other))


def test_what_cannot_be_read_is_named(loaded: Artifact, state: Path) -> None:
    with pytest.raises(CannotStart, match="'sum by month'"):
        make_head(described(TEXTS[1]), loaded, lambda texts, _: [[np.nan if one == TEXTS[1] else 1] for one in texts])  # type: ignore[arg-type, return-value]
    with pytest.raises(CannotStart, match="has no features"):
        make_head(described(TEXTS[1]), loaded, lambda *_: None)
    with pytest.raises(CannotStart, match="division by zero"):
        make_head(described(TEXTS[1]), loaded, lambda *_: 1 / 0)  # type: ignore[arg-type]


def test_an_artifact_without_ordinary_requests_is_told(tmp_path: Path, state: Path) -> None:
    contents = {MODEL: toy_artifact.with_features(toy_artifact.model())}
    bare = artifact.load(toy_artifact.build(tmp_path, contents, format_version=4, features=toy_artifact.FEATURES))
    with pytest.raises(ArtifactError, match="has no ordinary requests"):
        make_head(described(TEXTS[1]), bare, Encoder())


@pytest.mark.parametrize("content", [b"", b"123", np.full(len(LABELS), np.nan, "<f2").tobytes()])
def test_damaged_ordinary_requests_are_told(tmp_path: Path, state: Path, content: bytes) -> None:
    contents = {MODEL: toy_artifact.with_features(toy_artifact.model()), "ordinary.bin": content}
    bad = artifact.load(toy_artifact.build(tmp_path, contents, format_version=4, features=toy_artifact.FEATURES))
    with pytest.raises(ArtifactError, match=r"ordinary\.bin: .*; export the classifier again"):
        make_head(described(TEXTS[1]), bad, Encoder())


def test_kept_features_that_are_no_numbers_are_read_again(loaded: Artifact, state: Path) -> None:
    made(Encoder(), loaded, described(*TEXTS[1:]))
    kept = (state / FEATURES).read_bytes()
    row = len(kept) // len(TEXTS)
    (state / FEATURES).write_bytes(kept[:16] + b"\xff" * (row - 16) + kept[row:])
    read = Encoder()
    made(read, loaded, described(*TEXTS[1:]))
    assert len(read.read) == 1
