"""Read both sides of an experiment from the service's log and the file of feedback."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from pointsman.errors import EvaluationError
from pointsman.experiments.failure import has_failed
from pointsman.experiments.prices import Prices, cost_of
from pointsman.experiments.tally import Tally
from pointsman.observability.log_reader import MAX_LOG_LINE_BYTES
from pointsman.store.rows_file import decoded

# For each side; more would take more than 200 MB.
MAX_CONVERSATIONS = 500_000
ROUTED = frozenset({"routed", "canary", "stable"})


class _LoggedOutcome(msgspec.Struct, frozen=True):
    """The fields of a log line that are read."""

    event: str = ""
    ts: str = ""
    status: int = 0
    why: str = msgspec.field(name="reason", default="")
    selected_model: str = ""
    category: str = ""
    arm: str = ""
    draw: str | None = None
    endpoint: str = ""
    error: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    ms: dict[str, float] = {}
    author: str = ""
    score: float | None = None
    label: str | None = None


def read(
    lines: Iterable[bytes], names: tuple[str, str], prices: Prices, since: str = "", label: str | None = None
) -> tuple[Tally, Tally]:
    """Return both sides; a side is a model, or an arm of an experiment, and `label` is one to judge.

    Lines before `since`, a time in the log's form, are left out. Raises EvaluationError if there are too many
    conversations.
    """
    first, second = (Tally(name, MAX_CONVERSATIONS, MAX_CONVERSATIONS, MAX_CONVERSATIONS, label) for name in names)
    for text in lines:
        if b'"draw"' not in text or len(text) > MAX_LOG_LINE_BYTES:
            continue  # not part of an experiment
        line = decoded(text[text.find(b"{") :], _LoggedOutcome)
        if line is None or line.ts < since or line.draw is None:
            continue
        for side in (first, second):
            if side.name in (line.selected_model, line.arm) or (side.name == "routed" and line.arm in ROUTED):
                _add(side, line, prices)
    return first, second


def _add(side: Tally, line: _LoggedOutcome, prices: Prices) -> None:
    draw = f"{line.category} {line.draw}"
    if line.event == "feedback":
        side.rate(draw, line.score, line.label, line.author)
    elif line.event == "routing_decision" and line.endpoint and line.status != 499:
        # A client that left says nothing about the model.
        prompt, completion = line.prompt_tokens or 0, line.completion_tokens or 0
        side.add(
            draw,
            failed=has_failed(line.status, line.error, line.why),
            first_byte=line.ms.get("first_byte"),
            tokens=completion,
            cost=cost_of(prices, line.selected_model, prompt, completion),
        )
    if side.forgotten:
        raise EvaluationError(f"{side.name} has more than {MAX_CONVERSATIONS:,} conversations; use --since")
