"""The arithmetic of a correction, on numbers whose answer is known."""

from __future__ import annotations

from itertools import pairwise
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from pointsman.classify import artifact
from pointsman.classify.calibration import Calibration
from pointsman_export.correct import training
from pointsman_export.correct.levels import added, own_rows, with_labelled
from pointsman_export.correct.training import FeatureScaler, TextFeatures

# --- the training -----------------------------------------------------------------------------------------------


def made_up(rows: int, seed: int) -> TextFeatures:
    """Features far from zero, and logits."""
    random = np.random.default_rng(seed)
    return TextFeatures(
        (2 * random.normal(size=(rows, 6)) + 3).astype(np.float32), random.normal(size=(rows, 4)).astype(np.float32)
    )


ALLOWED = np.eye(4, dtype=bool)[np.arange(12) % 3] | np.eye(4, dtype=bool)[[3] * 12]


def softmax(logits: np.ndarray) -> np.ndarray:
    return np.asarray(np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True))


def test_features_are_centred_and_divided_by_their_mean_deviation() -> None:
    scale = FeatureScaler.of(np.array([[1.0, 10.0]], np.float32), np.array([[3.0, 10.0], [2.0, 10.0]], np.float32))
    assert scale.mean.tolist() == [2, 10]
    assert scale.deviation == pytest.approx(np.sqrt(2 / 3) / 2)
    np.testing.assert_allclose(scale.apply(np.array([[3.0, 9.0]])), np.array([[1, -1]]) / scale.deviation)


def test_features_that_never_vary_keep_their_unit() -> None:
    assert FeatureScaler.of(np.ones((3, 2), np.float32)).deviation == 1.0


def test_a_large_offset_takes_nothing_from_the_scale() -> None:
    """Sums in 32 bits would."""
    small = (np.random.default_rng(1).integers(0, 5, size=(3_000, 4)) / 4).astype(np.float32)
    near, far = FeatureScaler.of(small), FeatureScaler.of(small + np.float32(2**14))
    np.testing.assert_allclose(far.mean - 2**14, near.mean, atol=1e-9)
    assert far.deviation == pytest.approx(near.deviation, rel=1e-9)


@pytest.mark.parametrize("count", [0, 1, 30])
def test_a_correction_is_at_the_optimum(count: int) -> None:
    """All anchors weigh as much as all labeled texts; the penalty is on scaled features, and the bias only shifts."""
    labelled, anchors, strength = made_up(12, 1), made_up(count, 2), 3.0
    scale = FeatureScaler.of(labelled.features, anchors.features)
    found = training.correct(labelled, ALLOWED, anchors, strength, scale)

    features = np.concatenate([scale.apply(labelled.features), scale.apply(anchors.features)])
    matrix = found.weights * scale.deviation
    after = np.concatenate([labelled.logits, anchors.logits]) + features @ matrix
    corrected = np.concatenate([found.corrected(labelled), found.corrected(anchors)])
    np.testing.assert_allclose(corrected, after, atol=1e-9)
    scores = softmax(after)
    mine = scores[:12] * ALLOWED
    wanted = np.concatenate([mine / mine.sum(axis=1, keepdims=True), softmax(anchors.logits)])
    weights = np.array([1.0] * 12 + [12 / max(count, 1)] * count)
    slope = features.T @ ((scores - wanted) * weights[:, None]) + strength * matrix
    np.testing.assert_allclose(slope / weights.sum(), 0, atol=2e-4)


