"""What is odd about a config that loads, given the classifier's labels and the files beside it."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from pointsman.config.lint import Findings, lint
from pointsman.config.load import load
from pointsman.errors import Problem
from support import certificates
from support.config_files import LABELS, MINIMAL, REPOSITORY, category, loaded

GUIDE = Path(__file__).parent / "data" / "guide.yaml"
CATEGORIES = MINIMAL + "categories:\n"
GENERAL = category("general")


def findings(folder: Path, text: str) -> Findings:
    return lint(loaded(folder, text), LABELS)


def the_warning(folder: Path, text: str) -> Problem:
    found = findings(folder, text)
    assert found.errors == ()
    assert len(found.warnings) == 1, found.warnings
    return found.warnings[0]


def test_a_good_file_has_no_findings(tmp_path: Path) -> None:
    """Nothing is said about what is right."""
    assert findings(tmp_path, CATEGORIES + category("law") + GENERAL) == Findings((), ())


def test_the_guide_has_six_warnings_and_no_error() -> None:
    """The mapping file that is not there, the family that is not defined, three names that are no labels, `replace`."""
    found = lint(load(GUIDE), LABELS)

    assert found.errors == ()
    assert [(warning.path, warning.line) for warning in found.warnings] == [
        ("classifier.category_model.category_mapping_path", 8),
        ("model_config.llama2-7b.reasoning_family", 20),
        ("categories[0]", 36),
        ("categories[0].system_prompt_mode", 36),
        ("categories[1]", 46),
        ("categories[2]", 56),
    ]
    assert "mmlu_categories: [computer science, engineering]" in found.warnings[2].fix
    assert found.warnings[3].message.endswith(", and in 3 more categories")


def test_warnings_of_loading_are_included(tmp_path: Path) -> None:
    """One list for whoever prints them, in the order of the file."""
    found = findings(tmp_path, "tools: {}\n" + CATEGORIES + category("legal") + GENERAL + "semantic_cache: {}\n")

    assert [warning.path for warning in found.warnings] == ["tools", "categories[0]", "semantic_cache"]


@pytest.mark.parametrize("file", sorted((REPOSITORY / "config").glob("*.yaml")), ids=lambda file: file.name)
def test_a_shipped_config_deletes_no_clients_prompt(file: Path) -> None:
    assert [one.path for one in lint(load(file), LABELS).warnings if "system_prompt" in one.path] == []


@pytest.mark.parametrize("given", ["system_prompt_mode: insert", "system_prompt_enabled: false"])
def test_a_prompt_that_deletes_nothing_is_no_warning(given: str, tmp_path: Path) -> None:
    assert findings(tmp_path, CATEGORIES + category("law", "system_prompt: Be.", given) + GENERAL) == Findings((), ())


WARNINGS = [
    (
        CATEGORIES + category("law", "system_prompt: Be.") + GENERAL,
        "categories[0].system_prompt_mode",
        12,
        "this category deletes the client's own system prompt (`replace`, the default)",
        "write `system_prompt_mode: insert`, which keeps it",
    ),
    (
        CATEGORIES + category("law", "system_prompt: Be.", "system_prompt_mode: replace") + GENERAL,
        "categories[0].system_prompt_mode",
        14,
        "this category deletes the client's own system prompt",
        "insert",
    ),
    (
        CATEGORIES + category("poetry") + GENERAL,
        "categories[0]",
        12,
        '"poetry" can never be chosen',
        "choose from: biology, business",
    ),
    (
        CATEGORIES + category("all", f"mmlu_categories: [{', '.join(LABELS[:-2])}]"),
        "categories",
        11,
        "no category covers physics, psychology: such prompts go to base",
        "general",
    ),
    (
        MINIMAL + "categories: []\n",
        "categories",
        11,
        "no category covers biology",
        "add a category named general",
    ),
    (
        CATEGORIES.replace("law-lora", "image") + GENERAL,
        "model_config.base.loras[0].name",
        8,
        'vLLM takes "image" for one of its --default-mm-loras: in chats with such parts it answers for base',
        "load it under another name, unless that is meant",
    ),
    (
        CATEGORIES.replace("    loras:", "    reasoning_family: qwen\n    loras:") + GENERAL,
        "model_config.base.reasoning_family",
        7,
        'no reasoning family is named "qwen"',
        "did you mean qwen3?",
    ),
    (
        CATEGORIES + GENERAL.replace("use_reasoning: false", "use_reasoning: true"),
        "categories[0].model_scores[0].use_reasoning",
        15,
        'use_reasoning has no effect: the model "base" has no reasoning_family',
        "qwen3",
    ),
    (
        CATEGORIES + GENERAL.replace("        use_reasoning: false\n", ""),
        "categories[0].model_scores[0].use_reasoning",
        14,
        "use_reasoning is not set here; false is assumed",
        "add `use_reasoning: false`",
    ),
    (
        CATEGORIES.replace("port: 8000", "port: 8000\n    weight: 5") + GENERAL,
        "vllm_endpoints[0].weight",
        5,
        "the weight of the only endpoint has no effect",
        "remove it",
    ),
    (
        CATEGORIES.replace("127.0.0.1", "http://127.0.0.1/v1") + GENERAL,
        "vllm_endpoints[0].address",
        3,
        "/v1/v1/",
        "remove /v1",
    ),
    (
        CATEGORIES + GENERAL + "pointsman: {relay: {paths: {add: [POST /v2/embed, POST /tokenize]}}}\n",
        "pointsman.relay.paths.add[1]",
        16,
        '"POST /tokenize" need not be added',
        "remove it",
    ),
    (
        CATEGORIES + GENERAL + "pointsman: {relay: {api_key_file: missing.key}}\n",
        "pointsman.relay.api_key_file",
        16,
        "missing.key",
        "create it",
    ),
    (
        CATEGORIES + GENERAL + "pointsman: {server: {admin_token_file: missing.token}}\n",
        "pointsman.server.admin_token_file",
        16,
        "missing.token does not exist",
        "create it",
    ),
    (
        CATEGORIES + GENERAL + "pointsman: {server: {admin_token_file: config.yaml}}\n",
        "pointsman.server.admin_token_file",
        16,
        "every user of this host can read",
        "chmod 640",
    ),
    (
        CATEGORIES + GENERAL + "pointsman: {server: {admin_listen: '127.0.0.1:9190'}}\n",
        "pointsman.server.admin_listen",
        16,
        "every user of this host can change the service at 127.0.0.1:9190",
        "admin_token_file",
    ),
    (
        CATEGORIES + GENERAL + "classifier: {category_model: {category_mapping_path: missing.json}}\n",
        "classifier.category_model.category_mapping_path",
        16,
        "does not exist",
        "remove the key",
    ),
]


@pytest.mark.parametrize(("text", "path", "line", "message", "fix"), WARNINGS)
def test_what_works_but_is_not_meant_is_one_warning(
    tmp_path: Path, text: str, path: str, line: int, message: str, fix: str
) -> None:
    """With its line and a fix; the service starts."""
    warning = the_warning(tmp_path, text)

    assert (warning.path, warning.line) == (path, line)
    assert message in warning.message
    assert fix in warning.fix


def test_a_socket_may_end_in_v1(tmp_path: Path) -> None:
    """Only a URL's prefix comes before the request's path."""
    text = CATEGORIES.replace("    address: 127.0.0.1\n    port: 8000\n", "    address: unix:/run/v1\n") + GENERAL

    assert findings(tmp_path, text) == Findings((), ())


def test_a_family_that_the_file_defines_is_known(tmp_path: Path) -> None:
    """`reasoning_families` adds to the built-in ones."""
    text = CATEGORIES.replace("    loras:", "    reasoning_family: mine\n    loras:") + GENERAL
    text += "reasoning_families: {mine: {type: reasoning_effort, parameter: effort}}\n"

    assert findings(tmp_path, text) == Findings((), ())


def test_missing_use_reasoning_is_one_warning_for_the_whole_file(tmp_path: Path) -> None:
    """Fourteen categories are not fourteen lines."""
    bare = "".join(category(name).replace("        use_reasoning: false\n", "") for name in ("law", "math", "general"))

    assert "nor in 2 more entries" in the_warning(tmp_path, CATEGORIES + bare).message


def test_a_key_file_that_exists_is_fine(tmp_path: Path) -> None:
    """Relative to the config."""
    (tmp_path / "vllm.key").write_text("k")
    text = CATEGORIES + GENERAL + "pointsman: {relay: {api_key_file: vllm.key}}\n"
    for mode in (0o600, 0o640):
        (tmp_path / "vllm.key").chmod(mode)
        assert findings(tmp_path, text).warnings == ()


def test_vllms_key_that_others_can_read_is_warned_of(tmp_path: Path) -> None:
    (tmp_path / "vllm.key").write_text("k")
    (tmp_path / "vllm.key").chmod(0o644)
    warning = the_warning(tmp_path, CATEGORIES + GENERAL + "pointsman: {relay: {api_key_file: vllm.key}}\n")
    assert (warning.path, warning.line) == ("pointsman.relay.api_key_file", 16)
    assert f"every user of this host can read {tmp_path / 'vllm.key'}" in warning.message


def test_an_unknown_label_is_an_error_at_its_item(tmp_path: Path) -> None:
    """It would silently cover nothing."""
    text = CATEGORIES + category("x", "mmlu_categories: [law, enginering]") + GENERAL
    (error,) = findings(tmp_path, text).errors

    assert (error.path, error.line) == ("categories[0].mmlu_categories[1]", 13)
    assert 'the classifier has no label "enginering"' in error.message
    assert error.fix == "did you mean engineering?"


def test_a_label_of_two_categories_is_an_error_at_the_second(tmp_path: Path) -> None:
    """Its probability would count twice."""
    text = CATEGORIES + category("x", "labels: [law]") + category("law") + GENERAL
    (error,) = findings(tmp_path, text).errors

    assert (error.path, error.line) == ("categories[1]", 17)
    assert 'the label "law" is covered by x, law' in error.message


MAPPING = CATEGORIES + GENERAL + "classifier: {category_model: {category_mapping_path: mapping.json}}\n"
RIGHT = {label: index for index, label in enumerate(LABELS)}


def test_a_mapping_file_that_agrees_is_fine(tmp_path: Path) -> None:
    """In whatever order its JSON lists them."""
    (tmp_path / "mapping.json").write_text(json.dumps({"category_to_idx": dict(reversed(RIGHT.items()))}))

    assert findings(tmp_path, MAPPING) == Findings((), ())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (json.dumps({"category_to_idx": {**RIGHT, "law": RIGHT["math"], "math": RIGHT["law"]}}), "in another order"),
        (json.dumps({"category_to_idx": {"law": 0, "math": 1}}), "differs from the classifier's labels"),
        (json.dumps({"category_to_idx": {"law": 0, "math": 2}}), "is not of the form"),
        (json.dumps({"category_to_idx": {"law": "0"}}), "is not of the form"),
        (json.dumps({"category_to_idx": {"law": [0]}}), "is not of the form"),
        (json.dumps([1]), "is not of the form"),
        ("{", "is not of the form"),
    ],
)
def test_a_mapping_file_that_disagrees_is_an_error(tmp_path: Path, content: str, message: str) -> None:
    """The artifact's labels would be another's; nobody could tell which is right."""
    (tmp_path / "mapping.json").write_text(content)
    (error,) = findings(tmp_path, MAPPING).errors

    assert (error.path, error.line) == ("classifier.category_model.category_mapping_path", 16)
    assert message in error.message
    assert "remove the key" in error.fix


def test_a_mapping_file_that_is_a_folder_is_an_error(tmp_path: Path) -> None:
    """What is there and cannot be read is not passed over."""
    (tmp_path / "mapping.json").mkdir()

    assert "cannot be read" in findings(tmp_path, MAPPING).errors[0].message


def test_a_bad_certificate_is_an_error_and_an_old_one_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each at the key that names the file."""
    pair, other = certificates.make(tmp_path), certificates.make(tmp_path, "other")
    tls = "pointsman: {server: {tls: {certificate_file: server.crt, key_file: KEY}}}\n"
    text = CATEGORIES + GENERAL + tls

    assert findings(tmp_path, text.replace("KEY", pair.key.name)) == Findings((), ())
    (error,) = findings(tmp_path, text.replace("KEY", other.key.name)).errors
    assert (error.path, error.line) == ("pointsman.server.tls.key_file", 16)
    assert error.fix == "name the two files that were made together"
    pair.key.chmod(0o644)
    assert the_warning(tmp_path, text.replace("KEY", pair.key.name)).path == "pointsman.server.tls.key_file"
    pair.key.chmod(0o600)
    later = time.time() + 31 * 86_400
    monkeypatch.setattr(time, "time", lambda: later)
    warning = the_warning(tmp_path, text.replace("KEY", pair.key.name))
    assert warning.path == "pointsman.server.tls.certificate_file"
    assert "expired on" in warning.message


