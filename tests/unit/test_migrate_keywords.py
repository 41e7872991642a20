"""Semantic-router's keyword rules become rules of routing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pointsman.cli.main import main
from support.config_files import MINIMAL, category, plain, write

TOP = MINIMAL + "categories:\n" + category("law") + category("health")


def migrated(folder: Path, capsys: pytest.CaptureFixture[str], rules: str) -> tuple[list[dict[str, Any]], str, int]:
    """The rules in the result, the notes, and the exit code."""
    code = main(["migrate", str(write(folder, TOP + "keyword_rules:\n" + rules))])
    output = capsys.readouterr()
    config = plain(output.out)
    return config.get("pointsman", {}).get("routing", {}).get("rules", []), output.err, code


def test_a_rule_keeps_its_words_its_operator_and_its_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found, output, code = migrated(
        tmp_path,
        capsys,
        "  - {category: law, operator: OR, keywords: [habeas corpus, lease], case_sensitive: true}\n"
        "  - {category: Health, operator: AND, keywords: [blood, pressure]}\n"
        "  - {category: law, operator: nor, keywords: [python]}\n"
        "  - {category: law, keywords: [tort]}\n",
    )
    assert code == 0
    assert found == [
        {"name": "keywords 1", "keywords": ["habeas corpus", "lease"], "case_sensitive": True, "category": "law"},
        {"name": "keywords 2", "keywords": ["blood", "pressure"], "keywords_match": "all", "category": "health"},
        {"name": "keywords 3", "keywords": ["python"], "keywords_match": "none", "category": "law"},
        {"name": "keywords 4", "keywords": ["tort"], "category": "law"},
    ]
    assert output.count('keywords for the category "') == 4


@pytest.mark.parametrize(
    "rule",
    [
        "{category: math, keywords: [sum]}",
        "{category: law, operator: XOR, keywords: [sum]}",
        "{category: law, keywords: []}",
        "{category: law, keywords: ['']}",
        "{category: law, keywords: [5]}",
        "{category: law, keywords: {a: b}}",
        "law",
    ],
)
def test_what_cannot_be_a_rule_is_dropped_and_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], rule: str
) -> None:
    found, output, code = migrated(tmp_path, capsys, f"  - {rule}\n  - {{category: law, keywords: [lease]}}\n")
    assert [one["keywords"] for one in found] == [["lease"]]
    assert "expected a category that is kept" in output
    assert code == 0


@pytest.mark.thorough
def test_there_is_a_bound_on_rules(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found, output, _ = migrated(tmp_path, capsys, "  - {category: law, keywords: [lease]}\n" * 201)
    assert len(found) == 200
    assert "at most 200 rules" in output
