"""Write an artifact's manifest, with its files' hashes and the answers by which the daemon proves the artifact."""

from __future__ import annotations

from pathlib import Path

import msgspec

from pointsman.classify import ordinary
from pointsman.classify.artifact import MANIFEST, Artifact, sha256
from pointsman.classify.engine import Engine, EngineRun, probabilities
from pointsman.classify.manifest import KnownAnswer, Manifest
from pointsman.classify.proof import answers
from pointsman.classify.providers import default_providers
from pointsman.classify.tokenizer import Tokenizer

TEXTS = (
    "What causes high blood pressure?",
    "Write a Python function that merges two sorted lists, and explain how long it takes.",
    "¿Puede mi casero subir el alquiler a mitad del contrato?",
    "A train leaves the station at 9:40 and travels 210 km at 84 km/h. " * 4 + "When does it arrive?",
)
_DIGITS = 6


def hashes(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of each file of an artifact that has no manifest yet."""
    return {path.name: sha256(path) for path in sorted(folder.iterdir())}


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write the manifest into `folder`, next to the files that it describes, with the artifact's answers on a CPU."""
    write(folder, msgspec.structs.replace(manifest, known_answers=known_answers(Artifact(folder, manifest))))


def known_answers(artifact: Artifact) -> list[KnownAnswer]:
    """Return the answers of an artifact, on a CPU."""
    manifest = artifact.manifest
    providers = default_providers(manifest.target, use_cpu=True)
    runs = answers(list(TEXTS), manifest.max_tokens, Tokenizer(artifact.tokenizer_path), Engine(artifact, providers))
    return [_answer(text, artifact, run) for text, run in zip(TEXTS, runs, strict=True)]


def _answer(text: str, artifact: Artifact, run: EngineRun) -> KnownAnswer:
    """Return an artifact's probabilities; without labels, its features."""
    (row,) = probabilities(artifact, run).tolist()
    if row or run.features is None:
        return KnownAnswer(text=text, probabilities=[round(value, _DIGITS) for value in row])
    return KnownAnswer(text=text, features=ordinary.encode(run.features))


def write(folder: Path, manifest: Manifest) -> None:
    """Write a complete manifest into `folder`."""
    (folder / MANIFEST).write_bytes(msgspec.json.format(msgspec.json.encode(manifest), indent=2))
