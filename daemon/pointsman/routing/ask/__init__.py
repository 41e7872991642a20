"""Find what a person asks in a message."""

from __future__ import annotations

from pointsman.routing.ask.ask import NO_ASK, Ask, AskKind, Beside, Step
from pointsman.routing.ask.finder import BUILTIN, AskFinder, Room

__all__ = ["BUILTIN", "NO_ASK", "Ask", "AskFinder", "AskKind", "Beside", "Room", "Step"]
