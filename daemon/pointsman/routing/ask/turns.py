"""Find the user's last turn in a prompt to which the client applied a chat template; pure, in linear time."""

from __future__ import annotations

import re

# Special tokens of the templates that vLLM's models have. The model itself reads them as the ends of turns.
_TOKEN = re.compile(
    r"<\|[A-Za-z_]{1,32}\|>|\[/?INST\]|<(?:start|end)_of_turn>|</?s>|<(?:BOS|EOS)_TOKEN>|<<SYS>>|<</SYS>>|<｜[^｜]{1,16}｜>"
)
_USERS = ("<|user|>", "<|user_token|>", "[inst]", "<｜user｜>")
_NAMED = ("<|im_start|>", "<start_of_turn>", "<|role|>")


def last_user_turn(text: str) -> tuple[int, int] | None:
    """Return where the user's last turn is, None if the text does not begin with a chat template's token."""
    if text.lstrip()[:1] not in ("<", "[") or _TOKEN.match(text, len(text) - len(text.lstrip())) is None:
        return None
    turn: tuple[int, int] | None = None
    tokens = [*_TOKEN.finditer(text)]
    for place, match in enumerate(tokens):
        begin = _begins(text, match, tokens[place - 1] if place else None)
        end = tokens[place + 1].start() if place + 1 < len(tokens) else len(text)
        if begin is not None and text[begin:end].strip():
            turn = begin, end
    return turn


def _begins(text: str, match: re.Match[str], before: re.Match[str] | None) -> int | None:
    """Return where the user's words begin behind a token, None if they do not."""
    mark = match.group().lower()
    if mark in _USERS or mark == "<</sys>>":
        return match.end()
    if mark in _NAMED and text[match.end() : match.end() + 5].lower() == "user\n":
        return match.end() + 5
    if mark == "<|end_header_id|>" and before is not None:  # <|start_header_id|>user<|end_header_id|>
        return match.end() if text[before.end() : match.start()].strip().lower() == "user" else None
    return None
