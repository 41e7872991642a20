"""Find the conversation of a request, and remember the decision about it for its later turns."""

from __future__ import annotations

import time

import msgspec

from pointsman.config.model import RoutingOptions
from pointsman.routing.ask import AskFinder
from pointsman.routing.conversation_keys import conversation_of
from pointsman.routing.conversations import (
    NO_CONVERSATION,
    Conversation,
    ConversationLookup,
    ConversationState,
    ConversationStore,
)
from pointsman.routing.decision import Reason
from pointsman.routing.history import History, HistoryReader
from pointsman.routing.parsed_request import ParsedRequest
from pointsman.routing.policy import Policy
from pointsman.routing.reading import AskClassification
from pointsman.routing.selector import ModelSelection
from pointsman.routing.sender import Sender
from pointsman.routing.steps import StepScheduler


class ConversationFinder:
    """The conversations of one config's requests; their memory outlives the config."""

    def __init__(
        self,
        routing: RoutingOptions,
        policy: Policy,
        finder: AskFinder,
        step_scheduler: StepScheduler,
        previous: ConversationFinder | None,
    ) -> None:
        """Take over the memory of `previous`; long histories are read in `step_scheduler`."""
        self._sticky = routing.sticky
        self._policy = policy
        self._histories = HistoryReader(finder)
        self._step_scheduler = step_scheduler
        self._store: ConversationStore = ConversationStore(time.monotonic) if previous is None else previous._store
        self._store.resize(routing.sticky_entries, routing.sticky_seconds)

    async def find(self, request: ParsedRequest, sender: Sender) -> Conversation:
        """Return the conversation of a request; its history is in vLLM if the request continues a stored response."""
        messages, client = request.messages, "" if sender.key is None else sender.key.name
        history = self._histories.first(messages, request.asked, request.ask, client)
        if history is None:
            history = await self._step_scheduler.run(self._histories.read(messages, request.ask, request.asked, client))
        continued = sender.continues.remembered
        if continued is not None:
            keys, lookup = None, _continued(continued, history)
        else:
            keys = conversation_of(history, sender.caller)
            lookup = self._store.find(keys)
        if lookup.remembered is not None and not self._is_usable(lookup.remembered):
            lookup = ConversationLookup(None, lookup.share, mixed=lookup.mixed)
        return Conversation(history, lookup, keys)

    def remember(self, conversation: Conversation, state: ConversationState) -> None:
        """Remember a decision for the later turns of its conversation."""
        if conversation.keys is not None:
            self._store.put(conversation.keys, state)

    def _is_usable(self, remembered: ConversationState) -> bool:
        """Return whether conversations keep their categories, and the config has these."""
        named = filter(None, (remembered.category, remembered.answered_by))
        return self._sticky and all(map(self._policy.knows, named))


def _continued(remembered: ConversationState, history: History) -> ConversationLookup:
    """Return what is known of a stored response; the body has only the end of its conversation."""
    if remembered.unread and not history.continues:
        return ConversationLookup(None, remembered.share, mixed=remembered.mixed)
    return ConversationLookup(remembered, remembered.share, same_turn=history.continues, mixed=remembered.mixed)


def state_after(
    selection: ModelSelection, reading: AskClassification, conversation: Conversation
) -> ConversationState | None:
    """Return what later turns reuse, or None if no conversation counts.

    The category that answers an unsure ask, or a greeting, is not reused.
    """
    if conversation is NO_CONVERSATION:
        return None
    choice, tools, lookup = selection.choice, selection.tools, conversation.lookup
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


def _answered_by(answered: str | None, known: str | None) -> str | None:
    """Return the category that answers a turn, if that is not its conversation's, as in `ConversationState`."""
    return None if answered == known else answered or ""
