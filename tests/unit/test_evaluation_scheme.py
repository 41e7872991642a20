"""What a row can be: the classifier's labels, or a config's categories chosen as the service chooses."""

from __future__ import annotations

import numpy as np
import pytest

from pointsman.classify.calibration import Calibration
from pointsman.config.model import CategoryModel, RoutingOptions
from pointsman.evaluation.metrics import Bools, Floats
from pointsman.evaluation.scheme import CategoryScheme, LabelScheme
from pointsman.routing.policy import Policy
from support.config_files import LABELS
from support.toy_config import BASE, category, config, entry


def probabilities(**shares: float) -> Floats:
    """One row; what is not named shares the rest. `_` stands for a blank."""
    named = {name.replace("_", " "): share for name, share in shares.items()}
    rest = (1 - sum(named.values())) / (len(LABELS) - len(named))
    return np.array([[named.get(label, rest) for label in LABELS]], dtype=np.float32)


def categories(**options: object) -> CategoryScheme:
    """The toy config's technical, medical and legal."""
    return CategoryScheme(config(**options), LABELS)  # type: ignore[arg-type]


def every(rows: Floats) -> Bools:
    """All rows may be in a language of the classifier."""
    return np.ones(len(rows), dtype=bool)


def caught(scheme: LabelScheme | CategoryScheme, row: Floats) -> bool:
    return bool(scheme.caught(row, scheme.chosen(row, every(row)))[0])


def name(scheme: LabelScheme | CategoryScheme, row: Floats) -> str:
    chosen: int = scheme.chosen(row, every(row))[0]
    return scheme.names[chosen]


# --- labels ----------------------------------------------------------------------------------------------------


def test_the_likeliest_label_is_chosen_however_unsure() -> None:
    assert name(LabelScheme(LABELS, None), probabilities(law=0.2)) == "law"


@pytest.mark.parametrize("label", ["computer science", "Computer Science", "COMPUTER_SCIENCE", " computer-science "])
def test_labels_are_known_without_regard_to_case(label: str) -> None:
    assert LabelScheme(LABELS, None).truth(label) == LABELS.index("computer science")
    assert LabelScheme(LABELS, None).truth("computer scientist") is None


def test_out_of_scope_is_caught_by_other_or_under_the_suggested_threshold() -> None:
    scheme = LabelScheme(LABELS, 0.7)

    assert caught(scheme, probabilities(other=0.9))
    assert caught(scheme, probabilities(law=0.69))
    assert not caught(scheme, probabilities(law=0.71))


def test_without_a_suggested_threshold_it_is_the_configs_default() -> None:
    assert LabelScheme(LABELS, None).threshold == 0.5 == CategoryModel().threshold


def test_a_classifier_without_other_catches_by_the_threshold_alone() -> None:
    scheme, rows = LabelScheme(("law", "health"), 0.6), np.array([[0.5, 0.5], [0.9, 0.1]])

    assert scheme.caught(rows, scheme.chosen(rows, every(rows))).tolist() == [True, False]


def test_a_label_is_chosen_in_any_language_as_no_route_depends_on_it() -> None:
    scheme, row, foreign = LabelScheme(LABELS, None), probabilities(law=0.9), np.array([False])
    assert scheme.names[scheme.chosen(row, foreign)[0]] == "law"
    assert not scheme.caught(row, scheme.chosen(row, foreign))[0]


# --- categories ------------------------------------------------------------------------------------------------


def test_categories_are_scored_and_chosen_as_the_policy_does() -> None:
    made = config(threshold=0.4, fallback="legal")
    scheme, policy = CategoryScheme(made, LABELS), Policy(made, LABELS)
    random = np.random.default_rng(5)
    rows = random.dirichlet(np.full(len(LABELS), 0.3), 500)

    for row, scores, chosen in zip(rows.tolist(), scheme.scores(rows), scheme.chosen(rows, every(rows)), strict=True):
        assert scores.tolist() == list(policy.scores(row).values())
        assert scheme.names[chosen] == policy.choose(row, None).category


def test_categories_are_chosen_from_the_thresholds_that_a_stated_precision_gives() -> None:
    """100 rows at 0.8 and 0.7, of which only those at 0.8 are right."""
    law, other = LABELS.index("law"), LABELS.index("other")
    said = np.zeros((100, len(LABELS)))
    said[:, law], said[:, other] = np.repeat([0.8, 0.7], 50), np.repeat([0.2, 0.3], 50)
    scheme = CategoryScheme(
        config(routing=RoutingOptions(precision=0.95)), LABELS, Calibration(said, np.repeat([law, other], 50))
    )

    assert scheme.min_confidences == pytest.approx((0.6, 0.6, 0.8))
    assert (name(scheme, probabilities(law=0.75)), name(scheme, probabilities(law=0.85))) == ("(none)", "legal")


def test_under_the_threshold_the_fallback_category_answers_or_none() -> None:
    unsure = probabilities(law=0.5)

    assert name(categories(), unsure) == "(none)"
    assert name(categories(fallback="medical"), unsure) == "medical"
    assert "(none)" not in categories(fallback="medical").names


def test_a_label_of_the_classifier_means_the_category_that_covers_it() -> None:
    """What none covers means the fallback."""
    scheme = categories()

    meant = {label: scheme.names[scheme.truth(label) or 0] for label in ("Engineering", "health", "Legal", "math")}
    assert meant == {"Engineering": "technical", "health": "medical", "Legal": "legal", "math": "(none)"}
    assert scheme.truth("nonsense") is None


def test_a_category_goes_before_a_label_of_the_same_name() -> None:
    made = config(category("law", labels=("health",)), category("rights", labels=("law",)))
    scheme = CategoryScheme(made, LABELS)

    assert scheme.names[scheme.truth("law") or 0] == "law"


def test_out_of_scope_is_caught_by_the_fallback_and_by_the_category_of_the_rest() -> None:
    scheme = CategoryScheme(config(category("technical"), category("general")), LABELS)

    rows = np.concatenate([probabilities(other=0.9), probabilities(math=0.9), probabilities(law=0.3), probabilities()])
    assert scheme.caught(rows, scheme.chosen(rows, every(rows))).tolist() == [True, True, True, True]
    assert not caught(scheme, probabilities(engineering=0.9))
    assert scheme.outside == ("general", "(none)")


def test_each_class_has_the_model_that_answers_it() -> None:
    scheme = CategoryScheme(config(category("technical"), category("general", entry(None))), LABELS)

    assert dict(zip(scheme.names, scheme.models(), strict=True)) == {
        "technical": "technical-lora",
        "general": BASE,
        "(none)": BASE,
    }


@pytest.mark.parametrize(("fallback", "chosen"), [(None, "(none)"), ("legal", "legal")])
def test_what_is_in_another_language_gets_the_fallback_as_in_the_service(fallback: str | None, chosen: str) -> None:
    scheme, rows = categories(fallback=fallback), np.repeat(probabilities(computer_science=0.9), 2, axis=0)
    found = scheme.chosen(rows, np.array([True, False]))
    assert [scheme.names[each] for each in found] == ["technical", chosen]
    assert scheme.caught(rows, found).tolist() == [False, True]
