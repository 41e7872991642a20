"""Edits to a body, as values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import msgspec


@dataclass(frozen=True, slots=True)
class Reasoning:
    """A setting of a model's reasoning; `effort` is None when reasoning is off."""

    type: Literal["chat_template_kwargs", "reasoning_effort"]
    parameter: str
    effort: str | None


@dataclass(frozen=True, slots=True)
class SystemPrompt:
    """A category's system prompt, which replaces the client's or is inserted before it."""

    text: str
    mode: Literal["replace", "insert"]


@dataclass(frozen=True, slots=True)
class Edits:
    """All edits to one body."""

    model: str | None = None
    reasoning: Reasoning | None = None
    system_prompt: SystemPrompt | None = None


class Edited(msgspec.Struct, frozen=True):
    """The body to send, and the names of the top-level fields that were changed."""

    body: bytes
    changed: tuple[str, ...]
