"""Classify the texts that the decision on a request needs, and choose a category by the result."""

from __future__ import annotations

import asyncio
import copy
import time

import msgspec

from pointsman.classify.classification import Classification
from pointsman.classify.classifier import Classifier
from pointsman.eager import continue_in_task
from pointsman.errors import ClassifierError
from pointsman.routing.ask import AskKind, AskSupplement
from pointsman.routing.conversations import Conversation, ConversationLookup
from pointsman.routing.decision import CategoryChoice, Reason
from pointsman.routing.follow_up import content_free, is_short
from pointsman.routing.history import History
from pointsman.routing.parsed_request import ParsedRequest
from pointsman.routing.policy import FollowUp, Policy

# The text before is unknown if vLLM has it, or if it is in another language: that is evidence neither for nor against a
# change of subject.
UNKNOWN = 0.5
# Where a conversation is not known here, its last asks tell its category.
EARLIER_ASKS = 3
_UNDECIDED = (Reason.LOW_CONFIDENCE, Reason.NO_CATEGORY)
# The default model answers, whatever the conversation is about.
_WITHOUT_CATEGORY = (Reason.AMBIGUOUS, Reason.MIXED_PROMPTS, Reason.HELPER_TASK, Reason.TOO_MANY_PARTS, Reason.OFF)


class AskClassification(msgspec.Struct, frozen=True, gc=False):
    """The text that the classifier read, and the result; neither result nor failure if nothing had to be read.

    `follows` is the category of the earlier asks, if these had to be read. `greets`: neither they nor the ask, if there
    are any, say something. `supplement`: the text is the material or line of the ask, and counts instead of the ask;
    `surely`: above a higher threshold. `follow_up` is the category that the ask of a follow-up is judged by.
    """

    text: str
    classification: Classification | None = None
    failed: Reason | None = None
    follows: str | None = None
    greets: bool = False
    supplement: AskSupplement | None = None
    surely: bool = False
    follow_up: FollowUp | None = None

    @property
    def by_material(self) -> bool:
        """Return whether the material that the ask points to counts."""
        return self.supplement is not None and self.supplement.material

    @property
    def by_line(self) -> bool:
        """Return whether the ask's own line that asks counts."""
        return self.supplement is not None and not self.supplement.material


UNREAD = AskClassification("")


