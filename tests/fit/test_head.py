"""The logistic regression and its cross-validation, on numbers whose answer is known."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from pointsman.classify.regression import minimise
from pointsman.evaluation.calibration import fit_temperature, negative_log_likelihood
from pointsman_export.fit.head import _loss, fit_heads
from pointsman_export.fit.validation import STRENGTHS, choose, cross_validate, fold_numbers


def clusters(rows: int, labels: int, width: int, spread: float) -> tuple[Any, Any]:
    """Points around one centre for each label."""
    random = np.random.default_rng(3)
    truth = np.arange(rows) % labels
    centres = random.normal(size=(labels, width))
    return (centres[truth] + spread * random.normal(size=(rows, width))).astype(np.float32), truth


def test_lbfgs_finds_the_minimum_of_a_bent_valley() -> None:
    """A quadratic whose axes differ by 1,000 in steepness."""
    steepness = np.logspace(0, 3, 20)
    centre = np.linspace(-1, 1, 20)

    found = minimise(
        lambda point: (float(steepness @ (point - centre) ** 2), 2 * steepness * (point - centre)), np.zeros(20)
    )

    np.testing.assert_allclose(found, centre, atol=1e-4)


def test_the_head_is_at_the_optimum() -> None:
    """Its loss has no slope there: mean error times scaled feature plus penalty is zero for each weight."""
    features, truth = clusters(120, 3, 8, spread=2.0)
    strength = 10.0
    head = fit_heads(features, truth, 3, [strength])[0]

    logits = head.logits(features)
    scores = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    scale = features.std(axis=0, dtype=np.float64).mean()
    standard = (features - features.mean(axis=0, dtype=np.float64)) / scale
    error = (scores - np.eye(3)[truth]) / len(truth)

    np.testing.assert_allclose(error.T @ standard + strength / len(truth) * head.weights * scale, 0, atol=2e-4)
    np.testing.assert_allclose(error.sum(axis=0), 0, atol=2e-4)


def test_the_unit_of_the_features_does_not_matter() -> None:
    """They are scaled before and the head is scaled back after, so that a strength fits every encoder."""
    features, truth = clusters(90, 3, 6, spread=2.0)
    moved = features * 70 + np.array([0, -30, 0, 100, 1, 0], dtype=np.float32)

    one = fit_heads(features, truth, 3, [3.0])[0].logits(features)
    other = fit_heads(moved, truth, 3, [3.0])[0].logits(moved)

    np.testing.assert_allclose(one, other, atol=0.01)


def test_a_feature_that_varies_more_counts_more() -> None:
    """Two features tell the labels equally well; the penalty holds back the smaller one."""
    truth = np.arange(60) % 2
    features = np.stack([truth, truth * 0.1], axis=1).astype(np.float32)

    [first, second] = fit_heads(features, truth, 2, [1.0])[0].weights[1] * (1, 0.1)

    assert first > 50 * second


def test_a_feature_that_never_changes_is_no_fault() -> None:
    features, truth = clusters(60, 2, 4, spread=1.0)
    features[:, 1] = 7.0

    head = fit_heads(features, truth, 2, [1.0])[0]

    assert np.isfinite(head.logits(features)).all()


def test_features_of_which_none_changes_give_the_shares_of_the_labels() -> None:
    truth = np.array([0, 0, 0, 1])

    head = fit_heads(np.full((4, 3), 7, np.float32), truth, 2, [1.0])[0]

    assert not head.weights.any()
    assert np.exp(head.bias[0] - head.bias[1]) == pytest.approx(3, rel=0.01)


def test_a_large_offset_takes_nothing_from_the_scale() -> None:
    """Sums in 32 bits would."""
    random = np.random.default_rng(1)
    truth = np.arange(3_000) % 2
    near = ((random.integers(0, 5, size=(3_000, 4)) + truth[:, None]) / 4).astype(np.float32)

    one, other = (fit_heads(features, truth, 2, [1000.0])[0].weights for features in (near, near + np.float32(2**14)))

    np.testing.assert_allclose(one, other, rtol=1e-3)


def loss(features: Any, targets: Any, point: Any) -> float:
    """The mean of the rows' negative log-likelihoods, and a penalty of 0.3 without the bias."""
    weights, bias = point.reshape(3, 5)[:, :4], point.reshape(3, 5)[:, 4]
    logits = features @ weights.T + bias
    lost = np.log(np.exp(logits).sum(axis=1)) - (logits * targets).sum(axis=1)
    return float(lost.mean() + 0.3 / 2 * (weights**2).sum())


def test_the_loss_and_its_slope() -> None:
    random = np.random.default_rng(2)
    features, targets, point = random.normal(size=(7, 4)), np.eye(3)[np.arange(7) % 3], random.normal(size=15)

    value, slope = _loss(features.astype(np.float32), targets, 0.3)(point)

    assert value == pytest.approx(loss(features, targets, point), rel=1e-6)
    steps = 1e-5 * np.eye(15)
    expected = [
        (loss(features, targets, point + step) - loss(features, targets, point - step)) / 2e-5 for step in steps
    ]
    np.testing.assert_allclose(slope, expected, atol=1e-5)


def test_the_loss_bears_logits_of_any_size_in_each_row() -> None:
    """Both rows are surely right; the second's logits are far below the first's."""
    features, targets = np.array([[1.0], [-1.0]], np.float32), np.eye(2)[[0, 0]]

    value, slope = _loss(features, targets, 0.0)(np.array([5e3, 6e3, 5e3, -6e3]))

    assert value == 0
    assert not slope.any()


