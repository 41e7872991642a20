"""Route a parsed request to a decision and the body to send; the server, `POST /v1/route` and `explain` share it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Literal

import msgspec

from pointsman.adapters.catalog import ServedModels
from pointsman.classify.classifier import Classification, Classifier
from pointsman.config.client_keys import ClientKey, KeyScope
from pointsman.config.model import DIRECT, Config, Endpoint
from pointsman.config.overlay import NOTHING, Overlay, laid_over
from pointsman.long_body import Received
from pointsman.routing import queue_fields, stream_usage
from pointsman.routing.ask import NO_ASK, Ask, AskFinder, AskKind
from pointsman.routing.body import FIELDS
from pointsman.routing.canaries import Arm, Canaries, canaries_of
from pointsman.routing.conversation_keys import ANYBODY, Caller, ConversationKeys, conversation_of
from pointsman.routing.conversations import ConversationLookup, ConversationRecall, ConversationState, ConversationStore
from pointsman.routing.decision import CategoryChoice, Counterfactual, Decision, Reason, RunnerUp
from pointsman.routing.edits import EditedBody, Edits
from pointsman.routing.history import History, HistoryReader
from pointsman.routing.parsed_request import ParsedRequest
from pointsman.routing.planner import Planner
from pointsman.routing.policy import FollowUp, Policy
from pointsman.routing.reading import UNREAD, AskClassification, TextReader, raised
from pointsman.routing.rollout import Rollout, rollout_of
from pointsman.routing.rules import NO_ORIGIN, NO_RULE, RequestOrigin, RuleResult, Rules
from pointsman.routing.session_ids import SessionIds
from pointsman.routing.steps import StepScheduler

# No model has a longer name, but clients may request one.
MAX_MODEL_NAME_CHARACTERS = 256


class RoutedRequest(msgspec.Struct, frozen=True, gc=False):
    """A routed request; `decide` is the time for the decision and the edits in seconds, without classification.

    `recalled` is what earlier turns left, and `remembered` what later ones reuse; both are None if no conversation
    counts, as when the client named the model. `choice` is the input of the decision, `follow_up` the category that a
    follow-up was judged by.
    """

    decision: Decision
    edited: EditedBody
    decide: float
    reading: AskClassification = UNREAD
    remembered: ConversationState | None = None
    ask: Ask = NO_ASK
    recalled: ConversationRecall | None = None
    choice: CategoryChoice | None = None
    follow_up: FollowUp | None = None

    @property
    def text(self) -> str:
        """Return the classified text."""
        return self.reading.text

    @property
    def classification(self) -> Classification | None:
        """Return the result of the classifier, or None if nothing had to be read or classification failed."""
        return self.reading.classification

    @property
    def system_prompt(self) -> Literal["replace", "insert"] | None:
        """Return how the category's system prompt was set, or None."""
        prompt = self.decision.edits.system_prompt
        return prompt.mode if prompt is not None and self.edited.prompted else None

    @property
    def threshold(self) -> tuple[float, str] | None:
        """Return the threshold that the best category's score was compared with, and its origin; or None."""
        found = None if self.choice is None else self.choice.threshold
        if found is None:
            return None
        return (raised(found.value) if self.reading.surely else found.value), found.origin

    @property
    def near(self) -> RunnerUp | None:
        """Return the second category, if it is near."""
        return None if self.choice is None else self.choice.near

    def phases(self) -> dict[str, float]:
        """Return the seconds by phase; a classification from the cache has none."""
        phases, read = {}, self.reading.classification
        if read is not None and read.source != "hit":
            timing = read.timing
            phases = {"queue": timing.queue, "tokenize": timing.tokenize, "infer": timing.infer}
        if self.follow_up is not None and self.follow_up.seconds:
            phases["follow_up"] = self.follow_up.seconds
        phases["decide"] = self.decide
        return phases


