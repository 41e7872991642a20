"""Store a measured cost curve for the next start, in the artifact's folder or else the state directory."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from pointsman import files
from pointsman.classify import cpu
from pointsman.classify.artifact import BUILTIN, Artifact
from pointsman.classify.cost_model import CostCurve
from pointsman.classify.manifest import MODEL, TOKENIZER
from pointsman.store import document

MAX_FILE_BYTES = 2**20

Key = Mapping[str, str | int]


class _CurveFile(msgspec.Struct, forbid_unknown_fields=True):
    key: dict[str, str | int]
    curve: CostCurve


def key(artifact: Artifact, *, runtime: str, provider: str, cores: int, threads: int, max_tokens: int) -> Key:
    """Return everything a curve depends on; `runtime` is ONNX Runtime's version, `max_tokens` a text's most tokens."""
    files = "".join(f"{name}={artifact.manifest.files[name]}\n" for name in (MODEL, TOKENIZER))
    return {
        "model": hashlib.sha256(files.encode()).hexdigest(),
        "runtime": runtime,
        "provider": provider,
        "cpu": cpu.identity(),
        "cores": cores,
        "threads": threads,
        "longest": max_tokens,
    }


def state_folder() -> Path:
    """Return the folder for data that can be regenerated: the service's, or else the user's."""
    if (given := files.state_directory()) is not None:
        return given
    base = os.environ.get("XDG_STATE_HOME")
    return (Path(base) if base else Path.home() / ".local" / "state") / "pointsman"


def folders(artifact: Artifact) -> tuple[Path, ...]:
    """Return the folders to try, in order; the package's own folder is never written to."""
    own = artifact.graph_folder.resolve()
    return (state_folder(),) if own == BUILTIN.resolve() else (own, state_folder())


def load(folders: Iterable[Path], wanted: Key) -> CostCurve | None:
    """Return the curve stored for this key; None if it is missing, damaged, or has another key."""
    for folder in folders:
        with contextlib.suppress(OSError):
            content = document.read(folder / _name(wanted), _CurveFile, MAX_FILE_BYTES)
            if content.key == wanted:
                return content.curve
    return None


def store(folders: Iterable[Path], wanted: Key, curve: CostCurve) -> str | None:
    """Write the curve to the first writable folder; return a message for the operator if there is none."""
    content = msgspec.json.format(msgspec.json.encode(_CurveFile(dict(wanted), curve)))
    tried = []
    for folder in folders:
        try:
            document.write(folder / _name(wanted), content)
        except OSError as error:
            tried.append(f"{folder} ({error.strerror})")
        else:
            return None
    return f"the measured cost curve was not stored, the next start measures again: cannot write to {', '.join(tried)}"


def _name(wanted: Key) -> str:
    digest = hashlib.sha256(msgspec.json.encode(dict(sorted(wanted.items())))).hexdigest()
    return f"cost-{digest[:12]}.json"
