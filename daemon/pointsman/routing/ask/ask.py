"""What a person asks in a message, and the steps by which it was found."""

from __future__ import annotations

import enum

import msgspec


class AskKind(enum.StrEnum):
    """How an ask was found."""

    MESSAGE = "message"
    """The whole message is the ask."""
    ASK = "ask"
    """The ask is a part of the message."""
    STATED = "stated"
    """The client said it, in the header or the body field."""
    HELPER_TASK = "helper_task"
    """The message is a task of a front end or framework, such as finding a title."""
    NONE = "none"
    """There is no text, or none that a person wrote."""


class Step(msgspec.Struct, frozen=True):
    """What was done with a part of the message: characters `start` to `end` of its text parts, joined by spaces."""

    what: str
    start: int
    end: int


class Ask(msgspec.Struct, frozen=True):
    """What the person asked: `text`, empty if there is none.

    `others` are further candidates: if they belong to other categories, the decision is ambiguous. `about` is the
    beginning of the material, where the ask only points to that.
    """

    text: str
    kind: AskKind
    others: tuple[str, ...] = ()
    steps: tuple[Step, ...] = ()
    about: str = ""


NO_ASK = Ask("", AskKind.NONE)