def test_a_token_that_others_can_read_on_the_way_is_warned_of(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("t")
    (tmp_path / "token").chmod(0o600)
    server = "pointsman: {server: {admin_listen: '0.0.0.0:9190', admin_token_file: token}}\n"

    assert "without encryption" in the_warning(tmp_path, CATEGORIES + GENERAL + server).message


def described(name: str, description: str = "", lora: str = "law-lora", examples: str = "") -> str:
    lines = [f"{key}: {value}" for key, value in (("description", description), ("examples", examples)) if value]
    return category(name, *lines).replace("- model: base", f"- model: base\n        lora_name: {lora}")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (described("sql", "test"), "'test' hardly says"),
        (described("sql", "SQL things"), "'SQL things' hardly says"),
        (described("sum-by-month", "Sum by month"), "'Sum by month' hardly says"),
        (described("sql", "code lora.", "code-lora"), "'code lora.' hardly says"),
        (described("sql", examples="[sum by month]"), "'sql' hardly says"),
        (described("sql", "Writes SQL queries"), None),
        (described("sql", "将问题转换为查询"), None),
        (described("sql", "查询"), "'查询' hardly says"),
        (described("law", "test"), None),
    ],
)
def test_a_category_whose_description_says_nothing_is_warned_of(tmp_path: Path, given: str, said: str | None) -> None:
    """Fewer than three words, or only a name; in scripts without spaces each character is a word."""
    found = findings(tmp_path, CATEGORIES + given + GENERAL)
    assert found.errors == ()
    assert [(one.path, one.message.startswith(said or "")) for one in found.warnings] == (
        [("categories[0].description", True)] if said else []
    )


def test_an_adapters_description_does_for_its_category(tmp_path: Path) -> None:
    text = CATEGORIES.replace("name: law-lora", "name: law-lora\n        description: Writes SQL for our warehouse")
    assert findings(tmp_path, text + described("sql") + GENERAL) == Findings((), ())


def test_two_categories_with_one_description_are_warned_of(tmp_path: Path) -> None:
    """Whatever their case and spaces are; nothing tells their prompts apart."""
    text = described("sql", "Writes SQL for our warehouse") + described("dbt", "writes SQL for  our warehouse")
    warning = the_warning(tmp_path, CATEGORIES + text + GENERAL)
    assert (warning.path, warning.message) == (
        "categories[1].description",
        '"dbt" has the same description as "sql"',
    )
