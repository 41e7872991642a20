"""Find a client's name for its session; pure.

Coding agents and chat front ends name the session, the agent inside it, or the chat, in a header or body field of their
own. `user` and `prompt_cache_key` name a person or a part of a cache, and are not among these.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from msgspec.json import Decoder

from pointsman.routing.body import BodyFields, Value, decode

HEADERS = (
    "x-session-id",
    "x-conversation-id",
    "x-chat-id",
    "session-id",  # Codex
    "session_id",
    "thread-id",
    "conversation-id",
    "conversation_id",
    "x-claude-code-session-id",
    "x-claude-code-agent-id",
    "x-qwen-code-session-id",
    "x-opencode-session",
    "x-session-affinity",  # OpenCode, Kilo Code
    "x-kilocode-taskid",
    "x-task-id",
    "x-roo-task-id",
    "x-openwebui-chat-id",
    "x-litellm-session-id",
)
FIELDS = (
    "session_id",
    "chat_id",
    "conversation_id",
    "litellm_session_id",
    "conversation.id",  # OpenAI's Responses API
    "metadata.session_id",
    "metadata.sessionId",
    "metadata.chat_id",
    "metadata.conversation_id",
)
MAX_ID_CHARACTERS = 256
# Larger objects are not searched.
MAX_OBJECT_BYTES = 16 * 1024

_ANY: Decoder[Any] = Decoder()


class SessionIds:
    """The names of headers and body fields that tell the session; a dot leads into an object."""

    def __init__(self, headers: Iterable[str] = (), fields: Iterable[str] = ()) -> None:
        """Add names to the built-in ones."""
        self._headers = tuple([name.lower().encode() for name in (*HEADERS, *headers)])
        self._any_header = frozenset(self._headers)
        self._paths = tuple([name.partition(".")[::2] for name in (*FIELDS, *fields)])
        self.fields = tuple(dict.fromkeys([field for field, _ in self._paths]))
        """The top-level fields of a body that are read."""
        self._any_field = frozenset(self.fields)

    def find(self, headers: Mapping[bytes, bytes], fields: BodyFields) -> str:
        """Return everything that the client says about its session, or an empty text."""
        if self._any_header.isdisjoint(headers) and self._any_field.isdisjoint(fields.values):
            return ""  # as for most clients
        found = [raw.decode("latin-1")[:MAX_ID_CHARACTERS] for name in self._headers if (raw := headers.get(name))]
        sent = {field: _decoded(value) for field in self.fields if (value := fields.get(field)) is not None}
        for field, inner in self._paths:
            value = sent.get(field)
            if inner and isinstance(value, dict):
                value = value.get(inner)
            if isinstance(value, str) and value:
                found.append(value[:MAX_ID_CHARACTERS])
        return "\n".join(dict.fromkeys(found))


def _decoded(value: Value) -> Any:
    return decode(value, None, _ANY) if memoryview(value).nbytes <= MAX_OBJECT_BYTES else None
