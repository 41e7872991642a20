"""Which labels a category covers."""

from __future__ import annotations

import pytest

from pointsman.config.labels import COMMON, Coverage, cover
from pointsman.config.model import Category, CategoryModel, ClassifierSection, Config, Endpoint, ModelScore
from support.config_files import LABELS


def covered(*categories: Category, fallback: str | None = None, labels: tuple[str, ...] = LABELS) -> Coverage:
    config = Config(
        vllm_endpoints=(Endpoint(name="a", address="h", port=1),),
        default_model="base",
        categories=categories,
        classifier=ClassifierSection(category_model=CategoryModel(fallback_category=fallback)),
    )
    return cover(config, labels)


def category(name: str, *mmlu: str) -> Category:
    return Category(name=name, mmlu_categories=mmlu, model_scores=(ModelScore(model="base"),))


def test_listed_labels_are_what_a_category_covers() -> None:
    """In the classifier's spelling, each once, whatever the category is called."""
    found = covered(category("law", "Computer_Science", "math", "MATH"))

    assert found.labels_of == {"law": ("computer science", "math")}
    assert found.builtin == {}


def test_labels_is_the_same_as_mmlu_categories() -> None:
    """The other name of the key."""
    other = Category(name="x", labels=("law",), model_scores=(ModelScore(model="base"),))

    assert covered(other).labels_of == {"x": ("law",)}


@pytest.mark.parametrize("name", ["computer science", "Computer Science", "computer_science", "computer-science"])
def test_a_name_that_is_a_label_covers_it(name: str) -> None:
    """Case, `_` and `-` do not matter."""
    found = covered(category(name))

    assert found.labels_of == {name: ("computer science",)}
    assert found.builtin == {}


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        ("technical", ("computer science", "engineering")),
        ("Programming", ("computer science", "engineering")),
        ("medical", ("health",)),
        ("legal", ("law",)),
        ("finance", ("business", "economics")),
        ("science", ("biology", "chemistry", "physics")),
        ("maths", ("math",)),
        ("humanities", ("history", "philosophy")),
    ],
)
def test_a_common_name_covers_what_it_means(name: str, labels: tuple[str, ...]) -> None:
    """And is reported, since the config does not say so."""
    found = covered(category(name))

    assert found.labels_of == found.builtin == {name: labels}


def test_the_table_holds_labels_and_folded_names_alone() -> None:
    """A name in another spelling could never be found, nor a label that is none."""
    assert {label for labels in COMMON.values() for label in labels} <= set(LABELS)
    assert not set(COMMON) & set(LABELS)
    assert all(name == name.lower() and "_" not in name and "-" not in name for name in COMMON)


def test_a_common_name_leaves_to_others_what_they_name() -> None:
    """`technical` is computer science alone where `engineering` is a category of its own."""
    found = covered(category("technical"), category("engineering"), category("medical"), category("x", "health"))

    assert found.labels_of["technical"] == ("computer science",)
    assert found.doubled == {}
    assert found.unreachable == ("medical",)


def test_general_covers_what_is_left() -> None:
    """Every label goes somewhere, in the classifier's order."""
    found = covered(category("general"), category("law"), category("technical"))

    assert found.labels_of["general"] == tuple(
        label for label in LABELS if label not in ("law", "computer science", "engineering")
    )
    assert (found.uncovered, found.unreachable, found.doubled) == ((), (), {})


def test_the_fallback_category_covers_what_is_left_in_place_of_general() -> None:
    """`general` is a name like another, then, and no label has it."""
    found = covered(category("other"), category("law"), category("general"), fallback="other")

    assert found.labels_of["other"] == tuple(label for label in LABELS if label != "law")
    assert found.unreachable == ("general",)


def test_a_common_name_that_is_the_fallback_needs_no_table() -> None:
    """It covers the rest, which is not a guess."""
    found = covered(category("medical"), category("law"), fallback="medical")

    assert len(found.labels_of["medical"]) == len(LABELS) - 1
    assert found.builtin == {}


def test_labels_that_general_lists_are_all_that_it_covers() -> None:
    """A list is taken at its word."""
    found = covered(category("general", "other"), category("law"))

    assert found.labels_of["general"] == ("other",)
    assert set(found.uncovered) == set(LABELS) - {"other", "law"}


def test_general_with_nothing_left_is_unreachable_unless_it_is_the_fallback() -> None:
    """The fallback is chosen for what is unsure."""
    all_taken = category("all", *LABELS)

    assert covered(all_taken, category("general")).unreachable == ("general",)
    assert covered(all_taken, category("general"), fallback="general").unreachable == ()


def test_a_category_without_a_label_is_unreachable() -> None:
    """And its labels are empty, not missing."""
    found = covered(category("poetry"))

    assert (found.labels_of, found.unreachable) == ({"poetry": ()}, ("poetry",))
    assert found.uncovered == LABELS


def test_a_label_of_two_categories_is_the_first_ones() -> None:
    """So that no sum counts it twice; both are reported."""
    found = covered(category("a", "law", "math"), category("law"), category("b", "math"))

    assert found.doubled == {"law": ("a", "law"), "math": ("a", "b")}
    assert found.labels_of == {"a": ("law", "math"), "law": (), "b": ()}


def test_labels_that_the_classifier_lacks_are_reported() -> None:
    """As the config spells them; a listed label is never replaced by the name's."""
    found = covered(category("law", "jurisprudence"), category("x", "math", "maths"))

    assert found.unknown == {"law": ("jurisprudence",), "x": ("maths",)}
    assert found.labels_of == {"law": (), "x": ("math",)}


def test_another_classifier_has_other_labels() -> None:
    """The table helps only where its labels exist."""
    found = covered(category("billing"), category("technical"), labels=("billing", "refunds"))

    assert found.labels_of == {"billing": ("billing",), "technical": ()}
    assert (found.unreachable, found.uncovered) == (("technical",), ("refunds",))


def test_a_label_of_its_own_name_comes_before_the_table() -> None:
    """A classifier may have the common name itself as a label."""
    found = covered(category("technical"), labels=("technical", "computer science"))

    assert (found.labels_of, found.builtin) == ({"technical": ("technical",)}, {})


def test_the_table_does_not_mend_a_list() -> None:
    """Labels that are listed and unknown are an error, not a reason to guess."""
    found = covered(category("legal", "jurisprudence"))

    assert (found.labels_of, found.builtin, found.unknown) == ({"legal": ()}, {}, {"legal": ("jurisprudence",)})
