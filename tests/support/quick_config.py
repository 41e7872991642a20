"""The shipped config with a toy for its classifier: its daemon starts in half the CPU time.

For rules that are no rules of the built-in classifier.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Any

from support import toy_artifact
from support.service import shipped_config


def quick_config(port: int) -> dict[str, Any]:
    """`shipped_config`, with the toy, which has the same labels and is as sure of `TECHNICAL` and `MEDICAL`."""
    config = shipped_config(port)
    config["classifier"]["category_model"]["model_id"] = str(_toy())
    return config


@cache
def _toy() -> Path:
    return toy_artifact.build_measured(Path(os.environ["STATE_DIRECTORY"]) / "toy")
