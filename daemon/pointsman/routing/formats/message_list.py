"""Read lists of messages with role and content, which three formats share; pure, in steps."""

from __future__ import annotations

from msgspec.json import Decoder

from pointsman.routing import json_scan
from pointsman.routing.body import MESSAGES_AT_ONCE, Message, ScannedMessage, Value, decode, kind, view
from pointsman.routing.conversation import Conversation, conversation_key, single_turn
from pointsman.routing.json_scan import JsonFault, Span
from pointsman.routing.prompt_text import END_BYTES, LIST_AT_ONCE, MOST_PARTS, TooManyParts, text_of
from pointsman.routing.steps import Steps

# Of the messages before the first user message, so many identify a conversation.
_OPENING = 64
_LONG = 4096
_CLIENTS_ROLES = frozenset({"system", "developer", "user"})

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


def read_text(value: Value | None, messages: list[Message] | None) -> Steps[tuple[str, Conversation]]:
    """Return the text to classify and its conversation, from messages or a plain string; raises TooManyParts."""
    if messages is None:
        text = yield from text_of(value)
        return text, single_turn(text)
    new = ""
    if messages and messages[-1].role == "user":
        new = yield from text_of(messages[-1].content)
    # In Anthropic's format a tool result is a user message without text.
    text = new or (yield from _last_user_text(messages))
    return text, _conversation(messages, continues=bool(messages) and not new)


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


def _conversation(messages: list[Message], *, continues: bool) -> Conversation:
    roles = [message.role for message in messages]
    first = roles.index("user") if "user" in roles else len(roles) - 1
    parts: list[bytes | memoryview] = []
    for one in messages[: min(first, _OPENING)] + messages[first : first + 1]:
        parts += (b"" if one.role is None else one.role.encode(), memoryview(one.content))
    return Conversation(
        key=conversation_key(parts),
        # The Responses API has no role for model output: a tool call and its result are items of their own.
        follow_up=not _CLIENTS_ROLES.issuperset(roles),
        continues=continues,
    )
