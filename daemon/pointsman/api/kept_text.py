"""Keep the classified text of a request, with what was decided about it."""

from __future__ import annotations

import time

from pointsman.observability.kept_rows import Row
from pointsman.observability.log_line import cut, stamp
from pointsman.observability.record import LONGEST_NAME_BYTES, Record
from pointsman.observability.texts import KeptTexts
from pointsman.routing.router import Routed, Router

# So many of the best categories are kept with their scores.
SCORES = 2


def keep_text(texts: KeptTexts, router: Router, record: Record, routed: Routed) -> None:
    """Keep what the classifier read, if anything was read and this text is wanted."""
    read = routed.classification
    if read is None or not texts.wants(read.text_hash):
        return
    decision = routed.decision
    scores = router.policy.scores(read.probabilities) if read.supported else {}
    best = sorted(scores, key=scores.__getitem__, reverse=True)[:SCORES]
    row = Row(
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
    texts.keep(row)
