"""Read JSON bodies one level deep; pure, in steps.

Values stay views of the body, so everything that is not edited is forwarded unchanged: number formats, escapes, unknown
fields, order, white space. Only the fields that routing reads are decoded further.
"""

from __future__ import annotations

import codecs
import functools
import json
from typing import Any, Literal, TypedDict

import msgspec
import numpy as np
from msgspec.json import Decoder

from pointsman import formats
from pointsman.errors import NestedTooDeeply, RequestError
from pointsman.long_body import Received
from pointsman.routing import json_scan
from pointsman.routing.json_scan import ByteSpan, JsonDepthError, JsonError
from pointsman.routing.steps import Steps

# msgspec reads this much at once, in at most 1.3 ms; larger bodies are scanned in steps.
AT_ONCE = 512 * 1024
# To make this number of objects of messages takes it another 0.5 ms. All objects that fit into NOT_COUNTED_BYTES take
# 1.5 ms.
MAX_OBJECTS = 8192
NOT_COUNTED_BYTES = 72 * 1024
# Do not scan a body of at least this size for its model first: scanning twice would cost more than reading its fields.
SCANNED_ONCE = 8 * 1024
# In a body of this size, search for a value: if it occurs once, that takes a third of the time of its address.
SEARCHED_BYTES = 4 * 1024
_OBJECT = ord("{")
# Python's decoder decides about what msgspec refuses, as in vLLM. Python's decoder makes an object of everything.
JUDGED_AT_ONCE = 64 * 1024

Value = msgspec.Raw
"""A JSON value, as a view of the body."""
ABSENT = msgspec.Raw()
"""The content of a message without content."""

FIELDS = (
    "model",
    *formats.FIELDS,
    "chat_template_kwargs",
    "reasoning_effort",
    "tools",
    "functions",
    "tool_choice",
)
"""The top-level fields that routing reads or edits, unless the config names others."""


class _PlainModelBody(msgspec.Struct, gc=False):
    """A body whose client chooses the model and sets none of the fields that `queue_fields` reads."""

    model: str = ""
    priority: Literal[0] = 0
    kv_transfer_params: None = None
    ec_transfer_params: None = None
    vllm_xargs: None = None


_STRING = Decoder(str)
SYSTEM_ROLES = ("system", "developer")
"""Roles whose messages are prompts of the client's operator, not of a person."""
_NAMED = Decoder(_PlainModelBody)


class Message(msgspec.Struct, gc=False):
    """A message: no role if it is not a string; the content is a view of the body, empty if there is none."""

    role: str | None = None
    content: Value = ABSENT


class BodyFields(msgspec.Struct, gc=False):
    """The requested top-level fields of a body: `data` is the body in UTF-8, which edits change.

    `body` is the bytes from the client, which differ only if they were UTF-16, UTF-32, or had a byte order mark.
    """

    body: Received
    data: Received
    values: dict[str, Value]
    """The requested fields that exist in the body."""
    messages: list[Message] | None = None
    """The messages of a body of usual size and form, read along with its fields."""
    address: int = 0
    """The memory address of `data`, once requested."""
    priority: int | None = None
    """The operator's priority of the request, set in each edited body, or None."""

    def get(self, name: str) -> Value | None:
        """Return a value, or None if missing."""
        if name == "messages" and self.messages is not None:
            return object_decoder(("messages",)).decode(self.data)["messages"]  # type: ignore[no-any-return]
        return self.values.get(name)

    def span(self, value: Value) -> tuple[int, int]:
        """Return the start and end of a value in `data`: a decoded value is a view, as msgspec documents."""
        data, size = self.data, memoryview(value).nbytes
        if len(data) <= SEARCHED_BYTES:
            start = data.find(value)
            if start >= 0 and data.find(value, start + 1) < 0:
                return start, start + size
        self.address = self.address or address_of(data)
        start = address_of(value) - self.address
        end = start + size
        if start < 0 or end > len(data):
            raise ValueError("the value is no part of the body")
        return start, end

    def messages_start(self, first: Message) -> int:
        """Return the position in `data` at which the list of messages that contains `first` begins."""
        if self.messages is None:
            return self.span(self.values["messages"])[0]
        head: Received = self.data
        if first.content is not ABSENT:
            # Everything before the content begins an object: another value and brackets complete the object.
            head = b"%b0}]}" % head[: self.span(first.content)[0]]
        return address_of(object_decoder(("messages",)).decode(head)["messages"]) - address_of(head)

    @property
    def model(self) -> str | None:
        """Return the requested model, None for null and for an empty string; raises RequestError (400)."""
        value = self.get("model")
        if value is None:
            return None
        try:
            return _STRING.decode(value) or None
        except (msgspec.MsgspecError, UnicodeDecodeError):
            if not given(value):
                return None
        raise RequestError("`model` must be a string of Unicode text", status=400, code="invalid_type", param="model")


def fields_at_once(body: Received, names: tuple[str, ...]) -> BodyFields | None:
    """Return these fields, `messages` among them, of a body of usual size and form, or None for any other body."""
    if not isinstance(body, bytes) or len(body) > AT_ONCE or body[:1] != b"{" or has_many_objects(body):
        return None
    try:
        found = _members_at_once(body, object_decoder(names, list[Message]))
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return None
    return BodyFields(body, body, found, found.pop("messages", None))


