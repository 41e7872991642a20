"""Decisions that semantic-router takes by keyword signals become rules of routing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pointsman.cli.main import main
from support.config_files import MINIMAL, plain, write

LAW = "{type: domain, name: law}"


def keyword(name: str) -> str:
    return f"{{type: keyword, name: {name}}}"


def when(operator: str, *conditions: str) -> str:
    return f"{{operator: {operator}, conditions: [{', '.join(conditions)}]}}"


SIGNALS = """\
signals:
  keywords:
    - {name: urgent, operator: OR, keywords: [asap, right now]}
    - {name: exact, operator: OR, keywords: [ASAP], case_sensitive: true}
    - {name: both, operator: AND, keywords: [blood, pressure]}
    - {name: polite, operator: NOR, keywords: [damn, hell]}
    - {name: code, operator: OR, keywords: [python, rust]}
    - {name: one, operator: OR, keywords: [pulse]}
    - {name: number, operator: OR, method: regex, keywords: ['\\d{3}-\\d{2}', 'no\\. \\d+']}
    - {name: legal, operator: OR, keywords: [tort]}
"""
RULE = {"name": "hurry", "category": "hurry"}


class Done:
    """A migration of decisions by these signals, which passes `check`; the first decision has a higher priority."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str], decisions: str, top: str = SIGNALS) -> None:
        self.code = main(["migrate", str(write(folder, MINIMAL + top + "decisions:\n" + decisions))])
        out, self.report = capsys.readouterr()
        config = plain(out)
        self.rules: list[dict[str, Any]] = config.get("pointsman", {}).get("routing", {}).get("rules", [])
        self.categories = {one["name"]: one for one in config.get("categories", ())}
        (folder / "result.yaml").write_text(out)
        self.checked = main(["check", str(folder / "result.yaml")])
        self.warnings = capsys.readouterr().out

    def said(self, *words: str) -> bool:
        return any(all(word in line for word in words) for line in self.report.splitlines())


def hurry(rules: str, priority: int = 200, name: str = "hurry", more: str = "") -> str:
    models = "[{model: base, lora_name: law-lora}]"
    return f"  - {{name: {name}, priority: {priority}, rules: {rules}, modelRefs: {models}{more}}}\n"


STATUTES = hurry(when("OR", LAW), 100, "statutes")


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        (keyword("urgent"), {"keywords": ["asap", "right now"]}),
        (when("OR", keyword("urgent")), {"keywords": ["asap", "right now"]}),
        (when("and", keyword("Urgent")), {"keywords": ["asap", "right now"]}),
        (keyword("exact"), {"keywords": ["ASAP"], "case_sensitive": True}),
        (keyword("both"), {"keywords": ["blood", "pressure"], "keywords_match": "all"}),
        (keyword("polite"), {"keywords": ["damn", "hell"], "keywords_match": "none"}),
        (when("NOT", keyword("urgent")), {"keywords": ["asap", "right now"], "keywords_match": "none"}),
        (when("NOT", keyword("polite")), {"keywords": ["damn", "hell"]}),
        (when("NOT", keyword("one")), {"keywords": ["pulse"], "keywords_match": "none"}),
        (
            when("AND", keyword("both"), keyword("one")),
            {"keywords": ["blood", "pressure", "pulse"], "keywords_match": "all"},
        ),
        (keyword("number"), {"pattern": r"(?:\d{3}-\d{2})|(?:no\. \d+)"}),
        (
            when("AND", keyword("number"), keyword("urgent")),
            {"keywords": ["asap", "right now"], "pattern": r"(?:\d{3}-\d{2})|(?:no\. \d+)"},
        ),
        (
            when("AND", keyword("urgent"), when("NOT", "{type: jailbreak, name: attack}")),
            {"keywords": ["asap", "right now"]},
        ),
    ],
)
def test_what_keywords_alone_decide_is_a_rule(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], rules: str, expected: dict[str, Any]
) -> None:
    done = Done(tmp_path, capsys, hurry(rules) + STATUTES)
    assert (done.code, done.checked) == (0, 0), done.report
    assert done.rules == [RULE | expected]
    assert done.said("carried", 'keywords for the category "hurry"')
    assert list(done.categories) == ["hurry", "law"]
    assert "can never be chosen" not in done.warnings


