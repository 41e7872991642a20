"""Keep the classified text of a request, with what was decided about it."""

from __future__ import annotations

import time
from collections.abc import Callable

import msgspec

from pointsman.classify.classifier import Classification
from pointsman.observability.kept_rows import Row
from pointsman.observability.log_line import cut, stamp
from pointsman.observability.record import LONGEST_NAME_BYTES, Record
from pointsman.observability.texts import KeptTexts
from pointsman.routing.router import Routed, Router

# So many of the best categories are kept with their scores.
SCORES = 2
NO_CATEGORY = "(none)"


def keep_text(texts: KeptTexts, router: Router, record: Record, routed: Routed) -> None:
    """Keep what the classifier read, if anything was read and this text is wanted."""
    read = routed.classification
    if read is not None and texts.wants(read.text_hash):
        texts.keep(_row(router, record, routed, read))


def contested(
    texts: KeptTexts, router: Router, record: Record, routed: Routed, read: Classification
) -> Callable[[str | None], object]:
    """Return what keeps a text once more, with the other category that the classifier in shadow chose."""
    if not texts.has(read.text_hash):
        return lambda _: None
    row = _row(router, record, routed, read)
    return lambda category: texts.keep(msgspec.structs.replace(row, shadow=category or NO_CATEGORY))


def _row(router: Router, record: Record, routed: Routed, read: Classification) -> Row:
    decision = routed.decision
    scores = router.policy.scores(read.probabilities) if read.supported else {}
    best = sorted(scores, key=scores.__getitem__, reverse=True)[:SCORES]
    return Row(
        hash=read.text_hash,
        text=router.classifier.stages[read.stage].read(routed.text),
        ts=stamp(time.time()),
        request_id=record.request_id,
        model=cut(decision.model, LONGEST_NAME_BYTES),
        category=decision.category,
        confidence=None if decision.confidence is None else round(decision.confidence, 4),
        reason=decision.reason,
        scores={name: round(scores[name], 4) for name in best},
    )