def test_strengths_keep_their_order() -> None:
    """A weaker penalty gives greater weights."""
    features, truth = clusters(90, 3, 6, spread=1.0)

    sizes = [
        np.abs(head.weights).sum()
        for head in fit_heads(features, truth, 3, (1000.0, 300.0, 100.0, 30.0, 10.0, 3.0, 1.0))
    ]

    assert sizes == sorted(sizes)


def test_folds_have_a_like_share_of_every_label() -> None:
    """Every label is in every fold, five rows of it sufficing, and the folds are equal within one row."""
    truth = np.repeat([0, 1, 2], [5, 23, 60])
    numbers = fold_numbers(truth, 5, np.random.default_rng(1))

    counts = np.array([[(numbers[truth == label] == fold).sum() for fold in range(5)] for label in range(3)])

    assert counts[0].tolist() == [1] * 5
    assert (counts.max(axis=1) - counts.min(axis=1)).max() <= 1
    assert np.ptp(counts.sum(axis=0)) <= 1


def test_folds_are_the_same_in_each_release() -> None:
    """Rows of a label keep the order of the draw, however the sort works on this CPU."""
    truth = np.arange(200) % 3
    order = sorted(np.random.default_rng(1).permutation(200).tolist(), key=lambda row: int(truth[row]))

    numbers = fold_numbers(truth, 5, np.random.default_rng(1))

    assert numbers.dtype == np.int64
    assert [int(numbers[row]) for row in order] == [position % 5 for position in range(200)]


def test_the_strengths_are_a_factor_of_three_apart() -> None:
    assert (STRENGTHS[0], STRENGTHS[-1]) == (1000, 1)
    assert all(3 <= strong / weak <= 3.4 for strong, weak in pairwise(STRENGTHS))


@pytest.mark.parametrize("spread", [0.5, 3.0])
def test_the_strength_is_the_one_under_which_left_out_rows_are_likeliest(spread: float) -> None:
    """Each at its own temperature; the folds are the same in each release."""
    features, truth = clusters(60, 3, 6, spread)
    numbers, logits = fold_numbers(truth, 5, np.random.default_rng(20)), np.empty((7, 60, 3))
    for number in range(5):
        out = numbers == number
        for index, head in enumerate(fit_heads(features[~out], truth[~out], 3, STRENGTHS)):
            logits[index, out] = head.logits(features[out])
    lost = [negative_log_likelihood(one / fit_temperature(one, truth), truth) for one in logits]
    best = lost.index(min(lost))

    found = choose(features, truth, 3)

    assert found.strength == STRENGTHS[best]
    np.testing.assert_allclose(found.logits, logits[best])


def test_each_row_is_predicted_by_heads_that_did_not_see_it() -> None:
    """The strength is chosen within four fifths of the rows, and a half of these make the second head."""
    features, truth = clusters(60, 3, 6, spread=3.0)
    numbers, whole, halves = fold_numbers(truth, 5, np.random.default_rng(21)), truth.copy(), truth.copy()
    for number in range(5):
        out = numbers == number
        seen, known = features[~out], truth[~out]
        half = fold_numbers(known, 2, np.random.default_rng(22)) == 0
        strength = choose(seen, known, 3, 4).strength
        whole[out] = fit_heads(seen, known, 3, [strength])[0].logits(features[out]).argmax(axis=1)
        halves[out] = fit_heads(seen[half], known[half], 3, [strength])[0].logits(features[out]).argmax(axis=1)

    found = cross_validate(features, truth, 3, 1.0, lambda _: None)

    assert found.predicted.tolist() == whole.tolist()
    assert found.by_half.tolist() == halves.tolist()


def test_noise_gets_a_stronger_penalty_than_clear_clusters() -> None:
    clear, truth = clusters(120, 3, 10, spread=0.3)
    noise, _ = clusters(120, 3, 10, spread=30.0)

    assert choose(clear, truth, 3).strength < choose(noise, truth, 3).strength


def test_labels_without_meaning_are_not_flattered() -> None:
    """With more features than rows a head fits anything; on rows left out it is no better than chance."""
    random = np.random.default_rng(11)
    features, truth = random.normal(size=(100, 200)).astype(np.float32), np.arange(100) % 2

    predicted = cross_validate(features, truth, 2, 1.0, lambda _: None).predicted

    assert (fit_heads(features, truth, 2, [1.0])[0].logits(features).argmax(axis=1) == truth).all()
    assert 0.3 < (predicted == truth).mean() < 0.7


@pytest.mark.parametrize("rows", [10, 11, 19])
def test_five_rows_a_label_suffice(rows: int) -> None:
    """The fewest that are let in reach every fold and every half."""
    features, truth = clusters(rows, 2, 8, spread=0.2)
    done: list[int] = []

    found = cross_validate(features, truth, 2, 1.0, done.append)

    assert done == [1, 2, 3, 4, 5]
    assert (found.predicted == truth).all()


@pytest.mark.parametrize(("rows", "right"), [(1999, 1.0), (2000, 2 / 3)])
def test_with_2000_rows_the_strength_is_chosen_once(rows: int, right: float) -> None:
    """All have the given one, here so strong that the more frequent label wins; with fewer rows, each fold chooses."""
    features, cluster = clusters(rows, 3, 4, spread=0.2)
    truth = cluster // 2

    predicted = cross_validate(features, truth, 2, 1e12, lambda _: None).predicted

    assert (predicted == truth).mean() == pytest.approx(right, abs=0.05)
