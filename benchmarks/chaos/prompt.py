"""Build prompts whose decision is known, and recognize them wherever they arrive."""

from __future__ import annotations

import json
import random
import re
import zlib
from collections.abc import Mapping
from typing import Any, NamedTuple

NAMES = ("base", "law-lora", "code-lora")
LONG_TOKENS = 800
"""Length of a stream that no client reads to its end, and that fills all buffers of one that reads nothing."""
_NONCE = re.compile(rb"nonce[0-9a-f]{12}")


class ReportedDecision(NamedTuple):
    """A decision as log and headers report it."""

    model: str
    reason: str
    category: str | None = None


class Prompt(NamedTuple):
    """A request's body: its nonce, its model, and the CRC-32 of everything but the model."""

    nonce: str
    model: str
    digest: int


_NO_CATEGORY = ReportedDecision("base", "no_category")
CLASSES: tuple[tuple[tuple[str, ...], ReportedDecision], ...] = (
    (("landlord",), ReportedDecision("law-lora", "classified", "law")),
    (("javascript", "python"), ReportedDecision("code-lora", "classified", "computer science")),
    (("blood", "pressure"), _NO_CATEGORY),
    (("bridge",), _NO_CATEGORY),
    (("weather",), _NO_CATEGORY),
    ((), _NO_CATEGORY),
)
"""Words that the toy classifier knows, and the decision about a text that has no others; see `run.config`."""
TIE = ("landlord", "python"), ReportedDecision("base", "low_confidence")
"""One word of each of two categories: half the probability each."""
_FILLERS = ("and", "what", "is", "the")
_MAX_WORDS = 40
_OLD_TEXTS = 0.25
"""Share of texts without a nonce of their own, so that the classifier's cache has hits; the system prompt has it."""


def request(dice: random.Random, **fields: Any) -> tuple[dict[str, Any], ReportedDecision]:
    """Return the body of a random chat request, and the decision that it must get."""
    nonce = f"nonce{dice.getrandbits(48):012x}"
    words, wanted = _words(dice)
    messages = [{"role": "user", "content": " ".join(words)}]
    if 0 < len(words) < 5 and dice.random() < _OLD_TEXTS:
        messages.insert(0, {"role": "system", "content": nonce})
    else:
        messages[0]["content"] = f"{nonce} {messages[0]['content']}"
    model = dice.choice(("auto", "auto", *NAMES))
    if model != "auto":
        wanted = ReportedDecision(model, "explicit_model")
    return {"model": model, "messages": messages, **fields}, wanted


def _words(dice: random.Random) -> tuple[list[str], ReportedDecision]:
    if dice.random() < 0.1:
        known, wanted = list(TIE[0]), TIE[1]
    else:
        choices, wanted = dice.choice(CLASSES)
        known = dice.choices(choices, k=dice.randrange(1, 5)) if choices else []
    words = [*known, *dice.choices(_FILLERS, k=dice.choice((0, 1, dice.randrange(_MAX_WORDS))))]
    dice.shuffle(words)
    return words, wanted


def read(body: Mapping[str, Any]) -> Prompt:
    """Return what identifies a body."""
    rest = json.dumps({name: value for name, value in body.items() if name != "model"}, sort_keys=True).encode()
    return Prompt(" ".join(sorted(nonces(rest))), str(body.get("model")), zlib.crc32(rest))


def nonces(data: bytes) -> frozenset[str]:
    """Return all nonces in the data."""
    return frozenset(found.decode() for found in _NONCE.findall(data))