class TextReader:
    """A reader of texts with one classifier and one policy; `sticky`: conversations keep their category."""

    def __init__(
        self,
        classifier: Classifier,
        policy: Policy,
        *,
        sticky: bool,
        deadline: float | None = None,
        client: str = "",
    ) -> None:
        """Take the seconds for all reading of a request as `deadline`; None: only the classifier's own.

        `client` is the sender of the texts.
        """
        self._classifier = classifier
        self.policy = policy
        self._sticky = sticky
        self._deadline = deadline
        self._client = client

    def of(self, client: str) -> TextReader:
        """Return the reader of one client's texts, whose timing reveals nothing about the texts of others."""
        if not client:
            return self
        found = copy.copy(self)
        found.policy, found._client = self.policy.forgetful, client
        return found

    async def read(self, request: ParsedRequest, conversation: Conversation, *, ruled: bool) -> AskClassification:
        """Classify what the decision needs: nothing if a rule decides (`ruled`)."""
        ask = request.ask
        if ruled:
            return AskClassification(ask.text)
        began = time.perf_counter()
        reading = await self._read_ask(ask.text, conversation, ask.supplement)
        found = reading.classification
        if found is None:
            return reading
        if ask.others and await self._differ(found, ask.others):
            return AskClassification("", failed=Reason.MIXED_PROMPTS if request.prompts > 1 else Reason.AMBIGUOUS)
        follow_up = _follow_up(ask.text, reading, conversation)
        if follow_up is None:
            return reading
        return msgspec.structs.replace(reading, follow_up=await self.read_on(follow_up, found, began))

    async def _read_ask(
        self, text: str, conversation: Conversation, supplement: AskSupplement | None
    ) -> AskClassification:
        """Classify what is needed: nothing in the middle of a turn, nor of a follow-up that says nothing of its own.

        If the earlier turns are not known here, they are read as well, and tell the subject of the conversation. If
        none does, the ask's material, or only its line that asks, is read as well.
        """
        lookup = conversation.lookup
        remembered = lookup.remembered
        if remembered is not None and remembered.category is not None:
            supplement = None
        if lookup.same_turn or (remembered is not None and supplement is None and content_free(text)):
            return AskClassification(text)
        if not text or text.isspace():
            return AskClassification(text, failed=Reason.NO_TEXT)
        try:
            begins = remembered is None and self._sticky
            free, earlier = (content_free(text), _subjects(conversation.history)) if begins else (False, "")
            if earlier and not free:
                return await self._read_both(text, earlier)
            if supplement is not None and not earlier:
                return await self._read_with_supplement(text, supplement, greets=free)
            read = earlier or text
            found = await self.classify(read)
            return AskClassification(read, found, greets=free and not earlier)
        except ClassifierError as error:
            return AskClassification(text, failed=Reason(error.reason))

    async def read_on(self, follow_up: FollowUp, alone: Classification, began: float) -> FollowUp:
        """Read an ask with what was before, if it may be about something else: most asks are read once.

        `began` is when the request was first read, by `time.perf_counter`. The first reading may wait for half of the
        deadline, and then runs; this one takes at most half of it, as a busy classifier can do without.
        """
        if not alone.supported or not self.policy.may_end(alone.scores, follow_up):
            return follow_up
        if not follow_up.before:
            return msgspec.structs.replace(follow_up, together=UNKNOWN)
        started = time.perf_counter()
        left = None if self._deadline is None else min(self._deadline / 2, self._deadline - (started - began))
        both = (
            None if left is not None and left <= 0 else await self.tried(f"{follow_up.context}\n{follow_up.ask}", left)
        )
        together = None
        if both is not None:
            together = self.policy.scores(both.scores)[follow_up.category] if both.supported else UNKNOWN
        return msgspec.structs.replace(follow_up, together=together, seconds=time.perf_counter() - started)

    async def classify(self, text: str, deadline: float | None = None) -> Classification:
        """Classify a text; raises ClassifierError."""
        return await self._classifier.classify(text, deadline, self._client)

    async def tried(self, text: str, deadline: float | None = None) -> Classification | None:
        """Return the classification, or None if it fails."""
        try:
            return await self.classify(text, deadline)
        except ClassifierError:
            return None

    def choose(self, found: Classification, follow_up: FollowUp | None = None) -> CategoryChoice:
        """Return the choice for a classified text, with or without a conversation that has a category."""
        return judged(self.policy, found, follow_up)

    async def _differ(self, read: Classification, candidates: tuple[str, ...]) -> bool:
        """Return whether a further candidate for the ask surely belongs to another category than the text read."""
        own = self.choose(read).category
        await continue_in_task()
        others = await asyncio.gather(*map(self.tried, candidates))
        choices = [self.choose(found) for found in others if found is not None]
        return any(choice.reason is Reason.CLASSIFIED and choice.category != own for choice in choices)

    async def _read_both(self, text: str, earlier: str) -> AskClassification:
        """Classify an ask, and concurrently the earlier ones that it follows."""
        await continue_in_task()
        pending = asyncio.ensure_future(self.tried(earlier))
        try:
            alone = await self.classify(text)
            before = await pending
        finally:
            pending.cancel()
        choice = CategoryChoice(None, None, Reason.DEADLINE) if before is None else self.choose(before)
        return AskClassification(text, alone, follows=choice.category if choice.reason is Reason.CLASSIFIED else None)

    async def _read_with_supplement(self, text: str, supplement: AskSupplement, *, greets: bool) -> AskClassification:
        """Classify an ask and concurrently its material or line, which counts if the ask alone has no category.

        A separate line also counts against the ask's category, if it is as sure as an ask with material must be.
        """
        await continue_in_task()
        other = asyncio.ensure_future(self.tried(supplement.text))
        try:
            alone = await self.classify(text)
            own = self.choose(alone)
            undecided = self._is_undecided(own, supplement)
            found = await other if undecided or supplement.separate else None
        finally:
            other.cancel()
        surely = supplement.material or not undecided
        if found is not None and self._counts(found, own, surely=surely):
            return AskClassification(supplement.text, found, supplement=supplement, surely=surely)
        return AskClassification(text, alone, greets=greets)

    def _is_undecided(self, own: CategoryChoice, supplement: AskSupplement) -> bool:
        """Return whether an ask has no category but the rest; its line may be in another language."""
        rest = own.reason is Reason.CLASSIFIED and own.category == self.policy.rest
        foreign = own.reason is Reason.UNSUPPORTED_LANGUAGE and not supplement.material
        return rest or foreign or own.reason in _UNDECIDED

    def _counts(self, found: Classification, own: CategoryChoice, *, surely: bool) -> bool:
        """Return whether the material or line has another category than the ask, and than the rest.

        The fallback is not an ask's category, even if it is the same.
        """
        known = own.category if own.reason is Reason.CLASSIFIED else None
        choice = self.choose(found)
        if choice.reason is not Reason.CLASSIFIED or choice.category in (self.policy.rest, known):
            return False
        threshold = self.policy.threshold(choice.category)
        return choice.confidence is not None and choice.confidence >= (raised(threshold) if surely else threshold)


