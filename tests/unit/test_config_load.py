"""The config file's types, unknown and ignored keys, and the guide's file as it is printed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pointsman.config.load import load
from pointsman.config.model import ClassifierOptions, Config, Endpoint, Options
from support.config_files import MINIMAL, category, loaded, problems, the_problem

GUIDE = Path(__file__).parent / "data" / "guide.yaml"

TYPES = [
    ("auto_model_name: 123", "auto_model_name", "expected text, found the number 123", 'in quotes: "123"'),
    ("auto_model_name: on", "auto_model_name", "found `on`, which YAML reads as true", 'in quotes: "on"'),
    ("auto_model_name:", "auto_model_name", "expected text, found nothing", "after the colon"),
    ("auto_model_name: [a]", "auto_model_name", "expected text, found a list", "write text"),
    (
        "include_config_models_in_list: 'yes'",
        "include_config_models_in_list",
        'expected true or false, found the text "yes"',
        "write true, without quotes",
    ),
    (
        "include_config_models_in_list: 1",
        "include_config_models_in_list",
        "expected true or false, found the number 1",
        "write true or false",
    ),
    (
        "pointsman: {relay: {idle_timeout_ms: '300'}}",
        "pointsman.relay.idle_timeout_ms",
        'expected a whole number of 0 or more, found the text "300"',
        "write 300, a number without quotes",
    ),
    (
        "pointsman: {relay: {idle_timeout_ms: 3.0}}",
        "pointsman.relay.idle_timeout_ms",
        "found the number 3.0",
        "write 3, a number without quotes and decimals",
    ),
    (
        "pointsman: {relay: {idle_timeout_ms: 1.5}}",
        "pointsman.relay.idle_timeout_ms",
        "found the number 1.5",
        "write a whole number",
    ),
    (
        "pointsman: {relay: {idle_timeout_ms: true}}",
        "pointsman.relay.idle_timeout_ms",
        "found true",
        "write a whole number",
    ),
    (
        "pointsman: {relay: {idle_timeout_ms: -1}}",
        "pointsman.relay.idle_timeout_ms",
        "expected a whole number of 0 or more, found the number -1",
        "write a whole number",
    ),
    (
        "pointsman: {relay: {idle_timeout_ms: 99999999999}}",
        "pointsman.relay.idle_timeout_ms",
        "from 0 to 2147483647, found the number 99999999999",
        "write a whole number",
    ),
    (
        "pointsman: {routing: {switch_margin: 1.5}}",
        "pointsman.routing.switch_margin",
        "expected a number from 0 to 1, found the number 1.5",
        "write a number from 0 to 1",
    ),
    (
        "pointsman: {routing: {switch_margin: .nan}}",
        "pointsman.routing.switch_margin",
        "found the number .nan",
        "write a number from 0 to 1",
    ),
    (
        "pointsman: {routing: {switch_margin: 2e-1}}",
        "pointsman.routing.switch_margin",
        'found the text "2e-1"',
        "write 0.2, a number",
    ),
    (
        "pointsman: {log: {level: off}}",
        "pointsman.log.level",
        "expected one of debug, info, warning, error, found `off`, which YAML reads as false",
        "choose one",
    ),
    (
        "pointsman: {log: {level: warn}}",
        "pointsman.log.level",
        'found the text "warn"',
        "did you mean warning?",
    ),
    (
        "pointsman: {classifier: {providers: [cpu, gpu]}}",
        "pointsman.classifier.providers[1]",
        'expected one of cpu, cuda, openvino, found the text "gpu"',
        "did you mean cpu?",
    ),
    (
        "pointsman: {server: {listen: '127.0.0.1:80'}}",
        "pointsman.server.listen",
        'expected a list, found the text "127.0.0.1:80"',
        "write it as a list: [127.0.0.1:80]",
    ),
    ("pointsman: {server: 8080}", "pointsman.server", "expected a mapping, found the number 8080", "keys under it"),
    ("reasoning_families: [a]", "reasoning_families", "expected a mapping, found a list", "write `NAME:`"),
    (
        "categories: [law]",
        "categories[0]",
        'expected a mapping, found the text "law"',
        "at least: name, model_scores",
    ),
]


@pytest.mark.parametrize(("text", "path", "message", "fix"), TYPES)
def test_a_value_of_another_type_is_told_with_the_type_wanted(
    tmp_path: Path, text: str, path: str, message: str, fix: str
) -> None:
    """One wrong value is one problem: nothing else is reported because of it."""
    problem = the_problem(tmp_path, MINIMAL + text + "\n")

    assert (problem.path, problem.line) == (path, 11)
    assert message in problem.message
    assert fix in problem.fix


UNKNOWN = [
    ("categorys: []", "categorys", "did you mean categories?"),
    ("pointsman: {relay: {idle_timeout: 1}}", "pointsman.relay.idle_timeout", "did you mean idle_timeout_ms?"),
    ("pointsman: {colour: red}", "pointsman.colour", "the keys here are: server, relay, classifier"),
]


@pytest.mark.parametrize(("text", "path", "fix"), UNKNOWN)
def test_an_unknown_key_is_an_error_with_a_guess(tmp_path: Path, text: str, path: str, fix: str) -> None:
    """The guess is a key of the same mapping."""
    problem = the_problem(tmp_path, MINIMAL + text + "\n")

    assert (problem.path, problem.line, problem.message) == (path, 11, "unknown key")
    assert fix in problem.fix


def test_a_misspelt_key_stands_for_the_one_that_was_meant(tmp_path: Path) -> None:
    """`lora_nam` is not also reported as missing, and its value is judged."""
    text = MINIMAL + (
        "categories:\n  - nam: law\n    model_scores:\n      - {model: base, lora_nam: lawlora, use_reasoning: false}\n"
    )

    assert [(problem.path, problem.fix) for problem in problems(tmp_path, text)] == [
        ("categories[0].nam", "did you mean name?"),
        ("categories[0].model_scores[0].lora_nam", "did you mean lora_name?"),
        ("categories[0].model_scores[0].lora_nam", "did you mean law-lora?"),
    ]


def test_missing_keys_are_told_at_the_mapping_that_lacks_them(tmp_path: Path) -> None:
    """At the top there is no such line."""
    text = MINIMAL.replace("    address: 127.0.0.1\n", "").replace("default_model: base\n", "")

    assert [(problem.path, problem.line, problem.fix) for problem in problems(tmp_path, text)] == [
        ("default_model", None, "add `default_model:` with text"),
        ("vllm_endpoints[0].address", 2, "add `address:` with text"),
    ]


@pytest.mark.parametrize("key", ["pointsman", "categories", "reasoning_families", "classifier"])
def test_a_key_with_nothing_under_it_is_the_default(tmp_path: Path, key: str) -> None:
    """A mapping or list whose lines are all commented out is empty."""
    assert loaded(tmp_path, MINIMAL + f"{key}:\n").config == loaded(tmp_path, MINIMAL).config


def test_null_is_an_optional_value_that_is_not_given(tmp_path: Path) -> None:
    """`lora_name: null` is the base model, `max_tokens: ~` the artifact's limit."""
    text = MINIMAL + (
        "categories: [{name: law, model_scores: [{model: base, lora_name: null, use_reasoning: false}]}]\n"
        "pointsman: {classifier: {max_tokens: ~}}\n"
    )

    config = loaded(tmp_path, text).config

    assert config.categories[0].model_scores[0].target == "base"
    assert config.pointsman.classifier == ClassifierOptions()


