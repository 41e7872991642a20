"""Check the thresholds, the rules, and the position of an ask."""

from __future__ import annotations

from collections.abc import Iterator

from pointsman.config.routing import name_in
from pointsman.config.validation import rules
from pointsman.config.validation.subject import ValidatedConfig
from pointsman.config.words import Keys, choose
from pointsman.errors import Problem

# Fields of the request formats that cannot be the field of an ask.
TAKEN = frozenset({"model", "messages", "input", "prompt", "system", "instructions", "tools", "stream"})


def problems(subject: ValidatedConfig) -> Iterator[Problem]:
    """Yield the problems of `thresholds`, `rules` and `ask` of `routing`."""
    yield from _thresholds(subject)
    yield from _rules(subject)
    yield from _asks(subject)


def _thresholds(subject: ValidatedConfig) -> Iterator[Problem]:
    names = [category.name for category in subject.config.categories]
    for name in subject.config.pointsman.routing.thresholds if subject.source_map.known("categories") else ():
        if name not in names:
            fix = choose(name, names) if names else "remove it, or add the category"
            message = f'no category is named "{name}"'
            yield subject.problem("pointsman", "routing", "thresholds", name, message=message, fix=fix)


def _rules(subject: ValidatedConfig) -> Iterator[Problem]:
    keys: Keys = ("pointsman", "routing", "rules")
    named = [((*keys, i, "name"), rule.name) for i, rule in enumerate(subject.config.pointsman.routing.rules)]
    yield from subject.names(named)
    yield from rules.problems(subject.config, subject.source_map)


def _asks(subject: ValidatedConfig) -> Iterator[Problem]:
    options = subject.config.pointsman.routing.ask
    for key, patterns in (("strip", options.strip), ("take", options.take)):
        for i, pattern in enumerate(patterns):
            keys = ("pointsman", "routing", "ask", key, i)
            if subject.source_map.known(*keys) and name_in(pattern) is None:
                message = f"`{pattern}` is not the name of a tag, a label or a heading"
                fix = "write `<name>`, `[name]`, `Name:` or `# Name`, of at most 60 characters; `*` stands for anything"
                yield subject.problem(*keys, message=message, fix=fix)
    field = options.body_field
    if field is not None and (not field.strip() or field in TAKEN):
        message = f"`{field}` is a field of the API, or empty"
        fix = "name a field that no API has, such as `pointsman_ask`"
        yield subject.problem("pointsman", "routing", "ask", "body_field", message=message, fix=fix)
