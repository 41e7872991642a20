"""Read lists of messages with role and content, which three formats share; pure, in steps."""

from __future__ import annotations

from msgspec.json import Decoder

from pointsman.routing import json_scan
from pointsman.routing.body import ABSENT, MESSAGES_AT_ONCE, Message, Value, decode, kind, span_of, view
from pointsman.routing.conversation import Conversation, conversation_key, single_turn
from pointsman.routing.json_scan import JsonFault, Span
from pointsman.routing.prompt_text import END_BYTES, LIST_AT_ONCE, MOST_PARTS, TooManyParts, text_of
from pointsman.routing.steps import Steps

# Of the messages before the first user message, so many identify a conversation.
_OPENING = 64
_LONG = 4096


_MESSAGE = Decoder(Message)
_MESSAGES = Decoder(list[Message])
_STRING = Decoder(str)


def read_messages(data: bytes, value: Value | None) -> Steps[list[Message] | None]:
    """Return the messages of a list, None for any other value; raises TooManyParts.

    A value in the list that is no message is one without role and content.
    """
    if value is None or kind(value) != b"[":
        return None
    if memoryview(value).nbytes <= MESSAGES_AT_ONCE:
        messages: list[Message] | None = decode(value, None, _MESSAGES)
        if messages is not None:
            return counted(messages)
    try:
        spans = yield from json_scan.elements(data, span_of(data, value), MOST_PARTS)
        if spans is None:
            raise TooManyParts
        found: list[Message] = []
        for span in spans:
            found.append((yield from _message(data, span)))
            yield
    except JsonFault:
        return []
    return found


def counted(messages: list[Message]) -> list[Message]:
    """Return the messages; raises TooManyParts if they are too many."""
    if len(messages) > MOST_PARTS:
        raise TooManyParts
    return messages


def _message(data: bytes, span: Span) -> Steps[Message]:
    if span.end - span.start <= LIST_AT_ONCE:
        message: Message | None = decode(view(data, span), None, _MESSAGE)
        if message is not None:
            return message
    found = (yield from json_scan.members(data, ("role", "content"), span)) or {}
    role = found.get("role", span)
    return Message(
        decode(view(data, role), None, _STRING) if role.end - role.start < _LONG else None,
        view(data, found["content"]) if "content" in found else ABSENT,
    )


def read_text(data: bytes, value: Value | None, messages: list[Message] | None) -> Steps[tuple[str, Conversation]]:
    """Return the text to classify and its conversation, from messages or a plain string; raises TooManyParts."""
    if messages is None:
        text = yield from text_of(data, value)
        return text, single_turn(text)
    new = ""
    if messages and messages[-1].role == "user":
        new = yield from text_of(data, messages[-1].content)
    # In Anthropic's format a tool result is a user message without text.
    text = new or (yield from _last_user_text(data, messages))
    return text, _conversation(messages, continues=bool(messages) and not new)


def _last_user_text(data: bytes, messages: list[Message]) -> Steps[str]:
    """Return the last non-empty text of a user message, or the text of all messages if there is none."""
    for message in reversed(messages):
        if message.role == "user" and (text := (yield from text_of(data, message.content))):
            return text
        if memoryview(message.content).nbytes > _LONG:
            yield
    texts: list[str] = []
    room = 2 * END_BYTES
    for message in messages:
        texts.append((yield from text_of(data, message.content)))
        room -= len(texts[-1])
        if room < 0:
            break
        if memoryview(message.content).nbytes > _LONG:
            yield
    return " ".join(filter(None, texts))


def _conversation(messages: list[Message], *, continues: bool) -> Conversation:
    roles = [message.role for message in messages]
    first = roles.index("user") if "user" in roles else len(roles) - 1
    opening = messages[: min(first, _OPENING)] + messages[first : first + 1]
    return Conversation(
        key=conversation_key([part for one in opening for part in (_role(one), memoryview(one.content))]),
        # The Responses API has no role for model output: a tool call and its result are items of their own.
        follow_up=any(role not in ("system", "developer", "user") for role in roles),
        continues=continues,
    )


def _role(message: Message) -> bytes:
    return b"" if message.role is None else message.role.encode()
