"""Build the response header lines that describe a decision; pure functions."""

from __future__ import annotations

import functools
from urllib.parse import quote

from pointsman.routing.decision import Reason
from pointsman.routing.router import RoutedRequest


def decision_lines(routed: RoutedRequest) -> bytes:
    """Return the header lines, each with CRLF; names follow vLLM Semantic Router where it has one."""
    decision, edited, read = routed.decision, routed.edited, routed.reading.classification
    lines = _named_lines(decision.model, decision.reason, decision.category, edited.reasoning, edited.prompted)
    if decision.confidence is not None:
        lines += b"x-pointsman-confidence: %.4f\r\n" % decision.confidence
    if decision.would is not None:
        lines += b"x-pointsman-would-select: %b\r\n" % _header_value(decision.would.model).encode("ascii")
    if decision.rule is not None:
        lines += b"x-pointsman-rule: %b\r\n" % _header_value(decision.rule).encode("ascii")
    if read is not None and read.cut:
        lines += b"x-pointsman-truncated: true\r\n"
    if decision.reason is Reason.UNSUPPORTED_LANGUAGE and read is not None:
        lines += b"x-pointsman-language: %b\r\n" % (read.language or "").encode()
    return lines


@functools.lru_cache(1024)
def _named_lines(model: str, reason: Reason, category: str | None, reasoning: bool | None, injected: bool) -> bytes:
    pairs = [("x-vsr-selected-model", model), ("x-pointsman-reason", reason.value)]
    if category is not None:
        pairs.append(("x-vsr-selected-category", category))
    if reasoning is not None:
        pairs.append(("x-vsr-selected-reasoning", "on" if reasoning else "off"))
    if injected:
        pairs.append(("x-vsr-injected-system-prompt", "true"))
    return "".join([f"{name}: {_header_value(value)}\r\n" for name, value in pairs]).encode("ascii")


def _header_value(text: str) -> str:
    """Percent-encode names from the config that contain characters not allowed in a header."""
    return text if text.isascii() and text.isprintable() else quote(text)
