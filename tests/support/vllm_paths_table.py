"""The table of docs/vllm-paths.md."""

from __future__ import annotations

import re
from pathlib import Path

_TABLE = Path(__file__).parents[2] / "docs" / "vllm-paths.md"
_ROW = re.compile(r"^\| `([A-Z]+ /\S*)` \| ([a-z ]+) \|", re.MULTILINE)


def rows() -> dict[str, str]:
    """Return the treatment of each `METHOD /path`: routed, relayed, answered here, may be added, or refused."""
    return dict(_ROW.findall(_TABLE.read_text("utf-8")))


def plain(path: str) -> str:
    """A path whose parameters have the name that the table gives them."""
    return re.sub(r"\{\w+\}", "{id}", path)