def objective(allowed: np.ndarray, anchors: int = 3) -> tuple[Any, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(3)
    rows = len(allowed) + anchors
    features, logits = random.normal(size=(rows, 5)).astype(np.float32), random.normal(size=(rows, 4))
    weights, targets = np.linspace(1, 2, rows), softmax(random.normal(size=(anchors, 4)))
    made = training._objective(features, logits, weights, allowed, targets, 2.0)
    return made, features, logits, weights, targets


def test_the_loss_is_the_mean_of_what_the_texts_lose_and_the_penalty() -> None:
    allowed = ALLOWED[:4]
    made, features, logits, weights, targets = objective(allowed)
    point = np.random.default_rng(4).normal(size=20)
    scores = softmax(logits + features @ point.reshape(5, 4))
    labelled = -np.log((scores[:4] * allowed).sum(axis=1))
    held = -(targets * np.log(scores[4:])).sum(axis=1)
    expected = (weights @ np.concatenate([labelled, held]) + 2.0 / 2 * point @ point) / weights.sum()
    assert made(point)[0] == pytest.approx(expected, rel=1e-6)


def test_scores_of_zero_lose_much_and_not_infinitely() -> None:
    made, features, *_ = objective(ALLOWED[:4])
    point = np.zeros((5, 4))
    point[:, 0] = 1e4 * features[0]
    value, slope = made(point.ravel())
    assert np.isfinite(value)
    assert np.isfinite(slope).all()


def test_softmax_bears_large_logits_in_each_row_of_its_own() -> None:
    logits = np.array([[1e4, 1e4 - 1, 0], [-1e4, -1e4 + 1, -2e4]])
    expected = [[1 / (1 + np.exp(-1)), 1 / (1 + np.e), 0], [1 / (1 + np.e), 1 / (1 + np.exp(-1)), 0]]
    np.testing.assert_allclose(training.softmax(logits), expected, atol=1e-12)


def test_each_fold_has_a_similar_share_of_each_label_and_is_the_same_in_each_release() -> None:
    groups = np.array([0, 1] * 10 + [2] * 7)
    order = sorted(np.random.default_rng(19).permutation(27).tolist(), key=lambda index: int(groups[index]))
    found = training.folds_of(groups)
    assert found.dtype == np.int64
    assert [int(found[index]) for index in order] == [0, 1, 2, 3, 4] * 5 + [0, 1]


def test_the_strengths_are_a_factor_of_three_apart() -> None:
    assert (training.STRENGTHS[0], training.STRENGTHS[-1]) == (100, 0.3)
    assert all(3 <= strong / weak <= 3.4 for strong, weak in pairwise(training.STRENGTHS))


@pytest.mark.parametrize("spread", [0.3, 4.0])
def test_the_strength_is_the_one_under_which_left_out_texts_are_likeliest(spread: float) -> None:
    random, anchors = np.random.default_rng(8), made_up(20, 2)
    truth = np.arange(20) % 4
    features = (np.eye(6)[truth] + spread * random.normal(size=(20, 6))).astype(np.float32)
    labelled, allowed = TextFeatures(features, np.zeros((20, 4), np.float32)), np.eye(4, dtype=bool)[truth]
    scale, folds = FeatureScaler.of(features), np.arange(20) // 4
    lost, logits = {}, {}
    for strength in (100.0, 30.0, 10.0, 3.0, 1.0, 0.3):
        logits[strength] = np.zeros((20, 4))
        for fold in range(5):
            out = folds == fold
            one = training.correct(labelled.at(~out), allowed[~out], anchors, strength, scale)
            logits[strength][out] = one.corrected(labelled.at(out))
        lost[strength] = -np.log(softmax(logits[strength])[allowed]).mean()

    strength, found = training.choose(labelled, allowed, anchors, folds, scale)

    assert strength == min(lost, key=lost.__getitem__)
    np.testing.assert_allclose(found, logits[strength])


def test_fewer_texts_than_folds_suffice() -> None:
    labelled = made_up(3, 1)
    scale = FeatureScaler.of(labelled.features)
    found = training.choose(labelled, ALLOWED[:3], made_up(4, 2), np.array([0, 1, 2]), scale)[1]
    assert np.isfinite(found).all()


@pytest.mark.parametrize(("cosine", "follows"), [(0.6, True), (0.59, False)])
def test_a_text_follows_if_it_is_as_near_as_labeled_texts_are_to_each_other(cosine: float, follows: bool) -> None:
    """Those of another label do not tell, and lengths do not count."""
    labelled = np.array([[1e-3, 0, 0], [0.6, 0.8, 0], [0, 0, 1.0]])
    other = 2**-10 * np.array([[cosine, -np.sqrt(1 - cosine**2), 0]])
    found = training.free(
        TextFeatures(labelled, labelled),
        np.array([0, 0, 1]),
        TextFeatures(other, other),
        FeatureScaler(np.zeros(3), 1.0),
    )
    assert found.tolist() == [follows]


def test_a_tenth_of_the_labeled_texts_may_be_far_from_the_others_of_their_label() -> None:
    """Nine are alike, the tenth is not: what is like the tenth does not follow."""
    near = np.stack([np.ones(10), np.linspace(0, 0.1, 10), np.zeros(10)], axis=1)
    near[-1] = [0.0, 0.0, 1.0]
    near[-1, 0] = 0.3
    others = np.array([[0.3, 0.0, -1.0], [0.5, 0.0, -0.9], [1.0, 0.05, 0.0]])
    found = training.free(
        TextFeatures(near, near), np.zeros(10, dtype=int), TextFeatures(others, others), FeatureScaler(np.zeros(3), 1.0)
    )
    assert found.tolist() == [False, False, True]


def test_a_text_without_features_has_no_direction() -> None:
    zero = TextFeatures(np.zeros((2, 3)), np.zeros((2, 3)))
    found = training.free(zero, np.zeros(2, dtype=int), zero, FeatureScaler(np.zeros(3), 1.0))
    assert found.dtype == bool
    alone = training.free(zero, np.arange(2), zero, FeatureScaler(np.zeros(3), 1.0))
    assert (alone.tolist(), alone.dtype.kind) == ([False, False], "b")


# --- the calibration rows ---------------------------------------------------------------------------------------


def base_with(rows: Calibration | None, verification: dict[str, Any]) -> artifact.Artifact:
    found = SimpleNamespace(calibration=rows, manifest=SimpleNamespace(verification=verification))
    return cast("artifact.Artifact", found)


@pytest.mark.parametrize(
    ("verification", "left"),
    [({}, [0, 1, 2]), ({"correction": {}}, [0, 1, 2]), ({"correction": {"calibrated": 2}}, [0]),
     ({"correction": {"calibrated": 5}}, [])],
)  # fmt: skip
def test_rows_that_a_correction_added_are_the_last(verification: dict[str, Any], left: list[int]) -> None:
    rows = Calibration(np.eye(3), np.arange(3))
    found = own_rows(base_with(rows, verification))
    assert found is not None
    assert (found.truth.tolist(), found.probabilities.argmax(axis=1).tolist()) == (left, left)
    assert own_rows(base_with(None, verification)) is None


def test_a_labeled_text_counts_for_the_likeliest_label_that_it_may_have() -> None:
    rows = Calibration(np.array([[1.0, 0, 0]]), np.array([0]))
    scores = np.array([[0.6, 0.1, 0.3], [0.0, 0.9, 0.1]])
    found = with_labelled(rows, scores, np.array([[False, True, True], [True, False, False]]))
    assert found is not None
    assert found.truth.tolist() == [0, 2, 0]
    assert found.probabilities.tolist() == [[1, 0, 0], *scores.tolist()]
    assert with_labelled(rows, scores[:0], np.zeros((0, 3), dtype=bool)) is rows


@pytest.mark.parametrize(("labels", "most"), [(258, 4_000), (259, 1_048_576 // 263), (1_000, 1_048_576 // 1_004)])
def test_many_labels_leave_room_for_fewer_rows(labels: int, most: int) -> None:
    rows = Calibration(np.zeros((most, labels)), np.zeros(most, dtype=int))
    assert added(rows, 10_000) == most // 4
    assert added(Calibration(rows.probabilities[1_000:], rows.truth[1_000:]), 10_000) == max(1_000, most // 4)
    assert added(rows, 3) == 3


def test_rows_are_thinned_evenly_from_the_first_to_the_last() -> None:
    rows = Calibration(np.zeros((4_000, 2)), np.arange(4_000))
    found = with_labelled(rows, np.full((2_000, 2), 0.5), np.ones((2_000, 2), dtype=bool))
    assert found is not None
    assert found.truth[:3_000].tolist() == [int(number * 3_999 / 2_999) for number in range(3_000)]
    assert len(found.truth) == len(found.probabilities) == 4_000
