"""The answers that the stand-in for vLLM gives, which honest clients know beforehand."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

BASE = "base"
ADAPTERS: Mapping[str, str] = {"landlord": "law-lora", "python": "code-lora"}
"""The adapter of each word that decides a text's category."""
DONE = b"data: [DONE]\n\n"


def plain(model: str, text: str) -> bytes:
    """Return a whole chat completion that repeats the model and the text."""
    choice = {"index": 0, "message": {"role": "assistant", "content": f"{model}: {text}"}, "finish_reason": "stop"}
    return json.dumps({"object": "chat.completion", "model": model, "choices": [choice]}).encode()


def events(model: str, text: str) -> Sequence[bytes]:
    """Return the same as the events of a stream."""
    deltas = [{"index": 0, "delta": {"content": part}, "finish_reason": None} for part in (model, ": ", text)]
    chunks = [{"object": "chat.completion.chunk", "model": model, "choices": [delta]} for delta in deltas]
    return [*(b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks), DONE]