def read_fields(body: Received, names: tuple[str, ...] = FIELDS) -> Steps[BodyFields]:
    """Return these fields of a body; raises RequestError (400) if the body is no JSON object or nested too deeply.

    What vLLM accepts is accepted. In a body of more than a few KiB, faults inside values are left for vLLM to report.
    """
    plain = body[:1] == b"{" and body[1:2] != b"\0"
    encoding = "utf-8" if plain else json.detect_encoding(body[:4])
    data = body if encoding == "utf-8" else (yield from _transcoded(body, encoding))
    if isinstance(data, bytes) and len(data) <= AT_ONCE:
        try:
            return BodyFields(body, data, _members_at_once(data, object_decoder(names)))
        except msgspec.ValidationError:
            raise _no_object() from None
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            _judge(data)
    try:
        spans = yield from json_scan.members(data, names)
    except JsonDepthError as fault:
        raise NestedTooDeeply(f"the body is {fault}") from None
    except JsonError as fault:
        raise _invalid(f"the body is not JSON ({fault})") from None
    if spans is None:
        raise _no_object()
    return BodyFields(body, data, {name: view(data, span) for name, span in spans.items()})


def _members_at_once(data: bytes, decoder: Decoder[dict[str, Any]]) -> dict[str, Any]:
    if not data.isascii():
        str(data, "utf-8")  # msgspec does not check what it skips
    return decoder.decode(data)


@functools.lru_cache(64)
def object_decoder(names: tuple[str, ...], messages: Any = Value) -> Decoder[dict[str, Any]]:
    """Return a decoder of objects that reads these members as views and skips all others."""
    members = {name: messages if name == "messages" else Value for name in names}
    return Decoder(TypedDict("members", members, total=False))  # type: ignore[operator]


def _judge(data: bytes) -> None:
    """Raise RequestError if a short text is not JSON for vLLM, which reads it with this decoder."""
    if len(data) > JUDGED_AT_ONCE:
        return
    try:
        json.loads(data)
    except json.JSONDecodeError as fault:
        raise _invalid(f"the body is not JSON ({fault.msg} at character {fault.pos})") from None
    except UnicodeDecodeError as fault:
        raise _invalid(f"the body is not UTF-8 (byte {fault.start})") from None
    except RecursionError:
        raise NestedTooDeeply("the body is nested too deeply") from None
    except ValueError as fault:  # an integer of thousands of digits
        raise _invalid(f"the body is not JSON ({fault})") from None


def _transcoded(body: Received, encoding: str) -> Steps[bytes]:
    decoder = codecs.getincrementaldecoder(encoding)("surrogatepass")
    pieces: list[bytes] = []
    try:
        for at in range(0, len(body), json_scan.CHUNK):
            piece = decoder.decode(body[at : at + json_scan.CHUNK], at + json_scan.CHUNK >= len(body))
            pieces.append(piece.encode("utf-8", "surrogatepass"))
            yield
    except UnicodeDecodeError:
        raise _invalid(f"the body is not {encoding.upper()}, as it seems by its first bytes") from None
    return b"".join(pieces)


def model_of(fields: BodyFields) -> str | None:
    """Return the requested model, or None if there is none or it is not a string."""
    try:
        return fields.model
    except RequestError:
        return None


def model_at_once(body: Received) -> str | None:
    """Return the requested model of a short body of usual form; else None, and all fields must be read.

    In a body of usual form, the client chooses no position in vLLM's queue.
    """
    if not isinstance(body, bytes) or len(body) > SCANNED_ONCE:
        return None
    try:
        if not body.isascii():
            str(body, "utf-8")  # msgspec does not check what it skips
        return _NAMED.decode(body).model or None
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return None


def has_many_objects(text: bytes) -> bool:
    """Return whether a text has more objects than may be made at once."""
    if len(text) <= NOT_COUNTED_BYTES:
        return False
    # `bytes.count` is four times slower.
    return int(np.count_nonzero(np.frombuffer(text, np.uint8) == _OBJECT)) > MAX_OBJECTS


def view(data: json_scan.Text, span: ByteSpan) -> Value:
    """Return a part of a body, without a copy."""
    return msgspec.Raw(memoryview(data)[span.start : span.end])


def address_of(buffer: Received | Value) -> int:
    """Return the memory address at which a body or a value of a body begins."""
    address: int = np.frombuffer(buffer, np.uint8).__array_interface__["data"][0]
    return address


def kind(value: Value | None) -> bytes:
    """Return the first byte of a value, which tells its type; empty if the value is missing."""
    return b"" if value is None else bytes(memoryview(value)[:1])


def decode(value: Value | None, default: Any, decoder: Decoder[Any]) -> Any:
    """Decode a value; return `default` if the value is missing or of another type."""
    if value is None:
        return default
    try:
        return decoder.decode(value)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return default


def given(value: Value | None) -> bool:
    """Return whether a value is present and not null."""
    return value is not None and bytes(memoryview(value)[:5]) not in (b"", b"null")


def _no_object() -> RequestError:
    return _invalid("the body is not a JSON object")


def _invalid(message: str) -> RequestError:
    return RequestError(message, status=400, code="invalid_json")
