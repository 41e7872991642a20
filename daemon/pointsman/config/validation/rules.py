"""Check the rules of routing: names, patterns, and rules that cannot match or that others shadow; pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from pointsman.config import regex
from pointsman.config.model import Config, Rule
from pointsman.config.regex import MAX_STEPS_IN_ALL
from pointsman.config.source_map import SourceMap
from pointsman.config.words import Keys, choose
from pointsman.errors import Problem

MAX_RULES = 200
MAX_KEYWORDS = 2_000
MAX_KEYWORD_CHARACTERS = 200
PATHS = ("/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/messages")
OUTCOMES = ("category", "adapter", "default", "never")
_BASE: Keys = ("pointsman", "routing", "rules")


def problems(config: Config, source_map: SourceMap) -> Iterator[Problem]:
    """Yield the errors in the rules, except for names that are empty or used twice."""
    rules = config.pointsman.routing.rules
    if len(rules) > MAX_RULES:
        yield source_map.problem(_BASE, f"there are {len(rules)} rules", f"write at most {MAX_RULES}")
        return
    keywords = sum(len(rule.keywords) for rule in rules)
    if keywords > MAX_KEYWORDS:
        yield source_map.problem(_BASE, f"they have {keywords:,} keywords", f"write at most {MAX_KEYWORDS:,} in all")
    steps = 0
    for i, rule in enumerate(rules):
        keys = (*_BASE, i)
        yield from _outcome(config, source_map, keys, rule)
        yield from _conditions(source_map, keys, rule)
        try:
            steps += 0 if rule.pattern is None else len(regex.compiled(rule.pattern).steps)
        except ValueError as error:
            yield source_map.problem(
                (*keys, "pattern"), f"the pattern cannot be used: {error}", "write it without that"
            )
    if steps > MAX_STEPS_IN_ALL:
        message = f"the patterns are too large together: {steps:,} steps, and each takes time at each character"
        yield source_map.problem(
            _BASE, message, f"make them smaller, to {MAX_STEPS_IN_ALL:,} in all; keywords cost less"
        )


def _outcome(config: Config, source_map: SourceMap, keys: Keys, rule: Rule) -> Iterator[Problem]:
    given = [name for name in OUTCOMES if getattr(rule, name)]
    if len(given) != 1 and source_map.known(*keys):
        found = f"it has {len(given)}: {', '.join(given)}" if given else "it has none"
        yield source_map.problem(keys, f"a rule has one outcome, but {found}", f"write one of: {', '.join(OUTCOMES)}")
    adapters = [lora.name for model in config.model_config.values() for lora in model.loras]
    names = {
        "category": ("category", [category.name for category in config.categories], "categories"),
        "adapter": ("adapter or model", [*adapters, *config.model_config], "model_config"),
        "never": ("adapter", adapters, "model_config"),
    }
    for field, (kind, known, section) in names.items():
        name = getattr(rule, field)
        if name is not None and name not in known and source_map.known(section):
            fix = choose(name, known) if known else "remove the rule"
            yield source_map.problem((*keys, field), f'no {kind} is named "{name}"', fix)


def _conditions(source_map: SourceMap, keys: Keys, rule: Rule) -> Iterator[Problem]:
    for i, text in enumerate(rule.clients):
        try:
            ipaddress.ip_network(text)
        except ValueError as error:
            yield source_map.problem((*keys, "clients", i), f'expected a network, found "{text}"', f"{error}")
    for i, path in enumerate(rule.paths):
        if path not in PATHS:
            yield source_map.problem((*keys, "paths", i), f'"{path}" is no routed path', choose(path, PATHS))
    for i, word in enumerate(rule.keywords):
        if not word.strip() or len(word) > MAX_KEYWORD_CHARACTERS:
            fix = f"write a word or phrase of at most {MAX_KEYWORD_CHARACTERS} characters"
            yield source_map.problem((*keys, "keywords", i), "the keyword is empty or too long", fix)
    for name, value in rule.headers.items():
        if not name.strip() or not value:
            message = "a header has no name or no value"
            yield source_map.problem((*keys, "headers", name), message, "write `name: value`, with `*` for any value")
    if rule.min_chars is not None and rule.max_chars is not None and rule.min_chars > rule.max_chars:
        message = f"no ask has at least {rule.min_chars} and at most {rule.max_chars} characters: it can never match"
        yield source_map.problem((*keys, "min_chars"), message, "lower min_chars, or raise max_chars")


def warnings(config: Config, source_map: SourceMap) -> Iterator[Problem]:
    """Yield the rules without effect, because of their conditions or of a rule before them."""
    rules = config.pointsman.routing.rules
    gate = config.pointsman.classifier.language_gate
    keys = config.pointsman.access.keys_file is not None
    for i, rule in enumerate(rules):
        if rule.keys and not keys:
            message = f'the rule "{rule.name}" can never match: without pointsman.access.keys_file no client has a key'
            yield source_map.problem((*_BASE, i, "keys"), message, "remove keys, or name the file of the clients' keys")
        if rule.languages and not gate:
            message = f'the rule "{rule.name}" can never match: with language_gate: false no language is found'
            yield source_map.problem((*_BASE, i, "languages"), message, "remove languages, or language_gate: false")
        first = next((other for other in rules[:i] if _shadows(other, rule)), None)
        if first is not None:
            message = f'the rule "{rule.name}" is never reached: "{first.name}" before it matches whatever it matches'
            yield source_map.problem((*_BASE, i), message, "move it up, or remove one of the two")


def _shadows(first: Rule, second: Rule) -> bool:
    """Return whether a rule decides every request that another one, after it, would decide."""
    if first.never is not None:
        return first.never == second.never and _covers(first, second)
    return _covers(first, second)


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
