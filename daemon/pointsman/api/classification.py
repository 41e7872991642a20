"""Implement vLLM Semantic Router's classification API; unlike the original, it can return all probabilities."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import msgspec

from pointsman.config.client_keys import ClientKey
from pointsman.errors import ClassifierError, HttpError, RequestError
from pointsman.long_body import Received
from pointsman.routing.reading import TextReader
from pointsman.routing.router import Router

T = TypeVar("T")

# Callers split larger sets into several calls.
MAX_TEXTS = 100
# The body is decoded at once, in 20 ms at worst.
MAX_BODY_BYTES = 2 * 1024 * 1024
# A batch client waits for its response; a routed request has a fallback, and therefore a shorter deadline.
BATCH_DEADLINE_SECONDS = 60.0


class _IntentOptions(msgspec.Struct):
    return_probabilities: bool = True
    confidence_threshold: float | None = None


class _IntentRequest(msgspec.Struct):
    text: str
    options: _IntentOptions = msgspec.field(default_factory=_IntentOptions)


class _BatchRequest(msgspec.Struct):
    texts: list[str]
    task_type: Literal["intent"] = "intent"
    options: _IntentOptions = msgspec.field(default_factory=_IntentOptions)


class _ClassificationError(HttpError):
    status = 503
    code = "CLASSIFICATION_ERROR"


@dataclass(frozen=True, slots=True)
class _ClassifiedText:
    """A classified text; `category` is the config's, or the most probable label if the config covers none.

    It is empty if there are neither categories nor labels.
    """

    category: str
    confidence: float
    model: str
    probabilities: dict[str, float]
    seconds: float


async def intent(router: Router, body: Received, key: ClientKey | None = None) -> dict[str, Any]:
    """Answer `POST /api/v1/classify/intent` for a key's client; raises RequestError (400) or an HttpError (503)."""
    asked = _decode(body, _IntentRequest)
    if not asked.text.strip():
        raise _invalid("`text` is empty", "text")
    result = await _classify(router, router.reader_of(key), asked.text)
    sure = result.confidence >= _threshold(router, result, asked.options)
    return {
        "classification": _row(result, _IntentOptions(return_probabilities=False)),
        "recommended_model": result.model,
        "routing_decision": "high_confidence_specialized" if sure else "low_confidence_general",
    } | _probabilities(result, asked.options)


async def batch(router: Router, body: Received, key: ClientKey | None = None) -> dict[str, Any]:
    """Answer `POST /api/v1/classify/batch`; raises as `intent` does."""
    asked = _decode(body, _BatchRequest)
    if not 1 <= len(asked.texts) <= MAX_TEXTS:
        raise _invalid(f"`texts` must hold 1 to {MAX_TEXTS} texts", "texts")
    if not all(map(str.strip, asked.texts)):
        raise _invalid("a text of `texts` is empty", "texts")
    started = time.perf_counter()
    reader, results = router.reader_of(key), list[_ClassifiedText]()
    for texts in router.classifier.encoder.runs(asked.texts):
        async with router.classifier.encoder.turn:
            tasks = [asyncio.create_task(_classify(router, reader, text, BATCH_DEADLINE_SECONDS)) for text in texts]
            try:
                results += await asyncio.gather(*tasks)
            finally:  # if one fails, nobody waits for the others
                for task in tasks:
                    task.cancel()
    return {
        "results": [_row(result, asked.options) for result in results],
        "total_count": len(results),
        "processing_time_ms": _milliseconds(time.perf_counter() - started),
        "statistics": {
            "category_distribution": dict(Counter(result.category for result in results)),
            "avg_confidence": sum(result.confidence for result in results) / len(results),
            "low_confidence_count": sum(
                result.confidence < _threshold(router, result, asked.options) for result in results
            ),
        },
    }


async def _classify(router: Router, reader: TextReader, text: str, deadline: float | None = None) -> _ClassifiedText:
    started = time.perf_counter()
    try:
        found = await reader.classify(text, deadline)
    except ClassifierError as error:
        raise _ClassificationError(f"not classified: {error}; try again") from error
    labels = dict(zip(router.classifier.labels, found.probabilities, strict=True))
    scores = router.policy.scores(found.scores) or labels
    category = router.policy.likeliest(found.scores) or max(labels, key=labels.__getitem__, default="")
    choice = reader.choose(found, None)
    model = router.planner.decide(choice, 0.0, router.served()).model
    return _ClassifiedText(category, scores.get(category, 0.0), model, labels, time.perf_counter() - started)


def _row(result: _ClassifiedText, options: _IntentOptions) -> dict[str, Any]:
    return {
        "category": result.category,
        "confidence": result.confidence,
        "processing_time_ms": _milliseconds(result.seconds),
    } | _probabilities(result, options)


def _probabilities(result: _ClassifiedText, options: _IntentOptions) -> dict[str, Any]:
    return {"probabilities": result.probabilities} if options.return_probabilities else {}


def _threshold(router: Router, result: _ClassifiedText, options: _IntentOptions) -> float:
    given = options.confidence_threshold
    return router.policy.threshold(result.category) if given is None else given


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)  # an integer, as in semantic-router's API


def _decode(body: Received, type: type[T]) -> T:  # noqa: A002 - msgspec's name
    if len(body) > MAX_BODY_BYTES:
        message = f"the body is larger than {MAX_BODY_BYTES} bytes; split the texts into several calls, or shorten them"
        raise RequestError(message, status=413, code="INVALID_INPUT")
    try:
        return msgspec.json.decode(body, type=type)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise _invalid(f"the body is invalid ({error})", None) from None


def _invalid(message: str, param: str | None) -> RequestError:
    return RequestError(message, status=400, code="INVALID_INPUT", param=param)
