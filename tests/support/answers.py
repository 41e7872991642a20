"""Answers of a model made comparable: what a client got through the daemon against what it gets directly."""

from __future__ import annotations

import json
from typing import Any

Json = dict[str, Any]

# Fields that differ between answers, whoever is asked; the numbers of events too, as a stream is cut arbitrarily.
VOLATILE = frozenset({"id", "created", "created_at", "completed_at", "item_id", "sequence_number"})


def events(body: bytes) -> list[Json]:
    """The events of a stream, which must end with [DONE] and nothing after it."""
    *frames, done, end = body.split(b"\n\n")
    assert (done, end) == (b"data: [DONE]", b"")
    return [json.loads(frame.removeprefix(b"data: ")) for frame in frames]


def stable(value: Any) -> Any:
    """The same JSON without what differs from one answer to the next."""
    if isinstance(value, dict):
        return {key: stable(inner) for key, inner in value.items() if key not in VOLATILE}
    return [stable(inner) for inner in value] if isinstance(value, list) else value


def collapsed(stream: list[Json]) -> tuple[list[Json], str]:
    """The kinds of events in their order, and all their text: under load vLLM puts several tokens in one event."""
    kinds: list[Json] = []
    texts = []
    for event in stable(stream):
        texts.append(_take_text(event))
        if not kinds or kinds[-1] != event:
            kinds.append(event)
    return kinds, "".join(texts)


def _take_text(event: Json) -> str:
    """Take the text out of an event of chat completions, completions or responses."""
    choice = (event.get("choices") or [event])[0]
    owner = choice["delta"] if isinstance(choice.get("delta"), dict) else choice
    taken = (owner.pop(name, None) for name in ("content", "text", "delta"))
    return "".join(text for text in taken if isinstance(text, str))
