"""Offer ten times the sustainable load: admitted requests are classified in time, others refused at once."""

from __future__ import annotations

from typing import Any

from inference.ceiling import measured
from inference.load import LoadWindow, closed_loop, open_loop, post, rotated
from inference.prompts import make_prompts
from inference.servers import pointsman
from inference.workplace import InferenceFolder
from support.service import chat

TIMES = 10
FIND_SECONDS, OVERLOAD_SECONDS = 4.0, 8.0
PROMPTS = 4096
REFUSED = {"overloaded", "classifier_error"}
"""Fallback reasons of requests that were not admitted; those that missed the deadline were."""


def measure(work: InferenceFolder, share: float) -> dict[str, Any]:
    """Return, by workload, the sustainable rate, the offered rate, and the outcomes."""
    _, deadline_ms = measured(work.model("int8-token"))
    found = {}
    with pointsman(work, "overload", work.model("int8-token"), cache_entries=0, deadline_ms=deadline_ms) as server:
        for workload in ("mix", "short"):
            requests = [post("/v1/route", chat(text)) for text in make_prompts(work.tokenizer, workload, PROMPTS)]
            sustained = _outcome(closed_loop(server.port, rotated(requests, 0), 8, FIND_SECONDS * share))["admitted"]
            rate = TIMES * sustained["per_second"]
            overloaded = _outcome(open_loop(server.port, rotated(requests, 0), rate, OVERLOAD_SECONDS * share))
            found[workload] = {"sustained": sustained} | overloaded
            print(workload, found[workload], flush=True)
    return {"deadline_ms": deadline_ms, "workloads": found}


def _outcome(window: LoadWindow) -> dict[str, Any]:
    outcomes = sorted({reply.outcome for reply in window.replies})
    return {
        "offered": len(window.replies),
        "admitted": window.only(lambda reply: reply.outcome not in REFUSED).summary(),
        "outcomes": {
            found: LoadWindow([reply for reply in window.replies if reply.outcome == found], window.seconds).summary()
            for found in outcomes
        },
    }
