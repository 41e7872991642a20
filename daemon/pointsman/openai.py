"""OpenAI and Anthropic request bodies: bytes in, what routing reads out; edits in, bytes out. Pure.

A body is decoded one level deep and its values stay raw bytes, so whatever is not edited leaves as it came:
the spelling of numbers, escapes, unknown fields, order. Only what routing reads is decoded further.
"""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import msgspec
from msgspec.json import Decoder

from pointsman.errors import RequestError


class Api(enum.Enum):
    """The request forms that are routed; the value is the path."""

    CHAT = "/v1/chat/completions"
    COMPLETIONS = "/v1/completions"
    RESPONSES = "/v1/responses"
    MESSAGES = "/v1/messages"


class Conversation(msgspec.Struct, frozen=True):
    """`key` is a hash of the first messages, the same in every turn. `follow_up`: there was an answer before.

    `continues`: the last message is not the user's (a tool's result, say), so there is no new text to judge.
    """

    key: bytes
    follow_up: bool
    continues: bool


class Request(msgspec.Struct, frozen=True):
    """A parsed body. `model` is None where none was asked for; `text` is what the classifier reads."""

    api: Api
    body: bytes
    fields: dict[str, msgspec.Raw]
    model: str | None
    text: str
    conversation: Conversation


@dataclass(frozen=True, slots=True)
class Reasoning:
    """How a model's reasoning is switched: `effort` is None when it is off."""

    type: Literal["chat_template_kwargs", "reasoning_effort"]
    parameter: str
    effort: str | None


@dataclass(frozen=True, slots=True)
class SystemPrompt:
    text: str
    mode: Literal["replace", "insert"]


@dataclass(frozen=True, slots=True)
class Edits:
    """All that may change in a body."""

    model: str | None = None
    reasoning: Reasoning | None = None
    system_prompt: SystemPrompt | None = None


class Edited(msgspec.Struct, frozen=True):
    """The body to send, and the names of the top-level fields that differ from the client's."""

    body: bytes
    changed: tuple[str, ...]


_NULL = msgspec.Raw(b"null")


class _Message(msgspec.Struct):
    role: Any = None
    content: msgspec.Raw = _NULL


class _Part(msgspec.Struct):
    text: Any = None


class _Asked(msgspec.Struct):
    model: msgspec.Raw = _NULL


T = TypeVar("T")

# Made once: to read a type costs more than to decode a short message by it.
_OBJECT = Decoder(dict[str, msgspec.Raw])
_ASKED = Decoder(_Asked)
_STRING = Decoder(str)
_LIST = Decoder(list[msgspec.Raw])
_MESSAGE = Decoder(_Message)
# In one go: a prompt may be a list of 100,000 token ids.
_TEXT: Decoder[Any] = Decoder(str | list[str | _Part | int | float | bool | list[Any] | None])
_PROMPT: Decoder[Any] = Decoder(str | list[msgspec.Raw] | None)


def asked_model(body: bytes) -> str | None:
    """The model that a request asks for, None where it leaves the choice.

    Raises RequestError (400) for what is not a JSON object or names no model by a string.
    """
    return _asked_model(_decode_object(body, _ASKED).model)


def _asked_model(raw: msgspec.Raw | None) -> str | None:
    model: str | None = _decode(raw, None, _STRING)
    if model is None and _given(raw):
        raise RequestError("`model` must be a string", status=400, code="invalid_type", param="model")
    return model or None


def parse(api: Api, body: bytes) -> Request:
    """Read a request body; raises RequestError (400) as `asked_model` does.

    What the messages hold is vLLM's to judge: a body without usable messages parses, with an empty text.
    """
    fields = _decode_object(body, _OBJECT)
    model = _asked_model(fields.get("model"))
    text, conversation = _read(api, fields)
    return Request(
        api=api,
        body=body,
        fields=fields,
        model=model,
        text=text,
        conversation=conversation,
    )


