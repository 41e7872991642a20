"""Define rules that decide before the classifier does, and check them."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from pointsman.config import regex
from pointsman.config.option import EMPTY, option
from pointsman.config.regex import MAX_STEPS_IN_ALL
from pointsman.config.source_map import SourceMap
from pointsman.config.words import Keys, choose
from pointsman.errors import Problem
from pointsman.formats import ROUTED

MAX_RULES = 200
MAX_KEYWORDS = 2_000
MAX_KEYWORD_CHARACTERS = 200
PATHS = tuple(form.path for form in ROUTED)
OUTCOMES = ("category", "adapter", "default", "never")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A rule for requests that meet all of its conditions; it has one outcome."""

    name: str = option("Name of the rule, for the log and `x-pointsman-rule`.")
    headers: Mapping[str, str] = option(
        "Request headers and their values, all of which must be there; `*` at the end of a value stands for anything.",
        EMPTY,
    )
    clients: tuple[str, ...] = option("Networks of the client's address, such as `10.0.0.0/8`.", ())
    keys: tuple[str, ...] = option("Names of clients' keys (`pointsman.access.keys_file`).", ())
    paths: tuple[str, ...] = option("Paths, such as `/v1/messages`.", ())
    keywords: tuple[str, ...] = option("Words or phrases that the ask has as whole words.", ())
    keywords_match: Literal["any", "all", "none"] = option(
        "The keywords that the ask must have: one, all, or none of them.", "any"
    )
    pattern: str | None = option(
        "Regular expression that is found in the ask; without backreferences and lookaround.", None
    )
    case_sensitive: bool = option("Tell capitals from small letters, in `keywords` and `pattern`.", False)
    languages: tuple[str, ...] = option("Languages of the ask (ISO 639-1), if certain.", ())
    min_chars: int | None = option("Fewest characters of the ask.", None, minimum=0)
    max_chars: int | None = option("Most characters of the ask.", None, minimum=0)
    images: bool | None = option("Whether messages have images.", None)
    tools: bool | None = option("Whether the request carries tools.", None)
    category: str | None = option("Outcome: this category's models answer.", None)
    adapter: str | None = option("Outcome: this adapter or base model answers.", None)
    default: bool = option("Outcome: `default_model` answers.", False)
    never: str | None = option("Outcome: this adapter does not answer, whatever else is decided.", None)


def problems(rules: Sequence[Rule], source_map: SourceMap) -> Iterator[Problem]:
    """Yield the problems of the rules, except for what they name."""
    yield from source_map.names(((i, "name"), rule.name) for i, rule in enumerate(rules))
    if len(rules) > MAX_RULES:
        yield source_map.problem((), f"there are {len(rules)} rules", f"write at most {MAX_RULES}")
        return
    keywords = sum(len(rule.keywords) for rule in rules)
    if keywords > MAX_KEYWORDS:
        yield source_map.problem((), f"they have {keywords:,} keywords", f"write at most {MAX_KEYWORDS:,} in all")
    for i, rule in enumerate(rules):
        given = [name for name in OUTCOMES if getattr(rule, name)]
        if len(given) != 1 and source_map.known(i):
            found = f"it has {len(given)}: {', '.join(given)}" if given else "it has none"
            yield source_map.problem(
                (i,), f"a rule has one outcome, but {found}", f"write one of: {', '.join(OUTCOMES)}"
            )
        yield from _conditions(rule, source_map.below(i))
    patterns = [((i, "pattern"), rule.pattern) for i, rule in enumerate(rules) if rule.pattern is not None]
    yield from pattern_problems(patterns, source_map, "; keywords cost less")


def _conditions(rule: Rule, source_map: SourceMap) -> Iterator[Problem]:
    for i, text in enumerate(rule.clients):
        try:
            ipaddress.ip_network(text)
        except ValueError as error:
            yield source_map.problem(("clients", i), f'expected a network, found "{text}"', f"{error}")
    for i, path in enumerate(rule.paths):
        if path not in PATHS:
            yield source_map.problem(("paths", i), f'"{path}" is no routed path', choose(path, PATHS))
    for i, word in enumerate(rule.keywords):
        if not word.strip() or len(word) > MAX_KEYWORD_CHARACTERS:
            fix = f"write a word or phrase of at most {MAX_KEYWORD_CHARACTERS} characters"
            yield source_map.problem(("keywords", i), "the keyword is empty or too long", fix)
    for name, value in rule.headers.items():
        if not name.strip() or not value:
            fix = "write `name: value`, with `*` for any value"
            yield source_map.problem(("headers", name), "a header has no name or no value", fix)
    if rule.min_chars is not None and rule.max_chars is not None and rule.min_chars > rule.max_chars:
        message = f"no ask has at least {rule.min_chars} and at most {rule.max_chars} characters: it can never match"
        yield source_map.problem(("min_chars",), message, "lower min_chars, or raise max_chars")


def pattern_problems(
    patterns: Iterable[tuple[Keys, str]], source_map: SourceMap, cheaper: str = ""
) -> Iterator[Problem]:
    """Yield the patterns that cannot be used, and whether all of them are too large together."""
    steps = 0
    for keys, pattern in patterns:
        try:
            steps += len(regex.compiled(pattern).steps)
        except ValueError as error:
            yield source_map.problem(keys, f"the pattern cannot be used: {error}", "write it without that")
    if steps > MAX_STEPS_IN_ALL:
        message = f"the patterns are too large together: {steps:,} steps, and each takes time at each character"
        yield source_map.problem((), message, f"make them smaller, to {MAX_STEPS_IN_ALL:,} in all{cheaper}")


def warnings(rules: Sequence[Rule], source_map: SourceMap) -> Iterator[Problem]:
    """Yield the rules without effect because of one before them."""
    for i, rule in enumerate(rules):
        first = next((other for other in rules[:i] if _shadows(other, rule)), None)
        if first is not None:
            message = f'the rule "{rule.name}" is never reached: "{first.name}" before it matches whatever it matches'
            yield source_map.problem((i,), message, "move it up, or remove one of the two")


def _shadows(first: Rule, second: Rule) -> bool:
    """Return whether a rule decides every request that another one, after it, would decide."""
    return first.never in (None, second.never) and _covers(first, second)


def _covers(first: Rule, second: Rule) -> bool:
    """Return whether each condition of a rule is true whenever those of another are."""
    lists = ("paths", "keys", "keywords", "languages", "clients")
    for name in lists:
        wanted = set(getattr(first, name))
        if wanted and not (wanted >= set(getattr(second, name)) != set()):
            return False
    if first.keywords and (first.keywords_match, second.keywords_match) != ("any", "any"):
        return False
    if (first.keywords or first.pattern) and first.case_sensitive and not second.case_sensitive:
        return False
    if not first.headers.items() <= second.headers.items():
        return False
    if (first.min_chars or 0) > (second.min_chars or 0):
        return False
    if first.max_chars is not None and (second.max_chars is None or first.max_chars < second.max_chars):
        return False
    return all(getattr(first, name) in (None, getattr(second, name)) for name in ("pattern", "images", "tools"))
