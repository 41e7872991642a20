"""A newcomer's twelve adapters, which nobody trained for: half of them have a card, of the others the owner says it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

FLEET = Path(__file__).parents[1] / "data" / "newcomer.json"
ADAPTERS: list[dict[str, Any]] = json.loads(FLEET.read_text("utf-8"))["adapters"][:12]
PROMPTS = [(adapter["name"], prompt) for adapter in ADAPTERS for prompt in adapter["prompts"][:2]]
"""Adapter and prompt."""


def write_cards(folder: Path) -> None:
    """Write half of the adapters' folders."""
    for adapter in ADAPTERS[:6]:
        own = folder / adapter["name"]
        own.mkdir(parents=True)
        (own / "adapter_config.json").write_text('{"base_model_name_or_path": "base-model"}')
        (own / "README.md").write_text(f"# {adapter['name']}\n\n{adapter['description']}\n")


def say_what_each_is_for(file: Path) -> None:
    """Edit the config that `init` wrote."""
    config = yaml.safe_load(file.read_text())
    said = {adapter["name"]: adapter["description"] for adapter in ADAPTERS}
    for category in config["categories"]:
        if category["name"] in said:
            category["description"] = said[category["name"]]
    file.write_text(yaml.safe_dump(config, sort_keys=False))


def assert_routed(model_of: Callable[[str], str]) -> None:
    """One sentence each is right for a third of the prompts; those of all others have the base model, or another."""
    right = [wanted for wanted, prompt in PROMPTS if model_of(prompt) == wanted]
    assert len(right) >= 8
    assert len(set(right)) >= 5
