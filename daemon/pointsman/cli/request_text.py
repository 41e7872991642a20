"""Write a request's line of the log as text for a terminal.

A log may be of another release, shortened or not ours: any field may be missing, be new, or have any value.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from pointsman.observability.log_line import cut
from pointsman.routing.explain import plain

MAX_VALUE_BYTES = 400
MAX_NAME_BYTES = 40
# A row is a label and its fields. A separator before the first existing field is left out.
_ROWS: dict[str, dict[str, str]] = {
    "request": {"request_id": ""},
    "path": {"path": ""},
    "ended": {"ts": ""},
    "who": {"key": "key ", "client": ", client "},
    "status": {"status": "", "endpoint": ", endpoint ", "left_in": ", the client left in "},
    "error": {"error": ""},
    "retried": {"retried": ""},
    "model": {"selected_model": "", "original_model": ", asked for "},
    "category": {"category": ""},
    "reason": {
        "reason": "",
        "confidence": ", confidence ",
        "threshold": ", threshold ",
        "threshold_origin": " by ",
    },
    "missed": {"missed": ""},
    "near": {"near": ""},
    "rule": {"rule": ""},
    "would be": {"would": ""},
    "in shadow": {"shadow": ""},
    "arm": {"arm": "", "draw": ", draw "},
    "turn": {"turn": "", "conversation": " of conversation "},
    "tokens": {"prompt_tokens": "prompt ", "completion_tokens": ", answer "},
    "edits": {"edited": "", "system_prompt": ", system prompt "},
    "ask": {"ask": ""},
}
# Fields that say nothing about a request, and fields with lines of their own.
_NO_ROWS = {"level", "event", "ask_spans", "ms"}


def listed(fields: dict[str, Any]) -> str:
    """Return a request in one line: when, its id, status and model."""
    names = ("ts", "request_id", "status", "selected_model")
    return plain("  ".join(_said(fields.get(name)) for name in names))


def rendered(fields: dict[str, Any]) -> Iterator[str]:
    """Yield the lines of a request: the known fields, then all others, then the steps and the times."""
    left = {name: value for name, value in fields.items() if name not in _NO_ROWS}
    for label, pieces in _ROWS.items():
        text = "".join(before + _said(left.pop(name)) for name, before in pieces.items() if name in left)
        if text:
            yield f"{label:<10} {text.removeprefix(', ').strip()}"
    for name, value in left.items():
        yield f"{cut(name, MAX_NAME_BYTES):<10} {_said(value)}"
    if "ask_spans" in fields:
        yield from _spans(fields["ask_spans"])
    if "ms" in fields:
        yield from _times(fields["ms"])


def _spans(value: Any) -> Iterator[str]:
    yield "steps"
    for span in value if isinstance(value, list) else [value]:
        if isinstance(span, list) and len(span) == 3:
            yield f"  {_said(span[0]):<18} characters {_said(span[1])} to {_said(span[2])}"
        else:
            yield f"  {_said(span)}"


def _times(value: Any) -> Iterator[str]:
    yield "time (ms)"
    for phase, taken in value.items() if isinstance(value, dict) else [("", value)]:
        shown = f"{taken:.3f}" if isinstance(taken, float) else _said(taken)
        yield f"  {cut(phase, MAX_NAME_BYTES):<10} {shown}"


def _said(value: Any) -> str:
    """Return a value in a line: a text unchanged, an object as names and values, everything else as JSON."""
    if value is None:
        return "-"
    if isinstance(value, str):
        return cut(value, MAX_VALUE_BYTES)
    if isinstance(value, list):
        return cut("; ".join(map(_inner, value)), MAX_VALUE_BYTES)
    return cut(_inner(value), MAX_VALUE_BYTES)


def _inner(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_json(one)}" for name, one in value.items())
    return _json(value)


def _json(value: Any) -> str:
    """Return a text unchanged, everything else as JSON, unless it is nested so deeply that Python would give up."""
    try:
        return value if isinstance(value, str) else json.dumps(value)
    except RecursionError:
        return "…"
