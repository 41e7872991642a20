"""Load the wrappers of a client's requests, and fill asks and material into them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import yaml

FOLDER = Path(__file__).parent
GROUPS = {
    "known": ("agents", "rag"),
    "others": ("others",),
    "others_apart": ("others_apart",),
    "apps": ("apps",),
    "apps_apart": ("apps_apart",),
    "habits": ("habits",),
    "habits_apart": ("habits_apart",),
    "held_out": ("agents_held_out", "rag_held_out"),
}
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The library's own in C, where there is one: five times as fast."""
DOMAINS = ("technical", "medical", "legal", "everyday")


class Wrapper(msgspec.Struct, frozen=True):
    """The text that a client sends around an ask; wrappers/README.md describes the fields."""

    id: str
    format: str
    request: dict[str, Any]
    material: str
    expect: str
    escape: str | None = None
    lines: str | None = None

    def filled(self, ask: str, material: str) -> bytes:
        """Return the body of a request with this ask and material."""
        if self.lines is not None:
            numbered = enumerate(material.split("\n"), 1)
            material = "\n".join(self.lines.format(line=line, n=number) for number, line in numbered)
        if self.escape == "json":
            ask, material = json.dumps(ask)[1:-1], json.dumps(material)[1:-1]
        return json.dumps({"model": "MoM", **_filled(self.request, ask, material)}).encode()


def _filled(value: Any, ask: str, material: str) -> Any:
    if isinstance(value, str):
        return value.replace("{{material}}", material).replace("{{ask}}", ask)
    if isinstance(value, list):
        return [_filled(item, ask, material) for item in value]
    if isinstance(value, dict):
        return {key: _filled(item, ask, material) for key, item in value.items()}
    return value


def wrappers(group: str) -> list[Wrapper]:
    """Return the wrappers of a group."""
    files = [FOLDER / "wrappers" / f"{name}.yaml" for name in GROUPS[group]]
    entries = [entry for file in files for entry in yaml.load(file.read_text(), Loader=_LOADER)]  # noqa: S506
    return [msgspec.convert(entry, Wrapper) for entry in entries]


def materials(form: str) -> dict[str, list[str]]:
    """Return the passages of a form by domain."""
    found = {domain: sorted((FOLDER / "material").glob(f"{domain}-{form}-*.txt")) for domain in DOMAINS}
    return {domain: [file.read_text().rstrip("\n") for file in files] for domain, files in found.items()}


def injections() -> list[dict[str, str]]:
    """Return documents that try to speak in the person's place."""
    found: list[dict[str, str]] = yaml.safe_load((FOLDER / "injections.yaml").read_text())
    return found


class SpokenDocument(NamedTuple):
    """A document in which a form says an ask, and the domain of what it says."""

    id: str
    form: str
    domain: str
    text: str


def spoken_documents() -> list[SpokenDocument]:
    """Return each form with each ask, in turn in the middle and at the end of a passage."""
    listed = yaml.safe_load((FOLDER / "spoken.yaml").read_text())
    passages = [text for texts in materials("document").values() for text in texts]
    asks = [(domain, ask) for domain in DOMAINS for ask in listed["asks"][domain]]
    found: list[SpokenDocument] = []
    for form, text in listed["forms"].items():
        for number, (domain, ask) in enumerate(asks):
            paragraphs = passages[len(found) % len(passages)].split("\n\n")
            at = len(paragraphs) if number % 2 else len(paragraphs) // 2
            said = "\n\n".join([*paragraphs[:at], text.replace("{{said}}", ask), *paragraphs[at:]])
            found.append(SpokenDocument(f"{form}/{domain}-{number}", form, domain, said))
    return found