def test_what_is_not_given_has_its_default(tmp_path: Path) -> None:
    """The smallest file is the dataclasses' defaults and three values."""
    found = loaded(tmp_path, MINIMAL)

    assert found.warnings == ()
    assert found.config.vllm_endpoints == (Endpoint(name="a", address="127.0.0.1", port=8000),)
    assert found.config.pointsman == Options()
    assert isinstance(found.config.vllm_endpoints[0].weight, float)


def test_numbers_without_decimals_are_numbers(tmp_path: Path) -> None:
    """`weight: 1` is 1.0, so that the guide's file loads."""
    weight = (
        loaded(tmp_path, MINIMAL.replace("port: 8000", "port: 8000\n    weight: 3")).config.vllm_endpoints[0].weight
    )

    assert (weight, type(weight)) == (3.0, float)


IGNORED = [
    ("semantic_cache: {enabled: true}", "semantic_cache", "remove it"),
    ("observability: {metrics: {enabled: true}}", "observability", "pointsman.server.admin_listen"),
    ("classifier: {pii_model: {model_id: x}}", "classifier.pii_model", "remove it"),
    ("tools: {enabled: false}", "tools", "remove it"),
    (
        "categories: [{name: law, pii_enabled: true, model_scores: [{model: base, use_reasoning: false}]}]",
        "categories[0].pii_enabled",
        "remove it",
    ),
]


