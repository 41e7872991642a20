"""Find what a person asks in the text parts of a message."""

from __future__ import annotations

from collections.abc import Sequence

from pointsman.routing.ask.ask import NO_ASK, Ask, AskKind


class AskFinder:
    """Takes the whole message for the ask."""

    def find(self, parts: Sequence[str]) -> Ask:
        """Return the ask in the text parts of one message."""
        text = " ".join(filter(None, parts))
        return Ask(text, AskKind.MESSAGE) if text else NO_ASK