def apply(request: Request, edits: Edits) -> Edited:
    """The body with the edits that this form of request has a place for; untouched bytes when there are none."""
    changes: dict[str, Any] = {}
    if edits.model is not None and edits.model != request.model:
        changes["model"] = edits.model
    if edits.reasoning is not None:
        changes |= _reasoning_change(request, edits.reasoning)
    if edits.system_prompt is not None:
        changes |= _system_prompt_change(request, edits.system_prompt)
    if not changes:
        return Edited(request.body, ())
    return Edited(msgspec.json.encode(request.fields | changes), tuple(changes))


def model_of(body: bytes) -> str | None:
    """The model that a JSON body names; None where it names none, or is no JSON object."""
    try:
        model: str | None = _decode(_decode_object(body, _ASKED).model, None, _STRING)
    except RequestError:
        return None
    return model


def with_model(body: bytes, model: str) -> bytes:
    """A JSON object with another `model`; raises RequestError as `parse` does."""
    return msgspec.json.encode(_decode_object(body, _OBJECT) | {"model": model})


def form_of(body: bytes) -> Api:
    """The form of a body that came without a path that tells it; raises RequestError as `parse` does."""
    fields = _decode_object(body, _OBJECT)
    if "prompt" in fields:
        return Api.COMPLETIONS
    return Api.RESPONSES if "input" in fields else Api.CHAT


# --- reading ---------------------------------------------------------------------------------------------------


def _decode_object(body: bytes, decoder: Decoder[T]) -> T:
    try:
        str(body, "utf-8")  # msgspec does not look inside raw values
        return decoder.decode(body)
    except UnicodeDecodeError as error:
        message = f"the body is not UTF-8 (byte {error.start})"
    except RecursionError:
        message = "the body is nested too deeply"
    except msgspec.ValidationError:
        message = "the body is not a JSON object"
    except msgspec.DecodeError as error:
        message = f"the body is not JSON ({error})"
    raise RequestError(message, status=400, code="invalid_json")


def _decode(raw: msgspec.Raw | None, default: Any, decoder: Decoder[Any]) -> Any:
    """A raw value by `decoder`; `default` where it is absent or of another type."""
    if raw is None:
        return default
    try:
        return decoder.decode(raw)
    except (msgspec.MsgspecError, RecursionError):
        return default


def _given(raw: msgspec.Raw | None) -> bool:
    """Whether a value is there and not null."""
    return raw is not None and bytes(raw) != b"null"


def _read(api: Api, fields: dict[str, msgspec.Raw]) -> tuple[str, Conversation]:
    """The text that is classified and the conversation it belongs to."""
    if api is Api.COMPLETIONS:
        return _alone(_joined(fields.get("prompt")))
    messages: list[msgspec.Raw] | None = _decode(fields.get(_messages_field(api)), None, _LIST)
    if messages is None:  # `input` of the Responses API may be a plain string
        return _alone(_joined(fields.get(_messages_field(api))))
    read = [_message(raw) for raw in messages]
    roles = [message.role for message in read]
    new = _joined(read[-1].content) if roles and roles[-1] == "user" else ""
    # Anthropic's form carries a tool's result in a user message without text.
    return new or _last_user_text(read), _conversation(messages, roles, continues=bool(roles) and not new)


def _messages_field(api: Api) -> str:
    return "input" if api is Api.RESPONSES else "messages"


def _alone(text: str) -> tuple[str, Conversation]:
    return text, Conversation(_hash([text.encode("utf-8", "surrogatepass")]), follow_up=False, continues=False)


def _last_user_text(messages: list[_Message]) -> str:
    """Text of the last user message that has any; without one, all text there is."""
    for message in reversed(messages):
        if message.role == "user" and (text := _joined(message.content)):
            return text
    return " ".join(filter(None, [_joined(message.content) for message in messages]))


def _conversation(messages: list[msgspec.Raw], roles: list[Any], *, continues: bool) -> Conversation:
    first_user = roles.index("user") if "user" in roles else len(roles) - 1
    return Conversation(
        key=_hash([bytes(raw) for raw in messages[: first_user + 1]]),
        # The Responses API has no role for what a model did: a tool's call and its result are items of their own.
        follow_up=any(role not in ("system", "developer", "user") for role in roles),
        continues=continues,
    )


