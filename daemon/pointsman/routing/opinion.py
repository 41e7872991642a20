"""State what a classifier would decide about a text alone, so that two classifiers can be compared."""

from __future__ import annotations

import msgspec

from pointsman.adapters.catalog import ServedModels
from pointsman.classify.classification import Classification
from pointsman.routing.decision import Reason
from pointsman.routing.planner import Planner
from pointsman.routing.policy import Policy
from pointsman.routing.reading import judged


class Opinion(msgspec.Struct, frozen=True, omit_defaults=True):
    """The decision if the text began a conversation, without rules, rollout and the client's key."""

    model: str
    reason: Reason
    category: str | None = None
    confidence: float | None = None


def opinion(
    policy: Policy, planner: Planner, found: Classification, served: ServedModels, *, share: float, tools: bool
) -> Opinion:
    """Decide about a classified text by `policy` and `planner`; `share` and `tools` as in `Planner.decide`."""
    decision = planner.decide(judged(policy, found), share, served, tools=tools)
    confidence = None if decision.confidence is None else round(decision.confidence, 4)
    return Opinion(decision.model, decision.reason, decision.category, confidence)
