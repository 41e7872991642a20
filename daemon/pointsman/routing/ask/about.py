"""Find the subject of a question that only points to material: "is this clause valid?"; pure, bounded."""

from __future__ import annotations

import re
from itertools import pairwise

import msgspec

from pointsman.routing.ask import words
from pointsman.routing.ask.ask import Ask, AskStep
from pointsman.routing.ask.evidence import ASKS
from pointsman.routing.ask.prose import asks, content_words, has_function_words, is_frame, points, words_in

# The beginning of material tells what it is about.
MAX_MATERIAL_CHARACTERS = 1000
# Shorter material, such as a file name or an answer, tells too little.
_MIN_MATERIAL_CHARACTERS = 200
# A longer question, or one with more words of its own, states its subject.
_MAX_QUESTION_CHARACTERS, _MAX_QUESTION_WORDS = 160, 3

_SENTENCE = re.compile(r"(?<=[.!?])\s+|\n+")
_TAG = re.compile(r"<[^<>]{1,200}>")
_QUESTIONS = words.INTERROGATIVES | {"explain", "tell"}
# Other pointers may refer to a later part of the question itself.
_THESE = frozenset(["this", "these"])
_REQUESTS = frozenset(["can", "could", "will", "would"])


def with_about(ask: Ask, text: str) -> Ask:
    """Return the ask found in a text, with the beginning of the longest material if the ask only points to material."""
    material = [step for step in ask.steps if step.what == "material"]
    if not material or not only_points(ask.text):
        return ask
    longest = max(material, key=lambda step: step.end - step.start)
    read = AskStep("about", longest.start, min(longest.end, longest.start + MAX_MATERIAL_CHARACTERS))
    about = _statements(text[read.start : read.end])
    if len(about) < _MIN_MATERIAL_CHARACTERS:
        return ask
    steps = tuple([read if step is longest else step for step in ask.steps])
    return msgspec.structs.replace(ask, about=about, steps=steps)


def only_points(question: str) -> bool:
    """Return whether an English text asks about something that it only points to; a task is not a question."""
    if len(question) > _MAX_QUESTION_CHARACTERS:
        return False
    found = words_in(question)
    listed = _without_request([word for word in found.listed if word not in words.COURTESIES])
    if _QUESTIONS.isdisjoint(listed[:1]) or not words.TASKS.isdisjoint(listed):
        return False
    if len(content_words(found)) > _MAX_QUESTION_WORDS:
        return False
    return points(found) or _names_material(listed)


def _without_request(listed: list[str]) -> list[str]:
    return listed[2:] if listed[1:2] == ["you"] and listed[0] in _REQUESTS else listed


def _statements(material: str) -> str:
    """Return the informative sentences of material, without questions, orders, and text that is not prose."""
    sentences = [sentence.strip() for sentence in _SENTENCE.split(_TAG.sub("\n", material))]
    return " ".join(filter(_tells, sentences))


def _tells(sentence: str) -> bool:
    found = words_in(sentence)
    if not has_function_words(found) or "?" in sentence:
        return False
    return not is_frame(sentence, found) and asks(sentence, found) < ASKS


def _names_material(listed: list[str]) -> bool:
    return not _THESE.isdisjoint(listed) or any(
        first == "the" and second in words.OTHERS for first, second in pairwise(listed)
    )
