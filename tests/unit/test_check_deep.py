"""`pointsman check --deep` judges the described categories with the built-in encoder."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
import yaml

from pointsman.cli.check import check
from support.config_files import MINIMAL, write, write_manifest

CATEGORIES = {
    "captain": {
        "description": "Speaks as a grumpy old sea captain who tells stories of the sea.",
        "examples": [
            "what do you think of landlubbers, captain?",
            "captain, how did you lose your leg",
            "captain, tell me about the whale and the storm",
            "sing me a shanty about the whale that got away",
        ],
    },
    "warehouse": {
        "description": "Writes SQL for our warehouse from a question.",
        "examples": [
            "sum of revenue by month and region for last year as a query",
            "join orders and customers, only those without an order since March",
            "how do I get the ten best selling products per country out of the orders table",
            "ahoy captain, tell me about the storm off Cape Horn",
        ],
    },
    "reports": {"description": "Writes SQL queries for our reports from a question."},
}


def checked(folder: Path, text: str) -> tuple[int, list[str]]:
    out = io.StringIO()
    code = check(write(folder, text), out, with_encoder=True)
    return code, out.getvalue().splitlines()


def config(categories: dict[str, Any]) -> str:
    entry = {"model_scores": [{"model": "base", "use_reasoning": False}]}
    return MINIMAL + yaml.safe_dump({"categories": [{"name": name} | one | entry for name, one in categories.items()]})


def test_it_names_near_categories_and_the_examples_that_go_elsewhere(tmp_path: Path) -> None:
    """Those first that go to the other of a pair that is named."""
    code, lines = checked(tmp_path, config(CATEGORIES))
    assert code == 0
    report = lines[len(lines) - lines[::-1].index("") :]
    assert report[0].startswith("of 8 examples, each judged without itself, ")
    assert " 1 to another, " in report[0]
    assert report[2].split() == ["warehouse", "and", "reports", "0", "of", "4"]
    strays = report[[line.startswith("example of") for line in report].index(True) + 1 :]
    assert strays[0].split(maxsplit=2) == [
        "warehouse",
        "captain",
        "'ahoy captain, tell me about the storm off Cape Horn'",
    ]
    assert report[-1].startswith("more examples would help most: reports (has none), ")
    assert len(report) <= 20


@pytest.mark.parametrize("categories", [{}, {"law": {"description": "Questions about the law."}}])
def test_it_says_so_where_nothing_is_described(tmp_path: Path, categories: dict[str, Any]) -> None:
    code, lines = checked(tmp_path, config(categories))
    assert (code, lines[-1]) == (0, "no category is described by texts, so there is nothing to compare")


def test_a_classifier_that_does_not_load_is_an_error(tmp_path: Path) -> None:
    """Quickly checked, it has a manifest; its files are missing."""
    write_manifest(tmp_path / "artifact")
    code, lines = checked(tmp_path, "classifier: {category_model: {model_id: artifact}}\n" + MINIMAL)
    assert (code, lines[-1]) == (
        1,
        f"error: {tmp_path}/artifact: model.onnx is missing; export the classifier again",
    )
