"""Describe a decision in full, for `POST /v1/route` and `pointsman explain`."""

from __future__ import annotations

from typing import Any

from pointsman.routing.formats import ParsedRequest
from pointsman.routing.router import Routed, Router


def describe(router: Router, request: ParsedRequest, routed: Routed) -> dict[str, Any]:
    """Return the decision, category and label scores (highest first), body edits, and milliseconds by phase."""
    decision, classification = routed.decision, routed.classification
    labels: dict[str, float] = {}
    categories: dict[str, float] = {}
    if classification is not None:
        labels = dict(zip(router.classifier.labels, classification.probabilities, strict=True))
        categories = router.policy.scores(classification.probabilities)
    return {
        "decision": {
            "model": decision.model,
            "base_model": decision.base_model,
            "endpoints": [endpoint.name for endpoint in decision.endpoints],
            "category": decision.category,
            "confidence": decision.confidence,
            "threshold": router.config.classifier.category_model.threshold,
            "reason": decision.reason,
            "reasoning": decision.reasoning,
        },
        "categories": _greatest_first(categories),
        "labels": _greatest_first(labels),
        "edits": [
            {
                "field": change.field,
                "from": None if change.old is None else bytes(change.old).decode("utf-8", "replace"),
                "to": b"".join(change.new).decode("utf-8", "replace"),
            }
            for change in routed.edited.changes
        ],
        "text": None
        if classification is None
        else {
            "tokens": classification.tokens,
            "truncated": classification.cut,
            "source": classification.source,
        },
        "timing_ms": {phase: round(seconds * 1000, 3) for phase, seconds in routed.phases().items()},
    }


def _greatest_first(scores: dict[str, float]) -> dict[str, float]:
    return {name: round(score, 6) for name, score in sorted(scores.items(), key=lambda item: -item[1])}


def render(description: dict[str, Any]) -> str:
    """Return the description as text for a terminal."""
    decision = description["decision"]
    confidence = "-" if decision["confidence"] is None else f"{decision['confidence']:.3f}"
    lines = [
        f"model      {decision['model']}" + _aside(decision["base_model"], decision["model"]),
        f"category   {decision['category'] or '-'}",
        f"reason     {decision['reason']} (confidence {confidence}, threshold {decision['threshold']})",
        f"endpoints  {', '.join(decision['endpoints'])}",
        *_bars("categories", description["categories"]),
        *_bars("labels", description["labels"]),
        "edits",
        *(f"  {edit['field']}: {edit['from'] or '(absent)'} -> {edit['to']}" for edit in description["edits"]),
        "time (ms)",
        *(f"  {phase:<10} {milliseconds:.3f}" for phase, milliseconds in description["timing_ms"].items()),
    ]
    return "\n".join(lines)


def _aside(base: str, model: str) -> str:
    return f" (adapter of {base})" if base != model else ""


def _bars(title: str, scores: dict[str, float]) -> list[str]:
    return [
        title,
        *(f"  {name:<18} {score:6.3f} {'#' * round(score * 40)}".rstrip() for name, score in scores.items()),
    ]
