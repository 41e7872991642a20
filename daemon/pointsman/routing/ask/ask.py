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


class Step(msgspec.Struct, frozen=True, gc=False):
    """What was done with a part of the message: characters `start` to `end` of its text parts, joined by spaces."""

    what: str
    start: int
    end: int


class Beside(msgspec.Struct, frozen=True, gc=False):
    """What is read beside an ask, as it may have a category where that has none.

    `material`: it is the ask with the material that it points to. `apart`: it may be right against the ask.
    """

    text: str
    material: bool = False
    apart: bool = False


class Ask(msgspec.Struct, frozen=True, gc=False):
    """What the person asked: `text`, empty if there is none.

    `others` are further candidates: if they belong to other categories, the decision is ambiguous. `about` is the
    beginning of the material, where the ask only points to that. `line` is the line that asks, where the text has other
    lines before it, which may be none of the ask; `apart`: most of the text seems to be
    none.
    """

    text: str
    kind: AskKind
    others: tuple[str, ...] = ()
    steps: tuple[Step, ...] = ()
    about: str = ""
    line: str = ""
    apart: bool = False

    @property
    def beside(self) -> Beside | None:
        """Return what is read beside the text, None if nothing is."""
        if self.others or not (self.about or self.line):
            return None
        return (
            Beside(f"{self.text}\n\n{self.about}", material=True) if self.about else Beside(self.line, apart=self.apart)
        )


NO_ASK = Ask("", AskKind.NONE)