class Router:
    """A router for one config and one classifier; `served` returns the latest snapshot of the served models."""

    def __init__(
        self, config: Config, classifier: Classifier, served: Callable[[], ServedModels], previous: Router | None = None
    ) -> None:
        """Take over the conversations of `previous`."""
        self.config = config
        self.classifier = classifier
        self.policy = Policy(config, classifier.labels, calibration=classifier.calibration)
        self.planner = Planner(config)
        self.reader = TextReader(
            classifier,
            self.policy,
            sticky=config.pointsman.routing.sticky,
            deadline=config.pointsman.classifier.deadline_ms / 1000,
        )
        self.served = served
        self.auto_names = config.routed_names()
        """The model names by which each client requests routing."""
        self._auto_names_of = {key: config.routed_names(key) for key in config.pointsman.routing.key_aliases}
        parameters = {family.parameter for family in config.families.values() if family.type == "reasoning_effort"}
        routing = config.pointsman.routing
        asks = routing.ask
        self.finder = AskFinder(asks.mode, asks.strip, asks.take, asks.body_field)
        """The finder of a person's ask in the messages of a request."""
        self.session_ids = SessionIds(routing.session_headers, routing.session_fields)
        stated = () if asks.body_field is None else (asks.body_field,)
        counted = stream_usage.FIELDS if stream_usage.has_arms(routing) else ()
        read = (*FIELDS, *queue_fields.FIELDS, *sorted(parameters), *stated, *counted, *self.session_ids.fields)
        self.fields = tuple(dict.fromkeys(read))
        """The top-level fields of a body that routing reads or edits."""
        priorities = config.pointsman.relay.paths.priorities
        self.priorities = {text.partition(" ")[2]: number for text, number in priorities.items()}
        """The priorities in vLLM's queue, by path."""
        self.step_scheduler = StepScheduler()
        """The lane in which long bodies are read, in turn."""
        self._histories: HistoryReader = HistoryReader(self.finder)
        self._conversations: ConversationStore = (
            ConversationStore(time.monotonic) if previous is None else previous._conversations
        )
        self._conversations.resize(routing.sticky_entries, routing.sticky_seconds)
        self._sticky = routing.sticky
        self.rules = Rules(routing.rules) if routing.rules else None
        self._rollout: Rollout | None = None
        self._canaries: Canaries | None = None
        self.use(NOTHING)

    def auto_names_of(self, key: ClientKey | None) -> frozenset[str]:
        """Return the model names by which the client with a key requests routing."""
        return self.auto_names if key is None else self._auto_names_of.get(key.name, self.auto_names)

    def finder_of(self, key: ClientKey | None) -> AskFinder:
        """Return the finder of the asks of the client with a key."""
        return self.finder if key is None else self.finder.of(key.name)

    def reader_of(self, key: ClientKey | None) -> TextReader:
        """Return the reader of the texts of the client with a key."""
        return self.reader if key is None else self.reader.of(key.name)

    def use(self, overlay: Overlay) -> None:
        """Use what commands and the service have decided in addition to the config from now on."""
        self.routing = laid_over(self.config.pointsman.routing, overlay)
        self._rollout = rollout_of(self.routing)
        self._canaries = canaries_of(self.routing)

    async def route(
        self,
        request: ParsedRequest,
        caller: Caller = ANYBODY,
        *,
        continued: ConversationState | None = None,
        remember: bool = True,
        at: Endpoint | None = None,
        origin: RequestOrigin = NO_ORIGIN,
        scope: KeyScope | None = None,
        key: ClientKey | None = None,
    ) -> RoutedRequest:
        """Decide where a request goes; `remember` stores the decision for later turns of the conversation.

        `continued` is the decision about the stored response that the request continues. `at`, here and below, is the
        only endpoint that can answer, as it has that response. `origin` is read if there are `rules`. `scope` limits
        the models to choose from; a model that the client named is not checked here. `key` is the client's; it may have
        aliases of its own, and other clients' texts reveal nothing to it.

        A failing classifier delays the request by at most its deadline: the fallback is used, and the reason says so.
        """
        if request.model is not None and request.model not in self.auto_names_of(key):
            return self._named(request, request.model, at)
        if self._rollout is not None and self._rollout.off:
            return self._unclassified(request, CategoryChoice(None, None, Reason.OFF), at, scope)
        reader, client = self.reader_of(key), "" if key is None else key.name
        rule_result = NO_RULE if self.rules is None else await self._judged(self.rules, request, origin, reader)
        ruled, unread = rule_result.choice(), _unread(request)
        if unread is not None:
            return self._unclassified(request, ruled or rule_result.on(CategoryChoice(None, None, unread)), at, scope)
        history = self._histories.first(request.messages, request.asked, request.ask, client)
        if history is None:
            history = await self.step_scheduler.run(
                self._histories.read(request.messages, request.ask, request.asked, client)
            )
        conversation, lookup = self._lookup(history, caller, continued)
        reading, began = AskClassification(request.text), time.perf_counter()
        if not ruled:
            reading = await reader.read(request.text, history, lookup, request.ask.supplement)
        if request.ask.others:
            reading = await self._unless_mixed(request, reading, reader)
        follow_up = _follow_up(request.text, reading, history, lookup)
        if follow_up is not None and reading.classification is not None:
            follow_up = await reader.read_on(follow_up, reading.classification, began)
        started = time.perf_counter()
        choice = ruled or rule_result.on(self._choice(reading, lookup, follow_up, reader))
        tools = request.tools or (lookup.same_turn and lookup.remembered is not None and lookup.remembered.tools)
        decision = self._decide(choice, tools, lookup.share, self.served(), at, scope)
        remembered = self._to_remember(choice, reading, lookup, tools=tools)
        if remember and conversation is not None:
            self._conversations.put(conversation, remembered)
        edited = _edited(request, decision)
        return RoutedRequest(
            decision,
            edited,
            time.perf_counter() - started,
            reading,
            remembered,
            request.ask,
            ConversationRecall(len(history.turns), lookup.same_turn, lookup.remembered),
            choice,
            follow_up,
        )

    async def _judged(
        self, rules: Rules, request: ParsedRequest, origin: RequestOrigin, reader: TextReader
    ) -> RuleResult:
        """Return the rules' verdict; if that depends on the language, the ask is classified first."""
        rule_result = await self.step_scheduler.run(rules.judge(request, origin))
        if rule_result.waits:
            found = await reader.tried(request.text)
            language = None if found is None else found.language
            rule_result = await self.step_scheduler.run(rules.judge(request, origin, language, read=True))
        return rule_result

    async def _unless_mixed(
        self, request: ParsedRequest, reading: AskClassification, reader: TextReader
    ) -> AskClassification:
        """Return what was read of the first of several asks, or that the others are about something else."""
        read = reading.classification
        if read is not None and await reader.differ(read, request.ask.others):
            return AskClassification("", failed=Reason.MIXED_PROMPTS if request.prompts > 1 else Reason.AMBIGUOUS)
        return reading

    def again(
        self,
        request: ParsedRequest,
        routed: RoutedRequest,
        served: ServedModels,
        at: Endpoint | None = None,
        scope: KeyScope | None = None,
    ) -> RoutedRequest:
        """Return the same choice decided anew, after vLLM turned out to serve less than `served` said."""
        choice = routed.choice or CategoryChoice(None, None, routed.decision.reason)
        tools, share = (
            (request.tools, 0.0) if routed.remembered is None else (routed.remembered.tools, routed.remembered.share)
        )
        decision = self._decide(choice, tools, share, served, at, scope)
        return msgspec.structs.replace(routed, decision=decision, edited=_edited(request, decision))

    def _named(self, request: ParsedRequest, model: str, at: Endpoint | None) -> RoutedRequest:
        as_it_came = is_plain(model) and request.fields.priority is None
        return self.explicit(request.body, model, at) if as_it_came else self.direct(request, at)

    def explicit(self, body: Received, model: str, at: Endpoint | None = None) -> RoutedRequest:
        """Return the decision for a model that the client named and that is not an auto name.

        A very long name, which nobody serves, is truncated in the decision.
        """
        started = time.perf_counter()
        model = model[:MAX_MODEL_NAME_CHARACTERS]
        decision = self.planner.explicit(model, self.served())
        if at is not None:
            decision = _bound(decision, at)
        return RoutedRequest(decision, EditedBody(body), time.perf_counter() - started)

    def direct(self, request: ParsedRequest, at: Endpoint | None = None) -> RoutedRequest:
        """Return the decision for a model that the client named, possibly after DIRECT: the body gets the bare name."""
        name = (request.model or "").removeprefix(DIRECT)
        routed = self.explicit(request.body, name, at)
        return msgspec.structs.replace(routed, edited=request.apply(Edits(model=name)))

    def _unclassified(
        self, request: ParsedRequest, choice: CategoryChoice, at: Endpoint | None, scope: KeyScope | None
    ) -> RoutedRequest:
        """Decide for a text that is not read, whatever its conversation is about."""
        started = time.perf_counter()
        decision = self._decide(choice, request.tools, 0.0, self.served(), at, scope)
        taken = time.perf_counter() - started
        return RoutedRequest(decision, _edited(request, decision), taken, ask=request.ask, choice=choice)

    def _lookup(
        self, history: History, caller: Caller, continued: ConversationState | None
    ) -> tuple[ConversationKeys | None, ConversationLookup]:
        """Return the conversation (None if it must not be remembered here) and what is known of it."""
        if continued is not None:  # its history is in vLLM, and the body has only the end
            conversation, mixed = None, continued.mixed
            lookup = ConversationLookup(continued, continued.share, same_turn=history.continues, mixed=mixed)
            if continued.unread and not lookup.same_turn:
                lookup = ConversationLookup(None, lookup.share, mixed=mixed)
        else:
            conversation = conversation_of(history, caller)
            lookup = self._conversations.find(conversation)
        if lookup.remembered is not None:
            named = filter(None, (lookup.remembered.category, lookup.remembered.answered_by))
            if not self._sticky or not all(map(self.policy.knows, named)):
                lookup = ConversationLookup(None, lookup.share, mixed=lookup.mixed)
        return conversation, lookup

    def _decide(
        self,
        choice: CategoryChoice,
        tools: bool,
        share: float,
        served: ServedModels,
        at: Endpoint | None,
        scope: KeyScope | None,
    ) -> Decision:
        if at is not None:
            served = served.only(at.name, self.config.vllm_endpoints)
        # A key that is limited to some models takes no part: its answers would not be comparable.
        if self._canaries is not None and choice.category is not None and (scope is None or scope.models is None):
            arm, canary = self._canaries.arm(choice.category, share, scope)
            choice = msgspec.structs.replace(choice, arm=arm, canary=canary)
        decision = self.planner.decide(choice, share, served, tools=tools, scope=scope)
        if self._rollout is not None and (choice.category is not None or choice.model is not None):
            why = self._rollout.withholds(choice.category, share)
            if why is not None:
                arm = Arm.HOLDBACK if why is Reason.HOLDBACK else None
                default = CategoryChoice(None, choice.confidence, why, choice.missed, never=choice.never, arm=arm)
                decision = self._withheld(decision, default, served, scope, tools=tools)
            elif decision.arm is None and self._rollout.draws(choice.category):
                decision = msgspec.structs.replace(decision, arm=Arm.ROUTED)
        return decision if at is None else _bound(decision, at)

    def _withheld(
        self, decision: Decision, choice: CategoryChoice, served: ServedModels, scope: KeyScope | None, *, tools: bool
    ) -> Decision:
        """Return the decision for the default model, with the one that it replaces."""
        default = self.planner.decide(choice, 0.0, served, tools=tools, scope=scope)
        would = Counterfactual(decision.model, decision.reason)
        return msgspec.structs.replace(default, category=decision.category, rule=decision.rule, would=would)

    def _choice(
        self, reading: AskClassification, lookup: ConversationLookup, follow_up: FollowUp | None, reader: TextReader
    ) -> CategoryChoice:
        if reading.failed in (Reason.AMBIGUOUS, Reason.MIXED_PROMPTS):
            return CategoryChoice(None, None, reading.failed)
        if reading.classification is None:
            return CategoryChoice(self._stay(lookup), None, reading.failed or Reason.STICKY)
        return reader.choose(reading.classification, follow_up)

    def _stay(self, lookup: ConversationLookup) -> str | None:
        """Return the category of a turn that is not judged: its own in a further step, else the conversation's."""
        remembered = lookup.remembered
        if (
            remembered is not None
            and remembered.answered_by is not None
            and (lookup.same_turn or remembered.category is None)
        ):
            return remembered.answered_by or None
        return self.policy.fallback if remembered is None or remembered.category is None else remembered.category

    def _to_remember(
        self, choice: CategoryChoice, reading: AskClassification, lookup: ConversationLookup, *, tools: bool
    ) -> ConversationState:
        """Return what later turns reuse: the category that answers an unsure ask, or a greeting, is not reused."""
        remembered, reason = lookup.remembered, choice.reason
        if lookup.same_turn and remembered is not None:
            return msgspec.structs.replace(remembered, tools=tools, mixed=lookup.mixed)
        category, answered_by, unread = choice.category, None, False
        if reason is not Reason.RULE or category is None:
            if reading.classification is None or reason is Reason.UNSUPPORTED_LANGUAGE:
                known, unread = None if remembered is None else remembered.category, remembered is None
                category, answered_by = known, _answered_by(category, known)
            elif reading.greets or reason is Reason.LOW_CONFIDENCE:
                category, answered_by = None, _answered_by(category, None)
        return ConversationState(category, lookup.share, answered_by, tools, unread, lookup.mixed)


