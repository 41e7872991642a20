"""semantic-router's `decisions`: one domain is a category, anything richer is an error."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.config_files import MINIMAL, loaded, problems, the_problem

DECISIONS = """\
categories:
  - name: law
    description: From the category
    mmlu_categories: [law, history]
  - name: math
decisions:
  - name: law_decision
    description: From the decision
    priority: 10
    rules:
      operator: AND
      conditions:
        - {type: domain, name: Law}
    modelRefs:
      - model: base
        lora_name: law-lora
        weight: 2
        use_reasoning: true
        reasoning_effort: high
    plugins:
      - type: system_prompt
        configuration: {system_prompt: Be exact., enabled: false, mode: insert}
  - name: math_decision
    rules: {type: domain, name: math}
    modelRefs: [{model: base, use_reasoning: false}]
"""


def test_a_decision_on_one_domain_is_that_category(tmp_path: Path) -> None:
    """Labels come from the category, models and prompt from the decision; the category's name stays."""
    found = loaded(tmp_path, MINIMAL + DECISIONS)
    law, math = found.config.categories

    assert found.warnings == ()
    assert (law.name, law.description, law.mmlu_categories) == ("law", "From the decision", ("law", "history"))
    assert (law.system_prompt, law.system_prompt_enabled, law.system_prompt_mode) == ("Be exact.", False, "insert")
    (entry,) = law.model_scores
    assert (entry.target, entry.score, entry.use_reasoning, entry.reasoning_effort) == ("law-lora", 2.0, True, "high")
    assert (math.name, math.model_scores[0].target) == ("math", "base")


def test_a_domain_needs_no_category(tmp_path: Path) -> None:
    """Its name is the label, then."""
    text = MINIMAL + DECISIONS[DECISIONS.index("decisions:") :]

    assert [category.name for category in loaded(tmp_path, text).config.categories] == ["Law", "math"]


def test_a_category_without_a_decision_is_a_warning(tmp_path: Path) -> None:
    """Its prompts go to default_model, as they do in semantic-router."""
    found = loaded(tmp_path, MINIMAL + DECISIONS.replace("  - name: math\n", "  - name: math\n  - name: health\n"))
    (warning,) = found.warnings

    assert (warning.path, warning.line) == ("categories[2]", 16)
    assert "no decision uses this category" in warning.message
    assert [category.name for category in found.config.categories] == ["law", "math"]


def test_a_category_with_models_of_its_own_needs_no_decision(tmp_path: Path) -> None:
    """Files in between the two forms have both."""
    own = "  - {name: health, model_scores: [{model: base, use_reasoning: false}]}\n"
    found = loaded(tmp_path, MINIMAL + DECISIONS.replace("categories:\n", "categories:\n" + own))

    assert {category.name for category in found.config.categories} == {"law", "math", "health"}


RULES = [
    ("{operator: OR, conditions: [{type: domain, name: law}, {type: domain, name: math}]}", "exactly one condition"),
    ("{operator: OR, conditions: []}", "exactly one condition"),
    ("{operator: OR, conditions: [{type: keyword, name: x}]}", 'expected the type domain, found "keyword"'),
    ("{operator: NOT, conditions: [{type: domain, name: law}]}", 'expected the operator AND or OR, found "NOT"'),
    ("{operator: OR, conditions: [{operator: AND, conditions: []}]}", "nested rules are not supported"),
    ("{operator: OR, conditions: [{type: domain}]}", "the domain's name is missing"),
    ("{operator: OR, conditions: [{type: domain, name: ~}]}", "the domain's name is missing"),
    ("{operator: OR, conditions: [{type: ~, name: law}]}", "one condition with type and name"),
    ("{operator: OR, conditions: [law]}", "one condition with type and name"),
    ("{operator: OR, conditions: law}", "exactly one condition"),
    ("{operator: OR, conditions: [{type: domain, name: law, conditions: []}]}", "nested rules are not supported"),
    ("[]", "a decision without rules"),
]


