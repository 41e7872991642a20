"""The threshold of each category, fitted on the rows that an artifact was calibrated on."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from pointsman.classify.calibration import Calibration, encode
from pointsman.classify.manifest import CALIBRATION
from pointsman.cli.main import main
from pointsman.config.model import Config, RoutingOptions
from pointsman.routing.thresholds import (
    Threshold,
    ThresholdCounts,
    ThresholdOrigin,
    expected_confidence,
    suggest_threshold,
    thresholds,
)
from support import toy_artifact
from support.config_files import LABELS as FOURTEEN
from support.config_files import MINIMAL, write
from support.config_files import category as written
from support.toy_config import category, config, entry

LABELS = ("computer science", "engineering", "health", "law", "other")
CODE, BUILDING, HEALTH, LAW, OTHER = range(5)


def rows(*said: tuple[int, float, int], times: int = 1) -> Calibration:
    """Rows as the likeliest label, its probability and the true label; the rest of the probability is that of other."""
    probabilities = np.zeros((len(said) * times, len(LABELS)))
    for row, (likeliest, share, _) in zip(probabilities, said * times, strict=True):
        row[likeliest] = share
        row[OTHER] += 1 - share
    return Calibration(probabilities, np.array([truth for _, _, truth in said] * times))


def ladder(label: int, right: int, wrong: int, truth: int = OTHER) -> list[tuple[int, float, int]]:
    """Rows that are right, from 0.99 down to 0.75, and below them, to 0.65, rows of another label."""
    above = [(label, share, label) for share in np.linspace(0.99, 0.75, right)]
    return above + [(label, share, truth) for share in np.linspace(0.7, 0.65, wrong)]


MINE = {CODE: "technical", HEALTH: "medical"}


def precise(precision: float | None = 0.95, **given: float) -> RoutingOptions:
    """A stated precision, and thresholds of their own."""
    return RoutingOptions(precision=precision, thresholds=given)


def found(calibration: Calibration | None, made: Config | None = None) -> dict[str, Threshold]:
    return thresholds(made or config(routing=precise()), LABELS, calibration)


@pytest.mark.parametrize("common", [0.3, 0.5, 0.9])
def test_without_a_stated_precision_the_common_threshold_is_that_of_each_category(common: float) -> None:
    """However wrong the rows that reach it are."""
    said = rows(*ladder(HEALTH, 57, 400), *ladder(LAW, 57, 400))
    both = found(said, config(threshold=common, routing=precise(None, legal=0.7)))
    assert (both["medical"].value, both["medical"].origin) == (common, ThresholdOrigin.COMMON)
    assert (both["legal"].value, both["legal"].origin) == (0.7, ThresholdOrigin.GIVEN)


def test_a_threshold_is_the_lowest_that_is_right_for_95_of_100_rows_at_or_above_it() -> None:
    """57 right rows, and 3 of the 40 wrong ones below them: 57 of 60 are 0.95, 57 of 61 are 0.934."""
    calibration = rows(*ladder(HEALTH, 57, 40))
    third_wrong = np.linspace(0.7, 0.65, 40)[2]

    threshold = found(calibration)["medical"]

    assert threshold.value == pytest.approx(third_wrong, abs=1e-4)
    assert threshold.value <= third_wrong
    assert (threshold.origin, threshold.measured) == (ThresholdOrigin.FITTED, ThresholdCounts(57, 60, 57))


@pytest.mark.parametrize(
    "truth",
    [
        pytest.param(LAW, id="another category's"),
        pytest.param(OTHER, id="that of no category"),
        pytest.param(-1, id="none of the classifier's"),
    ],
)
def test_rows_of_any_other_label_count_against_a_category(truth: int) -> None:
    measured = [found(rows(*ladder(label, 57, 40, truth)))[name].measured for label, name in MINE.items()]
    assert measured == [ThresholdCounts(57, 60, 57)] * 2


def test_each_label_of_a_category_is_right_and_its_scores_are_summed() -> None:
    """Confusions within a category cost nothing."""
    said = np.array([[0.45, 0.45, 0.1, 0.0, 0.0]] * 40)
    threshold = found(Calibration(said, np.array([CODE, BUILDING] * 20)), config(threshold=0.8, routing=precise()))[
        "technical"
    ]
    assert threshold == Threshold(0.8, ThresholdOrigin.FITTED, ThresholdCounts(40, 40, 40))


def test_only_rows_that_would_choose_the_category_count() -> None:
    """Those with a higher score for another one are no matter of its precision."""
    calibration = rows(*ladder(HEALTH, 40, 0), *ladder(LAW, 40, 0))
    assert found(calibration)["medical"].measured == ThresholdCounts(40, 40, 40)


@pytest.mark.parametrize("lower", [0.0, 0.6, 0.72])
def test_the_common_threshold_stays_where_it_has_the_precision(lower: float) -> None:
    threshold = found(rows(*ladder(LAW, 50, 1)), config(threshold=lower, routing=precise()))["legal"]
    assert (threshold.value, threshold.origin) == (lower, ThresholdOrigin.FITTED)


def test_rows_below_the_common_threshold_do_not_count() -> None:
    """A precision that a lower threshold would have does not make up for the rows above the bound."""
    wrong_above = [(LAW, 0.97, HEALTH)] * 10 + [(LAW, 0.95, LAW)] * 60 + [(LAW, 0.5, LAW)] * 1000
    below, above = (
        found(rows(*wrong_above), config(threshold=lower, routing=precise()))["legal"] for lower in (0.4, 0.9)
    )
    assert (below.value, below.origin) == (0.4, ThresholdOrigin.FITTED)
    assert (above.value, above.origin) == (0.9, ThresholdOrigin.NOT_REACHED)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        pytest.param(
            [(LAW, 0.9, LAW)] * 29,
            Threshold(0.6, ThresholdOrigin.FEW_ROWS, ThresholdCounts(29, 29, 29)),
            id="29 rows prove nothing",
        ),
        pytest.param(
            [(LAW, 0.9, LAW)] * 30, Threshold(0.6, ThresholdOrigin.FITTED, ThresholdCounts(30, 30, 30)), id="30 rows do"
        ),
        pytest.param(
            [(LAW, 0.9, LAW)] * 29 + [(LAW, 0.5, LAW)] * 50,
            Threshold(0.6, ThresholdOrigin.FEW_ROWS, ThresholdCounts(79, 29, 29)),
            id="rows below the bound are none",
        ),
        pytest.param(
            [(LAW, 0.9, LAW), (LAW, 0.9, HEALTH)] * 40,
            Threshold(0.6, ThresholdOrigin.NOT_REACHED, ThresholdCounts(40, 80, 40)),
            id="half are wrong at any threshold",
        ),
        pytest.param(
            [(LAW, 0.9, LAW)] * 32 + [(LAW, 0.9, HEALTH)] * 8 + [(LAW, 0.8, LAW), (LAW, 0.8, HEALTH)] * 40,
            Threshold(0.9, ThresholdOrigin.NOT_REACHED, ThresholdCounts(72, 40, 32)),
            id="the most precise one of those that 30 rows reach",
        ),
        pytest.param(
            [(LAW, 0.95, LAW)] * 29 + [(LAW, 0.9, HEALTH)] * 11 + [(LAW, 0.8, HEALTH)] * 40,
            Threshold(0.9, ThresholdOrigin.NOT_REACHED, ThresholdCounts(29, 40, 29)),
            id="29 rows prove nothing of it",
        ),
        pytest.param(
            [(HEALTH, 0.9, HEALTH)] * 40,
            Threshold(0.6, ThresholdOrigin.FEW_ROWS, ThresholdCounts(0, 0, 0)),
            id="no row is its",
        ),
    ],
)
def test_what_the_rows_cannot_tell_leaves_the_common_threshold(
    said: list[tuple[int, float, int]], expected: Threshold
) -> None:
    """From 30 rows on they tell. Else a new classifier would switch an adapter off; `check` warns."""
    assert found(rows(*said))["legal"] == expected


@pytest.mark.parametrize("value", [0.1, 0.9, 1.0])
def test_the_configs_own_threshold_of_a_category_goes_before_all_others(value: float) -> None:
    """It may be below the common one, too."""
    threshold = found(rows(*ladder(LAW, 50, 50)), config(routing=precise(legal=value)))["legal"]
    assert (threshold.value, threshold.origin) == (value, ThresholdOrigin.GIVEN)
    assert threshold.measured is not None


@pytest.mark.parametrize(
    "made",
    [
        pytest.param(
            config(category("legal", entry()), category("medical"), routing=precise()),
            id="the default model answers it",
        ),
        pytest.param(
            config(category("legal"), category("medical"), fallback="legal", routing=precise()), id="it is the fallback"
        ),
    ],
)
def test_where_no_adapter_depends_on_it_the_common_threshold_is_enough(made: Config) -> None:
    calibration = rows(*ladder(LAW, 60, 40), *ladder(HEALTH, 60, 40))
    both = found(calibration, made)
    assert (both["legal"].value, both["legal"].origin) == (0.6, ThresholdOrigin.COMMON)
    assert both["medical"].origin is ThresholdOrigin.FITTED
    assert both["medical"].value > 0.6


def test_a_category_without_labels_is_not_fitted() -> None:
    made = config(category("legal"), category("nothing"), routing=precise())
    assert found(rows(*ladder(LAW, 50, 0)), made)["nothing"].origin is ThresholdOrigin.COMMON


def test_a_score_that_misses_1_by_a_rounding_error_can_reach_every_fitted_threshold() -> None:
    sure = [(LAW, 1.0, LAW)] * 40 + [(LAW, 0.999, HEALTH)] * 40
    value = found(rows(*sure))["legal"].value
    assert 0.999 < value < 0.99999


def test_without_calibration_rows_each_category_has_the_configs_threshold() -> None:
    made = config(threshold=0.7, routing=precise(legal=0.9))
    lower = Threshold(0.7, ThresholdOrigin.COMMON)
    assert found(None, made) == {"technical": lower, "medical": lower, "legal": Threshold(0.9, ThresholdOrigin.GIVEN)}


def test_without_categories_there_is_nothing_to_fit() -> None:
    made = config()
    without = Config(vllm_endpoints=made.vllm_endpoints, default_model=made.default_model)
    assert found(rows(*ladder(LAW, 50, 0)), without) == {}


def test_no_lower_threshold_has_the_precision_on_random_rows() -> None:
    """Counted for each threshold from the common one on, in steps of 0.0001."""
    random = np.random.default_rng(7)
    probabilities = random.dirichlet(np.full(5, 0.15), 1500)
    truth = np.array([random.choice(5, p=row**2 / (row**2).sum()) for row in probabilities])
    owner = np.array([0, 0, 1, 2, -1])[truth]
    scores = np.stack([probabilities[:, :2].sum(axis=1), probabilities[:, 2], probabilities[:, 3]], axis=1)

    for position, threshold in enumerate(
        found(Calibration(probabilities, truth), config(threshold=0.3, routing=precise())).values()
    ):
        mine = scores.argmax(axis=1) == position
        score, right = np.floor(scores[mine, position] * 10_000) / 10_000, owner[mine] == position
        steps = np.arange(3000, 10_000) / 10_000
        good = next(step for step in steps if (score >= step).sum() >= 30 and right[score >= step].mean() >= 0.95)
        assert threshold.origin is ThresholdOrigin.FITTED
        assert threshold.value > 0.3
        # Below the lowest row that passes, the same rows pass down to the next row.
        assert right[score >= threshold.value].tolist() == right[score >= good].tolist()


# --- where it is loaded ----------------------------------------------------------------------------------------


def written_config(folder: Path, *, calibrated: bool, precise: bool) -> Path:
    """A config with an artifact; of its rows, those for law at 0.99 are right, and those at 0.7 are wrong."""
    law, other = FOURTEEN.index("law"), FOURTEEN.index("other")
    probabilities = np.zeros((100, 14))
    probabilities[:, law], probabilities[:, other] = np.repeat([0.99, 0.7], 50), np.repeat([0.01, 0.3], 50)
    contents = {CALIBRATION: encode(probabilities, np.repeat([law, other], 50))} if calibrated else {}
    toy_artifact.build_measured(folder / "artifact", contents)
    model = "classifier: {category_model: {model_id: artifact, threshold: 0.4}}\ncategories:\n"
    adapter = written("law").replace("model: base\n", "model: base\n        lora_name: law-lora\n")
    routing = "pointsman: {routing: {precision: 0.95}}\n" if precise else ""
    return write(folder, MINIMAL + model + adapter + written("health") + routing)


@pytest.mark.parametrize(
    ("calibrated", "precise", "model", "threshold", "origin"),
    [
        (True, False, "law-lora", 0.4, "category_model.threshold"),
        (False, True, "law-lora", 0.4, "category_model.threshold"),
        (True, True, "base", pytest.approx(0.99, abs=0.002), "routing.precision"),
    ],
)
def test_a_config_is_loaded_with_its_thresholds(
    tmp_path: Path,
    calibrated: bool,
    precise: bool,
    model: str,
    threshold: float,
    origin: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """By explain, as by the service, and by eval. Two labels, law and health, have 0.5 each."""
    path, rows = written_config(tmp_path, calibrated=calibrated, precise=precise), tmp_path / "rows.jsonl"
    rows.write_text('{"text": "landlord blood", "label": "law"}\n')

    assert main(["explain", "landlord blood", "--offline", "--json", "--config", str(path)]) == 0
    decision = json.loads(capsys.readouterr().out)["decision"]
    assert main(["eval", str(tmp_path / "artifact"), str(rows), "--config", str(path), "--json", f"{rows}.json"]) == 0
    report = json.loads((tmp_path / "rows.jsonl.json").read_text())

    missed = {"category": "law", "threshold": threshold} if model == "base" else None
    assert (decision["model"], decision["threshold"], decision["missed"]) == (model, threshold, missed)
    assert decision["threshold_origin"] == origin
    assert report["judged"]["accuracy"]["part"] == (0 if missed else 1)
    assert report["passed"]["law"]["threshold"] == decision["threshold"]


# --- the lowest threshold of any scores ------------------------------------------------------------------------


def test_the_expected_confidence_is_the_mean_score_of_the_winning_categories() -> None:
    """Whether they are right does not matter, nor whether they reach a threshold."""
    said = np.array([[0.4, 0.3, 0.2, 0.0, 0.1], [0.1, 0.0, 0.5, 0.0, 0.4]])
    calibration = Calibration(said, np.array([CODE, OTHER]))

    assert expected_confidence(config(), LABELS, calibration) == pytest.approx(0.6)
    assert expected_confidence(config(), LABELS, None) is None


def test_the_threshold_is_the_lowest_that_gives_the_precision() -> None:
    """100 rows from 1.00 down to 0.01; the upper 60 are right: 60 of 66 are 0.909, 60 of 67 are 0.896."""
    confidence = np.arange(100, 0, -1) / 100
    correct = np.arange(100) < 60

    assert suggest_threshold(confidence, correct, 0.9) == pytest.approx(0.35)
    assert (correct[confidence >= 0.35].mean(), correct[confidence >= 0.34].mean()) == (60 / 66, 60 / 67)


def test_rows_of_one_confidence_are_above_a_threshold_together() -> None:
    """The first 40 of 80 rows are right, but no threshold tells them from the others."""
    assert suggest_threshold(np.full(80, 0.7), np.arange(80) < 40, 0.9) is None
    assert suggest_threshold(np.full(80, 0.7), np.arange(80) < 40, 0.5) == 0.7


def test_a_few_rows_prove_no_precision() -> None:
    sure = np.linspace(0.9, 1.0, 30)
    right = np.ones(30, dtype=bool)

    assert suggest_threshold(sure, right, 0.9) == 0.9
    assert suggest_threshold(sure[1:], right[1:], 0.9) is None


def test_there_is_no_threshold_for_a_precision_that_is_never_reached() -> None:
    assert suggest_threshold(np.linspace(0, 1, 200), np.arange(200) % 2 == 0, 0.9) is None
    assert suggest_threshold(np.empty(0), np.empty(0, dtype=bool), 0.9) is None
