"""What is wrong with rules, and what is useless in them."""

from __future__ import annotations

from pathlib import Path

import pytest

from pointsman.config.lint import lint
from pointsman.errors import Problem
from support.config_files import LABELS, MINIMAL, category, loaded, problems

TOP = MINIMAL + "categories:\n" + category("law")


def rules(*texts: str) -> str:
    lines = "".join(f"      - {text}\n" for text in texts)
    return f"{TOP}pointsman:\n  routing:\n    rules:\n{lines}"


ERRORS = [
    ("{name: r}", "", "a rule has one outcome, but it has none", "write one of: category, adapter, default, never"),
    ("{name: r, category: law, default: true}", "", "it has 2: category, default", "write one of"),
    ("{name: r, category: lawn}", ".category", 'no category is named "lawn"', "did you mean law?"),
    ("{name: r, adapter: law-lor}", ".adapter", 'no adapter or model is named "law-lor"', "did you mean law-lora?"),
    ("{name: r, never: base}", ".never", 'no adapter is named "base"', "choose"),
    ("{name: r, default: true, clients: [10.0.0.1/8]}", ".clients[0]", "expected a network", "host bits"),
    ("{name: r, default: true, paths: [/v1/message]}", ".paths[0]", "is no routed path", "/v1/messages"),
    ("{name: r, default: true, keywords: ['']}", ".keywords[0]", "empty or too long", "at most 200 characters"),
    ("{name: r, default: true, headers: {x: ''}}", ".headers.x", "no name or no value", "`*` for any value"),
    ("{name: r, default: true, min_chars: 9, max_chars: 8}", ".min_chars", "it can never match", "lower min_chars"),
    ("{name: r, default: true, pattern: '(a'}", ".pattern", "a `(` without its `)`", "write it without that"),
    ("{name: r, default: true, pattern: '(?=a)'}", ".pattern", "lookaround", "write it without that"),
    ("{name: '', default: true}", ".name", "the name is empty", "write a name"),
]


@pytest.mark.parametrize(("text", "where", "message", "fix"), ERRORS)
def test_an_error_says_where_and_what_to_do(tmp_path: Path, text: str, where: str, message: str, fix: str) -> None:
    (problem,) = problems(tmp_path, rules(text))
    assert problem.path == f"pointsman.routing.rules[0]{where}"
    assert problem.line == 19
    assert message in problem.message
    assert fix in problem.fix


def test_two_rules_of_a_name_are_refused(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, rules("{name: r, default: true, tools: true}", "{name: r, default: true}"))
    assert "already used" in problem.message


@pytest.mark.parametrize(
    ("many", "message"),
    [
        ([f"{{name: r{n}, default: true, paths: [/v1/messages]}}" for n in range(201)], "there are 201 rules"),
        (["{name: r, default: true, keywords: [" + "a, " * 2_001 + "]}"], "they have 2,001 keywords"),
        (
            [f"{{name: r{n}, default: true, pattern: '(ab){{100}}(cd){{100}}(ef){{100}}'}}" for n in range(4)],
            "the patterns are too large together: 2,404 steps",
        ),
    ],
    ids=["rules", "keywords", "patterns"],
)
def test_there_is_a_bound_on_rules_keywords_and_patterns(tmp_path: Path, many: list[str], message: str) -> None:
    assert any(message in problem.message for problem in problems(tmp_path, rules(*many)))


def warned(folder: Path, *texts: str) -> list[Problem]:
    found = loaded(folder, rules(*texts))
    return [one for one in lint(found, LABELS).warnings if "routing.rules" in one.path]


SHADOWED = [
    ("{name: a, default: true}", "{name: b, category: law, keywords: [x]}"),
    ("{name: a, default: true, keywords: [x, y]}", "{name: b, category: law, keywords: [x]}"),
    ("{name: a, default: true, keywords: [x]}", "{name: b, category: law, keywords: [x], tools: true}"),
    ("{name: a, default: true, paths: [/v1/messages]}", "{name: b, category: law, paths: [/v1/messages]}"),
    ("{name: a, default: true, min_chars: 5}", "{name: b, category: law, min_chars: 6}"),
    ("{name: a, default: true, max_chars: 5}", "{name: b, category: law, max_chars: 5}"),
    ("{name: a, default: true, headers: {x: '1'}}", "{name: b, category: law, headers: {x: '1', y: '2'}}"),
    ("{name: a, default: true, pattern: x}", "{name: b, category: law, pattern: x}"),
    ("{name: a, never: law-lora}", "{name: b, never: law-lora, tools: true}"),
]


@pytest.mark.parametrize("pair", SHADOWED)
def test_a_rule_that_is_never_reached_is_told(tmp_path: Path, pair: tuple[str, str]) -> None:
    (problem,) = warned(tmp_path, *pair)
    assert (problem.path, problem.line) == ("pointsman.routing.rules[1]", 20)
    assert '"b" is never reached: "a" before it' in problem.message


REACHED = [
    ("{name: a, default: true, keywords: [x]}", "{name: b, category: law}"),
    ("{name: a, default: true, keywords: [x]}", "{name: b, category: law, keywords: [x, y]}"),
    ("{name: a, default: true, keywords: [x, y], keywords_match: all}", "{name: b, category: law, keywords: [x]}"),
    ("{name: a, default: true, keywords: [x], case_sensitive: true}", "{name: b, category: law, keywords: [x]}"),
    ("{name: a, default: true, min_chars: 6}", "{name: b, category: law, min_chars: 5}"),
    ("{name: a, default: true, max_chars: 5}", "{name: b, category: law}"),
    ("{name: a, default: true, tools: true}", "{name: b, category: law, tools: false}"),
    ("{name: a, never: law-lora}", "{name: b, adapter: law-lora}"),
    ("{name: a, never: law-lora}", "{name: b, never: code-lora}"),
]


@pytest.mark.parametrize("pair", REACHED)
def test_other_rules_are_not(tmp_path: Path, pair: tuple[str, str]) -> None:
    assert warned(tmp_path, *pair) == []


def test_a_key_can_never_match_where_nobody_has_one(tmp_path: Path) -> None:
    text = "{name: a, default: true, keys: [bot]}"
    (problem,) = warned(tmp_path, text)
    assert (problem.path, "can never match" in problem.message) == ("pointsman.routing.rules[0].keys", True)


def test_a_language_that_nobody_looks_for_can_never_match(tmp_path: Path) -> None:
    text = rules("{name: a, default: true, languages: [de]}").replace(
        "  routing:", "  classifier: {language_gate: false}\n  routing:"
    )
    found = loaded(tmp_path, text)
    (problem,) = [one for one in lint(found, LABELS).warnings if "routing.rules" in one.path]
    assert "can never match" in problem.message
