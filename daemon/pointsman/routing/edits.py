"""The declared edits of a body. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import msgspec


@dataclass(frozen=True, slots=True)
class Reasoning:
    """How a model's reasoning is switched: `effort` is None when it is off."""

    type: Literal["chat_template_kwargs", "reasoning_effort"]
    parameter: str
    effort: str | None


@dataclass(frozen=True, slots=True)
class SystemPrompt:
    """A category's system prompt, and whether it replaces the client's or comes before it."""

    text: str
    mode: Literal["replace", "insert"]


@dataclass(frozen=True, slots=True)
class Edits:
    """All that may change in a body."""

    model: str | None = None
    reasoning: Reasoning | None = None
    system_prompt: SystemPrompt | None = None


class Edited(msgspec.Struct, frozen=True):
    """The body to send, and the names of the top-level fields that differ from the client's."""

    body: bytes
    changed: tuple[str, ...]
