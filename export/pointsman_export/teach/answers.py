"""Read what a model answers, however it words it; pure functions.

A model that was asked for JSON answers with JSON, with half of it, with a list, or with prose.
"""

from __future__ import annotations

import json
import re
from typing import Any

from pointsman_export.teach.questions import NONE, PROMPTS

MAX_ANSWER_CHARACTERS = 50_000
"""The rest of a longer answer is not read: none that was asked for has as many."""
_ITEM = re.compile(r"^\s{0,8}(?:\d{1,3}[.):]|[-*\u2022])\s{1,4}(\S.*)$")
_STRING = re.compile(r'"((?:[^"\\]|\\.)*+)"', re.DOTALL)
_NUMBER = re.compile(r"\d{1,4}")


def prompts_in(answer: str) -> list[str]:
    """Return the prompts of an answer, at most PROMPTS: of JSON, of half a JSON, or the items of a list."""
    text = _inside_fence(answer[:MAX_ANSWER_CHARACTERS])
    found = _of_json(text) or _of_half_json(text) or _of_list(text)
    return [one.strip() for one in found if one.strip()][:PROMPTS]


def number_in(answer: str, most: int) -> int | None:
    """Return the number from 1 to `most` that an answer gives, 0 for NONE, None if it is neither."""
    text = answer[:200].lower()
    found = _NUMBER.search(text)
    at = text.find(NONE)
    if at >= 0 and (found is None or at < found.start()):
        return 0
    return int(found[0]) if found is not None and 1 <= int(found[0]) <= most else None


def _inside_fence(text: str) -> str:
    _, fence, rest = text.partition("```")
    return rest.partition("```")[0].removeprefix("json") if fence else text


def _of_json(text: str) -> list[str]:
    for begin in ("{", "["):
        at = text.find(begin)
        if at < 0:
            continue
        try:
            value, _ = json.JSONDecoder().raw_decode(text, at)
        except (ValueError, RecursionError):
            continue
        if found := _strings(value):
            return found
    return []


def _strings(value: Any) -> list[str]:
    """Return the texts of a list, or of the first list in an object."""
    if isinstance(value, dict):
        value = next((one for one in value.values() if isinstance(one, list)), [])
    if not isinstance(value, list):
        return []
    texts = (next(iter(one.values()), None) if isinstance(one, dict) else one for one in value)
    return [one for one in texts if isinstance(one, str)]


def _of_half_json(text: str) -> list[str]:
    """Return the whole strings of a list that was cut off."""
    _, bracket, rest = text.partition("[")
    found = []
    for one in _STRING.findall(rest) if bracket else ():
        try:
            found.append(json.loads(f'"{one}"', strict=False))
        except ValueError:
            continue
    return found


def _of_list(text: str) -> list[str]:
    """Return the items of a numbered or bulleted list; the first may lack its number, which the question ended with."""
    lines = text.splitlines()
    items = [match[1] for line in lines if (match := _ITEM.match(line))]
    first = lines[0].strip() if lines else ""
    if items and first and not _ITEM.match(lines[0]) and not first.endswith(":"):
        items.insert(0, first)
    return [_unquoted(one) for one in items]


def _unquoted(text: str) -> str:
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] == '"' else text
