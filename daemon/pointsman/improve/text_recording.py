"""Store the classified text of a request, with the decision about it."""

from __future__ import annotations

import time
from collections.abc import Callable

import msgspec

from pointsman.classify.classification import Classification
from pointsman.improve.texts_file import NO_CATEGORY, TextRecord, TextsFile
from pointsman.observability.log_line import cut, stamp
from pointsman.observability.record import MAX_NAME_BYTES, Record
from pointsman.routing.decision import Decision
from pointsman.routing.router import RoutedRequest, Router

# The number of best categories that are stored with their scores.
SCORES = 2


def keep_text(texts: TextsFile, router: Router, record: Record, routed: RoutedRequest) -> None:
    """Store the text that the classifier read, if any, and if this text is wanted."""
    read = routed.classification
    if read is not None and texts.wants(read.text_hash):
        text = router.classifier.encoder.read(routed.text)
        texts.keep(_row(router, record.request_id, client_of(record), routed.decision, read, text))


def keeping_contested(
    texts: TextsFile, router: Router, record: Record, routed: RoutedRequest, read: Classification
) -> Callable[[str, str | None], object] | None:
    """Return a function that stores a text again, with the other category of the classifier in shadow.

    None for a text that is not stored.
    """
    if not texts.has(read.text_hash):
        return None
    request_id, client, decision = record.request_id, client_of(record), routed.decision  # not the request's body

    def keep(text: str, category: str | None) -> None:
        if texts.has(read.text_hash):  # it may have been removed since
            row = _row(router, request_id, client, decision, read, text)
            texts.keep(msgspec.structs.replace(row, shadow=category or NO_CATEGORY))

    return keep


def client_of(record: Record) -> str:
    """Return the name of a client's key, or its address."""
    return record.client if record.key is None else record.key


def _row(
    router: Router, request_id: str, client: str, decision: Decision, read: Classification, text: str
) -> TextRecord:
    scores = router.policy.scores(read.scores) if read.supported else {}
    best = sorted(scores, key=scores.__getitem__, reverse=True)[:SCORES]
    return TextRecord(
        hash=read.text_hash,
        text=text,
        ts=stamp(time.time()),
        request_id=request_id,
        client=client,
        model=cut(decision.model, MAX_NAME_BYTES),
        category=decision.category,
        confidence=None if decision.confidence is None else round(decision.confidence, 4),
        reason=decision.reason,
        scores={name: round(scores[name], 4) for name in best},
    )
