"""Read lists of messages with role and content, which three formats share; pure, in steps."""

from __future__ import annotations

from msgspec.json import Decoder

from pointsman.routing import json_scan
from pointsman.routing.body import MESSAGES_AT_ONCE, Message, ScannedMessage, Value, decode, kind, view
from pointsman.routing.json_scan import JsonFault, Span
from pointsman.routing.prompt_text import END_BYTES, LIST_AT_ONCE, MOST_PARTS, TooManyParts, text_of
from pointsman.routing.steps import Steps

_LONG = 4096

_MESSAGE = Decoder(Message)
_MESSAGES = Decoder(list[Message])
_STRING = Decoder(str)


def read_messages(value: Value | None) -> Steps[list[Message] | None]:
    """Return the messages of a list, None for any other value; raises TooManyParts.

    A value in the list that is no message is one without role and content.
    """
    if value is None or kind(value) != b"[":
        return None
    shown = memoryview(value)
    if shown.nbytes <= MESSAGES_AT_ONCE:
        messages: list[Message] | None = decode(value, None, _MESSAGES)
        if messages is not None:
            return counted(messages)
    try:
        spans = yield from json_scan.elements(shown, Span(0, shown.nbytes), MOST_PARTS)
        if spans is None:
            raise TooManyParts
        found: list[Message] = []
        for span in spans:
            found.append((yield from _message(shown, span)))
            yield
    except JsonFault:
        return []
    return found


def counted(messages: list[Message]) -> list[Message]:
    """Return the messages; raises TooManyParts if they are too many."""
    if len(messages) > MOST_PARTS:
        raise TooManyParts
    return messages


def _message(array: memoryview, span: Span) -> Steps[Message]:
    if span.end - span.start <= LIST_AT_ONCE:
        message: Message | None = decode(view(array, span), None, _MESSAGE)
        if message is not None:
            return message
    found = (yield from json_scan.members(array, ("role", "content"), span)) or {}
    role = found.get("role", span)
    content = found.get("content", Span(0, 0))
    return ScannedMessage(
        decode(view(array, role), None, _STRING) if role.end - role.start < _LONG else None,
        view(array, content),
        content.start,
    )


def read_text(value: Value | None, messages: list[Message] | None) -> Steps[str]:
    """Return the text to classify, from messages or a plain string; raises TooManyParts."""
    if messages is None:
        return (yield from text_of(value))
    return (yield from _last_user_text(messages))


def _last_user_text(messages: list[Message]) -> Steps[str]:
    """Return the last non-empty text of a user message, or the text of all messages if there is none."""
    for message in reversed(messages):
        if message.role == "user" and (text := (yield from text_of(message.content))):
            return text
        if memoryview(message.content).nbytes > _LONG:
            yield
    texts: list[str] = []
    room = 2 * END_BYTES
    for message in messages:
        texts.append((yield from text_of(message.content)))
        room -= len(texts[-1])
        if room < 0:
            break
        if memoryview(message.content).nbytes > _LONG:
            yield
    return " ".join(filter(None, texts))
