"""What labels allow, and what the report on a correction says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pointsman.classify.calibration import Calibration
from pointsman.config.model import Config
from pointsman.evaluation.scheme import CategoryScheme
from pointsman.improve.labels_file import LabelledText, add_label
from pointsman.improve.texts_file import TextRecord
from pointsman_export.common.errors import FitDataError
from pointsman_export.correct.labels import allowed_labels, read
from pointsman_export.correct.levels import ThresholdChange, counted, levels
from pointsman_export.correct.report import (
    CorrectionReport,
    LabelAccuracy,
    RoutingChange,
    changes,
    judged,
    right,
    right_by_fold,
)
from support.config_files import ENDPOINTS, loaded

LABELS = ["law", "health", "math", "history", "physics", "biology", "other"]


def config_of(folder: Path, *categories: str, own: str = "") -> Config:
    """Categories, each `name: labels` with an adapter of its name, or `name=adapter: labels`."""
    split = [one.partition(": ") for one in categories]
    names = [(name.partition("=")[0], name.partition("=")[2] or name, labels) for name, _, labels in split]
    loras = ", ".join(f"{{name: {adapter}-lora}}" for adapter in dict.fromkeys(adapter for _, adapter, _ in names))
    lines = [
        f"  - {{name: {name}, mmlu_categories: [{labels}], model_scores: "
        f"[{{model: base, lora_name: {adapter}-lora, use_reasoning: false}}]}}\n"
        for name, adapter, labels in names
    ]
    models = f"model_config: {{base: {{loras: [{loras}]}}}}\ndefault_model: base\n"
    return loaded(folder, f"{ENDPOINTS}{models}categories:\n{''.join(lines)}{own}").config


def given(*labels: str) -> list[LabelledText]:
    return [LabelledText(str(number), "x", label) for number, label in enumerate(labels)]


def surely(*labels: str, score: float = 0.94) -> np.ndarray:
    """The probabilities of texts, each with one label of such a score."""
    found = np.full((len(labels), len(LABELS)), (1 - score) / (len(LABELS) - 1))
    found[range(len(labels)), [LABELS.index(label) for label in labels]] = score
    return found


# --- the labels -------------------------------------------------------------------------------------------------


def test_ten_labels_are_the_fewest(tmp_path: Path) -> None:
    path = tmp_path / "labels"
    for count in range(1, 11):
        add_label(path, LabelledText(str(count), f"text {count}", "law"))
        if count == 9:
            with pytest.raises(FitDataError) as caught:
                read(path)
            assert str(caught.value) == (
                f"{path}: has 9 labeled texts, at least 10 are needed and 40 are wanted; give more with `pointsman "
                "collect` and `pointsman label`"
            )
    assert [one.text for one in read(path)] == [f"text {count}" for count in range(1, 11)]


def test_labels_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    with pytest.raises(FitDataError, match="cannot be read"):
        read(tmp_path)


def test_a_category_allows_its_labels_and_out_of_scope_those_of_none(tmp_path: Path) -> None:
    config = config_of(tmp_path, "law: law", "science: math, physics")
    labelled = given("science", "out_of_scope", "law", "science")
    allowed, numbers = allowed_labels(config, LABELS, labelled, tmp_path)
    named = [[label for label, may in zip(LABELS, row, strict=True) if may] for row in allowed]
    assert named == [["math", "physics"], ["health", "history", "biology", "other"], ["law"], ["math", "physics"]]
    assert numbers.tolist() == [0, 1, 2, 0]


def test_out_of_scope_allows_the_labels_of_the_category_for_the_rest(tmp_path: Path) -> None:
    config = config_of(tmp_path, "law: law", "general: ")
    allowed, _ = allowed_labels(config, LABELS, given("out_of_scope", "general"), tmp_path)
    assert allowed.tolist() == [[label != "law" for label in LABELS]] * 2


def test_each_label_that_says_nothing_is_named_at_once(tmp_path: Path) -> None:
    config = config_of(tmp_path, f"law: {', '.join(LABELS)}", "empty: ")
    labelled = given("law", "cooking", "out_of_scope", "empty", "cooking")
    with pytest.raises(FitDataError) as caught:
        allowed_labels(config, LABELS, labelled, Path("l"))
    cooking, scope, empty = str(caught.value).splitlines()
    assert cooking == "l: 2 texts are labelled 'cooking', which is no category of the config; label them again"
    assert scope == (
        "l: 1 texts are labelled 'out_of_scope', but every label of the classifier belongs to a category; leave one to "
        "none, or to `general`"
    )
    assert empty == (
        "l: 1 texts are labelled 'empty', a category that covers no label of the classifier; give it some in "
        "mmlu_categories"
    )


# --- the thresholds ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("count", "enough"), [(9, False), (10, True)])
def test_ten_labels_of_a_category_count_for_its_threshold(tmp_path: Path, count: int, enough: bool) -> None:
    config = config_of(tmp_path, "law: law", "health: health", own="pointsman: {routing: {precision: 0.95}}\n")
    labelled = given(*["law"] * count, "health")
    scores = surely(*["law"] * (count - 1), "health", "law")
    assert counted(config, LABELS, labelled, scores).tolist() == [enough] * (count - 1) + [False, enough]
    before = Calibration(surely(*["law"] * 60, score=0.7), np.array([0] * 60))
    after = Calibration(surely(*["law"] * 120, score=0.7), np.array([0] * 60 + [1] * 60))
    after.probabilities[:60] = surely(*["law"] * 60, score=0.8)
    found = list(levels(config, LABELS, labelled, before, after))
    assert found == [
        ThresholdChange("law", 0.5, 0.8, count, "routing.precision", not enough),
        ThresholdChange("health", 0.5, 0.5, 1, "category_model.threshold: too few rows for routing.precision", True),
    ]


def test_without_categories_no_text_counts(tmp_path: Path) -> None:
    found = counted(loaded(tmp_path, ENDPOINTS + "model_config: {base: {}}\ndefault_model: base\n").config, LABELS,
                    given("law", "law"), surely("law", "law"))  # fmt: skip
    assert (found.tolist(), found.dtype.kind) == ([False, False], "b")


# --- what is right ----------------------------------------------------------------------------------------------


def test_a_text_is_decided_rightly_by_its_category_or_out_of_scope_by_none(tmp_path: Path) -> None:
    scheme = CategoryScheme(config_of(tmp_path, "law: law", "health: health"), LABELS)
    labelled = given("law", "law", "out_of_scope", "out_of_scope", "health")
    found = right(scheme, labelled, surely("law", "health", "math", "law", "health"), np.array([True] * 4 + [False]))
    assert (found.tolist(), found.dtype.kind) == ([True, False, True, False, False], "b")


def test_each_fold_is_judged_by_a_scheme_of_its_own(tmp_path: Path) -> None:
    config = config_of(tmp_path, "law: law", "health: health")
    strict = replace(config.classifier, category_model=replace(config.classifier.category_model, threshold=0.99))
    schemes = {0: CategoryScheme(config, LABELS), 3: CategoryScheme(replace(config, classifier=strict), LABELS)}
    scores, supported = surely("law", "law", "health", "law", "law"), np.array([True, True, True, True, False])
    labelled, folds = given(*["law"] * 5), np.array([0, 3, 0, 0, 0])
    found = right_by_fold(schemes.__getitem__, folds, labelled, scores, supported)
    assert (found.tolist(), found.dtype.kind) == ([True, False, False, True, False], "b")


def test_texts_are_counted_by_label_before_and_after() -> None:
    labelled = given("law", "art", "law", "law")
    before, after = np.array([True, False, False, False]), np.array([True, True, True, False])
    assert judged(labelled, before, after) == (LabelAccuracy("art", 1, 0, 1), LabelAccuracy("law", 3, 1, 2))


# --- what changes -----------------------------------------------------------------------------------------------


def kept(*texts: str) -> list[TextRecord]:
    return [TextRecord(text, text) for text in texts]


def test_a_change_is_another_model_with_three_texts_spread_over_all_of_it(tmp_path: Path) -> None:
    """Another category with the same model changes nothing, nor does a text in another language."""
    scheme = CategoryScheme(config_of(tmp_path, "law: law", "health: health", "rules=law: history"), LABELS)
    before = surely("math", "health", *["law"] * 9, "law")
    after = surely("health", "math", *["health"] * 7, "history", "law", "health")
    long = "x" * 1_001
    traffic = kept("a", long, *(str(number) for number in range(7)), "same model", "same", "foreign")
    supported = np.array([True] * 11 + [False])
    assert changes((scheme, scheme), traffic, before, after, supported) == (
        RoutingChange("law", "health", "health-lora", 7, ("0", "2", "4")),
        RoutingChange("(none)", "health", "health-lora", 1, ("a",)),
        RoutingChange("health", "(none)", "base", 1, ("x" * 1_000,)),
    )
    assert changes((scheme, scheme), [], before[:0], after[:0], supported[:0]) == ()


def test_each_side_of_a_change_has_its_own_thresholds(tmp_path: Path) -> None:
    config = config_of(tmp_path, "law: law")
    strict = replace(config.classifier, category_model=replace(config.classifier.category_model, threshold=0.99))
    schemes = CategoryScheme(config, LABELS), CategoryScheme(replace(config, classifier=strict), LABELS)
    scores = surely("law")
    found = changes(schemes, kept("a"), scores, scores, np.array([True]))
    assert found == (RoutingChange("law", "(none)", "base", 1, ("a",)),)


def test_the_twenty_most_frequent_changes_are_reported(tmp_path: Path) -> None:
    names = LABELS[:5]
    scheme = CategoryScheme(config_of(tmp_path, *(f"{name}: {name}" for name in names)), LABELS)
    pairs = [(one, other) for one in names for other in names if one != other] + [("law", "other"), ("other", "law")]
    pairs += pairs[-1:]
    traffic = kept(*(str(number) for number in range(len(pairs))))
    before, after = (surely(*side) for side in zip(*pairs, strict=True))
    found = changes((scheme, scheme), traffic, before, after, np.ones(len(pairs), dtype=bool))
    assert len(pairs) == 23
    assert len(found) == 20
    assert found[0] == RoutingChange("(none)", "law", "law-lora", 2, ("21", "22"))


# --- the report -------------------------------------------------------------------------------------------------


def report(**other: object) -> CorrectionReport:
    fields: dict[str, object] = {
        "base": "toy",
        "labelled": 20,
        "labels": (LabelAccuracy("law", 12, 3, 9), LabelAccuracy("out_of_scope", 8, 8, 7)),
        "levels": (
            ThresholdChange("law", 0.6, 0.714, 12, "routing.precision", few=False),
            ThresholdChange("art", 0.6, 0.6, 3, "routing.precision", few=True),
            ThresholdChange("tea", 0.5, 0.5, 3, "routing.thresholds", few=True),
            ThresholdChange("rail", 0.6, 0.6, 12, "category_model.threshold", few=False),
            ThresholdChange("horticulture", 0.6, 0.9, 12, "routing.precision is not reached", few=False),
        ),
        "calibrated": 9,
        "strength": 3.0,
        "folds": 5,
        "traffic": 1_200,
        "changes": (RoutingChange("law", "art", "art-lora", 1_000, ("one\ntwo", "w" * 50 + " " + "v" * 50)),),
        "seconds": 1.54,
    }
    return CorrectionReport(**fields | other)  # type: ignore[arg-type]


def test_the_report_as_it_is_read() -> None:
    assert report().table().split("\n") == [
        "  base        toy",
        "  labeled     20 texts, each judged by a correction that did not see it",
        "  right       11 of 20, 55 % (34 to 74) before",
        "              16 of 20, 80 % (58 to 92) after",
        "  time        1.5 s",
        "",
        "  label         texts  before  after",
        "  law              12       3      9",
        "  out_of_scope      8       8      7",
        "",
        "  threshold     before  after  labeled",
        "  law             0.60   0.71       12",
        "  art             0.60   0.60        3 (fewer than 10: by the base's rows alone)",
        "  tea             0.50   0.50        3 (set in routing.thresholds)",
        "  rail            0.60   0.60       12 (set in category_model.threshold)",
        "  horticulture    0.60   0.90       12 (routing.precision is not reached)",
        "",
        "1,000 of 1,200 stored texts would be answered by another model",
        "   1000  from law to art (art-lora)",
        "         one two",
        f"         {'w' * 50} …",
    ]


def test_the_columns_are_no_narrower_than_their_names() -> None:
    one = (ThresholdChange("art", 0.6, 0.6, 20, "routing.precision", few=False),)
    lines = report(labels=(LabelAccuracy("art", 20, 1, 2),), levels=one, changes=()).table().split("\n")
    assert [line for line in lines if "before  after" in line or " art " in line] == [
        "  label  texts  before  after",
        "  art       20       1      2",
        "  threshold  before  after  labeled",
        "  art          0.60   0.60       20",
    ]
    assert "  threshold  before  after  labeled" in report(levels=()).table()


def test_a_sample_has_a_hundred_characters() -> None:
    fits = "w" * 50 + " " + "v" * 49
    assert f"\n         {fits}" in report(changes=(RoutingChange("a", "b", "c", 1, (fits,)),)).table()


def test_twenty_changes_are_shown_and_all_are_counted() -> None:
    many = tuple(RoutingChange("law", f"to{number}", "m", 2, ()) for number in range(21))
    text = report(changes=many).table()
    assert "\n42 of 1,200 stored texts" in text
    assert "from law to to19 (m)" in text
    assert "from law to to20 (m)" not in text


@pytest.mark.parametrize(("after", "warned"), [(2, True), (3, True), (4, False)])
def test_a_correction_that_gains_nothing_is_a_warning(after: int, warned: bool) -> None:
    text = report(labels=(LabelAccuracy("law", 12, 3, after),)).table()
    said = "\nwarning: it decides no more of the labeled texts rightly: label more before you promote it"
    assert text.endswith(said) is warned


def test_the_figures_hold_numbers_and_none_of_the_texts() -> None:
    assert report().figures() == {
        "correction": {
            "labelled": 20,
            "folds": 5,
            "right_before": 11,
            "right_after": 16,
            "labels": {"law": [12, 3, 9], "out_of_scope": [8, 8, 7]},
            "l2": 3.0,
            "calibrated": 9,
        },
        "traffic": {"texts": 1_200, "changed": 1_000},
    }
