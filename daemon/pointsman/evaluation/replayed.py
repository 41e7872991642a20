"""Decide the requests of a log anew with the router itself: by its rules, and by each conversation's category."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import cast

import msgspec

from pointsman.adapters.catalog import ServedModels
from pointsman.classify.classifier import Classifier
from pointsman.config.model import AskOptions, Config, Rule
from pointsman.evaluation.decisions import PrecomputedClassifier
from pointsman.formats import CHAT
from pointsman.lru import Lru
from pointsman.routing.conversations import ConversationState
from pointsman.routing.decision import Decision
from pointsman.routing.parsed_request import parse_request
from pointsman.routing.router import Router
from pointsman.routing.rules import RequestOrigin
from pointsman.routing.sender import Continuation, Sender

# Conversations whose last decision and ask are remembered.
MAX_KNOWN_CONVERSATIONS = 200_000
MAX_ASK_CHARACTERS = 4096
_SAYS_NOTHING = "ok"


class LoggedRequest(msgspec.Struct, frozen=True):
    """A request of a log: `text` is None if nothing was classified, as its conversation or a rule decided.

    `conversation` is its number in 48 bits, in hex, `turn` its position there, from 1, `category` the logged one.
    """

    text: str | None = None
    category: str | None = None
    rule: str | None = None
    conversation: str | None = None
    turn: int = 1
    path: str = ""
    client: str = ""
    key: str = ""

    @property
    def share(self) -> float:
        return 0.0 if self.conversation is None else int(self.conversation, 16) / 2**48


class _ReplayedTurn(msgspec.Struct, frozen=True):
    remembered: ConversationState
    ask: str


def decide(asked: Sequence[LoggedRequest], config: Config, known: PrecomputedClassifier) -> list[Decision]:
    """Return the decisions, in the order of the requests; `known` has the results for all texts."""
    return asyncio.run(_ReplayRouters(config, known).decide(asked))


def replayable(rule: str | None, config: Config | None) -> bool:
    """Return whether the config has a rule that decided a request."""
    return config is not None and any(one.name == rule for one in config.pointsman.routing.rules)


class _ReplayRouters:
    """The routers of a config without its rollout: one for all requests, and one for each rule to be replayed.

    Such a rule depends on facts outside the log: headers, images, tools, and the text if the rule decided. So it
    decides exactly where it decided in the log.
    """

    def __init__(self, config: Config, known: PrecomputedClassifier) -> None:
        rules = config.pointsman.routing.rules
        self._known = known
        seeing = [rule for rule in rules if not _is_blind(rule)]
        self._seeing = {rule.name for rule in seeing}
        self._router = self._with_rules(config, seeing)
        self._ruled = {
            rule.name: self._with_rules(config, [_unconditional(rule)]) for rule in rules if rule.never is None
        }
        self._turns: Lru[str, _ReplayedTurn] = Lru(MAX_KNOWN_CONVERSATIONS)

    def _with_rules(self, config: Config, rules: list[Rule]) -> Router:
        routing = replace(
            config.pointsman.routing, rules=tuple(rules), mode="on", categories={}, ask=AskOptions(mode="last_user")
        )
        plain = replace(config, pointsman=replace(config.pointsman, routing=routing))
        return Router(plain, cast(Classifier, self._known), ServedModels)

    async def decide(self, asked: Sequence[LoggedRequest]) -> list[Decision]:
        return [await self._decide(one) for one in asked]

    async def _decide(self, one: LoggedRequest) -> Decision:
        before = None if one.conversation is None else self._turns.get(one.conversation)
        if one.text is not None and one.turn == 1:  # the remembered one is another that began with the same words
            before = None
        elif one.text is None and one.rule is None and before is None:  # the conversation began before the log
            before = _ReplayedTurn(ConversationState(one.category, one.share), "")
        text = _SAYS_NOTHING if one.text is None else one.text
        said = [] if before is None or not before.ask else [("user", before.ask), ("assistant", "")]
        messages = [{"role": role, "content": content} for role, content in [*said, ("user", text)]]
        request = parse_request(CHAT, msgspec.json.encode({"messages": messages}), self._router.finder)
        remembered = ConversationState(None, one.share, unread=True) if before is None else before.remembered
        origin = RequestOrigin({}, one.client, one.path, one.key)
        sender = Sender(origin=origin, continues=Continuation(remembered=remembered))
        routed = await self._router_for(one).route(request, sender, remember=False)
        if one.conversation is not None and routed.remembered is not None:
            ask = before.ask if one.text is None and before is not None else text
            self._turns.put(one.conversation, _ReplayedTurn(routed.remembered, ask[:MAX_ASK_CHARACTERS]))
        return routed.decision

    def _router_for(self, one: LoggedRequest) -> Router:
        if one.rule is not None and (one.text is None or one.rule not in self._seeing):
            return self._ruled.get(one.rule, self._router)
        return self._router


def _is_blind(rule: Rule) -> bool:
    return bool(rule.headers) or rule.images is not None or rule.tools is not None


def _unconditional(rule: Rule) -> Rule:
    return Rule(name=rule.name, category=rule.category, adapter=rule.adapter, default=rule.default)
