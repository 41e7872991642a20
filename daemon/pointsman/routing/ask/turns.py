"""Find the user's last turn in a prompt to which the client applied a chat template; pure, in linear time."""

from __future__ import annotations

import re

# Special tokens of the templates of vLLM's models. The model itself reads them as the ends of turns.
_TOKEN = re.compile(
    r"<\|[A-Za-z_]{1,32}\|>|\[/?INST\]|<(?:start|end)_of_turn>|</?s>|<bos>|<(?:BOS|EOS)_TOKEN>|<<SYS>>|<</SYS>>|<｜[^｜]{1,32}｜>"
)
_USERS = ("<|user|>", "<|user_token|>", "[inst]", "<｜user｜>", "<</sys>>")
_NAMED = ("<|im_start|>", "<start_of_turn>", "<|role|>")
# One line of a transcript has all turns; the place of the answer ends the text.
_PLACES = (" ASSISTANT:", " Assistant:", " AI:", " BOT:", " Bot:", " GPT:")
_INLINE = re.compile(r"(?:\A|[ >])(?:USER|User|HUMAN|Human): ")
_SPEAKER = re.compile(r"(?P<name>\w[\w .'-]{0,30}+): (?=\S)")


def last_user_turn(text: str) -> tuple[int, int] | None:
    """Return the position of the user's last turn, or None if no chat template was applied.

    The text begins with a token of a template, or its last line ends with the place of the answer after the turns.
    """
    if _TOKEN.match(text.lstrip()) is None:
        return _inline(text)
    turn: tuple[int, int] | None = None
    tokens = [*_TOKEN.finditer(text)]
    for index, match in enumerate(tokens):
        begin = _begins(text, match, tokens[index - 1] if index else None)
        end = tokens[index + 1].start() if index + 1 < len(tokens) else len(text)
        if begin is not None and text[begin:end].strip():
            turn = begin, end
    return turn


def after_speaker(text: str, start: int) -> int:
    """Return the start of a speaker's words, if a speaker's name is at `start`.

    A name is a speaker's if it occurs in the text before, and the text ends with the name of who answers.
    """
    speaker = _SPEAKER.match(text, start)
    if speaker is None or text.find(speaker["name"], 0, start) < 0:
        return start
    cue = text.rstrip().rpartition("\n")[2].strip()
    return speaker.end() if cue.endswith(":") and cue[:-1] != speaker["name"] else start


def _begins(text: str, match: re.Match[str], before: re.Match[str] | None) -> int | None:
    """Return the start of the user's words after a token, or None."""
    mark = match.group().lower()
    if mark in _USERS:
        return match.end()
    if mark in _NAMED and text[match.end() : match.end() + 5].lower() == "user\n":
        return match.end() + 5
    if before is not None and text[before.end() : match.start()].strip().lower() == "user":
        return match.end()  # <|start_header_id|>user<|end_header_id|>
    return None


def _inline(text: str) -> tuple[int, int] | None:
    said = text.rstrip()
    if not said.endswith(_PLACES):
        return None
    end = said.rindex(" ")
    turns = [match.end() for match in _INLINE.finditer(said, 0, end)]
    return (turns[-1], end) if turns else None
