"""Read lists of messages with role and content, which three formats share; pure functions."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec.json import Decoder

from pointsman.routing.body import LIST, decode, text_of
from pointsman.routing.conversation import Conversation, conversation_key, single_turn

_NULL = msgspec.Raw(b"null")


class Message(msgspec.Struct):
    """A message with raw content."""

    role: Any = None
    content: msgspec.Raw = _NULL


_MESSAGE = Decoder(Message)


def message_of(raw: msgspec.Raw) -> Message:
    """Return a message, without role and content if the value is no message."""
    message: Message = decode(raw, None, _MESSAGE) or Message()
    return message


def read_messages(raw: msgspec.Raw | None) -> tuple[str, Conversation]:
    """Return the text to classify and its conversation, from a list of messages or a plain string."""
    messages: list[msgspec.Raw] | None = decode(raw, None, LIST)
    if messages is None:
        text = text_of(raw)
        return text, single_turn(text)
    read = [message_of(one) for one in messages]
    roles = [message.role for message in read]
    new = text_of(read[-1].content) if roles and roles[-1] == "user" else ""
    # In Anthropic's format a tool result is a user message without text.
    return new or _last_user_text(read), _conversation(messages, roles, continues=bool(roles) and not new)


def _last_user_text(messages: list[Message]) -> str:
    """Return the last non-empty text of a user message, or the text of all messages if there is none."""
    for message in reversed(messages):
        if message.role == "user" and (text := text_of(message.content)):
            return text
    return " ".join(filter(None, [text_of(message.content) for message in messages]))


def _conversation(messages: list[msgspec.Raw], roles: list[Any], *, continues: bool) -> Conversation:
    first_user = roles.index("user") if "user" in roles else len(roles) - 1
    return Conversation(
        key=conversation_key(bytes(raw) for raw in messages[: first_user + 1]),
        # The Responses API has no role for model output: a tool call and its result are items of their own.
        follow_up=any(role not in ("system", "developer", "user") for role in roles),
        continues=continues,
    )
