"""Find the rule that decides a request before the classifier does; pure, in linear time, in steps."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import NamedTuple

import msgspec

from pointsman.config.model import Rule
from pointsman.config.regex import compiled
from pointsman.routing.ask import AskKind
from pointsman.routing.decision import CategoryChoice, Reason
from pointsman.routing.images import has_images
from pointsman.routing.keywords import has_keyword, one_line
from pointsman.routing.matcher import Matcher
from pointsman.routing.parsed_request import ParsedRequest
from pointsman.routing.steps import Steps, TimeSlice

# Search both ends of a longer ask for keywords and patterns.
END_CHARACTERS = 2_048


class RequestOrigin(NamedTuple):
    """The origin of a request: its headers, the client's address (empty for a Unix socket), and its path.

    `key` is the name of the client's key, empty without one.
    """

    headers: Mapping[bytes, bytes]
    address: str = ""
    path: str = ""
    key: str = ""


NO_ORIGIN = RequestOrigin({})


class RuleResult(NamedTuple):
    """The rules' verdict: the rule that decides, if any, and the forbidden adapters, with their rules' names.

    `waits`: the verdict depends on the language of the ask, which is not known yet.
    """

    rule: Rule | None = None
    never: tuple[tuple[str, str], ...] = ()
    waits: bool = False

    def applied_to(self, choice: CategoryChoice) -> CategoryChoice:
        """Return the choice of the rule that decides, else `choice`, limited by the rules."""
        rule = self.rule
        if rule is None:
            return msgspec.structs.replace(choice, never=self.never) if self.never else choice
        return CategoryChoice(rule.category, None, Reason.RULE, model=rule.adapter, rule=rule.name, never=self.never)


NO_RULE = RuleResult()


class Rules:
    """The rules of a config, in their order."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        patterned = [rule for rule in rules if rule.pattern is not None]
        self._matcher = Matcher([compiled(rule.pattern or "", fold=not rule.case_sensitive) for rule in patterned])
        bits = {rule.name: 1 << number for number, rule in enumerate(patterned)}
        self._rules = [_RuleMatcher(rule, bits.get(rule.name, 0)) for rule in rules]

    def judge(
        self, request: ParsedRequest, origin: RequestOrigin, language: str | None = None, *, read: bool = False
    ) -> Steps[RuleResult]:
        """Return the rules' verdict on a request; `read`: its `language` is known, or known to be uncertain."""
        facts = _RequestFacts(request, origin)
        never: tuple[tuple[str, str], ...] = ()
        found: int | None = None
        time_slice = TimeSlice()
        for test in self._rules:
            rule = test.rule
            if not test.holds(facts):
                continue
            if test.bit and found is None:
                found = yield from self._matcher.find(facts.text)
            if test.bit and not (found or 0) & test.bit:
                continue
            if rule.languages and not read:
                return RuleResult(None, never, waits=True)
            if rule.languages and language not in rule.languages:
                continue
            if rule.never is None:
                return RuleResult(rule, never)
            never = (*never, (rule.never, rule.name))
            yield from time_slice.pause()
        return RuleResult(None, never) if never else NO_RULE


class _RequestFacts:
    """The facts that conditions look at, each found once."""

    def __init__(self, request: ParsedRequest, origin: RequestOrigin) -> None:
        self.request, self.origin = request, origin
        helper = request.ask.kind is AskKind.HELPER_TASK
        self.chars = 0 if helper else len(request.text)
        """Characters of the ask; 0 without an ask."""

    @cached_property
    def text(self) -> str:
        """Return the ask, both ends of a long one."""
        text = self.request.text if self.chars else ""
        return text if len(text) <= 2 * END_CHARACTERS else f"{text[:END_CHARACTERS]}\n{text[-END_CHARACTERS:]}"

    @cached_property
    def words(self) -> str:
        return one_line(self.text)

    @cached_property
    def folded(self) -> str:
        return self.words.lower()

    @cached_property
    def images(self) -> bool:
        return has_images(self.request.messages)

    @cached_property
    def tools(self) -> bool:
        return self.request.tools


class _RuleMatcher:
    """The conditions of a rule; `bit` is that of its pattern, 0 without one."""

    def __init__(self, rule: Rule, bit: int) -> None:
        self.rule = rule
        self.bit = bit
        self._headers = [(name.lower().encode(), value.encode()) for name, value in rule.headers.items()]
        self._networks = [ipaddress.ip_network(text) for text in rule.clients]
        self._keywords = [one_line(word if rule.case_sensitive else word.lower()) for word in rule.keywords]
        lengths = rule.min_chars is not None or rule.max_chars is not None
        self._reads = bool(bit or rule.keywords or rule.languages) or lengths

    def holds(self, facts: _RequestFacts) -> bool:
        """Return whether the conditions match, except for the pattern and the language."""
        rule = self.rule
        return (
            (not rule.paths or facts.origin.path in rule.paths)
            and (not rule.keys or facts.origin.key in rule.keys)
            and all(_sent(facts.origin.headers, name, value) for name, value in self._headers)
            and (not self._networks or self._in_networks(facts.origin.address))
            and rule.tools in (None, facts.tools)
            and (not self._reads or self._asks(facts))
            and (rule.images is None or rule.images is facts.images)
        )

    def _asks(self, facts: _RequestFacts) -> bool:
        rule, chars = self.rule, facts.chars
        if not chars or chars < (rule.min_chars or 0) or (rule.max_chars is not None and chars > rule.max_chars):
            return False
        text = facts.words if rule.case_sensitive else facts.folded
        return not self._keywords or self._matched([has_keyword(text, word) for word in self._keywords])

    def _matched(self, found: list[bool]) -> bool:
        if self.rule.keywords_match == "any":
            return any(found)
        return all(found) if self.rule.keywords_match == "all" else not any(found)

    def _in_networks(self, address: str) -> bool:
        try:
            found = ipaddress.ip_address(address)
        except ValueError:  # a Unix socket
            return False
        return any(found in network for network in self._networks)


def _sent(headers: Mapping[bytes, bytes], name: bytes, wanted: bytes) -> bool:
    value = headers.get(name)
    if value is None:
        return False
    return value.startswith(wanted[:-1]) if wanted.endswith(b"*") else value == wanted