def test_a_decisions_prompt_and_reasoning_are_its_rules_categorys(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plugin = ", plugins: [{type: system_prompt, configuration: {system_prompt: Be quick., mode: insert}}]"
    done = Done(tmp_path, capsys, hurry(keyword("urgent"), more=plugin) + STATUTES)
    assert done.categories["hurry"] == {
        "name": "hurry",
        "system_prompt": "Be quick.",
        "system_prompt_mode": "insert",
        "model_scores": [{"model": "base", "lora_name": "law-lora", "use_reasoning": False}],
    }


def test_what_only_the_lack_of_keywords_fulfils_is_the_rules_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What the classifier is asked about has these keywords, so no label is the decision's; a domain's is."""
    not_urgent = when("NOT", keyword("urgent"))
    done = Done(tmp_path, capsys, hurry(when("OR", "{type: domain, name: health}", not_urgent)) + STATUTES)
    assert [(rule["keywords_match"], rule["category"]) for rule in done.rules] == [("none", "health")]
    assert {name: one.get("mmlu_categories") for name, one in done.categories.items()} == {
        "health": ["health"],
        "law": ["law"],
    }
    late = Done(tmp_path, capsys, hurry(not_urgent, 1, "rest") + STATUTES)
    assert (late.rules, len(late.categories["rest"]["mmlu_categories"])) == ([], 13)


def test_each_alternative_is_a_rule_of_its_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And a domain among them is the classifier's."""
    done = Done(tmp_path, capsys, hurry(when("OR", keyword("urgent"), LAW, keyword("number")), name="advice"))
    assert [(rule["name"], rule["category"]) for rule in done.rules] == [("advice", "law"), ("advice 2", "law")]
    assert done.categories["law"]["mmlu_categories"] == ["law"]


def test_rules_come_in_the_order_of_the_decisions(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    decisions = hurry(keyword("code"), 150, "later") + hurry(keyword("urgent"), 300, "sooner") + STATUTES
    assert [rule["name"] for rule in Done(tmp_path, capsys, decisions).rules] == ["sooner", "later"]


@pytest.mark.parametrize("name", ["health", "general", "technical"])
def test_a_category_of_keywords_takes_no_label_by_its_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    done = Done(tmp_path, capsys, hurry(keyword("urgent"), name=name) + STATUTES)
    assert done.rules[0]["category"] == f"{name} (keywords)"
    assert list(done.categories) == [f"{name} (keywords)", "law"]


@pytest.mark.parametrize(
    ("priority", "strategy", "is_a_rule"),
    [(101, "priority", True), (100, "priority", False), (99, "priority", False), (101, "confidence", False)],
)
def test_keywords_that_come_after_a_domain_are_no_rule(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], priority: int, strategy: str, is_a_rule: bool
) -> None:
    """A rule decides before anybody knows the domain."""
    decisions = hurry(keyword("urgent"), priority) + STATUTES
    done = Done(tmp_path, capsys, decisions, SIGNALS + f"strategy: {strategy}\n")
    assert bool(done.rules) is is_a_rule
    assert done.said("dropped", 'the keywords of "hurry": "statutes" comes first, or may') is not is_a_rule
    assert done.said("dropped", 'the keywords "urgent" are in no rule here') is not is_a_rule


@pytest.mark.parametrize(
    ("tier", "is_a_rule"),
    [(1, True), (2, False), (3, False)],
)
def test_a_lower_tier_comes_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], tier: int, is_a_rule: bool
) -> None:
    decisions = hurry(keyword("urgent"), more=f", tier: {tier}") + STATUTES.replace("rules:", "tier: 2, rules:")
    assert bool(Done(tmp_path, capsys, decisions).rules) is is_a_rule


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        (when("AND", LAW, keyword("urgent")), '"hurry" answers nothing here: it needs keyword urgent'),
        (when("AND", keyword("urgent"), keyword("code")), "the keywords urgent and code, which one rule cannot have"),
        (when("AND", keyword("urgent"), keyword("exact")), "urgent and exact, which one rule cannot have together"),
        (when("AND", keyword("urgent"), keyword("polite")), "urgent and polite, which one rule cannot have together"),
        (keyword("unknown"), '"hurry" answers nothing here: it needs keyword unknown'),
        ("{type: keyword, name: urgent, predicate: {gte: 2}}", "it needs keyword urgent"),
    ],
)
def test_what_no_rule_can_say_is_told_by_its_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], rules: str, expected: str
) -> None:
    done = Done(tmp_path, capsys, hurry(rules) + STATUTES)
    assert (done.code, done.rules, list(done.categories)) == (0, [], ["law"])
    assert done.said("dropped", expected), done.report


@pytest.mark.parametrize(
    ("signal", "expected"),
    [
        ("operator: XOR, keywords: [a]", "dropped: expected OR, AND or NOR"),
        ("operator: OR, keywords: []", "dropped: expected OR, AND or NOR, and words as keywords"),
        ("operator: OR, keywords: [5]", "dropped: expected OR, AND or NOR, and words as keywords"),
        ("operator: OR, method: regex, keywords: ['(?=a)']", "dropped: lookaround"),
        ("operator: OR, method: regex, keywords: ['(a']", "dropped: character"),
        ("operator: AND, method: regex, keywords: [a, b]", "dropped: a rule has one regular expression"),
        ("operator: NOR, method: regex, keywords: [a]", "dropped: a rule has one regular expression"),
        ("operator: OR, method: bm25, bm25_threshold: 0.1, keywords: [a]", "changed: are whole words here, not bm25"),
        ("operator: OR, method: ngram, keywords: [a]", "changed: are whole words here, not ngram"),
        ("operator: OR, fuzzy_match: true, keywords: [a]", "changed: are whole words here, not similar ones"),
    ],
)
def test_a_signal_that_is_another_here_is_told_by_its_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], signal: str, expected: str
) -> None:
    top = f"signals: {{keywords: [{{name: odd, {signal}}}]}}\n"
    done = Done(tmp_path, capsys, hurry(keyword("odd")) + STATUTES, top)
    fate, _, words = expected.partition(": ")
    assert done.said(fate, "signals.keywords[0]", 'the keywords "odd"', words), done.report
    assert bool(done.rules) is (fate == "changed")


def test_signals_stand_at_any_place_of_the_newer_forms(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Under `routing`, and in the first one as `keyword_rules` with names."""
    words = "{name: urgent, operator: OR, keywords: [asap, right now]}"
    for top in (
        f"routing: {{signals: {{keywords: [{words}]}}}}\n",
        f"signals: {{keywords: [{words}]}}\n",
        f"keyword_rules: [{words}]\n",
    ):
        done = Done(tmp_path, capsys, hurry(keyword("urgent")) + STATUTES, top)
        assert done.rules == [RULE | {"keywords": ["asap", "right now"]}], top


@pytest.mark.thorough
def test_no_file_makes_more_rules_than_there_may_be(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Though ten alternatives, ten times over, are ten thousand millions."""
    either = when("OR", *[keyword("one"), keyword("both")] * 5)
    done = Done(tmp_path, capsys, hurry(when("AND", *[either] * 10)) + STATUTES)
    assert (done.code, len(done.rules)) == (0, 200)
    assert done.said("dropped", "at most 200 rules")