@pytest.mark.parametrize(("rules", "message"), RULES)
def test_richer_rules_are_an_error_that_says_so(tmp_path: Path, rules: str, message: str) -> None:
    """The fix is a category; a fallback_category that the decision would have been is not reported, too."""
    text = MINIMAL + (
        "classifier: {category_model: {fallback_category: law}}\n"
        "decisions:\n"
        f"  - name: d\n    rules: {rules}\n    modelRefs: [{{model: base, use_reasoning: false}}]\n"
    )
    problem = the_problem(tmp_path, text)

    assert problem.path.startswith("decisions[0]")
    assert problem.line in (13, 14)
    assert message in problem.message
    assert "write it under categories" in problem.fix


def test_two_decisions_on_one_domain_are_an_error(tmp_path: Path) -> None:
    """Which of them answers depends on what is not read: priority and other signals."""
    text = MINIMAL + DECISIONS.replace("rules: {type: domain, name: math}", "rules: {type: domain, name: law}")
    problem = the_problem(tmp_path, text)

    assert problem.path == "decisions[1].rules.name"
    assert "has models in two places" in problem.message


def test_problems_inside_a_decision_have_the_path_of_the_file(tmp_path: Path) -> None:
    """Not that of the category which it becomes."""
    text = MINIMAL + DECISIONS.replace("lora_name: law-lora", "lora_name: lawlora").replace("weight: 2", "weight: '2'")

    assert [(problem.path, problem.line) for problem in problems(tmp_path, text)] == [
        ("decisions[0].modelRefs[0].lora_name", 26),
        ("decisions[0].modelRefs[0].weight", 27),
    ]


def test_keys_that_no_decision_has_are_unknown(tmp_path: Path) -> None:
    """An algorithm that chooses among modelRefs is not served, and not passed over."""
    text = MINIMAL + DECISIONS.replace("    priority: 10\n", "    algorithm: {type: elo}\n")

    assert the_problem(tmp_path, text).path == "decisions[0].algorithm"


@pytest.mark.parametrize("plugin", ["pii", "jailbreak", "semantic-cache", "header_mutation"])
def test_other_plugins_are_ignored_with_a_warning(tmp_path: Path, plugin: str) -> None:
    """As the keys of the same features are."""
    text = MINIMAL + DECISIONS.replace(
        "    plugins:\n", f"    plugins:\n      - {{type: {plugin}, configuration: {{}}}}\n"
    )
    (warning,) = loaded(tmp_path, text).warnings

    assert warning.path == "decisions[0].plugins[0]"
    assert f"the plugin {plugin} is known to semantic-router but ignored here" in warning.message


@pytest.mark.parametrize("plugin", ["{type: system_prompt}", "{configuration: {}}", "text"])
def test_a_plugin_of_a_wrong_form_is_an_error(tmp_path: Path, plugin: str) -> None:
    """A prompt that is not read is not passed over."""
    text = MINIMAL + DECISIONS.replace("    plugins:\n", f"    plugins:\n      - {plugin}\n")
    problem = the_problem(tmp_path, text)

    assert (problem.path, problem.message) == (
        "decisions[0].plugins[0]",
        "expected a plugin with type and configuration",
    )


def test_an_unknown_plugin_is_an_error(tmp_path: Path) -> None:
    """With a guess."""
    problem = the_problem(tmp_path, MINIMAL + DECISIONS.replace("type: system_prompt", "type: system_promt"))

    assert (problem.path, problem.fix) == ("decisions[0].plugins[0]", "did you mean system_prompt?")


@pytest.mark.parametrize(
    ("old", "new", "path"),
    [
        ("decisions:\n", "decisions: {}\nx-decisions:\n", "decisions"),
        ("  - name: math\n", "  - maths\n", "categories[1]"),
        ("modelRefs: [{model: base, use_reasoning: false}]", "modelRefs: base", "decisions[1].modelRefs"),
        ("  - name: math\n", "  - description: nameless\n", "categories[1].name"),
        ("  - name: math_decision\n", "  - text\n  - name: math_decision\n", "decisions[1]"),
    ],
)
def test_a_wrong_form_is_reported_where_it_is(tmp_path: Path, old: str, new: str, path: str) -> None:
    """Nothing of a file with decisions is dropped unseen."""
    found = {problem.path for problem in problems(tmp_path, MINIMAL + DECISIONS.replace(old, new))}

    assert path in found
