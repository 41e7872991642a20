"""Route a parsed request to a decision and the body to send; the server, `POST /v1/route` and `explain` share it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Literal, TypeGuard

import msgspec

from pointsman.adapters.catalog import ServedModels
from pointsman.classify.classification import Classification
from pointsman.classify.classifier import Classifier
from pointsman.config.client_keys import ClientKey
from pointsman.config.model import DIRECT, Config, Endpoint
from pointsman.config.overlay import NOTHING, Overlay, laid_over
from pointsman.long_body import Received
from pointsman.routing import queue_fields, stream_usage
from pointsman.routing.ask import NO_ASK, Ask, AskFinder
from pointsman.routing.body import FIELDS
from pointsman.routing.conversations import NO_CONVERSATION, ConversationRecall, ConversationState
from pointsman.routing.decision import Decision, Reason, RunnerUp
from pointsman.routing.edits import EditedBody, Edits
from pointsman.routing.parsed_request import ParsedRequest
from pointsman.routing.planner import Planner
from pointsman.routing.policy import FollowUp, Policy
from pointsman.routing.reading import UNREAD, AskClassification, TextReader, choose_category, raised, unread_reason
from pointsman.routing.recall import ConversationFinder, state_after
from pointsman.routing.rules import NO_RULE, RequestOrigin, RuleResult, Rules
from pointsman.routing.selector import ModelSelection, ModelSelector, bound
from pointsman.routing.sender import UNKNOWN_SENDER, Sender
from pointsman.routing.session_ids import SessionIds
from pointsman.routing.steps import StepScheduler

# No model has a longer name, but clients may request one.
MAX_MODEL_NAME_CHARACTERS = 256


class RoutedRequest(msgspec.Struct, frozen=True, gc=False):
    """A routed request; `decide` is the time for the decision and the edits in seconds, without classification.

    `recalled` is what earlier turns left, and `remembered` what later ones reuse; both are None if no conversation
    counts. `selection` is the input of the decision, or None if the client named the model.
    """

    decision: Decision
    edited: EditedBody
    decide: float
    reading: AskClassification = UNREAD
    remembered: ConversationState | None = None
    ask: Ask = NO_ASK
    recalled: ConversationRecall | None = None
    selection: ModelSelection | None = None

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
        found = None if self.selection is None else self.selection.choice.threshold
        if found is None:
            return None
        return (raised(found.value) if self.reading.surely else found.value), found.origin

    @property
    def near(self) -> RunnerUp | None:
        """Return the second category, if it is near."""
        return None if self.selection is None else self.selection.choice.near

    @property
    def follow_up(self) -> FollowUp | None:
        """Return the category that a follow-up was judged by."""
        return self.reading.follow_up

    def phases(self) -> dict[str, float]:
        """Return the seconds by phase; a classification from the cache has none."""
        phases, reading = {}, self.reading
        read, follow_up = reading.classification, reading.follow_up
        if read is not None and read.source != "hit":
            timing = read.timing
            phases = {"queue": timing.queue, "tokenize": timing.tokenize, "infer": timing.infer}
        if follow_up is not None and follow_up.seconds:
            phases["follow_up"] = follow_up.seconds
        phases["decide"] = self.decide
        return phases


class Router:
    """A router for one config and one classifier; `served` returns the latest snapshot of the served models."""

    def __init__(
        self,
        config: Config,
        classifier: Classifier,
        served: Callable[[], ServedModels],
        previous: Router | None = None,
    ) -> None:
        """Take over the conversations of `previous`."""
        self.config = config
        self.classifier = classifier
        self.policy = Policy(config, classifier.labels, calibration=classifier.calibration, head=classifier.head)
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
        self._conversations: ConversationFinder = ConversationFinder(
            routing,
            self.policy,
            self.finder,
            self.step_scheduler,
            None if previous is None else previous._conversations,
        )
        self.rules = Rules(routing.rules) if routing.rules else None
        self.use(NOTHING)

    def names_model(self, model: str | None, key: ClientKey | None) -> TypeGuard[str]:
        """Return whether the client with a key names a model, and does not request routing."""
        names = self.auto_names if key is None else self._auto_names_of.get(key.name, self.auto_names)
        return model is not None and model not in names

    def finder_of(self, key: ClientKey | None) -> AskFinder:
        """Return the finder of the asks of the client with a key."""
        return self.finder if key is None else self.finder.of(key.name)

    def reader_of(self, key: ClientKey | None) -> TextReader:
        """Return the reader of the texts of the client with a key."""
        return self.reader if key is None else self.reader.of(key.name)

    def use(self, overlay: Overlay) -> None:
        """Use what commands and the service have decided in addition to the config from now on."""
        self.routing = laid_over(self.config.pointsman.routing, overlay)
        """The routing options, as commands and the service have changed them."""
        self._selector = ModelSelector(self.planner, self.config.vllm_endpoints, self.routing)

    async def route(
        self, request: ParsedRequest, sender: Sender = UNKNOWN_SENDER, *, remember: bool = True
    ) -> RoutedRequest:
        """Decide where a request goes: to the model that it names, or to the one that `choose` chooses."""
        if self.names_model(request.model, sender.key):  # explicit model?
            return self.direct(request, sender.continues.at)
        return await self.choose(request, sender, remember=remember)

    async def choose(
        self, request: ParsedRequest, sender: Sender = UNKNOWN_SENDER, *, remember: bool = True
    ) -> RoutedRequest:
        """Choose the model for a request that names none: the stages from the conversation to the edits.

        `remember` stores the decision for later turns of the conversation. A failing classifier delays the request by
        at most its deadline: the fallback is used, and the reason says so.
        """
        reader, rules, verdict = self.reader_of(sender.key), self.rules, NO_RULE
        conversation, unread = NO_CONVERSATION, Reason.OFF if self._selector.off else unread_reason(request)
        if unread is None:
            conversation = await self._conversations.find(request, sender)  # conversation
        if rules is not None and unread is not Reason.OFF:
            verdict = await self._judge(rules, request, sender.origin, reader)  # rules
        if unread is None:
            reading = await reader.read(request, conversation, ruled=verdict.rule is not None)  # Classifier
        else:
            reading = AskClassification("", failed=unread)
        started = time.perf_counter()
        choice = verdict.applied_to(choose_category(reader.policy, reading, conversation.lookup))  # policy
        tools = request.tools or conversation.began_with_tools
        selection = ModelSelection(choice, conversation.lookup.share, tools, sender.scope, sender.continues.at)
        decision = self._selector.select(selection, self.served())  # scope of the key
        edited = edits_of(request, decision)  # edits
        state = state_after(selection, reading, conversation)
        if remember and state is not None:
            self._conversations.remember(conversation, state)
        taken, recalled = time.perf_counter() - started, conversation.recalled
        return RoutedRequest(decision, edited, taken, reading, state, request.ask, recalled, selection)

    async def _judge(
        self, rules: Rules, request: ParsedRequest, origin: RequestOrigin, reader: TextReader
    ) -> RuleResult:
        """Return the rules' verdict; if that depends on the language, the ask is classified first."""
        verdict = await self.step_scheduler.run(rules.judge(request, origin))
        if verdict.waits:
            found = await reader.tried(request.text)
            language = None if found is None else found.language
            verdict = await self.step_scheduler.run(rules.judge(request, origin, language, read=True))
        return verdict

    def again(self, request: ParsedRequest, routed: RoutedRequest, served: ServedModels) -> RoutedRequest:
        """Return the same choice decided anew, after vLLM turned out to serve less than `served` said."""
        if routed.selection is None:
            return routed
        decision = self._selector.select(routed.selection, served)
        return msgspec.structs.replace(routed, decision=decision, edited=edits_of(request, decision))

    def explicit(self, body: Received, model: str, at: Endpoint | None = None) -> RoutedRequest:
        """Return the decision for a model that the client named and that is not an auto name.

        Only the endpoint `at`, if any, can answer. A very long name, which nobody serves, is truncated in the decision.
        """
        started = time.perf_counter()
        model = model[:MAX_MODEL_NAME_CHARACTERS]
        decision = self.planner.explicit(model, self.served())
        if at is not None:
            decision = bound(decision, at)
        return RoutedRequest(decision, EditedBody(body), time.perf_counter() - started)

    def direct(self, request: ParsedRequest, at: Endpoint | None = None) -> RoutedRequest:
        """Return the decision for a model that the client named; after DIRECT, the body gets the bare name."""
        name = (request.model or "").removeprefix(DIRECT)
        routed = self.explicit(request.body, name, at)
        if name == request.model and request.fields.priority is None:
            return routed
        return msgspec.structs.replace(routed, edited=request.apply(Edits(model=name)))


def is_plain(model: str) -> bool:
    """Return whether a client named a model by its own name, which needs no edit."""
    return not model.startswith(DIRECT)


def edits_of(request: ParsedRequest, decision: Decision) -> EditedBody:
    """Return the body to send; vLLM must tell the tokens of requests on an arm, as they are compared."""
    return request.apply(decision.edits, counted=decision.arm is not None)
