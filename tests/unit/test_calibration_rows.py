"""An artifact's calibration rows: what a byte keeps of a probability, and which files are refused."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from pointsman.classify import artifact
from pointsman.classify.calibration import BadCalibration, decode, encode
from pointsman.classify.manifest import CALIBRATION
from pointsman.errors import ArtifactError
from support import toy_artifact
from support.config_files import LABELS

RANDOM = np.random.default_rng(11)
MIB = 2**20


def row(truth: int, *angles: int) -> bytes:
    return struct.pack(f"<i{len(angles)}B", truth, *angles)


HALF = row(0, 128, 127)
"""Two labels that are equally likely."""


@pytest.mark.parametrize("labels", [1, 2, 14, 300])
@pytest.mark.parametrize("spread", [0.02, 0.3, 5.0])
def test_rows_are_read_as_they_were_written(labels: int, spread: float) -> None:
    """Within a byte's half step, and their probabilities sum to one."""
    probabilities = RANDOM.dirichlet(np.full(labels, spread), 200)
    truth = RANDOM.integers(-1, labels, size=200)  # -1: a row of no label

    read = decode(encode(probabilities, truth), labels)

    assert read.truth.tolist() == truth.tolist()
    assert read.probabilities.sum(axis=1) == pytest.approx(np.ones(200))
    assert abs(read.probabilities - probabilities).max() < 0.01


@pytest.mark.parametrize("share", [0.0, 0.00005, 0.0002, 0.001, 0.01, 0.5, 0.99, 0.999, 0.9998, 0.99995, 1.0])
def test_probabilities_near_0_and_1_are_told_apart(share: float) -> None:
    """To within a fifth, and never worse than 0.0032."""
    read = decode(encode(np.array([[share, 1 - share]]), np.array([0])), 2).probabilities[0, 0]
    assert abs(read - share) <= min(0.0032, 0.2 * min(share, 1 - share) + 0.00002)


def test_of_more_rows_than_4000_evenly_spaced_ones_are_kept() -> None:
    """The first and the last are among them, and whoever writes the same rows again gets the same file."""
    truth = np.arange(10_000) % 7
    probabilities = np.full((10_000, 7), 1 / 7)

    data = encode(probabilities, truth)
    read = decode(data, 7)

    assert len(read.truth) == 4000
    assert (read.truth[0], read.truth[-1]) == (truth[0], truth[-1])
    assert np.bincount(read.truth) == pytest.approx(np.full(7, 4000 / 7), rel=0.02)
    assert encode(probabilities, truth) == data


def test_a_file_has_at_most_a_mebibyte_whatever_the_number_of_labels() -> None:
    probabilities = np.full((1500, 1000), 0.001)
    data = encode(probabilities, np.zeros(1500, dtype=np.int64))
    assert MIB - 1004 < len(data) <= MIB
    assert len(decode(data, 1000).truth) == MIB // 1004


@pytest.mark.parametrize(
    ("data", "message"),
    [
        pytest.param(b"", "0 bytes are not 1 to 4,000 rows of 6 bytes, as for 2 labels", id="empty"),
        pytest.param(HALF + b"\0", "7 bytes are not", id="cut off"),
        pytest.param(HALF * 4001, "24,006 bytes are not", id="too many"),
        pytest.param(HALF + row(2, 128, 127), "row 1 has the label 2 of 2", id="a label that there is not"),
        pytest.param(HALF + row(-2, 128, 127), "row 1 has the label -2 of 2", id="a label below that of none"),
        pytest.param(HALF + row(0, 255, 255), "row 1 has probabilities that do not sum to 1", id="sum of 2"),
        pytest.param(row(0, 0, 0) + HALF, "row 0 has probabilities that do not sum to 1", id="sum of 0"),
        pytest.param(row(0, 128, 120), "row 0 has probabilities", id="sum of 0.96"),
    ],
)
def test_content_that_is_no_rows_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(BadCalibration, match=message):
        decode(data, 2)


def rows_file() -> bytes:
    return encode(np.full((50, len(LABELS)), 1 / len(LABELS)), np.arange(50) % len(LABELS))


def test_an_artifact_has_its_rows_or_none(tmp_path: Path) -> None:
    with_rows = artifact.load(toy_artifact.build(tmp_path / "a", {CALIBRATION: rows_file()}))
    without = artifact.load(toy_artifact.build(tmp_path / "b"))
    assert with_rows.calibration is not None
    assert with_rows.calibration.truth.tolist() == [i % len(LABELS) for i in range(50)]
    assert without.calibration is None


def test_rows_that_the_manifest_does_not_name_are_not_read(tmp_path: Path) -> None:
    """Nothing vouches for them."""
    folder = toy_artifact.build(tmp_path)
    (folder / CALIBRATION).write_bytes(rows_file())
    assert artifact.load(folder).calibration is None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(None, "calibration.bin is missing; export the classifier again", id="missing"),
        pytest.param(rows_file()[::-1], "calibration.bin: SHA-256 is .* damaged or was replaced", id="another"),
        pytest.param(bytes(MIB + 1), "calibration.bin: .*; ", id="too large"),
    ],
)
def test_a_file_that_is_not_the_manifests_is_refused(tmp_path: Path, content: bytes | None, message: str) -> None:
    """By the service, and by `check`, which reads the manifest and this file alone."""
    folder = toy_artifact.build(tmp_path, {CALIBRATION: rows_file()})
    (folder / CALIBRATION).unlink()
    if content is not None:
        (folder / CALIBRATION).write_bytes(content)
    for read in (artifact.load, lambda it: artifact.read_calibration(it, artifact.read_manifest(it))):
        with pytest.raises(ArtifactError, match=message):
            read(folder)


def test_a_broken_file_that_the_manifest_vouches_for_is_refused(tmp_path: Path) -> None:
    folder = toy_artifact.build(tmp_path, {CALIBRATION: b"\x7f" * 18})
    with pytest.raises(ArtifactError, match=r"calibration\.bin: row 0 has the label .*; export the classifier again"):
        artifact.load(folder)


def test_of_two_artifacts_the_manifests_alone_are_compared(tmp_path: Path) -> None:
    """Arrays of rows have no truth value."""
    folder = toy_artifact.build(tmp_path, {CALIBRATION: rows_file()})
    assert artifact.load(folder) == artifact.load(folder)
