"""Route a parsed request to a decision and the body to send; the server, `POST /v1/route` and `explain` share it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Literal

import msgspec

from pointsman.adapters.catalog import Served
from pointsman.classify.classifier import Classification, Classifier
from pointsman.config.model import Config, Endpoint
from pointsman.eager import in_task
from pointsman.errors import ClassifierError
from pointsman.long_body import Received
from pointsman.routing.ask import NO_ASK, Ask, AskFinder, AskKind
from pointsman.routing.body import FIELDS
from pointsman.routing.conversation import ANYBODY, Caller, Conversation, conversation_of
from pointsman.routing.conversations import Conversations, Kept, Place, Recalled
from pointsman.routing.edits import Edited
from pointsman.routing.follow_up import content_free, leans
from pointsman.routing.formats import ParsedRequest
from pointsman.routing.history import History, HistoryReader
from pointsman.routing.policy import Choice, Decision, Held, Policy, Reason
from pointsman.routing.session_ids import SessionIds
from pointsman.routing.steps import Lane

# Bounds the cache of decisions by requested model name; it is cleared when the served models change.
EXPLICIT_ENTRIES = 1024
# No model has a longer name, but clients may ask for one.
LONGEST_NAME = 256
# So many earlier asks are read along where a conversation is not known here, behind so many characters of the new one.
EARLIER_ASKS = 3
MOST_PACKED = 2048


class Routed(msgspec.Struct, frozen=True):
    """A routed request; `decide` is the time for the decision and the edits in seconds, without classification.

    `text` is what was classified. `recalled` is what earlier turns left, and `kept` what later ones keep; both are None
    where no conversation counts, as where the client named the model.
    """

    decision: Decision
    edited: Edited
    classification: Classification | None
    decide: float
    text: str = ""
    kept: Kept | None = None
    ask: Ask = NO_ASK
    recalled: Recalled | None = None

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
        routing = config.pointsman.routing
        asks = routing.ask
        self.finder = AskFinder(asks.mode, asks.strip, asks.take, asks.body_field)
        """Finds what a person asks in the messages of a request."""
        self.session_ids = SessionIds(routing.session_headers, routing.session_fields)
        stated = () if asks.body_field is None else (asks.body_field,)
        self.fields = tuple(dict.fromkeys((*FIELDS, *sorted(parameters), *stated, *self.session_ids.fields)))
        """The top-level fields of a body that routing reads or edits."""
        self.lane = Lane()
        """Where long bodies are read, in turn."""
        self._explicit: dict[str, Decision] = {}
        self._explicit_served: Served | None = None
        self._histories: HistoryReader = HistoryReader(self.finder)
        self._conversations: Conversations = (
            Conversations(time.monotonic) if previous is None else previous._conversations
        )
        self._conversations.resize(routing.sticky_entries, routing.sticky_seconds)
        self._sticky = routing.sticky

    async def route(
        self,
        request: ParsedRequest,
        caller: Caller = ANYBODY,
        *,
        continued: Kept | None = None,
        remember: bool = True,
        at: Endpoint | None = None,
    ) -> Routed:
        """Decide where a request goes; `remember` keeps the decision for later turns of the conversation.

        `continued` is kept of the stored response that the request continues. `at`, here and below, is the only
        endpoint that can answer, as it has that response.

        A failing classifier delays the request by at most its deadline: the fallback is used, and the reason says so.
        """
        if request.model is not None and request.model not in self.auto_names:
            return self.explicit(request.body, request.model, at)
        if not request.readable:
            return self._unclassified(request, Reason.TOO_MANY_PARTS, at)
        if request.ask.kind is AskKind.HELPER_TASK:
            return self._unclassified(request, Reason.HELPER_TASK, at)
        history = await self.lane.run(self._histories.read(request.messages, request.ask, request.asked))
        conversation, place = self._place(history, caller, continued)
        reading = await self._read(request.text, history, place.kept)
        if request.ask.others and reading.classification is not None and await self._differ(request, reading):
            reason = Reason.MIXED_PROMPTS if request.prompts > 1 else Reason.AMBIGUOUS
            return self._unclassified(request, reason, at)
        started = time.perf_counter()
        choice = self._choice(request.text, reading, history, place.kept)
        decision = self._decide(choice, request, place.share, self.served(), at)
        kept = _kept(choice, reading, history, place)
        if remember and conversation is not None and (reading.failed is None or place.kept is not None):
            self._conversations.put(conversation, kept)
        edited = request.apply(decision.edits)
        taken = time.perf_counter() - started
        recalled = Recalled(len(history.turns), history.continues, place.kept)
        return Routed(decision, edited, reading.classification, taken, reading.text, kept, request.ask, recalled)

    def again(self, request: ParsedRequest, routed: Routed, served: Served, at: Endpoint | None = None) -> Routed:
        """Return the same choice decided anew, after vLLM turned out to serve less than `served` said."""
        old = routed.decision
        choice = Choice(old.category, old.confidence, old.reason)
        decision = self._decide(choice, request, 0.0 if routed.kept is None else routed.kept.share, served, at)
        return msgspec.structs.replace(routed, decision=decision, edited=request.apply(decision.edits))

    def explicit(self, body: Received, model: str, at: Endpoint | None = None) -> Routed:
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

    def _unclassified(self, request: ParsedRequest, reason: Reason, at: Endpoint | None) -> Routed:
        """Send a request to the default model, whatever its conversation is about."""
        started = time.perf_counter()
        decision = self._decide(Choice(None, None, reason), request, 0.0, self.served(), at)
        taken = time.perf_counter() - started
        return Routed(decision, request.apply(decision.edits), None, taken, ask=request.ask)

    def _place(self, history: History, caller: Caller, continued: Kept | None) -> tuple[Conversation | None, Place]:
        """Return the conversation, None if it is not to be remembered here, and what is known of it."""
        if continued is not None:  # its history is in vLLM, and the body has only the end of it
            conversation, place = None, Place(continued, continued.share)
        else:
            conversation = conversation_of(history, caller)
            place = self._conversations.find(conversation)
        category = None if place.kept is None else place.kept.category
        if not self._sticky or (category is not None and not self.policy.knows(category)):
            place = Place(None, place.share)
        return conversation, place

    async def _read(self, text: str, history: History, kept: Kept | None) -> _Reading:
        """Classify what must be: nothing in the middle of a turn, and of a follow-up that says nothing of its own.

        Where the earlier turns are not known here, they are read along with an ask that says little.
        """
        if kept is not None and (history.continues or content_free(text)):
            return _Reading(text)
        unknown = self._sticky and kept is None
        earlier = [turn.ask for turn in history.turns[1 : 1 + EARLIER_ASKS]] if unknown else []
        if not text or text.isspace():
            return _Reading(text, failed=Reason.NO_TEXT)
        packed = "\n".join([text[:MOST_PACKED], *earlier])
        try:
            if earlier and (content_free(text) or leans(text)):
                return _Reading(packed, await self.classifier.classify(packed))
            if not earlier:
                return _Reading(text, await self.classifier.classify(text))
            return await self._read_both(text, packed)
        except ClassifierError as error:
            return _Reading(text, failed=Reason(error.reason))

    async def _read_both(self, text: str, packed: str) -> _Reading:
        """Classify an ask, and beside it the same with the earlier ones, which counts if the ask alone is unsure."""
        await in_task()
        beside = asyncio.ensure_future(self._tried(packed))
        try:
            alone = await self.classifier.classify(text)
            unsure = self.choose(alone).reason is Reason.LOW_CONFIDENCE
            together = await beside if unsure else None
        finally:
            beside.cancel()
        return _Reading(text, alone) if together is None else _Reading(packed, together)

    async def _tried(self, text: str) -> Classification | None:
        try:
            return await self.classifier.classify(text)
        except ClassifierError:
            return None

    async def _differ(self, request: ParsedRequest, reading: _Reading) -> bool:
        """Return whether a further candidate for the ask surely belongs to another category."""
        own = None if reading.classification is None else self.choose(reading.classification).category
        await in_task()
        others = await asyncio.gather(*map(self._tried, request.ask.others))
        choices = [self.choose(found) for found in others if found is not None]
        return any(choice.reason is Reason.CLASSIFIED and choice.category != own for choice in choices)

    def _decide(
        self, choice: Choice, request: ParsedRequest, share: float, served: Served, at: Endpoint | None
    ) -> Decision:
        if at is not None:
            served = served.only(at.name, self.config.vllm_endpoints)
        decision = self.policy.decide(choice, share, served, tools=request.tools)
        return decision if at is None else _bound(decision, at)

    def choose(self, found: Classification, held: Held | None = None) -> Choice:
        """Return the choice for a classified text, in a conversation that has a category or in none.

        Of a text in another language nothing is known, not even whether it is still about that category.
        """
        if not found.supported:
            return Choice(self.policy.fallback, None, Reason.UNSUPPORTED_LANGUAGE)
        return self.policy.choose(found.probabilities, held)

    def _choice(self, text: str, reading: _Reading, history: History, kept: Kept | None) -> Choice:
        category = None if kept is None or (kept.aside and history.continues) else kept.category
        if reading.failed is not None:
            return Choice(category or self.policy.fallback, None, reading.failed)
        if reading.classification is None:
            return Choice(category or self.policy.fallback, None, Reason.STICKY)
        held = None
        if category is not None and not _no_subject(history):
            held = Held(category, text, history.size)
        return self.choose(reading.classification, held)


class _Reading(msgspec.Struct, frozen=True):
    """What the classifier read, and the result; neither result nor failure if nothing had to be read."""

    text: str
    classification: Classification | None = None
    failed: Reason | None = None


def _kept(choice: Choice, reading: _Reading, history: History, place: Place) -> Kept:
    """Return what later turns keep after this choice: the fallback for an unsure ask is no category to stay with."""
    kept = place.kept or Kept(None, place.share)
    if reading.classification is None:
        return Kept(kept.category, place.share, kept.aside and history.continues)
    if choice.reason is Reason.UNSUPPORTED_LANGUAGE:
        return Kept(kept.category, place.share, aside=True)
    return Kept(None if choice.reason is Reason.LOW_CONFIDENCE else choice.category, place.share)


def _no_subject(history: History) -> bool:
    """Return whether the earlier turns, if there are any, only greet."""
    earlier = history.turns[1:]
    return bool(earlier) and all(content_free(turn.ask) for turn in earlier)


def _bound(decision: Decision, endpoint: Endpoint) -> Decision:
    return msgspec.structs.replace(decision, endpoints=(endpoint,))
