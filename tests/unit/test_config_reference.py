"""The generated reference and schema, and the files in config/."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from pointsman.config.lint import Findings, lint
from pointsman.config.load import load
from pointsman.config.reference import REFERENCE, SCHEMA, main
from pointsman.errors import ConfigError
from support.config_files import LABELS, MINIMAL, REPOSITORY, category

FILES = sorted((REPOSITORY / "config").glob("*.yaml"))


@pytest.fixture(scope="module")
def validator() -> Any:
    content = json.loads((REPOSITORY / SCHEMA).read_text("utf-8"))
    jsonschema.Draft202012Validator.check_schema(content)
    return jsonschema.Draft202012Validator(content)


def test_the_generated_files_are_current() -> None:
    """`python -m pointsman.config.reference` was run after the last change."""
    assert main(["--check", str(REPOSITORY)]) == 0


def test_check_names_a_stale_file_and_writing_fixes_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """--check writes nothing."""
    (tmp_path / "config").mkdir()
    (tmp_path / "docs").mkdir()

    assert main(["--check", str(tmp_path)]) == 1
    assert f"{tmp_path / SCHEMA} is stale" in capsys.readouterr().err
    assert not (tmp_path / SCHEMA).exists()

    assert main([str(tmp_path)]) == 0
    assert main(["--check", str(tmp_path)]) == 0
    assert (tmp_path / REFERENCE).read_text("utf-8").startswith("# Configuration\n")


def test_there_are_files_to_check() -> None:
    """The next tests would pass over an empty folder."""
    assert {"config.yaml", "fourteen-categories.yaml", "two-endpoints.yaml"} <= {file.name for file in FILES}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_a_shipped_file_fits_the_schema_and_has_no_findings(file: Path, validator: Any) -> None:
    """What we ship loads without a warning under the built-in classifier's labels."""
    validator.validate(yaml.safe_load(file.read_text("utf-8")))
    found = load(file)

    assert lint(found, LABELS) == Findings((), ())
    assert found.config.classifier.category_model.model_id == "builtin"


def test_two_endpoints_shows_every_option() -> None:
    """Each key under `pointsman:` stands in the file, some commented out."""
    text = (REPOSITORY / "config" / "two-endpoints.yaml").read_text("utf-8")
    definitions = json.loads((REPOSITORY / SCHEMA).read_text("utf-8"))["$defs"]
    sections = [name for name in definitions if name.endswith("Options") and name != "Options"]
    keys = {key for name in sections for key in definitions[name]["properties"]}

    assert len(sections) >= 7
    assert {key for key in keys if f"{key}:" not in text} == set()


AGREEMENT = [
    ("", True),
    ("pointsman:\n", True),
    ("semantic_cache: {enabled: true}\n", True),
    ("categories:\n" + category("law", "jailbreak_enabled: true"), True),
    ("pointsman: {classifier: {max_tokens: null}}\n", True),
    ("decisions: []\ncategories: [{name: law}]\n", True),
    ("categories: [{name: law}]\n", False),
    ("colour: red\n", False),
    ("pointsman: {log: {level: warn}}\n", False),
    ("pointsman: {routing: {switch_margin: 2}}\n", False),
    ("pointsman: {relay: {idle_timeout_ms: 99999999999}}\n", False),
    ("auto_model_name: 1\n", False),
    ("auto_model_name:\n", False),
    ("categories:\n" + category("law").replace("use_reasoning: false", "score: 0"), False),
]


@pytest.mark.parametrize(("text", "good"), AGREEMENT)
def test_the_schema_agrees_with_the_loader(tmp_path: Path, text: str, good: bool, validator: Any) -> None:
    """An editor shows no error where the loader has none, and the other way round for types and keys."""
    path = tmp_path / "config.yaml"
    path.write_text(MINIMAL + text)
    try:
        load(path)
        loads = True
    except ConfigError:
        loads = False

    assert loads is good
    assert validator.is_valid(yaml.safe_load(MINIMAL + text)) is good