def unread_reason(request: ParsedRequest) -> Reason | None:
    """Return why the text of a request is not read, or None if it is."""
    if not request.readable:
        return Reason.TOO_MANY_PARTS
    return Reason.HELPER_TASK if request.ask.kind is AskKind.HELPER_TASK else None


def choose_category(policy: Policy, reading: AskClassification, lookup: ConversationLookup) -> CategoryChoice:
    """Return the choice of a policy for what was read, or the category of a turn that is not judged."""
    if reading.failed in _WITHOUT_CATEGORY:
        return CategoryChoice(None, None, reading.failed)
    if reading.classification is not None:
        return judged(policy, reading.classification, reading.follow_up)
    category, remembered = policy.fallback, lookup.remembered
    if remembered is not None:
        category = remembered.category or category
        if remembered.answered_by is not None and (lookup.same_turn or remembered.category is None):
            category = remembered.answered_by or None
    return CategoryChoice(category, None, reading.failed or Reason.STICKY)


def judged(policy: Policy, found: Classification, follow_up: FollowUp | None = None) -> CategoryChoice:
    """Return the choice of a policy for a classified text, with or without a conversation that has a category.

    Labels know nothing of a text in another language, not even whether it is about the same category; a short one most
    likely has no content. A described category may be about just this language.
    """
    if not found.supported and follow_up is not None and is_short(follow_up.ask):
        return CategoryChoice(follow_up.category, None, Reason.STICKY)
    if not found.supported:
        unsupported = CategoryChoice(policy.fallback, None, Reason.UNSUPPORTED_LANGUAGE)
        return policy.choose_described(found.described, found.language) or unsupported
    return policy.choose(found.scores, follow_up)


def raised(threshold: float) -> float:
    """Return the threshold for an ask with material, which counts less than an ask: halfway to certainty."""
    return (1 + threshold) / 2


def _subjects(history: History) -> str:
    """Return the newest earlier asks that say something."""
    earlier = history.turns[1 : 1 + EARLIER_ASKS]
    if not earlier:
        return ""
    return "\n".join([turn.ask for turn in earlier if not content_free(turn.ask)])


def _follow_up(text: str, reading: AskClassification, conversation: Conversation) -> FollowUp | None:
    """Return the conversation's category for an ask, or None."""
    history, remembered = conversation.history, conversation.lookup.remembered
    category = reading.follows if remembered is None else remembered.category
    if category is None:
        return None
    return FollowUp(category, text, history.before, history.context, history.size)
