"""The ask of a person in a message, and the steps by which it was found."""

from __future__ import annotations

import enum

import msgspec


class AskKind(enum.StrEnum):
    """The way in which an ask was found."""

    MESSAGE = "message"
    """The whole message is the ask."""
    ASK = "ask"
    """The ask is a part of the message."""
    STATED = "stated"
    """The client stated the ask, in the header or the body field."""
    HELPER_TASK = "helper_task"
    """The message is a task of a front end or framework, such as finding a title."""
    NONE = "none"
    """There is no text, or none that a person wrote."""


class AskStep(msgspec.Struct, frozen=True, gc=False):
    """The treatment of a part of the message: characters `start` to `end` of its text parts, joined by spaces."""

    what: str
    start: int
    end: int


class AskSupplement(msgspec.Struct, frozen=True, gc=False):
    """A second text for an ask, which may have a category if the ask has none.

    `material`: the ask with the material that it points to. `separate`: it may be right where the ask is wrong.
    """

    text: str
    material: bool = False
    separate: bool = False


class Ask(msgspec.Struct, frozen=True, gc=False):
    """The ask of a person: `text`, empty if there is none.

    `others` are further candidates: if they belong to other categories, the decision is ambiguous. `about` is the
    beginning of the material, if the ask only points to it. `line` is the line that asks, if there are other lines
    before it, which may not belong to the ask; `separate`: most of the text seems not to.
    """

    text: str
    kind: AskKind
    others: tuple[str, ...] = ()
    steps: tuple[AskStep, ...] = ()
    about: str = ""
    line: str = ""
    separate: bool = False

    @property
    def supplement(self) -> AskSupplement | None:
        """Return the second text for the ask, or None."""
        if self.others or not (self.about or self.line):
            return None
        return (
            AskSupplement(f"{self.text}\n\n{self.about}", material=True)
            if self.about
            else AskSupplement(self.line, separate=self.separate)
        )


NO_ASK = Ask("", AskKind.NONE)
