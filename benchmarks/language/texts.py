"""Read the texts of this folder and users' prompts."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import yaml

FOLDER = Path(__file__).parent
USERS = ("dev_user_prompts", "dev_mmlu_pro", "dev_out_of_scope", "train", "unlabelled")


@dataclass(frozen=True, slots=True)
class LanguageText:
    """A text, the language of its ask, and its kind."""

    text: str
    language: str
    kind: str

    @property
    def held_out(self) -> bool:
        """Return whether the text was held out when the gate was tuned: by its hash, so that nobody chose."""
        return hashlib.sha256(self.text.encode()).digest()[0] % 2 == 1


def foreign() -> list[LanguageText]:
    """Return the asks in other languages than English, of the kinds `short`, `long` and `mixed`."""
    pure = [
        LanguageText(text, language, kind)
        for language, kinds in _yaml("asks").items()
        for kind, texts in kinds.items()
        for text in texts
    ]
    mixed = [
        LanguageText(text, language, "mixed") for language, texts in _yaml("foreign_mixed").items() for text in texts
    ]
    return pure + mixed


def english() -> list[LanguageText]:
    """Return the texts that must pass a gate for English, by kind."""
    return [LanguageText(str(text), "en", kind) for kind, texts in _yaml("english").items() for text in texts]


def users(folder: Path) -> dict[str, list[str]]:
    """Return users' prompts by the name of their file."""
    found = {}
    for name in USERS:
        with (folder / f"{name}.jsonl").open(encoding="utf-8") as lines:
            found[name] = [json.loads(line)["text"] for line in lines]
    return found


def _yaml(name: str) -> dict[str, dict[str, list[str]]]:
    found: dict[str, dict[str, list[str]]] = yaml.safe_load((FOLDER / f"{name}.yaml").read_text("utf-8"))
    return found
