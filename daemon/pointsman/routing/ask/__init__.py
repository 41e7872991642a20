"""Find what a person asks in a message."""

from __future__ import annotations

from pointsman.routing.ask.ask import NO_ASK, Ask, AskKind, AskStep, AskSupplement
from pointsman.routing.ask.finder import BUILTIN, AskFinder, ScanBudget

__all__ = ["BUILTIN", "NO_ASK", "Ask", "AskFinder", "AskKind", "AskStep", "AskSupplement", "ScanBudget"]
