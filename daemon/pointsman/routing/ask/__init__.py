"""Find what a person asks in a message."""

from __future__ import annotations

from pointsman.routing.ask.ask import NO_ASK, Ask, AskKind
from pointsman.routing.ask.finder import AskFinder

__all__ = ["NO_ASK", "Ask", "AskFinder", "AskKind"]