def _hash(parts: list[bytes]) -> bytes:
    """The parts' lengths keep them apart."""
    return hashlib.blake2b(b"".join([b"%d:%b" % (len(part), part) for part in parts]), digest_size=16).digest()


def _message(raw: msgspec.Raw) -> _Message:
    message: _Message = _decode(raw, None, _MESSAGE) or _Message()
    return message


def _joined(raw: msgspec.Raw | None) -> str:
    """A string, or the strings and text parts of a list joined by a space; anything else has no text."""
    content = _decode(raw, "", _TEXT)
    return content if isinstance(content, str) else " ".join(filter(None, map(_part_text, content)))


def _part_text(part: Any) -> str:
    text = part.text if isinstance(part, _Part) else part
    return text if isinstance(text, str) else ""


# --- editing ---------------------------------------------------------------------------------------------------


def _reasoning_change(request: Request, reasoning: Reasoning) -> dict[str, Any]:
    """A value that the client set itself stays; an effort cannot be switched off, only left out."""
    on = reasoning.effort is not None
    if reasoning.type == "chat_template_kwargs" and request.api in {Api.CHAT, Api.RESPONSES, Api.MESSAGES}:
        return _set_inside(request, "chat_template_kwargs", reasoning.parameter, on)
    if not on:
        return {}
    if request.api is Api.CHAT:
        given = _given(request.fields.get(reasoning.parameter))
        return {} if given else {reasoning.parameter: reasoning.effort}
    if request.api is Api.RESPONSES:
        return _set_inside(request, "reasoning", "effort", reasoning.effort)
    return {}


def _set_inside(request: Request, field: str, key: str, value: Any) -> dict[str, Any]:
    raw = request.fields.get(field)
    inner: dict[str, msgspec.Raw] | None = _decode(raw, None, _OBJECT)
    if inner is None and _given(raw):
        return {}  # not an object: vLLM will say so
    inner = inner or {}
    return {} if _given(inner.get(key)) else {field: inner | {key: value}}


def _system_prompt_change(request: Request, prompt: SystemPrompt) -> dict[str, Any]:
    if request.api is Api.CHAT:
        return _chat_prompt_change(request, prompt)
    if request.api is Api.COMPLETIONS:
        return {}
    field = "instructions" if request.api is Api.RESPONSES else "system"
    return {field: _combined(request.fields.get(field), prompt)}


def _chat_prompt_change(request: Request, prompt: SystemPrompt) -> dict[str, Any]:
    messages: list[Any] | None = _decode(request.fields.get("messages"), None, _LIST)
    if not messages:
        return {}
    if _message(messages[0]).role not in ("system", "developer"):
        return {"messages": [{"role": "system", "content": prompt.text}, *messages]}
    first: dict[str, Any] = _decode(messages[0], {}, _OBJECT)
    first["content"] = _combined(first.get("content"), prompt)
    return {"messages": [first, *messages[1:]]}


def _combined(raw: msgspec.Raw | None, prompt: SystemPrompt) -> Any:
    """Ours alone, or before the client's: a string or a list of content parts."""
    theirs = _decode(raw, None, _PROMPT)
    if prompt.mode == "replace" or not theirs:
        return prompt.text
    if isinstance(theirs, str):
        return f"{prompt.text}\n\n{theirs}"
    return [{"type": "text", "text": f"{prompt.text}\n\n"}, *theirs]


def diff(before: bytes, after: bytes) -> Iterator[tuple[str, bytes | None, bytes]]:
    """(field, old raw value or None, new raw value) for every top-level field that differs."""
    old = _decode_object(before, _OBJECT)
    for name, value in _decode_object(after, _OBJECT).items():
        if name not in old or bytes(old[name]) != bytes(value):
            yield name, bytes(old[name]) if name in old else None, bytes(value)