def is_plain(model: str) -> bool:
    """Return whether a client named a model by its own name, which needs no edit."""
    return not model.startswith(DIRECT)


def _unread(request: ParsedRequest) -> Reason | None:
    """Return why the text of a request is not read, or None if it is."""
    if not request.readable:
        return Reason.TOO_MANY_PARTS
    return Reason.HELPER_TASK if request.ask.kind is AskKind.HELPER_TASK else None


def _follow_up(text: str, reading: AskClassification, history: History, lookup: ConversationLookup) -> FollowUp | None:
    """Return the conversation's category for an ask, or None."""
    category = reading.follows if lookup.remembered is None else lookup.remembered.category
    if category is None or reading.classification is None:
        return None
    return FollowUp(category, text, history.before, history.context, history.size)


def _edited(request: ParsedRequest, decision: Decision) -> EditedBody:
    """Return the body to send; vLLM must tell the tokens of requests on an arm, as they are compared."""
    return request.apply(decision.edits, counted=decision.arm is not None)


def _answered_by(answered: str | None, known: str | None) -> str | None:
    """Return the category that answers a turn, if that is not its conversation's, as in `ConversationState`."""
    return None if answered == known else answered or ""


def _bound(decision: Decision, endpoint: Endpoint) -> Decision:
    return msgspec.structs.replace(decision, endpoints=(endpoint,))
