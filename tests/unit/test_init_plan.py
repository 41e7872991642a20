"""`pointsman init`: which adapter is for which labels, by its name and path, and how any other is described."""

from __future__ import annotations

import pytest

from pointsman.cli.init.card import Card
from pointsman.cli.init.plan import InitPlan, TextCategory, describe, plan
from pointsman.cli.init.served import Adapter, VllmInventory
from support.config_files import LABELS

BASE = "base-model"


def planned(*adapters: tuple[str, str | None], base: str = BASE, root: str | None = None) -> InitPlan:
    return plan(VllmInventory(None, {base: root}, tuple(Adapter(name, base, path) for name, path in adapters)), LABELS)


def labels_of(name: str, path: str | None = None, *, root: str | None = None) -> tuple[str, ...]:
    """The labels of a single adapter; empty where nothing tells its domain."""
    found = planned((name, path), root=root)
    return found.categories[0].labels if found.categories else ()


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        ("law", ("law",)),
        ("legal-lora", ("law",)),
        ("MedicalLoRA", ("health",)),
        ("my_medical_adapter_v2", ("health",)),
        ("math7b", ("math",)),
        ("computer-science", ("computer science",)),
        ("code.lora", ("computer science", "engineering")),
        ("mental-health", ("psychology",)),  # not `health`: the longest phrase counts
        ("math-physics-lora", ("math", "physics")),
        ("science", ("biology", "chemistry", "physics")),
        ("chat", ("other",)),
        ("ChatLoRA_v2", ("other",)),
        ("general-chat-assistant", ("other",)),
        ("agronomy-chat-v3", ()),  # about that, and not for all the rest
        ("legal-chat", ("law",)),
        ("lawnmower", ()),
        ("extra-lora", ()),
        ("adapter-7", ()),
        ("", ()),
        ("法律", ()),
    ],
)
def test_the_name_tells_the_domain(name: str, labels: tuple[str, ...]) -> None:
    assert labels_of(name) == labels


@pytest.mark.parametrize(
    ("path", "labels"),
    [
        ("/models/loras/medical", ("health",)),
        ("/models/loras/legal/v3", ("law",)),
        ("org/llama-math-lora", ("math",)),
        ("/srv/medical/loras/x", ()),  # of the host, not of the adapter
        ("/", ()),
    ],
)
def test_the_end_of_the_path_tells_it_where_the_name_does_not(path: str, labels: tuple[str, ...]) -> None:
    assert labels_of("adapter-7", path) == labels


def test_the_name_wins_over_the_path() -> None:
    assert labels_of("legal", "/models/medical") == ("law",)


def test_words_of_the_base_model_tell_nothing_of_its_adapters() -> None:
    assert labels_of("gemma-9b-it-medical", root="google/gemma-9b-it") == ("health",)
    assert labels_of("gemma-9b-it-x", root="google/gemma-9b-it") == ()


def test_a_label_is_one_adapters_and_the_narrower_domain_has_it() -> None:
    found = planned(("science", None), ("physics", None))

    assert {category.name: category.labels for category in found.categories} == {
        "science": ("biology", "chemistry"),
        "physics": ("physics",),
    }


def test_a_second_adapter_of_a_domain_stands_beside_the_first() -> None:
    found = planned(("medical", None), ("clinical", None), ("medical-v2", None))

    (category,) = found.categories
    assert (category.name, category.adapter.name) == ("medical", "medical")
    assert [adapter.name for adapter in category.others] == ["clinical", "medical-v2"]
    assert found.unknown == ()


def test_what_no_label_tells_is_unknown() -> None:
    found = planned(("extra", None), ("law", None))

    assert [adapter.name for adapter in found.unknown] == ["extra"]


def test_the_order_is_that_of_vllm() -> None:
    found = planned(("stem", None), ("law", None), ("math", None))

    assert [category.adapter.name for category in found.categories] == ["stem", "law", "math"]


# --- descriptions --------------------------------------------------------------------------------------------------


def described(*names: str, base: str = BASE, **cards: str) -> list[TextCategory]:
    adapters = [Adapter(name, base, None) for name in names]
    return list(describe(adapters, {name: Card(text, "") for name, text in cards.items()}, LABELS, ["taken"]))


def test_the_card_describes_an_adapter_and_else_its_name_does() -> None:
    found = described("sql", "captain", sql="Writes SQL.", captain="")

    assert [(one.description, one.guessed) for one in found] == [("Writes SQL.", False), ("captain", True)]


@pytest.mark.parametrize(
    ("name", "guess"),
    [
        ("sql-gen-v3", "sql gen v3"),
        ("CaptainBarnaby", "Captain Barnaby"),
        ("llama-2-7b-sql", "sql"),  # without the words of the base model
        ("llama-2", "llama 2"),
        ("---", "adapter"),
        ("法律", "法律"),
        ("word " * 100, f"{('word ' * 59).strip()}…"),
    ],
)
def test_the_guess_is_made_of_the_names_words(name: str, guess: str) -> None:
    assert described(name, base="llama-2-7b")[0].description == guess


@pytest.mark.parametrize(
    ("name", "category"),
    [
        ("sql-gen_v3.1", "sql-gen_v3.1"),
        ("org/sql gen", "org-sql-gen"),
        ("\n: #", "adapter"),
        ("x" * 500, "x" * 60),
        ("general", "general-2"),
        ("Taken", "Taken-2"),
        ("Computer_Science", "Computer_Science-2"),  # a label
        ("IT", "IT-2"),  # a common name of labels
    ],
)
def test_the_category_is_named_after_the_adapter_but_as_nothing_else_is(name: str, category: str) -> None:
    assert [one.name for one in described(name)] == [category]


def test_no_two_categories_have_one_name_or_one_description() -> None:
    """Two versions of an adapter have one card, and a `check` may refuse what cannot be told apart."""
    found = described("a b", "a-b", "A/B", **dict.fromkeys(("a b", "a-b", "A/B"), "Writes SQL."))

    assert [one.name for one in found] == ["a-b", "a-b-2", "A-B-3"]
    assert len({one.description for one in found}) == 3


def test_labels_that_a_category_of_the_config_has_are_nobody_elses() -> None:
    adapters = (Adapter("law-v2", BASE, None), Adapter("stem", BASE, None), Adapter("sql", BASE, None))
    found = plan(VllmInventory(None, {BASE: None}, adapters), LABELS, {"law": "legal", "math": "sums"}, ["stem"])

    assert {x.name: x.labels for x in found.categories} == {
        "stem-2": ("biology", "chemistry", "computer science", "engineering", "physics"),
    }
    assert {adapter.name: category for adapter, category in found.taken.items()} == {"law-v2": "legal"}
    assert [adapter.name for adapter in found.unknown] == ["sql"]
