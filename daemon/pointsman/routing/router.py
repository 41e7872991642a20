"""From a parsed request to a decision and the body to send: what the server, the dry run and `explain` share."""

from __future__ import annotations

import time
from collections.abc import Callable

import msgspec

from pointsman.adapters.catalog import Served
from pointsman.classify.classifier import Classification, Classifier
from pointsman.config.model import Config
from pointsman.errors import ClassifierError
from pointsman.lru import Lru
from pointsman.routing.conversation import Conversation
from pointsman.routing.edits import Edited
from pointsman.routing.formats import ParsedRequest
from pointsman.routing.policy import Choice, Decision, Policy, Reason

# Names that clients ask for; the decision on each holds until what is served changes.
EXPLICIT_ENTRIES = 1024


class Routed(msgspec.Struct, frozen=True):
    """`decide` is the seconds that the decision and the edits took, without the wait for the classifier."""

    decision: Decision
    edited: Edited
    classification: Classification | None
    decide: float

    def phases(self) -> dict[str, float]:
        """Seconds by phase."""
        if self.classification is None:
            return {"decide": self.decide}
        timing = self.classification.timing
        return {"queue": timing.queue, "tokenize": timing.tokenize, "infer": timing.infer, "decide": self.decide}


class Router:
    """One config and one classifier; `served` gives the latest snapshot of what the endpoints serve."""

    def __init__(
        self, config: Config, classifier: Classifier, served: Callable[[], Served], previous: Router | None = None
    ) -> None:
        """What the conversations of `previous` stick to is kept."""
        self.config = config
        self.classifier = classifier
        self.policy = Policy(config, classifier.labels)
        self.served = served
        self.auto_names = config.auto_names
        self._explicit: dict[str, Decision] = {}
        self._explicit_served: Served | None = None
        routing = config.pointsman.routing
        self._conversations: Lru[bytes, str] = Lru(0) if previous is None else previous._conversations
        self._conversations.resize(routing.sticky_entries if routing.sticky else 0)

    async def route(self, request: ParsedRequest, *, remember: bool = True) -> Routed:
        """Decide; `remember` makes follow-up turns stick to it.

        A classifier that fails costs at most its deadline: the fallback answers and the reason says so.
        """
        if request.model is not None and request.model not in self.auto_names:
            return self.explicit(request.body, request.model)
        conversation = request.conversation
        remembered = self._conversations.get(conversation.key) if conversation.follow_up else None
        if remembered is not None and not self.policy.knows(remembered):
            remembered = None
        classification: Classification | None = None
        failed: Reason | None = None
        if not request.text.strip():
            failed = Reason.NO_TEXT
        elif remembered is None or not conversation.continues:
            try:
                classification = await self.classifier.classify(request.text)
            except ClassifierError as error:
                failed = Reason(error.reason)
        started = time.perf_counter()
        choice = self._choice(classification, failed, remembered)
        decision = self.policy.decide(choice, _share(conversation), self.served())
        if remember and decision.category is not None and failed is None:
            self._conversations.put(conversation.key, decision.category)
        edited = request.apply(decision.edits)
        return Routed(decision, edited, classification, time.perf_counter() - started)

    def again(self, request: ParsedRequest, routed: Routed, served: Served) -> Routed:
        """The same choice decided anew, since less is served than was known."""
        old = routed.decision
        choice = Choice(old.category, old.confidence, old.reason)
        decision = self.policy.decide(choice, _share(request.conversation), served)
        return Routed(decision, request.apply(decision.edits), routed.classification, routed.decide)

    def explicit(self, body: bytes, model: str) -> Routed:
        """The client named a model, which is none of the auto names."""
        started = time.perf_counter()
        served = self.served()
        if served is not self._explicit_served:
            self._explicit_served = served
            self._explicit.clear()
        decision = self._explicit.get(model)
        if decision is None:
            decision = self.policy.explicit(model, served)
            if len(self._explicit) >= EXPLICIT_ENTRIES:
                self._explicit.clear()
            self._explicit[model] = decision
        return Routed(decision, Edited(body, ()), None, time.perf_counter() - started)

    def _choice(self, found: Classification | None, failed: Reason | None, remembered: str | None) -> Choice:
        if found is not None:
            return self.policy.choose(found.probabilities, remembered)
        if failed is not None:
            return Choice(remembered or self.policy.fallback, None, failed)
        return Choice(remembered, None, Reason.STICKY)


def _share(conversation: Conversation) -> float:
    """The conversation's place in [0, 1): the same in every turn, so that a split sticks to it."""
    return int.from_bytes(conversation.key[:8], "little") / 2**64
