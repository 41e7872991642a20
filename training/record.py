"""Name all that a run depends on, so that anybody can repeat it."""

from __future__ import annotations

import importlib.metadata
import platform
import subprocess
from dataclasses import asdict
from pathlib import Path
from typing import Any

from training import adapters
from training.corpus import READ, ROOT, reserved_files
from training.data import sha256
from training.held_out import HeldOut
from training.sections import TEXTS
from training.trainer import Settings

RECORD = Path(__file__).parent / "builtin.json"
"""What the shipped weights were made of."""
_PACKAGES = ("numpy", "safetensors", "tokenizers", "torch", "transformers")


def record(data_dir: Path, encoder: Path, settings: Settings, held_out: HeldOut) -> dict[str, Any]:
    """Return the settings, the hashes of data, texts and encoder, the commit of the code, and the versions."""
    files = {"encoder": encoder / "model.safetensors"}
    files |= {f"{name}.jsonl": data_dir / f"{name}.jsonl" for name in ("train", *READ)} | dict(adapters.files(data_dir))
    for path in reserved_files(data_dir):  # near copies of their texts were left out
        files[str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else path.name] = path
    files |= {f"texts/{path.relative_to(TEXTS)}": path for path in sorted(TEXTS.rglob("*.txt"))}
    return {
        "settings": asdict(settings),
        "held_out": list(held_out.sources),
        "sha256": {name: sha256(path) for name, path in files.items()},
        "commit": _commit(),
        "python": platform.python_version(),
        "versions": {name: importlib.metadata.version(name) for name in _PACKAGES},
    }


def cpu() -> str:
    """Return the processor's name, family and model, which tell one generation of a cloud's hosts from another."""
    lines = Path("/proc/cpuinfo").read_text("utf-8").partition("\n\n")[0].splitlines()
    found = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    named = [found.get("model name", platform.machine())]
    return ", ".join(named + [f"{key} {found[key]}" for key in ("cpu family", "model") if key in found])


def _commit() -> str:
    """Return the commit of the code, marked if it was changed since; empty outside a repository."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    done = subprocess.run(command, cwd=TEXTS, capture_output=True, text=True, check=False)  # noqa: S603
    return done.stdout.strip()
