"""Route a parsed request to a decision and the body to send; the server, `POST /v1/route` and `explain` share it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Literal

import msgspec

from pointsman.adapters.catalog import Served
from pointsman.classify.classifier import Classification, Classifier
from pointsman.config.model import Config, Endpoint
from pointsman.errors import ClassifierError
from pointsman.lru import Lru
from pointsman.routing.body import FIELDS
from pointsman.routing.conversation import Conversation
from pointsman.routing.edits import Edited
from pointsman.routing.formats import ParsedRequest
from pointsman.routing.policy import Choice, Decision, Policy, Reason
from pointsman.routing.steps import Lane

# Bounds the cache of decisions by requested model name; it is cleared when the served models change.
EXPLICIT_ENTRIES = 1024
# No model has a longer name, but clients may ask for one.
LONGEST_NAME = 256


class Routed(msgspec.Struct, frozen=True):
    """A routed request; `decide` is the time for the decision and the edits in seconds, without classification."""

    decision: Decision
    edited: Edited
    classification: Classification | None
    decide: float

    @property
    def system_prompt(self) -> Literal["replace", "insert"] | None:
        """Return how the category's system prompt was set, None if it was not."""
        prompt = self.decision.edits.system_prompt
        return prompt.mode if prompt is not None and self.edited.prompted else None

    def phases(self) -> dict[str, float]:
        """Return the seconds by phase; a classification from the cache had none."""
        if self.classification is None or self.classification.source == "hit":
            return {"decide": self.decide}
        timing = self.classification.timing
        return {"queue": timing.queue, "tokenize": timing.tokenize, "infer": timing.infer, "decide": self.decide}


class Router:
    """Route by one config and one classifier; `served` returns the latest snapshot of the served models."""

    def __init__(
        self, config: Config, classifier: Classifier, served: Callable[[], Served], previous: Router | None = None
    ) -> None:
        """Take over the conversations of `previous`."""
        self.config = config
        self.classifier = classifier
        self.policy = Policy(config, classifier.labels)
        self.served = served
        self.auto_names = config.auto_names
        parameters = {family.parameter for family in config.families.values() if family.type == "reasoning_effort"}
        self.fields = (*FIELDS, *sorted(parameters.difference(FIELDS)))
        """The top-level fields of a body that routing reads or edits."""
        self.lane = Lane()
        """Where long bodies are read, one after the other."""
        self._explicit: dict[str, Decision] = {}
        self._explicit_served: Served | None = None
        routing = config.pointsman.routing
        self._conversations: Lru[bytes, str] = Lru(0) if previous is None else previous._conversations
        self._conversations.resize(routing.sticky_entries if routing.sticky else 0)

    async def route(self, request: ParsedRequest, *, remember: bool = True, at: Endpoint | None = None) -> Routed:
        """Decide where a request goes; `remember` keeps the category for later turns of the conversation.

        `at`, here and below, is the only endpoint that can answer, as it has the response that the request continues.

        A failing classifier delays the request by at most its deadline: the fallback is used, and the reason says so.
        """
        if request.model is not None and request.model not in self.auto_names:
            return self.explicit(request.body, request.model, at)
        if not request.readable:
            return self._unread(request, at)
        conversation = request.conversation
        remembered = self._conversations.get(conversation.key) if conversation.follow_up else None
        if remembered is not None and not self.policy.knows(remembered):
            remembered = None
        classification: Classification | None = None
        failed: Reason | None = None
        if not request.text or request.text.isspace():
            failed = Reason.NO_TEXT
        elif remembered is None or not conversation.continues:
            try:
                classification = await self.classifier.classify(request.text)
                failed = None if classification.supported else Reason.UNSUPPORTED_LANGUAGE
            except ClassifierError as error:
                failed = Reason(error.reason)
        started = time.perf_counter()
        choice = self._choice(classification, failed, remembered)
        decision = self._decide(choice, request, self.served(), at)
        if remember and decision.category is not None and failed is None:
            self._conversations.put(conversation.key, decision.category)
        edited = request.apply(decision.edits)
        return Routed(decision, edited, classification, time.perf_counter() - started)

    def again(self, request: ParsedRequest, routed: Routed, served: Served, at: Endpoint | None = None) -> Routed:
        """Return the same choice decided anew, after vLLM turned out to serve less than `served` said."""
        old = routed.decision
        choice = Choice(old.category, old.confidence, old.reason)
        decision = self._decide(choice, request, served, at)
        return Routed(decision, request.apply(decision.edits), routed.classification, routed.decide)

    def explicit(self, body: bytes, model: str, at: Endpoint | None = None) -> Routed:
        """Return the decision for a model that the client named and that is no auto name.

        Of a very long name, which nobody serves, the decision has the beginning.
        """
        started = time.perf_counter()
        model = model[:LONGEST_NAME]
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
        if at is not None:
            decision = _bound(decision, at)
        return Routed(decision, Edited(body), None, time.perf_counter() - started)

    def _unread(self, request: ParsedRequest, at: Endpoint | None) -> Routed:
        started = time.perf_counter()
        decision = self._decide(Choice(None, None, Reason.TOO_MANY_PARTS), request, self.served(), at)
        return Routed(decision, request.apply(decision.edits), None, time.perf_counter() - started)

    def _decide(self, choice: Choice, request: ParsedRequest, served: Served, at: Endpoint | None) -> Decision:
        if at is not None:
            served = served.only(at.name, self.config.vllm_endpoints)
        decision = self.policy.decide(choice, _split_position(request.conversation), served, tools=request.tools)
        return decision if at is None else _bound(decision, at)

    def choose(self, found: Classification, remembered: str | None) -> Choice:
        """Return the choice for a classified text.

        Of a text in another language nothing is known, not even whether it is still about `remembered`.
        """
        if not found.supported:
            return Choice(self.policy.fallback, None, Reason.UNSUPPORTED_LANGUAGE)
        return self.policy.choose(found.probabilities, remembered)

    def _choice(self, found: Classification | None, failed: Reason | None, remembered: str | None) -> Choice:
        if found is not None:
            return self.choose(found, remembered)
        if failed is not None:
            return Choice(remembered or self.policy.fallback, None, failed)
        return Choice(remembered, None, Reason.STICKY)


def _bound(decision: Decision, endpoint: Endpoint) -> Decision:
    return msgspec.structs.replace(decision, endpoints=(endpoint,))


def _split_position(conversation: Conversation) -> float:
    """Return the conversation's fixed position in [0, 1), so that a split sends every turn to the same model."""
    return int.from_bytes(conversation.key[:8], "little") / 2**64