@pytest.mark.parametrize(("text", "path", "fix"), IGNORED)
def test_a_key_of_semantic_router_is_one_warning(tmp_path: Path, text: str, path: str, fix: str) -> None:
    """A semantic-router file loads; what is not served is named once, with its line."""
    (warning,) = loaded(tmp_path, MINIMAL + text + "\n").warnings

    assert (warning.path, warning.line) == (path, 11)
    assert "ignored" in warning.message
    assert fix in warning.fix


def test_an_access_key_is_never_repeated(tmp_path: Path) -> None:
    """The advice is api_key_file; the key itself appears nowhere."""
    text = MINIMAL.replace("  base:\n", "  base:\n    access_key: sk-secret\n")
    (warning,) = loaded(tmp_path, text).warnings

    assert "pointsman.relay.api_key_file" in warning.fix
    assert "sk-secret" not in warning.render("config.yaml")


def test_the_newer_form_is_one_error_that_says_what_to_write(tmp_path: Path) -> None:
    """A v0.3 file shares few keys with this schema: its missing keys are not listed on top."""
    problem = the_problem(tmp_path, "version: v0.3\nlisteners: []\nproviders: {}\nrouting: {decisions: []}\n")

    assert (problem.path, problem.line) == ("listeners", 2)
    assert "newer form (listeners, providers, routing)" in problem.message
    assert "pointsman migrate" in problem.fix


def test_all_problems_are_found_at_once(tmp_path: Path) -> None:
    """Syntax of keys, types and references in one run, each with its own line."""
    text = (
        MINIMAL.replace("port: 8000", 'port: "8000"').replace("default_model: base", "default_model: bse")
        + "colour: red\n"
        + "categories:\n"
        + category("law").replace("model: base", "model: bass")
        + "pointsman: {server: {listen: [8080]}}\n"
    )

    assert [(problem.line, problem.path) for problem in problems(tmp_path, text)] == [
        (4, "vllm_endpoints[0].port"),
        (10, "default_model"),
        (11, "colour"),
        (15, "categories[0].model_scores[0].model"),
        (17, "pointsman.server.listen[0]"),
    ]


def test_a_problem_reads_as_one_line(tmp_path: Path) -> None:
    """file:line: key path: message; fix."""
    problem = the_problem(tmp_path, MINIMAL + "auto_model_name: 1\n")

    assert problem.render("c.yaml") == (
        'c.yaml:11: auto_model_name: expected text, found the number 1; put it in quotes: "1"'
    )


def test_names_with_dots_are_quoted_in_key_paths(tmp_path: Path) -> None:
    """`Qwen/Qwen3-1.7B` is one key, not two."""
    text = MINIMAL.replace("  base:\n", "  Qwen/Qwen3-1.7B: {colour: 1}\n  base:\n")

    assert the_problem(tmp_path, text).path == 'model_config."Qwen/Qwen3-1.7B".colour'


@pytest.mark.parametrize(
    ("section", "key"),
    [
        ("relay", "api_key_file"),
        ("access", "keys_file"),
        ("log", "texts_file"),
        ("log", "feedback_file"),
        ("server", "admin_token_file"),
    ],
)
def test_a_file_is_found_beside_the_config(tmp_path: Path, section: str, key: str) -> None:
    """A relative path is relative to the config's folder, not to where the service was started."""
    found = loaded(tmp_path, MINIMAL + f"pointsman: {{{section}: {{{key}: named}}}}\n")

    assert getattr(getattr(found.config.pointsman, section), key) == os.fspath(tmp_path / "named")
    assert found.folder == tmp_path


def test_a_certificates_files_are_found_beside_the_config(tmp_path: Path) -> None:
    given = "{certificate_file: a.pem, key_file: /b.pem, client_ca_file: c/d.pem}"
    found = loaded(tmp_path, MINIMAL + f"pointsman: {{server: {{tls: {given}}}}}\n").config.pointsman.server

    assert found.tls_files == (os.fspath(tmp_path / "a.pem"), "/b.pem", os.fspath(tmp_path / "c/d.pem"))


def test_the_guide_loads_as_it_is_printed() -> None:
    """Its adapters, categories and threshold arrive, and loading has nothing to say."""
    found = load(GUIDE)
    config: Config = found.config

    assert found.warnings == ()
    assert config.classifier.category_model.threshold == 0.6
    assert [(x.name, x.model_scores[0].target) for x in config.categories] == [
        ("technical", "technical-lora"),
        ("medical", "medical-lora"),
        ("legal", "legal-lora"),
        ("general", "llama2-7b"),
    ]
    assert config.categories[1].model_scores[0].reasoning_effort == "high"
    assert config.base_of("legal-lora") == "llama2-7b"
    assert config.vllm_endpoints[0].base_url == "http://127.0.0.1:8000"
