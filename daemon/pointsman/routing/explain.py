"""Describe a decision in full, for `POST /v1/route` and `pointsman explain`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from msgspec import structs

from pointsman.classify.classification import Classification
from pointsman.routing.decision import Reason
from pointsman.routing.edits import Pieces, sides
from pointsman.routing.follow_up import content_free
from pointsman.routing.parsed_request import ParsedRequest
from pointsman.routing.prompt_text import texts_of
from pointsman.routing.reading import raised
from pointsman.routing.router import RoutedRequest, Router
from pointsman.routing.steps import finish

# An edit may affect all messages of a conversation.
MAX_EDIT_BYTES = 4096
MAX_EDIT_LINE_CHARACTERS = 400
# A client that marks the ask inside its message has the text of a longer one.
MAX_MESSAGE_BYTES = 64 * 1024
# Show only both ends of a longer ask.
_MAX_ASK_CHARACTERS = 2000
_SHOWN = 200


def describe(router: Router, request: ParsedRequest, routed: RoutedRequest) -> dict[str, Any]:
    """Return the decision, the ask, the conversation, scores (highest first), body edits, and milliseconds by phase."""
    categories: dict[str, float] = {}
    labels: dict[str, float] = {}
    classification = routed.classification
    if classification is not None:
        labels = dict(zip(router.classifier.labels, classification.probabilities, strict=True))
        categories = router.policy.scores(classification.scores)
    return {
        "decision": _decision(router, request, routed),
        "ask": {
            "kind": request.ask.kind,
            "text": _shortened(request.ask.text),
            "others": [_shortened(text) for text in request.ask.others],
            "about": request.ask.about,
            "line": request.ask.line,
            "steps": [{"what": step.what, "start": step.start, "end": step.end} for step in request.ask.steps],
            "message": _message(request),
        },
        "conversation": _conversation(router, routed),
        "categories": greatest_first(categories),
        "thresholds": {name: _threshold(router, routed, name) for name in categories},
        "threshold_origins": {name: router.policy.origin(name) for name in categories},
        "labels": greatest_first(labels),
        "edits": [
            {"field": change.field, "from": old and _shown(old), "to": _shown(new)}
            for change in routed.edited.changes
            for old, new in [sides(request.fields, change)]
        ],
        "text": None if classification is None else _text(router, classification, routed),
        "timing_ms": {phase: round(seconds * 1000, 3) for phase, seconds in routed.phases().items()},
    }


def _decision(router: Router, request: ParsedRequest, routed: RoutedRequest) -> dict[str, Any]:
    decision, missed = routed.decision, routed.decision.missed
    compared = routed.threshold or (_threshold(router, routed, decision.category), None)
    return {
        "model": decision.model,
        "base_model": decision.base_model,
        "endpoints": [endpoint.name for endpoint in decision.endpoints],
        "category": decision.category,
        "confidence": decision.confidence,
        "threshold": compared[0],
        "threshold_origin": compared[1],
        "reason": decision.reason,
        "missed": None if missed is None else structs.asdict(missed),
        "near": None if routed.near is None else structs.asdict(routed.near),
        "rule": decision.rule,
        "would": None if decision.would is None else structs.asdict(decision.would),
        "reasoning": routed.edited.reasoning,
        "system_prompt": routed.system_prompt,
        "tools": request.tools if routed.remembered is None else routed.remembered.tools,
    }


def _threshold(router: Router, routed: RoutedRequest, category: str | None) -> float:
    """Return the threshold that the category had to reach."""
    threshold = router.policy.threshold(category)
    return raised(threshold) if routed.reading.surely else threshold


def _text(router: Router, classification: Classification, routed: RoutedRequest) -> dict[str, Any]:
    return {
        "by_material": routed.reading.by_material,
        "by_line": routed.reading.by_line,
        "artifact": router.classifier.name,
        "tokens": classification.tokens,
        "truncated": classification.cut,
        "source": classification.source,
        "language": classification.language,
        "supported_language": classification.supported,
    }


def _message(request: ParsedRequest) -> str | None:
    """Return the message that contains the steps, or None if it is missing or long."""
    if request.asked is None or memoryview(request.asked.content).nbytes > MAX_MESSAGE_BYTES:
        return None
    return " ".join(finish(texts_of(request.asked.content)))


def _conversation(router: Router, routed: RoutedRequest) -> dict[str, Any] | None:
    """Return what was remembered of the conversation and what will be, or None if no conversation counts."""
    recalled, remembered = routed.recalled, routed.remembered
    if recalled is None or remembered is None:
        return None
    before = None if recalled.remembered is None else recalled.remembered.category
    if not router.config.pointsman.routing.sticky:
        outcome, why = "off", "routing.sticky is off"
    elif recalled.remembered is None and recalled.turns < 2:
        outcome, why = "first", "it is a first turn"
    elif recalled.remembered is None:
        outcome, why = "unknown", "its earlier turns are not known here"
    elif before is None:
        outcome, why = "unsettled", "no earlier turn had a category"
    elif remembered.category == before:
        outcome, why = "kept", _why_unchanged(router, routed, before, same_turn=recalled.same_turn)
    else:
        outcome, why = "released", "the ask is surely about something else"
    return {
        "outcome": outcome,
        "why": why,
        "turns": recalled.turns,
        "known": recalled.remembered is not None,
        "category": before,
        "next_category": remembered.category,
        "together": None if routed.follow_up is None else routed.follow_up.together,
    }


def _why_unchanged(router: Router, routed: RoutedRequest, before: str, *, same_turn: bool) -> str:
    if routed.classification is None:
        if same_turn:
            return "the request goes on with a turn"
        if routed.decision.reason in (Reason.AMBIGUOUS, Reason.MIXED_PROMPTS):
            return "the ask has parts of several categories"
        return "the ask has no subject of its own" if content_free(routed.text) else "the ask could not be classified"
    if not routed.classification.supported:
        return "an ask in another language says nothing of it"
    alone = router.reader.choose(routed.classification)
    own = alone.reason is Reason.CLASSIFIED and alone.category == before
    return "the ask is about it" if own else "the ask is not surely about something else"


def _shown(pieces: Pieces) -> str:
    """Return JSON in pieces as text, shortened to its beginning and end if long."""
    max_bytes = MAX_EDIT_BYTES
    # Cut the middle out of a long piece first: joining 32 MiB takes 20 ms.
    value = b"".join(
        [end for piece in pieces for end in (piece[:max_bytes], piece[max(max_bytes, len(piece) - max_bytes) :])]
    )
    if len(value) <= max_bytes:
        return value.decode("utf-8", "replace")
    return "…".join(end.decode("utf-8", "ignore") for end in (value[: max_bytes // 2], value[-max_bytes // 2 :]))


def _shortened(text: str) -> str:
    return (
        text
        if len(text) <= _MAX_ASK_CHARACTERS
        else f"{text[: _MAX_ASK_CHARACTERS // 2]}…{text[-_MAX_ASK_CHARACTERS // 2 :]}"
    )


def greatest_first(scores: dict[str, float]) -> dict[str, float]:
    """Return the scores, the highest first, rounded as they are shown."""
    return {name: round(score, 6) for name, score in sorted(scores.items(), key=lambda item: -item[1])}


def render(description: dict[str, Any]) -> str:
    """Return the description as text for a terminal, without control characters from the request."""
    decision, ask = description["decision"], description["ask"]
    confidence = "-" if decision["confidence"] is None else f"{decision['confidence']:.3f}"
    lines = [
        f"model      {decision['model']}" + _aside(decision["base_model"], decision["model"]),
        f"category   {decision['category'] or '-'}",
        f"reason     {decision['reason']} (confidence {confidence}{_compared(decision)})",
        f"endpoints  {', '.join(decision['endpoints'])}",
        *_near(decision),
        *_asides(decision),
        *_artifact(description["text"]),
        *_language(description["text"]),
        *_remembered(description["conversation"]),
        *_in_shadow(description.get("shadow")),
        f"ask        {ask['kind']}: {' '.join(ask['text'].split())[:_SHOWN]}",
        *(f"  {step['what']:<18} characters {step['start']} to {step['end']}" for step in ask["steps"]),
        *_bars("categories", description["categories"]),
        *_bars("labels", description["labels"]),
        "edits",
        *(
            f"  {edit['field']}: {_line(edit['from'] or '(absent)')} -> {_line(edit['to'])}"
            for edit in description["edits"]
        ),
        "time (ms)",
        *(f"  {phase:<10} {milliseconds:.3f}" for phase, milliseconds in description["timing_ms"].items()),
    ]
    return "\n".join(map(plain, lines))


def _compared(decision: dict[str, Any]) -> str:
    """Return the threshold that was compared, with its category if the score missed it, and its origin."""
    missed, origin = decision.get("missed"), decision.get("threshold_origin", "")  # missing in an earlier release
    if origin is None:
        return ""
    of = f" of {missed['category']}" if missed else ""
    return f", threshold {decision['threshold']:g}{of}" + (
        f" by {origin}" if origin else ""
    )  # missing in an earlier release


def _near(decision: dict[str, Any]) -> list[str]:
    near = decision.get("near")
    return [f"near       {near['category']} ({near['confidence']:.2f})"] if near else []


def plain(line: str) -> str:
    """Return a line without control characters."""
    return "".join(char if char.isprintable() else " " if char.isspace() else "?" for char in line)


def _line(text: str) -> str:
    half = MAX_EDIT_LINE_CHARACTERS // 2
    return text if len(text) <= MAX_EDIT_LINE_CHARACTERS else f"{text[:half]}…{text[-half:]}"


def _asides(decision: dict[str, Any]) -> Iterator[str]:
    if decision.get("rule"):
        yield f"rule       {decision['rule']}"
    if would := decision.get("would"):
        yield f"would be   {would['model']} ({would['reason']}), if the rollout did not keep the request from it"
    if decision["tools"]:
        yield "tools      the request carries tools"
    if decision["system_prompt"]:
        yield f"prompt     {decision['system_prompt']}"
    if decision["reasoning"] is not None:
        yield f"reasoning  {'on' if decision['reasoning'] else 'off'}"


def _aside(base: str, model: str) -> str:
    return f" (adapter of {base})" if base != model else ""


def _artifact(text: dict[str, Any] | None) -> list[str]:
    if text is None or "artifact" not in text:  # a service of an earlier release
        return []
    by = " by the ask and the material that it points to" if text.get("by_material") else ""
    by = by or (" by the line that asks" if text.get("by_line") else "")
    return [f"classified {text['artifact']}{by}"]


def _language(text: dict[str, Any] | None) -> list[str]:
    if text is None or text["language"] is None:
        return []
    return [f"language   {text['language']}" + ("" if text["supported_language"] else " (not declared)")]


def _remembered(conversation: dict[str, Any] | None) -> list[str]:
    if conversation is None:
        return []
    text = f"remembered {conversation['category'] or '-'} ({conversation['outcome']}: {conversation['why']})"
    together = conversation.get("together")  # missing in a service of an earlier release
    return [text if together is None else f"{text}, {together:.3f} with what was before"]


def _in_shadow(opinion: dict[str, Any] | None) -> list[str]:
    """Return what the classifier in shadow decides about the text alone, if the service has one."""
    if opinion is None:
        return []
    confidence = opinion.get("confidence")
    said = "-" if confidence is None else f"{confidence:.3f}"
    return [f"in shadow  {opinion['model']} ({opinion.get('category') or '-'}, {opinion['reason']}, confidence {said})"]


def _bars(title: str, scores: dict[str, float]) -> list[str]:
    return [
        title,
        *(f"  {name:<18} {score:6.3f} {'#' * round(score * 40)}".rstrip() for name, score in scores.items()),
    ]
