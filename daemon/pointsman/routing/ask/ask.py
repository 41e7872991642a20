"""What a person asks in a message."""

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


class Ask(msgspec.Struct, frozen=True):
    """What the person asked: `text`, empty if there is none."""

    text: str
    kind: AskKind
    others: tuple[str, ...] = ()
    steps: tuple[object, ...] = ()


NO_ASK = Ask("", AskKind.NONE)
