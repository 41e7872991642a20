"""Define the part of a request that is classified, and the routing of conversations."""

# ruff: noqa: RUF009 - `option()` is `dataclasses.field()` with its metadata named

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from pointsman.config import rollout, rules
from pointsman.config.option import EMPTY, option
from pointsman.config.rollout import CategoryRollout, Mode
from pointsman.config.rules import Rule
from pointsman.config.source_map import SourceMap
from pointsman.errors import Problem

MAX_NAME_CHARACTERS = 60
# Fields of the request formats that cannot be the field of an ask.
_TAKEN = frozenset({"model", "messages", "input", "prompt", "system", "instructions", "tools", "stream"})


@dataclass(frozen=True, slots=True, kw_only=True)
class AskOptions:
    mode: Literal["last_user", "ask", "all"] = option(
        "`ask`: the part of the last user message that a person wrote as a question or instruction; `last_user`: that "
        "message as it is; `all`: all messages.",
        "ask",
    )
    strip: tuple[str, ...] = option(
        "More names of parts that are not the ask: a tag, a label, or a heading, such as `<acme_notes>`, `Ticket "
        "data:` or `# Archive`. `*` stands for anything.",
        (),
    )
    take: tuple[str, ...] = option(
        "More names of parts that contain the ask, such as `<acme_question>` or `Caller says:`.", ()
    )
    body_field: str | None = option(
        "Top-level field of the body in which a client states the ask, as in the header `x-pointsman-ask`.", None
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutingOptions:
    mode: Mode = option(
        "`on`: requests are routed. `shadow`: they are decided, logged and counted, and sent to `default_model`. "
        "`percent`: a share of the conversations is routed, and the others go to `default_model`. `off`: "
        "nothing is classified. `pointsman mode` overrides it without a reload.",
        "on",
    )
    percent: float | None = option(
        "Share of the conversations that is routed, with `mode: percent`.", None, minimum=0, maximum=100
    )
    categories: Mapping[str, CategoryRollout] = option("Exceptions for a category, by its name.", EMPTY)
    verdict_authors: int = option(
        "Feedback counts in the verdict on an experiment where so many authors have given some on each side, that of "
        "one for at most half of it. An author is a client's key, else its address. 1 counts all: where a single proxy "
        "is in front that is not in `trusted_proxies`, all clients have its address.",
        3,
        minimum=1,
        maximum=100,
    )
    aliases: tuple[str, ...] = option(
        "More model names that request routing, such as the base model's own or `gpt-4o`, so that clients keep theirs. "
        "`direct:NAME` names a model all the same.",
        (),
    )
    key_aliases: Mapping[str, tuple[str, ...]] = option(
        "More `aliases` for single clients, by the names of their keys (`pointsman.access.keys_file`).", EMPTY
    )
    rules: tuple[Rule, ...] = option("Rules that decide before the classifier does; the first that matches.", ())
    split: Literal["best", "score"] = option(
        "`best`: the highest score wins; `score`: scores are shares (A/B), drawn once for each conversation.", "best"
    )
    thresholds: Mapping[str, float] = option(
        "Minimum score of a category, by its name; replaces `category_model.threshold`.", EMPTY, minimum=0, maximum=1
    )
    precision: float | None = option(
        "Share of an adapter's prompts that must be right. Each category without one in `thresholds` gets the lowest "
        "threshold from `category_model.threshold` on that has it on the artifact's calibration rows: fewer prompts "
        "reach their adapter. Without it `category_model.threshold` counts alone.",
        None,
        minimum=0,
        maximum=1,
    )
    ask: AskOptions = option("The part of a request that is classified.", AskOptions())
    sticky: bool = option("Keep a conversation's category in follow-up turns.", True)
    switch_margin: float = option(
        "Lead that another category needs to replace the conversation's; up to twice as much in a long conversation.",
        0.2,
        minimum=0,
        maximum=1,
    )
    sticky_entries: int = option("Number of turns to remember, of all conversations.", 10_000, minimum=1)
    sticky_seconds: int = option("Time for which a turn is remembered.", 3_600, minimum=1)
    session_headers: tuple[str, ...] = option(
        "Request headers in which clients name their session, in addition to the built-in ones.", ()
    )
    session_fields: tuple[str, ...] = option(
        "Further body fields in which clients name their session, such as `chat` or `metadata.chat`.", ()
    )


def problems(options: RoutingOptions, source_map: SourceMap) -> Iterator[Problem]:
    """Yield the problems of the modes, the rules and the ask."""
    yield from rollout.problems(options.mode, options.percent, source_map)
    for name, own in options.categories.items():
        yield from rollout.problems(own.mode, own.percent, source_map.below("categories", name))
    yield from rules.problems(options.rules, source_map.below("rules"))
    yield from _ask(options.ask, source_map.below("ask"))


def _ask(options: AskOptions, source_map: SourceMap) -> Iterator[Problem]:
    for key, patterns in (("strip", options.strip), ("take", options.take)):
        for i, pattern in enumerate(patterns):
            if source_map.known(key, i) and name_in(pattern) is None:
                message = f"`{pattern}` is not the name of a tag, a label or a heading"
                fix = "write `<name>`, `[name]`, `Name:` or `# Name`, of at most 60 characters; `*` stands for anything"
                yield source_map.problem((key, i), message, fix)
    field = options.body_field
    if field is not None and (not field.strip() or field in _TAKEN):
        message = f"`{field}` is a field of the API, or empty"
        yield source_map.problem(("body_field",), message, "name a field that no API has, such as `pointsman_ask`")


def name_in(pattern: str) -> str | None:
    """Return the name in `<name>`, `[name]`, `name:` or `# name`, None if the pattern has none of these forms."""
    plain = pattern.strip()
    if (plain[:1] == "<" and plain[-1:] == ">") or (plain[:1] == "[" and plain[-1:] == "]"):
        name = plain[1:-1]
    elif plain[:1] == "#":
        name = plain.lstrip("#")
    elif plain[-1:] in (":", "：") and plain:
        name = plain[:-1]
    else:
        return None
    name = name.strip()
    usable = len(name.replace("*", "")) > 0 and len(name) <= MAX_NAME_CHARACTERS and not set(name) & set("<>[]#:\n")
    return name if usable else None
