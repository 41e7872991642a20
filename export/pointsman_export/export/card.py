"""Find a GPU of this host that ONNX Runtime does not use."""

from __future__ import annotations

import shutil
import subprocess

import onnxruntime

from pointsman.classify.runtime import ProviderUnavailable, require

# The driver's program hangs with the card.
LISTED_SECONDS = 10.0


def unused_card() -> str | None:
    """Return how to prove the graph on this host's GPU; None if that is done, or without a GPU."""
    try:
        require(onnxruntime, "cuda")
    except ProviderUnavailable as error:
        if _has_card():
            remedy = str(error).replace("pointsman[gpu]", "pointsman[export-gpu]")
            return f"proving on the CPU, though this host has a GPU: {remedy}"
    return None


def _has_card() -> bool:
    program = shutil.which("nvidia-smi")
    if program is None:
        return False
    try:
        listed = subprocess.run(  # noqa: S603 - its full path
            [program, "--list-gpus"], capture_output=True, check=False, timeout=LISTED_SECONDS
        )
    except subprocess.TimeoutExpired:
        return False
    return listed.returncode == 0 and bool(listed.stdout.strip())
