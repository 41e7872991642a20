"""Config files of tests, and what loading says of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from pointsman.classify.artifact import MANIFEST
from pointsman.classify.manifest import MODEL, TOKENIZER
from pointsman.config.load import LoadedConfig, load
from pointsman.errors import ConfigError, Problem

REPOSITORY = Path(__file__).parents[2]

LABELS = (
    "biology",
    "business",
    "chemistry",
    "computer science",
    "economics",
    "engineering",
    "health",
    "history",
    "law",
    "math",
    "other",
    "philosophy",
    "physics",
    "psychology",
)
"""The labels of the built-in classifier and of semantic-router's, in the order of the logits."""

ENDPOINTS = """\
vllm_endpoints:
  - name: a
    address: 127.0.0.1
    port: 8000
"""
MODELS = """\
model_config:
  base:
    loras:
      - name: law-lora
      - name: code-lora
default_model: base
"""
MINIMAL = ENDPOINTS + MODELS
"""Ten lines that load without a warning; what a test adds begins on line 11."""


def plain(text: str) -> Any:
    """The values of YAML text; the parser written in C takes a tenth of the time."""
    return yaml.load(text, yaml.CSafeLoader)


def write(folder: Path, text: str) -> Path:
    path = folder / "config.yaml"
    path.write_text(text, "utf-8")
    return path


def loaded(folder: Path, text: str) -> LoadedConfig:
    return load(write(folder, text))


def problems(folder: Path, text: str) -> tuple[Problem, ...]:
    """The problems of a text that must not load."""
    with pytest.raises(ConfigError) as caught:
        loaded(folder, text)
    return caught.value.problems


def the_problem(folder: Path, text: str) -> Problem:
    """The problem of a text that has exactly one."""
    found = problems(folder, text)
    assert len(found) == 1, found
    return found[0]


def category(name: str, *lines: str) -> str:
    """A category of the base model as an item of `categories`, five lines and those given."""
    extra = "".join(f"    {line}\n" for line in lines)
    return f"  - name: {name}\n{extra}    model_scores:\n      - model: base\n        use_reasoning: false\n"


def write_manifest(folder: Path, labels: tuple[str, ...] = LABELS, target: str = "cpu") -> Path:
    """A folder with an artifact's manifest and nothing else."""
    folder.mkdir(exist_ok=True)
    manifest = {
        "format_version": 2,
        "labels": labels,
        "max_tokens": 512,
        "inputs": ["input_ids"],
        "output": "logits",
        "opset": 17,
        "precision": "int8",
        "target": target,
        "temperature": 1.0,
        "suggested_threshold": None,
        "source": {"name": "test", "sha256": "0" * 64},
        "files": {MODEL: "0" * 64, TOKENIZER: "0" * 64},
        "known_answers": [{"text": "hello", "probabilities": [1 / len(labels)] * len(labels)}],
        "verification": {},
        "versions": {},
        "created": "2026-01-01T00:00:00Z",
    }
    (folder / MANIFEST).write_text(json.dumps(manifest), "utf-8")
    return folder
