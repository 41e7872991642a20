"""Ten times the load that the daemon can carry: who is admitted has a class in time, all others an answer at once."""

from __future__ import annotations

from typing import Any

from inference import metrics
from inference.ceiling import stored_curve
from inference.load import Window, closed_loop, open_loop, post, quantile, rotated
from inference.prompts import make_prompts
from inference.servers import pointsman
from inference.soak import lag_ms
from inference.workplace import MAX_TOKENS, Workplace
from pointsman.classify.classifier import DEFAULT_WAIT_S
from support.service import chat

TIMES = 10
FIND_S, OVERLOAD_S = 4.0, 8.0
PROMPTS = 4096
REFUSED, LATE = {"overloaded", "classifier_error"}, "deadline"
"""Reasons for which the fallback answers; what is late was admitted."""


def measure(work: Workplace, share: float) -> dict[str, Any]:
    """By workload: what was sustainable, what was offered, and how it was answered."""
    result: dict[str, Any] = {}
    with pointsman(work, "overload", work.model("int8-token"), cache_entries=0) as server:
        result["deadline_ms"] = _deadline_ms(work)
        for workload in ("mix", "short"):
            texts = make_prompts(work.tokenizer, workload, PROMPTS)
            requests = [post("/v1/route", chat(text)) for text in texts]
            carried = closed_loop(server.port, rotated(requests, 0), 4, FIND_S * share)
            sustainable = sum(reply.reason not in REFUSED | {LATE} for reply in carried.replies) / carried.seconds
            before = metrics.loop_lag(server)
            window = open_loop(server.port, rotated(requests, 0), TIMES * sustainable, OVERLOAD_S * share)
            lag = metrics.since(before, metrics.loop_lag(server))
            result[workload] = {"sustainable_per_second": round(sustainable, 1)} | _outcome(window)
            result[workload]["lag_ms"] = lag_ms(lag)
            print(workload, result[workload], flush=True)
    return result


def _deadline_ms(work: Workplace) -> float | None:
    """The default one, which follows from the cost of the longest text."""
    curve = stored_curve(work.model("int8-token"))
    return None if curve is None else round((DEFAULT_WAIT_S + curve.seconds_alone(MAX_TOKENS)) * 1000, 1)


def _outcome(window: Window) -> dict[str, Any]:
    reasons = sorted({reply.reason or f"status {reply.status}" for reply in window.replies})
    by_reason = {
        reason: [r.seconds for r in window.replies if (r.reason or f"status {r.status}") == reason]
        for reason in reasons
    }
    admitted = [reply.seconds for reply in window.replies if reply.status == 200 and reply.reason not in REFUSED]
    return {
        "offered": len(window.replies),
        "admitted": len(admitted),
        "admitted_per_second": round(len(admitted) / window.seconds, 1),
        "admitted_p50_ms": round(quantile(admitted, 0.5) * 1000, 2),
        "admitted_p99_ms": round(quantile(admitted, 0.99) * 1000, 2),
        "by_reason": {
            reason: {
                "count": len(seconds),
                "p50_ms": round(quantile(seconds, 0.5) * 1000, 2),
                "p99_ms": round(quantile(seconds, 0.99) * 1000, 2),
            }
            for reason, seconds in by_reason.items()
        },
    }
