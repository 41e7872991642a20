"""Define rules that decide before the classifier does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from pointsman.config.option import EMPTY, option


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
