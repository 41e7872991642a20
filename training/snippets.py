"""Provide code, tracebacks and logs as people paste them next to a question; written for this project."""

from __future__ import annotations

from training.sections import TEXTS

_SEPARATOR = "\n====\n"

SNIPPETS = tuple((TEXTS / "snippets.txt").read_text(encoding="utf-8").strip().split(_SEPARATOR))
